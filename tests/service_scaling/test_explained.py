"""`roadstead explain service`: what it says of policies that the user's own alarms invoke."""

from __future__ import annotations

from typing import Any

from scaling_world import World

from roadstead.api.explain import reasons, service


def explained(world: World) -> list[reasons.Reason]:
    return list(service.explain(world.store.view(), world.service, world.now).reasons)


def policy_of(world: World) -> reasons.Reason:
    (found,) = (one for one in explained(world) if one.code == "POLICY")
    return found


def test_a_step_policy_is_explained_with_its_steps_alarms_and_cooldown(world: World) -> None:
    steps: list[dict[str, Any]] = [
        {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 20, "ScalingAdjustment": 10},
        {"MetricIntervalLowerBound": 20, "ScalingAdjustment": 30},
    ]
    configuration = {"AdjustmentType": "PercentChangeInCapacity", "StepAdjustments": steps}
    arn = world.ask(
        "PutScalingPolicy", PolicyName="out", PolicyType="StepScaling", StepScalingPolicyConfiguration=configuration
    )["PolicyARN"]
    policy = policy_of(world)
    assert policy.text == "policy out: PercentChangeInCapacity of the average: 0..20: +10 %, 20..+inf: +30 %"
    assert [one.code for one in policy.reasons] == ["ALARM_MISSING"]
    world.put_alarm("mine", arn)
    world.minute(75)
    alarm, cooldown = policy_of(world).reasons
    assert alarm.text.startswith("alarm mine ALARM 1 of 1: Threshold Crossed: 1 datapoint [75.0 ")
    assert (cooldown.code, cooldown.counts) == ("COOLDOWN", {"seconds": 300.0})
    (decisions,) = (one for one in explained(world) if one.code == "DECISIONS")
    assert decisions.reasons[0].text.endswith("75 - 50 = 25 is in [20, +inf): 10 + 30 % = 13")
    assert decisions.reasons[0].counts["threshold"] == 50.0
