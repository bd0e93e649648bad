"""Step scaling as users wire it: PutScalingPolicy, then PutMetricAlarm with the policy's ARN (behaviour.md 1.4)."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from scaling_world import KEY, START, World

from roadstead.control import service_scaling
from roadstead.model import alarms, scaling

OUT = [
    {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 10, "ScalingAdjustment": 0},
    {"MetricIntervalLowerBound": 10, "MetricIntervalUpperBound": 20, "ScalingAdjustment": 10},
    {"MetricIntervalLowerBound": 20, "ScalingAdjustment": 30},
]
IN = [
    {"MetricIntervalLowerBound": -10, "MetricIntervalUpperBound": 0, "ScalingAdjustment": 0},
    {"MetricIntervalLowerBound": -20, "MetricIntervalUpperBound": -10, "ScalingAdjustment": -10},
    {"MetricIntervalUpperBound": -20, "ScalingAdjustment": -30},
]
PERCENT = "PercentChangeInCapacity"
BY_COUNT = "ChangeInCapacity"
ALWAYS = [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 2}]
LESS = {"ComparisonOperator": "LessThanOrEqualToThreshold"}


def put(world: World, name: str, steps: list[dict[str, Any]], kind: str = BY_COUNT, **more: Any) -> str:
    """PutScalingPolicy; the policy's ARN."""
    answer = world.ask(
        "PutScalingPolicy",
        PolicyName=name,
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration={"AdjustmentType": kind, "StepAdjustments": steps, **more},
    )
    assert answer["Alarms"] == [], "its alarms are the user's (behaviour.md 1.2.5)"
    arn: str = answer["PolicyARN"]
    return arn


def wire(world: World, name: str, steps: list[dict[str, Any]], alarm: dict[str, Any] | None = None, **more: Any) -> str:
    """A policy, and an alarm of the same name that invokes it."""
    arn = put(world, name, steps, **more)
    world.put_alarm(f"{name}-alarm", arn, **(alarm or {}))
    return arn


def shown(world: World, name: str) -> dict[str, Any]:
    (found,) = world.call(
        "application-autoscaling", "DescribeScalingPolicies", ServiceNamespace="ecs", PolicyNames=[name]
    )["ScalingPolicies"]
    policy: dict[str, Any] = found
    return policy


@pytest.mark.rule("1.4#example", "1.4#1")
def test_aws_worked_example_from_metric_to_count(world: World) -> None:
    """Threshold 50: 60 → 11, 70 → 14, 40 → 13, 30 → 10 (AAS-STEP)."""
    wire(world, "out", OUT, kind=PERCENT, Cooldown=0)
    wire(world, "in", IN, LESS, kind=PERCENT, Cooldown=0)
    assert [world.minute(value) for value in (55, 60, 50.5, 70, 45, 40, 49, 30)] == [10, 11, 11, 14, 14, 13, 13, 10]
    changes = [one for one in world.told if not one.not_scaled][::-1]
    assert [one.numbers.formula for one in changes] == [
        "60 - 50 = 10 is in [10, 20): 10 + 10 % = 11",
        "70 - 50 = 20 is in [20, +inf): 11 + 30 % = 14",
        "40 - 50 = -10 is in (-20, -10]: 14 - 10 % = 13",
        "30 - 50 = -20 is in (-inf, -20]: 13 - 30 % = 10",
    ]
    assert changes[0].cause == "monitor alarm out-alarm in state ALARM triggered policy out"
    assert changes[0].description == "Setting desired count to 11."
    assert changes[0].status == "Successful"


@pytest.mark.rule("1.4#nothing")
def test_a_step_of_0_leaves_the_count_and_says_so(world: World) -> None:
    wire(world, "out", OUT, kind=PERCENT)
    assert world.minute(55) == 10
    assert world.told[0].not_scaled == (scaling.NotScaledReason(code="AlreadyAtDesiredCapacity", current_capacity=10),)


@pytest.mark.rule("1.4#repeat")
def test_the_alarm_goes_on_scaling_after_each_cooldown(world: World) -> None:
    """CloudWatch repeats the action every minute while in ALARM (behaviour.md 2.6.4)."""
    wire(world, "out", ALWAYS, Cooldown=180)
    assert [world.minute(90) for _ in range(8)] == [12, 12, 12, 14, 14, 14, 16, 16]
    assert [world.minute(10) for _ in range(5)] == [16, 16, 16, 16, 16]


