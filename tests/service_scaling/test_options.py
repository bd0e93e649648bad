"""Options of target tracking beyond AWS (decision 0023): alarms, steps, the way to zero; without them, AWS's way."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest
import scaling_world
from hypothesis import given, settings
from hypothesis import strategies as st

from roadstead.api.application_autoscaling import options
from roadstead.api.explain import service as service_reasons
from roadstead.control import scaling_temper
from roadstead.control import service_scaling_formula as formula
from roadstead.model import alarms, scaling

CUSTOM = {"Namespace": "Test", "MetricName": "Load", "Statistic": "Average"}
NO_COOLDOWN = {"ScaleOutCooldown": 0, "ScaleInCooldown": 0}
INVALID = "ValidationException"


def _put(world: scaling_world.World, name: str = "load", **more: Any) -> Any:
    tracking = {"TargetValue": 50.0, "CustomizedMetricSpecification": CUSTOM, **NO_COOLDOWN, **more}
    return world.ask(
        "PutScalingPolicy",
        PolicyName=name,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=tracking,
    )


def _arn(world: scaling_world.World) -> str:
    answer = world.call("application-autoscaling", "DescribeScalableTargets", ServiceNamespace="ecs")
    return str(answer["ScalableTargets"][0]["ScalableTargetARN"])


def _tag(world: scaling_world.World, **options: str) -> None:
    tags = {f"roadstead:{name.replace('_', '-')}": value for name, value in options.items()}
    world.call("application-autoscaling", "TagResource", ResourceARN=_arn(world), Tags=tags)


def _pair(world: scaling_world.World) -> tuple[alarms.AlarmSpec, alarms.AlarmSpec]:
    """The specs of the high and the low alarm of the one policy."""
    (policy,) = world.ask("DescribeScalingPolicies")["ScalingPolicies"]
    high, low = (world.get(alarms.MetricAlarm, one["AlarmName"]).spec for one in policy["Alarms"])
    return high, low


def _shape(spec: alarms.AlarmSpec) -> tuple[int, int, int | None, float]:
    return spec.period_seconds, spec.evaluation_periods, spec.datapoints_to_alarm, spec.threshold


# -- alarms


def test_without_options_the_alarms_are_aws_own(world: scaling_world.World) -> None:
    _put(world)
    assert [_shape(spec) for spec in _pair(world)] == [(60, 3, None, 50.0), (60, 15, None, 45.0)]


def test_options_shape_the_alarms_and_their_removal_gives_aws_own_back(world: scaling_world.World) -> None:
    _put(world)
    (before,) = world.ask("DescribeScalingPolicies")["ScalingPolicies"]
    _tag(
        world,
        scale_out_datapoints="2/5",
        scale_in_datapoints="4",
        scale_out_period_seconds="10",
        scale_in_period_seconds="120",
        scale_in_threshold_percent="70",
    )
    assert [_shape(spec) for spec in _pair(world)] == [(10, 5, 2, 50.0), (120, 4, None, 35.0)]
    (after,) = world.ask("DescribeScalingPolicies")["ScalingPolicies"]
    assert after["Alarms"] == before["Alarms"]  # by their names they are the same
    keys = [f"roadstead:scale-{way}-{what}" for way in ("in", "out") for what in ("datapoints", "period-seconds")]
    world.call("application-autoscaling", "UntagResource", ResourceARN=_arn(world), TagKeys=keys)
    assert [_shape(spec) for spec in _pair(world)] == [(60, 3, None, 50.0), (60, 15, None, 35.0)]


def test_tags_given_with_the_target_hold_for_policies_that_are_put_later() -> None:
    world = scaling_world.World()
    world.ask("DeregisterScalableTarget")
    tags = {"roadstead:scale-out-datapoints": "1", "roadstead:scale-out-datapoints:other": "2"}
    world.ask("RegisterScalableTarget", MinCapacity=1, MaxCapacity=100, Tags=tags)
    _put(world)
    assert _shape(_pair(world)[0])[1] == 1
    assert world.minute(60.0) == 12  # after one data point


def test_an_option_for_one_policy_goes_before_that_for_all(world: scaling_world.World) -> None:
    _put(world)
    tags = {"roadstead:scale-out-datapoints": "5", "roadstead:scale-out-datapoints:load": "2"}
    world.call("application-autoscaling", "TagResource", ResourceARN=_arn(world), Tags=tags)
    assert _shape(_pair(world)[0])[1] == 2


def test_a_policy_that_is_put_again_keeps_the_options(world: scaling_world.World) -> None:
    _put(world)
    _tag(world, scale_in_datapoints="4")
    _put(world, TargetValue=60.0)
    assert _shape(_pair(world)[1]) == (60, 4, None, 54.0)


def test_an_alarm_that_an_option_does_not_concern_keeps_what_users_edited(world: scaling_world.World) -> None:
    _put(world)
    high, _ = _pair(world)
    (policy,) = world.ask("DescribeScalingPolicies")["ScalingPolicies"]
    name = policy["Alarms"][0]["AlarmName"]
    world.put_alarm(name, high.alarm_actions[0], Threshold=51)
    _tag(world, scale_in_datapoints="4", scale_out_step_max="1")
    assert _pair(world)[0].threshold == 51


def test_a_deleted_alarm_comes_back_with_the_options(world: scaling_world.World) -> None:
    _put(world)
    _tag(world, scale_in_datapoints="4")
    (policy,) = world.ask("DescribeScalingPolicies")["ScalingPolicies"]
    world.call("cloudwatch", "DeleteAlarms", AlarmNames=[one["AlarmName"] for one in policy["Alarms"]])
    world.pass_minute()
    world.answer()
    assert _shape(_pair(world)[1])[1] == 4


# -- refusals


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("scale-out-speed", "2", "The tag roadstead:scale-out-speed is no option of Roadstead: there are"),
        ("scale-out-step-max", "0", "a whole number from 1 to 1000000 is needed"),
        ("scale-out-step-max", "two", "a whole number from 1 to 1000000 is needed"),
        ("scale-out-step-max", "²", "a whole number from 1 to 1000000 is needed"),
        ("scale-in-gain-percent", "101", "a whole number from 1 to 100 is needed"),
        ("scale-in-threshold-percent", "100", "a whole number from 1 to 99 is needed"),
        ("scale-in-datapoints", "3/2", "more data points than periods can't be"),
        ("scale-in-datapoints", "1/2/3", "a whole number from 1 to 1440 is needed"),
        ("scale-in-period-seconds", "45", "a period is 10, 20, 30 or a multiple of 60 seconds"),
        ("scale-in-period-seconds", "3600", ""),
        ("scale-in-datapoints", "1440", ""),
        ("scale-out-step-max:load", "", "a whole number from 1 to 1000000 is needed"),
    ],
)
def test_what_can_not_be_is_refused(world: scaling_world.World, name: str, value: str, told: str) -> None:
    _put(world)
    tags = {f"roadstead:{name}": value}
    if not told:
        world.call("application-autoscaling", "TagResource", ResourceARN=_arn(world), Tags=tags)
        return
    code, text = _refused(world, tags)
    assert code == INVALID
    assert told in text


def _refused(world: scaling_world.World, tags: dict[str, str]) -> tuple[str, str]:
    return world.refused_of("application-autoscaling", "TagResource", ResourceARN=_arn(world), Tags=tags)


def test_a_window_of_more_than_a_day_is_refused(world: scaling_world.World) -> None:
    _put(world)
    code, text = _refused(world, {"roadstead:scale-in-period-seconds": "3600", "roadstead:scale-in-datapoints": "25"})
    assert (code, text) == (
        INVALID, "An alarm of load would look back 90000 s: at most 86400 s are possible."
    )  # fmt: skip


def test_periods_that_a_metric_has_no_data_for_are_refused(world: scaling_world.World) -> None:
    cpu = {
        "TargetValue": 50.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
    }
    put = {"PolicyName": "cpu", "PolicyType": "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration": cpu}
    _tag(world, scale_out_period_seconds="20")
    assert world.refused("PutScalingPolicy", **put)[1] == (
        "ECSServiceAverageCPUUtilization of cpu has a data point every 60 s: alarm periods are multiples of that."
    )
    _tag(world, scale_out_period_seconds="120")
    world.ask("PutScalingPolicy", **put)
    assert _pair(world)[0].period_seconds == 120


def test_the_periods_of_metric_math_can_not_be_changed(world: scaling_world.World) -> None:
    metric = {"Namespace": "Test", "MetricName": "Load"}
    queries = [
        {"Id": "a", "MetricStat": {"Metric": metric, "Stat": "Sum"}, "ReturnData": False},
        {"Id": "b", "Expression": "a / 2", "ReturnData": True},
    ]
    _put(world, CustomizedMetricSpecification={"Metrics": queries})
    assert _refused(world, {"roadstead:scale-out-period-seconds": "120"}) == (
        INVALID, "The periods of load stand in its Metrics: no option can change them."
    )  # fmt: skip
    _tag(world, scale_out_datapoints="1")
    assert _pair(world)[0].evaluation_periods == 1


def test_an_option_for_a_step_policy_is_refused(world: scaling_world.World) -> None:
    steps = {
        "AdjustmentType": "ChangeInCapacity",
        "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
    }
    put = {"PolicyName": "steps", "PolicyType": "StepScaling", "StepScalingPolicyConfiguration": steps}
    world.ask("PutScalingPolicy", **put)
    told = (INVALID, "The tag roadstead:scale-out-step-max:steps is for target tracking policies, and steps is none.")
    assert _refused(world, {"roadstead:scale-out-step-max:steps": "1"}) == told
    _tag(world, **{"scale_out_step_max:later": "1"})
    assert world.refused("PutScalingPolicy", **{**put, "PolicyName": "later"})[0] == INVALID


# -- steps


@pytest.mark.parametrize(
    ("running", "proposed", "options", "tempered"),
    [
        (4, 8, {}, 8),
        (4, 8, {"scale_out_step_max": 2}, 6),
        (4, 8, {"scale_out_gain_percent": 50}, 6),
        (4, 5, {"scale_out_gain_percent": 50}, 5),
        (4, 8, {"scale_out_gain_percent": 200}, 12),
        (4, 8, {"scale_out_gain_percent": 200, "scale_out_step_max": 3}, 7),
        (8, 4, {"scale_in_step_max": 1}, 7),
        (8, 4, {"scale_in_gain_percent": 50}, 6),
        (8, 7, {"scale_in_gain_percent": 10}, 7),
        (8, 4, {"scale_out_step_max": 1, "scale_out_gain_percent": 50}, 4),
        (0, 1, {"scale_out_gain_percent": 500}, 1),
    ],
)
def test_steps_are_tempered(running: int, proposed: int, options: dict[str, int], tempered: int) -> None:
    assert scaling_temper.tempered(running, proposed, scaling.TrackingOptions(**options)) == tempered


COUNTS = st.integers(0, 10_000)
LIMITS = st.none() | st.integers(1, 100)


@given(COUNTS, COUNTS, st.integers(1, 1000), st.integers(1, 100), LIMITS, LIMITS)
def test_a_tempered_step_goes_the_asked_way_by_one_at_least_and_not_beyond_its_limit(
    running: int, proposed: int, gain_out: int, gain_in: int, most_out: int | None, most_in: int | None
) -> None:
    options = scaling.TrackingOptions(
        scale_out_gain_percent=gain_out,
        scale_in_gain_percent=gain_in,
        scale_out_step_max=most_out,
        scale_in_step_max=most_in,
    )
    found = scaling_temper.tempered(running, proposed, options)
    if proposed > running:
        assert found > running
        assert running == 0 or most_out is None or found - running <= most_out
        assert gain_out > 100 or found <= proposed
    elif proposed < running:
        assert proposed <= found < running
        assert most_in is None or running - found <= most_in
    else:
        assert found == running


@given(COUNTS, COUNTS)
def test_without_options_nothing_is_tempered(running: int, proposed: int) -> None:
    assert scaling_temper.tempered(running, proposed, scaling.TrackingOptions()) == proposed


def test_step_limits_hold_in_both_directions_and_are_told(world: scaling_world.World) -> None:
    _put(world)
    _tag(world, scale_out_step_max="2", scale_in_step_max="3", scale_in_datapoints="3")
    assert [world.minute(90.0) for _ in range(4)] == [10, 10, 12, 14]
    assert world.told[-1].numbers.formula == "ceil(10 × 90 / 50) = 18, tempered to 12"
    assert [world.minute(5.0) for _ in range(4)] == [14, 14, 11, 8]


def test_bounds_go_before_step_limits(world: scaling_world.World) -> None:
    _put(world)
    _tag(world, scale_out_step_max="1")
    world.ask("RegisterScalableTarget", MinCapacity=15)
    assert world.desired == 15


# -- to zero


def _sleepy(seconds: int) -> scaling_world.World:
    world = scaling_world.World(desired=3, minimum=0)
    _put(world)
    _tag(world, scale_in_datapoints="3", scale_to_zero_after_seconds=str(seconds))
    return world


def test_without_the_option_zero_comes_with_the_low_alarm() -> None:
    assert _minutes(_sleepy(0), 0.0, 3) == [3, 3, 0]


def _minutes(world: scaling_world.World, load: float, count: int) -> list[int]:
    return [world.minute(load) for _ in range(count)]


def test_the_last_task_stays_for_the_idle_time() -> None:
    world = _sleepy(300)
    assert _minutes(world, 0.0, 9) == [3, 3, 1, 1, 1, 1, 1, 0, 0]
    held, gone = [one for one in reversed(world.told) if not one.not_scaled]
    assert held.numbers.formula == "ceil(3 × 0 / 50) = 0, held at 1 until it has been so for 300 s"
    assert gone.numbers.formula == "ceil(1 × 0 / 50) = 0"


def test_the_idle_time_begins_anew_after_load() -> None:
    world = _sleepy(300)
    _minutes(world, 0.0, 6)
    assert world.minute(50.0) == 1  # the low alarm is OK again
    assert _minutes(world, 0.0, 8) == [1] * 7 + [0]


def test_a_restart_does_not_lengthen_the_idle_time() -> None:
    world = _sleepy(300)
    _minutes(world, 0.0, 5)
    world.restart()
    assert _minutes(world, 0.0, 3) == [1, 1, 0]


def test_a_held_policy_does_not_hold_above_a_maximum_of_zero() -> None:
    world = _sleepy(86_400)
    world.ask("RegisterScalableTarget", MaxCapacity=0)
    assert world.desired == 0


def test_zero_is_asked_for_by_no_load_alone() -> None:
    low = formula.Signal(alarm="low", value=0.001, in_alarm=True, fired=True)
    assert not formula.asks_for_zero(low, 50.0)
    for value in (0.0, -1.0, 1e-9):
        assert formula.asks_for_zero(formula.Signal(alarm="l", value=value, in_alarm=True, fired=True), 50.0)
    assert not formula.asks_for_zero(formula.Signal(alarm="l", value=0.0, in_alarm=False, fired=False), 50.0)


LOADS = st.lists(st.sampled_from([0.0, 10.0, 49.0, 51.0, 120.0, 400.0]), min_size=5, max_size=40)


@settings(max_examples=30, deadline=None)
@given(LOADS, st.integers(1, 5), st.integers(1, 5), st.sampled_from([0, 120, 600]))
def test_any_load_keeps_the_limits_and_the_idle_time(
    loads: list[float], most_out: int, most_in: int, idle_seconds: int
) -> None:
    world = scaling_world.World(desired=4, minimum=0)
    _put(world)
    limits = {"scale_out_step_max": str(most_out), "scale_in_step_max": str(most_in)}
    _tag(world, **limits, scale_in_datapoints="2", scale_to_zero_after_seconds=str(idle_seconds))
    loaded_at = world.now
    for load in loads:
        before, was = world.desired, world.running
        after = world.minute(load)
        loaded_at = world.now if load > 0.0 else loaded_at
        assert after - before <= most_out
        assert was - after <= most_in
        if before and not after:
            assert world.now - loaded_at >= idle_seconds


# -- told


def test_options_are_explained_and_those_for_nobody_too(world: scaling_world.World) -> None:
    _put(world)
    tags = {"roadstead:scale-out-datapoints": "2/3", "roadstead:scale-in-step-max:typo": "1", "team": "a"}
    world.call("application-autoscaling", "TagResource", ResourceARN=_arn(world), Tags=tags)
    answer = service_reasons.explain(world.store.view(), world.service, world.now)
    (policy,) = [one for one in answer.reasons if one.code == "POLICY"]
    assert [one.text for one in policy.reasons if one.code == "OPTIONS"] == ["options: scale-out-datapoints 2/3"]
    (unused,) = [one.text for one in answer.reasons if one.code == "OPTION_UNUSED"]
    assert unused == "the tag roadstead:scale-in-step-max:typo does nothing: there is no policy typo"


def test_the_decision_names_every_option() -> None:
    text = (pathlib.Path(__file__).parents[2] / "docs/decisions/0023-options-as-tags.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(scale-[a-z-]+)`", row.split("|")[1])}
    assert named == set(options.KNOWN)
    fields = {name.replace("_", "-") for name in scaling.TrackingOptions.__struct_fields__}
    assert fields == set(options.KNOWN)
