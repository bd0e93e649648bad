"""How people write spans and moments: `2d14h`, `90s`, `250ms`, `14:30`, `2026-01-05T00:00:00Z`; seconds come out."""

from __future__ import annotations

import datetime
import re

UNITS_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})")


class Span(float):
    """Seconds; written as a number of seconds or like `2d14h`."""


class Moment(float):
    """Epoch seconds; written as ISO 8601 (UTC where it names no zone) or as a number."""


class Hour(float):
    """Hours since midnight, UTC; written as `14:30` or as a number."""


def parse_span(given: object) -> Span:
    """Raises ValueError, saying what would be right."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        seconds = float(given)
    elif isinstance(given, str) and given and not _PART.sub("", given.replace(" ", "")):
        seconds = sum(float(count) * UNITS_SECONDS[unit] for count, unit in _PART.findall(given))
    else:
        raise ValueError(f"{given!r} is no span of time: say for example 90s, 15m, 2d14h")
    if not 0.0 <= seconds < 1e10:
        raise ValueError(f"{given!r} is no span of time: it must be positive, and less than 300 years")
    return Span(seconds)


def parse_moment(given: object) -> Moment:
    """Raises ValueError, saying what would be right."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        return Moment(given)
    try:
        if not isinstance(given, str):
            raise ValueError
        read = datetime.datetime.fromisoformat(given)
    except ValueError:
        raise ValueError(f"{given!r} is no moment: say for example 2026-01-05T00:00:00Z") from None
    return Moment((read if read.tzinfo is not None else read.replace(tzinfo=datetime.UTC)).timestamp())


def parse_hour(given: object) -> Hour:
    """Raises ValueError, saying what would be right."""
    if isinstance(given, int | float) and not isinstance(given, bool):
        hour = float(given)
    else:
        found = _CLOCK.fullmatch(given) if isinstance(given, str) else None
        hour = int(found[1]) + int(found[2]) / 60.0 if found and int(found[2]) < 60 else -1.0
    if not 0.0 <= hour < 24.0:
        raise ValueError(f"{given!r} is no time of day: say for example 14:30")
    return Hour(hour)


def show_span(seconds: float) -> str:
    """`2d14h`, `90 s` as `1m30s`; `0s` for none."""
    if 0.0 < seconds < 1.0:
        return f"{round(seconds * 1000)}ms"
    left, shown = round(seconds), ""
    for unit in ("w", "d", "h", "m", "s"):
        count, left = divmod(left, int(UNITS_SECONDS[unit]))
        shown += f"{count}{unit}" if count else ""
    return shown or "0s"


def show_short(seconds: float) -> str:
    """Like `812ms`, `1.24s`, `3m20s`: of a latency."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    return f"{seconds:.2f}s" if seconds < 60.0 else show_span(seconds)


def show_moment(moment: float) -> str:
    """`2026-01-05 14:30:00`, UTC."""
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")


def show_iso(moment: float) -> str:
    """`2026-01-05T14:30:00Z`."""
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
