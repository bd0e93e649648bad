"""What is proposed can be applied: commands that the AWS CLI itself understands, and Terraform."""

from __future__ import annotations

import json
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
    assert '--dimensions "Name=ClusterName,Value=$CLUSTER" "Name=ServiceName,Value=$SERVICE"' in text


def test_a_service_that_is_known_is_named(one: results.Run) -> None:
    shell = apply.aws_cli(wearing(one, STEP), ("prod", "shop"))
    terraform = apply.terraform(wearing(one, STEP), ("prod", "shop"))
    assert shell.startswith("CLUSTER=prod\nSERVICE=shop\n")
    assert '"service/prod/shop"' in terraform
    assert '= { "ClusterName" = "prod", "ServiceName" = "shop" }' in terraform


def test_what_scales_now_and_will_not_then_is_ended(one: results.Run) -> None:
    now, then = wearing(one, STEP), wearing(one, policies.cpu_tracking(70.0))
    ended = [(words[2], words[-2], words[-1]) for words in commands(apply.removal(now, then))]
    assert ended == [
        ("delete-scaling-policy", "--policy-name", "out"),
        ("delete-scheduled-action", "--scheduled-action-name", STEP["ScheduledActions"][0]["ScheduledActionName"]),
    ]
    assert apply.removal(now, now) == ""
    tags = [{"Key": "roadstead:scale-in-step-max", "Value": "1"}]
    tagged = msgspec.structs.replace(now, given={**now.given, "Tags": tags})
    (untag,) = commands(apply.removal(tagged, now))
    assert untag[2:5] == ["untag-resource", "--tag-keys", "roadstead:scale-in-step-max"]


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
        "    step_adjustment {\n      metric_interval_lower_bound = 0.0\n      scaling_adjustment          = 2\n    }\n"
        in text
    )
    assert 'resource "aws_appautoscaling_scheduled_action" "morning" {' in text
    assert '  name               = "morning"\n  schedule           = "cron(0 8 * * ? *)"\n' in text
    assert '  alarm_name          = "busy"\n' in text
    assert "  alarm_actions       = [aws_appautoscaling_policy.out.arn]\n" in text


# What the documentation of HashiCorp's provider has: attributes are None, blocks what is in them.
QUERY_DIMENSION = {"name": None, "value": None}
METRICS = {
    "expression": None, "id": None, "label": None, "return_data": None,
    "metric_stat": {
        "metric": {"dimensions": QUERY_DIMENSION, "metric_name": None, "namespace": None}, "stat": None, "unit": None,
    },
}  # fmt: skip
PREDICTIVE_QUERY = {
    "metric_data_query": {
        **METRICS,
        "metric_stat": {
            "metric": {"dimension": QUERY_DIMENSION, "metric_name": None, "namespace": None},
            "stat": None, "unit": None,
        },
    }
}  # fmt: skip
PREDEFINED = {"predefined_metric_type": None, "resource_label": None}
TARGET = dict.fromkeys(("service_namespace", "resource_id", "scalable_dimension"))
PROVIDER: dict[str, Any] = {
    "aws_appautoscaling_target": {**TARGET, "min_capacity": None, "max_capacity": None},
    "aws_appautoscaling_scheduled_action": {
        **TARGET, **dict.fromkeys(("name", "schedule", "timezone", "start_time", "end_time")),
        "scalable_target_action": {"min_capacity": None, "max_capacity": None},
    },
    "aws_cloudwatch_metric_alarm": {
        **dict.fromkeys((
            "alarm_name", "comparison_operator", "evaluation_periods", "metric_name", "namespace", "period",
            "statistic", "threshold", "threshold_metric_id", "actions_enabled", "alarm_actions", "alarm_description",
            "datapoints_to_alarm", "dimensions", "insufficient_data_actions", "ok_actions", "unit",
            "extended_statistic", "treat_missing_data", "evaluate_low_sample_count_percentiles", "tags",
        )),
        "metric_query": {
            **dict.fromkeys(("id", "account_id", "expression", "label", "period", "return_data")),
            "metric": dict.fromkeys(("dimensions", "metric_name", "namespace", "period", "stat", "unit")),
        },
    },
    "aws_appautoscaling_policy": {
        **TARGET, "name": None, "policy_type": None,
        "step_scaling_policy_configuration": {
            **dict.fromkeys(("adjustment_type", "cooldown", "metric_aggregation_type", "min_adjustment_magnitude")),
            "step_adjustment": dict.fromkeys(
                ("metric_interval_lower_bound", "metric_interval_upper_bound", "scaling_adjustment")
            ),
        },
        "target_tracking_scaling_policy_configuration": {
            **dict.fromkeys(("target_value", "disable_scale_in", "scale_in_cooldown", "scale_out_cooldown")),
            "predefined_metric_specification": PREDEFINED,
            "customized_metric_specification": {
                **dict.fromkeys(("metric_name", "namespace", "statistic", "unit")),
                "dimensions": QUERY_DIMENSION, "metrics": METRICS,
            },
        },
        "predictive_scaling_policy_configuration": {
            **dict.fromkeys(
                ("max_capacity_breach_behavior", "max_capacity_buffer", "mode", "scheduling_buffer_time")
            ),
            "metric_specification": {
                "target_value": None, "predefined_metric_pair_specification": PREDEFINED,
                "predefined_load_metric_specification": PREDEFINED,
                "predefined_scaling_metric_specification": PREDEFINED,
                "customized_load_metric_specification": PREDICTIVE_QUERY,
                "customized_scaling_metric_specification": PREDICTIVE_QUERY,
                "customized_capacity_metric_specification": PREDICTIVE_QUERY,
            },
        },
    },
}  # fmt: skip


