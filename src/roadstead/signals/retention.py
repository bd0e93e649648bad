"""How long data are kept at which grain, and which periods a read may ask for (behaviour.md 2.1, 2.4)."""

from __future__ import annotations

import math

import msgspec

MINUTE = 60
HOUR = 3600
DAY = 86400

LISTED_SECONDS = 14 * DAY
"""A metric without data for this long is no longer listed."""
RECENTLY_ACTIVE_SECONDS = 3 * HOUR
"""ListMetrics' RecentlyActive = PT3H."""
PAST_SECONDS_MAX = 14 * DAY
"""The oldest timestamp that PutMetricData accepts, before now."""
FUTURE_SECONDS_MAX = 2 * HOUR
"""The latest timestamp that PutMetricData accepts, after now."""
FINE_PERIODS_SECONDS = (1, 5, 10, 20, 30)
"""The periods below a minute."""


class Grain(msgspec.Struct, frozen=True, kw_only=True):
    """One stored period: `step_seconds` a bin, `keep_seconds` until bins are merged into the next grain.

    Bins lie in blocks of `block_seconds`; a block that ended `pack_after_seconds` ago is packed into bytes, with
    `packed_distinct_values_max` distinct values a bin (None: all).
    """

    step_seconds: int
    block_seconds: int
    pack_after_seconds: int
    keep_seconds: int
    packed_distinct_values_max: int | None


GRAINS = (
    Grain(step_seconds=1, block_seconds=300, pack_after_seconds=900, keep_seconds=3 * HOUR,
          packed_distinct_values_max=None),
    Grain(step_seconds=MINUTE, block_seconds=HOUR, pack_after_seconds=3 * HOUR + 900, keep_seconds=15 * DAY,
          packed_distinct_values_max=64),
    Grain(step_seconds=300, block_seconds=DAY, pack_after_seconds=15 * DAY + 2 * HOUR, keep_seconds=63 * DAY,
          packed_distinct_values_max=64),
    Grain(step_seconds=HOUR, block_seconds=10 * DAY, pack_after_seconds=64 * DAY, keep_seconds=455 * DAY,
          packed_distinct_values_max=64),
)  # fmt: skip
"""Behaviour 2.1: below 60 s for 3 hours, 60 s for 15 days, 300 s for 63 days, 3600 s for 455 days."""

KEEP_SECONDS_MAX = GRAINS[-1].keep_seconds


def grain_for(age_seconds: float, storage_resolution_seconds: int) -> int | None:
    """Which grain (its place in GRAINS) takes a datum of this age and resolution; None where it is too old."""
    first = 0 if storage_resolution_seconds < MINUTE else 1
    if age_seconds < GRAINS[first].keep_seconds:
        return first  # as nearly always
    for place in range(first + 1, len(GRAINS)):
        if age_seconds < GRAINS[place].keep_seconds:
            return place
    return None


def period_is_readable(period_seconds: int, start: float, now: float) -> bool:
    """Whether a read from `start` with this period has data points at all (behaviour.md 2.4); it is no error if not."""
    age = now - start
    if period_seconds < MINUTE:
        return period_seconds in FINE_PERIODS_SECONDS and age <= GRAINS[0].keep_seconds
    if age <= GRAINS[1].keep_seconds:
        return period_seconds % MINUTE == 0
    if age <= GRAINS[2].keep_seconds:
        return period_seconds % 300 == 0
    return period_seconds % HOUR == 0


def round_range(start: float, end: float, period_seconds: int, now: float) -> tuple[int, float]:
    """The start that bins are counted from, and the (exclusive) end of the read (behaviour.md 2.4).

    A start up to 15 days old goes down to its minute, up to 63 days to five minutes, older to the hour. Below a
    minute it goes down to that division of the minute, and the end moves with it: AWS's example asks at 15:07:17
    for the last five minutes in 5 s and gets 15:02:15-15:07:15.
    """
    if period_seconds < MINUTE:
        rounded = math.floor(start / period_seconds) * period_seconds
        return rounded, end - (start - rounded)
    age = now - start
    unit = MINUTE if age <= GRAINS[1].keep_seconds else 300 if age <= GRAINS[2].keep_seconds else HOUR
    return math.floor(start / unit) * unit, end
