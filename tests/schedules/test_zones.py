"""Schedules against the zone database: ten years of clocks put forward and back (issue: DST and zones)."""

from __future__ import annotations

import datetime
import itertools
import random

import pytest

from roadstead.control.schedules import expressions, zones

FIRST_YEAR, LAST_YEAR = 2026, 2035
TELLING = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Africa/Casablanca",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "Pacific/Apia",
    "America/Santiago",
    "Europe/Dublin",
    "Africa/Cairo",
    "Asia/Gaza",
    "Antarctica/Troll",
    "Etc/GMT+9",
    "UTC",
)
"""Half an hour, two hours, at midnight, in winter, during Ramadan, negative, none at all."""
SAMPLED = 12
"""Further zones, another set for no run: the seed is fixed."""
ZONES = sorted({*TELLING, *random.Random(7).sample(sorted(zones.names()), SAMPLED)})


def at(text: str, zone: str) -> float:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=zones.load(zone)).timestamp()


def utc(*moments: float | None) -> list[str]:
    return [f"{datetime.datetime.fromtimestamp(one or 0, datetime.UTC):%Y-%m-%d %H:%M}" for one in moments]


def ahead(text: str, zone: str, after: float, count: int) -> list[float]:
    expression = expressions.parse(text, zone)
    found: list[float] = []
    for _ in range(count):
        following = expressions.following(expression, found[-1] if found else after, 0.0)
        assert following is not None
        found.append(following)
    return found


def transitions(zone: str) -> list[float]:
    """The moments in ten years at which the zone's offset changes, to the minute, found by bisection."""
    where = zones.load(zone)

    def offset(moment: float) -> datetime.timedelta | None:
        return datetime.datetime.fromtimestamp(moment, where).utcoffset()

    begin = datetime.datetime(FIRST_YEAR, 1, 1, tzinfo=datetime.UTC).timestamp()
    end = datetime.datetime(LAST_YEAR + 1, 1, 1, tzinfo=datetime.UTC).timestamp()
    found: list[float] = []
    step = 7 * 86_400.0
    for left in itertools.takewhile(lambda one: one < end, itertools.count(begin, step)):
        low, high = left, left + step
        if offset(low) == offset(high):
            continue
        while high - low > 60:
            middle = (low + high) // 120 * 60
            low, high = (middle, high) if offset(middle) == offset(left) else (low, middle)
        found.append(high)
    return found


def shown(moment: float, zone: str) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(moment, zones.load(zone)).replace(tzinfo=None, fold=0)


@pytest.mark.parametrize("zone", ZONES)
def test_a_clock_read_every_half_hour_around_each_change_of_ten_years(zone: str) -> None:
    """Each local half hour that exists comes once, at its first coming; those that don't exist never."""
    for change in transitions(zone):
        begin, end = change - 4 * 3600, change + 4 * 3600
        expected = []
        seen: set[datetime.datetime] = set()
        for minute in range(int(begin) + 60, int(end) + 1, 60):
            clock = shown(minute, zone)
            if clock.minute % 30 == 0 and clock not in seen and not _before(clock, begin, zone):
                expected.append(float(minute))
            seen.add(clock)
        expression = expressions.parse("cron(0/30 * * * ? *)", zone)
        found, after = [], begin
        while (following := expressions.following(expression, after, 0.0)) is not None and following <= end:
            found.append(following)
            after = following
        assert found == expected
        for until in range(int(begin) + 3600, int(end), 900):
            past = [one for one in expected if one <= until]
            if past:
                assert expressions.preceding(expression, float(until), 0.0) == past[-1]


def _before(clock: datetime.datetime, begin: float, zone: str) -> bool:
    """Whether the clock showed that already at or before `begin`."""
    return clock.replace(tzinfo=zones.load(zone), fold=0).timestamp() <= begin


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("hour", [0, 2, 3])
@pytest.mark.rule("1.5#time zone")
def test_a_daily_schedule_runs_once_on_each_day_that_has_its_hour(zone: str, hour: int) -> None:
    """Three years of days with every change among them."""
    expression = expressions.parse(f"cron(30 {hour} * * ? *)", zone)
    day = datetime.date(2027, 1, 1)
    after = at("2027-01-01T00:00:00", zone) - 1
    while day.year < 2030:
        wanted = datetime.datetime.combine(day, datetime.time(hour, 30))
        moment = wanted.replace(tzinfo=zones.load(zone)).timestamp()
        day += datetime.timedelta(days=1)
        if shown(moment, zone) != wanted:
            continue  # this day has no such time
        assert expressions.following(expression, after, 0.0) == moment
        after = moment


def test_a_time_that_never_comes_is_passed_over() -> None:
    """Clocks go from 02:00 to 03:00 on 2027-03-28."""
    found = ahead("cron(30 2 * * ? *)", "Europe/Berlin", at("2027-03-26T12:00:00", "Europe/Berlin"), 3)
    assert utc(*found) == ["2027-03-27 01:30", "2027-03-29 00:30", "2027-03-30 00:30"]


def test_a_time_that_comes_twice_counts_once() -> None:
    """Clocks go from 03:00 to 02:00 on 2027-10-31, at 01:00 UTC."""
    found = ahead("cron(30 2 * * ? *)", "Europe/Berlin", at("2027-10-29T12:00:00", "Europe/Berlin"), 3)
    assert utc(*found) == ["2027-10-30 00:30", "2027-10-31 00:30", "2027-11-01 01:30"]
    quarter = expressions.parse("cron(0/15 * * * ? *)", "Europe/Berlin")
    second = at("2027-10-31T02:59:00", "Europe/Berlin") + 660  # 02:10 for the second time
    assert utc(expressions.following(quarter, second, 0.0)) == ["2027-10-31 02:00"], "03:00 in Berlin"
    assert utc(expressions.preceding(quarter, second, 0.0)) == ["2027-10-31 00:45"], "02:45, the first time"


def test_a_day_that_the_date_line_took() -> None:
    """Samoa had no 2011-12-30: nothing of it runs, every minute of the days beside it does."""
    minute = expressions.parse("cron(* * * * ? *)", "Pacific/Apia")
    last = at("2011-12-29T23:59:00", "Pacific/Apia")
    assert expressions.following(minute, last, 0.0) == last + 60 == at("2011-12-31T00:00:00", "Pacific/Apia")
    assert expressions.preceding(minute, last + 59, 0.0) == last


@pytest.mark.rule("1.5#at", "1.5#time zone")
def test_one_time_schedules_are_in_their_zone_too() -> None:
    once = expressions.parse("at(2027-07-01T09:00:00)", "America/New_York")
    assert utc(once.at) == ["2027-07-01 13:00"]
    assert once.at is not None
    assert expressions.following(once, once.at - 1, 0.0) == expressions.preceding(once, once.at, 0.0) == once.at
    assert expressions.following(once, once.at, 0.0) is expressions.preceding(once, once.at - 1, 0.0) is None
    twice = expressions.parse("at(2027-11-07T01:30:00)", "America/New_York")
    assert utc(twice.at) == ["2027-11-07 05:30"], "the first 01:30"


def test_the_database_is_the_packaged_one() -> None:
    assert len(zones.names()) > 500
    assert zones.load("Europe/Berlin").key == "Europe/Berlin"
