"""Whether an alarm is in ALARM, OK or INSUFFICIENT_DATA, from its newest data points (behaviour.md 2.6.2, 2.6.3).

The caller asks `window` what to read at `now`, reads it from the series, lines it up with `datapoints`, and gives it
to `evaluate` with the alarm's present state. Words for the outcome are in `alarm_reasons`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, assert_never

import msgspec

from roadstead.signals import percentiles, retention

State = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
Missing = Literal["missing", "ignore", "breaching", "notBreaching"]
Comparison = Literal[
    "GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanThreshold", "LessThanOrEqualToThreshold"
]

EXTRA_DATAPOINTS = 2
"""How many more data points than evaluation periods are looked at: R = N + 2 (behaviour.md 2.6.3)."""
FINE_EVALUATION_SECONDS = 10
"""Alarms with a period below a minute are evaluated this often."""
IGNORES_MISSING = "AWS/DynamoDB"
"""Alarms on this namespace always ignore missing data."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What an alarm compares. `datapoints_to_alarm` (M) is None where it was not given: then it is N.

    `percentile` is set for alarms on pNN; with `ignores_few_samples` (EvaluateLowSampleCountPercentile = ignore)
    the state stays while samples are too few for it.
    """

    period_seconds: int
    evaluation_periods: int
    comparison: Comparison
    threshold: float
    datapoints_to_alarm: int | None = None
    treat_missing: Missing = "missing"
    percentile: float | None = None
    ignores_few_samples: bool = False

    @property
    def needed(self) -> int:
        """M: how many data points must breach."""
        return self.evaluation_periods if self.datapoints_to_alarm is None else self.datapoints_to_alarm

    @property
    def looked_at(self) -> int:
        """R: how many periods are read."""
        return self.evaluation_periods + EXTRA_DATAPOINTS


class Datapoint(msgspec.Struct, frozen=True, gc=False):
    """The alarm's statistic over one period, which starts at `timestamp`; None stands for a missing one."""

    timestamp: float
    value: float
    sample_count: float = 1.0


class Window(msgspec.Struct, frozen=True, gc=False):
    """The `count` periods that end at `end` (exclusive), to be read from `start` on (inclusive)."""

    start: float
    end: float
    period_seconds: int
    count: int

    @property
    def range(self) -> range:
        """Where each period starts, newest first."""
        end, period = int(self.end), self.period_seconds
        return range(end - period, end - period * self.count - 1, -period)

    @property
    def starts(self) -> tuple[float, ...]:
        """Where each period starts, newest first."""
        return tuple(map(float, self.range))

    @property
    def reach_seconds(self) -> int:
        """From where its oldest period starts to its end."""
        return self.period_seconds * self.count

    @property
    def is_clipped(self) -> bool:
        """Whether its oldest periods are too old to be read."""
        return self.start > self.end - self.reach_seconds


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict: the new state, and what it was formed from.

    `used` are the real data points that counted, newest first, `filled` how many missing ones were treated as
    `treat_missing` says. `kept_because` is set where the state is kept although data were looked at.
    """

    state: State
    used: tuple[Datapoint, ...]
    breaching: int
    filled: int
    kept_because: Literal["", "few_samples", "missing_data"] = ""


def treatment(treat_missing: Missing, namespace: str | None) -> Missing:
    """How missing data count for an alarm on a metric of this namespace."""
    return "ignore" if namespace == IGNORES_MISSING else treat_missing


_BREACHES: dict[Comparison, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


def breaches(comparison: Comparison, value: float, threshold: float) -> bool:
    """Whether a value (the left operand) is on the alarm's side of the threshold."""
    return _BREACHES[comparison](value, threshold)


def evaluate(rule: Rule, points: Sequence[Datapoint | None], state: State) -> Evaluation:
    """The verdict over `points`, newest first, one for each period of the window (behaviour.md 2.6.3).

    AWS publishes two tables of outcomes; this is the rule that gives all their rows. Points beyond the window's
    `looked_at` are not taken into account.
    """
    looked_at = points[: rule.looked_at]
    periods, needed = rule.evaluation_periods, rule.needed
    reals = [point for point in looked_at if point is not None]
    used = tuple(reals[:periods])
    is_breaching, threshold = _BREACHES[rule.comparison], rule.threshold
    breaching = sum([is_breaching(point.value, threshold) for point in used])
    missing = periods - len(used)
    if rule.ignores_few_samples and _has_few_samples(rule, reals):
        return Evaluation(state=state, used=used, breaching=breaching, filled=0, kept_because="few_samples")
    if not missing:
        return Evaluation(state="ALARM" if breaching >= needed else "OK", used=used, breaching=breaching, filled=0)

    def verdict(reached: State, filled: int = 0) -> Evaluation:
        return Evaluation(state=reached, used=used, breaching=breaching, filled=filled)

    match rule.treat_missing:
        case "breaching":
            return verdict("ALARM" if breaching + missing >= needed else "OK", missing)
        case "notBreaching":
            return verdict("ALARM" if breaching >= needed else "OK", missing)
        case "missing" | "ignore":
            pass
        case _:
            assert_never(rule.treat_missing)
    if not reals and rule.treat_missing == "missing":
        return verdict("INSUFFICIENT_DATA")
    if reals and breaching >= needed:
        return verdict("ALARM")
    if breaching < len(reals):
        return verdict("OK")  # a real data point does not breach
    # All that is there breaches, and it is too little. "Premature": the oldest of them is M periods old already.
    oldest = max((age for age, point in enumerate(looked_at, start=1) if point is not None), default=0)
    if rule.treat_missing == "missing" and oldest >= needed:
        return verdict("ALARM")
    return Evaluation(state=state, used=used, breaching=breaching, filled=0, kept_because="missing_data")