@pytest.mark.rule("1.4#escalation")
def test_a_greater_step_within_the_cooldown_adds_only_the_rest(world: World) -> None:
    """Escalation: +2 ran; +3 adds 1 more (AAS-STEP), once."""
    steps = [
        {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 20, "ScalingAdjustment": 2},
        {"MetricIntervalLowerBound": 20, "ScalingAdjustment": 3},
    ]
    wire(world, "out", steps)
    assert [world.minute(value) for value in (60, 60, 80, 80, 60)] == [12, 12, 13, 13, 13]


@pytest.mark.rule("1.4#cooldown")
def test_a_scale_in_waits_for_its_cooldown_and_a_scale_out_does_not(world: World) -> None:
    wire(world, "out", ALWAYS, Cooldown=300)
    steps = [{"MetricIntervalUpperBound": 0, "ScalingAdjustment": -1}]
    wire(world, "in", steps, {**LESS, "Threshold": 20}, Cooldown=300)
    assert [world.minute(value) for value in (10, 10, 10, 90, 10, 10)] == [9, 9, 9, 11, 10, 10], (
        "the scale-out ended the scale-in cooldown"
    )


@pytest.mark.rule("1.4#magnitude")
def test_minimum_magnitude() -> None:
    """C = 4, +25 % = 1, magnitude 2 → +2 (AAS-API)."""
    world = World(desired=4)
    steps = [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 25}]
    wire(world, "out", steps, kind=PERCENT, MinAdjustmentMagnitude=2)
    assert world.minute(60) == 6


@pytest.mark.rule("1.4#change")
def test_exact_capacity(world: World) -> None:
    steps = [
        {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 20, "ScalingAdjustment": 12},
        {"MetricIntervalLowerBound": 20, "ScalingAdjustment": 25},
        {"MetricIntervalUpperBound": 0, "ScalingAdjustment": 3},
    ]
    arn = wire(world, "exact", steps, kind="ExactCapacity", Cooldown=0)
    world.put_alarm("low", arn, Threshold=20, **LESS)
    assert [world.minute(value) for value in (60, 80, 55, 10)] == [12, 25, 12, 3]


@pytest.mark.parametrize(("aggregation", "expected"), [("Average", 12), ("Minimum", 11), ("Maximum", 13)])
@pytest.mark.rule("1.4#aggregation")
def test_metric_aggregation_type(world: World, aggregation: str, expected: int) -> None:
    """Over the data points that the alarm evaluated, not older ones."""
    steps = [
        {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 10, "ScalingAdjustment": 1},
        {"MetricIntervalLowerBound": 10, "MetricIntervalUpperBound": 20, "ScalingAdjustment": 2},
        {"MetricIntervalLowerBound": 20, "ScalingAdjustment": 3},
    ]
    wire(world, "out", steps, {"EvaluationPeriods": 3}, MetricAggregationType=aggregation)
    assert [world.minute(value) for value in (40, 40, 55, 61, 75)] == [10, 10, 10, 10, expected]


def test_ok_and_insufficient_data_actions_may_carry_the_policy(world: World) -> None:
    """`OKActions` invokes it with the value that ended the alarm; without data no step can be chosen."""
    steps = [{"MetricIntervalUpperBound": 0, "ScalingAdjustment": -1}]
    arn = put(world, "in", steps)
    world.put_alarm("mine", arn, AlarmActions=[], OKActions=[arn], InsufficientDataActions=[arn])
    assert world.minute() == 10, "in INSUFFICIENT_DATA from the start"
    assert [world.minute(value) for value in (60, 40, 40)] == [10, 9, 9]
    assert world.told[0].cause == "monitor alarm mine in state OK triggered policy in"


def test_actions_that_are_disabled_invoke_nothing(world: World) -> None:
    wire(world, "out", ALWAYS, {"ActionsEnabled": False})
    assert [world.minute(90) for _ in range(3)] == [10, 10, 10]
    assert world.told == []
    world.call("cloudwatch", "EnableAlarmActions", AlarmNames=["out-alarm"])
    assert world.minute(90) == 12


