"""From a scenario's list `traffic` to rates: one for each slot of 20 s, worked out once for all runs."""

from __future__ import annotations

import array
import math
import pathlib
from collections.abc import Callable, Sequence

import msgspec

from roadstead.lab import problems, recordings, scenario, spans, traces
from roadstead.sim import chance as chances
from roadstead.sim import traffic as sim_traffic

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_SECONDS = 86_400.0
FIRST_DAY = 3
"""1970-01-01 was a Thursday."""
GROWTH_EXPONENT_MAX = 50.0
RATE_MAX = 1e9


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """The traffic of a scenario: `rates[i]` requests a second from `begin + i * 20` on."""

    begin: float
    duration_seconds: float
    rates: Sequence[float]
    notes: tuple[str, ...] = ()

    @property
    def trace(self) -> sim_traffic.Trace:
        """The same for `sim`."""
        return sim_traffic.Trace(begin=self.begin, seconds=scenario.SLOT_SECONDS, rates=self.rates)

    def rate_before(self, moment: float) -> float:
        """The rate of the slot that ends at a moment."""
        place = int((moment - self.begin) // scenario.SLOT_SECONDS) - 1
        return self.rates[min(max(place, 0), len(self.rates) - 1)]


class _Work(msgspec.Struct):
    """What the parts change, one after the other."""

    begin: float
    rates: array.array[float]
    chance: chances.Chance
    recordings: dict[int, recordings.Recording]
    first: int = 0
    """The first slot, counted from the begin; below 0 it is before it."""

    def moments(self) -> range:
        """The middle of each slot, in seconds after the begin."""
        start = self.first * scenario.SLOT_SECONDS + scenario.SLOT_SECONDS // 2
        return range(start, start + len(self.rates) * scenario.SLOT_SECONDS, scenario.SLOT_SECONDS)

    def add(self, rate: Callable[[float], float]) -> None:
        self.rates = array.array("d", (old + rate(at) for old, at in zip(self.rates, self.moments(), strict=True)))

    def multiply(self, factor: Callable[[float], float]) -> None:
        self.rates = array.array("d", (old * factor(at) for old, at in zip(self.rates, self.moments(), strict=True)))


def make(subject: scenario.Scenario, seed: int) -> Demand:
    """The traffic of a scenario. Raises problems.Invalid where a trace can't be read, or no duration follows."""
    recorded = {place: one for place, part in enumerate(subject.traffic) if (one := _recording(subject, part))}
    lone = next(iter(recorded.values())) if len(recorded) == 1 else None
    duration = subject.duration if subject.duration is not None else lone.seconds if lone is not None else None
    if duration is None:
        raise problems.Invalid("the field duration is missing: only a scenario with one trace can do without")
    duration = math.ceil(duration / subject.step) * subject.step
    try:
        scenario.check_duration(duration, subject.step)
    except ValueError as problem:
        raise problems.Invalid(str(problem)) from None
    begin = _begin(subject, lone) // subject.step * subject.step
    slots = round(duration / scenario.SLOT_SECONDS)
    work = _Work(begin, array.array("d", bytes(8 * slots)), chances.Chance(seed, "traffic"), recorded)
    rates = _rates(subject, work)
    notes = tuple(note for one in recorded.values() for note in one.notes)
    return Demand(begin=begin, duration_seconds=duration, rates=rates, notes=notes)


def before(subject: scenario.Scenario, seed: int, begin: float) -> Demand | None:
    """The traffic of the scenario's `history` before its begin, as far as its parts tell: sources as they would have
    been, spikes and crowds only from the start on. None where a trace that doesn't repeat has nothing before it.
    Raises problems.Invalid where a trace can't be read.
    """
    recorded = {place: one for place, part in enumerate(subject.traffic) if (one := _recording(subject, part))}
    since = -float(subject.history)
    for place, recording in recorded.items():
        part = subject.traffic[place].kind
        if not (isinstance(part, scenario.Trace) and part.repeat):
            is_aligned = not isinstance(part, scenario.Trace) or part.align
            since = max(since, 0.0 if is_aligned else recording.moments[0] - begin)
    slots = math.floor(-since / scenario.SLOT_SECONDS)
    if slots <= 0:
        return None
    chance = chances.Chance(seed, "history")
    work = _Work(begin, array.array("d", bytes(8 * slots)), chance, recorded, first=-slots)
    length = slots * scenario.SLOT_SECONDS
    return Demand(begin=begin - length, duration_seconds=length, rates=_rates(subject, work))


def _rates(subject: scenario.Scenario, work: _Work) -> array.array[float]:
    """The rate of each slot, after all parts."""
    for place, part in enumerate(subject.traffic):
        _apply(work, part.kind, place)
    return array.array("d", (round(min(rate, RATE_MAX), sim_traffic.RATE_DIGITS) for rate in work.rates))


def _recording(subject: scenario.Scenario, part: scenario.TrafficPart) -> recordings.Recording | None:
    match part.kind:
        case scenario.Trace() as trace:
            return traces.load(pathlib.Path(subject.folder, trace.file), trace)
        case scenario.Recorded() as recorded:
            return recorded.recording
        case _:
            return None


def _begin(subject: scenario.Scenario, lone: recordings.Recording | None) -> float:
    """The scenario's start, else the trace's; one that counts from 0 starts where others do."""
    if subject.start is not None:
        return subject.start
    if lone is not None and lone.moments[0] >= scenario.EARLIEST:
        return lone.moments[0]
    return scenario.START


def _apply(work: _Work, part: scenario.Part, place: int) -> None:
    match part:
        case scenario.Constant():
            work.add(lambda _: part.rate)
        case scenario.Diurnal():
            work.add(_diurnal(part, work.begin))
        case scenario.Ramp():
            work.add(lambda at: part.low + (part.high - part.low) * _share(at, part.begin, part.end))
        case scenario.FlashCrowd():
            work.add(lambda at: _flash(part, at - part.at))
        case scenario.Trace():
            work.add(_recorded(work.recordings[place], work.begin, part.align, part.repeat))
        case scenario.Recorded():
            work.add(_recorded(part.recording, work.begin, align=True, repeat=False))
        case scenario.Spike():
            work.multiply(lambda at: part.factor if part.at <= at < part.at + part.duration else 1.0)
        case scenario.Weekend():
            days = frozenset(DAYS.index(day) for day in part.days)
            work.multiply(lambda at: part.factor if _day(work.begin + at) in days else 1.0)
        case scenario.Growth():
            exponent = math.log1p(part.percent / 100.0) / max(part.per, 1.0)
            work.multiply(lambda at: math.exp(min(exponent * at, GROWTH_EXPONENT_MAX)))
        case scenario.Noise():
            chance = work.chance.fork(str(place))
            work.multiply(lambda _: max(0.0, 1.0 + part.percent / 100.0 * chance.normal()))
        case scenario.Scale():
            work.multiply(lambda _: part.factor)
        case _:
            raise AssertionError(f"{type(part).__name__} is no traffic")


def _day(moment: float) -> int:
    """0 is Monday."""
    return (int(moment // DAY_SECONDS) + FIRST_DAY) % 7


def _diurnal(part: scenario.Diurnal, begin: float) -> Callable[[float], float]:
    def rate(at: float) -> float:
        angle = 2.0 * math.pi * ((begin + at) / DAY_SECONDS - part.peak / 24.0)
        return part.low + (part.high - part.low) * (1.0 + math.cos(angle)) / 2.0

    return rate


def _share(at: float, begin: float, end: float) -> float:
    return min(max((at - begin) / (end - begin), 0.0), 1.0) if end > begin else float(at >= begin)


def _flash(part: scenario.FlashCrowd, since: float) -> float:
    if since < 0.0:
        return 0.0
    if since < part.rise:
        return part.peak * since / part.rise
    over = since - part.rise - part.hold
    if over <= 0.0:
        return part.peak
    return part.peak * 0.5 ** (over / part.half_life) if part.half_life > 0 else 0.0


def _recorded(recording: recordings.Recording, begin: float, align: bool, repeat: bool) -> Callable[[float], float]:
    first = recording.moments[0]
    length = recording.seconds

    def rate(at: float) -> float:
        since = at if align else begin + at - first
        if repeat:
            since %= length
        return recording.rate_at(first + since) if 0.0 <= since < length else 0.0

    return rate


def describe(subject: scenario.Scenario) -> tuple[str, ...]:
    """The parts of the traffic in words, a line each: `diurnal: low 60, high 760, peak 14:00`."""
    lines = []
    for one in subject.traffic:
        part = one.kind
        name = next(name for name in one.__struct_fields__ if getattr(one, name) is not None)
        given = [
            f"{label} {_shown(getattr(part, field))}"
            for field, label in zip(part.__struct_fields__, part.__struct_encode_fields__, strict=True)
            if getattr(part, field) not in (None, False) and field != "recording"
        ]
        lines.append(f"{name.replace('_', ' ')}: {', '.join(given)}")
    return tuple(lines)


def _shown(value: object) -> str:
    match value:
        case spans.Hour():
            return f"{int(value):02}:{round(value % 1 * 60):02} UTC"
        case spans.Span():
            return spans.show_span(value)
        case float() | int():
            return f"{value:g}"
        case tuple():
            return " and ".join(str(one) for one in value)
        case _:
            return str(value)