def check_terraform(text: str) -> list[str]:
    """The kinds of the resources in it; every attribute and block is one that the provider knows."""
    kinds: list[str] = []
    open_blocks: list[dict[str, Any]] = [PROVIDER]
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if resource := re.fullmatch(r'resource "(\w+)" "(\w+)" \{', line):
            kinds.append(resource[1])
            open_blocks.append(PROVIDER[resource[1]])
        elif block := re.fullmatch(r" +(\w+) \{", line):
            below = open_blocks[-1][block[1]]
            assert isinstance(below, dict), f"{block[1]} is an attribute"
            open_blocks.append(below)
        elif line.strip() == "}":
            open_blocks.pop()
        elif attribute := re.fullmatch(r" +(\w+) += .+", line):
            assert open_blocks[-1][attribute[1]] is None, f"{attribute[1]} is a block"
        else:
            assert not line, line
    assert open_blocks == [PROVIDER], "every block is closed"
    return kinds


MATH = {"Id": "m", "ReturnData": False, "MetricStat": {"Stat": "Sum", "Metric": {
    "Namespace": "AWS/ECS", "MetricName": "CPUUtilization",
    "Dimensions": [{"Name": "ClusterName", "Value": "c"}, {"Name": "ServiceName", "Value": "s"}]}}}  # fmt: skip
