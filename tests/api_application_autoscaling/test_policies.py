"""Target tracking policies and the alarms that they own (behaviour.md 1.2, 1.3)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from roadstead.api.application_autoscaling import operations
from roadstead.control import scaling_alarm_pair
from roadstead.model import alarms, scaling, services

INVALID = "ValidationException"
CPU = {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}
FAST = {"PredefinedMetricType": "ECSServiceAverageCPUUtilizationHighResolution"}
MEMORY = {"PredefinedMetricType": "ECSServiceAverageMemoryUtilization"}
QUEUE = {
    "MetricName": "Depth",
    "Namespace": "Queue",
    "Statistic": "Sum",
    "Dimensions": [{"Name": "b", "Value": "2"}, {"Name": "a", "Value": "1"}],
    "Unit": "Count",
}


def put(world: Any, predefined: Any = CPU, *, target: float = 70.0, name: str = "cpu", **more: Any) -> Any:
    configuration: dict[str, Any] = {"TargetValue": target, **more}
    if predefined is not None:
        configuration["PredefinedMetricSpecification"] = predefined
    return world.on_web(
        "PutScalingPolicy",
        PolicyName=name,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=configuration,
    )


def refused(world: Any, configuration: Any, **more: Any) -> tuple[str, str]:
    found: tuple[str, str] = world.refused(
        "PutScalingPolicy",
        **{
            "PolicyName": "cpu",
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": configuration,
            **more,
        },
    )
    return found


def pair(world: Any, answer: Any) -> list[alarms.MetricAlarm]:
    return [world.get(alarms.MetricAlarm, one["AlarmName"]) for one in answer["Alarms"]]


@pytest.mark.rule("1.2#3", "1.2#4", "1.2#5", "1.3.2#pair", "1.3.1#cpu")
def test_a_policy_makes_its_pair_of_alarms(registered: Any) -> None:
    """Every cell of behaviour.md 1.3.2's table."""
    answer = put(registered)
    arn = answer["PolicyARN"]
    prefix, _, rest = arn.partition("scalingPolicy:")
    assert prefix == "arn:aws:autoscaling:us-east-1:123456789012:"
    assert rest[36:] == ":resource/ecs/service/default/web:policyName/cpu"
    high, low = pair(registered, answer)
    assert high.name.startswith("TargetTracking-service/default/web-AlarmHigh-")
    assert low.name.startswith("TargetTracking-service/default/web-AlarmLow-")
    assert answer["Alarms"][0]["AlarmARN"] == f"arn:aws:cloudwatch:us-east-1:123456789012:alarm:{high.name}"
    assert (high.spec.comparison_operator, high.spec.threshold, high.spec.evaluation_periods) == (
        "GreaterThanThreshold",
        70.0,
        3,
    )
    assert (low.spec.comparison_operator, low.spec.threshold, low.spec.evaluation_periods) == (
        "LessThanThreshold",
        63.0,
        15,
    )
    for alarm in (high, low):
        (action,) = alarm.spec.alarm_actions
        assert action.startswith(f"{arn}:createdBy/")
        assert alarm.spec == alarms.AlarmSpec(
            namespace="AWS/ECS",
            metric_name="CPUUtilization",
            dimensions=(("ClusterName", "default"), ("ServiceName", "web")),
            statistic="Average",
            unit="Percent",
            period_seconds=60,
            evaluation_periods=alarm.spec.evaluation_periods,
            datapoints_to_alarm=None,
            threshold=alarm.spec.threshold,
            comparison_operator=alarm.spec.comparison_operator,
            treat_missing_data="missing",
            description=f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {action}.",
            actions_enabled=True,
            alarm_actions=(action,),
        )
        assert alarm.observed.state == "INSUFFICIENT_DATA"
    assert high.spec.alarm_actions == low.spec.alarm_actions


@pytest.mark.parametrize(("target", "low"), [(70, 63), (80, 72), (50, 45), (7, 6.3), (0.7, 0.63), (1e-3, 9e-4)])
@pytest.mark.rule("1.3.2#pair")
def test_the_low_threshold_is_nine_tenths_without_dust(target: float, low: float) -> None:
    assert scaling_alarm_pair.low_threshold(float(target)) == low


@pytest.mark.rule("1.3.1#disable scale in")
def test_a_policy_that_may_not_scale_in_has_no_low_alarm(registered: Any) -> None:
    answer = put(registered, DisableScaleIn=True)
    assert len(answer["Alarms"]) == 1
    assert "AlarmHigh" in answer["Alarms"][0]["AlarmName"]


