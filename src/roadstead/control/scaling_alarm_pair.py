"""The two alarms that a target tracking policy owns, as its record says that they are made (behaviour.md 1.3.2).

Used by PutScalingPolicy, which makes them, and by `control.scaling_alarms`, which puts them back.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal

import msgspec

from roadstead.base import scope as base_scope
from roadstead.model import alarms, scaling, scaling_names, tracked_metrics

HIGH_PERIODS = 3
LOW_PERIODS = 15
LOW_PERIODS_HIGH_RESOLUTION = 30
PERIOD_SECONDS = 60


def name(resource_id: str, side: Literal["High", "Low"], unique: str) -> str:
    """`TargetTracking-service/<cluster>/<service>-AlarmHigh-<uuid>`."""
    return f"TargetTracking-{resource_id}-Alarm{side}-{unique}"


def low_threshold(target_value: float, percent: int = 90) -> float:
    """0.9 of the target, without the dust of binary fractions: 70 gives 63, 7 gives 6.3."""
    return float(Decimal(repr(target_value)) * percent / 100)


def alarms_of(scope: base_scope.Scope, policy: scaling.ScalingPolicy, now: float) -> Iterator[alarms.MetricAlarm]:
    """The pair of a target tracking policy; the high one alone with DisableScaleIn. `now` is when they are made."""
    target_value, options = policy.tracking.target_value, policy.options
    yield _alarm(scope, policy, now, policy.alarm_high, "GreaterThanThreshold", target_value, _high_window(policy))
    if policy.alarm_low is not None:
        threshold = low_threshold(target_value, options.scale_in_threshold_percent)
        yield _alarm(scope, policy, now, policy.alarm_low, "LessThanThreshold", threshold, _low_window(policy))


class _Window(msgspec.Struct, frozen=True):
    """How far back an alarm looks, and how many data points of that must breach."""

    period_seconds: int
    datapoints: scaling.Datapoints


def _high_window(policy: scaling.ScalingPolicy) -> _Window:
    options = policy.options
    usual = scaling.Datapoints(needed=HIGH_PERIODS, periods=HIGH_PERIODS)
    period = options.scale_out_period_seconds or _period_seconds(policy)
    return _Window(period, options.scale_out_datapoints or usual)


def _low_window(policy: scaling.ScalingPolicy) -> _Window:
    """The option goes before the server's setting, which shortens AWS's number."""
    options, fewer = policy.options, policy.scale_in_datapoints
    count = LOW_PERIODS if _period_seconds(policy) == PERIOD_SECONDS else LOW_PERIODS_HIGH_RESOLUTION
    count = count if fewer is None else min(count, fewer)
    period = options.scale_in_period_seconds or _period_seconds(policy)
    return _Window(period, options.scale_in_datapoints or scaling.Datapoints(needed=count, periods=count))


def reaches_seconds(policy: scaling.ScalingPolicy) -> Iterator[int]:
    """How far back each alarm of a target tracking policy looks."""
    windows = [_high_window(policy)] if policy.alarm_low is None else [_high_window(policy), _low_window(policy)]
    for window in windows:
        yield window.period_seconds * window.datapoints.periods


def _period_seconds(policy: scaling.ScalingPolicy) -> int:
    known = tracked_metrics.PREDEFINED.get(policy.tracking.predefined_metric or "")
    return known[1] if known is not None else PERIOD_SECONDS


def _alarm(
    scope: base_scope.Scope,
    policy: scaling.ScalingPolicy,
    now: float,
    alarm_name: str,
    comparison_operator: str,
    threshold: float,
    window: _Window,
) -> alarms.MetricAlarm:
    action = scaling_names.alarm_action(scope, policy)
    points = window.datapoints
    return alarms.MetricAlarm(
        name=alarm_name,
        created_at=now,
        spec=alarms.AlarmSpec(
            **_watched(policy),
            period_seconds=window.period_seconds,
            evaluation_periods=points.periods,
            datapoints_to_alarm=points.needed if points.needed != points.periods else None,
            threshold=threshold,
            comparison_operator=comparison_operator,
            treat_missing_data="missing",
            description=f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {action}.",
            alarm_actions=(action,),
        ),
        spec_updated_at=now,
        observed=alarms.AlarmObserved(state_updated_at=now, state_transitioned_at=now),
    )


def _watched(policy: scaling.ScalingPolicy) -> dict[str, Any]:
    """The fields of the alarm's spec that say what it watches."""
    if policy.tracking.metrics:
        return {"metrics": policy.tracking.metrics}
    metric = _metric(policy)
    return {
        "namespace": metric.namespace,
        "metric_name": metric.metric_name,
        "dimensions": metric.dimensions,
        "statistic": metric.statistic,
        "unit": metric.unit,
    }


def _metric(policy: scaling.ScalingPolicy) -> scaling.CustomizedMetric:
    """The metric that a policy tracks, spelled out."""
    configuration = policy.tracking
    if configuration.customized_metric is not None:
        return configuration.customized_metric
    assert configuration.predefined_metric is not None, "a configuration has a metric"
    if configuration.resource_label is not None:
        label = tracked_metrics.parse_label(configuration.resource_label)
        assert label is not None, f"{configuration.resource_label} was checked when the policy was put"
        return scaling.CustomizedMetric(
            namespace=tracked_metrics.LOAD_BALANCER_NAMESPACE,
            metric_name="RequestCountPerTarget",
            statistic="Sum",
            dimensions=label.dimensions,
            unit="None",
        )
    names = scaling_names.service_of(policy.resource_id)
    assert names is not None, f"{policy.resource_id} names no service, and only services have this metric"
    cluster, service = names
    return scaling.CustomizedMetric(
        namespace="AWS/ECS",
        metric_name=tracked_metrics.PREDEFINED[configuration.predefined_metric][0],
        statistic="Average",
        dimensions=(("ClusterName", cluster), ("ServiceName", service)),
        unit="Percent",
    )
