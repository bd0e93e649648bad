"""Traffic: how many requests a second come at a moment. Each kind is a pure function of the moment, noise included."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Sequence

import msgspec

DAY_SECONDS = 86_400.0
NOISE_SECONDS = 20.0
"""How long one draw of noise lasts."""
RATE_DIGITS = 6
"""Rates are rounded: the last bits of a cosine differ from one C library to the next, transcripts must not."""


class _Kind(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Root of all kinds; moments in epoch seconds, rates in requests per second."""


class Constant(_Kind, frozen=True, kw_only=True, tag="constant"):
    """The same rate all the time."""

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
    """All of its parts together."""

    parts: tuple[Traffic, ...]


class Trace(_Kind, frozen=True, kw_only=True, tag="trace"):
    """Rates that were recorded or worked out before: one for each `seconds` from `begin` on; level before and after."""

    begin: float
    seconds: float
    rates: Sequence[float]


Traffic = Constant | Diurnal | Ramp | Spike | Noise | Sum | Trace


def rate(traffic: Traffic, moment: float) -> float:
    """Requests per second at a moment; never less than 0."""
    return sampler(traffic)(moment)


def sampler(traffic: Traffic) -> Callable[[float], float]:
    """`rate` of one traffic, for who asks often."""
    exact = _exact(traffic)

    def rounded(moment: float) -> float:
        found = exact(moment)
        return 0.0 if found < 0.0 else round(found, RATE_DIGITS)

    return rounded


def _exact(traffic: Traffic) -> Callable[[float], float]:
    match traffic:
        case Constant():
            return lambda moment: traffic.rate
        case Diurnal():
            return functools.partial(_diurnal, traffic.low, traffic.high - traffic.low, traffic.peak_hour / 24.0)
        case Ramp():
            return functools.partial(_ramp, traffic)
        case Spike():
            quiet, begin, end, factor = (
                sampler(traffic.beneath),
                traffic.begin,
                traffic.begin + traffic.seconds,
                traffic.factor,
            )
            return lambda moment: quiet(moment) * (factor if begin <= moment < end else 1.0)
        case Noise():
            beneath, part = sampler(traffic.beneath), traffic.part
            seeded = hashlib.blake2b(f"{traffic.seed}/".encode(), digest_size=8)
            return lambda moment: beneath(moment) * (1.0 + part * _draw(seeded, moment))
        case Sum():
            parts = [sampler(part) for part in traffic.parts]
            return lambda moment: sum([part(moment) for part in parts])
        case Trace():
            return functools.partial(_recorded, traffic.begin, traffic.seconds, traffic.rates, len(traffic.rates) - 1)


def _diurnal(low: float, swing: float, peak: float, moment: float) -> float:
    angle = 2.0 * math.pi * (moment / DAY_SECONDS - peak)
    return low + swing * (1.0 + math.cos(angle)) / 2.0


def _ramp(ramp: Ramp, moment: float) -> float:
    part = (moment - ramp.begin) / (ramp.end - ramp.begin) if ramp.end > ramp.begin else 1.0
    return ramp.low + (ramp.high - ramp.low) * min(max(part, 0.0), 1.0)


def _recorded(begin: float, seconds: float, rates: Sequence[float], last: int, moment: float) -> float:
    return rates[min(max(int((moment - begin) // seconds), 0), last)]


def _draw(seeded: hashlib.blake2b, moment: float) -> float:
    """Evenly from -1 to 1, the same for each moment of a slot of time; `seeded` has the seed in it."""
    drawn = seeded.copy()
    drawn.update(b"%d" % (moment // NOISE_SECONDS))
    return int.from_bytes(drawn.digest(), "big") / (1 << 63) - 1.0


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
