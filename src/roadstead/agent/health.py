"""Health checks of a running container (behaviour.md 5.9): when to check next, and what the outcomes mean. Pure.

As Docker does it: the first check comes an interval after the start, each further one an interval after the last one
ended. Failures within the start period don't count; a success ends that period.
"""

from __future__ import annotations

from roadstead.acs import docker, telemetry
from roadstead.agent import events, instructions, records

INTERVAL_SECONDS = 30.0
TIMEOUT_SECONDS = 5.0
RETRIES = 3
SHELL = ("/bin/sh", "-c")


def begin(state: records.ContainerState, check: docker.HealthConfig, now: float) -> None:
    """The container was started: its health is unknown."""
    state.health = records.HealthState(since=now, next_check_at=now + interval_seconds(check))


def resume(state: records.ContainerState, check: docker.HealthConfig, now: float) -> None:
    """The agent was restarted under a running container: its health stands, a check is due after an interval."""
    state.health.checking = False
    state.health.next_check_at = now + interval_seconds(check)


def tick(
    state: records.ContainerState, check: docker.HealthConfig, now: float, out: list[instructions.TaskInstruction]
) -> None:
    """Check where it is due."""
    health = state.health
    if health.checking or health.next_check_at is None or now < health.next_check_at:
        return
    health.checking = True
    health.next_check_at = None
    out.append(
        instructions.CheckHealth(
            container_id=state.container_id, command=command_of(check), timeout_seconds=timeout_seconds(check)
        )
    )


def checked(state: records.ContainerState, check: docker.HealthConfig, event: events.HealthChecked, now: float) -> None:
    """A check ended: exit code 0 is healthy; `retries` failures in a row outside the start period are unhealthy."""
    health = state.health
    if not health.checking:
        return
    health.checking = False
    health.next_check_at = now + interval_seconds(check)
    if event.exit_code == 0:
        health.failures = 0
        health.grace_over = True
        _become(health, "HEALTHY", "", now)
        return
    started = state.last_started_at if state.last_started_at is not None else now
    if not health.grace_over and now - started < check.start_period / docker.NANOSECONDS_PER_SECOND:
        return
    health.failures += 1
    if health.failures >= (check.retries or RETRIES):
        _become(health, "UNHEALTHY", event.message or f"exit code {event.exit_code}", now)


def command_of(check: docker.HealthConfig) -> tuple[str, ...]:
    """What to run: CMD's words as they are, CMD-SHELL's line by /bin/sh."""
    kind, *words = check.test
    return (*SHELL, *words) if kind == "CMD-SHELL" else tuple(words) if kind == "CMD" else check.test


def interval_seconds(check: docker.HealthConfig) -> float:
    return check.interval / docker.NANOSECONDS_PER_SECOND or INTERVAL_SECONDS


def timeout_seconds(check: docker.HealthConfig) -> float:
    return check.timeout / docker.NANOSECONDS_PER_SECOND or TIMEOUT_SECONDS


def _become(health: records.HealthState, status: telemetry.HealthStatus, message: str, now: float) -> None:
    if health.status != status:
        health.status = status
        health.since = now
    health.message = message