def moves_until_news(rule: Rule, points: Sequence[Datapoint | None], state: State) -> int:
    """By how many periods the window must move before `evaluate` may find another state than `state`; at least one.

    `points` are those of the window now, newest first. Whatever comes, or doesn't, for the periods that are new to the
    window by then, the state is the same before; data points that stay in the window don't change. It is a lower bound:
    sharp for alarms at rest, OK with newest data points that don't breach; all others may find news at once.
    """
    if state != "OK":
        return 1
    periods, needed = rule.evaluation_periods, rule.needed
    is_breaching, threshold = _BREACHES[rule.comparison], rule.threshold
    good: list[tuple[int, int]] = []  # age and place among the real ones of those that don't breach
    breaching = place = 0
    for age, point in enumerate(points[: rule.looked_at], start=1):
        if point is None:
            continue
        place += 1
        if is_breaching(point.value, threshold):
            breaching += 1
        else:
            good.append((age, place))
    # An ALARM has `needed` breaching data points among the newest `periods`: so many good ones are pushed out by then,
    # and so many bad ones have come. A missing one may count as bad, and drop a good one out of what is looked at.
    spare = periods - needed
    moves = periods + 1 - good[spare][1] if len(good) > spare else 1
    if rule.treat_missing == "breaching":
        return max(min(moves, rule.looked_at + 1 - good[spare][0]) if len(good) > spare else 1, 1)
    moves = max(moves, needed - breaching, 1)
    if rule.treat_missing != "missing":
        return moves
    # While a good one is looked at, data aren't insufficient, and too few bad ones are no ALARM before their time.
    return min(moves, max(rule.looked_at + 1 - good[0][0], 1)) if good else 1


def _has_few_samples(rule: Rule, reals: Sequence[Datapoint]) -> bool:
    """Whether the newest data point has too few samples for the alarm's percentile (behaviour.md 2.3).

    AWS: "the alarm state does not change during periods with too few data points"; we take the newest one's period.
    """
    if rule.percentile is None or not reals:
        return False
    return reals[0].sample_count < percentiles.significant_samples(rule.percentile)


# -- when


def evaluation_interval(period_seconds: int, evaluation_periods: int) -> int:
    """How many seconds lie between two evaluations (behaviour.md 2.6.2)."""
    if period_seconds < retention.MINUTE:
        return FINE_EVALUATION_SECONDS
    if period_seconds * evaluation_periods > retention.DAY:
        return retention.HOUR
    return retention.MINUTE


def next_evaluation_at(period_seconds: int, evaluation_periods: int, now: float) -> float:
    """The first moment after `now` at which the alarm is to be evaluated: on the full 10 s, minute or hour."""
    interval = evaluation_interval(period_seconds, evaluation_periods)
    return (now // interval + 1.0) * interval


def window(rule: Rule, now: float) -> Window:
    """The periods to read at `now`: the newest `looked_at` of those that ended at or before it (behaviour.md 2.6.2).

    From a minute on they slide by a minute (by an hour where N periods exceed a day); below, they lie on that
    division of the minute.
    """
    period = rule.period_seconds
    is_fine = period < retention.MINUTE
    slide = period if is_fine else evaluation_interval(period, rule.evaluation_periods)
    end = int(now // slide) * slide
    count = rule.looked_at
    start = end - period * count
    while is_fine and now - start > retention.GRAINS[0].keep_seconds:
        start += period  # finer data live for three hours; a read from further back would have no data points (2.4)
    return Window(float(start), float(end), period, count)


def datapoints(span: Window, read: Iterable[tuple[float, float, float]]) -> tuple[Datapoint | None, ...]:
    """The window's data points, newest first, from (period start, value, sample count) in any order."""
    by_start = {timestamp: Datapoint(timestamp, value, sample_count) for timestamp, value, sample_count in read}
    return tuple(by_start.get(start) for start in span.starts)
