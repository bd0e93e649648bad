"""Rollouts: bounds, failures, the circuit breaker, completion and rollback of a service's deployments.

Pure functions from a service to a service, called by `control.services` in each pass (behaviour.md 5.2, 5.3, 5.7).
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping

import msgspec

from roadstead.model import services, tasks

HEALTHY_AFTER_SECONDS = 40.0
"""A running task without health checks counts as healthy after that time (behaviour.md 5.2)."""
THROTTLE_SECONDS = (0, 10, 20, 40, 80, 160, 320, 640, 1280, 1620)
"""Pause after each round of starts that failed; the last one repeats (behaviour.md 5.7)."""
BREAKER_PERCENT = 50
BREAKER_FAILURES_MIN = 3
BREAKER_FAILURES_MAX = 200
"""BOUNDED_PERCENT, the default (behaviour.md 5.3)."""
HEALTH_REASON = "Task failed container health checks"
_FAILED_STARTS: tuple[tasks.StopCode, ...] = ("TaskFailedToStart", "EssentialContainerExited")


class Bounds(msgspec.Struct, frozen=True):
    """How many tasks a service may have: behaviour.md 5.2."""

    desired: int
    lower: int
    upper: int


def bounds(service: services.Service) -> Bounds:
    """The bounds now; nothing is wanted of a service that is being deleted."""
    desired = service.spec.desired_count if service.status == "ACTIVE" else 0
    configuration = service.spec.deployment_configuration
    return Bounds(
        desired,
        math.ceil(desired * configuration.effective_minimum_healthy_percent / 100),
        desired * configuration.effective_maximum_percent // 100,
    )


class Runs(msgspec.Struct):
    """What is known of one deployment's tasks, for judging its failures."""

    live: int = 0
    """Tasks that are not STOPPED."""
    last_started_at: float | None = None
    """When the newest of its tasks began to run."""
    last_healthy_at: float | None = None
    """When the newest of its tasks became healthy."""


def failed_to_start(task: tasks.Task) -> bool:
    """Whether a stopped task failed by itself before it ran: nobody asked it to stop, nobody took its instance."""
    return (
        task.observed.started_at is None
        and task.desired.stop_code is None
        and task.observed.stop_code in _FAILED_STARTS
    )


def failed_health(task: tasks.Task) -> bool:
    """Whether a stopped task was replaced because of its health checks."""
    return task.desired.stop_code == "ServiceSchedulerInitiated" and task.desired.stopped_reason == HEALTH_REASON


def _after(moment: float, other: float | None) -> bool:
    return other is None or moment > other


def count_failures(
    service: services.Service, stops: Iterable[tasks.Task], runs: Mapping[str, Runs], now: float
) -> services.Service:
    """Each deployment's counters after stops that were not seen before, and the service's start throttle."""
    by_deployment: dict[str | None, list[tasks.Task]] = {}
    for task in stops:
        by_deployment.setdefault(task.spec.deployment_id, []).append(task)
    counted = tuple(
        _count_one(one, by_deployment.get(one.deployment_id, []), runs.get(one.deployment_id, Runs()))
        for one in service.deployments
    )
    source = starting_deployment(service)
    throttle = service.progress.throttle
    if source is not None:
        mine = by_deployment.get(source.deployment_id, [])
        throttle = _throttle(throttle, mine, runs.get(source.deployment_id, Runs()), now)
    progress = msgspec.structs.replace(service.progress, throttle=throttle)
    if throttle.failures == 0:
        progress = msgspec.structs.replace(progress, impaired_event_at=None)
    return msgspec.structs.replace(service, deployments=counted, progress=progress)


def _count_one(one: services.Deployment, stops: list[tasks.Task], runs: Runs) -> services.Deployment:
    failed_at, failed, breaker = one.failed_at, one.failed_tasks, one.breaker_failures
    first_running_at = one.first_running_at if one.first_running_at is not None else runs.last_started_at
    if failed_at is not None and runs.last_started_at is not None and runs.last_started_at > failed_at:
        failed = 0
    if failed_at is not None and runs.last_healthy_at is not None and runs.last_healthy_at > failed_at:
        breaker = 0
    for task in stops:
        of_start, of_health = failed_to_start(task), failed_health(task)
        if not (of_start or of_health):
            continue
        stopped_at = task.observed.stopped_at or 0.0
        failed += _after(stopped_at, runs.last_started_at)
        stage_one = first_running_at is None
        breaker += (of_start if stage_one else of_health) and _after(stopped_at, runs.last_healthy_at)
        failed_at = max(failed_at or 0.0, stopped_at)
    return msgspec.structs.replace(
        one, failed_at=failed_at, failed_tasks=failed, breaker_failures=breaker, first_running_at=first_running_at
    )


