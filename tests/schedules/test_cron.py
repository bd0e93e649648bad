"""EventBridge's cron syntax (behaviour.md 1.5): every wildcard, both numberings' one switch, and what is refused."""

from __future__ import annotations

import datetime
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadstead.control.schedules import cron, errors, expressions

START = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC).timestamp()
"""A Friday."""


def times(fields: str, count: int = 3, zone: str | None = None, after: float = START - 1) -> list[str]:
    """The first occurrences, in UTC."""
    expression = expressions.parse(f"cron({fields})", zone)
    found: list[str] = []
    while len(found) < count:
        after = expressions.following(expression, after, 0.0) or 0.0
        if not after:
            break
        found.append(f"{datetime.datetime.fromtimestamp(after, datetime.UTC):%Y-%m-%d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("30 6 ? * MON *", ["2027-01-04 06:30", "2027-01-11 06:30", "2027-01-18 06:30"]),
        ("0 10 * * ? *", ["2027-01-01 10:00", "2027-01-02 10:00", "2027-01-03 10:00"]),
        ("0 18 ? * MON-FRI *", ["2027-01-01 18:00", "2027-01-04 18:00", "2027-01-05 18:00"]),
        ("0 8 1 * ? *", ["2027-01-01 08:00", "2027-02-01 08:00", "2027-03-01 08:00"]),
        ("0/15 * * * ? *", ["2027-01-01 00:00", "2027-01-01 00:15", "2027-01-01 00:30"]),
        ("*/20 5 * * * *", ["2027-01-01 05:00", "2027-01-01 05:20", "2027-01-01 05:40"]),
        ("5,10 8-9 ? * MON-FRI *", ["2027-01-01 08:05", "2027-01-01 08:10", "2027-01-01 09:05"]),
        ("10 0 * JAN,3 ? *", ["2027-01-01 00:10", "2027-01-02 00:10", "2027-01-03 00:10"]),
        ("0 9 L * ? *", ["2027-01-31 09:00", "2027-02-28 09:00", "2027-03-31 09:00"]),
        ("0 9 LW * ? *", ["2027-01-29 09:00", "2027-02-26 09:00", "2027-03-31 09:00"]),
        ("0 9 ? * L *", ["2027-01-02 09:00", "2027-01-09 09:00", "2027-01-16 09:00"]),
        ("0 9 ? * 6L *", ["2027-01-29 09:00", "2027-02-26 09:00", "2027-03-26 09:00"]),
        ("0 9 ? * FRIL *", ["2027-01-29 09:00", "2027-02-26 09:00", "2027-03-26 09:00"]),
        ("0 9 ? * 6#3 *", ["2027-01-15 09:00", "2027-02-19 09:00", "2027-03-19 09:00"]),
        ("0 9 ? * MON#5 *", ["2027-03-29 09:00", "2027-05-31 09:00", "2027-08-30 09:00"]),
        ("0 9 15W * ? *", ["2027-01-15 09:00", "2027-02-15 09:00", "2027-03-15 09:00"]),
        ("0 9 1W * ? *", ["2027-01-01 09:00", "2027-02-01 09:00", "2027-03-01 09:00"]),
        ("0 9 31W * ? *", ["2027-01-29 09:00", "2027-03-31 09:00", "2027-05-31 09:00"]),
        ("0 9 1W 5 ? *", ["2027-05-03 09:00", "2028-05-01 09:00", "2029-05-01 09:00"]),
        ("0 9,17 6W * ? 2028", ["2028-01-06 09:00", "2028-01-06 17:00", "2028-02-07 09:00"]),
        ("0 0 29 2 ? *", ["2028-02-29 00:00", "2032-02-29 00:00", "2036-02-29 00:00"]),
        ("0 0 1 1 ? 2030,2035-2036", ["2030-01-01 00:00", "2035-01-01 00:00", "2036-01-01 00:00"]),
        ("0 0 1 1 ? 2040/10", ["2040-01-01 00:00", "2050-01-01 00:00", "2060-01-01 00:00"]),
        ("0 0 1 1 ? 2020", []),
        ("0 0 ? * FRI-MON *", ["2027-01-01 00:00", "2027-01-02 00:00", "2027-01-03 00:00"]),
        ("0 0 ? * 2-6/2 *", ["2027-01-01 00:00", "2027-01-04 00:00", "2027-01-06 00:00"]),
        ("0 0 1/10 * ? *", ["2027-01-01 00:00", "2027-01-11 00:00", "2027-01-21 00:00"]),
        ("30 15 10 * * ? *", ["2027-01-01 10:15", "2027-01-02 10:15", "2027-01-03 10:15"]),
        ("0 0 ? JAN sun *", ["2027-01-03 00:00", "2027-01-10 00:00", "2027-01-17 00:00"]),
    ],
)
@pytest.mark.rule("1.5#cron")
def test_what_an_expression_matches(fields: str, expected: list[str]) -> None:
    assert times(fields) == expected


@pytest.mark.parametrize(("digit", "day"), [(1, 3), (2, 4), (3, 5), (4, 6), (5, 7), (6, 1), (7, 2)])
@pytest.mark.rule("1.5#day of week")
def test_days_of_the_week_count_from_1_on_sunday(digit: int, day: int) -> None:
    """EventBridge's numbering, behind one switch (behaviour.md 1.5, section 6)."""
    assert times(f"0 0 ? * {digit} *", 1) == [f"2027-01-{day:02d} 00:00"]
    assert times(f"30 6 * * {digit} *", 1) == [f"2027-01-{day:02d} 06:30"], "* in both day fields is accepted"


