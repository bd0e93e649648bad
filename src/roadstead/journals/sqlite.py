"""The default journal: one SQLite file (WAL, full sync), written by one process.

Records have integer keys that this process hands out and remembers, so that new rows lie next to each other and a
group of commits touches few pages: 1.6 times the rate of a text key here, and a third of its p99. A group is one
statement where it can be, because each statement gives up Python's lock, and taking it back can last milliseconds
while the event loop is busy.
"""

from __future__ import annotations

import collections
import itertools
import os
import pathlib
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from roadstead.base import errors
from roadstead.journals import lock
from roadstead.signals import metrics
from roadstead.state import journal

SCHEMA_VERSION = 1
ROWS_PER_STATEMENT_MAX = 256
"""Rows that one INSERT carries; a larger group takes several in one transaction."""
WAL_PAGES_BEFORE_CHECKPOINT = 1000
"""SQLite copies the log into the file when it has this many pages of 4 KiB: few enough to take some milliseconds."""
LOG_BYTES = (WAL_PAGES_BEFORE_CHECKPOINT + 200) * (4096 + 24)
"""The log's length from the start: what it has when it is copied, and a group beyond."""

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE records (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, blob BLOB NOT NULL
);
CREATE TABLE metric_data (number INTEGER PRIMARY KEY, blob BLOB NOT NULL);
CREATE TABLE metric_checkpoint (number INTEGER PRIMARY KEY, blob BLOB NOT NULL);
"""

_encoder = msgspec.msgpack.Encoder()
_data_decoder = msgspec.msgpack.Decoder(list[metrics.Datum])


class SqliteJournal:
    """`state.journal.Journal` over the file at `path`; its lock lies beside it.

    The constructor makes what is missing. It raises errors.HostProblem where the file can't be used: another server
    has it open, a newer Roadstead wrote it, it is damaged, or the directory can't be written.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self._lock = lock.DirectoryLock(path.with_name(path.name + ".lock"))
        self._ids: dict[str, dict[str, int]] = {}
        self._knows_ids = False
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._open()
        except sqlite3.Error as error:
            self._lock.release()
            raise errors.HostProblem(
                f"The journal {path} can't be opened",
                str(error),
                "If the file is damaged, restore it from a copy or choose another directory with --data-dir.",
            ) from error
        except errors.HostProblem:
            self._db.close()
            self._lock.release()
            raise

    def _open(self) -> None:
        database = self._db
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute(f"PRAGMA wal_autocheckpoint={WAL_PAGES_BEFORE_CHECKPOINT}")
        found = database.execute("PRAGMA user_version").fetchone()[0]
        if found > SCHEMA_VERSION:
            raise errors.HostProblem(
                f"The journal {self.path} can't be read",
                f"a newer Roadstead wrote it (its schema is {found}, this one knows {SCHEMA_VERSION})",
                "Install that newer version again, or choose another directory with --data-dir.",
            )
        if found == 0:
            database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")
        newest = database.execute("SELECT max(id) FROM records").fetchone()[0]
        self._next_id = itertools.count((newest or 0) + 1)
        self._lengthen_log()

    def _lengthen_log(self) -> None:
        """Give the log its length before it is needed.

        To sync what made a file longer takes a commit of the file system's own journal, ten times and more as long as
        to sync what was written into blocks that it has; SQLite writes its log over and over, so only at first does it
        grow. What lies behind the log's end SQLite doesn't read: neither checksum nor salt fit.
        """
        log = os.open(f"{self.path}-wal", os.O_WRONLY | os.O_CLOEXEC)  # SQLite's locks are on other files
        try:
            size = os.fstat(log).st_size
            if size < LOG_BYTES:
                os.pwrite(log, bytes(LOG_BYTES - size), size)
                os.fdatasync(log)
        except OSError:
            pass  # a disk that is nearly full: it goes on at the slower pace
        finally:
            os.close(log)

    def _remember(self, number: int, kind: str, key: str) -> None:
        keys = self._ids.setdefault(kind, {})
        if key in keys:
            raise errors.HostProblem(
                f"The journal {self.path} is damaged",
                f"{kind} {key} stands in it twice",
                "Restore it from a copy, or choose another directory with --data-dir.",
            )
        keys[key] = number

    # -- reading

    def newest_revision(self) -> int:
        found = self._db.execute(
            "SELECT max(coalesce((SELECT max(revision) FROM records), 0),"
            " coalesce((SELECT value FROM meta WHERE name = 'revision'), 0))"
        ).fetchone()
        return int(found[0])

    def load(self) -> Iterator[journal.Row]:
        """See `state.journal.Journal.load`. On the way it learns which records there are, so that `append` needn't."""
        self._ids.clear()
        self._knows_ids = False
        found = self._db.execute("SELECT id, kind, key, revision, blob FROM records ORDER BY id")
        for number, kind, key, revision, blob in found:
            self._remember(number, kind, key)
            yield journal.Row(kind, key, revision, blob)
        self._knows_ids = True

    def load_checkpoint(self) -> Iterator[bytes]:
        for (blob,) in self._db.execute("SELECT blob FROM metric_checkpoint ORDER BY number"):
            yield blob

    def load_data(self) -> Iterator[metrics.Datum]:
        for (blob,) in self._db.execute("SELECT blob FROM metric_data ORDER BY number"):
            yield from _data_decoder.decode(blob)

    # -- writing

    def append(self, entries: Sequence[journal.Entry]) -> None:
        """See `state.journal.Journal.append`. Raises errors.HostProblem where the disk doesn't take it."""
        if not self._knows_ids:
            collections.deque(self.load(), maxlen=0)
        newest: dict[tuple[str, str], journal.Row] = {}
        data: list[metrics.Datum] = []
        for entry in entries:
            for row in entry.rows:
                newest[row.table, row.key] = row
            data.extend(entry.data)
        kept = [row for row in newest.values() if row.blob is not None]
        gone = [row for row in newest.values() if row.blob is None]
        statements = list(self._inserts(kept))
        if data:
            statements.append(("INSERT INTO metric_data (blob) VALUES (?)", [_encoder.encode(data)]))
        removed = [self._ids[row.table][row.key] for row in gone if row.key in self._ids.get(row.table, ())]
        for some in _batches(removed):
            statements.append((f"DELETE FROM records WHERE id IN ({','.join('?' * len(some))})", some))
        revision = entries[-1].revision if entries else 0
        if entries and not any(row.revision == revision for row in kept):
            statements.append(("INSERT OR REPLACE INTO meta VALUES ('revision', ?)", [revision]))
        self._write(statements)
        for row in gone:
            self._ids.get(row.table, {}).pop(row.key, None)

    def _inserts(self, rows: Sequence[journal.Row]) -> Iterator[tuple[str, list[Any]]]:
        for some in _batches(rows):
            values: list[Any] = []
            for row in some:
                keys = self._ids.setdefault(row.table, {})
                number = keys.get(row.key)
                if number is None:
                    number = keys[row.key] = next(self._next_id)
                values += (number, row.table, row.key, row.revision, row.blob)
            yield "INSERT OR REPLACE INTO records VALUES " + ",".join(["(?,?,?,?,?)"] * len(some)), values

    def checkpoint(self, chunks: Sequence[bytes]) -> None:
        statements: list[tuple[str, list[Any]]] = [
            ("DELETE FROM metric_data", []),
            ("DELETE FROM metric_checkpoint", []),
        ]
        statements += [("INSERT INTO metric_checkpoint (blob) VALUES (?)", [chunk]) for chunk in chunks]
        self._write(statements)

    def wipe(self) -> None:
        self._write([(f"DELETE FROM {table}", []) for table in ("records", "metric_data", "metric_checkpoint", "meta")])
        self._ids.clear()
        self._knows_ids = True

    def _write(self, statements: Sequence[tuple[str, list[Any]]]) -> None:
        """Run the statements as one transaction; after this returned, the disk has it."""
        database = self._db
        try:
            if len(statements) == 1:
                database.execute(*statements[0])
                return
            database.execute("BEGIN IMMEDIATE")
            for statement in statements:
                database.execute(*statement)
            database.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise errors.HostProblem(
                f"The journal {self.path} can't be written",
                str(error),
                "Nothing acknowledged is lost. Make room on the disk (or repair it), then start the server again.",
            ) from error

    def _roll_back(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            return  # the file can't be written at all; the next start recovers it from its log

    def close(self) -> None:
        """Close the file and let the next server in."""
        try:
            self._db.close()
        finally:
            self._lock.release()


def _batches(rows: Sequence[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(rows), ROWS_PER_STATEMENT_MAX):
        yield list(rows[start : start + ROWS_PER_STATEMENT_MAX])
