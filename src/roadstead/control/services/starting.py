"""New tasks of a service: their records, each on the instance that placement chose (behaviour.md 5.1.6, 5.11, 5.14)."""

from __future__ import annotations

import msgspec

from roadstead.control import new_tasks, placement
from roadstead.model import record, services, task_definitions, tasks
from roadstead.state import plan

STARTS_MAX = 100
"""Tasks made in one pass; the next pass comes by its own writes."""


class Starts(msgspec.Struct):
    """What came of trying."""

    started: list[tasks.Task] = msgspec.field(default_factory=list)
    needed: tasks.TaskResources = tasks.TaskResources()
    """What the task that was refused would have needed."""
    refused: placement.Refused | None = None
    """Why no more could be placed."""


class Starter:
    """Makes tasks of one service within one decision."""

    def __init__(self, draft: plan.Draft, service: services.Service, now: float) -> None:
        self._draft = draft
        self._service = service
        self._now = now
        self._packer = placement.Packer(draft.view, service.cluster)

    def forget(self, stopped: list[tasks.Task]) -> None:
        """These were asked to stop by the same decision."""
        for task in stopped:
            self._packer.forget(task)

    def start(self, deployment: services.Deployment, count: int, result: Starts) -> None:
        """Make up to `count` tasks of a deployment; stop at the first that finds no room."""
        definition = self._draft.view.get(task_definitions.TaskDefinition, deployment.task_definition)
        if definition is None:
            return
        request = self._request(definition)
        for _ in range(min(count, STARTS_MAX - len(result.started))):
            answer = self._packer.place(request)
            if isinstance(answer, placement.Refused):
                result.needed, result.refused = request.resources, answer
                return
            made = self._task(deployment, definition, request.resources, answer)
            self._draft.put(made)
            result.started.append(made)

    def _request(self, definition: task_definitions.TaskDefinition) -> placement.PlacementRequest:
        spec = self._service.spec
        return placement.PlacementRequest(
            group=group_of(self._service),
            resources=placement.resources_of(definition),
            network_mode=definition.effective_network_mode,
            constraints=placement.required_constraints(spec.placement_constraints, definition),
            strategy=spec.placement_strategy,
            required_attributes=definition.requires_attributes,
        )

    def _task(
        self,
        deployment: services.Deployment,
        definition: task_definitions.TaskDefinition,
        resources: tasks.TaskResources,
        placed: placement.Placed,
    ) -> tasks.Task:
        spec = self._service.spec
        return new_tasks.make(
            definition,
            tasks.TaskSpec(
                task_definition=definition.key,
                group=group_of(self._service),
                launch_type=deployment.launch_type,
                service=self._service.name,
                deployment_id=deployment.deployment_id,
                started_by=deployment.deployment_id,
                network_configuration=deployment.network_configuration,
                placement_constraints=spec.placement_constraints,
                placement_strategy=spec.placement_strategy,
                tags=self._tags(definition),
                enable_ecs_managed_tags=spec.enable_ecs_managed_tags,
                resources=resources,
            ),
            placed.desired(self._now),
            self._service.cluster,
            self._draft.view.ids,
            self._now,
        )

    def _tags(self, definition: task_definitions.TaskDefinition) -> tuple[record.Tag, ...]:
        """What is propagated, at creation only (behaviour.md 5.14)."""
        spec = self._service.spec
        propagated = {"TASK_DEFINITION": definition.tags, "SERVICE": self._service.tags}.get(spec.propagate_tags, ())
        managed = new_tasks.managed_tags(self._service.cluster, self._service.name)
        return (*propagated, *managed) if spec.enable_ecs_managed_tags else propagated


def group_of(service: services.Service) -> str:
    """The task group of a service's tasks."""
    return f"service:{service.name}"
