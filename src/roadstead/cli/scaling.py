"""A service's scaling for `service status`: what the operations say of it, and in which words it is printed."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

from roadstead.cli import client

ACTIVITIES_READ = 20
ALARMS_A_CALL = 100
"""Names that one DescribeAlarms may have."""
ALARMS_SHOWN_MAX = 10
"""Alarms shown for one policy."""


def read(api: client.Client, cluster: str, name: str) -> dict[str, Any]:
    """Scalable target, policies, alarms (by name), scheduled actions and newest activities of a service."""
    resource = f"service/{cluster}/{name}"
    service = "application-autoscaling"
    targets = api.call(service, "DescribeScalableTargets", ServiceNamespace="ecs", ResourceIds=[resource])
    if not targets["ScalableTargets"]:
        return {"target": None, "policies": [], "alarms": {}, "forecasts": {}, "scheduled": [], "activities": []}
    of_service = {"ServiceNamespace": "ecs", "ResourceId": resource}
    policies = list(api.pages(service, "DescribeScalingPolicies", "ScalingPolicies", **of_service))
    scheduled = list(api.pages(service, "DescribeScheduledActions", "ScheduledActions", **of_service))
    names = sorted({alarm["AlarmName"] for policy in policies for alarm in policy.get("Alarms", [])})
    alarms: dict[str, Any] = {}
    for start in range(0, len(names), ALARMS_A_CALL):
        found = api.call("cloudwatch", "DescribeAlarms", AlarmNames=names[start : start + ALARMS_A_CALL])
        alarms.update((alarm["AlarmName"], alarm) for alarm in found["MetricAlarms"])
    more = {"IncludeNotScaledActivities": True, "MaxResults": ACTIVITIES_READ}
    activities = api.call(service, "DescribeScalingActivities", **of_service, **more)["ScalingActivities"]
    return {
        "target": targets["ScalableTargets"][0],
        "policies": policies,
        "alarms": alarms,
        "forecasts": _forecasts(api, cluster, name, [one["PolicyName"] for one in policies if _is_predictive(one)]),
        "scheduled": scheduled,
        "activities": activities,
    }


def _forecasts(api: client.Client, cluster: str, name: str, policies: list[str]) -> dict[str, list[str]]:
    """What `explain` says of each predictive policy; AWS's operations have no member for a forecast's error."""
    if not policies:
        return {}
    answer = api.local("explain", kind="service", cluster=cluster, id=name)
    found: dict[str, list[str]] = {}
    for policy in policies:
        said = (one for one in answer["reasons"] if one["text"].startswith(f"policy {policy}: "))
        found[policy] = [below["text"] for one in said for below in one.get("reasons", [])]
    return found


def _is_predictive(policy: dict[str, Any]) -> bool:
    return bool(policy["PolicyType"] == "PredictiveScaling")


def lines(scaling: dict[str, Any]) -> Iterator[str]:
    """A line for each policy and each scheduled action."""
    for policy in scaling["policies"]:
        if _is_predictive(policy):
            yield from _predictive(policy, scaling["forecasts"].get(policy["PolicyName"], []))
        else:
            yield "   ".join(_policy(policy, scaling["alarms"]))
    for action in scaling["scheduled"]:
        yield _scheduled(action)


def _policy(policy: dict[str, Any], alarms: dict[str, Any]) -> Iterator[str]:
    tracks = policy["PolicyType"] == "TargetTrackingScaling"
    yield f"Scaling  {policy['PolicyName']} ({'target tracking' if tracks else 'steps'})"
    listed = policy.get("Alarms", [])
    if not listed:
        yield "no alarm invokes it"
    for alarm in listed[:ALARMS_SHOWN_MAX]:
        name = alarm["AlarmName"]
        label = ("high alarm" if "AlarmHigh" in name else "low alarm") if tracks else f"alarm {name}"
        found = alarms.get(name)
        yield f"{label} {_alarm(found)}" if found else f"{label} missing"
    if len(listed) > ALARMS_SHOWN_MAX:
        yield f"and {len(listed) - ALARMS_SHOWN_MAX} more"


def _predictive(policy: dict[str, Any], forecast: list[str]) -> Iterator[str]:
    """The policy, and below it a line for each thing that is known of its forecast."""
    mode = policy["PredictiveScalingPolicyConfiguration"]["Mode"]
    yield f"Scaling  {policy['PolicyName']} (predictive)   {mode}"
    for text in forecast:
        yield f"         {text}"


def _alarm(alarm: dict[str, Any]) -> str:
    """`OK (3 × 60 s needed)`, from DescribeAlarms; an alarm on metric math has its period in its queries."""
    needed = alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"])
    periods = [alarm["Period"]] if "Period" in alarm else [*_periods(alarm.get("Metrics", []))]
    every = f" × {max(periods)} s" if periods else " periods"
    return f"{alarm['StateValue']} ({needed}{every} needed)"


def _periods(queries: list[dict[str, Any]]) -> Iterator[int]:
    for query in queries:
        period = query.get("MetricStat", query).get("Period")
        if period is not None:
            yield int(period)


def _scheduled(action: dict[str, Any]) -> str:
    bounds = action["ScalableTargetAction"]
    parts = [f"Schedule {action['ScheduledActionName']}", action["Schedule"]]
    if not action["Schedule"].startswith("rate("):
        parts.append(action.get("Timezone", "UTC"))
    named = (("min", bounds.get("MinCapacity")), ("max", bounds.get("MaxCapacity")))
    parts.append(", ".join(f"{name} {value}" for name, value in named if value is not None))
    parts += [
        f"{word} {_day(action[name])}" for word, name in (("from", "StartTime"), ("until", "EndTime")) if name in action
    ]
    return "   ".join(parts)


def _day(moment: float) -> str:
    return datetime.datetime.fromtimestamp(float(moment), datetime.UTC).strftime("%Y-%m-%dT%H:%MZ")
