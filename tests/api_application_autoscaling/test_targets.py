"""Scalable targets (behaviour.md 1.1)."""

from __future__ import annotations

from typing import Any

import pytest

from roadstead.base import errors
from roadstead.model import alarms, scaling, tables

KEY = "ecs|service/default/web|ecs:service:DesiredCount"
NOT_REGISTERED = (
    "ObjectNotFoundException",
    "No scalable target registered for service namespace: ecs, resource ID: service/default/web, "
    "scalable dimension: ecs:service:DesiredCount",
)
INVALID = "ValidationException"


@pytest.mark.rule("1.1#1", "1.1#4", "1.1#9", "1.1#10")
def test_a_target_is_registered_and_described(world: Any) -> None:
    made = world.on_web("RegisterScalableTarget", MinCapacity=0, MaxCapacity=10, Tags={"team": "web"})
    assert made["ScalableTargetARN"].startswith(
        "arn:aws:application-autoscaling:us-east-1:123456789012:scalable-target/"
    )
    (shown,) = world.call("DescribeScalableTargets", ServiceNamespace="ecs")["ScalableTargets"]
    assert shown.pop("CreationTime").timestamp() == 1000.0
    assert shown == {
        "ServiceNamespace": "ecs",
        "ResourceId": "service/default/web",
        "ScalableDimension": "ecs:service:DesiredCount",
        "MinCapacity": 0,
        "MaxCapacity": 10,
        "RoleARN": "arn:aws:iam::123456789012:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/"
        "AWSServiceRoleForApplicationAutoScaling_ECSService",
        "SuspendedState": {
            "DynamicScalingInSuspended": False,
            "DynamicScalingOutSuspended": False,
            "ScheduledScalingSuspended": False,
        },
        "ScalableTargetARN": made["ScalableTargetARN"],
    }


@pytest.mark.rule("1.1#3")
def test_registering_again_changes_only_what_is_given_and_asks_for_the_bounds(registered: Any) -> None:
    before = registered.get(scaling.ScalableTarget, KEY)
    assert before.enforce_bounds_at == 1000.0
    registered.now = 2000.0
    registered.on_web("RegisterScalableTarget", MaxCapacity=20, SuspendedState={"DynamicScalingInSuspended": True})
    registered.on_web("RegisterScalableTarget", SuspendedState={"ScheduledScalingSuspended": True})
    after = registered.get(scaling.ScalableTarget, KEY)
    assert (after.min_capacity, after.max_capacity, after.target_id) == (1, 20, before.target_id)
    assert after.suspended == scaling.SuspendedState(dynamic_scaling_in=True, scheduled_scaling=True)
    assert (after.created_at, after.enforce_bounds_at) == (1000.0, 2000.0)


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({}, "MinCapacity and MaxCapacity are required when a scalable target is registered."),
        ({"MinCapacity": 1}, "MinCapacity and MaxCapacity are required when a scalable target is registered."),
        ({"MinCapacity": 3, "MaxCapacity": 2}, "Maximum capacity cannot be less than minimum capacity."),
        ({"MinCapacity": -1, "MaxCapacity": 2}, "Minimum capacity can not be less than 0."),
        (
            {"MinCapacity": 1, "MaxCapacity": 2, "ResourceId": "service/default/none"},
            "ECS service doesn't exist: service/default/none",
        ),
        (
            {"MinCapacity": 1, "MaxCapacity": 2, "ResourceId": "service/web"},
            "Unsupported service namespace, resource type or scalable dimension",
        ),
        (
            {"MinCapacity": 1, "MaxCapacity": 2, "ScalableDimension": "dynamodb:table:ReadCapacityUnits"},
            "Unsupported service namespace, resource type or scalable dimension",
        ),
        (
            {"MinCapacity": 1, "MaxCapacity": 2, "ServiceNamespace": "lambda"},
            "Unsupported service namespace, resource type or scalable dimension",
        ),
    ],
)
@pytest.mark.rule("1.1#3", "1.1.2#unknown service", "1.1.2#unsupported mix", "1.1.2#min above max")
def test_what_can_not_be_registered(world: Any, params: dict[str, Any], text: str) -> None:
    assert world.refused("RegisterScalableTarget", **params) == (INVALID, text)


@pytest.mark.rule("1.1#12", "1.1.2#min above max")
def test_later_bounds_are_checked_against_the_earlier(registered: Any) -> None:
    assert registered.refused("RegisterScalableTarget", MinCapacity=11)[0] == INVALID
    assert registered.refused("RegisterScalableTarget", Tags={"new": "tag"})[0] == INVALID


@pytest.mark.rule("1.1#13", "1.1.2#unknown target")
def test_deregistering_takes_policies_and_alarms_away_and_leaves_the_count(registered: Any) -> None:
    specification = {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}
    configuration = {"TargetValue": 50.0, "PredefinedMetricSpecification": specification}
    put = registered.on_web(
        "PutScalingPolicy",
        PolicyName="cpu",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=configuration,
    )
    assert registered.on_web("DeregisterScalableTarget") == {}
    assert registered.call("DescribeScalableTargets", ServiceNamespace="ecs")["ScalableTargets"] == []
    assert registered.call("DescribeScalingPolicies", ServiceNamespace="ecs")["ScalingPolicies"] == []
    for alarm in put["Alarms"]:
        assert registered.get(alarms.MetricAlarm, alarm["AlarmName"]) is None
        kept = registered.store.view().find(tables.ALARM_HISTORY, "by_alarm", "alarm", alarm["AlarmName"])
        summaries = sorted(item.summary.rpartition(" ")[2] for item in kept)
        assert summaries == ["created", "deleted"], "the history outlives the alarm"
    assert registered.refused("DeregisterScalableTarget") == NOT_REGISTERED


def test_targets_are_listed_in_pages_and_by_resource(world: Any) -> None:
    for name in ("a", "b", "c"):
        world.add_service(name)
        world.on_web("RegisterScalableTarget", ResourceId=f"service/default/{name}", MinCapacity=1, MaxCapacity=2)
    first = world.call("DescribeScalableTargets", ServiceNamespace="ecs", MaxResults=2)
    second = world.call("DescribeScalableTargets", ServiceNamespace="ecs", MaxResults=2, NextToken=first["NextToken"])
    found = [one["ResourceId"] for one in first["ScalableTargets"] + second["ScalableTargets"]]
    assert found == ["service/default/a", "service/default/b", "service/default/c"]
    assert "NextToken" not in second
    some = world.call(
        "DescribeScalableTargets",
        ServiceNamespace="ecs",
        ResourceIds=["service/default/b", "service/default/none"],
        ScalableDimension="ecs:service:DesiredCount",
    )
    assert [one["ResourceId"] for one in some["ScalableTargets"]] == ["service/default/b"]
    assert world.call("DescribeScalableTargets", ServiceNamespace="lambda")["ScalableTargets"] == []


def test_what_can_not_be_listed(world: Any) -> None:
    def refused(**params: Any) -> str:
        with pytest.raises(errors.Refusal) as caught:
            world.call("DescribeScalableTargets", ServiceNamespace="ecs", **params)
        return caught.value.code

    assert refused(MaxResults=51) == INVALID
    assert refused(MaxResults=0) == INVALID
    assert refused(NextToken="nonsense") == "InvalidNextTokenException"
    assert refused(ScalableDimension="ecs:service:DesiredCount") == INVALID
