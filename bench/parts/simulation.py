"""Simulated time: what a week of one service costs, and the kinds of world that are tested in."""

from __future__ import annotations

from bench import bench_simulation, figures
from roadstead.base import memory

RUNS = 3
FIGURES = (
    figures.Figure(
        "week", "a week of one service, 20 s metrics, 1-100 tasks (a crowd of stand-ins)", "s", figures.most(2)
    ),
    figures.Figure("week 60", "  the same with 60 s metrics", "s"),
    figures.Figure("day", "a day of one service, 60 s metrics, 1-20 tasks, real agents' machines", "s"),
    figures.Figure("storm", "an hour of faults, 10 tasks, real agents' machines, all checks", "s"),
)


def run(quick: bool) -> dict[str, float]:
    """Measure once."""
    memory.settle()  # as the verb simulate does
    week, day, storm = bench_simulation.week, bench_simulation.day, bench_simulation.storm
    if quick:
        return {"week": week(0.1), "week 60": week(0.1, 60), "day": day(0.05), "storm": storm(0.05)}
    return {"week": week(), "week 60": week(resolution_seconds=60), "day": day(), "storm": storm()}
