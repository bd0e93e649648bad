"""What is tried: policies as users have them, in JSON files, or a fixed count.

A file may hold what the AWS CLI takes or prints, so that a policy goes from here to AWS and back unchanged:

- a target tracking configuration (`--target-tracking-scaling-policy-configuration file://…`),
- the input of `put-scaling-policy`, one or a list of them (they work together),
- the output of `describe-scaling-policies`,
- `{"Name", "Policies": […], "ScheduledActions": […], "Alarms": […], "MinCapacity", "MaxCapacity"}`: all that may
  scale a service. An alarm (the input of `put-metric-alarm`) names policies in its AlarmActions by their PolicyName.

Each of them may have an `Options` beside (`lab.options`): what only Roadstead has.

Namespace, resource and dimension in them are replaced by the simulated service. Whether a policy is right, the
production API says.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import msgspec

from roadstead.lab import options, problems, scenario

POLICY_BYTES_MAX = 1_000_000
CANDIDATES_MAX = 200
IDENTITY = ("ServiceNamespace", "ResourceId", "ScalableDimension")
PRINTED = ("PolicyARN", "CreationTime", "Alarms", "ScheduledActionARN")
"""What AWS prints beside what it was given."""
PRINTED_OF_ALARMS = (
    "AlarmArn", "AlarmConfigurationUpdatedTimestamp", "StateValue", "StateReason", "StateReasonData",
    "StateUpdatedTimestamp", "StateTransitionedTimestamp", "EvaluationState",
)  # fmt: skip
SET_FIELDS = ("Name", "Policies", "ScheduledActions", "Alarms", "MinCapacity", "MaxCapacity", options.FIELD)
LAB_NAMESPACE = "Roadstead/Lab"
KNOWN_METRICS = {
    ("AWS/ECS", "CPUUtilization"),
    ("AWS/ECS", "MemoryUtilization"),
    (LAB_NAMESPACE, "RequestCountPerTarget"),
    (LAB_NAMESPACE, "RequestCount"),
}
"""What a simulated service has data of. The last two: per task and in all, to be summed (Sum over 60 s: a minute's)."""
BALANCER_NOTE = "ALBRequestCountPerTarget: a load balancer that spreads evenly over the running tasks is assumed"
CLUSTER = "default"
SERVICE = "web"
HIGH_RESOLUTION_SECONDS = 20
ECS_DIMENSIONS = ({"Name": "ClusterName", "Value": CLUSTER}, {"Name": "ServiceName", "Value": SERVICE})
LAB_DIMENSIONS = ({"Name": "ServiceName", "Value": SERVICE},)


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to try. `policies` are inputs of PutScalingPolicy and so on, without the identity of the target."""

    name: str
    policies: tuple[dict[str, Any], ...] = ()
    scheduled_actions: tuple[dict[str, Any], ...] = ()
    alarms: tuple[dict[str, Any], ...] = ()
    min_capacity: int | None = None
    """Else the scenario's."""
    max_capacity: int | None = None
    fixed: int | None = None
    """A fixed count: nothing scales."""
    tags: dict[str, str] = {}
    """Of the scalable target: options that only Roadstead has."""
    written: dict[str, list[dict[str, Any]]] = {}
    """Policies, ScheduledActions, Alarms (with the metrics that they were written for) and Tags: to apply elsewhere."""
    notes: tuple[str, ...] = ()
    is_named: bool = True
    """Somebody named it: its series are kept whatever comes out. Else a sweep or a search made it."""

    @property
    def foresees(self) -> bool:
        """Whether a policy forecasts its load, and so needs a history of it."""
        return any(policy["PolicyType"] == "PredictiveScaling" for policy in self.policies)

    @property
    def uses_lab_metrics(self) -> bool:
        """Whether something reads a metric that only the lab publishes."""
        return LAB_NAMESPACE in json.dumps([self.policies, self.alarms])


def bounds(subject: scenario.Scenario, candidate: Candidate) -> tuple[int, int]:
    """The scalable target's. Raises problems.Invalid where they contradict each other."""
    low = candidate.min_capacity if candidate.min_capacity is not None else subject.tasks.min
    high = candidate.max_capacity if candidate.max_capacity is not None else subject.tasks.max
    if low > high:
        raise problems.Invalid(f"MinCapacity {low} is more than MaxCapacity {high}", file=candidate.name)
    return low, high


def high_resolution(given: Sequence[dict[str, Any]], alarms: Sequence[dict[str, Any]]) -> list[str]:
    """Which of ECS's metrics a service must publish each 20 s (`monitoring`): those of high resolution policies, and of
    alarms below a minute."""
    text = json.dumps(given)
    found = {
        f"{name}Utilization"
        for name in ("CPU", "Memory")
        if f"ECSServiceAverage{name}UtilizationHighResolution" in text
    }
    for alarm in alarms:
        period = alarm.get("Period")
        if alarm.get("Namespace") == "AWS/ECS" and isinstance(period, int) and period < 60:
            found.add(alarm["MetricName"])
    return sorted(found)


def fixed(count: int) -> Candidate:
    """So many tasks, always."""
    return Candidate(name=f"fixed {count}", fixed=count)


def tracking(
    name: str, target: float, *, out_seconds: int = 300, in_seconds: int = 300, high_resolution: bool = False
) -> Candidate:
    """Target tracking on CPU at `target` percent, with these cooldowns."""
    return parse(cpu_tracking(target, out_seconds, in_seconds, high_resolution), name)


def cpu_tracking(
    target: float, out_seconds: int = 300, in_seconds: int = 300, high_resolution: bool = False
) -> dict[str, Any]:
    """The same as the AWS CLI takes it."""
    metric = "ECSServiceAverageCPUUtilization" + ("HighResolution" if high_resolution else "")
    return {
        "TargetValue": float(target),
        "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
        "ScaleOutCooldown": out_seconds,
        "ScaleInCooldown": in_seconds,
    }


def load(path: pathlib.Path) -> Candidate:
    """What a JSON file holds; named after it. Raises problems.Invalid."""
    return parse(read(path), path.stem, str(path))


def read(path: pathlib.Path) -> Any:
    """The JSON of a file. Raises problems.Invalid."""
    text = scenario.read_text(path, POLICY_BYTES_MAX)
    try:
        return json.loads(text)
    except json.JSONDecodeError as problem:
        raise problems.Invalid(f"this is no JSON: {problem.msg}", file=str(path), line=problem.lineno) from None


def parse(given: Any, name: str, file: str = "") -> Candidate:
    """A candidate from JSON that was read already. Raises problems.Invalid."""
    try:
        return _parse(as_set(given), name)
    except ValueError as problem:
        raise problems.Invalid(str(problem), file=file or name) from None


def as_set(value: Any) -> dict[str, Any]:
    """What a file may hold, as an object of `SET_FIELDS`. Raises ValueError."""
    if not isinstance(value, dict | list):
        raise ValueError("an object is needed, or a list of them")
    given: dict[str, Any] = {"Policies": value} if isinstance(value, list) else value
    beside = {options.FIELD: given[options.FIELD]} if options.FIELD in given else {}
    given = {key: one for key, one in given.items() if key not in beside}
    if "ScalingPolicies" in given:
        given = {"Policies": given["ScalingPolicies"]}
    if "TargetValue" in given:
        given = {"TargetTrackingScalingPolicyConfiguration": given}
    if any(key.endswith("PolicyConfiguration") for key in given):
        given = {"Policies": [given]}
    unknown = [key for key in given if key not in SET_FIELDS]
    if unknown or not any(key in given for key in ("Policies", "ScheduledActions")):
        raise ValueError(
            f"{', '.join(unknown) or 'this'} is no policy: give a target tracking configuration, the input of "
            f"put-scaling-policy, the output of describe-scaling-policies, or an object of {', '.join(SET_FIELDS)}"
        )
    return {**given, **beside}


def _parse(given: dict[str, Any], name: str) -> Candidate:
    name = str(given.get("Name", name))
    tags = options.read(given.get(options.FIELD, {}))
    policies = [_policy(one, name, place) for place, one in enumerate(_objects(given, "Policies"))]
    actions = [_without(one, (*IDENTITY, *PRINTED)) for one in _objects(given, "ScheduledActions")]
    described = [
        {key: value for key, value in one.items() if key not in PRINTED_OF_ALARMS} for one in _objects(given, "Alarms")
    ]
    alarms = [_alarm(one, {policy["PolicyName"] for policy, _ in policies}) for one in described]
    for policy, _ in policies:
        used = any(policy["PolicyName"] in one["AlarmActions"] for one in alarms)
        if "StepScalingPolicyConfiguration" in policy and not used:
            raise ValueError(
                f"the step policy {policy['PolicyName']} would never act: give an alarm in Alarms, "
                f"with its name in AlarmActions"
            )
    return Candidate(
        name=name,
        policies=tuple(policy for policy, _ in policies),
        scheduled_actions=tuple(actions),
        alarms=tuple(alarms),
        written={
            "Policies": [_named(one, name, place) for place, one in enumerate(_objects(given, "Policies"))],
            "ScheduledActions": actions,
            "Alarms": [
                {**one, "AlarmActions": acting["AlarmActions"]} for one, acting in zip(described, alarms, strict=True)
            ],
            **({"Tags": options.as_records(tags)} if tags else {}),
        },
        tags=tags,
        min_capacity=_count(given, "MinCapacity"),
        max_capacity=_count(given, "MaxCapacity"),
        notes=(*(note for _, note in policies if note), *options.note(tags)),
    )


def _objects(given: dict[str, Any], field: str) -> list[dict[str, Any]]:
    found = given.get(field, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ValueError(f"{field} must be a list of objects")
    return found


def _count(given: dict[str, Any], field: str) -> int | None:
    found = given.get(field)
    if found is not None and (not isinstance(found, int) or not 0 <= found <= scenario.TASKS_MAX):
        raise ValueError(f"{field} must be a whole number from 0 to {scenario.TASKS_MAX}")
    return found


def _without(given: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    if given.get("ServiceNamespace", "ecs") != "ecs":
        raise ValueError(f"ServiceNamespace {given['ServiceNamespace']} is not simulated: only ecs is")
    return {key: value for key, value in given.items() if key not in fields}


def _policy(given: dict[str, Any], name: str, place: int) -> tuple[dict[str, Any], str]:
    """A policy as PutScalingPolicy takes it, and what to say about it."""
    policy = _named(given, name, place)
    tracked = policy.get("TargetTrackingScalingPolicyConfiguration")
    note = ""
    if isinstance(tracked, dict):
        tracked, note = _tracked(tracked)
        policy["TargetTrackingScalingPolicyConfiguration"] = tracked
    foresees = policy.get("PredictiveScalingPolicyConfiguration")
    if isinstance(foresees, dict):
        policy["PredictiveScalingPolicyConfiguration"], note = _foreseen(foresees)
    return policy, note


def _named(given: dict[str, Any], name: str, place: int) -> dict[str, Any]:
    """A policy with its name and kind, without the identity of its target."""
    policy = _without(given, (*IDENTITY, *PRINTED))
    kinds = [key for key in policy if key.endswith("PolicyConfiguration")]
    if len(kinds) != 1:
        raise ValueError("a policy needs exactly one …PolicyConfiguration")
    named = {"PolicyName": name if place == 0 else f"{name}-{place + 1}"}
    return {**named, "PolicyType": kinds[0].removesuffix("PolicyConfiguration"), **policy}


def _tracked(given: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """A configuration whose metrics the simulated service has."""
    predefined = given.get("PredefinedMetricSpecification") or {}
    if predefined.get("PredefinedMetricType") == "ALBRequestCountPerTarget":
        ours = {
            "Namespace": LAB_NAMESPACE,
            "MetricName": "RequestCountPerTarget",
            "Statistic": "Sum",
            "Dimensions": list(LAB_DIMENSIONS),
        }
        rest = {key: value for key, value in given.items() if key != "PredefinedMetricSpecification"}
        return {**rest, "CustomizedMetricSpecification": ours}, BALANCER_NOTE
    custom = given.get("CustomizedMetricSpecification")
    if not isinstance(custom, dict):
        return given, ""
    return {**given, "CustomizedMetricSpecification": _measured(custom)}, ""


def _foreseen(given: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """A predictive configuration whose metrics the simulated service has."""
    specifications = [one for one in given.get("MetricSpecifications") or () if isinstance(one, dict)]
    counts_requests = "ALBRequestCount" in json.dumps(specifications)
    notes = [BALANCER_NOTE] if counts_requests else []
    if given.get("Mode", "ForecastOnly") == "ForecastOnly":
        notes.append("its mode is ForecastOnly, which never scales: take ForecastAndScale")
    return {**given, "MetricSpecifications": [_specification(one) for one in specifications]}, "; ".join(notes)


def _specification(given: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for member, value in given.items():
        name = value.get("PredefinedMetricType") if isinstance(value, dict) else None
        if name == "ALBRequestCount":
            made["CustomizedLoadMetricSpecification"] = _of_requests("RequestCount")
            made["CustomizedScalingMetricSpecification"] = _of_requests("RequestCountPerTarget")
        elif name in ("TotalALBRequestCount", "ALBRequestCountPerTarget"):
            ours = "RequestCount" if name == "TotalALBRequestCount" else "RequestCountPerTarget"
            made[member.replace("Predefined", "Customized")] = _of_requests(ours)
        elif isinstance(value, dict) and isinstance(value.get("MetricDataQueries"), list):
            made[member] = {**value, "MetricDataQueries": [_query(one) for one in value["MetricDataQueries"]]}
        else:
            made[member] = value
    return made


def _of_requests(name: str) -> dict[str, Any]:
    metric = {"Namespace": LAB_NAMESPACE, "MetricName": name, "Dimensions": list(LAB_DIMENSIONS)}
    return {"MetricDataQueries": [{"Id": "requests", "MetricStat": {"Metric": metric, "Stat": "Sum"}}]}


def _measured(given: dict[str, Any]) -> dict[str, Any]:
    """A metric, or several (`Metrics`), of the simulated service instead of the one that they were written for."""
    if isinstance(given.get("Metrics"), list):
        return {**given, "Metrics": [_query(one) for one in given["Metrics"]]}
    return {**given, "Dimensions": _dimensions(given.get("Namespace"), given.get("MetricName"))}


def _query(given: Any) -> Any:
    stat = given.get("MetricStat") if isinstance(given, dict) else None
    metric = stat.get("Metric") if isinstance(stat, dict) else None
    if not isinstance(stat, dict) or not isinstance(metric, dict):
        return given
    dimensions = _dimensions(metric.get("Namespace"), metric.get("MetricName"))
    return {**given, "MetricStat": {**stat, "Metric": {**metric, "Dimensions": dimensions}}}


def _dimensions(namespace: Any, name: Any) -> list[dict[str, str]]:
    if (namespace, name) not in KNOWN_METRICS:
        known = ", ".join(f"{one} {other}" for one, other in sorted(KNOWN_METRICS))
        raise ValueError(f"a simulated service has no data of the metric {namespace} {name}; it has {known}")
    return list(ECS_DIMENSIONS if namespace == "AWS/ECS" else LAB_DIMENSIONS)


def _alarm(given: dict[str, Any], policies: set[str]) -> dict[str, Any]:
    """An alarm as PutMetricAlarm takes it; its actions are names of policies."""
    actions = given.get("AlarmActions")
    if not isinstance(actions, list) or not actions:
        raise ValueError(f"the alarm {given.get('AlarmName')} has no AlarmActions: name policies there")
    names = [str(one).rpartition("policyName/")[2] for one in actions]
    missing = [one for one in names if one not in policies]
    if missing:
        raise ValueError(
            f"AlarmActions of {given.get('AlarmName')} names no policy that is given: {', '.join(missing)}"
        )
    return {**_measured(given), "AlarmActions": names}
