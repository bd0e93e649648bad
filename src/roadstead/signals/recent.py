"""The newest periods of one metric as alarms read them, kept from look to look.

Alarms look again and again at a window that slides by one period, over data that come once a period. A `Recent` keeps
what each period came to; `series.SeriesStore.window` reads from it, computes the periods that are new to it, and has
it `forget` each period into which late data fall or whose bins age. So a look costs one period instead of all, and a
look at an unchanged window nothing. It is a cache alone: a window is the same without it.
"""

from __future__ import annotations

from collections.abc import Mapping

from roadstead.signals import alarm_evaluation, bins, percentiles, retention

PERIODS_MAX = 512
"""Periods of one window that are kept, counting each minute at which one may begin; longer windows are read afresh."""
PERIODS_MIN = 8
"""Shorter windows, of a minute a period and more, aren't kept."""
KINDS_MAX = 16
"""Statistics (with their unit and period) of one metric that are kept at a time."""
UNREAD_SECONDS_MAX = 2 * 3600.0
"""What nobody has read for so long is let go; the longest pause between two looks of an alarm is an hour."""

Points = tuple[alarm_evaluation.Datapoint | None, ...]


def is_kept(span: alarm_evaluation.Window) -> bool:
    """Whether the periods of such a window are kept: it is worth it, and they are not too many.

    Windows below a minute are looked at more often than they move. Of the others a few periods are read as fast anew.
    """
    period = span.period_seconds
    if period >= retention.MINUTE and span.count < PERIODS_MIN:
        return False
    return span.end - span.start <= PERIODS_MAX * min(period, retention.MINUTE)


def points(span: alarm_evaluation.Window, statistic: percentiles.Statistic, periods: Mapping[int, bins.Bin]) -> Points:
    """The data points of a window, newest first; `periods` has the samples by their number from its start on."""
    count = (int(span.end) - int(span.start)) // span.period_seconds
    readable = [_point(at, statistic, periods.get(count - age)) for age, at in enumerate(span.range[:count], start=1)]
    return (*readable, *(None,) * (span.count - count))


def _point(at: int, statistic: percentiles.Statistic, samples: bins.Bin | None) -> alarm_evaluation.Datapoint | None:
    value = percentiles.compute(statistic, samples) if samples is not None else None
    if samples is None or value is None:
        return None
    return alarm_evaluation.Datapoint(float(at), value, samples.count)


class Recent:
    """The data points of one statistic of one metric, by the moment at which their period starts; None: no data."""

    __slots__ = ("_room", "frontier", "period_seconds", "points", "read_at", "windows")

    def __init__(self, period_seconds: int) -> None:
        self.period_seconds = period_seconds
        self.points: dict[int, alarm_evaluation.Datapoint | None] = {}
        self.windows: dict[int, tuple[alarm_evaluation.Window, Points]] = {}
        """The newest window of each length."""
        self.frontier: float = float("-inf")
        """Where the newest period ends that was ever kept: data from there on change nothing here."""
        self.read_at = 0.0
        self._room = 0

    def window(self, span: alarm_evaluation.Window, now: float) -> Points | None:
        """The data points of a window, newest first; None where one of its periods isn't known."""
        self.read_at = now
        if span.end > self.frontier:
            return None
        newest = self.windows.get(span.count)
        if newest is not None and newest[0] == span:
            return newest[1]
        points, start = self.points, span.start
        try:
            if span.is_clipped:
                found: Points = tuple([points[at] if at >= start else None for at in span.range])
            else:
                found = tuple([points[at] for at in span.range])
        except KeyError:
            return None
        self.windows[span.count] = (span, found)
        return found

    def begin(self, span: alarm_evaluation.Window) -> int:
        """Where the oldest period of a window starts that isn't known; one isn't. Lets go what no window needs."""
        if len(self.points) > self._room:
            reach = max([span.reach_seconds, *(other.reach_seconds for other, _ in self.windows.values())])
            self.points = {at: point for at, point in self.points.items() if at >= span.end - reach}
            self._room = 2 * max(len(self.points), span.count)
        known, start = self.points, span.start
        return [at for at in span.range if at not in known and at >= start][-1]

    def learn(
        self,
        start: int,
        span: alarm_evaluation.Window,
        statistic: percentiles.Statistic,
        periods: Mapping[int, bins.Bin],
    ) -> None:
        """All periods of a window from `start` on; `periods` has the samples by their number from there."""
        for number, at in enumerate(range(start, int(span.end), self.period_seconds)):
            self.points[at] = _point(at, statistic, periods.get(number))
        self.frontier = max(self.frontier, span.end)

    def forget(self, start: float, end: float) -> None:
        """What lies in [start, end) has changed."""
        length = self.period_seconds
        stale = [at for at in self.points if at < end and at + length > start]
        for at in stale:
            del self.points[at]
        if stale:
            self.windows.clear()
