"""The virtual world of one run: a service that scales, on a crowd of stand-ins, made by the calls a user would make.

Without a fleet the crowd is a few instances with room for everything; with one, `lab.fleet` adds and ends them."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from roadstead.base import errors
from roadstead.control import table
from roadstead.lab import fleet as fleets
from roadstead.lab import history, policies, problems, scenario, service_model, timings, traffic
from roadstead.sim import chance as chances
from roadstead.sim import load, world

INSTANCES = 3
"""Container instances, one a zone: with room for twice the bounds, so that placement never lacks any."""
ROOM = 2.2
SETTLE_SECONDS = 1_200.0
"""How long the first tasks may take to be steady."""
TARGET = {
    "ServiceNamespace": "ecs",
    "ResourceId": f"service/{policies.CLUSTER}/{policies.SERVICE}",
    "ScalableDimension": "ecs:service:DesiredCount",
}


def build(
    subject: scenario.Scenario,
    demand: traffic.Demand,
    candidate: policies.Candidate,
    model: service_model.Model,
    seed: int,
    past: traffic.Demand | None = None,
) -> tuple[world.World, fleets.Fleet | None]:
    """A world in which everything is set up, `warm_up` before the demand's begin at most, and its fleet, where the
    scenario has one. `past` is the traffic before, for policies that forecast. Raises problems.Invalid where the
    production API refuses a policy."""
    made = world.World(
        seed,
        table.simulated_controllers(),
        start=demand.begin - subject.warm_up,
        checks=False,
        keeps_transcript=False,
        keeps_nothing=True,
    )
    service = subject.service
    low, high = policies.bounds(subject, candidate)
    made.call("ecs", "CreateCluster", clusterName=policies.CLUSTER)
    fleet = _instances(made, subject, candidate, low, high, seed)
    made.put_load(
        load.ServiceLoad(service=policies.SERVICE, requests=demand.trace, work=service_model.work_of(service, model))
    )
    try:
        _set_up(made, subject, candidate, low, high)
        if past is not None:
            history.fill(made, subject, candidate, model, past)
        if candidate.fixed is None:
            _scale(made, candidate, low, high)
    except errors.Refusal as refusal:
        raise problems.Invalid(f"{refusal.code}: {refusal.message}", file=candidate.name) from None
    if made.now >= demand.begin:
        raise problems.Invalid("warm_up is too short: the first tasks are not steady by then")
    return made, fleet


def _instances(
    made: world.World, subject: scenario.Scenario, candidate: policies.Candidate, low: int, high: int, seed: int
) -> fleets.Fleet | None:
    """The container instances: the scenario's fleet, as large as its first tasks need it, or room for everything."""
    service, wanted = subject.service, subject.fleet
    most = max(high, candidate.fixed or 0, 1)
    cpu_units, memory_mib = (
        math.ceil(most * each * ROOM / INSTANCES) + each for each in (service.cpu_units, service.memory_mib)
    )
    crowd = made.add_crowd(
        INSTANCES if wanted is None else 0,
        cpu_units=cpu_units if wanted is None else wanted.cpu_units,
        memory_mib=memory_mib if wanted is None else wanted.memory_mib,
        start_seconds=timings.drawn(service.start_time, chances.Chance(seed, "starts")),
        stop_seconds=service.stop_time,
    )
    if wanted is None:
        return None
    try:
        first = fleets.instances_for(subject, wanted, _first_tasks(subject, candidate, low, high))
    except problems.Invalid as problem:
        raise problems.Invalid(problem.what, file=candidate.name) from None
    fleet = fleets.Fleet(made, crowd, subject, wanted, seed)
    fleet.begin(first)
    return fleet


def _first_tasks(subject: scenario.Scenario, candidate: policies.Candidate, low: int, high: int) -> int:
    if candidate.fixed is not None:
        return candidate.fixed
    return subject.tasks.initial if subject.tasks.initial is not None else max(low, min(1, high))


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
    names = policies.high_resolution(candidate.policies, candidate.alarms)
    more: dict[str, Any] = {}
    if names:
        configuration = {"metricNames": names, "resolutionSeconds": policies.HIGH_RESOLUTION_SECONDS}
        more = {"monitoring": {"metricConfigurations": [configuration]}}
    if subject.fleet is not None and subject.fleet.placement_strategy:
        more["placementStrategy"] = [
            {key: value for key, value in msgspec.structs.asdict(one).items() if value is not None}
            for one in subject.fleet.placement_strategy
        ]
    made.call(
        "ecs",
        "CreateService",
        serviceName=policies.SERVICE,
        taskDefinition=policies.SERVICE,
        desiredCount=_first_tasks(subject, candidate, low, high),
        **more,
    )
    try:
        made.converge(SETTLE_SECONDS)
    except AssertionError:
        raise problems.Invalid(
            f"start_time is too long: the first tasks are not steady after {SETTLE_SECONDS:.0f} s"
        ) from None


def _scale(made: world.World, candidate: policies.Candidate, low: int, high: int) -> None:
    scaling = "application-autoscaling"
    made.call(scaling, "RegisterScalableTarget", **TARGET, MinCapacity=low, MaxCapacity=high, Tags=candidate.tags)
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
