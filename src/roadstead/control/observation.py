"""What an agent reports becomes what the task's record says was observed (behaviour.md 5.9; agent-protocol.md 2, 4).

Comes in: a task, its definition and a report. Goes out: the task with its new `observed`, equal to the old one where
the report says nothing new, so that reports may be repeated and may arrive late. States only climb. Called by
`api.ecs.agent` (Submit*StateChange), by the agents' gateway (container health) and by who concludes a stop by itself.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from roadstead.model import lifecycle, record, task_definitions, tasks

N = TypeVar("N", int, float)

REASON_CHARACTERS_MAX = 1024
"""Longer reasons are cut: the agent's own limit."""
ESSENTIAL_EXITED = "Essential container in task exited"
FAILED_TO_START = "Task failed to start"
"""Where an agent gives no reason for a task that stopped before it ran."""


class ContainerReport(record.Value, frozen=True):
    """What changed of one container: None (or no bindings) where the report leaves it out."""

    name: str
    status: lifecycle.ContainerStatus | None = None
    runtime_id: str | None = None
    image_digest: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    network_bindings: tuple[tasks.NetworkBinding, ...] = ()


class TaskReport(record.Value, frozen=True):
    """A SubmitTaskStateChange. `containers` are deltas: only those that changed since the last report."""

    status: lifecycle.TaskStatus | None = None
    reason: str | None = None
    containers: tuple[ContainerReport, ...] = ()
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    execution_stopped_at: float | None = None
    interface_attached: bool = False


class ContainerHealthReport(record.Value, frozen=True):
    name: str
    status: tasks.HealthStatus
    since: float


def observe(
    task: tasks.Task, definition: task_definitions.TaskDefinition | None, report: TaskReport, now: float
) -> tasks.Task:
    """The task after a report.

    A task that is STOPPED takes nothing any more but an exit code or a reason that it lacks.
    """
    seen = task.observed
    containers = _merge(seen.containers, definition, report.containers, restarts=task.is_live)
    status = _climb(task, report)
    seen = msgspec.structs.replace(
        seen,
        containers=containers,
        last_status=status,
        pull_started_at=_first(seen.pull_started_at, report.pull_started_at),
        pull_stopped_at=_first(seen.pull_stopped_at, report.pull_stopped_at),
        execution_stopped_at=_first(seen.execution_stopped_at, report.execution_stopped_at),
    )
    if status == "RUNNING" and seen.started_at is None:
        seen = msgspec.structs.replace(seen, started_at=now)
    after = msgspec.structs.replace(task, observed=seen)
    if report.interface_attached or status == "RUNNING":
        after = _with_interface(after, "ATTACHED")
    if status in lifecycle.TASK_ENDED and task.is_live:
        code, reason = _why_stopped(task, containers, report)
        after = _stopped(after, code, reason, now)
    return _counted(task, after)


def conclude_stopped(task: tasks.Task, code: tasks.StopCode, reason: str, now: float) -> tasks.Task:
    """The task as STOPPED without an agent's word: it was never given to one, or its instance is gone for good.

    `code` and `reason` show only where nobody had asked for the stop before.
    """
    if not task.is_live:
        return task
    containers = tuple(
        msgspec.structs.replace(container, last_status="STOPPED") for container in task.observed.containers
    )
    observed = msgspec.structs.replace(task.observed, last_status="STOPPED", containers=containers)
    return _counted(task, _stopped(msgspec.structs.replace(task, observed=observed), code, reason, now))


def observe_health(
    task: tasks.Task,
    definition: task_definitions.TaskDefinition,
    reports: tuple[ContainerHealthReport, ...],
    now: float,
) -> tasks.Task:
    """The task after a health report: of live tasks, and of containers that have a health check."""
    if not task.is_live:
        return task
    checked = {one.name for one in definition.container_definitions if one.health_check is not None}
    by_name = {report.name: report for report in reports if report.name in checked}
    containers = tuple(
        msgspec.structs.replace(
            container, health_status=by_name[container.name].status, health_since=by_name[container.name].since
        )
        if container.name in by_name
        else container
        for container in task.observed.containers
    )
    status = task_health(definition, containers)
    became = task.observed.became_healthy_at
    if status == "HEALTHY" and became is None:
        became = now
    observed = msgspec.structs.replace(
        task.observed, containers=containers, health_status=status, became_healthy_at=became
    )
    return _counted(task, msgspec.structs.replace(task, observed=observed))


def task_health(
    definition: task_definitions.TaskDefinition, containers: tuple[tasks.ObservedContainer, ...]
) -> tasks.HealthStatus:
    """UNHEALTHY if any essential container with a check is, else UNKNOWN if any is, else HEALTHY (behaviour.md 5.9)."""
    judged = {one.name for one in definition.container_definitions if one.is_essential and one.health_check is not None}
    found = {container.health_status for container in containers if container.name in judged}
    if "UNHEALTHY" in found:
        return "UNHEALTHY"
    return "HEALTHY" if found == {"HEALTHY"} else "UNKNOWN"


# ---------------------------------------------------------------------------------------------- containers


