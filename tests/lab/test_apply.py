"""What is proposed can be applied: commands that the AWS CLI itself understands, and Terraform."""

from __future__ import annotations

import re
import shlex
from typing import Any

import msgspec
import pytest
from botocore import session as botocore_session
from lab_scenarios import made

from roadstead.lab import apply, policies, results, run

STEP = {
    "Name": "steps",
    "Policies": [
        {
            "PolicyName": "out",
            "PolicyType": "StepScaling",
            "StepScalingPolicyConfiguration": {
                "AdjustmentType": "ChangeInCapacity",
                "StepAdjustments": [{"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 2}],
            },
        }
    ],
    "Alarms": [
        {
            "AlarmName": "busy",
            "Namespace": "AWS/ECS",
            "MetricName": "CPUUtilization",
            "Statistic": "Average",
            "Period": 60,
            "EvaluationPeriods": 2,
            "Threshold": 70.0,
            "ComparisonOperator": "GreaterThanThreshold",
            "AlarmActions": ["out"],
        }
    ],
    "ScheduledActions": [
        {
            "ScheduledActionName": "morning",
            "Schedule": "cron(0 8 * * ? *)",
            "ScalableTargetAction": {"MinCapacity": 5},
        }
    ],
}
ALB = {
    "TargetValue": 1800.0,
    "PredefinedMetricSpecification": {"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": "app/x"},
}


@pytest.fixture(scope="module")
def one() -> results.Run:
    """A run, whose policies the stories replace."""
    return run.run(made("- constant: {rate: 60}", "duration: 20m\n"), [], fixed=[3]).runs[0]


def wearing(one: results.Run, given: Any) -> results.Run:
    candidate = policies.parse(given, "policy")
    return msgspec.structs.replace(one, fixed=None, given=candidate.written, min_capacity=2, max_capacity=9)


def commands(text: str) -> list[list[str]]:
    joined = text.replace("\\\n", " ")
    joined = re.sub(r"^\w+=\$\((.*)\)$", r"\1", joined, flags=re.MULTILINE)
    return [words for line in joined.splitlines() if (words := shlex.split(line)) and words[0] == "aws"]


def members(service: str, operation: str) -> set[str]:
    model = botocore_session.Session().get_service_model(service).operation_model(operation)
    return {"--" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower() for name in model.input_shape.members}


def test_the_commands_have_options_that_the_aws_cli_knows(one: results.Run) -> None:
    found = commands(apply.aws_cli(wearing(one, STEP)))
    assert [words[2] for words in found] == [
        "register-scalable-target",
        "put-scaling-policy",
        "put-scheduled-action",
        "put-metric-alarm",
    ]
    for words in found:
        operation = "".join(part.title() for part in words[2].split("-"))
        options = {word for word in words[3:] if word.startswith("--")} - {"--query", "--output"}
        assert options <= members(words[1], operation)


def test_an_alarm_gets_the_arn_of_its_policy(one: results.Run) -> None:
    text = apply.aws_cli(wearing(one, STEP))
    assert "POLICY_OUT=$(aws application-autoscaling put-scaling-policy" in text
    assert '--alarm-actions "$POLICY_OUT"' in text


def test_what_is_applied_has_the_metric_that_it_was_written_for(one: results.Run) -> None:
    for text in (apply.aws_cli(wearing(one, ALB)), apply.terraform(wearing(one, ALB))):
        assert "ALBRequestCountPerTarget" in text
        assert policies.LAB_NAMESPACE not in text


def test_terraform(one: results.Run) -> None:
    text = apply.terraform(wearing(one, STEP))
    assert text.count("{") == text.count("}")
    assert "  min_capacity       = 2\n  max_capacity       = 9\n" in text
    assert 'resource "aws_appautoscaling_policy" "out" {' in text
    assert (
        "    step_adjustment {\n      metric_interval_lower_bound = 0.0\n      scaling_adjustment = 2\n    }\n" in text
    )
    assert 'resource "aws_appautoscaling_scheduled_action" "morning" {' in text
    assert '  name = "morning"\n  schedule = "cron(0 8 * * ? *)"\n' in text
    assert '  alarm_name = "busy"\n' in text and "  alarm_actions = [aws_appautoscaling_policy.out.arn]\n" in text


def test_a_fixed_count_is_the_services_desired_count(one: results.Run) -> None:
    assert commands(apply.aws_cli(one)) == [
        ["aws", "ecs", "update-service", "--cluster", "$CLUSTER", "--service", "$SERVICE", "--desired-count", "3"]
    ]
    assert "desired_count = 3" in apply.terraform(one)
