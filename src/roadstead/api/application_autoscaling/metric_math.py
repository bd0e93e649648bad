"""Customized metrics that are computed: `Metrics` of a target tracking configuration (behaviour.md 1.3.1, 1.3.2)."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from roadstead.api.application_autoscaling import common
from roadstead.control import alarm_math
from roadstead.model import alarms
from roadstead.signals import percentiles
from roadstead.signals.math import problems

PERIOD_SECONDS = 60
"""The period of every metric and expression: Application Auto Scaling has no member for another one."""
BYTES_MAX = 50 * 1024
"""The longest `Metrics` ("the maximum request size is 50 KB" with metric math)."""
BESIDE_NO_METRICS = ("MetricName", "Namespace", "Dimensions", "Statistic", "Unit")
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")


def queries_of(customized: Any) -> tuple[alarms.MetricQuery, ...]:
    """A CustomizedMetricSpecification's Metrics. Raises Refusal (ValidationException) where no alarm can watch them."""
    for name in BESIDE_NO_METRICS:
        if getattr(customized, name) not in (None, []):
            raise common.invalid(f"CustomizedMetricSpecification can not have both Metrics and {name}.")
    queries = queries_from(customized.Metrics, expression_period_seconds=PERIOD_SECONDS)
    try:
        alarm_math.check(queries)
    except problems.MathError as problem:
        raise common.invalid(problem.text) from None
    return queries


def queries_from(given: Any, *, expression_period_seconds: int | None) -> tuple[alarms.MetricQuery, ...]:
    """A list of metric data queries; what they mean together is not looked at. Expressions have the given period, with
    None that of what they compute with."""
    if len(msgspec.json.encode(given)) > BYTES_MAX:
        raise common.invalid("The maximum request size with metric math is 50 KB.")
    return tuple(_query_of(query, expression_period_seconds) for query in given)


def _query_of(query: Any, expression_period_seconds: int | None) -> alarms.MetricQuery:
    if _ID.fullmatch(query.Id) is None:
        raise common.invalid(
            f"The metric query Id {query.Id} is not valid: it must be of letters, digits and underscores, and begin "
            "with a lowercase letter."
        )
    if (query.Expression is None) == (query.MetricStat is None):
        raise common.invalid(f"The metric query {query.Id} must have either Expression or MetricStat, but not both.")
    if query.Label is not None and "${" in query.Label:
        raise common.invalid(f"This server does not support dynamic labels yet: the Label of {query.Id} has '${{'.")
    return alarms.MetricQuery(
        id=query.Id,
        stat=_stat_of(query) if query.MetricStat is not None else None,
        expression=query.Expression,
        period_seconds=expression_period_seconds if query.Expression is not None else None,
        label=query.Label,
        return_data=query.ReturnData is not False,
    )


def _stat_of(query: Any) -> alarms.MetricStat:
    stat, metric = query.MetricStat, query.MetricStat.Metric
    if metric.MetricName is None or metric.Namespace is None:
        raise common.invalid(f"The metric of the metric query {query.Id} needs MetricName and Namespace.")
    if percentiles.parse(stat.Stat) is None:
        raise common.invalid(f"The Stat {stat.Stat} of the metric query {query.Id} is not supported.")
    dimensions = tuple(sorted((one.Name, one.Value) for one in metric.Dimensions or ()))
    if len({name for name, _ in dimensions}) != len(dimensions):
        raise common.invalid(f"The metric query {query.Id} has a dimension more than once.")
    return alarms.MetricStat(
        namespace=metric.Namespace,
        metric_name=metric.MetricName,
        dimensions=dimensions,
        statistic=stat.Stat,
        period_seconds=PERIOD_SECONDS,
        unit=stat.Unit,
    )


def present(query: alarms.MetricQuery) -> dict[str, Any]:
    """A query as DescribeScalingPolicies shows it: without the period, which has no member there."""
    stat = query.stat
    shown = common.given(Id=query.id, Expression=query.expression, Label=query.label, ReturnData=query.return_data)
    if stat is not None:
        metric = {
            "Namespace": stat.namespace,
            "MetricName": stat.metric_name,
            "Dimensions": [{"Name": name, "Value": value} for name, value in stat.dimensions],
        }
        shown["MetricStat"] = common.given(Metric=metric, Stat=stat.statistic, Unit=stat.unit)
    return shown
