"""A scenario, and the policies to try, from what a running server says of one of its services.

In come the answers of the operations that a user would call; what they don't say (what a request costs, what is good
enough) is assumed, and every assumption can be set otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from roadstead.lab import options, policies, problems

CPU_SECONDS_PER_REQUEST = 0.01
UTILIZATION_PERCENT = 85
START_SECONDS_MIN = 1.0
AS_IT_IS = "as it is"
CPU_UNITS_MIN = 128
MEMORY_MIB_MIN = 6
TARGET = 60.0
"""Percent of CPU: what is tried where a service has no policy."""


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """A service as the operations describe it."""

    cluster: str
    service: dict[str, Any]
    """Of DescribeServices."""
    task_definition: dict[str, Any]
    """Of DescribeTaskDefinition."""
    tasks: Sequence[dict[str, Any]] = ()
    """Of DescribeTasks: some of its tasks."""
    target: dict[str, Any] | None = None
    """Of DescribeScalableTargets."""
    tags: Mapping[str, str] = {}
    """The target's."""
    policies: Sequence[dict[str, Any]] = ()
    scheduled: Sequence[dict[str, Any]] = ()
    alarms: Mapping[str, dict[str, Any]] = {}
    """Of DescribeAlarms, by name."""

    @property
    def name(self) -> str:
        return str(self.service["serviceName"])


def values(described: Described, changes: Mapping[str, object]) -> dict[str, Any]:
    """The scenario but for its traffic, as YAML would have it. `changes` is only looked at: what one task serves
    follows from what a request costs."""
    definition = described.task_definition
    units = max(CPU_UNITS_MIN, _reserved(definition, "cpu"))
    cost = changes.get("service.cpu_seconds_per_request", CPU_SECONDS_PER_REQUEST)
    seconds = float(cost) if isinstance(cost, int | float) and cost > 0 else CPU_SECONDS_PER_REQUEST
    service: dict[str, Any] = {
        "requests_per_second": round(units / 1024.0 / seconds, 6),
        "cpu_seconds_per_request": seconds,
        "cpu_units": units,
        "memory_mib": max(MEMORY_MIB_MIN, _reserved(definition, "memory")),
    }
    starts = [one["startedAt"] - one["createdAt"] for one in described.tasks if "startedAt" in one]
    if starts:
        service["start_time"] = {"observed": [round(max(START_SECONDS_MIN, one), 3) for one in starts]}
    count = int(described.service.get("desiredCount", 1))
    target = described.target or {}
    low, high = int(target.get("MinCapacity", min(1, count))), int(target.get("MaxCapacity", max(10, 4 * count)))
    return {
        "name": f"{described.name} on {described.cluster}",
        "service": service,
        "tasks": {"min": low, "max": high, "initial": min(max(count, low), high)},
        "objective": {"utilization_percent": UTILIZATION_PERCENT},
    }


def _reserved(definition: Mapping[str, Any], what: str) -> int:
    """Of the task, else of its containers together."""
    if definition.get(what):
        return int(definition[what])
    soft = "memoryReservation" if what == "memory" else what
    return math.ceil(sum(one.get(soft) or one.get(what) or 0 for one in definition["containerDefinitions"]))


def candidate(described: Described) -> policies.Candidate:
    """Everything that scales the service now. Raises problems.Invalid where there is nothing, or it can't be tried."""
    if not described.policies and not described.scheduled:
        raise problems.Invalid(f"{described.name} has no scaling policy")
    arns = {one["PolicyARN"]: one["PolicyName"] for one in described.policies}
    alarms = [
        {**alarm, "AlarmActions": [arn for arn in alarm["AlarmActions"] if arn in arns]}
        for alarm in described.alarms.values()
        if any(arns.get(arn) and _is_step(described.policies, arns[arn]) for arn in alarm.get("AlarmActions", ()))
    ]
    given = {
        "Name": AS_IT_IS,
        "Policies": list(described.policies),
        "ScheduledActions": list(described.scheduled),
        "Alarms": alarms,
        options.FIELD: options.of_tags(described.tags),
    }
    return policies.parse(given, AS_IT_IS)


def _is_step(every: Sequence[Mapping[str, Any]], name: str) -> bool:
    return any(one["PolicyName"] == name and "StepScalingPolicyConfiguration" in one for one in every)