def _throttle(
    throttle: services.StartThrottle, stops: list[tasks.Task], runs: Runs, now: float
) -> services.StartThrottle:
    """Tasks that were started together fail together: they make one round, and one longer pause."""
    if throttle.failures and runs.last_started_at is not None and runs.last_started_at > throttle.round_began_at:
        throttle = services.StartThrottle()
    fresh = any(
        failed_to_start(task)
        and task.created_at >= throttle.round_began_at
        and _after(task.observed.stopped_at or 0.0, runs.last_started_at)
        for task in stops
    )
    if not fresh:
        return throttle
    failures = throttle.failures + 1
    pause = THROTTLE_SECONDS[min(failures, len(THROTTLE_SECONDS)) - 1]
    return services.StartThrottle(failures=failures, next_start_at=now + pause, round_began_at=now)


def starting_deployment(service: services.Service) -> services.Deployment | None:
    """The deployment that new tasks belong to: PRIMARY; where that FAILED, the newest COMPLETED one; else none."""
    if service.primary.rollout_state != "FAILED":
        return service.primary
    return completed_deployment(service)


def completed_deployment(service: services.Service) -> services.Deployment | None:
    """The newest COMPLETED deployment behind PRIMARY: where a rollback goes."""
    return next((one for one in service.deployments[1:] if one.rollout_state == "COMPLETED"), None)


def source_deployment(service: services.Service) -> services.Deployment | None:
    """The deployment that a rollout comes from: its lost tasks are replaced by their own (behaviour.md 5.1.3)."""
    return completed_deployment(service) if service.primary.rollout_state == "IN_PROGRESS" else None


def breaker_threshold(desired: int) -> int:
    """So many failures trip the circuit breaker (behaviour.md 5.3)."""
    wanted = math.ceil(BREAKER_PERCENT * desired / 100)
    return min(max(wanted, BREAKER_FAILURES_MIN), BREAKER_FAILURES_MAX)


def breaker_trips(service: services.Service) -> bool:
    """Whether PRIMARY has failed too often."""
    breaker = service.spec.deployment_configuration.deployment_circuit_breaker
    return (
        breaker is not None
        and breaker.enable
        and service.status == "ACTIVE"
        and service.primary.rollout_state == "IN_PROGRESS"
        and service.primary.breaker_failures >= breaker_threshold(service.spec.desired_count)
    )


def fail(service: services.Service, now: float) -> services.Service:
    """The service with its PRIMARY deployment FAILED and, where that is wanted and possible, rolled back.

    A rollback makes the newest COMPLETED deployment PRIMARY again, IN_PROGRESS, and the service's specification names
    its task definition again (what UpdateService then starts from, as in ECS).
    """
    failed = msgspec.structs.replace(
        service.primary,
        rollout_state="FAILED",
        rollout_state_reason="ECS deployment circuit breaker: task failed to start.",
        updated_at=now,
    )
    breaker = service.spec.deployment_configuration.deployment_circuit_breaker
    target = completed_deployment(service)
    if breaker is None or not breaker.rollback or target is None:
        return msgspec.structs.replace(service, deployments=(failed, *service.deployments[1:]))
    revived = msgspec.structs.replace(
        target,
        status="PRIMARY",
        rollout_state="IN_PROGRESS",
        rollout_state_reason=f"ECS deployment circuit breaker: rolling back to deploymentId {target.deployment_id}.",
        updated_at=now,
        failed_tasks=0,
        breaker_failures=0,
    )
    others = tuple(one for one in service.deployments[1:] if one.deployment_id != target.deployment_id)
    demoted = msgspec.structs.replace(failed, status="ACTIVE")
    spec = msgspec.structs.replace(
        service.spec,
        task_definition=target.task_definition,
        launch_type=target.launch_type,
        network_configuration=target.network_configuration,
        monitoring=target.monitoring,
    )
    progress = msgspec.structs.replace(service.progress, throttle=services.StartThrottle(), placement_failure=None)
    return msgspec.structs.replace(service, spec=spec, deployments=(revived, demoted, *others), progress=progress)


def complete(service: services.Service, now: float) -> services.Service:
    """The service with its PRIMARY deployment COMPLETED."""
    primary = service.primary
    done = msgspec.structs.replace(
        primary,
        rollout_state="COMPLETED",
        rollout_state_reason=f"ECS deployment {primary.deployment_id} completed.",
        updated_at=now,
    )
    return msgspec.structs.replace(service, deployments=(done, *service.deployments[1:]))


def forget_drained(service: services.Service, live: Container[str]) -> services.Service:
    """Without the deployments that have no live tasks; while PRIMARY is not COMPLETED a rollback's target stays."""
    target = completed_deployment(service) if service.primary.rollout_state != "COMPLETED" else None
    kept = tuple(one for one in service.deployments[1:] if one.deployment_id in live or one is target)
    if len(kept) == len(service.deployments) - 1:
        return service
    return msgspec.structs.replace(service, deployments=(service.primary, *kept))


def with_desired_counts(
    service: services.Service, desired: int, drained: Mapping[str, int], now: float
) -> services.Service:
    """PRIMARY wants what the service wants; of older ones less with each task that the rollout took from them."""
    changed = []
    for place, one in enumerate(service.deployments):
        wanted = desired if place == 0 else max(0, one.desired_count - drained.get(one.deployment_id, 0))
        changed.append(
            one if wanted == one.desired_count else msgspec.structs.replace(one, desired_count=wanted, updated_at=now)
        )
    return msgspec.structs.replace(service, deployments=tuple(changed))