@pytest.mark.rule("1.1.2#high resolution", "1.3.1#cpu 20 s", "1.3.2#20 s", "1.3.6#deployment")
def test_high_resolution_needs_a_service_that_has_it(registered: Any) -> None:
    not_yet = (INVALID, "High-resolution metrics are not fully enabled on the ECS service.")
    configuration = {"TargetValue": 50.0, "PredefinedMetricSpecification": FAST}
    assert refused(registered, configuration) == not_yet
    fine = services.Monitoring(
        metric_configurations=(services.MetricConfiguration(metric_names=("CPUUtilization",), resolution_seconds=20),)
    )
    registered.add_service("web", fine, "IN_PROGRESS")
    assert refused(registered, configuration) == not_yet, "the deployment is still on its way"
    registered.add_service("web", fine)
    high, low = pair(registered, put(registered, FAST, target=50.0))
    assert (high.spec.period_seconds, high.spec.evaluation_periods) == (20, 3)
    assert (low.spec.period_seconds, low.spec.evaluation_periods) == (20, 30)
    memory = {
        "TargetValue": 50.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": MEMORY["PredefinedMetricType"] + "HighResolution"},
    }
    assert refused(registered, memory, PolicyName="memory") == not_yet, "only CPU is measured finely"


def test_a_server_may_shorten_the_low_alarms_wait(impatient: Any) -> None:
    high, low = pair(impatient, put(impatient))
    assert (high.spec.evaluation_periods, low.spec.evaluation_periods) == (3, 3)
    patient = impatient.__class__(scale_in_datapoints=100)
    patient.on_web("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10)
    assert pair(patient, put(patient))[1].spec.evaluation_periods == 15, "it shortens, it never prolongs"
    with pytest.raises(ValueError, match="scale_in_datapoints"):
        operations.operations(0)


@pytest.mark.rule("1.3.1#customized")
def test_a_customized_metric_is_watched_as_it_is_given(registered: Any) -> None:
    answer = put(registered, None, target=100.0, name="queue", CustomizedMetricSpecification=QUEUE)
    high, _ = pair(registered, answer)
    assert (high.spec.namespace, high.spec.metric_name, high.spec.statistic, high.spec.unit) == (
        "Queue",
        "Depth",
        "Sum",
        "Count",
    )
    assert high.spec.dimensions == (("a", "1"), ("b", "2"))
    (shown,) = registered.call("DescribeScalingPolicies", ServiceNamespace="ecs")["ScalingPolicies"]
    specification = shown["TargetTrackingScalingPolicyConfiguration"]["CustomizedMetricSpecification"]
    in_order = [{"Name": "a", "Value": "1"}, {"Name": "b", "Value": "2"}]
    assert specification == {**QUEUE, "Dimensions": in_order}


@pytest.mark.rule("1.3.1#cooldowns")
def test_describe_shows_the_policy_with_its_defaults_and_alarms(registered: Any) -> None:
    answer = put(registered, ScaleOutCooldown=60)
    (shown,) = registered.call("DescribeScalingPolicies", ServiceNamespace="ecs", PolicyNames=["cpu"])[
        "ScalingPolicies"
    ]
    assert shown.pop("CreationTime").timestamp() == 1000.0
    assert shown == {
        "PolicyARN": answer["PolicyARN"],
        "PolicyName": "cpu",
        "ServiceNamespace": "ecs",
        "ResourceId": "service/default/web",
        "ScalableDimension": "ecs:service:DesiredCount",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 70.0,
            "PredefinedMetricSpecification": CPU,
            "ScaleOutCooldown": 60,
            "ScaleInCooldown": 300,
            "DisableScaleIn": False,
        },
        "Alarms": answer["Alarms"],
    }


@pytest.mark.rule("1.2#2", "1.3.1#update", "1.3.2#update")
def test_an_update_keeps_the_policy_and_replaces_its_alarms(registered: Any) -> None:
    first = put(registered)
    key = "ecs|service/default/web|ecs:service:DesiredCount|cpu"
    before = registered.get(scaling.ScalingPolicy, key)
    kept = scaling.PolicyMemory(out_at=5.0, out_from=1, out_to=2, handled_evaluation={before.alarm_high: 5.0})
    registered.put(_with_memory(before, kept))
    registered.now = 2000.0
    second = put(registered, None, target=40.0, DisableScaleIn=True)
    assert second["PolicyARN"] == first["PolicyARN"]
    assert all(registered.get(alarms.MetricAlarm, one["AlarmName"]) is None for one in first["Alarms"])
    (high,) = pair(registered, second)
    assert (high.spec.metric_name, high.spec.threshold) == ("CPUUtilization", 40.0), "the metric is the earlier one"
    after = registered.get(scaling.ScalingPolicy, key)
    assert (after.created_at, after.created_by_id) == (1000.0, before.created_by_id)
    assert after.memory == scaling.PolicyMemory(out_at=5.0, out_from=1, out_to=2), "cooldowns go on"


def _with_memory(policy: scaling.ScalingPolicy, memory: scaling.PolicyMemory) -> scaling.ScalingPolicy:
    return msgspec.structs.replace(policy, memory=memory)


@pytest.mark.rule("1.1.2#same metric")
def test_one_policy_for_each_metric(registered: Any) -> None:
    put(registered)
    configuration = {"TargetValue": 50.0, "PredefinedMetricSpecification": CPU}
    assert refused(registered, configuration, PolicyName="other") == (
        INVALID,
        "Only one TargetTrackingScaling policy for a given metric specification is allowed.",
    )
    put(registered, MEMORY, name="memory")


