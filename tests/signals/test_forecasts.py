"""Forecasts from hours of load: backtests on seeded weeks (docs/decisions/0018)."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from roadstead.signals import forecasts

HOUR = 3600
DAY = 24
WEEK = 168
Shape = Callable[[int], float]


def office(hour: int) -> float:
    """1000 from 8 to 18, else 150; a third of it at weekends."""
    return (1000.0 if 8 <= hour % DAY < 18 else 150.0) * (0.35 if hour // DAY % 7 >= 5 else 1.0)


def daily(hour: int) -> float:
    return 600.0 + 400.0 * math.cos(2 * math.pi * (hour % DAY - 14) / DAY)


def growing(hour: int) -> float:
    return daily(hour) * 1.15 ** (hour / WEEK)


def series(shape: Shape, hours: int, noise: float, seed: int) -> list[float]:
    chance = random.Random(seed)
    return [shape(hour) * max(0.05, 1 + noise * chance.gauss(0, 1)) for hour in range(hours)]


def error(shape: Shape, *, days: int = 14, noise: float = 0.05, drop: Callable[[int], bool] = lambda _: False) -> float:
    """Mean error of 48-hour forecasts, in percent, at four different hours of the week."""
    found = []
    for seed, end in enumerate((3 * WEEK, 3 * WEEK + 31, 3 * WEEK + 75, 3 * WEEK + 118)):
        whole = series(shape, end + 48, noise, seed)
        known = [None if drop(hour) else whole[hour] for hour in range(end - DAY * days, end)]
        expected = forecasts.forecast(known, end * HOUR)
        came = whole[end:]
        found.append(sum(abs(a - b) for a, b in zip(expected, came, strict=True)) / sum(came))
    return 100 * sum(found) / len(found)


@pytest.mark.parametrize(("shape", "most"), [(daily, 6.0), (office, 7.0), (growing, 7.0), (lambda _: 500.0, 6.0)])
def test_two_weeks_with_noise_of_5_percent_are_forecast_nearly_as_well_as_can_be(shape: Shape, most: float) -> None:
    """Noise of 5 % alone makes an error of 4 %."""
    assert error(shape) < most


def quiet_fridays(hour: int) -> float:
    """Office hours, and nothing like them on Fridays and Saturdays."""
    return 900.0 if 8 <= hour % DAY < 18 and hour // DAY % 7 not in (4, 5) else 60.0


def test_quiet_days_have_a_rhythm_of_their_own_whichever_days_they_are() -> None:
    assert error(quiet_fridays) < 7.0
    assert error(quiet_fridays, days=7) < 8.0


def test_strong_noise_is_not_taken_for_a_rhythm() -> None:
    """Noise of 25 % alone makes an error of 20 %."""
    assert error(daily, noise=0.25) < 25.0


def test_gaps_are_bridged() -> None:
    assert error(office, drop=lambda hour: hour % 17 == 0 or 450 <= hour < 464) < 8.0


def test_one_week_knows_the_weekend_and_one_day_knows_the_day() -> None:
    assert error(office, days=7) < 9.0
    assert error(daily, days=1) < 9.0


def test_a_crowd_that_came_once_is_not_expected_again() -> None:
    load = series(daily, 2 * WEEK, 0.0, 1)
    calm = forecasts.forecast(load, 2 * WEEK * HOUR)
    load[WEEK + 14] *= 4  # Monday a week ago, 14:00
    assert forecasts.forecast(load, 2 * WEEK * HOUR)[14] == pytest.approx(calm[14], rel=0.15)


def test_a_load_of_nothing_is_forecast_as_nothing() -> None:
    assert forecasts.forecast([0.0] * 48, 2 * DAY * HOUR) == [0.0] * 48


def test_a_forecast_needs_something_known() -> None:
    with pytest.raises(ValueError, match="no history"):
        forecasts.forecast([None] * 24, DAY * HOUR)


def test_the_same_history_gives_the_same_forecast() -> None:
    load = series(office, 2 * WEEK, 0.1, 5)
    assert forecasts.forecast(load, 2 * WEEK * HOUR) == forecasts.forecast(list(load), 2 * WEEK * HOUR)


def test_the_error_is_a_backtest_of_the_last_day() -> None:
    load: list[float | None] = [600.0] * 72
    assert forecasts.error_percent(load, 72 * HOUR) == pytest.approx(0.0, abs=0.2)
    load[-24:] = [1200.0] * 24
    assert forecasts.error_percent(load, 72 * HOUR) == pytest.approx(50.0, abs=0.2)
    assert forecasts.error_percent(load[:47], 47 * HOUR) is None  # not two days
    load[-24:] = [0.0] * 24
    assert forecasts.error_percent(load, 72 * HOUR) is None


def test_the_relation_is_that_of_the_hours_in_which_both_are_known() -> None:
    assert forecasts.relation([100.0, None, 300.0, 50.0], [5.0, 9.0, 15.0, None]) == pytest.approx(0.05)
    assert forecasts.relation([100.0], [None]) is None
    assert forecasts.relation([0.0], [0.0]) is None
