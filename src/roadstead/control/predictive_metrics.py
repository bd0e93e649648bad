"""What predictive scaling measures, hour by hour (behaviour.md 1.6): load, and scaling metric and capacity with it.

The predefined metrics of an ECS service, worked out from AWS/ECS CPUUtilization and MemoryUtilization, of which each
running task has one value every 20 s (three a minute, whether the metric is kept for each minute or for each 20 s):

- load, `ECSServiceTotalCPUUtilization`: what all tasks use together, in percent of one task's reservation. A minute's
  Sum divided by its three samples, which is the average times the number of tasks; of an hour the mean of its minutes.
- scaling metric, `ECSServiceAverageCPUUtilization`: the Average.
- capacity: the number of tasks, a minute's SampleCount divided by three.

Of a load balancer the load is the target group's RequestCount, Sum of a minute; the scaling metric is that per target.
So scaling metric × capacity is the load itself, and the capacity for a load is load ÷ target. For other metrics the
relation is found in the history (`signals.forecasts.relation`). Customized metrics are read by the minute, as all of
Application Auto Scaling's are; an expression with SEARCH by that function's own period. An hour's value is the mean of
its data points, whatever the statistic: so a load that is a Sum and a target that is a Sum go together. Who puts a data
point every five minutes, or one an hour, has told the hour's load as well: one is enough. What is measured each minute
has to be there for half of the hour.
"""

from __future__ import annotations

from collections.abc import Iterable

from roadstead.control import alarm_math
from roadstead.model import alarms, predictive, scaling_names
from roadstead.signals import ecs_metrics, metrics, series
from roadstead.signals.math import problems, program

SAMPLES_A_MINUTE = 3
"""Values that agents send of each task (agent-protocol.md 4)."""
MINUTE_SECONDS = 60
POINTS_MIN = 30
"""Minutes of an hour that must have data for it to count as known, of what is measured each minute."""
METRICS_MAX = 10
"""Metrics and expressions of one customized metric ("up to 10 metrics in one metric specification")."""
ALB_NAMESPACE = "AWS/ApplicationELB"
ALB_REQUESTS = "RequestCount"
PAIRS = {
    "ECSServiceCPUUtilization": ecs_metrics.CPU,
    "ECSServiceMemoryUtilization": ecs_metrics.MEMORY,
    "ALBRequestCount": ALB_REQUESTS,
}
LOADS = {
    "ECSServiceTotalCPUUtilization": ecs_metrics.CPU,
    "ECSServiceTotalMemoryUtilization": ecs_metrics.MEMORY,
    "TotalALBRequestCount": ALB_REQUESTS,
}
SCALINGS = {
    "ECSServiceAverageCPUUtilization": ecs_metrics.CPU,
    "ECSServiceAverageMemoryUtilization": ecs_metrics.MEMORY,
    "ALBRequestCountPerTarget": ALB_REQUESTS,
}
"""PredefinedMetricType → what is measured. A load and a scaling metric of the same are two sides of one thing."""
ALB_TYPES = frozenset({"ALBRequestCount", "TotalALBRequestCount", "ALBRequestCountPerTarget"})
"""Those that need the label of a target group."""
FORECAST_NAMESPACE = "Roadstead/PredictiveScaling"
LOAD_FORECAST = "LoadForecast"
CAPACITY_FORECAST = "CapacityForecast"
"""Metrics of what was expected of each hour, with the hour's start as their time."""

Hours = list[float | None]
"""A value for each hour; None where too little of it is known."""


def forecast_metric(name: str, resource_id: str, policy_name: str) -> metrics.Metric:
    """The metric LOAD_FORECAST or CAPACITY_FORECAST of one predictive scaling policy."""
    of_policy = (("ResourceId", resource_id), ("PolicyName", policy_name))
    return metrics.metric(FORECAST_NAMESPACE, name, of_policy)


def check(queries: tuple[alarms.MetricQuery, ...]) -> None:
    """Raises MathError where queries can't be a metric of a predictive policy. Unlike an alarm's they may SEARCH."""
    if len(queries) > METRICS_MAX:
        raise problems.MathError(f"A metric specification can have at most {METRICS_MAX} metrics and expressions.")
    if len({query.id for query in queries}) < len(queries):
        raise problems.MathError("The values for parameter Id in MetricDataQueries are not unique.")
    if sum(query.return_data for query in queries) != 1:
        raise problems.MathError("Exactly one element of MetricDataQueries should return data.")
    compiled = alarm_math.program_of(queries)
    if compiled.kind(alarm_math.watched(queries)) != "TS":
        raise problems.MathError("The metric that returns data must be one time series.")


