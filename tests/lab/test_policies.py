"""What may be tried: files as the AWS CLI takes and prints them."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from roadstead.lab import policies, problems

CPU = {
    "TargetValue": 60.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
}
PUT = {"PolicyName": "cpu", "PolicyType": "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration": CPU}
STEP = {
    "PolicyName": "out",
    "PolicyType": "StepScaling",
    "StepScalingPolicyConfiguration": {
        "AdjustmentType": "ChangeInCapacity",
        "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 2}],
    },
}
ALARM = {
    "AlarmName": "busy",
    "Namespace": "AWS/ECS",
    "MetricName": "CPUUtilization",
    "Dimensions": [{"Name": "ClusterName", "Value": "live"}, {"Name": "ServiceName", "Value": "shop"}],
    "AlarmActions": ["arn:aws:autoscaling:us-east-1:1:scalingPolicy:x:resource/ecs/service/live/shop:policyName/out"],
    "Period": 20,
}


def test_a_bare_configuration_is_named_after_its_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "cpu60.json"
    path.write_text(json.dumps(CPU))
    found = policies.load(path)
    assert (found.name, found.policies) == ("cpu60", ({**PUT, "PolicyName": "cpu60"},))
    assert found.written == {"Policies": [{**PUT, "PolicyName": "cpu60"}], "ScheduledActions": [], "Alarms": []}


def test_what_describe_scaling_policies_printed() -> None:
    printed = {
        **PUT,
        "PolicyARN": "arn:x",
        "ServiceNamespace": "ecs",
        "ResourceId": "service/live/shop",
        "ScalableDimension": "ecs:service:DesiredCount",
        "Alarms": [{"AlarmName": "a", "AlarmARN": "b"}],
        "CreationTime": "2026-11-22T10:00:00Z",
    }
    assert policies.parse({"ScalingPolicies": [printed]}, "live").policies == (PUT,)


def test_a_set_of_several_with_alarms_and_bounds() -> None:
    found = policies.parse(
        {"Name": "both", "Policies": [PUT, STEP], "Alarms": [ALARM], "MinCapacity": 3, "MaxCapacity": 9}, "file"
    )
    assert (found.name, found.min_capacity, found.max_capacity) == ("both", 3, 9)
    alarm = found.alarms[0]
    assert alarm["AlarmActions"] == ["out"]
    assert alarm["Dimensions"] == list(policies.ECS_DIMENSIONS)
    assert policies.high_resolution(found.policies, found.alarms) == ["CPUUtilization"]


def test_requests_per_target_are_counted_by_the_lab() -> None:
    given = {
        "TargetValue": 1000.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": "app/x"},
    }
    found = policies.parse(given, "alb")
    custom = found.policies[0]["TargetTrackingScalingPolicyConfiguration"]["CustomizedMetricSpecification"]
    assert (custom["Namespace"], custom["MetricName"], custom["Statistic"]) == (
        policies.LAB_NAMESPACE,
        "RequestCountPerTarget",
        "Sum",
    )
    assert found.uses_lab_metrics
    assert "load balancer" in found.notes[0]


@pytest.mark.parametrize(
    "given, told",
    [
        (3, "an object is needed"),
        ({}, "this is no policy"),
        ({"Target": 60}, "Target is no policy"),
        ({"Policies": 3}, "Policies must be a list"),
        ([STEP], "the step policy out would never act"),
        ({"Policies": [PUT], "Alarms": [ALARM]}, "AlarmActions of busy names no policy that is given: out"),
        ({"Policies": [PUT], "MaxCapacity": "9"}, "MaxCapacity must be a whole number"),
        ([{**PUT, "ServiceNamespace": "dynamodb"}], "dynamodb is not simulated"),
        ([{"PolicyName": "x", "PolicyType": "StepScaling"}], "exactly one …PolicyConfiguration"),
        (
            {"TargetValue": 3, "CustomizedMetricSpecification": {"Namespace": "Shop", "MetricName": "Queue"}},
            "no data of the metric Shop Queue; it has AWS/ECS CPUUtilization",
        ),
    ],
)
def test_what_is_no_policy(given: Any, told: str) -> None:
    with pytest.raises(problems.Invalid) as caught:
        policies.parse(given, "p.json")
    assert told in str(caught.value)


def test_broken_json_is_told_with_its_line(tmp_path: pathlib.Path) -> None:
    (tmp_path / "p.json").write_text('{\n"TargetValue": 3\n"x"')
    with pytest.raises(problems.Invalid, match=r"p\.json:3: this is no JSON"):
        policies.load(tmp_path / "p.json")
