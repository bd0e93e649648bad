"""The work queue: which key of which controller is looked at next. Pure.

A key waits once, however often it is added. Controllers take turns, so that one with ten thousand keys doesn't make
another with one key wait; within a controller the first that came is the first that goes. Each key has at most one
moment at which it wakes.
"""

from __future__ import annotations

import heapq
from collections import deque

Key = tuple[int, str]
"""A controller's place in the list of controllers, and one of its keys."""

STALE_WAKES_MIN = 64
"""Outdated entries that the heap of wakes keeps before it is rebuilt; above that, as many as it has current ones."""


class WorkQueue:
    """Keys that wait to be looked at, and keys that sleep until a moment."""

    def __init__(self, controllers: int) -> None:
        self._ready: list[dict[str, None]] = [{} for _ in range(controllers)]
        self._turns: deque[int] = deque()  # controllers that have keys waiting, each once
        self._wakes: list[tuple[float, int, str]] = []
        self._wake_at: dict[Key, float] = {}

    def __len__(self) -> int:
        """How many keys wait now."""
        return sum(len(keys) for keys in self._ready)

    def __bool__(self) -> bool:
        """Whether a key waits now."""
        return bool(self._turns)

    @property
    def sleeping(self) -> int:
        """How many keys have a moment at which they wake."""
        return len(self._wake_at)

    def clear(self) -> None:
        """Forget everything."""
        for keys in self._ready:
            keys.clear()
        self._turns.clear()
        self._wakes.clear()
        self._wake_at.clear()

    def add(self, controller: int, key: str) -> None:
        """Have a key looked at; nothing changes where it waits already."""
        keys = self._ready[controller]
        if not keys:
            self._turns.append(controller)
        keys[key] = None

    def pop(self) -> Key | None:
        """The next key, or None where none waits."""
        if not self._turns:
            return None
        controller = self._turns.popleft()
        keys = self._ready[controller]
        key = next(iter(keys))
        del keys[key]
        if keys:
            self._turns.append(controller)
        return controller, key

    def discard(self, controller: int, key: str) -> None:
        """Have a key that waits not looked at."""
        keys = self._ready[controller]
        if key in keys:
            del keys[key]
            if not keys:
                self._turns.remove(controller)

    def sleep(self, controller: int, key: str, wake_at: float | None) -> None:
        """Set the moment at which a key wakes by itself, in place of the one it had; None: it doesn't."""
        name = (controller, key)
        if wake_at is None:
            self._wake_at.pop(name, None)
        elif self._wake_at.get(name) != wake_at:
            self._wake_at[name] = wake_at
            heapq.heappush(self._wakes, (wake_at, controller, key))
        if len(self._wakes) > 2 * len(self._wake_at) + STALE_WAKES_MIN:
            self._wakes = [(at, place, name) for (place, name), at in self._wake_at.items()]
            heapq.heapify(self._wakes)

    def hasten(self, controller: int, key: str, wake_at: float) -> bool:
        """Have a sleeping key wake at a moment, where it would sleep longer; whether it would have."""
        planned = self._wake_at.get((controller, key))
        if planned is None or planned <= wake_at:
            return False
        self.sleep(controller, key, wake_at)
        return True

    def wake(self, now: float) -> None:
        """Add the keys whose moment has come."""
        while self._wakes and self._wakes[0][0] <= now:
            wake_at, controller, key = heapq.heappop(self._wakes)
            if self._wake_at.get((controller, key)) == wake_at:
                del self._wake_at[controller, key]
                self.add(controller, key)

    def next_wake(self) -> float | None:
        """The next moment at which a key wakes; None where none sleeps."""
        while self._wakes:
            wake_at, controller, key = self._wakes[0]
            if self._wake_at.get((controller, key)) == wake_at:
                return wake_at
            heapq.heappop(self._wakes)
        return None
