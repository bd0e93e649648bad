"""The alarms that target tracking owns, in the hands of users: deleted, edited, needed (behaviour.md 1.3.2)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from scaling_world import CONTROLLERS, KEY, World

from roadstead.model import alarms, scaling, tables

POLICY = f"{KEY}|cpu"
CUSTOMIZED = {"MetricName": "Load", "Namespace": "Test", "Statistic": "Average"}


def put(world: World, **more: Any) -> list[str]:
    """A policy that tracks the load at 50; the names of its alarms, the high one first."""
    configuration = {"TargetValue": 50.0, "CustomizedMetricSpecification": CUSTOMIZED, **more}
    answer = world.ask(
        "PutScalingPolicy",
        PolicyName="cpu",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=configuration,
    )
    return [alarm["AlarmName"] for alarm in answer["Alarms"]]


def specs(world: World, names: list[str]) -> list[alarms.AlarmSpec]:
    return [world.get(alarms.MetricAlarm, name).spec for name in names]


def created(world: World, name: str) -> list[str]:
    """What happened to an alarm's configuration, oldest first."""
    items = world.call(
        "cloudwatch", "DescribeAlarmHistory", AlarmName=name, HistoryItemType="ConfigurationUpdate",
        ScanBy="TimestampAscending",
    )["AlarmHistoryItems"]  # fmt: skip
    return [item["HistorySummary"].rsplit(maxsplit=1)[1] for item in items]


def test_deleted_alarms_are_put_back_as_they_were(world: World) -> None:
    names = put(world)
    before = specs(world, names)
    world.minute(50)
    world.call("cloudwatch", "DeleteAlarms", AlarmNames=names)
    assert specs(world, names) == before
    assert world.get(alarms.MetricAlarm, names[0]).created_at == world.now
    for name in names:
        assert created(world, name) == ["created", "deleted", "created"]


def test_an_alarm_that_was_put_back_scales(world: World) -> None:
    names = put(world, ScaleOutCooldown=0)
    for _ in range(3):
        world.minute(80)
    assert world.desired == 16
    world.call("cloudwatch", "DeleteAlarms", AlarmNames=[names[0]])
    assert world.minute(80) == 26


def test_a_shorter_wait_for_scaling_in_is_remembered(world: World) -> None:
    names = put(world)
    policy = world.get(scaling.ScalingPolicy, POLICY)
    world.put(msgspec.structs.replace(policy, scale_in_datapoints=3))  # as a server so set would have put it
    world.call("cloudwatch", "DeleteAlarms", AlarmNames=names)
    assert [spec.evaluation_periods for spec in specs(world, names)] == [3, 3]


def test_a_policy_that_never_scales_in_has_no_low_alarm_afterwards_either(world: World) -> None:
    (high,) = put(world, DisableScaleIn=True)
    world.call("cloudwatch", "DeleteAlarms", AlarmNames=[high])
    assert [alarm.name for alarm in world.store.view().find(tables.ALARMS, "listing", "all")] == [high]


def test_what_is_missing_after_a_start_is_put_back(world: World) -> None:
    """As where an alarm was deleted by an earlier version, which did not repair."""
    names = put(world)
    restored = specs(world, names)
    world.controllers = ()
    world.restart()
    world.call("cloudwatch", "DeleteAlarms", AlarmNames=names)
    assert world.get(alarms.MetricAlarm, names[0]) is None
    world.controllers = CONTROLLERS
    world.restart()
    assert specs(world, names) == restored


@pytest.mark.rule("1.3.2#user")
def test_an_edited_alarm_stays_edited(world: World) -> None:
    """AWS advises against it, and allows it."""
    high, _ = put(world)
    action = world.get(alarms.MetricAlarm, high).spec.alarm_actions[0]
    world.put_alarm(high, action, Threshold=70, EvaluationPeriods=1)
    world.restart()
    (spec,) = specs(world, [high])
    assert (spec.threshold, spec.evaluation_periods) == (70.0, 1)


def test_the_alarms_go_with_their_policy_even_from_a_composite_alarm(world: World) -> None:
    names = put(world)
    world.call("cloudwatch", "PutCompositeAlarm", AlarmName="busy", AlarmRule=f'NOT OK("{names[0]}")')
    world.pass_minute()
    world.ask("DeleteScalingPolicy", PolicyName="cpu")
    for name in names:
        assert world.get(alarms.MetricAlarm, name) is None
        assert created(world, name) == ["created", "deleted"]
    assert world.get(alarms.CompositeAlarm, "busy").observed.state == "ALARM"


@pytest.mark.parametrize("kind", ["PutCompositeAlarm", "PutMetricAlarm"])
def test_a_name_that_somebody_took_meanwhile_is_left_alone(world: World, kind: str) -> None:
    high, low = put(world)
    world.controllers = ()
    world.restart()
    world.call("cloudwatch", "DeleteAlarms", AlarmNames=[high, low])
    if kind == "PutCompositeAlarm":
        world.call("cloudwatch", kind, AlarmName=high, AlarmRule="FALSE")
    else:
        world.put_alarm(high, "", AlarmActions=[])
    world.controllers = CONTROLLERS
    world.restart()
    assert world.get(alarms.MetricAlarm, low) is not None
    found = world.get(alarms.CompositeAlarm if kind == "PutCompositeAlarm" else alarms.MetricAlarm, high)
    assert found.spec.alarm_actions == ()
