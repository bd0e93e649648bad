"""An alarm's verdict in words and as data: StateReason and StateReasonData (behaviour.md 2.6.4).

The wording is CloudWatch's, as seen in alarm notifications. Where DatapointsToAlarm was given it counts "out of the
last" and names the minimum; where it was not, it is the shorter form.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Sequence

import msgspec

from roadstead.signals import alarm_evaluation

INITIAL = "Unchecked: Initial alarm creation"
"""The reason of a new alarm."""
MOMENTS_KEPT_MAX = 1024
"""Moments that are kept as text: alarms on one metric tell of the same data points again and again."""

_WORDS: dict[alarm_evaluation.Comparison, str] = {
    "GreaterThanOrEqualToThreshold": "greater than or equal to",
    "GreaterThanThreshold": "greater than",
    "LessThanThreshold": "less than",
    "LessThanOrEqualToThreshold": "less than or equal to",
}
_TREATED: dict[alarm_evaluation.Missing, str] = {"breaching": "Breaching", "notBreaching": "NonBreaching"}


class _Evaluated(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    timestamp: str
    sample_count: float | None = None
    value: float | None = None


class _ReasonData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    version: str
    query_date: str
    start_date: str | None = None
    unit: str | None = None
    statistic: str | None = None
    period: int
    recent_datapoints: list[float]
    threshold: float
    evaluated_datapoints: list[_Evaluated]


def describe(rule: alarm_evaluation.Rule, verdict: alarm_evaluation.Evaluation) -> str:
    """StateReason for a verdict that changes the state."""
    if verdict.state == "INSUFFICIENT_DATA":
        unknown = rule.evaluation_periods
        return f"Insufficient Data: {_count(unknown, 'datapoint')} {_were(unknown)} unknown."
    alarms = verdict.state == "ALARM"
    filled = _filled(rule, verdict)
    if not verdict.used and verdict.filled:
        periods = _count(rule.evaluation_periods, "period")
        return f"Threshold Crossed: no datapoints were received for {periods} and {filled}."
    shown = [
        point
        for point in verdict.used
        if alarm_evaluation.breaches(rule.comparison, point.value, rule.threshold) is alarms
    ]
    if not shown:
        return f"Threshold Crossed: {filled}."
    listed = ", ".join(f"{float(point.value)!r} ({_short(point.timestamp)})" for point in shown)
    sense = f"{'' if alarms else 'not '}{_WORDS[rule.comparison]} the threshold ({float(rule.threshold)!r})"
    tail = f" and {filled}" if filled else ""
    if rule.datapoints_to_alarm is None:
        amount = _count(len(shown), "datapoint")
        return f"Threshold Crossed: {amount} [{listed}] {_were(len(shown))} {sense}{tail}."
    least = rule.needed if alarms else rule.evaluation_periods - rule.needed + 1
    move = "OK -> ALARM" if alarms else "ALARM -> OK"
    return (
        f"Threshold Crossed: {len(shown)} out of the last {len(verdict.used) + verdict.filled} datapoints [{listed}] "
        f"{_were(len(shown))} {sense}{tail} (minimum {_count(least, 'datapoint')} for {move} transition)."
    )


def describe_data(
    rule: alarm_evaluation.Rule,
    verdict: alarm_evaluation.Evaluation,
    span: alarm_evaluation.Window,
    *,
    statistic: str | None,
    unit: str | None,
    now: float,
) -> str:
    """StateReasonData: the figures behind the verdict, as JSON. `statistic` is None for alarms on metric
    math, whose values have no count of samples.
    """
    used = {point.timestamp: point for point in verdict.used}
    evaluated: list[_Evaluated] = []
    for age, start in enumerate(span.starts, start=1):
        point = used.get(start)
        if point is not None:
            samples = float(point.sample_count) if statistic is not None else None
            evaluated.append(_Evaluated(_long(start), samples, float(point.value)))
        elif age <= rule.evaluation_periods:
            evaluated.append(_Evaluated(_long(start)))
    return msgspec.json.encode(
        _ReasonData(
            version="1.0",
            query_date=_long(now),
            start_date=_long(verdict.used[-1].timestamp) if verdict.used else None,
            unit=unit,
            statistic=statistic,
            period=rule.period_seconds,
            recent_datapoints=_oldest_first(verdict.used),
            threshold=float(rule.threshold),
            evaluated_datapoints=evaluated,
        )
    ).decode()


def _oldest_first(used: Sequence[alarm_evaluation.Datapoint]) -> list[float]:
    return [float(point.value) for point in reversed(used)]


def _filled(rule: alarm_evaluation.Rule, verdict: alarm_evaluation.Evaluation) -> str:
    if not verdict.filled:
        return ""
    missing = _count(verdict.filled, "missing datapoint")
    return f"{missing} {_were(verdict.filled)} treated as [{_TREATED[rule.treat_missing]}]"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


@functools.lru_cache(maxsize=MOMENTS_KEPT_MAX)
def _long(timestamp: float) -> str:
    moment = datetime.datetime.fromtimestamp(timestamp, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "+0000")


def _short(timestamp: float) -> str:
    """As `31/12/26 23:59:59`."""
    text = _long(timestamp)
    return f"{text[8:10]}/{text[5:7]}/{text[2:4]} {text[11:19]}"
