"""GetMetricData (behaviour.md 2.4, 2.5): many metrics at once, in pages, and metric math over them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from roadstead.api import operation
from roadstead.api.cloudwatch import common, metric_queries
from roadstead.signals import series
from roadstead.signals.math import problems, program, values
from roadstead.state import view as views

QUERIES_MAX = 500
"""Queries in one call."""
POINTS_MAX = 100_800
"""Data points in one page."""
MORE_METRICS = {"Code": "MaxMetricsExceeded", "Value": "Maximum number of allowed metrics exceeded"}
"""The message where a SEARCH found more than it may give."""


def get_metric_data(call: operation.Call, view: views.View) -> operation.Reply:
    """GetMetricData: for each query timestamps and values, newest first unless ScanBy says otherwise.

    A page has up to MaxDatapoints points, filled query by query. A query whose points did not all fit is PartialData,
    and the next page goes on with it; one that was told whole does not come again. With metric math there is one page
    only, as on AWS: what doesn't fit is cut, and PartialData.
    """
    params = call.params
    queries = params.MetricDataQueries
    _check(params, queries)
    limit = POINTS_MAX if params.MaxDatapoints is None else params.MaxDatapoints
    if any(query.Expression is not None for query in queries):
        return _compute(call, view, limit)
    ascending = params.ScanBy == "TimestampAscending"
    mark = _mark(params)
    begin, after = _position(mark, params.NextToken) if params.NextToken is not None else (0, None)
    results: list[dict[str, Any]] = []
    token: str | None = None
    for number, query in enumerate(queries):
        if number < begin or query.ReturnData is False:
            continue
        points: Sequence[series.Point] = () if token is not None else _points(call, view, query, ascending)
        if number == begin and after is not None:
            points = [point for point in points if (point.timestamp > after) == ascending and point.timestamp != after]
        fits = points[:limit]
        if token is None and len(fits) < len(points):
            last = fits[-1].timestamp if fits else (after if number == begin else None)
            token = common.make_position(mark, msgspec.json.encode((number, last)).decode())
        limit -= len(fits)
        stat = query.MetricStat
        results.append(
            {
                "Id": query.Id,
                "Label": query.Label if query.Label is not None else stat.Metric.MetricName,
                "Timestamps": [point.timestamp for point in fits],
                "Values": [point.values[stat.Stat] for point in fits],
                "StatusCode": "Complete" if token is None else "PartialData",
            }
        )
    return operation.Reply(output=common.given(MetricDataResults=results, Messages=[], NextToken=token))


def _compute(call: operation.Call, view: views.View, limit: int) -> operation.Reply:
    """The answer to a request with expressions: a result for each series of each query."""
    params = call.params
    if params.NextToken is not None:
        raise common.invalid_token()  # a request with expressions is never given one
    results: list[dict[str, Any]] = []
    try:
        compiled = program.compile_program(tuple(_query_of(query) for query in params.MetricDataQueries))
        run = program.Run(compiled, view.signals, params.StartTime, params.EndTime, call.now)
        for query in params.MetricDataQueries:
            if query.ReturnData is False:
                continue
            for found in run.series(query.Id):
                results.append(_present(query.Id, found, params.ScanBy, limit))
                limit -= len(results[-1]["Values"])
    except problems.MathError as problem:
        raise common.validation(problem.text) from None
    messages = [MORE_METRICS] if run.is_cut else []
    return operation.Reply(output={"MetricDataResults": results, "Messages": messages})


def _query_of(query: Any) -> program.Query:
    stat = query.MetricStat
    return program.Query(
        id=query.Id,
        stat=None
        if stat is None
        else program.Stat(
            metric=common.metric_of(stat.Metric.Namespace, stat.Metric.MetricName, stat.Metric.Dimensions),
            statistic=stat.Stat,
            period_seconds=stat.Period,
            unit=stat.Unit,
        ),
        expression=query.Expression,
        label=query.Label,
        period_seconds=query.Period,
    )


def _present(query_id: str, found: values.Series, scan_by: str | None, limit: int) -> dict[str, Any]:
    points = list(found.points.items())
    if scan_by != "TimestampAscending":
        points.reverse()
    fits = points[:limit]
    return {
        "Id": query_id,
        "Label": found.label,
        "Timestamps": [timestamp for timestamp, _ in fits],
        "Values": [value for _, value in fits],
        "StatusCode": "Complete" if len(fits) == len(points) else "PartialData",
    }


def _points(call: operation.Call, view: views.View, query: Any, ascending: bool) -> list[series.Point]:
    stat = query.MetricStat
    metric = common.metric_of(stat.Metric.Namespace, stat.Metric.MetricName, stat.Metric.Dimensions)
    start, end = call.params.StartTime, call.params.EndTime
    found = view.signals.statistics(metric, stat.Unit, start, end, stat.Period, (stat.Stat,), call.now)
    if not ascending:
        found.reverse()
    return found


def _check(params: Any, queries: Sequence[Any]) -> None:
    if not queries:
        raise common.validation("The parameter MetricDataQueries is required.")
    if len(queries) > QUERIES_MAX:
        raise common.validation(f"The collection MetricDataQueries must not have a size greater than {QUERIES_MAX}.")
    if params.StartTime >= params.EndTime:
        raise common.validation("The parameter StartTime must be less than the parameter EndTime.")
    if params.MaxDatapoints is not None and not 1 <= params.MaxDatapoints <= POINTS_MAX:
        raise common.validation(f"The parameter MaxDatapoints must be between 1 and {POINTS_MAX}.")
    for number, query in enumerate(queries, start=1):
        metric_queries.check_query(query, f"MetricDataQueries.member.{number}")
    if len({query.Id for query in queries}) != len(queries):
        raise common.validation("The values for parameter id in MetricDataQueries are not unique.")
    if all(query.ReturnData is False for query in queries):
        raise common.validation("At least one of the MetricDataQueries must have ReturnData set to true.")


def _mark(params: Any) -> str:
    """What tells this request from others: all of it but the page."""
    asked = (params.MetricDataQueries, params.StartTime, params.EndTime, params.ScanBy)
    return "GetMetricData " + msgspec.json.encode(asked).decode()


def _position(mark: str, token: str) -> tuple[int, float | None]:
    try:
        return msgspec.json.decode(common.read_position(mark, token), type=tuple[int, float | None])
    except msgspec.MsgspecError:
        raise common.invalid_token() from None
