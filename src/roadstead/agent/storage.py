"""What outlives the agent's process: its instance's ARN and its tasks, in one SQLite file. Shell.

The machines say what changed; it is written here before their instructions are run, in one transaction a batch, so
that it outlives the process. What the control plane is told (an acknowledgment, a state) must outlive the host as well
where it is about a new task: `sync` is called before that is sent. The rest need not, for containers don't either.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import msgspec

from roadstead.agent import records
from roadstead.base import errors

FILE_NAME = "agent.sqlite"
SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tasks (arn TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ended (arn TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
"""


def forget(data_dir: Path) -> None:
    """Remove what an agent that no longer runs kept there: the next one is a new instance, and ends what it finds."""
    for ending in ("", "-wal", "-shm"):
        (data_dir / f"{FILE_NAME}{ending}").unlink(missing_ok=True)


class Storage:
    """The agent's file. One process at a time: a second one is refused."""

    def __init__(self, data_dir: Path) -> None:
        """Raises HostProblem where the file can't be opened, or another agent has it."""
        self._path = data_dir / FILE_NAME
        self._known: set[str] = set()
        self._timeline = 0
        try:
            data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = sqlite3.connect(self._path, isolation_level=None, timeout=0)
            self._path.chmod(0o600)
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA cache_size=-256")
            self._db.executescript(SCHEMA)
        except (sqlite3.Error, OSError) as problem:
            raise errors.HostProblem(
                f"The agent's file {self._path} can't be used",
                str(problem),
                "See whether another agent runs on this data directory, and whether the disk is writable.",
            ) from problem

    def fact(self, name: str) -> str | None:
        """A fact that was kept."""
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def keep_fact(self, name: str, value: str) -> None:
        """Keep a fact, synced to the disk."""
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def tasks(self) -> tuple[records.TaskState, ...]:
        """All tasks that are not over."""
        decoder = msgspec.json.Decoder(records.TaskState)
        rows = self._db.execute("SELECT arn, state FROM tasks").fetchall()
        self._known = {arn for arn, _ in rows}
        return tuple(sorted((decoder.decode(state) for _, state in rows), key=lambda each: each.received_at))

    def ended(self, since: float) -> tuple[tuple[str, float], ...]:
        """Tasks that ended after `since`; those before are forgotten."""
        self._db.execute("DELETE FROM ended WHERE at < ?", (since,))
        return tuple(self._db.execute("SELECT arn, at FROM ended").fetchall())

    def timeline(self) -> int:
        """The last manifest's timeline."""
        self._timeline = int(self.fact("timeline") or 0)
        return self._timeline

    def save(self, changed: Iterable[tuple[str, records.TaskState | None]], timeline: int, now: float) -> bool:
        """Write what changed, in one transaction; None = the task is over. Raises HostProblem.

        Returns whether a new task was among it: then `sync` comes before anyone is told of it.
        """
        changed = list(changed)
        new = {arn for arn, state in changed if state is not None} - self._known
        if not changed and timeline == self._timeline:
            return False
        encode = msgspec.json.encode
        try:
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("BEGIN IMMEDIATE")
            for arn, state in changed:
                if state is None:
                    self._db.execute("DELETE FROM tasks WHERE arn = ?", (arn,))
                    self._db.execute("INSERT OR REPLACE INTO ended VALUES (?, ?)", (arn, now))
                else:
                    self._db.execute("INSERT OR REPLACE INTO tasks VALUES (?, ?)", (arn, encode(state)))
            if timeline != self._timeline:
                self._db.execute("INSERT OR REPLACE INTO facts VALUES ('timeline', ?)", (str(timeline),))
            self._db.execute("COMMIT")
        except sqlite3.Error as problem:
            raise self._not_written(problem) from problem
        self._timeline = timeline
        self._known = (self._known | new) - {arn for arn, state in changed if state is None}
        return bool(new)

    def sync(self) -> None:
        """Have the disk hold all that was saved before. Blocks for some milliseconds; may be called in another thread.
        Raises HostProblem.

        A commit is in the log's file when `save` returns, though not on the disk; from the log to the database it goes
        by SQLite's own syncs.
        """
        try:
            log = os.open(f"{self._path}-wal", os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(log)
            finally:
                os.close(log)
        except OSError as problem:
            raise self._not_written(problem) from problem

    def _not_written(self, problem: Exception) -> errors.HostProblem:
        return errors.HostProblem(
            f"The agent can't write {self._path}",
            str(problem),
            "Make room on the disk, then start the agent again: it goes on where it stopped.",
        )

    def close(self) -> None:
        self._db.close()
