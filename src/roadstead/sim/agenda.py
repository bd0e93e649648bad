"""The virtual clock, and the heap of what is due: time jumps from one entry to the next."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

Due = Callable[..., None]


class Entry:
    """Something that is due at a moment; `cancel` it and it won't happen."""

    __slots__ = ("at", "call", "parameters")

    def __init__(self, at: float, call: Due | None, parameters: tuple[Any, ...]) -> None:
        self.at = at
        self.call = call
        self.parameters = parameters

    def cancel(self) -> None:
        self.call = None
        self.parameters = ()


class Agenda:
    """A `base.clock.Clock` and what is due. Entries of one moment happen in the order in which they were made."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._heap: list[tuple[float, int, Entry]] = []
        self._count = 0
        self._runs_until = float("-inf")
        self.happened = 0
        """Entries so far, for benches."""

    def now(self) -> float:
        """Seconds since the epoch, virtual."""
        return self._now

    def at(self, moment: float, call: Due, *parameters: Any) -> Entry:
        """Have `call(*parameters)` happen at a moment; a moment that is past means now."""
        entry = Entry(max(moment, self._now), call, parameters)
        self._count += 1
        heapq.heappush(self._heap, (entry.at, self._count, entry))
        return entry

    def after(self, seconds: float, call: Due, *parameters: Any) -> Entry:
        """Have `call(*parameters)` happen so many seconds from now."""
        return self.at(self._now + seconds, call, *parameters)

    def next_at(self) -> float | None:
        """When the next entry is due; None where nothing is."""
        heap = self._heap
        while heap and heap[0][2].call is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def is_free(self, moment: float) -> bool:
        """Whether nothing else can happen up to and including a moment that lies ahead: what would be done then may be
        done now, and nobody sees the difference.
        """
        at = self.next_at()
        return moment <= self._runs_until and (at is None or moment < at)

    def step(self) -> bool:
        """Jump to the next entry and let it happen; False where there is none."""
        while self._heap:
            at, _, entry = heapq.heappop(self._heap)
            call = entry.call
            if call is None:
                continue
            self._now = at
            entry.call = None
            self.happened += 1
            call(*entry.parameters)
            return True
        return False

    def run_until(self, moment: float) -> None:
        """Let everything up to and including a moment happen; then it is that moment."""
        self._runs_until = moment
        while True:
            at = self.next_at()
            if at is None or at > moment:
                break
            self.step()
        self._runs_until = float("-inf")
        self._now = max(self._now, moment)
