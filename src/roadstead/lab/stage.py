"""The virtual world of one run: a service that scales, on a crowd of stand-ins, made by the calls a user would make."""

from __future__ import annotations

import json
import math
from typing import Any

from roadstead.base import errors
from roadstead.control import table
from roadstead.lab import policies, problems, scenario, service_model, traffic
from roadstead.sim import chance as chances
from roadstead.sim import load, world

INSTANCES = 3
"""Container instances, one a zone: with room for twice the bounds, so that placement never lacks any."""
ROOM = 2.2
SETTLE_SECONDS = 1_200.0
"""How long the first tasks may take to be steady."""
START_PART_MIN = 0.1
"""No task starts faster than this part of the mean."""
TARGET = {
    "ServiceNamespace": "ecs",
    "ResourceId": f"service/{policies.CLUSTER}/{policies.SERVICE}",
    "ScalableDimension": "ecs:service:DesiredCount",
}
HIGH_RESOLUTION_SECONDS = 20


def build(
    subject: scenario.Scenario,
    demand: traffic.Demand,
    candidate: policies.Candidate,
    model: service_model.Model,
    seed: int,
) -> world.World:
    """A world in which everything is set up, `warm_up` before the demand's begin at most. Raises problems.Invalid where
    the production API refuses a policy."""
    made = world.World(
        seed,
        table.all_controllers(),
        start=demand.begin - subject.warm_up,
        checks=False,
        keeps_transcript=False,
        keeps_nothing=True,
    )
    service = subject.service
    low, high = policies.bounds(subject, candidate)
    most = max(high, candidate.fixed or 0, 1)
    chance = chances.Chance(seed, "starts")

    def start_seconds() -> float:
        mean = service.start_time.mean
        return max(mean * START_PART_MIN, mean + service.start_time.deviation * chance.normal())

    made.call("ecs", "CreateCluster", clusterName=policies.CLUSTER)
    made.add_crowd(
        INSTANCES,
        cpu_units=math.ceil(most * service.cpu_units * ROOM / INSTANCES) + service.cpu_units,
        memory_mib=math.ceil(most * service.memory_mib * ROOM / INSTANCES) + service.memory_mib,
        start_seconds=start_seconds,
        stop_seconds=service.stop_time,
    )
    made.put_load(
        load.ServiceLoad(service=policies.SERVICE, requests=demand.trace, work=service_model.work_of(service, model))
    )
    try:
        _set_up(made, subject, candidate, low, high)
    except errors.Refusal as refusal:
        raise problems.Invalid(f"{refusal.code}: {refusal.message}", file=candidate.name) from None
    if made.now >= demand.begin:
        raise problems.Invalid("warm_up is too short: the first tasks are not steady by then")
    return made


def _set_up(made: world.World, subject: scenario.Scenario, candidate: policies.Candidate, low: int, high: int) -> None:
    service = subject.service
    made.call(
        "ecs",
        "RegisterTaskDefinition",
        family=policies.SERVICE,
        cpu=str(service.cpu_units),
        memory=str(service.memory_mib),
        containerDefinitions=[{"name": "app", "image": "app"}],
    )
    names = sorted(high_resolution(candidate))
    more: dict[str, Any] = {}
    if names:
        configuration = {"metricNames": names, "resolutionSeconds": HIGH_RESOLUTION_SECONDS}
        more = {"monitoring": {"metricConfigurations": [configuration]}}
    initial = subject.tasks.initial if subject.tasks.initial is not None else max(low, min(1, high))
    made.call(
        "ecs",
        "CreateService",
        serviceName=policies.SERVICE,
        taskDefinition=policies.SERVICE,
        desiredCount=candidate.fixed if candidate.fixed is not None else initial,
        **more,
    )
    try:
        made.converge(SETTLE_SECONDS)
    except AssertionError:
        raise problems.Invalid(
            f"start_time is too long: the first tasks are not steady after {SETTLE_SECONDS:.0f} s"
        ) from None
    if candidate.fixed is None:
        _scale(made, candidate, low, high)


def _scale(made: world.World, candidate: policies.Candidate, low: int, high: int) -> None:
    scaling = "application-autoscaling"
    made.call(scaling, "RegisterScalableTarget", **TARGET, MinCapacity=low, MaxCapacity=high)
    arns = {}
    for policy in candidate.policies:
        answer = made.call(scaling, "PutScalingPolicy", **{**policy, **TARGET})
        arns[policy["PolicyName"]] = answer["PolicyARN"]
    for action in candidate.scheduled_actions:
        made.call(scaling, "PutScheduledAction", **{**action, **TARGET})
    for alarm in candidate.alarms:
        made.call(
            "cloudwatch", "PutMetricAlarm", **{**alarm, "AlarmActions": [arns[one] for one in alarm["AlarmActions"]]}
        )


def high_resolution(candidate: policies.Candidate) -> set[str]:
    """Which of ECS's metrics must come each 20 s: those of high resolution policies, and of alarms below a minute."""
    text = json.dumps(candidate.policies)
    found = {
        f"{name}Utilization"
        for name in ("CPU", "Memory")
        if f"ECSServiceAverage{name}UtilizationHighResolution" in text
    }
    for alarm in candidate.alarms:
        period = alarm.get("Period")
        if alarm.get("Namespace") == "AWS/ECS" and isinstance(period, int) and period < 60:
            found.add(alarm["MetricName"])
    return found