def relation_is_known(wanted: predictive.PredictiveMetrics) -> bool:
    """Whether scaling metric × capacity is the load by definition: both are the same thing's."""
    if wanted.pair is not None:
        return True
    load, scaling = wanted.load, wanted.scaling
    if load is None or scaling is None or wanted.capacity is not None or load.predefined is None:
        return False
    measured = LOADS[load.predefined]
    return measured == SCALINGS.get(scaling.predefined or "") and load.target_group == scaling.target_group


def load_hours(
    view: series.SeriesView,
    resource_id: str,
    wanted: predictive.PredictiveMetrics,
    begin: float,
    end: float,
    now: float,
) -> Hours:
    """The load of each hour from `begin` to `end`. An hour in which the expression can't be computed is not known."""
    load = wanted.pair or wanted.load
    assert load is not None, "a policy has a load"
    if load.predefined is None:
        return _computed(view, load.queries, begin, end, now)
    measured = (PAIRS if load is wanted.pair else LOADS)[load.predefined]
    return _total(view, resource_id, measured, load.target_group, begin, end, now)


def used_hours(
    view: series.SeriesView,
    resource_id: str,
    wanted: predictive.PredictiveMetrics,
    begin: float,
    end: float,
    now: float,
) -> Hours:
    """Scaling metric × capacity of each hour from `begin` to `end`."""
    scaling = wanted.scaling
    assert scaling is not None, "only metrics that are given one by one have a relation to find"
    if scaling.predefined is not None:
        return _total(view, resource_id, SCALINGS[scaling.predefined], scaling.target_group, begin, end, now)
    each = _computed(view, scaling.queries, begin, end, now)
    if wanted.capacity is not None:
        capacity = _computed(view, wanted.capacity.queries, begin, end, now)
    else:
        samples = _points(view, _of_service(resource_id, ecs_metrics.CPU), "SampleCount", begin, end, now)
        counts = ((at, value / SAMPLES_A_MINUTE) for at, value in samples)
        capacity = _hours(counts, begin, end, POINTS_MIN)
    return [None if one is None or count is None else one * count for one, count in zip(each, capacity, strict=True)]


def _total(
    view: series.SeriesView,
    resource_id: str,
    measured: str,
    target_group: tuple[tuple[str, str], ...],
    begin: float,
    end: float,
    now: float,
) -> Hours:
    """The whole load of a minute, averaged over each hour: all tasks' utilization, or all requests."""
    if measured == ALB_REQUESTS:
        requests = metrics.metric(ALB_NAMESPACE, ALB_REQUESTS, target_group)
        return _hours(_points(view, requests, "Sum", begin, end, now), begin, end, POINTS_MIN)
    sums = _points(view, _of_service(resource_id, measured), "Sum", begin, end, now)
    return _hours(((at, value / SAMPLES_A_MINUTE) for at, value in sums), begin, end, POINTS_MIN)


def _of_service(resource_id: str, name: str) -> metrics.Metric:
    names = scaling_names.service_of(resource_id)
    assert names is not None, f"{resource_id} is no service"
    return ecs_metrics.metric(name, *names)


def _points(
    view: series.SeriesView, metric: metrics.Metric, statistic: str, begin: float, end: float, now: float
) -> list[tuple[float, float]]:
    found = view.statistics(metric, None, begin, end, MINUTE_SECONDS, (statistic,), now)
    return [(point.timestamp, point.values[statistic]) for point in found]


def _computed(
    view: series.SeriesView, queries: tuple[alarms.MetricQuery, ...], begin: float, end: float, now: float
) -> Hours:
    compiled, watched = alarm_math.program_of(queries), alarm_math.watched(queries)
    try:
        (found,) = program.Run(compiled, view, begin, end, now).series(watched)
    except problems.MathError:
        return [None] * round((end - begin) / predictive.HOUR_SECONDS)
    return _hours(found.points.items(), begin, end)


def _hours(points: Iterable[tuple[float, float]], begin: float, end: float, points_min: int = 1) -> Hours:
    """The mean of the points of each hour that has so many."""
    sums = [0.0] * round((end - begin) / predictive.HOUR_SECONDS)
    counts = [0] * len(sums)
    for at, value in points:
        place = int((at - begin) // predictive.HOUR_SECONDS)
        if 0 <= place < len(sums):
            sums[place] += value
            counts[place] += 1
    return [value / count if count >= points_min else None for value, count in zip(sums, counts, strict=True)]
