"""Runs the parts: each run in a process of its own, the parts' runs interleaved, so that a slow minute of the machine
falls on all of them alike.
"""

from __future__ import annotations

import importlib
import pathlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import cast

import msgspec

from bench import figures

NAMES = (
    "containers",
    "api",
    "growth",
    "metrics",
    "start",
    "placement",
    "alarms",
    "simulation",
    "year",
    "runtime",
    "cloudwatch",
    "wire",
    "signals",
)
"""In the order of the report."""
ROOT = pathlib.Path(__file__).parents[1]
PART_SECONDS_MAX = 600.0
"""How long one run of a part may take."""


class PartFailed(Exception):
    """A part's process did not end well; the text has its last words."""


def load(name: str) -> figures.Part:
    """The module of a part."""
    return cast(figures.Part, importlib.import_module(f"bench.parts.{name}"))


def measure(names: Sequence[str], quick: bool, say: Callable[[str], None]) -> tuple[list[Result], list[str]]:
    """Run the parts. Returns what they measured, and a line for each that failed."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    failures: dict[str, str] = {}
    most = 1 if quick else max(load(name).RUNS for name in names)
    for number in range(most):
        for name in names:
            if name in failures or number >= (1 if quick else load(name).RUNS):
                continue
            say(f"run {number + 1}: {name} …")
            try:
                runs[name].append(run_once(name, quick))
            except PartFailed as failure:
                failures[name] = f"{name}: {failure}"
    found = [Result(name, tuple(figures.outcomes(load(name), runs[name]))) for name in names if runs[name]]
    return found, list(failures.values())


class Result(msgspec.Struct, frozen=True):
    """What one part measured."""

    part: str
    outcomes: tuple[figures.Outcome, ...]


def run_once(name: str, quick: bool) -> dict[str, float]:
    """One run of one part in a process of its own. Raises PartFailed."""
    command = [sys.executable, "-m", "bench", "--child", name, *(["--quick"] if quick else [])]
    try:
        done = subprocess.run(command, capture_output=True, timeout=PART_SECONDS_MAX, cwd=ROOT, check=False)
    except subprocess.TimeoutExpired:
        raise PartFailed(f"it did not end within {PART_SECONDS_MAX:.0f} s") from None
    if done.returncode != 0:
        raise PartFailed(done.stderr.decode(errors="replace").strip()[-2_000:] or f"status {done.returncode}")
    return msgspec.json.decode(done.stdout.strip().splitlines()[-1], type=dict[str, float])
