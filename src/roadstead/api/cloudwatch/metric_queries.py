"""MetricDataQuery: what GetMetricData asks for and what alarms on metric math watch (behaviour.md 2.5)."""

from __future__ import annotations

import re
from typing import Any

from roadstead.api.cloudwatch import common
from roadstead.model import alarms
from roadstead.signals import percentiles

_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")


def check_query(query: Any, where: str) -> None:
    """Refuses (ValidationError) a MetricDataQuery that is none; its expression is not looked into."""
    if _ID.fullmatch(query.Id) is None:
        raise common.validation(
            f"The value {query.Id} for parameter {where}.Id is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$."
        )
    if query.MetricStat is not None and query.Expression is not None:
        raise common.validation(
            f"The parameters {where}.Expression and {where}.MetricStat are mutually exclusive "
            "and you have specified both."
        )
    if query.MetricStat is not None:
        _check_stat(query.MetricStat, where)
    elif query.Expression is None:
        raise common.validation(f"The parameter {where}.Expression or {where}.MetricStat is required.")
    if query.Period is not None:
        _check_period(query, where)
    if query.Label is not None and "${" in query.Label:
        raise common.validation(
            f"Roadstead does not support dynamic labels yet: {where}.Label has '${{'; see docs/operations.md."
        )


def _check_stat(stat: Any, where: str) -> None:
    if stat.Metric.Namespace is None or stat.Metric.MetricName is None:
        raise common.validation(f"The parameters {where}.MetricStat.Metric.Namespace and MetricName are required.")
    if percentiles.parse(stat.Stat) is None:
        raise common.validation(f"The value {stat.Stat} for parameter {where}.MetricStat.Stat is not supported.")
    if not common.is_period(stat.Period):
        raise common.validation(
            f"The parameter {where}.MetricStat.Period must be 1, 5, 10, 20, 30 or a multiple of 60."
        )


def _check_period(query: Any, where: str) -> None:
    if not common.is_period(query.Period):
        raise common.validation(f"The parameter {where}.Period must be 1, 5, 10, 20, 30 or a multiple of 60.")
    if query.MetricStat is not None and query.Period != query.MetricStat.Period:
        raise common.validation(
            f"The parameter {where}.Period must be that of {where}.MetricStat where both are given."
        )


def query_of(query: Any) -> alarms.MetricQuery:
    """A checked query, to be kept."""
    stat = query.MetricStat
    return alarms.MetricQuery(
        id=query.Id,
        stat=None
        if stat is None
        else alarms.MetricStat(
            namespace=stat.Metric.Namespace,
            metric_name=stat.Metric.MetricName,
            dimensions=common.metric_of("", "", stat.Metric.Dimensions).dimensions,
            statistic=stat.Stat,
            period_seconds=stat.Period,
            unit=stat.Unit,
        ),
        expression=query.Expression,
        period_seconds=query.Period,
        label=query.Label,
        return_data=query.ReturnData is not False,
    )


def present_query(query: alarms.MetricQuery) -> dict[str, Any]:
    """A kept query as DescribeAlarms shows it."""
    stat = query.stat
    shown = common.given(
        Id=query.id,
        Expression=query.expression,
        Label=query.label,
        ReturnData=query.return_data,
        Period=query.period_seconds,
    )
    if stat is not None:
        metric = {
            "Namespace": stat.namespace,
            "MetricName": stat.metric_name,
            "Dimensions": common.present_dimensions(stat.dimensions),
        }
        shown["MetricStat"] = common.given(
            Metric=metric, Period=stat.period_seconds, Stat=stat.statistic, Unit=stat.unit
        )
    return shown