EVERYTHING: dict[str, Any] = {
    "Policies": [
        STEP["Policies"][0],  # type: ignore[index]
        {"PolicyName": "alb", "TargetTrackingScalingPolicyConfiguration": {**ALB, "DisableScaleIn": True}},
        {
            "PolicyName": "math",
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": 5.0,
                "ScaleInCooldown": 60,
                "CustomizedMetricSpecification": {"Metrics": [MATH, {"Id": "e", "Expression": "m / 2", "Label": "x"}]},
            },
        },
        {
            "PolicyName": "custom",
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": 5.0,
                "CustomizedMetricSpecification": {**MATH["MetricStat"]["Metric"], "Statistic": "Average"},  # type: ignore[index]
            },
        },
        {
            "PolicyName": "ahead",
            "PredictiveScalingPolicyConfiguration": {
                "Mode": "ForecastAndScale",
                "SchedulingBufferTime": 300,
                "MaxCapacityBreachBehavior": "IncreaseMaxCapacity",
                "MaxCapacityBuffer": 10,
                "MetricSpecifications": [
                    {
                        "TargetValue": 40.0,
                        "PredefinedScalingMetricSpecification": {
                            "PredefinedMetricType": "ECSServiceAverageCPUUtilization"
                        },
                        "CustomizedLoadMetricSpecification": {"MetricDataQueries": [MATH]},
                    }
                ],
            },
        },
    ],
    "ScheduledActions": [
        {
            "ScheduledActionName": "morning",
            "Schedule": "cron(0 8 * * ? *)",
            "Timezone": "Europe/Berlin",
            "StartTime": 1_795_341_600.0,
            "EndTime": "2027-01-01T00:00:00Z",
            "ScalableTargetAction": {"MinCapacity": 5, "MaxCapacity": 9},
        }
    ],
    "Alarms": [
        {
            **STEP["Alarms"][0],  # type: ignore[dict-item]
            "TreatMissingData": "notBreaching",
            "DatapointsToAlarm": 2,
            "EvaluateLowSampleCountPercentile": "ignore",
            "Dimensions": [{"Name": "ClusterName", "Value": "c"}, {"Name": "ServiceName", "Value": "s"}],
            "Tags": [{"Key": "team", "Value": "shop"}],
        },
        {
            "AlarmName": "busy math",
            "EvaluationPeriods": 1,
            "Threshold": 3,
            "ComparisonOperator": "GreaterThanThreshold",
            "AlarmActions": ["out"],
            "Metrics": [
                {**MATH, "MetricStat": {**MATH["MetricStat"], "Period": 60}},  # type: ignore[dict-item]
                {"Id": "e", "Expression": "m * 2", "ReturnData": True},
            ],
        },
    ],
}


def test_terraform_has_the_providers_words_for_everything(one: results.Run) -> None:
    text = apply.terraform(wearing(one, EVERYTHING))
    assert check_terraform(text) == [
        "aws_appautoscaling_target", *["aws_appautoscaling_policy"] * 5, "aws_appautoscaling_scheduled_action",
        *["aws_cloudwatch_metric_alarm"] * 2,
    ]  # fmt: skip
    assert '  start_time         = "2026-11-22T10:00:00Z"\n  end_time           = "2027-01-01T00:00:00Z"\n' in text
    assert '= { "ClusterName" = "my-cluster", "ServiceName" = "my-service" }' in text
    assert re.search(r'^  tags += \{ "team" = "shop" \}$', text, re.M)


def test_metrics_of_20_seconds_are_asked_for_first(one: results.Run) -> None:
    fast = {"Policies": [{"PolicyName": "fast", "TargetTrackingScalingPolicyConfiguration": FAST}]}
    first, then = commands(apply.aws_cli(wearing(one, fast)))[:2]
    assert then[:4] == ["aws", "ecs", "wait", "services-stable"]
    assert first[:3] == ["aws", "ecs", "update-service"] and first[-2] == "--monitoring"
    assert json.loads(first[-1]) == {
        "metricConfigurations": [{"metricNames": ["CPUUtilization"], "resolutionSeconds": 20}]
    }
    assert "--monitoring" in apply.terraform(wearing(one, fast)).split("resource")[0]
    assert "monitoring" not in apply.aws_cli(wearing(one, STEP)) + apply.terraform(wearing(one, STEP))


FAST = policies.cpu_tracking(60.0, high_resolution=True)


def test_what_the_provider_does_not_know_is_seen(one: results.Run) -> None:
    text = apply.terraform(wearing(one, STEP))
    for wrong in (text.replace("step_adjustment", "steps"), text.replace("  schedule ", "  when "), text[:-3]):
        with pytest.raises((AssertionError, KeyError)):
            check_terraform(wrong)


def test_a_fixed_count_is_the_services_desired_count(one: results.Run) -> None:
    assert commands(apply.aws_cli(one)) == [
        ["aws", "ecs", "update-service", "--cluster", "$CLUSTER", "--service", "$SERVICE", "--desired-count", "3"]
    ]
    assert "desired_count = 3" in apply.terraform(one)
