"""The port of the journal: it makes commits durable, and gives them back after a restart.

Implementations: `journals.sqlite` (the default), `journals.etcd` later, and `MemoryJournal` for `--ephemeral` and the
simulator. Metric data are kept as they came, until a checkpoint replaces them: the series' own dump, which is small
and quick to load.
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

    def newest_revision(self) -> int:
        """Revision of the newest entry that was ever appended; 0 where there was none."""
        ...

    def load(self) -> Iterator[Row]:
        """All records, in any order."""
        ...

    def load_checkpoint(self) -> Iterator[bytes]:
        """The chunks of the newest checkpoint of the metrics; none where none was made."""
        ...

    def load_data(self) -> Iterator[metrics.Datum]:
        """The metric data points appended since the checkpoint, in their order."""
        ...

    def append(self, entries: Sequence[Entry]) -> None:
        """Make the entries durable: all or, if this raises, none; one sync for all of them."""
        ...

    def checkpoint(self, chunks: Sequence[bytes]) -> None:
        """Keep `chunks` (of `signals.series.SeriesStore.dump`) in place of all metric data appended so far."""
        ...

    def wipe(self) -> None:
        """Forget everything."""
        ...

    def close(self) -> None: ...


class MemoryJournal:
    """Keeps nothing: for `--ephemeral`."""

    def newest_revision(self) -> int:
        return 0

    def load(self) -> Iterator[Row]:
        return iter(())

    def load_checkpoint(self) -> Iterator[bytes]:
        return iter(())

    def load_data(self) -> Iterator[metrics.Datum]:
        return iter(())

    def append(self, entries: Sequence[Entry]) -> None:
        return None

    def checkpoint(self, chunks: Sequence[bytes]) -> None:
        return None

    def wipe(self) -> None:
        return None

    def close(self) -> None:
        return None
