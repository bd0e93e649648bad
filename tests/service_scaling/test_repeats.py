"""CloudWatch repeats scaling actions while an alarm lasts: from PutMetricAlarm to the service's count (2.6.4)."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from scaling_world import LOAD, START, World

from roadstead.model import alarms
from roadstead.signals import metrics
from roadstead.state import plan

STEPS = {
    "AdjustmentType": "ChangeInCapacity",
    "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
}
FORCE = {"AlarmName": "mine", "StateValue": "ALARM", "StateReason": "test"}


def wire(world: World, *, cooldown: int = 0, **alarm: Any) -> None:
    """A step policy `out` that adds a task, and a user's alarm `mine` that carries its ARN."""
    answer = world.ask(
        "PutScalingPolicy",
        PolicyName="out",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration={**STEPS, "Cooldown": cooldown},
    )
    world.put_alarm("mine", answer["PolicyARN"], **alarm)


def load(world: World, value: float, seconds: int) -> None:
    """The load has that value from the last minutes on, for so long: a high-resolution metric, each 10 s."""
    data = [
        metrics.Datum(metric=LOAD, timestamp=at, values=(value,), unit="None", storage_resolution_seconds=1)
        for at in range(int(world.now) - 600, int(world.now) + seconds, 10)
    ]
    world.store.commit(plan.Plan(data=tuple(data)), world.now)


def state(world: World) -> str:
    found: str = world.get(alarms.MetricAlarm, "mine").observed.state
    return found


def scaled_at(world: World) -> list[float]:
    """When the count rose, in seconds since the start."""
    return [one.started_at - START for one in reversed(world.told) if not one.not_scaled]


@pytest.mark.parametrize(
    ("period", "moments"),
    [
        (10, [0, 60, 120, 180]),
        (20, [0, 20, 40, 60, 80, 100, 120, 140, 160, 180]),
        (60, [0, 60, 120, 180]),
        (300, [0, 60, 120, 180]),
    ],
)
@pytest.mark.rule("1.4#repeat")
def test_a_step_policy_is_invoked_again_and_again_while_its_alarm_lasts(
    world: World, period: int, moments: list[float]
) -> None:
    load(world, 80, 180)
    wire(world, Period=period)
    world.run(START + 190)
    assert scaled_at(world) == moments
    assert world.desired == 10 + len(moments)


def test_each_repeat_counts_with_the_value_of_its_moment_and_the_last_ends_with_the_alarm(world: World) -> None:
    wire(world)
    assert [world.minute(value) for value in (80, 60, 50, 49, 80)] == [11, 12, 13, 13, 14]
    formulas = [one.numbers.formula for one in reversed(world.told)]
    assert [(formula or "").partition(" is in")[0] for formula in formulas] == [
        "80 - 50 = 30",
        "60 - 50 = 10",
        "50 - 50 = 0",
        "80 - 50 = 30",
    ]


def test_a_cooldown_lets_only_some_of_the_repeats_through(world: World) -> None:
    load(world, 80, 600)
    wire(world, cooldown=150)
    world.run(START + 550)
    assert scaled_at(world) == [0, 180, 360, 540]


def test_a_state_that_was_set_is_repeated_until_the_alarm_is_evaluated(world: World) -> None:
    """A window of more than a day is evaluated on the hour only: until then the alarm is as SetAlarmState left it."""
    world.run(START + 1800)
    wire(world, Period=3600, EvaluationPeriods=25, TreatMissingData="notBreaching")
    assert (world.desired, state(world)) == (10, "OK")
    world.call("cloudwatch", "SetAlarmState", **FORCE, StateReasonData=json.dumps({"recentDatapoints": [80]}))
    set_at, whole_hour = world.now, (world.now // 3600 + 1) * 3600
    world.run(whole_hour + 120)
    assert state(world) == "OK"
    moments = [START + at for at in scaled_at(world)]
    assert moments[0] == set_at
    assert moments[-1] < whole_hour <= moments[-1] + 60
    assert {later - earlier for earlier, later in itertools.pairwise(moments[1:])} == {60.0}


def test_setting_the_state_that_it_has_scales_no_sooner(world: World) -> None:
    load(world, 80, 600)
    wire(world, cooldown=0)
    world.run(START + 30)
    world.call("cloudwatch", "SetAlarmState", **FORCE)
    world.run(START + 70)
    assert scaled_at(world) == [0, 60]


def test_a_state_that_was_set_against_the_data_scales_once(world: World) -> None:
    load(world, 20, 600)
    wire(world)
    world.run(START + 30)
    world.call("cloudwatch", "SetAlarmState", **FORCE, StateReasonData=json.dumps({"recentDatapoints": [80]}))
    world.run(START + 300)
    assert (scaled_at(world), state(world)) == ([30], "OK")


def test_actions_that_are_switched_off_and_on_again_go_on(world: World) -> None:
    load(world, 80, 600)
    wire(world)
    world.run(START + 70)
    world.call("cloudwatch", "DisableAlarmActions", AlarmNames=["mine"])
    world.run(START + 200)
    assert scaled_at(world) == [0, 60]
    world.call("cloudwatch", "EnableAlarmActions", AlarmNames=["mine"])
    world.run(START + 250)
    assert scaled_at(world) == [0, 60, 200, 240]


@pytest.mark.parametrize("down_seconds", [0, 40, 400])
def test_a_restart_adds_no_repeat_and_makes_up_for_one_at_most(world: World, down_seconds: int) -> None:
    load(world, 80, 1200)
    wire(world)
    world.run(START + 90)
    world.restart(down_seconds)
    world.run(START + 550)
    back = 90 + down_seconds
    made_up = [back] if down_seconds >= 30 else []
    on_time = [at for at in range(0, 550, 60) if at < 90 or at > back]
    assert scaled_at(world) == sorted([*on_time, *made_up])
