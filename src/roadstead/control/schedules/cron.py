"""EventBridge's cron syntax, and when such an expression's local time comes (behaviour.md 1.5).

Fields: minutes, hours, day of month, month, day of week, year. Against the cron that the library knows there are: the
year; days of the week counted from 1 = SUN; `?`; `W`, the weekday nearest to a day of the month; and no "or" between
the two day fields, of which one has to be `?` or `*`. What is left of an expression after that is matched by `cronsim`,
on naive local times: how they fall in a zone, `control.schedules.expressions` knows.
"""

from __future__ import annotations

import calendar
import datetime
import re
from collections.abc import Iterator

import cronsim
import msgspec

from roadstead.control.schedules import errors

FIRST_YEAR, LAST_YEAR = 1970, 2199
SUNDAY_IS_ONE = True
"""EventBridge numbers days 1 = SUN … 7 = SAT. An example of Application Auto Scaling's guide has 2 = TUE, which would
be 0 = SUN; its text sends the reader to EventBridge. This is the one switch (behaviour.md 1.5)."""
MONTHS_MAX = 12 * (LAST_YEAR - FIRST_YEAR + 1)
"""Months that are looked at for a `W` day."""
YEARS_MAX = LAST_YEAR - FIRST_YEAR + 1
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_ANY = ("*", "?")
_WEEKDAY = re.compile(r"(\d{1,2})W")


def _midnight(year: int, month: int, day: int) -> datetime.datetime:
    """A local time, so without a zone."""
    return datetime.datetime.combine(datetime.date(year, month, day), datetime.time())


_BEGINNING = _midnight(FIRST_YEAR, 1, 1)


class Cron(msgspec.Struct, frozen=True, kw_only=True):
    """A checked expression."""

    minutes: str
    hours: str
    day_of_month: str
    """In the library's syntax; `*` with `nearest_weekday_to`."""
    month: str
    day_of_week: str
    years: tuple[int, ...] | None
    """Ascending; None: every year."""
    nearest_weekday_to: int | None = None
    """The day of the month of a `W`."""

    def library_expression(self, day_of_month: str | None = None, month: str | None = None) -> str:
        """What the library is given."""
        days = self.day_of_month if day_of_month is None else day_of_month
        return f"{self.minutes} {self.hours} {days} {self.month if month is None else month} {self.day_of_week}"


def parse(text: str) -> Cron:
    """The six fields between the brackets of `cron(…)`, or seven with seconds in front. Raises `errors.Malformed`."""
    fields = text.upper().split()
    if len(fields) == 7:
        _check_seconds(fields.pop(0))
    if len(fields) != 6:
        raise errors.Malformed(f"a cron expression has six fields, not {len(fields)}")
    minutes, hours, days, month, week, year = fields
    for name, field in (("minutes", minutes), ("hours", hours), ("month", month), ("year", year)):
        if "?" in field:
            raise errors.Malformed(f"? is only allowed in the day fields, not in {name}")
    if days not in _ANY and week not in _ANY:
        raise errors.Malformed("day-of-month and day-of-week can not both be restricted: one of them has to be ?")
    nearest = _WEEKDAY.fullmatch(days)
    if nearest is not None and not 1 <= int(nearest[1]) <= 31:
        raise errors.Malformed("the day before W has to be one of 1 to 31")
    found = Cron(
        minutes=minutes,
        hours=hours,
        day_of_month="*" if days in _ANY or nearest is not None else days,
        month=month,
        day_of_week=_day_of_week(week),
        years=_years(year),
        nearest_weekday_to=int(nearest[1]) if nearest is not None else None,
    )
    try:
        cronsim.CronSim(found.library_expression(), _BEGINNING)
    except cronsim.CronSimError as problem:
        raise errors.Malformed(str(problem).lower()) from problem
    return found


def _check_seconds(field: str) -> None:
    """Seconds are accepted, but nothing runs more often than once a minute."""
    try:
        cronsim.CronSim(f"{field} * * * * *", _BEGINNING)
    except cronsim.CronSimError as problem:
        raise errors.Malformed(str(problem).lower()) from problem


def _years(field: str) -> tuple[int, ...] | None:
    if field == "*":
        return None
    found: set[int] = set()
    for part in field.split(","):
        span, _, stride = part.partition("/")
        first, dash, last = span.partition("-")
        numbers = [one for one in (first if first != "*" else "", last, stride) if one]
        if not all(one.isascii() and one.isdigit() for one in numbers) or not span or (dash and not last):
            raise errors.Malformed("bad year")
        begin = FIRST_YEAR if first == "*" else int(first)
        open_end = LAST_YEAR if "/" in part or first == "*" else begin
        end = int(last) if last else open_end
        step = int(stride) if stride else 1
        if ("/" in part and step < 1) or not FIRST_YEAR <= begin <= end <= LAST_YEAR:
            raise errors.Malformed(f"bad year: from {FIRST_YEAR} to {LAST_YEAR}, ascending")
        found.update(range(begin, end + 1, step))
    return tuple(sorted(found))


