"""GetPredictiveScalingForecast: what is expected, and what was (behaviour.md 1.6)."""

from __future__ import annotations

from typing import Any

from roadstead.api import operation
from roadstead.api.application_autoscaling import common, predictive
from roadstead.control import predictive_capacity, predictive_metrics
from roadstead.model import predictive as records
from roadstead.model import scaling
from roadstead.state import view as views

PAST_SECONDS_MAX = 366 * 86_400
"""StartTime is at most a year back."""
SPAN_SECONDS_MAX = 30 * 86_400
HOUR = records.HOUR_SECONDS


def get_predictive_scaling_forecast(call: operation.Call, view: views.View) -> operation.Reply:
    """GetPredictiveScalingForecast: hours that have begun with what was expected of them then, hours to come with the
    newest forecast. Without any forecast yet, both lists are empty and there is no UpdateTime.
    """
    params = call.params
    wanted = common.identity(params)
    policy = view.get(scaling.ScalingPolicy, f"{wanted.key}|{params.PolicyName}")
    if policy is None or policy.predictive_scaling is None:
        raise common.invalid(f"No predictive scaling policy {params.PolicyName} found for {wanted.resource_id}.")
    start, end = params.StartTime, params.EndTime
    if end <= start:
        raise common.invalid("EndTime must be after StartTime.")
    if start < call.now - PAST_SECONDS_MAX:
        raise common.invalid("StartTime can be at most one year before the current time.")
    if end - start > SPAN_SECONDS_MAX:
        raise common.invalid("The time between StartTime and EndTime can be at most 30 days.")
    found = view.get(records.Forecast, policy.key)
    newest = found.newest if found is not None and found.policy_id == policy.policy_id else None
    load, capacity = _past(view, policy, start, end, call.now)
    if newest is not None:
        hour = max(newest.begin, start // HOUR * HOUR)
        while hour < end and (expected := predictive_capacity.load_at(newest, hour)) is not None:
            if hour >= start and hour not in load:
                load[hour] = expected
                capacity[hour] = float(predictive_capacity.capacity(policy.predictive_scaling, newest, expected))
            hour += HOUR
    output = {
        "LoadForecast": [
            {**_present(load), "MetricSpecification": predictive.present_specification(policy.predictive_scaling)}
        ],
        "CapacityForecast": _present(capacity),
    }
    return operation.Reply(output=common.given(**output, UpdateTime=newest.asked_at if newest is not None else None))


def _past(
    view: views.View, policy: scaling.ScalingPolicy, start: float, end: float, now: float
) -> tuple[dict[float, float], dict[float, float]]:
    """What was expected of hours that have begun, since there is the policy: load, and capacity."""
    since = max(start, policy.created_at // HOUR * HOUR)
    found: list[dict[float, float]] = []
    for name in (predictive_metrics.LOAD_FORECAST, predictive_metrics.CAPACITY_FORECAST):
        metric = predictive_metrics.forecast_metric(name, policy.resource_id, policy.policy_name)
        read = view.signals.statistics(metric, None, since // HOUR * HOUR, min(end, now + 1), HOUR, ("Maximum",), now)
        found.append({point.timestamp: point.values["Maximum"] for point in read if point.timestamp >= start})
    return found[0], found[1]


def _present(values: dict[float, float]) -> dict[str, Any]:
    hours = sorted(values)
    return {"Timestamps": hours, "Values": [values[hour] for hour in hours]}


def predicted_capacity(view: views.View, policies: list[scaling.ScalingPolicy], now: float) -> int | None:
    """The largest capacity that a target's policies predict for the present hour; None where none does."""
    found = []
    for policy in policies:
        forecast = view.get(records.Forecast, policy.key) if policy.predictive_scaling is not None else None
        if forecast is not None and policy.predictive_scaling is not None and forecast.policy_id == policy.policy_id:
            found.append(predictive_capacity.capacity_at(policy.predictive_scaling, forecast.newest, now))
    return max((one for one in found if one is not None), default=None)
