"""How long tasks take to start and instances to boot: drawn from what a scenario says, and told in words."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from roadstead.lab import scenario, spans
from roadstead.sim import chance as chances

PART_MIN = 0.1
"""Nothing that is normally distributed takes less than this part of the mean."""


def drawn(timing: scenario.Timing, chance: chances.Chance) -> Callable[[], float]:
    """A function that gives the seconds of one after the other."""
    mean, deviation, observed = timing.mean, timing.deviation, timing.observed
    if mean is None:
        return lambda: chance.choice(observed)
    return lambda: max(mean * PART_MIN, mean + deviation * chance.normal())


def describe(timing: scenario.Timing) -> str:
    """`40s ± 10s`, or `one of 25 observed times, 31s to 2m, half of them up to 42s`."""
    if timing.mean is None:
        middle = statistics.median_low(timing.observed)
        first, last = min(timing.observed), max(timing.observed)
        return (
            f"one of {len(timing.observed)} observed times, {spans.show_span(first)} to {spans.show_span(last)}, "
            f"half of them up to {spans.show_span(middle)}"
        )
    spread = f" ± {spans.show_span(timing.deviation)}" if timing.deviation else ""
    return f"{spans.show_span(timing.mean)}{spread}"