def _day_of_week(field: str) -> str:
    """The field in the library's numbers (0 = SUN), its ranges, which may go round the week's end, spelled out."""
    if field in _ANY:
        return "*"
    if field == "L":
        return "6"  # the last day of the week, alone, is Saturday
    if "#" in field:
        day, _, nth = field.partition("#")
        if nth not in ("1", "2", "3", "4", "5"):
            raise errors.Malformed("bad day-of-week: # is followed by one number from 1 to 5")
        return f"{_day(day)}#{nth}"
    if field.endswith("L"):
        return f"{_day(field[:-1])}L"
    return ",".join(str(day) for part in field.split(",") for day in _days(part))


def _days(part: str) -> Iterator[int]:
    span, slash, stride = part.partition("/")
    if slash and not (stride.isascii() and stride.isdigit() and int(stride) >= 1):
        raise errors.Malformed("bad day-of-week")
    first, dash, last = span.partition("-")
    if first == "*" and not dash:
        begin, count = 0, 7
    elif dash:
        begin = _day(first)
        count = (_day(last) - begin) % 7 + 1
    else:
        begin = _day(first)
        count = 7 - begin if slash else 1
    for offset in range(0, count, int(stride) if slash else 1):
        yield (begin + offset) % 7


def _day(text: str) -> int:
    if text in _DAYS:
        return _DAYS.index(text)
    first = 1 if SUNDAY_IS_ONE else 0
    if text.isascii() and text.isdigit() and first <= int(text) <= first + 6:
        return int(text) - first
    raise errors.Malformed("bad day-of-week")


# -- when


def following(cron: Cron, after: datetime.datetime) -> Iterator[datetime.datetime]:
    """The local times that match, later than `after`, ascending."""
    if cron.nearest_weekday_to is not None:
        yield from _nearest_weekdays(cron, after, 1)
        return
    expression = cron.library_expression()
    for _ in range(YEARS_MAX):
        for found in cronsim.CronSim(expression, after):
            if found.year > LAST_YEAR:
                return
            if cron.years is not None and found.year not in cron.years:
                wanted = [year for year in cron.years if year > found.year]
                if not wanted:
                    return
                after = _midnight(wanted[0], 1, 1) - datetime.timedelta(seconds=1)
                break
            yield found
        else:
            return


def preceding(cron: Cron, before: datetime.datetime) -> Iterator[datetime.datetime]:
    """The local times that match, earlier than `before`, descending."""
    if cron.nearest_weekday_to is not None:
        yield from _nearest_weekdays(cron, before, -1)
        return
    expression = cron.library_expression()
    for _ in range(YEARS_MAX):
        for found in cronsim.CronSim(expression, before, reverse=True):
            if found.year < FIRST_YEAR:
                return
            if cron.years is not None and found.year not in cron.years:
                wanted = [year for year in cron.years if year < found.year]
                if not wanted:
                    return
                before = _midnight(wanted[-1] + 1, 1, 1)
                break
            yield found
        else:
            return


def _nearest_weekdays(cron: Cron, origin: datetime.datetime, direction: int) -> Iterator[datetime.datetime]:
    """The same for a `W` day: it falls on another day each month, so each month is asked for by itself."""
    assert cron.nearest_weekday_to is not None
    index = origin.year * 12 + origin.month - 1
    for _ in range(MONTHS_MAX):
        year, month = index // 12, index % 12 + 1
        if not FIRST_YEAR <= year <= LAST_YEAR:
            return
        day = nearest_weekday(year, month, cron.nearest_weekday_to)
        if day is not None and (cron.years is None or year in cron.years) and _month_matches(cron, month):
            expression = cron.library_expression(str(day), str(month))
            start = _midnight(year, month, day)
            if direction > 0:
                begin = max(origin, start - datetime.timedelta(seconds=1))
                matches = cronsim.CronSim(expression, begin)
            else:
                begin = min(origin, start + datetime.timedelta(days=1))
                matches = cronsim.CronSim(expression, begin, reverse=True)
            for found in matches:
                if (found.year, found.month) != (year, month):
                    break
                yield found
        index += direction


def _month_matches(cron: Cron, month: int) -> bool:
    probe = cronsim.CronSim(f"0 0 1 {cron.month} *", _BEGINNING)
    return month in probe.months


def nearest_weekday(year: int, month: int, day: int) -> int | None:
    """The day from Monday to Friday of that month which is nearest to `day`; None where the month has no such day."""
    last = calendar.monthrange(year, month)[1]
    if day > last:
        return None
    match datetime.date(year, month, day).weekday():
        case calendar.SATURDAY:
            return day - 1 if day > 1 else day + 2
        case calendar.SUNDAY:
            return day + 1 if day < last else day - 2
        case _:
            return day