def _merge(
    containers: tuple[tasks.ObservedContainer, ...],
    definition: task_definitions.TaskDefinition | None,
    reports: tuple[ContainerReport, ...],
    *,
    restarts: bool,
) -> tuple[tasks.ObservedContainer, ...]:
    if not reports:
        return containers
    restartable = {
        one.name
        for one in (definition.container_definitions if definition is not None else ())
        if restarts and one.restart_policy is not None and one.restart_policy.enabled
    }
    merged = {container.name: container for container in containers}
    for report in reports:
        if report.name in merged:
            merged[report.name] = _merge_one(merged[report.name], report, report.name in restartable)
    return tuple(merged.values())


def _merge_one(
    container: tasks.ObservedContainer, report: ContainerReport, restartable: bool
) -> tasks.ObservedContainer:
    before, after = container.last_status, report.status or container.last_status
    restarted = (before, after) == ("STOPPED", "RUNNING") and restartable
    if lifecycle.CONTAINER_RANK[after] < lifecycle.CONTAINER_RANK[before] and not restarted:
        return container  # an old report, overtaken by a newer one
    reason = report.reason[:REASON_CHARACTERS_MAX] if report.reason else container.reason
    return msgspec.structs.replace(
        container,
        last_status=after,
        runtime_id=report.runtime_id or container.runtime_id,
        image_digest=report.image_digest or container.image_digest,
        exit_code=None if restarted else _first(report.exit_code, container.exit_code),
        reason=None if restarted else reason,
        network_bindings=report.network_bindings or container.network_bindings,
    )


# ---------------------------------------------------------------------------------------------- tasks


def _climb(task: tasks.Task, report: TaskReport) -> lifecycle.TaskStatus:
    """An awsvpc task that an agent works on is ACTIVATING, another one PENDING (behaviour.md 5.9, [C])."""
    wanted = report.status
    if wanted is None:
        return task.observed.last_status
    if wanted == "PENDING" and task.desired.network_interface is not None:
        wanted = "ACTIVATING"
    before = task.observed.last_status
    return wanted if lifecycle.task_may_move(before, wanted) else before


def _why_stopped(
    task: tasks.Task, containers: tuple[tasks.ObservedContainer, ...], report: TaskReport
) -> tuple[tasks.StopCode, str]:
    """behaviour.md 5.9: before RUNNING an error is why the task failed to start; an exit is an exit at any time."""
    started = task.observed.started_at is not None
    if report.reason:
        return ("EssentialContainerExited" if started else "TaskFailedToStart"), report.reason[:REASON_CHARACTERS_MAX]
    if started:
        return "EssentialContainerExited", ESSENTIAL_EXITED
    for container in containers:
        if container.reason and not _ran(container):
            return "TaskFailedToStart", container.reason
    if any(_ran(container) for container in containers):
        return "EssentialContainerExited", ESSENTIAL_EXITED
    return "TaskFailedToStart", FAILED_TO_START


_START_ERRORS = (
    "CannotPull",
    "CannotCreate",
    "CannotStart",
    "CannotInspect",
    "ResourceInitializationError",
    "ContainerRuntimeError",
    "ContainerRuntimeTimeoutError",
    "DockerTimeoutError",
    "TaskFailedToStart",
    "InternalError",
    "ResourceNotFoundException",
)


def _ran(container: tasks.ObservedContainer) -> bool:
    """Whether a container's process ran and ended: it has an exit code that no error of its start stands behind."""
    return container.exit_code is not None and not (container.reason or "").startswith(_START_ERRORS)


def _stopped(task: tasks.Task, code: tasks.StopCode, reason: str, now: float) -> tasks.Task:
    """`task`, whose last status is STOPPED already, with all that goes with it."""
    asked = task.desired.status == "STOPPED"
    observed = msgspec.structs.replace(
        task.observed,
        stopped_at=now,
        execution_stopped_at=_first(task.observed.execution_stopped_at, now if task.observed.started_at else None),
        stop_code=None if asked else code,
        stopped_reason=None if asked else reason,
    )
    desired = task.desired
    if not asked:
        desired = msgspec.structs.replace(desired, status="STOPPED", stopping_at=now)
    return _with_interface(msgspec.structs.replace(task, observed=observed, desired=desired), "DELETED")


_INTERFACE_RANK = {"PRECREATED": 0, "ATTACHING": 1, "ATTACHED": 2, "DETACHED": 3, "DELETED": 4}


def _with_interface(task: tasks.Task, status: str) -> tasks.Task:
    interface = task.desired.network_interface
    if interface is None or _INTERFACE_RANK[status] <= _INTERFACE_RANK[interface.status]:
        return task
    moved = msgspec.structs.replace(interface, status=status)
    return msgspec.structs.replace(task, desired=msgspec.structs.replace(task.desired, network_interface=moved))


def _first(*values: N | None) -> N | None:
    for value in values:
        if value is not None:
            return value
    return None


def _counted(before: tasks.Task, after: tasks.Task) -> tasks.Task:
    """`after` with its version one higher, or `before` where nothing changed."""
    if after == before:
        return before
    return msgspec.structs.replace(after, version=before.version + 1)
