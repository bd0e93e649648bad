"""The port of the journal: it makes commits durable, and gives them back after a restart.

Implementations: `journals.sqlite` (the default), `journals.etcd` later, and `MemoryJournal` for `--ephemeral` and
the simulator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from roadstead.signals import metrics


class Row(msgspec.Struct, frozen=True):
    """One record's new version as it is kept: `blob` None removes it."""

    table: str
    key: str
    revision: int
    blob: bytes | None


class Entry(msgspec.Struct, frozen=True):
    """All that one commit wrote."""

    revision: int
    rows: tuple[Row, ...]
    data: tuple[metrics.Datum, ...] = ()


class Journal(Protocol):
    """Calls block until the disk has it; a shell calls them from a thread of its own, one at a time."""

    def load(self) -> Iterator[Row]:
        """All records, in any order."""
        ...

    def load_data(self) -> Iterator[metrics.Datum]:
        """All metric data points that are still kept, oldest first."""
        ...

    def append(self, entries: Sequence[Entry]) -> None:
        """Make the entries durable: all or, if this raises, none; one sync for all of them."""
        ...

    def wipe(self) -> None:
        """Forget everything."""
        ...

    def close(self) -> None: ...


class MemoryJournal:
    """Keeps nothing: for `--ephemeral`."""

    def load(self) -> Iterator[Row]:
        return iter(())

    def load_data(self) -> Iterator[metrics.Datum]:
        return iter(())

    def append(self, entries: Sequence[Entry]) -> None:
        return None

    def wipe(self) -> None:
        return None

    def close(self) -> None:
        return None
