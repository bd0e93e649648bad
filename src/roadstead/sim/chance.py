"""Chance that follows from a seed: the same seed and name, the same draws."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import TypeVar

from roadstead.base import ids

T = TypeVar("T")

_STEPS = 1 << 53


class Chance:
    """A stream of draws. Streams of different names don't disturb each other."""

    def __init__(self, seed: int, name: str = "") -> None:
        self._seed = seed
        self._name = name
        digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=16).digest()
        self._ids = ids.Ids(int.from_bytes(digest, "big"))

    def fork(self, name: str) -> Chance:
        """Another stream of the same seed."""
        return Chance(self._seed, f"{self._name}/{name}")

    def fraction(self) -> float:
        """Evenly from 0 up to, not including, 1."""
        return self._ids.below(_STEPS) / _STEPS

    def between(self, low: float, high: float) -> float:
        """Evenly between two numbers; `low` without a draw where there is nothing between them."""
        return low + (high - low) * self.fraction() if high > low else low

    def happens(self, probability: float) -> bool:
        """Whether something of this probability happens; what never happens costs no draw."""
        return probability > 0.0 and self.fraction() < probability

    def choice(self, among: Sequence[T]) -> T:
        """One of them, evenly."""
        return among[self._ids.below(len(among))]

    def wait(self, mean_seconds: float) -> float:
        """How long until the next of events that come by chance, so far apart on average."""
        return -mean_seconds * math.log(1.0 - self.fraction())

    def normal(self) -> float:
        """A normally distributed number: mean 0, standard deviation 1."""
        radius = math.sqrt(-2.0 * math.log(1.0 - self.fraction()))
        return radius * math.cos(2.0 * math.pi * self.fraction())
