"""GetMetricStatistics (behaviour.md 2.4): the statistics of one metric, a stream for each unit."""

from __future__ import annotations

from typing import Any

from roadstead.api import operation
from roadstead.api.cloudwatch import common
from roadstead.signals import percentiles
from roadstead.state import view as views

POINTS_MAX = 1440
"""Periods in one call."""


def get_metric_statistics(call: operation.Call, view: views.View) -> operation.Reply:
    """GetMetricStatistics: data points by unit, by time; none where nothing was measured, or where the period is
    too fine for the age of StartTime.
    """
    params = call.params
    plain, extended = params.Statistics or [], params.ExtendedStatistics or []
    if not plain and not extended:
        raise common.missing("The parameter Statistics is required.")
    if plain and extended:
        raise common.invalid_combination("The parameters Statistics and ExtendedStatistics are mutually exclusive.")
    for name in extended:
        parsed = percentiles.parse(name)
        if parsed is None or not parsed.is_extended:
            raise common.invalid_value(f"The value {name} for parameter ExtendedStatistics is not supported.")
    _check_range(params.StartTime, params.EndTime, params.Period)
    metric = common.metric_of(params.Namespace, params.MetricName, params.Dimensions)
    units = [params.Unit] if params.Unit is not None else view.signals.units(metric)
    wanted = tuple(dict.fromkeys([*plain, *extended]))
    found: list[dict[str, Any]] = []
    for unit in units:
        for point in view.signals.statistics(
            metric, unit, params.StartTime, params.EndTime, params.Period, wanted, call.now
        ):
            shown: dict[str, Any] = {"Timestamp": point.timestamp, "Unit": unit}
            if extended:
                shown["ExtendedStatistics"] = point.values
            else:
                shown.update(point.values)
            found.append(shown)
    return operation.Reply(output={"Label": params.MetricName, "Datapoints": found})


def _check_range(start: float, end: float, period: int) -> None:
    if start >= end:
        raise common.invalid_value("The parameter StartTime must be less than the parameter EndTime.")
    if not common.is_period(period):
        raise common.invalid_value("The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60.")
    points = int((end - start) / period)
    if points > POINTS_MAX:
        raise common.invalid_combination(
            f"You have requested up to {points:,} datapoints, which exceeds the limit of {POINTS_MAX:,}. You may "
            "reduce the datapoints requested by increasing Period, or decreasing the time range."
        )
