"""Scaling from zero after one data point, and back to zero (behaviour.md 1.3.3, 1.3.5, 2.7)."""

from __future__ import annotations

from typing import Any

import pytest
import scaling_world

from roadstead.model import alarms

TRACKING = {
    "TargetValue": 100.0,
    "CustomizedMetricSpecification": {"Namespace": "Test", "MetricName": "Load", "Statistic": "Average"},
}
CPU = {
    "TargetValue": 50.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
}


def _at_zero(*policies: dict[str, Any]) -> scaling_world.World:
    """The service with no task, and target tracking policies `p0`, `p1`, …"""
    world = scaling_world.World(desired=0, minimum=0)
    for number, tracking in enumerate(policies):
        world.ask(
            "PutScalingPolicy",
            PolicyName=f"p{number}",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=tracking,
        )
    return world


@pytest.mark.rule("1.3.3#zero")
@pytest.mark.rule("1.3.3#zero")
def test_1_3_3_from_zero_one_data_point_above_the_target_is_enough() -> None:
    world = _at_zero(TRACKING)
    assert world.minute() == 0
    assert world.minute(700.0) == 1
    (told,) = world.told
    assert told.numbers.formula == "none runs, and 700 is above 100: 1"
    high = world.store.view().get(alarms.MetricAlarm, _alarms(world)[0])
    assert high is not None
    assert high.observed.state != "ALARM"
    assert told.cause == f"monitor alarm {high.name} in state {high.observed.state} triggered policy p0"


def _alarms(world: scaling_world.World) -> list[str]:
    (policy,) = world.ask("DescribeScalingPolicies")["ScalingPolicies"]
    return [one["AlarmName"] for one in policy["Alarms"]]


@pytest.mark.rule("1.3.3#zero")
@pytest.mark.parametrize("value", [0.0, 99.0, 100.0])
@pytest.mark.rule("1.3.3#zero")
def test_1_3_3_at_or_below_the_target_zero_stays(value: float) -> None:
    world = _at_zero(TRACKING)
    assert [world.minute(value) for _ in range(20)] == [0] * 20


def test_1_3_3_with_one_task_it_is_three_data_points_again() -> None:
    world = _at_zero(TRACKING)
    assert world.minute(700.0) == 1
    assert world.minute(700.0) == 1
    assert world.minute(700.0) == 7  # with the data point that woke it


def test_2_7_cpu_has_no_data_at_zero_and_wakes_nothing_but_another_metric_does() -> None:
    world = _at_zero(CPU, TRACKING)
    assert [world.minute() for _ in range(10)] == [0] * 10
    assert world.minute(101.0) == 1


def test_a_maximum_of_zero_and_a_suspension_hold_it_there() -> None:
    world = _at_zero(TRACKING)
    world.ask("RegisterScalableTarget", SuspendedState={"DynamicScalingOutSuspended": True})
    assert [world.minute(700.0) for _ in range(2)] == [0, 0]
    world.ask("RegisterScalableTarget", SuspendedState={"DynamicScalingOutSuspended": False}, MaxCapacity=0)
    assert [world.minute(700.0) for _ in range(3)] == [0, 0, 0]
    world.ask("RegisterScalableTarget", MaxCapacity=5)
    assert world.desired == 1


def test_an_alarm_without_its_action_wakes_nothing() -> None:
    world = _at_zero(TRACKING)
    world.call("cloudwatch", "DisableAlarmActions", AlarmNames=_alarms(world))
    assert [world.minute(700.0) for _ in range(5)] == [0] * 5


def test_data_from_before_zero_do_not_wake_it() -> None:
    """A user sets the count to 0 in the midst of load: what tasks measured tells nothing of the load on none."""
    world = scaling_world.World(desired=3, minimum=0)
    world.ask(
        "PutScalingPolicy",
        PolicyName="p0",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=TRACKING,
    )
    assert world.minute(150.0) == 3
    world.set_desired(0)
    assert world.minute(150.0) == 0
    assert world.minute(150.0) == 1


def test_a_restart_at_zero_decides_nothing_and_forgets_nothing() -> None:
    world = _at_zero(TRACKING)
    world.minute(50.0)
    world.restart()
    assert world.desired == 0
    assert world.minute(700.0) == 1
    world.restart()
    assert world.desired == 1


@pytest.mark.rule("1.3.5#zeros")
def test_the_whole_way_from_zero_and_back() -> None:
    world = _at_zero(TRACKING)
    counts = [world.minute(load / max(1, world.running)) for load in [0.0] * 3 + [900.0] * 12 + [0.0] * 40]
    assert counts[:3] == [0, 0, 0]
    assert counts[3] == 1
    assert max(counts) == 9
    assert counts[-1] == 0
    changes = [(one.from_count, one.to_count) for one in reversed(world.told) if not one.not_scaled]
    assert changes == [(0, 1), (1, 9), (9, 0)]
