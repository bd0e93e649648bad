"""Drives a stepper in real time: works while there is work, a few milliseconds at a time, else sleeps until the next
commit or the next moment at which a key wakes.
"""

from __future__ import annotations

import asyncio
import time

from roadstead.base import clock as clocks
from roadstead.engine import committer, stepper

TURN_SECONDS = 0.002
"""How long the controllers work before requests get their turn."""
SLEEP_SECONDS_MAX = 5.0
"""How long it sleeps at most: so a clock that was set forward is noticed."""
FULL_PAUSE_SECONDS = 0.005
"""How long it waits while too much waits for the disk."""


class LiveEngine:
    """The driver; made and used on the event loop's thread."""

    def __init__(self, driven: stepper.Stepper, clock: clocks.Clock, durability: committer.Committer) -> None:
        self._stepper = driven
        self._clock = clock
        self._committer = durability
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.Handle | None = None
        self._is_soon = False
        self._runs = False
        driven.on_work(self._poke)

    def start(self) -> None:
        """Look at everything once, and from then on at what changes."""
        self._runs = True
        self._stepper.start(self._clock.now())
        self._poke()

    def stop(self) -> None:
        """Look at nothing any more."""
        self._runs = False
        if self._handle is not None:
            self._handle.cancel()
        self._handle = None
        self._is_soon = False

    def _poke(self) -> None:
        if self._is_soon or not self._runs:
            return
        if self._handle is not None:
            self._handle.cancel()
        self._is_soon = True
        self._handle = self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        if not self._runs:
            return
        if self._committer.is_full:
            self._handle = self._loop.call_later(FULL_PAUSE_SECONDS, self._turn)
            return
        ends_at = time.perf_counter() + TURN_SECONDS
        works = True
        while works and time.perf_counter() < ends_at:
            works = self._stepper.step(self._clock.now())
        if works:
            self._handle = self._loop.call_soon(self._turn)
            return
        self._is_soon = False
        wake_at = self._stepper.next_wake()
        pause = SLEEP_SECONDS_MAX if wake_at is None else min(max(wake_at - self._clock.now(), 0.0), SLEEP_SECONDS_MAX)
        self._handle = self._loop.call_later(pause, self._turn)
