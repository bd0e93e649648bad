"""Recorded traffic, wherever it comes from: moments and rates, checked as they are added and small in memory.

A rate holds from its moment until the next one; what is missing in between is not made up, but told in `notes`.
"""

from __future__ import annotations

import array
import bisect
import itertools
import math
import statistics
from collections.abc import Sequence

import msgspec

from roadstead.lab import problems, spans

POINTS_MAX = 3_000_000
GAP_PERIODS = 5
"""A gap of more than so many usual distances is told."""
GAPS_TOLD_MAX = 3
MILLISECONDS_FROM = 1e11
"""Numbers as large as this are milliseconds since 1970, smaller ones seconds."""


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """Moments (epoch seconds, rising) and the rate from each on."""

    moments: Sequence[float]
    rates: Sequence[float]
    usual_seconds: float
    """The usual distance of two moments."""
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How long it is: the last rate holds for the usual distance."""
        return self.moments[-1] - self.moments[0] + self.usual_seconds

    def rate_at(self, moment: float) -> float:
        """The rate that holds at a moment; the first one before all, the last one after all."""
        return self.rates[max(0, bisect.bisect_right(self.moments, moment) - 1)]


class Builder:
    """Takes points in the order in which `file` has them: rising moments, or falling ones (newest first)."""

    def __init__(self, file: str, period_seconds: float | None = None) -> None:
        """With a period what is added are sums over it, and rates are made of them."""
        self._file = file
        self._per = period_seconds or 1.0
        self._moments = array.array("d")
        self._rates = array.array("d")
        self._lines = array.array("L")

    def add(self, moment: object, rate: object, line: int = 0) -> None:
        """A point; `line` is where it stands, 0 where there are no lines. Raises problems.Invalid."""
        if len(self._moments) >= POINTS_MAX:
            raise self._wrong(f"more than {POINTS_MAX:,} data points: make them coarser", line)
        try:
            self._moments.append(read_moment(moment))
            self._rates.append(read_rate(rate) / self._per)
            self._lines.append(line)
        except ValueError as problem:
            raise self._wrong(str(problem), line) from None

    def done(self, gaps_of: str) -> Recording:
        """All of it; `gaps_of` is what notes call it. Raises problems.Invalid."""
        moments, rates, lines = self._moments, self._rates, self._lines
        if not moments:
            raise problems.Invalid("there is no data point in it", file=self._file)
        is_falling = moments[0] > moments[-1]
        if is_falling:
            for one in (moments, rates, lines):
                one.reverse()
        for place in range(1, len(moments)):
            if moments[place] <= moments[place - 1]:
                raise self._disorder(place - 1 if is_falling else place, place, is_falling)
        steps = array.array("d", (after - before for before, after in itertools.pairwise(moments)))
        usual = statistics.median(steps) if steps else 60.0
        return Recording(moments=moments, rates=rates, usual_seconds=usual, notes=_gaps(moments, steps, usual, gaps_of))

    def _disorder(self, told: int, place: int, is_falling: bool) -> problems.Invalid:
        moments = self._moments
        shown = spans.show_moment(moments[told])
        if moments[place] == moments[place - 1]:
            what = f"{shown} stands in it twice: one series is needed, so choose one, or add them up"
        else:
            other = "later than the line before" if is_falling else "earlier than the line before"
            what = f"{shown} is {other}: sort it by time (two series in one file? a clock that was set back?)"
        return self._wrong(what, self._lines[told])

    def _wrong(self, what: str, line: int) -> problems.Invalid:
        return problems.Invalid(what, file=self._file, line=line or None)


def _gaps(moments: Sequence[float], steps: Sequence[float], usual: float, name: str) -> tuple[str, ...]:
    found = [place for place, step in enumerate(steps) if step > GAP_PERIODS * usual]
    told = [
        f"{name} has nothing for {spans.show_span(steps[place])} from {spans.show_moment(moments[place])} UTC on: "
        "its last rate holds"
        for place in found[:GAPS_TOLD_MAX]
    ]
    if len(found) > GAPS_TOLD_MAX:
        told.append(f"{name} has {len(found) - GAPS_TOLD_MAX} more gaps")
    return tuple(told)


def read_moment(given: object) -> float:
    """Epoch seconds from a number (seconds or milliseconds since 1970) or ISO 8601. Raises ValueError."""
    try:
        number = float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return spans.parse_moment(given.strip() if isinstance(given, str) else given)
    moment = number / 1000.0 if abs(number) >= MILLISECONDS_FROM else number
    if not 0.0 <= moment < MILLISECONDS_FROM:
        raise ValueError(f"{given!r} is no moment: seconds or milliseconds since 1970, or 2026-01-05T00:00:00Z")
    return moment


def read_rate(given: object) -> float:
    """A rate from a number or its text. Raises ValueError."""
    try:
        rate = float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        rate = math.nan
    if not 0.0 <= rate < math.inf:
        raise ValueError(f"{given!r} is no rate: a number that isn't negative is needed")
    return rate
