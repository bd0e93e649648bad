"""The stand-in for the journal: it keeps what was synced over every crash, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from roadstead.signals import metrics
from roadstead.state import journal


class Disk:
    """A `state.journal.Journal` in memory that outlives the control plane's process."""

    def __init__(self) -> None:
        self.wipe()

    def wipe(self) -> None:
        self._rows: dict[tuple[str, str], journal.Row] = {}
        self._removed: dict[tuple[str, str], int] = {}
        self._revision = 0
        self._chunks: tuple[bytes, ...] = ()
        self._data: list[metrics.Datum] = []
        self.data_since_checkpoint = 0

    def newest_revision(self) -> int:
        return self._revision

    def load(self) -> Iterator[journal.Row]:
        return iter(list(self._rows.values()))

    def load_checkpoint(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def load_data(self) -> Iterator[metrics.Datum]:
        return iter(list(self._data))

    def append(self, entries: Sequence[journal.Entry]) -> None:
        for entry in entries:
            assert entry.revision > self._revision, "commits become durable in their order"
            self._revision = entry.revision
            for row in entry.rows:
                if row.blob is None:
                    self._rows.pop((row.table, row.key), None)
                    self._removed[row.table, row.key] = row.revision
                else:
                    self._rows[row.table, row.key] = row
            self._data.extend(entry.data)
            self.data_since_checkpoint += len(entry.data)

    def checkpoint(self, chunks: Sequence[bytes]) -> None:
        self._chunks = tuple(chunks)
        self._data.clear()
        self.data_since_checkpoint = 0

    def close(self) -> None:
        return None

    def revision_of(self, table: str, key: str) -> int:
        """The revision of a record that is kept; 0 where none is. For the checkers."""
        row = self._rows.get((table, key))
        return row.revision if row is not None else 0

    def removed_at(self, table: str, key: str) -> int:
        """The revision in which a record was last removed; 0 where it never was. For the checkers."""
        return self._removed.get((table, key), 0)
