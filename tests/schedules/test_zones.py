"""Schedules against the zone database: ten years of clocks put forward and back (issue: DST and zones)."""

from __future__ import annotations

import datetime
import functools
import itertools
import random

import pytest

from roadstead.control.schedules import actions, errors, expressions, zones
from roadstead.model import scaling

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


@functools.cache
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
@pytest.mark.parametrize("hour", [2])
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


@pytest.mark.rule("1.5#time zone")
@pytest.mark.parametrize("zone", ZONES)
def test_every_hour_s_daily_schedule_runs_once_on_each_day_around_each_change_of_ten_years(zone: str) -> None:
    where = zones.load(zone)
    for hour in range(24):
        expression = expressions.parse(f"cron(30 {hour} * * ? *)", zone)
        for change in transitions(zone):
            first = shown(change, zone).date() - datetime.timedelta(days=2)
            days = [datetime.datetime.combine(first, datetime.time(hour, 30)) + datetime.timedelta(n) for n in range(5)]
            comings = [(day, day.replace(tzinfo=where).timestamp()) for day in days]
            expected = [moment for day, moment in comings if shown(moment, zone) == day]
            found, after = [], min(moment for _, moment in comings) - 1
            while (following := expressions.following(expression, after, 0.0)) is not None:
                if following > expected[-1]:
                    break
                found.append(following)
                after = following
            assert found == expected


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


# -- at, rate, and StartTime and EndTime, around every change of ten years


@pytest.mark.rule("1.5#at", "1.5#time zone")
@pytest.mark.parametrize("zone", ZONES)
def test_a_one_time_schedule_is_the_first_coming_of_its_time_or_refused_where_that_never_comes(zone: str) -> None:
    """Every quarter of an hour that a wall clock might show within three hours of each change."""
    for change in transitions(zone):
        comings: dict[datetime.datetime, float] = {}
        for moment in range(int(change) - 6 * 3600, int(change) + 6 * 3600, 900):
            comings.setdefault(shown(moment, zone), float(moment))
        middle = shown(change, zone).replace(second=0)
        for quarter in range(-12, 13):
            wanted = middle.replace(minute=middle.minute // 15 * 15) + datetime.timedelta(minutes=15 * quarter)
            text = f"at({wanted:%Y-%m-%dT%H:%M:%S})"
            if wanted in comings:
                assert expressions.parse(text, zone).at == comings[wanted], (text, zone)
            else:
                with pytest.raises(errors.Malformed, match="never comes"):
                    expressions.parse(text, zone)


@pytest.mark.rule("1.5#rate", "1.5#time zone")
@pytest.mark.parametrize("zone", ZONES)
def test_a_rate_takes_no_notice_of_clocks(zone: str) -> None:
    """An interval is of seconds that pass, whatever a clock on the wall is put to."""
    anchor = at("2026-01-01T00:10:00", "UTC")
    for text, seconds in (("rate(30 minutes)", 1800), ("rate(1 day)", 86_400)):
        expression = expressions.parse(text, zone)
        for change in transitions(zone):
            before = anchor + (change - anchor) // seconds * seconds
            assert expressions.preceding(expression, change, anchor) == before
            assert expressions.following(expression, before, anchor) == before + seconds


@pytest.mark.rule("1.5#start", "1.5#end", "1.5#time zone")
@pytest.mark.parametrize("zone", ZONES)
def test_start_and_end_are_moments_whatever_the_zone_shows(zone: str) -> None:
    """From an hour before each change to two hours after it: what runs is the start, then each half hour that comes."""
    for change in transitions(zone):
        start, end = change - 3600 + 60, change + 2 * 3600
        action = scaling.ScheduledAction(
            namespace="ecs",
            resource_id="service/default/web",
            dimension="ecs:service:DesiredCount",
            action_name="a",
            action_id="1",
            created_at=change - 86_400,
            schedule="cron(0/30 * * * ? *)",
            timezone=zone,
            start_at=start,
            end_at=end,
            min_capacity=1,
            anchor_at=change - 86_400,
            effective_at=change - 86_400,
        )
        recurs = expressions.parse(action.schedule, zone)
        expected, after = [start], start
        while (following := expressions.following(recurs, after, 0.0)) is not None and following <= end:
            expected.append(following)
            after = following
        found, after = [], change - 7200
        while (due := actions.next_due(action, after)) is not None:
            found.append(due)
            after = due
        assert found == expected
        assert actions.newest_due(action, start - 1) is None
        assert [actions.newest_due(action, one) for one in expected] == expected
        assert actions.newest_due(action, end + 86_400) == expected[-1]


def test_the_sample_has_every_kind_of_change() -> None:
    """Forward and back, of half an hour, of an hour, of two; in either half of the year; none at all."""
    sizes = set()
    for zone in ZONES:
        where = zones.load(zone)
        for change in transitions(zone):
            offsets = [datetime.datetime.fromtimestamp(one, where).utcoffset() for one in (change - 60, change)]
            assert offsets[0] is not None and offsets[1] is not None
            sizes.add(round((offsets[1] - offsets[0]).total_seconds() / 60))
    assert {60, -60, 30, -30, 120, -120} <= sizes
    assert transitions("UTC") == transitions("Asia/Kolkata") == []
    assert len(transitions("Europe/Berlin")) == 20, "twice a year for ten years"
