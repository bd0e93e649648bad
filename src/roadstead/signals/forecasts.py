"""Forecasts of a load from its hours (behaviour.md 1.6): a day's and a week's rhythm, and growth.

Pure, but slow: the first forecast of a process imports scikit-learn (a second, 170 MiB), each takes some 20 ms. So a
server computes them in another process (`app.forecaster`), and a simulation right where it needs them.

How. The logarithm of the load is a sum of effects: one for each hour of the day, and, once there is a week of
history, one for each day of the week, one for each hour of its quiet days (a weekend, whichever days that are), one for
each hour of the week, and growth. Ridge regression keeps those small
for which the data speak too little: an hour of the week that was seen twice is believed less than an hour of the day
that was seen fourteen times. Newer hours weigh more, and hours far from what the others say (a crowd that came once)
weigh less. Chosen by backtests: docs/decisions/0018.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

HOUR_SECONDS = 3600
DAY_HOURS = 24
WEEK_HOURS = 7 * DAY_HOURS
FORECAST_HOURS = 48
HISTORY_HOURS_MIN = 24
HALF_LIFE_HOURS = 10 * DAY_HOURS
"""An hour so old counts half."""
RIDGE = 0.2
"""How strongly all effects are drawn to nothing; those below say how freely each may move nevertheless."""
FREEDOM_HOUR_OF_DAY = 6.0
FREEDOM_DAY_OF_WEEK = 3.0
FREEDOM_HOUR_OF_QUIET_DAY = 3.0
FREEDOM_HOUR_OF_WEEK = 0.5
FREEDOM_GROWTH = 0.5
QUIET_PART = 0.75
"""A day of the week is quiet if its load is less than this part of the usual day's."""
ROBUST_ROUNDS = 3
ROBUST_SPREADS = 2.0
"""Hours further off than so many times the usual distance count less, in proportion."""
DIGITS = 6
"""Significant digits of a forecast: what different processors agree on."""


def forecast(load: Sequence[float | None], end: float, hours: int = FORECAST_HOURS) -> list[float]:
    """The load expected in each of the `hours` from `end` on, from that of the hours before (None: not known).

    `end` is the start of an hour, in epoch seconds. Never below 0. Raises ValueError without a known hour.
    """
    import numpy as np
    from sklearn.linear_model import Ridge

    count = len(load)
    first = round(end / HOUR_SECONDS) - count
    known = [place for place, one in enumerate(load) if one is not None]
    if not known:
        raise ValueError("there is no history to make a forecast from")
    effects = _effects(np.arange(first, first + count + hours), load)
    seen, wanted = effects[known], effects[count:]
    values = np.log1p(np.array([max(0.0, load[place] or 0.0) for place in known]))
    age = count - 1 - np.array(known)
    weights = 0.5 ** (age / HALF_LIFE_HOURS)
    with _one_thread():
        model = Ridge(alpha=RIDGE).fit(seen, values, sample_weight=weights)
        for _ in range(ROBUST_ROUNDS):
            off = np.abs(values - model.predict(seen))
            usual = 1.4826 * float(np.median(off)) + 1e-9
            trusted = np.minimum(1.0, ROBUST_SPREADS * usual / np.maximum(off, 1e-12))
            model.fit(seen, values, sample_weight=weights * trusted)
        expected = np.maximum(0.0, np.expm1(model.predict(wanted)))
    return [float(f"{one:.{DIGITS}g}") for one in expected]


def _one_thread() -> Any:
    """A context in which linear algebra keeps to this thread: the matrices are small, and threads that wait for each
    other on a busy machine make it ten times slower. Besides, the result is then the same for any number of cores."""
    return _threads().limit(limits=1)


@functools.cache
def _threads() -> Any:
    import threadpoolctl

    return threadpoolctl.ThreadpoolController()


def _effects(hours: Any, load: Sequence[float | None]) -> Any:
    """A row for each hour (counted since 1970): which effects it is subject to, each scaled by its freedom."""
    import numpy as np

    of_day = np.eye(DAY_HOURS)[hours % DAY_HOURS]
    columns = [of_day * FREEDOM_HOUR_OF_DAY]
    if len(load) >= WEEK_HOURS:
        growth = (hours - hours[len(load) - 1])[:, None] / WEEK_HOURS
        day = hours // DAY_HOURS % 7
        is_quiet = _quiet_days(day, load)[day][:, None]
        columns += [
            np.eye(7)[day] * FREEDOM_DAY_OF_WEEK,
            of_day * is_quiet * FREEDOM_HOUR_OF_QUIET_DAY,
            np.eye(WEEK_HOURS)[hours % WEEK_HOURS] * FREEDOM_HOUR_OF_WEEK,
            growth * FREEDOM_GROWTH,
        ]
    return np.hstack(columns)


def _quiet_days(day: Any, load: Sequence[float | None]) -> Any:
    """Which of the seven days of the week are quiet; `day` is that of each hour, beginning with those of `load`."""
    import numpy as np

    sums, counts = [0.0] * 7, [0] * 7
    for number, one in zip(day, load, strict=False):
        if one is not None:
            sums[number] += one
            counts[number] += 1
    means = np.array([total / count if count else np.nan for total, count in zip(sums, counts, strict=True)])
    return means < QUIET_PART * np.nanmedian(means)


def error_percent(load: Sequence[float | None], end: float) -> float | None:
    """How far the forecast of a day ago was from the day that came: all differences in percent of all load.

    That forecast is made now, from what was known then. None where then there were less than 24 known hours, or
    where the day brought no load.
    """
    before, came = load[:-DAY_HOURS], load[-DAY_HOURS:]
    total = sum(one for one in came if one is not None)
    if sum(one is not None for one in before) < HISTORY_HOURS_MIN or total <= 0.0:
        return None
    expected = forecast(before, end - DAY_HOURS * HOUR_SECONDS, DAY_HOURS)
    off = sum(abs(one - wanted) for one, wanted in zip(came, expected, strict=True) if one is not None)
    return round(100.0 * off / total, 1)


def relation(load: Sequence[float | None], used: Sequence[float | None]) -> float | None:
    """How much of the scaling metric, times capacity, one unit of load has made; None where nothing tells.

    A policy is to keep the scaling metric at its target, so it needs load × relation ÷ target of capacity. Hours
    with more load weigh more: those are the ones to be right about.
    """
    pairs = [(one, other) for one, other in zip(load, used, strict=True) if one is not None and other is not None]
    total = sum(one for one, _ in pairs)
    made = sum(other for _, other in pairs)
    return made / total if total > 0.0 and made > 0.0 else None
