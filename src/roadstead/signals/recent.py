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
KINDS_MAX = 16
"""Statistics (with their unit and period) of one metric that are kept at a time."""
UNREAD_SECONDS_MAX = 2 * 3600.0
"""What nobody has read for so long is let go; the longest pause between two looks of an alarm is an hour."""

Points = tuple[alarm_evaluation.Datapoint | None, ...]


def is_kept(span: alarm_evaluation.Window, now: float) -> bool:
    """Whether the periods of such a window are kept: there are not too many, and they can be read as they are."""
    period = span.period_seconds
    if span.end - span.start > PERIODS_MAX * min(period, retention.MINUTE):
        return False
    return now - span.start <= retention.GRAINS[1].keep_seconds and retention.period_is_readable(
        period, span.start, now
    )


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

    def first_unknown(self, span: alarm_evaluation.Window) -> int:
        """Where the oldest period of a window starts that isn't known; one isn't."""
        points, start = self.points, span.start
        return [at for at in span.range if at not in points and at >= start][-1]

    def learn(self, start: int, end: float, statistic: percentiles.Statistic, periods: Mapping[int, bins.Bin]) -> None:
        """All periods in [start, end), of which `periods` has the samples by their number from `start` on."""
        for number, at in enumerate(range(start, int(end), self.period_seconds)):
            samples = periods.get(number)
            value = percentiles.compute(statistic, samples) if samples is not None else None
            self.points[at] = (
                alarm_evaluation.Datapoint(float(at), value, samples.count)
                if samples is not None and value is not None
                else None
            )
        self.frontier = max(self.frontier, end)

    def forget(self, start: float, end: float) -> None:
        """What lies in [start, end) has changed."""
        length = self.period_seconds
        stale = [at for at in self.points if at < end and at + length > start]
        for at in stale:
            del self.points[at]
        if stale:
            self.windows.clear()

    def tidy(self, span: alarm_evaluation.Window) -> None:
        """Let go what lies before every window that is read, once that has become as much as they hold."""
        if len(self.points) <= self._room:
            return
        reach = max([span.reach_seconds, *(other.reach_seconds for other, _ in self.windows.values())])
        oldest = span.end - reach
        self.points = {at: point for at, point in self.points.items() if at >= oldest}
        self._room = 2 * len(self.points)
