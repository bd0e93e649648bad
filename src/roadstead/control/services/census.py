"""Who is there: a service's live tasks, sorted by what they are good for (behaviour.md 5.1, 5.2, 5.10).

*Wanted* tasks belong to the deployment that the service is going to and are on an instance that stays; the others are
drained. Either is starting, good (RUNNING and not UNHEALTHY), or unhealthy. *Active* are all of these: what counts
against maximumPercent. Tasks that stop count for nothing, but still hold their resources.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from roadstead.control import deployments
from roadstead.model import container_instances, lifecycle, services, tables, task_definitions, tasks
from roadstead.state import plan
from roadstead.state import view as views

STOPS_SEEN_MAX = 200
"""Stopped tasks taken into account in one pass; the next pass comes by its own writes."""


class Class(msgspec.Struct):
    """Active tasks of one class, oldest first."""

    starting: list[tasks.Task] = msgspec.field(default_factory=list)
    good: list[tasks.Task] = msgspec.field(default_factory=list)
    unhealthy: list[tasks.Task] = msgspec.field(default_factory=list)

    def __len__(self) -> int:
        return len(self.starting) + len(self.good) + len(self.unhealthy)


class Health:
    """When tasks count as healthy: by their health checks, where their definition has any, else after a time."""

    def __init__(self, view: views.View, now: float) -> None:
        self._view = view
        self._now = now
        self._checked: dict[str, bool] = {}

    def moment(self, task: tasks.Task) -> float | None:
        """When the task became, or will become, healthy; None where that is not known."""
        name, observed = task.spec.task_definition, task.observed
        checked = self._checked.get(name)
        if checked is None:
            checked = self._checked[name] = self._is_checked(name)
        if checked:
            return observed.became_healthy_at if observed.health_status == "HEALTHY" else None
        if observed.started_at is None:
            return None
        return observed.started_at + deployments.HEALTHY_AFTER_SECONDS

    def _is_checked(self, task_definition: str) -> bool:
        definition = self._view.get(task_definitions.TaskDefinition, task_definition)
        return definition is not None and any(
            one.is_essential and one.health_check is not None for one in definition.container_definitions
        )


class Census:
    """The tasks of one service at one moment."""

    def __init__(self, view: views.View, service: services.Service, now: float) -> None:
        self._view = view
        self._now = now
        self._health = Health(view, now)
        self._leaving: dict[str, bool] = {}
        self._healthy_at: dict[str, float | None] = {}
        """By id, of tasks that run and shall: when they became, or will become, healthy; None where nobody knows."""
        self.live = list(view.find(tables.TASKS, "live_by_service", service.cluster, service.name))
        self.unseen = self._unseen(service)
        self.runs = self._runs(service)
        self.wanted = Class()
        self.drained = Class()
        self.stopping = 0
        """Live tasks that are on their way out."""
        self.healthy: set[str] = set()
        """Ids of wanted tasks that are healthy."""
        self.next_healthy_at: float | None = None
        """When the next task will count as healthy, where time alone decides it."""

    def _unseen(self, service: services.Service) -> list[tasks.Task]:
        found: list[tasks.Task] = []
        for task in self._view.find(tables.TASKS, "unseen_stops", service.cluster, service.name):
            if len(found) == STOPS_SEEN_MAX:
                break
            found.append(task)
        return found

    def _runs(self, service: services.Service) -> dict[str, deployments.Runs]:
        runs = {one.deployment_id: deployments.Runs() for one in service.deployments}
        now, moment_of = self._now, self._health.moment
        for task in (*self.live, *self.unseen):
            name, observed = task.spec.deployment_id or "", task.observed
            one = runs.get(name)
            if one is None:
                one = runs[name] = deployments.Runs()
            status, started_at = observed.last_status, observed.started_at
            if status not in lifecycle.TASK_ENDED:
                one.live += 1
            if started_at is not None and (one.last_started_at is None or started_at > one.last_started_at):
                one.last_started_at = started_at
            if status == "RUNNING" and task.desired.status == "RUNNING":
                moment = self._healthy_at[task.task_id] = moment_of(task)
                if (
                    moment is not None
                    and moment <= now
                    and (one.last_healthy_at is None or moment > one.last_healthy_at)
                ):
                    one.last_healthy_at = moment
        return runs

    def sort(self, wanted: Collection[str]) -> None:
        """Sort the tasks; `wanted` are the ids of the deployments that are not being drained."""
        for task in self.live:
            observed = task.observed
            status = observed.last_status
            starting = status in lifecycle.TASK_STARTING
            if task.desired.status == "STOPPED" or not (starting or status == "RUNNING"):
                self.stopping += 1
                continue
            stays = task.spec.deployment_id in wanted and not self.is_leaving(task)
            place = self.wanted if stays else self.drained
            if starting:
                place.starting.append(task)
            elif observed.health_status == "UNHEALTHY":
                place.unhealthy.append(task)
            else:
                place.good.append(task)
                moment = self._healthy_at[task.task_id]
                if moment is None:
                    continue
                if moment > self._now:
                    self.next_healthy_at = plan.earliest(self.next_healthy_at, moment)
                elif stays:
                    self.healthy.add(task.task_id)

    def is_leaving(self, task: tasks.Task) -> bool:
        """Whether the task's instance is draining or gone."""
        instance_id = task.desired.container_instance
        if instance_id is None:
            return False
        found = self._leaving.get(instance_id)
        if found is None:
            instance = self._view.get(container_instances.ContainerInstance, instance_id)
            found = self._leaving[instance_id] = instance is None or instance.status != "ACTIVE"
        return found

    @property
    def active(self) -> int:
        return len(self.wanted) + len(self.drained)
