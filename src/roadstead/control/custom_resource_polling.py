"""Which custom resource's endpoint is asked when: a machine, whose instructions are `custom_resources.Exchange`s.

In: every change of a record, the end of every exchange, and ticks at `next_at`. Out: exchanges to begin now, each
endpoint's one at a time, EXCHANGES_AT_ONCE_MAX in all, the longest due first. It remembers only what a restart may
forget: when each was last asked. How long to wait follows from the record.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import msgspec

from roadstead.control import custom_resources as decisions
from roadstead.model import custom_resources, tables
from roadstead.state import store
from roadstead.state import view as views

EXCHANGES_AT_ONCE_MAX = 16


class Began(msgspec.Struct, frozen=True):
    """The process starts, or everything was wiped: all there is is asked at once."""

    resources: tuple[custom_resources.CustomResource, ...]


class Changed(msgspec.Struct, frozen=True):
    """A record after a commit; None: it was removed."""

    url: str
    resource: custom_resources.CustomResource | None


class Ended(msgspec.Struct, frozen=True):
    """An exchange is over, and noted."""

    url: str


class Tick(msgspec.Struct, frozen=True):
    """It is `next_at`, or later."""


Event = Began | Changed | Ended | Tick


def began(view: views.View) -> Began:
    """The process starts on this view."""
    return Began(tuple(view.find(tables.CUSTOM_RESOURCES, "all", "all")))


def changes(commit: store.Commit) -> Iterator[Changed]:
    """What a commit did to custom resources."""
    for change in commit.changes:
        if change.table == tables.CUSTOM_RESOURCES.name:
            after = change.after
            assert after is None or isinstance(after, custom_resources.CustomResource)
            yield Changed(change.key, after)


class Polling:
    """See the module."""

    def __init__(self) -> None:
        self._resources: dict[str, custom_resources.CustomResource] = {}
        self._asked_at: dict[str, float] = {}
        self._busy: set[str] = set()
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        """Of `_due`; an entry that isn't there any more is passed over."""

    @property
    def next_at(self) -> float | None:
        """When to tick; None while nothing is due, or as much as may be is under way."""
        self._prune()
        return self._heap[0][0] if self._heap and len(self._busy) < EXCHANGES_AT_ONCE_MAX else None

    def handle(self, event: Event, now: float) -> list[decisions.Exchange]:
        """The exchanges to begin; each is to end in an `Ended`."""
        match event:
            case Began():
                self._resources = {one.url: one for one in event.resources}
                self._asked_at, self._due, self._heap = {}, {}, []
                for url in self._resources:
                    self._plan(url, now)
            case Changed():
                if event.resource is None:
                    for known in (self._resources, self._asked_at, self._due):
                        known.pop(event.url, None)
                else:
                    self._resources[event.url] = event.resource
                    self._plan(event.url, now)
            case Ended():
                self._busy.discard(event.url)
                if event.url in self._resources:
                    self._asked_at[event.url] = now
                    self._plan(event.url, now)
            case Tick():
                pass
        return self._begin(now)

    def _plan(self, url: str, now: float) -> None:
        """Set when a resource is due; one that is being asked is planned when that ends."""
        if url in self._busy:
            return
        asked_at = self._asked_at.get(url)
        due = now if asked_at is None else asked_at + decisions.pause_seconds(self._resources[url])
        if self._due.get(url) != due:
            self._due[url] = due
            heapq.heappush(self._heap, (due, url))

    def _begin(self, now: float) -> list[decisions.Exchange]:
        found: list[decisions.Exchange] = []
        self._prune()
        while self._heap and self._heap[0][0] <= now and len(self._busy) < EXCHANGES_AT_ONCE_MAX:
            _, url = heapq.heappop(self._heap)
            del self._due[url]
            self._busy.add(url)
            found.append(decisions.exchange_for(self._resources[url]))
            self._prune()
        return found

    def _prune(self) -> None:
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
