"""What the control plane says of the demo's service, read through the public APIs."""

from __future__ import annotations

from typing import Any

import msgspec

from roadstead.cli import context, services, tasks

METRIC_PERIOD_SECONDS = 20
HISTORY_COLUMNS = 15


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    state: str
    reason: str


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the service."""

    desired: int
    running: int
    pending: int
    metric: tuple[float | None, ...]
    """CPU in percent of what was reserved, one value for each 20 s, oldest first."""
    high: Alarm | None
    low: Alarm | None
    activities: tuple[dict[str, Any], ...]
    tasks: tuple[dict[str, Any], ...]

    @property
    def newest_metric(self) -> float | None:
        return next((value for value in reversed(self.metric) if value is not None), None)

    @property
    def targets(self) -> tuple[str, ...]:
        """Where the running tasks answer: `127.0.0.1:port` of each."""
        return tuple(
            f"127.0.0.1:{binding['hostPort']}"
            for task in self.tasks
            if task["lastStatus"] == "RUNNING"
            for container in task["containers"]
            for binding in container.get("networkBindings", [])[:1]
        )


def look(on: context.Context, cluster: str, service: str) -> Sight:
    """One look. Raises failures.Failure where the control plane doesn't answer."""
    found = services.described(on, cluster, service)
    scaling = services.scaling_of(on, cluster, service)
    alarms = {
        ("high" if "-AlarmHigh-" in name else "low"): Alarm(state=one["StateValue"], reason=one.get("StateReason", ""))
        for name, one in scaling["alarms"].items()
    }
    return Sight(
        desired=found["desiredCount"],
        running=found["runningCount"],
        pending=found["pendingCount"],
        metric=tuple(
            services.metric_history(on, cluster, service, "CPUUtilization", METRIC_PERIOD_SECONDS, HISTORY_COLUMNS)
        ),
        high=alarms.get("high"),
        low=alarms.get("low"),
        activities=tuple(scaling["activities"]),
        tasks=tuple(tasks.described(on, cluster, serviceName=service)),
    )
