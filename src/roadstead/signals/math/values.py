"""The values of expressions: scalars (floats; NaN stands for one that doesn't exist), series, arrays of series."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from roadstead.signals.math import problems

GRID_POINTS_MAX = 100_800
"""Periods of a range that a function may fill or number."""
POINTS_COMPUTED_MAX = 5_000_000
"""Points that all expressions of one request together may read or make."""

NOTHING = math.nan
"""A scalar that doesn't exist: the average of no point, a division by zero. What is computed with it has no points."""

Points = dict[float, float]


class Series(msgspec.Struct, frozen=True):
    """A time series: value by timestamp (the period's start), by ascending time. `label` tells it from others."""

    points: Points
    label: str = ""


Value = float | Series | tuple[Series, ...]


class Budget:
    """How many points a request has computed; `spend` raises MathError where they are too many."""

    def __init__(self, points: int = POINTS_COMPUTED_MAX) -> None:
        self._left = points
        self._whole = points

    def spend(self, points: int) -> None:
        """Note that as many points are read or made."""
        self._left -= points
        if self._left < 0:
            raise problems.MathError(
                f"The request computes more than {self._whole} data points; ask for a shorter range or longer periods"
            )


class Grid:
    """The periods of a range: `first`, and every `period_seconds` after it that starts before `until`."""

    def __init__(self, first: int, until: float, period_seconds: int) -> None:
        self._first = first
        self._count = max(0, math.ceil((until - first) / period_seconds))
        self.period_seconds = period_seconds

    def starts(self, budget: Budget) -> list[float]:
        """The start of each period. Raises MathError where they are too many."""
        if self._count > GRID_POINTS_MAX:
            raise problems.MathError(f"The range has more than {GRID_POINTS_MAX} periods; ask for longer ones")
        budget.spend(self._count)
        return [float(self._first + number * self.period_seconds) for number in range(self._count)]


def moments(every: Iterable[Series]) -> list[float]:
    """The timestamps at which any of the series has a point, ascending."""
    given = list(every)
    if not given:
        return []
    keys = given[0].points.keys()
    if all(one.points.keys() == keys for one in given[1:]):
        return list(keys)
    return sorted(set().union(*(one.points for one in given)))


def finite(points: Iterable[tuple[float, float]]) -> Points:
    """The points whose value exists; a negative zero is a zero."""
    return {moment: value + 0.0 for moment, value in points if math.isfinite(value)}