@pytest.mark.rule("1.4#set alarm state")
def test_set_alarm_state_invokes_the_policy_with_the_data_it_is_told(world: World) -> None:
    wire(world, "out", ALWAYS)
    force = {"AlarmName": "out-alarm", "StateValue": "ALARM", "StateReason": "test"}
    world.call("cloudwatch", "SetAlarmState", **force)
    assert (world.desired, world.told) == (10, []), "no data: no step (behaviour.md 1.4)"
    world.now += 60
    world.settle()
    told = json.dumps({"recentDatapoints": [10, 70]})
    world.call("cloudwatch", "SetAlarmState", **force, StateReasonData=told)
    assert world.desired == 12


@pytest.mark.rule("1.4#two alarms")
def test_two_alarms_of_one_policy_each_count_with_their_own_threshold(world: World) -> None:
    arn = wire(world, "out", OUT, {"Threshold": 100}, kind=PERCENT, Cooldown=0)
    world.put_alarm("other", arn, Threshold=80)
    assert [world.minute(value) for value in (95, 115)] == [11, 14]
    assert [one.cause.split()[2] for one in world.told] == ["other", "other"], "at 115 it is 15 and 35 above"


@pytest.mark.rule("1.2#7")
def test_several_policies_at_once_the_largest_capacity_wins(world: World) -> None:
    """Current 10, +3 and +200 %: 30 (behaviour.md 1.2.7)."""
    world.follows = False
    three = [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 3}]
    double = [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 200}]
    wire(world, "a", three)
    wire(world, "b", double, kind=PERCENT)
    assert world.minute(60) == 30
    assert [one.to_count for one in world.told] == [30], "not by way of 13"


