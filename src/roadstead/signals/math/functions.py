"""The functions that need nothing but their arguments (behaviour.md 2.5)."""

from __future__ import annotations

import datetime
import itertools
import math
from collections.abc import Callable, Sequence

from roadstead.signals.math import values

Map = Callable[[values.Points], values.Points]
Fold = Callable[[Sequence[float]], float]


def _each(compute: Callable[[float], float]) -> Map:
    return lambda points: values.finite((moment, compute(value)) for moment, value in points.items())


def _logarithm(compute: Callable[[float], float]) -> Callable[[float], float]:
    return lambda value: compute(value) if value > 0.0 else math.nan


def _pairwise(compute: Callable[[float, float], float]) -> Map:
    """`compute(difference of values, seconds between them)` of each point and the one before it; the first has none."""

    def points_of(points: values.Points) -> values.Points:
        found = list(points.items())
        return values.finite(
            (moment, compute(value - earlier, moment - before))
            for (before, earlier), (moment, value) in itertools.pairwise(found)
        )

    return points_of


def _running_sum(points: values.Points) -> values.Points:
    total = 0.0
    found: list[tuple[float, float]] = []
    for moment, value in points.items():
        total += value
        found.append((moment, total))
    return values.finite(found)


MAPS: dict[str, Map] = {
    "ABS": _each(abs),
    "CEIL": _each(lambda value: float(math.ceil(value))),
    "FLOOR": _each(lambda value: float(math.floor(value))),
    "LOG": _each(_logarithm(math.log)),
    "LOG10": _each(_logarithm(math.log10)),
    "DIFF": _pairwise(lambda difference, _seconds: difference),
    "DIFF_TIME": _pairwise(lambda _difference, seconds: seconds),
    "RATE": _pairwise(lambda difference, seconds: difference / seconds),
    "RUNNING_SUM": _running_sum,
}


def _average(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else values.NOTHING


def _deviation(numbers: Sequence[float]) -> float:
    """The standard deviation of the whole population; AWS doesn't say which."""
    mean = _average(numbers)
    if not math.isfinite(mean):
        return values.NOTHING
    squares = sum((number - mean) * (number - mean) for number in numbers)
    return math.sqrt(squares / len(numbers)) if math.isfinite(squares) else values.NOTHING


FOLDS: dict[str, Fold] = {
    "AVG": _average,
    "MAX": lambda numbers: max(numbers, default=values.NOTHING),
    "MIN": lambda numbers: min(numbers, default=values.NOTHING),
    "SUM": lambda numbers: float(sum(numbers)),
    "STDDEV": _deviation,
    "DATAPOINT_COUNT": lambda numbers: float(len(numbers)),
}


def fold(name: str, value: values.Series | tuple[values.Series, ...], budget: values.Budget) -> float | values.Series:
    """Of a series a scalar over all its points; of an array a series, moment by moment."""
    compute = FOLDS[name]
    if isinstance(value, values.Series):
        budget.spend(len(value.points))
        result = compute(list(value.points.values()))
        return result if math.isfinite(result) else values.NOTHING
    budget.spend(sum(len(one.points) for one in value))
    by_moment: dict[float, list[float]] = {moment: [] for moment in values.moments(value)}
    for one in value:
        for moment, number in one.points.items():
            by_moment[moment].append(number)
    if name == "AVG":  # a missing value counts as 0: all series divide
        count = len(value)
        return values.Series(values.finite((moment, sum(found) / count) for moment, found in by_moment.items()))
    return values.Series(values.finite((moment, compute(found)) for moment, found in by_moment.items()))


def _of_date(figure: Callable[[datetime.datetime], int]) -> Callable[[float], float]:
    def compute(moment: float) -> float:
        try:
            return float(figure(datetime.datetime.fromtimestamp(moment, datetime.UTC)))
        except (OverflowError, ValueError, OSError):
            return math.nan  # beyond the calendar

    return compute


MOMENTS: dict[str, Callable[[float], float]] = {
    "MINUTE": _of_date(lambda date: date.minute),
    "HOUR": _of_date(lambda date: date.hour),
    "DAY": _of_date(lambda date: date.isoweekday()),
    "DATE": _of_date(lambda date: date.day),
    "MONTH": _of_date(lambda date: date.month),
    "YEAR": _of_date(lambda date: date.year),
    "EPOCH": lambda moment: moment,
}


def fill(points: values.Points, starts: Sequence[float], filling: float | values.Series | str) -> values.Points:
    """The points, and for each start that has none the scalar, the other series' point, the newest value before it
    (REPEAT), or one on the line between the gap's ends (LINEAR). What has no such value stays missing.
    """
    found = dict(points)
    gaps = [start for start in starts if start not in points]
    if isinstance(filling, float):
        found.update(values.finite((start, filling) for start in gaps))
    elif isinstance(filling, values.Series):
        found.update((start, filling.points[start]) for start in gaps if start in filling.points)
    else:
        found.update(_between(points, gaps, is_linear=filling == "LINEAR"))
    return {moment: found[moment] for moment in sorted(found)}


def _between(points: values.Points, gaps: Sequence[float], *, is_linear: bool) -> values.Points:
    moments = list(points)
    filled: list[tuple[float, float]] = []
    place = 0  # of the first point behind the gap
    for gap in gaps:
        while place < len(moments) and moments[place] < gap:
            place += 1
        if place == 0 or (is_linear and place == len(moments)):
            continue
        before = moments[place - 1]
        value = points[before]
        if is_linear:
            behind = moments[place]
            share = (gap - before) / (behind - before)
            value = value * (1.0 - share) + points[behind] * share
        filled.append((gap, value))
    return values.finite(filled)


def choose(
    condition: float | values.Series,
    yes: float | values.Series,
    no: float | values.Series | None,
    budget: values.Budget,
) -> values.Series:
    """IF. Moment by moment of a condition that is a series: a missing `yes` is 0, a missing `no` drops the point."""
    if isinstance(condition, float):
        taken = None if math.isnan(condition) else yes if condition else no
        assert not isinstance(taken, float), "kinds.check wants series behind a scalar condition"
        return values.Series(taken.points if taken is not None else {})
    budget.spend(len(condition.points))
    found: list[tuple[float, float]] = []
    for moment, decides in condition.points.items():
        if decides:
            found.append((moment, yes.points.get(moment, 0.0) if isinstance(yes, values.Series) else yes))
        elif isinstance(no, values.Series):
            if moment in no.points:
                found.append((moment, no.points[moment]))
        elif no is not None:
            found.append((moment, no))
    return values.Series(values.finite(found))


def sort(
    series: tuple[values.Series, ...], by: str, order: str, limit: float | None, budget: values.Budget
) -> tuple[values.Series, ...]:
    """The series by one figure of each; those without a point come last. With a limit, that many of them."""
    keyed: list[tuple[float, values.Series]] = []
    empty: list[values.Series] = []
    for one in series:
        figure = fold(by, one, budget)
        assert isinstance(figure, float), "a series folds to a scalar"
        if one.points and not math.isnan(figure):
            keyed.append((figure, one))
        else:
            empty.append(one)
    keyed.sort(key=lambda pair: pair[0], reverse=order == "DESC")
    found = (*(one for _, one in keyed), *empty)
    return found if limit is None else found[: place(limit)]


def place(number: float) -> int:
    """A scalar as a place in an array: none, or one before the first, is 0."""
    return max(0, int(number)) if math.isfinite(number) else 0