@pytest.mark.parametrize(
    ("configuration", "text"),
    [
        (None, "TargetTrackingScalingPolicyConfiguration is required"),
        ({"TargetValue": 50.0}, "Either PredefinedMetricSpecification or CustomizedMetricSpecification must be"),
        (
            {"TargetValue": 50.0, "PredefinedMetricSpecification": CPU, "CustomizedMetricSpecification": QUEUE},
            "Exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification",
        ),
        ({"TargetValue": 0.0, "PredefinedMetricSpecification": CPU}, "TargetValue must be greater than 0"),
        ({"TargetValue": -1.0, "PredefinedMetricSpecification": CPU}, "TargetValue must be greater than 0"),
        ({"TargetValue": 1e300, "PredefinedMetricSpecification": CPU}, "TargetValue must be greater than 0"),
        (
            {"TargetValue": 50.0, "PredefinedMetricSpecification": CPU, "ScaleInCooldown": -1},
            "ScaleInCooldown must not be negative.",
        ),
        (
            {
                "TargetValue": 50.0,
                "PredefinedMetricSpecification": {"PredefinedMetricType": "ALBRequestCountPerTarget"},
            },
            "Resource label should be specified for predefined metric type ALBRequestCountPerTarget",
        ),
        (
            {
                "TargetValue": 50.0,
                "PredefinedMetricSpecification": {
                    "PredefinedMetricType": "ALBRequestCountPerTarget",
                    "ResourceLabel": "app/x/1",
                },
            },
            "Invalid resource label 'app/x/1' for predefined metric type ALBRequestCountPerTarget",
        ),
        (
            {
                "TargetValue": 50.0,
                "PredefinedMetricSpecification": {
                    "PredefinedMetricType": "ALBRequestCountPerTarget",
                    "ResourceLabel": "app/x/1/targetgroup/y/2",
                },
            },
            "Target group targetgroup/y/2 is not attached to resource service/default/web",
        ),
        (
            {"TargetValue": 50.0, "PredefinedMetricSpecification": {**CPU, "ResourceLabel": "x"}},
            "Resource label should not be specified for predefined metric type ECSServiceAverageCPUUtilization",
        ),
        (
            {
                "TargetValue": 50.0,
                "PredefinedMetricSpecification": {"PredefinedMetricType": "RDSReaderAverageCPUUtilization"},
            },
            "The predefined metric type RDSReaderAverageCPUUtilization is not supported",
        ),
        (
            {"TargetValue": 50.0, "CustomizedMetricSpecification": {"MetricName": "x"}},
            "CustomizedMetricSpecification needs MetricName, Namespace and Statistic.",
        ),
    ],
)
@pytest.mark.rule(
    "1.1.2#no label",
    "1.1.2#bad label",
    "1.1.2#target group",
    "1.3.1#target value",
    "1.3.1#one metric",
    "1.3.1#cooldowns",
    "1.3.1#label",
    "1.3.1#customized",
)
def test_what_a_policy_may_not_be(registered: Any, configuration: Any, text: str) -> None:
    params = {} if configuration is None else {"TargetTrackingScalingPolicyConfiguration": configuration}
    code, found = registered.refused("PutScalingPolicy", PolicyName="cpu", PolicyType="TargetTrackingScaling", **params)
    assert (code, found[: len(text)]) == (INVALID, text)


def test_a_new_policy_needs_its_type(registered: Any) -> None:
    assert registered.refused("PutScalingPolicy", PolicyName="p")[0] == INVALID


@pytest.mark.rule("1.1.2#unknown target")
def test_policies_need_a_target(world: Any) -> None:
    configuration = {"TargetValue": 50.0, "PredefinedMetricSpecification": CPU}
    code, text = refused(world, configuration)
    assert code == "ObjectNotFoundException"
    assert text.startswith("No scalable target registered for service namespace: ecs, resource ID: service/default/web")


@pytest.mark.rule("1.2#6")
def test_deleting_a_policy_deletes_its_alarms(registered: Any) -> None:
    answer = put(registered)
    assert registered.on_web("DeleteScalingPolicy", PolicyName="cpu") == {}
    assert pair(registered, answer) == [None, None]
    code, text = registered.refused("DeleteScalingPolicy", PolicyName="cpu")
    assert code == "ObjectNotFoundException"
    assert text.startswith("No scaling policy found for service namespace: ecs, resource ID: service/default/web")


def test_policies_are_listed_in_pages_of_ten(registered: Any) -> None:
    for n in range(12):
        metric = {**QUEUE, "MetricName": f"m{n}"}
        put(registered, None, name=f"p{n:02d}", CustomizedMetricSpecification=metric)
    listed = {"ServiceNamespace": "ecs", "ResourceId": "service/default/web"}
    first = registered.call("DescribeScalingPolicies", **listed)
    assert [one["PolicyName"] for one in first["ScalingPolicies"]] == [f"p{n:02d}" for n in range(10)]
    second = registered.call("DescribeScalingPolicies", **listed, NextToken=first["NextToken"])
    assert [one["PolicyName"] for one in second["ScalingPolicies"]] == ["p10", "p11"]
    other = registered.call("DescribeScalingPolicies", ServiceNamespace="ecs", ResourceId="service/default/other")
    assert other["ScalingPolicies"] == []
