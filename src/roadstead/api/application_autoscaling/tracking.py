"""A target tracking configuration: what it may be, and how it is shown (behaviour.md 1.3.1, 1.3.6)."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from roadstead.api.application_autoscaling import common, load_balancers, metric_math
from roadstead.model import scaling, scaling_names, services, tracked_metrics

TARGET_VALUE_MAX = 2.0**360
COOLDOWN_SECONDS_MAX = 2**31 - 1
ALB = "ALBRequestCountPerTarget"


def configuration(
    wanted: Any,
    before: scaling.TargetTracking | None,
    service: services.Service | None,
    identity: common.Identity,
    target_groups: load_balancers.TargetGroups,
) -> scaling.TargetTracking:
    """TargetTrackingScalingPolicyConfiguration, checked. Without a metric it keeps that of `before`."""
    if wanted is None:
        raise common.invalid("TargetTrackingScalingPolicyConfiguration is required for TargetTrackingScaling policies.")
    if not math.isfinite(wanted.TargetValue) or not 0 < wanted.TargetValue <= TARGET_VALUE_MAX:
        raise common.invalid("TargetValue must be greater than 0, and at most 2^360.")
    predefined, customized = wanted.PredefinedMetricSpecification, wanted.CustomizedMetricSpecification
    if predefined is not None and customized is not None:
        raise common.invalid(
            "Exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification can be specified."
        )
    if predefined is not None:
        metric = _predefined(predefined, service, identity, target_groups)
    elif customized is not None and customized.Metrics:
        metric = scaling.TargetTracking(target_value=1.0, metrics=metric_math.queries_of(customized))
    elif customized is not None:
        metric = scaling.TargetTracking(target_value=1.0, customized_metric=_customized(customized))
    elif before is not None:
        metric = before
    else:
        raise common.invalid("Either PredefinedMetricSpecification or CustomizedMetricSpecification must be specified.")
    _check_resolution(metric.predefined_metric, service)
    return msgspec.structs.replace(
        metric,
        target_value=wanted.TargetValue,
        scale_out_cooldown_seconds=_cooldown(wanted.ScaleOutCooldown, "ScaleOutCooldown"),
        scale_in_cooldown_seconds=_cooldown(wanted.ScaleInCooldown, "ScaleInCooldown"),
        disable_scale_in=bool(wanted.DisableScaleIn),
    )


def _cooldown(seconds: int | None, member: str) -> int:
    if seconds is None:
        return scaling.DEFAULT_COOLDOWN_SECONDS
    if not 0 <= seconds <= COOLDOWN_SECONDS_MAX:
        raise common.invalid(f"{member} must not be negative.")
    return seconds


def _predefined(
    wanted: Any,
    service: services.Service | None,
    identity: common.Identity,
    target_groups: load_balancers.TargetGroups,
) -> scaling.TargetTracking:
    """A configuration that tracks a predefined metric; only ECS services have them."""
    name: str = wanted.PredefinedMetricType
    if identity.namespace != scaling_names.ECS_NAMESPACE or (name != ALB and name not in tracked_metrics.PREDEFINED):
        raise common.invalid(f"The predefined metric type {name} is not supported for {identity.dimension}.")
    if name == ALB:
        load_balancers.attached(wanted.ResourceLabel, name, service, identity, target_groups)
    elif wanted.ResourceLabel is not None:
        raise common.invalid(f"Resource label should not be specified for predefined metric type {name}")
    return scaling.TargetTracking(target_value=1.0, predefined_metric=name, resource_label=wanted.ResourceLabel)


def _check_resolution(predefined: str | None, service: services.Service | None) -> None:
    """Refuses 20-second metrics that the service does not fully have (behaviour.md 1.3.6)."""
    if predefined not in tracked_metrics.PREDEFINED:
        return
    metric, period_seconds = tracked_metrics.PREDEFINED[predefined]
    if period_seconds == 60:
        return
    ready = (
        service is not None
        and len(service.deployments) == 1
        and service.primary.rollout_state == "COMPLETED"
        and service.primary.monitoring.resolution_seconds(metric) == period_seconds
        and service.spec.monitoring.resolution_seconds(metric) == period_seconds
    )
    if not ready:
        raise common.invalid("High-resolution metrics are not fully enabled on the ECS service.")


def _customized(wanted: Any) -> scaling.CustomizedMetric:
    """A single metric of the caller's own."""
    if wanted.MetricName is None or wanted.Namespace is None or wanted.Statistic is None:
        raise common.invalid("CustomizedMetricSpecification needs MetricName, Namespace and Statistic.")
    dimensions = [(one.Name, one.Value) for one in wanted.Dimensions or ()]
    if len({name for name, _ in dimensions}) != len(dimensions):
        raise common.invalid("CustomizedMetricSpecification has a dimension more than once.")
    return scaling.CustomizedMetric(
        namespace=wanted.Namespace,
        metric_name=wanted.MetricName,
        statistic=wanted.Statistic,
        dimensions=tuple(sorted(dimensions)),
        unit=wanted.Unit,
    )


def same_metric(one: scaling.TargetTracking, other: scaling.TargetTracking) -> bool:
    """Whether two policies track the same metric."""
    return (one.predefined_metric, one.resource_label, one.customized_metric, one.metrics) == (
        other.predefined_metric,
        other.resource_label,
        other.customized_metric,
        other.metrics,
    )


def present(tracking: scaling.TargetTracking) -> dict[str, Any]:
    """As DescribeScalingPolicies shows it; members that were left to their defaults with those."""
    predefined = common.given(PredefinedMetricType=tracking.predefined_metric, ResourceLabel=tracking.resource_label)
    return common.given(
        TargetValue=tracking.target_value,
        PredefinedMetricSpecification=predefined or None,
        CustomizedMetricSpecification=_present_customized(tracking),
        ScaleOutCooldown=tracking.scale_out_cooldown_seconds,
        ScaleInCooldown=tracking.scale_in_cooldown_seconds,
        DisableScaleIn=tracking.disable_scale_in,
    )


def _present_customized(tracking: scaling.TargetTracking) -> dict[str, Any] | None:
    if tracking.metrics:
        return {"Metrics": [metric_math.present(query) for query in tracking.metrics]}
    customized = tracking.customized_metric
    if customized is None:
        return None
    return common.given(
        MetricName=customized.metric_name,
        Namespace=customized.namespace,
        Dimensions=[{"Name": name, "Value": value} for name, value in customized.dimensions],
        Statistic=customized.statistic,
        Unit=customized.unit,
    )