def test_of_out_and_in_at_the_same_moment_only_out_happens(world: World) -> None:
    """Whichever alarm is evaluated first; and the wait for the others doesn't lengthen a cooldown."""
    wire(world, "a-out", ALWAYS, Cooldown=120)
    wire(world, "b-in", [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": -5}], Cooldown=0)
    wire(world, "z-out", ALWAYS, {"Threshold": 90}, Cooldown=120)
    assert [world.minute(60), world.minute(60), world.minute(60)] == [12, 7, 9]
    assert [one.to_count for one in world.told] == [9, 7, 12]
    world.pass_minute()
    world.measure(60)
    world.settle()
    assert world.desired == 9, "others may ask yet"
    world.restart(down_seconds=service_scaling.MOMENT_SECONDS)
    assert world.desired == 4, "what was asked is a record's"


@pytest.mark.rule("1.2#8")
def test_a_step_scale_in_is_not_blocked_by_target_tracking(world: World) -> None:
    """behaviour.md 1.2.8: the vote is target tracking's own."""
    metric = {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}
    world.ask(
        "PutScalingPolicy",
        PolicyName="cpu",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={"TargetValue": 50, "PredefinedMetricSpecification": metric},
    )
    wire(world, "in", [{"MetricIntervalUpperBound": 0, "ScalingAdjustment": -4}], LESS)
    assert world.minute(10) == 6
    assert world.told[0].policy_name == "in"


@pytest.mark.rule("1.1#7", "1.1#8", "1.2#13", "1.4#bounds")
def test_bounds_and_counts_outside_them() -> None:
    """behaviour.md 1.1.7, 1.1.8, 1.2.13."""
    world = World(desired=5, minimum=3, maximum=8)
    wire(world, "out", ALWAYS, Cooldown=0)
    wire(world, "in", [{"MetricIntervalUpperBound": 0, "ScalingAdjustment": -2}], {**LESS, "Threshold": 20}, Cooldown=0)
    assert [world.minute(value) for value in (60, 60, 60)] == [7, 8, 8]
    assert world.told[0].not_scaled == (scaling.NotScaledReason(code="AlreadyAtMaxCapacity", max_capacity=8),)
    world.set_desired(1)
    assert world.minute(10) == 1, "below the minimum, scaling in does nothing"
    assert world.told[0].not_scaled == (scaling.NotScaledReason(code="AlreadyAtMinCapacity", min_capacity=3),)
    assert world.minute(60) == 5, "first to the minimum, then out"
    world.set_desired(20)
    assert world.minute(60) == 20
    assert world.minute(10) == 6, "first to the maximum, then in"


@pytest.mark.rule("1.2#11")
def test_a_deployment_blocks_scaling_in_only(world: World) -> None:
    """behaviour.md 1.2.11."""
    rolling = msgspec.structs.replace(world.service.primary, rollout_state="IN_PROGRESS")
    world.put(msgspec.structs.replace(world.service, deployments=(rolling,)))
    wire(world, "out", ALWAYS)
    wire(world, "in", [{"MetricIntervalUpperBound": 0, "ScalingAdjustment": -2}], {**LESS, "Threshold": 20})
    assert world.minute(10) == 10
    assert world.told[0].not_scaled == (scaling.NotScaledReason(code="TargetServicePutResourceAsUnscalable"),)
    assert world.minute(60) == 12


@pytest.mark.rule("1.1.1#out", "1.1.1#silence", "1.1.1#resume")
def test_a_suspended_direction_says_nothing_and_resumes(world: World) -> None:
    """behaviour.md 1.1.1."""
    wire(world, "out", ALWAYS)
    world.ask("RegisterScalableTarget", SuspendedState={"DynamicScalingOutSuspended": True})
    assert [world.minute(60) for _ in range(2)] == [10, 10]
    assert world.told == []
    world.ask("RegisterScalableTarget", SuspendedState={"DynamicScalingOutSuspended": False})
    assert world.minute(60) == 12


def test_a_restart_changes_no_decision(world: World) -> None:
    wire(world, "out", ALWAYS, Cooldown=180)
    assert world.minute(90) == 12
    for expected in (12, 12, 14):
        world.restart()
        assert world.desired == (14 if expected == 14 and world.now == START + 240 else 12)
        assert world.minute(90) == expected


@pytest.mark.rule("1.2#4", "1.2#5", "1.2#6", "1.4#configuration")
def test_the_policy_names_its_alarms_and_leaves_them_when_it_is_deleted(world: World) -> None:
    """behaviour.md 1.2.5, 1.2.6."""
    arn = wire(world, "out", OUT, kind=PERCENT, MinAdjustmentMagnitude=1)
    other = put(world, "other", ALWAYS)
    world.put_alarm("by-ok", other, OKActions=[arn], AlarmActions=[arn, other])
    policy = shown(world, "out")
    assert policy["PolicyType"] == "StepScaling"
    assert [one["AlarmName"] for one in policy["Alarms"]] == ["by-ok", "out-alarm"]
    assert policy["StepScalingPolicyConfiguration"] == {
        "AdjustmentType": PERCENT,
        "StepAdjustments": OUT,
        "MinAdjustmentMagnitude": 1,
        "Cooldown": 300,
    }
    world.ask("DeleteScalingPolicy", PolicyName="out")
    kept = {name: world.get(alarms.MetricAlarm, name).spec for name in ("by-ok", "out-alarm")}
    assert (kept["by-ok"].alarm_actions, kept["by-ok"].ok_actions) == ((other,), ())
    assert kept["out-alarm"].every_action == ()
    assert [one["AlarmName"] for one in shown(world, "other")["Alarms"]] == ["by-ok"]
    world.ask("DeregisterScalableTarget")
    assert world.get(alarms.MetricAlarm, "by-ok").spec.every_action == ()


@pytest.mark.rule("1.2#2")
def test_an_update_changes_what_it_names_and_keeps_the_cooldown(world: World) -> None:
    arn = wire(world, "out", ALWAYS, Cooldown=120, MetricAggregationType="Maximum")
    assert world.minute(60) == 12
    configuration = {"StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}]}
    answer = world.ask("PutScalingPolicy", PolicyName="out", StepScalingPolicyConfiguration=configuration)
    assert answer["PolicyARN"] == arn
    found = shown(world, "out")["StepScalingPolicyConfiguration"]
    assert (found["AdjustmentType"], found["Cooldown"], found["MetricAggregationType"]) == (BY_COUNT, 120, "Maximum")
    assert [world.minute(60) for _ in range(2)] == [12, 13]


def test_a_policy_may_become_one_of_the_other_kind(world: World) -> None:
    put(world, "p", ALWAYS)
    configuration = {
        "TargetValue": 50,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
    }
    answer = world.ask(
        "PutScalingPolicy",
        PolicyName="p",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=configuration,
    )
    assert len(answer["Alarms"]) == 2
    put(world, "p", ALWAYS)
    assert [world.get(alarms.MetricAlarm, one["AlarmName"]) for one in answer["Alarms"]] == [None, None]
    assert world.get(scaling.ScalingPolicy, f"{KEY}|p").target_tracking is None


def interval(lower: float | None, upper: float | None, adjustment: int = 1) -> dict[str, Any]:
    bounds = {"MetricIntervalLowerBound": lower, "MetricIntervalUpperBound": upper, "ScalingAdjustment": adjustment}
    return {name: value for name, value in bounds.items() if value is not None}


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([], "At least one step adjustment"),
        ([interval(None, None)], "MetricIntervalLowerBound and MetricIntervalUpperBound must not both be absent"),
        ([interval(0, 10), interval(5, None)], "The intervals of the step adjustments must not overlap"),
        ([interval(0, 10), interval(11, None)], "There must not be a gap"),
        ([interval(None, -10), interval(0, None)], "There must not be a gap"),
        ([interval(None, 0), interval(None, 5)], "At most one step adjustment can be without a MetricIntervalLower"),
        ([interval(0, None), interval(5, None)], "At most one step adjustment can be without a MetricIntervalUpper"),
        ([interval(-5, 0)], "With a negative MetricIntervalLowerBound"),
        ([interval(0, 5)], "With a positive MetricIntervalUpperBound"),
        ([interval(5, 5), interval(5, None)], "MetricIntervalUpperBound must be greater"),
    ],
)
@pytest.mark.rule("1.4#2", "1.4#3", "1.4#4", "1.4#5")
def test_rules_1_to_5_of_the_intervals(world: World, steps: list[dict[str, Any]], text: str) -> None:
    configuration = {"AdjustmentType": BY_COUNT, "StepAdjustments": steps}
    code, said = world.refused(
        "PutScalingPolicy", PolicyName="p", PolicyType="StepScaling", StepScalingPolicyConfiguration=configuration
    )
    assert (code, said[: len(text)]) == ("ValidationException", text)


@pytest.mark.parametrize(
    ("configuration", "code", "text"),
    [
        (None, "ValidationException", "StepScalingPolicyConfiguration is required"),
        ({"StepAdjustments": ALWAYS}, "ValidationException", "AdjustmentType is required"),
        ({"AdjustmentType": BY_COUNT, "Cooldown": -1}, "ValidationException", "Cooldown must not be negative"),
        (
            {"AdjustmentType": BY_COUNT, "MinAdjustmentMagnitude": 1},
            "ValidationException",
            "MinAdjustmentMagnitude can",
        ),
        (
            {"AdjustmentType": PERCENT, "MinAdjustmentMagnitude": 0},
            "ValidationException",
            "MinAdjustmentMagnitude must",
        ),
        (
            {"AdjustmentType": "ExactCapacity", "StepAdjustments": [interval(0, None, -1)]},
            "ValidationException",
            "ScalingAdjustment must not be negative",
        ),
        (
            {
                "AdjustmentType": BY_COUNT,
                "StepAdjustments": [interval(n, n + 1) for n in range(20)] + [interval(20, None)],
            },
            "LimitExceededException",
            "A step scaling policy can have at most 20",
        ),
    ],
)
@pytest.mark.rule("1.4#configuration", "1.4#6", "1.8#steps", "1.1.2#limit")
def test_what_a_step_policy_may_not_be(world: World, configuration: Any, code: str, text: str) -> None:
    params = {}
    if configuration is not None:
        params = {"StepScalingPolicyConfiguration": {"StepAdjustments": ALWAYS, **configuration}}
    found, said = world.refused("PutScalingPolicy", PolicyName="p", PolicyType="StepScaling", **params)
    assert (found, said[: len(text)]) == (code, text)


def test_one_kind_has_no_configuration_of_another(world: World) -> None:
    steps = {"AdjustmentType": BY_COUNT, "StepAdjustments": ALWAYS}
    tracking = {"TargetValue": 50}
    for kind, mine, others in (
        ("StepScaling", {"StepScalingPolicyConfiguration": steps}, "TargetTrackingScalingPolicyConfiguration"),
        (
            "TargetTrackingScaling",
            {"TargetTrackingScalingPolicyConfiguration": tracking},
            "StepScalingPolicyConfiguration",
        ),
    ):
        extra = {others: tracking if kind == "StepScaling" else steps}
        code, said = world.refused("PutScalingPolicy", PolicyName="p", PolicyType=kind, **mine, **extra)
        assert (code, said) == ("ValidationException", f"{others} can not be specified for {kind} policies.")
