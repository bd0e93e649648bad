"""What one measurement is: its name, unit, bar, and the peer's figure beside it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Protocol

import msgspec


class Bar(msgspec.Struct, frozen=True):
    """What must be reached: at most `limit`, or (`at_least`) no less."""

    limit: float
    at_least: bool = False

    def is_met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


class Figure(msgspec.Struct, frozen=True):
    """One thing that a part measures. `peer_name` is the measurement, in the same run, of a peer doing the same."""

    name: str
    title: str
    unit: str
    bar: Bar | None = None
    peer_name: str | None = None
    peer: str = "moto"


class Part(Protocol):
    """A module of `bench.parts`."""

    FIGURES: Sequence[Figure]
    RUNS: int

    def run(self, quick: bool) -> dict[str, float]:
        """Measure once; `quick` takes tiny sizes, to see that it works."""
        ...


class Outcome(msgspec.Struct, frozen=True):
    """All runs of one figure."""

    figure: Figure
    values: tuple[float, ...]
    peer_values: tuple[float, ...] = ()

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def is_met(self) -> bool | None:
        """Whether the bar is reached; None where there is none, or nothing was measured."""
        if self.figure.bar is None or not self.values:
            return None
        return self.figure.bar.is_met(self.median)


def most(limit: float) -> Bar:
    """A bar from above."""
    return Bar(limit)


def least(limit: float) -> Bar:
    """A bar from below."""
    return Bar(limit, at_least=True)


def outcomes(part: Part, runs: Sequence[dict[str, float]]) -> list[Outcome]:
    """The figures of a part over its runs; those that no run measured (a peer that isn't installed) have no values."""

    def values(name: str | None) -> tuple[float, ...]:
        return tuple(run[name] for run in runs if name is not None and name in run)

    return [Outcome(figure, values(figure.name), values(figure.peer_name)) for figure in part.FIGURES]
