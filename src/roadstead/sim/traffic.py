"""Traffic: how many requests a second come at a moment. Each kind is a pure function of the moment, noise included."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import msgspec

DAY_SECONDS = 86_400.0
NOISE_SECONDS = 20.0
"""How long one draw of noise lasts."""
RATE_DIGITS = 6
"""Rates are rounded: the last bits of a cosine differ from one C library to the next, transcripts must not."""


class _Kind(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Root of all kinds; moments in epoch seconds, rates in requests per second."""


class Constant(_Kind, frozen=True, kw_only=True, tag="constant"):
    rate: float


class Diurnal(_Kind, frozen=True, kw_only=True, tag="diurnal"):
    """A day's swing: `low` at night, `high` at `peak_hour` (UTC), a cosine between."""

    low: float
    high: float
    peak_hour: float = 14.0


class Ramp(_Kind, frozen=True, kw_only=True, tag="ramp"):
    """From one rate to another between two moments; level before and after."""

    begin: float
    end: float
    low: float
    high: float


class Spike(_Kind, frozen=True, kw_only=True, tag="spike"):
    """So many times the rate beneath it, from `begin` on for `seconds`."""

    beneath: Traffic
    begin: float
    seconds: float
    factor: float


class Noise(_Kind, frozen=True, kw_only=True, tag="noise"):
    """The rate beneath it, up or down by up to `part` of it, drawn anew every 20 s from `seed`."""

    beneath: Traffic
    part: float
    seed: int = 0


class Sum(_Kind, frozen=True, kw_only=True, tag="sum"):
    parts: tuple[Traffic, ...]


class Trace(_Kind, frozen=True, kw_only=True, tag="trace"):
    """Rates that were recorded or worked out before: one for each `seconds` from `begin` on; level before and after."""

    begin: float
    seconds: float
    rates: Sequence[float]


Traffic = Constant | Diurnal | Ramp | Spike | Noise | Sum | Trace


def rate(traffic: Traffic, moment: float) -> float:
    """Requests per second at a moment; never less than 0."""
    match traffic:
        case Constant():
            found = traffic.rate
        case Diurnal():
            angle = 2.0 * math.pi * (moment / DAY_SECONDS - traffic.peak_hour / 24.0)
            found = traffic.low + (traffic.high - traffic.low) * (1.0 + math.cos(angle)) / 2.0
        case Ramp():
            part = (moment - traffic.begin) / (traffic.end - traffic.begin) if traffic.end > traffic.begin else 1.0
            found = traffic.low + (traffic.high - traffic.low) * min(max(part, 0.0), 1.0)
        case Spike():
            is_on = traffic.begin <= moment < traffic.begin + traffic.seconds
            found = rate(traffic.beneath, moment) * (traffic.factor if is_on else 1.0)
        case Noise():
            found = rate(traffic.beneath, moment) * (1.0 + traffic.part * _draw(traffic.seed, moment))
        case Sum():
            found = sum(rate(part, moment) for part in traffic.parts)
        case Trace():
            place = int((moment - traffic.begin) // traffic.seconds)
            found = traffic.rates[min(max(place, 0), len(traffic.rates) - 1)]
    return round(max(found, 0.0), RATE_DIGITS)


def _draw(seed: int, moment: float) -> float:
    """Evenly from -1 to 1, the same for each moment of a slot of time."""
    slot = int(moment // NOISE_SECONDS)
    digest = hashlib.blake2b(f"{seed}/{slot}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / (1 << 63) - 1.0


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What a request costs the task that serves it."""

    cpu_seconds_per_request: float
    requests_per_second_max: float
    """What one task serves at most; more is turned away."""
    memory_mib: float = 8.0

    def cpu_cores(self, requests_per_second: float, tasks: int) -> float:
        """The cores that each of so many tasks burns when they share this traffic evenly."""
        if tasks == 0:
            return 0.0
        return min(requests_per_second / tasks, self.requests_per_second_max) * self.cpu_seconds_per_request
