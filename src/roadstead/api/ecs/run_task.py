"""RunTask (behaviour.md 5.11, 5.12): places tasks at once, and says for each instance why it could not."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from roadstead.api import operation
from roadstead.api.ecs import common, present_tasks
from roadstead.api.ecs import services_checks as checks
from roadstead.api.ecs import task_definitions_sizes as sizes
from roadstead.base import errors
from roadstead.control import new_tasks, placement
from roadstead.model import clusters, names, record, tables, task_definitions, tasks
from roadstead.state import plan
from roadstead.state import view as views

COUNT_MAX = 10
OVERRIDES_CHARACTERS_MAX = 8192
STARTED_BY_LENGTH_MAX = 128
REFERENCE_ID_LENGTH_MAX = 1024
GROUP_LENGTH_MAX = 255
FAILURES_MAX = 100
"""Instances for which one answer says why they could not take the task."""
NO_INSTANCES = "No Container Instances were found in your cluster."
SERVICE_GROUP_PREFIX = "service:"
_STARTED_BY = re.compile(r"[A-Za-z0-9\-_/]*")
_GROUP = re.compile(r"[A-Za-z0-9\-_.:]+")
_FIXED: dict[str, tuple[Any, ...]] = {"launchType": ("EC2",), "enableExecuteCommand": (False,)}
_FAILURES = {
    placement.DRAINING: ("INACTIVE", "The container instance is DRAINING."),
    placement.MEMBER_OF: ("MemberOf placement constraint unsatisfied.", None),
    placement.DISTINCT_INSTANCE: ("DistinctInstance placement constraint unsatisfied.", None),
}


def run_task(call: operation.Call, view: views.View) -> operation.Reply:
    """RunTask: up to 10 tasks. What finds no room is a failure in the answer, not an error."""
    params = call.params
    cluster = common.find_cluster(view, params.cluster)
    definition = _definition(params, view)
    count = 1 if params.count is None else params.count
    if not 1 <= count <= COUNT_MAX:
        raise common.invalid(f"count must be between 1 and {COUNT_MAX}.")
    spec = _spec(params, definition, cluster)
    before = _started_before(view, cluster.name, spec, count)
    if before:
        return operation.Reply(
            output={"tasks": [present_tasks.present_task(one, view) for one in before], "failures": []}
        )
    packer = placement.Packer(view, cluster.name)
    request = placement.PlacementRequest(
        group=spec.group,
        resources=spec.resources,
        network_mode=definition.effective_network_mode,
        constraints=placement.required_constraints(spec.placement_constraints, definition),
        strategy=spec.placement_strategy,
        required_attributes=definition.requires_attributes,
    )
    draft = plan.Draft(view)
    started: list[tasks.Task] = []
    failures: list[dict[str, str]] = []
    for _ in range(count):
        answer = packer.place(request)
        if isinstance(answer, placement.Refused):
            if not answer.considered:
                raise common.invalid(NO_INSTANCES)
            failures = _failures(answer, cluster.name, view)
            break
        task = new_tasks.make(definition, spec, answer.desired(call.now), cluster.name, view.ids, call.now)
        started.append(task)
        draft.put(task)
    shown = [present_tasks.present_task(task, view, include_tags=True) for task in started]
    return operation.Reply(output={"tasks": shown, "failures": failures}, plan=draft.plan())


def _definition(params: Any, view: views.View) -> task_definitions.TaskDefinition:
    if not params.taskDefinition:
        raise common.client_error("TaskDefinition can not be blank.")
    checks.check_fixed(params, _FIXED)
    definition = common.find_runnable_task_definition(view, params.taskDefinition)
    checks.check_runs_on_ec2(definition)
    return definition


def _spec(params: Any, definition: task_definitions.TaskDefinition, cluster: clusters.Cluster) -> tasks.TaskSpec:
    """What is asked for, checked."""
    overrides = _overrides(params.overrides, definition)
    constraints: tuple[task_definitions.PlacementConstraint, ...] = common.convert_optional(
        params.placementConstraints, tuple[task_definitions.PlacementConstraint, ...], "placementConstraints", ()
    )
    strategy: tuple[task_definitions.PlacementStrategy, ...] = common.convert_optional(
        params.placementStrategy, tuple[task_definitions.PlacementStrategy, ...], "placementStrategy", ()
    )
    checks.check_placement(constraints, strategy)
    network: tasks.NetworkConfiguration | None = common.convert_optional(
        params.networkConfiguration, tasks.NetworkConfiguration, "networkConfiguration"
    )
    checks.check_network(network, definition)
    checks.check_client_token(params.clientToken)
    if params.referenceId is not None and len(params.referenceId) > REFERENCE_ID_LENGTH_MAX:
        raise common.invalid(f"referenceId can have at most {REFERENCE_ID_LENGTH_MAX} characters.")
    return tasks.TaskSpec(
        task_definition=definition.key,
        group=_group(params.group, definition),
        started_by=_started_by(params.startedBy),
        overrides=overrides,
        network_configuration=network,
        placement_constraints=constraints,
        placement_strategy=strategy,
        tags=_tags(params, definition, cluster),
        enable_ecs_managed_tags=bool(params.enableECSManagedTags),
        reference_id=params.referenceId,
        client_token=params.clientToken or None,
        resources=placement.resources_of(definition, overrides),
    )


def _overrides(value: Any, definition: task_definitions.TaskDefinition) -> tasks.TaskOverride:
    if value is None:
        return tasks.TaskOverride()
    if len(msgspec.json.encode(value)) > OVERRIDES_CHARACTERS_MAX:
        raise common.invalid(f"Overrides can have at most {OVERRIDES_CHARACTERS_MAX} characters.")
    found: tasks.TaskOverride = common.convert(value, tasks.TaskOverride, "overrides")
    known = {one.name: one for one in definition.container_definitions}
    named: set[str] = set()
    for container in found.container_overrides:
        if not container.name:
            raise common.invalid("Container override name can not be blank.")
        if container.name not in known:
            raise common.invalid(
                f"Override for container named {container.name} is not a container in the TaskDefinition."
            )
        if container.name in named:
            raise common.invalid(f"Override for container named {container.name} is given twice.")
        named.add(container.name)
        _check_sizes(container, known[container.name])
    cpu, memory = sizes.cpu_units(found.cpu), sizes.memory_mib(found.memory)
    return msgspec.structs.replace(
        found, cpu=str(cpu) if cpu is not None else None, memory=str(memory) if memory is not None else None
    )


def _check_sizes(override: tasks.ContainerOverride, container: task_definitions.ContainerDefinition) -> None:
    for name, value in (
        ("cpu", override.cpu),
        ("memory", override.memory),
        ("reservation", override.memory_reservation),
    ):
        if value is not None and value < (0 if name == "cpu" else 1):
            raise common.invalid(f"The override of container {container.name} has an invalid {name}: {value}.")
    hard = container.memory if override.memory is None else override.memory
    soft = container.memory_reservation if override.memory_reservation is None else override.memory_reservation
    if hard is not None and soft is not None and hard < soft:
        raise common.invalid(
            f"Invalid setting for container '{container.name}'. 'memory' must be greater than 'memoryReservation'."
        )


def _group(value: str | None, definition: task_definitions.TaskDefinition) -> str:
    if not value:
        return f"family:{definition.family}"
    if len(value) > GROUP_LENGTH_MAX or _GROUP.fullmatch(value) is None:
        raise common.invalid(f"Invalid group name: {value}.")
    if value.startswith(SERVICE_GROUP_PREFIX):
        raise common.invalid("Group names that begin with 'service:' are reserved for services.")
    return value


def _started_by(value: str | None) -> str | None:
    if value and (len(value) > STARTED_BY_LENGTH_MAX or _STARTED_BY.fullmatch(value) is None):
        raise common.invalid(
            f"startedBy has up to {STARTED_BY_LENGTH_MAX} letters, digits, hyphens, underscores and slashes."
        )
    return value or None


def _tags(
    params: Any, definition: task_definitions.TaskDefinition, cluster: clusters.Cluster
) -> tuple[record.Tag, ...]:
    """The definition's tags where they are propagated, then the caller's, then those that ECS manages."""
    if params.propagateTags == "SERVICE":
        raise common.invalid("propagateTags SERVICE is not valid for RunTask.")
    inherited = definition.tags if params.propagateTags == "TASK_DEFINITION" else ()
    managed = new_tasks.managed_tags(cluster.name) if params.enableECSManagedTags else ()
    return common.merge_tags(inherited, common.tags_of(params.tags), managed)


def _started_before(view: views.View, cluster: str, spec: tasks.TaskSpec, count: int) -> list[tasks.Task]:
    """The tasks that the same client token started already; Conflict where it asked for something else."""
    if spec.client_token is None:
        return []
    found = list(view.find(tables.TASKS, "client_token", cluster, spec.client_token))
    if any(task.spec != spec for task in found) or len(found) > count:
        raise errors.Refusal(
            "ConflictException",
            "The provided clientToken is already in use with a different RunTask request.",
            members={"resourceIds": [names.arn_of_task(view.scope, task) for task in found]},
        )
    return found


def _failures(refused: placement.Refused, cluster: str, view: views.View) -> list[dict[str, str]]:
    failures = []
    for refusal in refused.refusals[:FAILURES_MAX]:
        reason, detail = _FAILURES.get(refusal.reason, (refusal.reason, None))
        failures.append(common.failure(names.instance_arn(view.scope, cluster, refusal.instance_id), reason, detail))
    return failures


OPERATIONS: tuple[operation.Operation, ...] = (
    operation.Operation(
        service="ecs",
        name="RunTask",
        decide=run_task,
        accepts=frozenset(
            {
                *("cluster", "count", "enableECSManagedTags", "enableExecuteCommand", "group", "launchType"),
                *("networkConfiguration", "placementConstraints", "placementStrategy", "propagateTags"),
                *("referenceId", "startedBy", "tags", "taskDefinition", "clientToken"),
                *("overrides.cpu", "overrides.memory"),
                *(
                    f"overrides.containerOverrides.{member}"
                    for member in ("name", "command", "environment", "cpu", "memory", "memoryReservation")
                ),
            }
        ),
        note="launchType is EC2; enableExecuteCommand must be false.",
    ),
)
