"""ALBRequestCountPerTarget: resource labels, and the metric behind them (behaviour.md 1.1.2, 1.3.1)."""

from __future__ import annotations

from typing import Any

import pytest

from roadstead.model import alarms, services

METRIC = "ALBRequestCountPerTarget"
LABEL = "app/front/1/targetgroup/blue/2"
INVALID = "ValidationException"


def _tracking(label: str | None) -> dict[str, Any]:
    named = {} if label is None else {"ResourceLabel": label}
    return {"TargetValue": 100.0, "PredefinedMetricSpecification": {"PredefinedMetricType": METRIC, **named}}


def _put(world: Any, name: str = "requests", label: str | None = LABEL) -> Any:
    return world.on_web(
        "PutScalingPolicy",
        PolicyName=name,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=_tracking(label),
    )


@pytest.mark.rule("1.3.1#alb")
def test_1_3_1_the_alarms_watch_the_requests_per_target_of_the_target_group(balanced: Any) -> None:
    made = _put(balanced)
    high, low = (balanced.get(alarms.MetricAlarm, one["AlarmName"]).spec for one in made["Alarms"])
    for spec in (high, low):
        assert (spec.namespace, spec.metric_name) == ("AWS/ApplicationELB", "RequestCountPerTarget")
        assert (spec.statistic, spec.unit, spec.period_seconds) == ("Sum", "None", 60)
        assert spec.dimensions == (("LoadBalancer", "app/front/1"), ("TargetGroup", "targetgroup/blue/2"))
    assert (high.threshold, low.threshold) == (100.0, 90.0)


def test_1_3_1_the_label_is_shown_and_is_part_of_what_is_tracked(balanced: Any) -> None:
    _put(balanced)
    (shown,) = balanced.on_web("DescribeScalingPolicies")["ScalingPolicies"]
    assert shown["TargetTrackingScalingPolicyConfiguration"]["PredefinedMetricSpecification"] == {
        "PredefinedMetricType": METRIC,
        "ResourceLabel": LABEL,
    }
    assert _refusal(balanced, LABEL, name="again") == (
        "Only one TargetTrackingScaling policy for a given metric specification is allowed."
    )
    _put(balanced, "other-balancer", "app/back/9/targetgroup/blue/2")


@pytest.mark.parametrize(
    ("label", "text"),
    [
        (None, f"Resource label should be specified for predefined metric type {METRIC}"),
        ("app/front/1", f"Invalid resource label 'app/front/1' for predefined metric type {METRIC}"),
        ("app/front/1/targetgroup//2", f"Invalid resource label 'app/front/1/targetgroup//2' for predefined metric "
         f"type {METRIC}"),
        ("net/front/1/targetgroup/blue/2", f"Invalid resource label 'net/front/1/targetgroup/blue/2' for predefined "
         f"metric type {METRIC}"),
        ("app/front/1/targetgroup/green/3", "Target group targetgroup/green/3 is not attached to resource "
         "service/default/web"),
    ],
)  # fmt: skip
@pytest.mark.rule("1.1.2#no label", "1.1.2#bad label", "1.1.2#target group", "1.3.1#label")
def test_1_1_2_labels_are_refused_with_aws_texts(balanced: Any, label: str | None, text: str) -> None:
    assert _refusal(balanced, label) == text


def test_1_1_2_without_a_balancer_no_target_group_is_attached(registered: Any) -> None:
    assert _refusal(registered, LABEL) == (
        "Target group targetgroup/blue/2 is not attached to resource service/default/web"
    )


def test_1_1_2_a_service_that_is_gone_has_no_target_group(balanced: Any) -> None:
    gone = balanced.get(services.Service, "default/web")
    balanced.put(services.Service(cluster="default", name="web", created_at=0.0, spec=gone.spec, status="INACTIVE"))
    assert "is not attached" in _refusal(balanced, LABEL)


def _refusal(world: Any, label: str | None, name: str = "requests") -> str:
    code, text = world.refused(
        "PutScalingPolicy",
        PolicyName=name,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=_tracking(label),
    )
    assert code == INVALID
    return str(text)
