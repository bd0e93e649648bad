"""Series written as `30 20 - 0` (a value a minute, `-` for none), and what an expression makes of them."""

from __future__ import annotations

from roadstead.signals import metrics, series
from roadstead.signals.math import program

START = 1_699_920_000.0
"""2023-11-14 00:00:00 UTC, a Tuesday."""
MINUTES = 5


def store_of(**given: str) -> series.SeriesStore:
    """A store with the metric of each name, from START on."""
    store = series.SeriesStore()
    for name, text in given.items():
        for number, value in enumerate(text.split()):
            if value != "-":
                datum = metrics.Datum(
                    metric=metrics.metric("Test", name), timestamp=START + 60 * number, values=(float(value),)
                )
                assert store.put(datum, START + 600)
    return store


def stat(name: str, period: int = 60) -> program.Query:
    return program.Query(
        id=name,
        stat=program.Stat(metric=metrics.metric("Test", name), statistic="Average", period_seconds=period),
    )


def run(expression: str, minutes: int = MINUTES, **given: str) -> program.Run:
    """The expression `x`, over the given metrics, compiled and ready to be read."""
    queries = (*map(stat, given), program.Query(id="x", expression=expression))
    return program.Run(
        program.compile_program(queries), store_of(**given), START, START + 60 * minutes, START + 60 * minutes
    )


def shown(points: dict[float, float], minutes: int) -> str:
    starts = [START + 60 * number for number in range(minutes)]
    assert set(points) <= set(starts)
    assert list(points) == sorted(points)
    return " ".join(f"{points[start]:.6g}" if start in points else "-" for start in starts)


def compute(expression: str, minutes: int | None = None, **given: str) -> list[str]:
    """The series of the expression, as they are written here; the range is as long as the longest given."""
    length = minutes or max((len(text.split()) for text in given.values()), default=MINUTES)
    return [shown(one.points, length) for one in run(expression, length, **given).series("x")]


def one(expression: str, minutes: int | None = None, **given: str) -> str:
    """The same of an expression that gives one series."""
    (found,) = compute(expression, minutes, **given)
    return found
