"""PutMetricData (behaviour.md 2.1, 2.2): the path of the most data, so little is done for each datum."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from roadstead.api import operation
from roadstead.api.cloudwatch import common
from roadstead.base import errors
from roadstead.signals import metrics, retention
from roadstead.state import plan
from roadstead.state import view as views

DATA_MAX = 1000
"""Data in one call."""
BODY_BYTES_MAX = 1024 * 1024
"""One call's body as it is sent: "1 MB in size for HTTP POST requests. You can send a payload compressed by gzip"
(API_PutMetricData). `wire.requests` bounds what gzip makes of it."""
VALUES_MAX = 150
"""Entries in a datum's Values and Counts."""
VALUE_MAX = 2.0**360
"""The largest number, and its negative the smallest."""
RESERVED_NAMESPACE = "AWS/"
_NAMESPACE = re.compile(r"[0-9A-Za-z.\-_/#: ]{1,255}")


def put_metric_data(call: operation.Call, view: views.View) -> operation.Reply:
    """PutMetricData: all of the data, or (where one of them is wrong) none."""
    params, now = call.params, call.now
    namespace = params.Namespace
    if namespace.startswith(RESERVED_NAMESPACE):
        raise common.invalid_value(f"The value {RESERVED_NAMESPACE} for parameter Namespace is invalid.")
    if _NAMESPACE.fullmatch(namespace) is None or namespace.isspace():
        raise common.invalid_value(f"The value {namespace} for parameter Namespace is invalid.")
    data = params.MetricData
    if not data:
        raise common.missing("The parameter MetricData is required.")
    if len(data) > DATA_MAX:
        raise common.invalid_value(f"The collection MetricData must not have a size greater than {DATA_MAX}.")
    oldest, newest = now - retention.PAST_SECONDS_MAX, now + retention.FUTURE_SECONDS_MAX
    known: dict[tuple[str, metrics.Dimensions], metrics.Metric] = {}
    made: list[metrics.Datum] = []
    for number, one in enumerate(data, start=1):
        given = one.Dimensions
        name = (one.MetricName, tuple([(each.Name, each.Value) for each in given]) if given else ())
        metric = known.get(name)
        if metric is None:
            metric = known[name] = _metric(namespace, name[0], name[1], number)
        timestamp = one.Timestamp
        if timestamp is None:
            timestamp = now
        elif not oldest <= timestamp <= newest:
            raise _bad_timestamp(number, timestamp, now)
        resolution = one.StorageResolution
        if resolution is None:
            resolution = 60
        elif resolution not in (1, 60):
            raise common.invalid_value(
                f"The parameter MetricData.member.{number}.StorageResolution must be 1 or 60, not {resolution}."
            )
        value, values, statistics = one.Value, one.Values, one.StatisticValues
        if value is not None and not values and statistics is None and not one.Counts:
            if not -VALUE_MAX <= value <= VALUE_MAX:
                raise _bad_number(number, "Value", value)
            made.append(
                metrics.Datum(
                    metric=metric,
                    timestamp=timestamp,
                    values=(value,),
                    unit=one.Unit or "None",
                    storage_resolution_seconds=resolution,
                )
            )
        else:
            made.append(_wide(one, number, metric, timestamp, resolution))
    if view.signals.room < len(made):
        _check_room(made, view)
    return operation.Reply(plan=plan.Plan(data=tuple(made)))


def _check_room(made: list[metrics.Datum], view: views.View) -> None:
    """Refuse data that would be dropped: those of new series beyond what can be kept."""
    wanted = {(one.metric, one.unit) for one in made}
    new = sum(unit not in view.signals.units(metric) for metric, unit in wanted)
    if new > view.signals.room:
        raise errors.Refusal(
            "LimitExceeded",
            f"The data have {new} new metrics, and only {view.signals.room} more can be kept. "
            "Metrics go when they have had no data for long; use fewer dimensions with ever new values.",
        )


