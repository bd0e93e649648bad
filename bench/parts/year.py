"""What a simulated year costs, and what it needs of memory: once, in a process of its own."""

from __future__ import annotations

from bench import bench_simulation, figures
from roadstead.base import memory

RUNS = 1
QUICK_DAYS = 2.0
FIGURES = (
    figures.Figure(
        "year", "a year of one service, 60 s metrics, 1-100 tasks (a crowd of stand-ins)", "s", figures.most(30)
    ),
    figures.Figure("memory", "  the most memory of its process", "MiB"),
)


def run(quick: bool) -> dict[str, float]:
    """Measure once."""
    memory.settle()  # as the verb simulate does
    took = bench_simulation.year(QUICK_DAYS) if quick else bench_simulation.year()
    return {"year": took, "memory": bench_simulation.peak_mib()}