@pytest.mark.rule("1.5#day of week")
def test_the_switch_of_the_numbering(monkeypatch: pytest.MonkeyPatch) -> None:
    expressions.parse.cache_clear()
    monkeypatch.setattr(cron, "SUNDAY_IS_ONE", False)
    try:
        assert times("30 6 * * 2 *", 1) == ["2027-01-05 06:30"], "a Tuesday, as the guide's example says"
    finally:
        expressions.parse.cache_clear()


@pytest.mark.parametrize(
    "fields",
    [
        "",
        "* * * * *",
        "* * * * * * * *",
        "60 * * * ? *",
        "* 24 * * ? *",
        "0 0 0 * ? *",
        "0 0 32 * ? *",
        "0 0 30 2 ? *",
        "0 0 * 13 ? *",
        "0 0 ? * 0 *",
        "0 0 ? * 8 *",
        "0 0 ? * XYZ *",
        "0 0 1 * MON *",
        "0 0 L * MON *",
        "? 0 * * ? *",
        "0 0 * ? ? *",
        "0 0 * * ? ?",
        "0 0 * * ? 1969",
        "0 0 * * ? 2200",
        "0 0 * * ? 2030-2020",
        "0 0 * * ? x",
        "0 0 * * ? 2030/0",
        "0 0 * * ? 2030-",
        "0/0 * * * ? *",
        "10-5 * * * ? *",
        "0 0 ? * 2/0 *",
        "0 0 ? * 6#6 *",
        "0 0 ? * 6#3,2#1 *",
        "0 0 ? * MON,6L *",
        "0 0 0W * ? *",
        "0 0 32W * ? *",
        "0 0 1W,15W * ? *",
        "0 0 L-3 * ? *",
        "x 0 0 * * ? *",
        "99 0 0 * * ? *",
        "٣ * * * ? *",
    ],
)
@pytest.mark.rule("1.5#cron")
def test_what_is_no_expression(fields: str) -> None:
    with pytest.raises(errors.Malformed):
        expressions.parse(f"cron({fields})", None)


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("at(2027-01-01)", None),
        ("at(2027-02-30T00:00:00)", None),
        ("at(2027-03-28T02:30:00)", "Europe/Berlin"),
        ("rate(0 minutes)", None),
        ("rate(1 minutes)", None),
        ("rate(2 minute)", None),
        ("rate(5 seconds)", None),
        ("rate(-5 minutes)", None),
        ("every minute", None),
        ("cron(0 0 * * ? *", None),
        ("rate(1 day)", "Mars/Olympus"),
        ("rate(1 day)", "../../etc/passwd"),
        ("rate(1 day)", "posixrules"),
    ],
)
@pytest.mark.rule("1.5#at", "1.5#rate")
def test_what_is_no_schedule(text: str, zone: str | None) -> None:
    with pytest.raises(errors.Malformed):
        expressions.parse(text, zone)


@pytest.mark.rule("1.5#rate")
def test_rates_count_from_their_anchor() -> None:
    five = expressions.parse("rate(5 minutes)", None)
    assert [expressions.following(five, after, 1000.0) for after in (0.0, 1000.0, 1299.0, 1300.0)] == [
        1300.0,
        1300.0,
        1300.0,
        1600.0,
    ]
    assert [expressions.preceding(five, until, 1000.0) for until in (1299.0, 1300.0, 1700.0)] == [None, 1300.0, 1600.0]
    for text, seconds in (("rate(1 minute)", 60), ("rate(2 hours)", 7200), ("rate(1 day)", 86_400)):
        assert expressions.parse(text, None).interval_seconds == seconds


minutes = st.one_of(st.just("*"), st.integers(0, 59).map(str), st.integers(1, 30).map(lambda one: f"0/{one}"))
hours = st.one_of(st.just("*"), st.integers(0, 23).map(str), st.just("8-18"))
days = st.sampled_from(
    ["* ?", "? *", "1 ?", "31 ?", "L ?", "LW ?", "15W ?", "31W ?", "? MON", "? 6L", "? 3#2", "? 2-6", "*/7 ?"]
)


@given(minutes, hours, days, st.sampled_from(["*", "2", "1-3,12", "FEB/3"]), st.sampled_from(["*", "2027-2031/2"]))
def test_looking_back_finds_what_looking_ahead_found(minute: str, hour: str, day: str, month: str, year: str) -> None:
    """And each is later than the one before it."""
    of_month, of_week = day.split()
    try:
        found = cron.parse(f"{minute} {hour} {of_month} {month} {of_week} {year}")
    except errors.Malformed:
        assert "31" in of_month, "only a day that no such month has is refused"
        return
    begin = datetime.datetime.combine(datetime.date(2027, 1, 1), datetime.time())
    ahead = list(itertools.islice(cron.following(found, begin), 20))
    assert ahead == sorted(set(ahead))
    if ahead:
        back = list(itertools.islice(cron.preceding(found, ahead[-1] + datetime.timedelta(seconds=1)), len(ahead)))
        assert back == ahead[::-1]
