"""Schedule expressions in their zones: `at(…)`, `rate(…)`, `cron(…)` (behaviour.md 1.5).

Daylight saving, as EventBridge's scheduler does it (its guide, "Daylight savings time"): a local time that never comes
is passed over, one that comes twice counts once, the first time.
"""

from __future__ import annotations

import datetime
import functools
import math
import re
from typing import Literal

import msgspec

from roadstead.control.schedules import cron, errors, zones

TEXT_CACHE_MAX = 1024
"""Parsed expressions that are kept."""
NOWHERE_MAX = 4_000
"""Local times in a row that never come, or came before: a whole day, as at the date line, has 1,440 minutes."""
_AT = re.compile(r"at\((\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})\)")
_RATE = re.compile(r"rate\(([0-9]{1,9}) (minutes?|hours?|days?)\)")
_CRON = re.compile(r"cron\((.*)\)")
_UNIT_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}


class Expression(msgspec.Struct, frozen=True, kw_only=True):
    """A checked expression: of the three, the one of its kind is set."""

    kind: Literal["at", "rate", "cron"]
    zone: str
    at: float | None = None
    interval_seconds: int | None = None
    cron: cron.Cron | None = None

    @property
    def recurs(self) -> bool:
        return self.kind != "at"


@functools.lru_cache(TEXT_CACHE_MAX)
def parse(text: str, zone: str | None) -> Expression:
    """An expression of which `at` and `cron` are in that zone (None: UTC). Raises `errors.Malformed`."""
    name = zone or zones.UTC
    try:
        where = zones.load(name)
    except KeyError:
        raise errors.Malformed(f"{name} is no time zone of the IANA database") from None
    if (found := _AT.fullmatch(text)) is not None:
        return Expression(kind="at", zone=name, at=_moment(found[1], where, name))
    if (found := _RATE.fullmatch(text)) is not None:
        return Expression(kind="rate", zone=name, interval_seconds=_interval(int(found[1]), found[2]))
    if (found := _CRON.fullmatch(text)) is not None:
        return Expression(kind="cron", zone=name, cron=cron.parse(found[1]))
    raise errors.Malformed("a schedule is at(yyyy-mm-ddThh:mm:ss), rate(value unit) or cron(fields)")


def _moment(text: str, where: datetime.tzinfo, name: str) -> float:
    try:
        found = zones.moment(datetime.datetime.fromisoformat(text), where)
    except ValueError as problem:
        raise errors.Malformed(f"{text} is no time: {problem}") from problem
    if found is None:
        raise errors.Malformed(f"the time {text} never comes in {name}: clocks are put forward then")
    return found


def _interval(value: int, unit: str) -> int:
    if value < 1 or (value == 1) == unit.endswith("s"):
        raise errors.Malformed("a rate has a positive value, with minute, hour or day for 1 and the plural for more")
    return value * _UNIT_SECONDS[unit.removesuffix("s")]


def following(expression: Expression, after: float, anchor: float) -> float | None:
    """The first occurrence later than `after`; None where there is none. `anchor`: when a rate's count begins."""
    match expression.kind:
        case "at":
            return expression.at if expression.at is not None and expression.at > after else None
        case "rate":
            assert expression.interval_seconds is not None
            step = expression.interval_seconds
            return anchor + max(1, math.floor((after - anchor) / step) + 1) * step
        case "cron":
            assert expression.cron is not None
            zone = zones.load(expression.zone)
            for tried, shown in enumerate(cron.following(expression.cron, zones.local(after, zone))):
                found = zones.moment(shown, zone)
                if found is not None and found > after:
                    return found
                assert tried < NOWHERE_MAX, f"{expression.cron} in {expression.zone} does not come after {after}"
            return None


def preceding(expression: Expression, until: float, anchor: float) -> float | None:
    """The last occurrence that is not later than `until`; None where there is none."""
    match expression.kind:
        case "at":
            return expression.at if expression.at is not None and expression.at <= until else None
        case "rate":
            assert expression.interval_seconds is not None
            steps = math.floor((until - anchor) / expression.interval_seconds)
            return anchor + steps * expression.interval_seconds if steps >= 1 else None
        case "cron":
            assert expression.cron is not None
            zone = zones.load(expression.zone)
            again = zones.repeated_seconds(until, zone)
            shown = zones.local(until, zone) + datetime.timedelta(seconds=1 + again)
            for tried, one in enumerate(cron.preceding(expression.cron, shown)):
                found = zones.moment(one, zone)
                if found is not None and found <= until:
                    return found
                assert tried < NOWHERE_MAX, f"{expression.cron} in {expression.zone} does not come before {until}"
            return None
