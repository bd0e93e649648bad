"""Metric math that alarms watch (behaviour.md 2.5, 2.6.1): what may be watched, and its values in a window.

Used by `control.alarms` to evaluate, and by the operations that put such alarms (PutMetricAlarm, PutScalingPolicy) to
refuse what can't be evaluated. Compiled programs are kept, so an evaluation costs what its few points cost.
"""

from __future__ import annotations

from roadstead.model import alarms
from roadstead.signals import alarm_evaluation, metrics, retention, series
from roadstead.signals.math import problems, program

QUERIES_MAX = 20
"""Metrics and expressions of one alarm."""
METRICS_MAX = 10
"""Metrics of one alarm (behaviour.md 2.6.1)."""
FINE_PERIODS_SECONDS = (10, 20, 30)
"""The periods below a minute that alarms may have."""


def check(queries: tuple[alarms.MetricQuery, ...]) -> int:
    """The period in seconds of what an alarm on these queries watches. Raises MathError where it can't watch them."""
    if len(queries) > QUERIES_MAX:
        raise problems.MathError(f"The metrics list can have at most {QUERIES_MAX} elements")
    if len({query.id for query in queries}) < len(queries):
        raise problems.MathError("The values for parameter id in Metrics are not unique.")
    if sum(query.stat is not None for query in queries) > METRICS_MAX:
        raise problems.MathError(
            f"Alarms on math expressions cannot contain more than {METRICS_MAX} individual metrics"
        )
    if sum(query.return_data for query in queries) != 1:
        raise problems.MathError("Exactly one element of the metrics list should return data.")
    compiled = program_of(queries)
    if compiled.searches:
        raise problems.MathError("SEARCH is not supported on Metric Alarms.")
    watched_id = watched(queries)
    if compiled.kind(watched_id) != "TS":
        raise problems.MathError(
            "Metrics expression that return multi time series are only allowed for MetricsInsights expression "
            "with an ORDER BY clause"
        )
    period = compiled.period_seconds(watched_id)
    if period not in FINE_PERIODS_SECONDS and (period < retention.MINUTE or period % retention.MINUTE):
        raise problems.MathError("Period must be 10, 20, 30 or a multiple of 60")
    return period


def read(
    view: series.SeriesView, queries: tuple[alarms.MetricQuery, ...], span: alarm_evaluation.Window, now: float
) -> list[tuple[float, float, float]]:
    """(period start, value, 1.0) of what the alarm watches; a computed value has no count of samples. Reads the window
    alone, and of it what the watched expression needs.
    """
    run = program.Run(program_of(queries), view, span.start, span.end, now)
    (found,) = run.series(watched(queries))
    return [(timestamp, value, 1.0) for timestamp, value in found.points.items()]


def watched(queries: tuple[alarms.MetricQuery, ...]) -> str:
    """The id of the query whose values count."""
    return next(query.id for query in queries if query.return_data)


def program_of(queries: tuple[alarms.MetricQuery, ...]) -> program.Program:
    """The queries, compiled. Raises MathError where an expression is wrong."""
    return program.compile_program(tuple(_query(query) for query in queries))


def _query(query: alarms.MetricQuery) -> program.Query:
    stat = query.stat
    return program.Query(
        id=query.id,
        stat=None
        if stat is None
        else program.Stat(
            metric=metrics.Metric(stat.namespace, stat.metric_name, stat.dimensions),
            statistic=stat.statistic,
            period_seconds=stat.period_seconds,
            unit=stat.unit,
        ),
        expression=query.expression,
        label=query.label,
        period_seconds=query.period_seconds,
    )
