"""PutMetricAlarm's configuration: checked, and made into the alarm's spec (behaviour.md 2.6.1)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from roadstead.api.cloudwatch import common, metric_queries
from roadstead.base import arn
from roadstead.base import scope as scopes
from roadstead.control import alarm_math
from roadstead.model import alarms
from roadstead.signals import alarm_evaluation, percentiles, retention
from roadstead.signals.math import problems

WINDOW_SECONDS_MAX = 7 * retention.DAY
"""How far EvaluationPeriods x Period may reach back, with a period of an hour or more."""
SHORT_WINDOW_SECONDS_MAX = retention.DAY
"""The same with a shorter period."""
COMPARISONS: tuple[alarm_evaluation.Comparison, ...] = (
    "GreaterThanOrEqualToThreshold",
    "GreaterThanThreshold",
    "LessThanThreshold",
    "LessThanOrEqualToThreshold",
)
SAME_DIMENSION = "No Metric may specify the same dimension twice."
BESIDE_NO_METRICS = (
    "Namespace", "MetricName", "Dimensions", "Period", "Unit", "Statistic", "ExtendedStatistic",
    "EvaluateLowSampleCountPercentile",
)  # fmt: skip
"""Members that say what an alarm on one metric watches."""
TREATMENTS = ("breaching", "notBreaching", "ignore", "missing")
LOW_SAMPLES = ("evaluate", "ignore")
_SCALING_POLICY = re.compile(
    r"scalingPolicy:[^:]+:resource/(ecs/service/[^/:]+/[^/:]+|custom-resource/https?://.+)"
    r":policyName/[^:]+(:createdBy/[^:]+)?"
)


def spec_of(params: Any, scope: scopes.Scope) -> alarms.AlarmSpec:
    """The spec that PutMetricAlarm's parameters describe. Raises Refusal (ValidationError) where they don't."""
    queries: tuple[alarms.MetricQuery, ...] = ()
    if params.Metrics:
        queries = _queries_of(params)
        period = _period_of(queries)
    else:
        _check_metric(params)
        period = params.Period
    _check_comparison(params)
    _check_windows(period, params.EvaluationPeriods, params.DatapointsToAlarm)
    _check_option(params.TreatMissingData, TREATMENTS, "TreatMissingData")
    _check_option(params.EvaluateLowSampleCountPercentile, LOW_SAMPLES, "EvaluateLowSampleCountPercentile")
    return alarms.AlarmSpec(
        namespace=params.Namespace,
        metric_name=params.MetricName,
        dimensions=_dimensions(params.Dimensions),
        metrics=queries,
        statistic=params.Statistic,
        extended_statistic=params.ExtendedStatistic,
        unit=params.Unit,
        period_seconds=period,
        evaluation_periods=params.EvaluationPeriods,
        datapoints_to_alarm=params.DatapointsToAlarm,
        threshold=params.Threshold,
        comparison_operator=params.ComparisonOperator,
        treat_missing_data=params.TreatMissingData,
        evaluate_low_sample_count_percentile=params.EvaluateLowSampleCountPercentile,
        description=params.AlarmDescription,
        actions_enabled=params.ActionsEnabled is not False,
        ok_actions=_actions(params.OKActions, scope),
        alarm_actions=_actions(params.AlarmActions, scope),
        insufficient_data_actions=_actions(params.InsufficientDataActions, scope),
    )


def _dimensions(given: Any) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((each.Name, each.Value) for each in given or ()))


def _check_metric(params: Any) -> None:
    if params.MetricName is None or params.Namespace is None:
        raise common.validation("MetricName and Namespace must be specified for an alarm on a metric.")
    if common.has_duplicates(_dimensions(params.Dimensions)):
        raise common.validation(SAME_DIMENSION)
    _check_statistic(params)


def _queries_of(params: Any) -> tuple[alarms.MetricQuery, ...]:
    """The metric math of the alarm, each of its queries checked."""
    for name in BESIDE_NO_METRICS:
        if getattr(params, name) not in (None, []):
            raise common.validation(
                f"The parameters Metrics and {name} are mutually exclusive and you have specified both."
            )
    for number, query in enumerate(params.Metrics, start=1):
        metric_queries.check_query(query, f"Metrics.member.{number}")
        if query.MetricStat is not None and common.has_duplicates(_dimensions(query.MetricStat.Metric.Dimensions)):
            raise common.validation(SAME_DIMENSION)
    return tuple(metric_queries.query_of(query) for query in params.Metrics)


def _period_of(queries: tuple[alarms.MetricQuery, ...]) -> int:
    try:
        return alarm_math.check(queries)
    except problems.MathError as problem:
        raise common.validation(problem.text) from None


def _check_statistic(params: Any) -> None:
    if (params.Statistic is None) == (params.ExtendedStatistic is None):
        raise common.validation("Exactly one of Statistic and ExtendedStatistic must be specified.")
    if params.ExtendedStatistic is not None:
        parsed = percentiles.parse(params.ExtendedStatistic)
        if parsed is None or not parsed.is_extended:
            text = f"The value {params.ExtendedStatistic} for parameter ExtendedStatistic is not supported."
            raise common.validation(text)


def _check_comparison(params: Any) -> None:
    if params.ComparisonOperator is None:
        raise common.validation("ComparisonOperator must be specified.")
    if params.ComparisonOperator not in COMPARISONS:
        raise common.validation(
            f"Roadstead does not support anomaly detection yet, so not the ComparisonOperator "
            f"{params.ComparisonOperator}; see docs/operations.md."
        )
    if params.Threshold is None:
        raise common.validation("Threshold must be specified for an alarm with a static threshold.")
    if not math.isfinite(params.Threshold):
        raise common.validation("Threshold must be a finite number.")


def _check_windows(period: int | None, periods: int | None, datapoints: int | None) -> None:
    if period is None:
        raise common.validation("Period must be specified for an alarm on a metric.")
    if periods is None:
        raise common.validation("EvaluationPeriods must be specified.")
    if period not in alarm_math.FINE_PERIODS_SECONDS and period % retention.MINUTE:
        raise common.validation("Period must be 10, 20, 30 or a multiple of 60")
    if datapoints is not None and datapoints > periods:
        raise common.validation("DatapointsToAlarm must be less than or equal to EvaluationPeriods")
    if period < retention.HOUR and period * periods > SHORT_WINDOW_SECONDS_MAX:
        raise common.validation(
            "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400) "
            "for alarms using period < 3600"
        )
    if period * periods > WINDOW_SECONDS_MAX:
        raise common.validation(
            "Metrics cannot be checked across more than a week (EvaluationPeriods * Period must be <= 604800) "
            "for alarms using period >= 3600"
        )


def _check_option(value: str | None, options: Sequence[str], name: str) -> None:
    if value is not None and value not in options:
        raise common.validation(
            f"The value {value} is not supported for {name} parameter. Supported values are [{', '.join(options)}]."
        )


def _actions(given: Sequence[str] | None, scope: scopes.Scope) -> tuple[str, ...]:
    """The actions, each of which must be one that this server can run: else it would be ignored without a word."""
    for action in given or ():
        parsed = arn.parse(action)
        if parsed is None:
            raise common.validation(f"Invalid arn syntax: {action}")
        if parsed.service != "autoscaling" or _SCALING_POLICY.fullmatch(parsed.resource) is None:
            raise common.validation(
                f"Roadstead can not run the alarm action {action} yet: only scaling policies of ECS services "
                "(arn:aws:autoscaling:…:scalingPolicy:…:resource/ecs/service/…), and of custom resources; see "
                "docs/operations.md."
            )
        if parsed.region != scope.region:
            raise common.validation(f"Invalid region {parsed.region} specified. Only {scope.region} is supported.")
        if parsed.account != scope.account:
            raise common.validation(f"Invalid account {parsed.account} specified. Only {scope.account} is supported.")
    return tuple(given or ())
