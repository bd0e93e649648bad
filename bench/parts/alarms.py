"""What 10,000 standard alarms cost each minute: the controller in the stepper, over a store; CPU time of one thread."""

from __future__ import annotations

import contextlib
import sys

from bench import bench_alarms, figures

RUNS = 3
MINUTE_SECONDS = 60.0
QUIET_MINUTES = 3
"""An alarm at rest on three of three data points is looked at once in so many."""
FIGURES = (
    figures.Figure(
        "quiet", "10,000 standard alarms, a quiet minute, the mean of three", "% of a core", figures.most(5)
    ),
    figures.Figure("first", "  a minute in which each changes its state", "% of a core"),
)


def run(quick: bool) -> dict[str, float]:
    """Measure once."""
    if quick:
        bench_alarms.ALARMS = 100
    start = bench_alarms.START
    with contextlib.redirect_stdout(sys.stderr):
        world = bench_alarms.World()
        for age in range(5, 0, -1):
            world.measure(start - MINUTE_SECONDS * age, 50.0)
        first = world.round("first", start + MINUTE_SECONDS)
        quiet = []
        for number in range(1 + QUIET_MINUTES):
            world.measure(start + MINUTE_SECONDS * number, 50.0 + number)
            quiet.append(world.round("quiet", start + MINUTE_SECONDS * (number + 2)))
    mean = sum(quiet[1:]) / QUIET_MINUTES
    return {"quiet": mean / MINUTE_SECONDS * 100, "first": first / MINUTE_SECONDS * 100}
