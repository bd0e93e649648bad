"""A service with so many hours of history, and a predictive policy on it: for stories."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import scaling_world

from roadstead.model import predictive
from roadstead.signals import ecs_metrics, metrics
from roadstead.state import plan

HOUR = 3600
DAY = 24 * HOUR
START = 1_700_006_400.0 - 1_700_006_400 % DAY + 14 * DAY
"""Midnight, UTC."""
CPU = ecs_metrics.metric("CPUUtilization", "default", "web")
Load = Callable[[float], float]


def flat(_: float) -> float:
    """600 % at all times: ten tasks at a target of 60 %."""
    return 600.0


def daily(moment: float) -> float:
    """Between 200 % at night and 1000 % at 14:00."""
    angle = 2 * math.pi * (moment % DAY / DAY - 14 / 24)
    return 600.0 + 400.0 * math.cos(angle)


def measure(world: scaling_world.World, load: Load, begin: float, end: float, tasks: int = 10) -> None:
    """What the service's tasks used together, each minute: three samples of each."""
    data = []
    moment = begin
    while moment < end:
        each = load(moment) / tasks
        data.append(
            metrics.Datum(
                metric=CPU,
                timestamp=moment,
                values=(each,),
                counts=(3.0 * tasks,),
                unit="Percent",
            )
        )
        moment += 60
    world.store.commit(plan.Plan(data=tuple(data)), world.now)


def make(
    load: Load = flat, hours: float = 72, *, desired: int = 10, minimum: int = 1, maximum: int = 100, at: float = START
) -> scaling_world.World:
    """A service with so many hours of history, at `at`."""
    world = scaling_world.World(desired=desired, minimum=minimum, maximum=maximum, start=at)
    measure(world, load, at - hours * HOUR, at)
    return world


def put(world: scaling_world.World, name: str = "foresee", target: float = 60.0, **more: Any) -> dict[str, Any]:
    """PutScalingPolicy: the CPU pair, in the mode ForecastAndScale."""
    pair = {"PredefinedMetricPairSpecification": {"PredefinedMetricType": "ECSServiceCPUUtilization"}}
    specification = {"TargetValue": target, **more.pop("metrics", pair)}
    given = {"MetricSpecifications": [specification], "Mode": "ForecastAndScale", **more}
    return world.ask(
        "PutScalingPolicy",
        PolicyName=name,
        PolicyType="PredictiveScaling",
        PredictiveScalingPolicyConfiguration=given,
    )


def forecast(world: scaling_world.World, name: str = "foresee") -> predictive.Forecast:
    found = world.get(predictive.Forecast, f"{scaling_world.KEY}|{name}")
    assert isinstance(found, predictive.Forecast)
    return found


def changes(world: scaling_world.World) -> list[tuple[int | None, int | None]]:
    """(from, to) of every change of the desired count, oldest first."""
    return [(one.from_count, one.to_count) for one in reversed(world.told) if one.to_count is not None]


def track(world: scaling_world.World, target: float = 50.0) -> None:
    """Target tracking on Test/Load."""
    metric = {"Namespace": "Test", "MetricName": "Load", "Statistic": "Average"}
    configuration = {"TargetValue": target, "CustomizedMetricSpecification": metric, "ScaleInCooldown": 0}
    world.ask(
        "PutScalingPolicy",
        PolicyName="track",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=configuration,
    )
