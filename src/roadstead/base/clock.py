"""Where time comes from. Shells ask a `Clock`; everything else is told `now`.

In all of Roadstead a moment is a `float`: seconds since 1970-01-01T00:00:00Z.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A source of moments."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()


class ManualClock:
    """A clock that stands still until it is moved: for tests and the simulator."""

    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def advance_to(self, now: float) -> None:
        """Move to a later moment. Raises ValueError for an earlier one: time only grows."""
        if now < self._now:
            raise ValueError(f"the clock stands at {self._now}, it can't go back to {now}")
        self._now = now