def _metric(namespace: str, name: str, dimensions: metrics.Dimensions, number: int) -> metrics.Metric:
    where = f"MetricData.member.{number}"
    if not common.is_text(name):
        raise common.invalid_value(f"The value {name} for parameter {where}.MetricName is invalid.")
    for place, (key, value) in enumerate(dimensions, start=1):
        if not common.is_text(key) or key.startswith(":"):
            raise common.invalid_value(
                f"The value {key} for parameter {where}.Dimensions.member.{place}.Name is invalid."
            )
        if not common.is_text(value):
            raise common.invalid_value(
                f"The value {value} for parameter {where}.Dimensions.member.{place}.Value is invalid."
            )
    if common.has_duplicates(dimensions):
        raise common.invalid_value("No Metric may specify the same dimension twice.")
    return metrics.metric(namespace, name, dimensions)


def _wide(one: Any, number: int, metric: metrics.Metric, timestamp: float, resolution: int) -> metrics.Datum:
    """A datum of several values or of statistics; or the refusal of one that has nothing, or too much."""
    where = f"MetricData.member.{number}"
    members = {"Value": one.Value, "Values": one.Values or None, "StatisticValues": one.StatisticValues}
    present = [name for name, value in members.items() if value is not None]
    if len(present) > 1:
        raise common.invalid_combination(
            f"The parameters {where}.{present[0]} and {where}.{present[1]} are mutually exclusive "
            "and you have specified both."
        )
    if one.Counts and present != ["Values"]:
        raise common.invalid_combination(f"The parameter {where}.Counts can only be specified with {where}.Values.")
    if not present:
        raise common.missing(
            f"At least one of the parameters {where}.Value, {where}.Values or {where}.StatisticValues "
            "must be specified."
        )
    unit = one.Unit or "None"
    if one.StatisticValues is not None:
        return metrics.Datum(
            metric=metric,
            timestamp=timestamp,
            statistics=_statistics(one.StatisticValues, number),
            unit=unit,
            storage_resolution_seconds=resolution,
        )
    values, counts = one.Values, one.Counts or ()
    _check_values(values, counts, number)
    return metrics.Datum(
        metric=metric,
        timestamp=timestamp,
        values=tuple(values),
        counts=tuple(counts),
        unit=unit,
        storage_resolution_seconds=resolution,
    )


def _check_values(values: Sequence[float], counts: Sequence[float], number: int) -> None:
    where = f"MetricData.member.{number}"
    for member, entries in (("Values", values), ("Counts", counts)):
        if len(entries) > VALUES_MAX:
            raise common.invalid_value(
                f"The collection {where}.{member} must not have a size greater than {VALUES_MAX}."
            )
    if counts and len(counts) != len(values):
        raise common.invalid_value(f"The parameters {where}.Values and {where}.Counts must be of the same size.")
    for value in values:
        if not -VALUE_MAX <= value <= VALUE_MAX:
            raise _bad_number(number, "Values", value)
    for count in counts:
        if not 0.0 <= count <= VALUE_MAX:
            raise _bad_number(number, "Counts", count)
    if counts and not any(counts):
        raise common.invalid_value(f"The parameter {where}.Counts must have a count that is greater than 0.")


def _statistics(given: Any, number: int) -> metrics.StatisticSet:
    where = f"MetricData.member.{number}.StatisticValues"
    for member in ("SampleCount", "Sum", "Minimum", "Maximum"):
        value = getattr(given, member)
        if not -VALUE_MAX <= value <= VALUE_MAX:
            raise _bad_number(number, f"StatisticValues.{member}", value)
    if given.SampleCount <= 0:
        raise common.invalid_value(f"The parameter {where}.SampleCount must be greater than 0.")
    if given.Maximum < given.Minimum:
        raise common.invalid_value(f"The parameter {where}.Maximum must be greater than {where}.Minimum.")
    return metrics.StatisticSet(
        sample_count=given.SampleCount, sum=given.Sum, minimum=given.Minimum, maximum=given.Maximum
    )


def _bad_timestamp(number: int, timestamp: float, now: float) -> errors.Refusal:
    limit = "two weeks in the past" if timestamp < now else "two hours in the future"
    return common.invalid_value(
        f"The parameter MetricData.member.{number}.Timestamp must specify a time no more than {limit}."
    )


def _bad_number(number: int, member: str, value: float) -> errors.Refusal:
    shown = "NaN" if value != value else f"{value!r}"
    return common.invalid_value(f"The value {shown} for parameter MetricData.member.{number}.{member} is invalid.")
