"""The journal's log has its length before it is needed, and what lies behind its end is never read."""

from __future__ import annotations

import os
import pathlib
import shutil

import pytest

from roadstead.journals import sqlite
from roadstead.state import journal

pytestmark = pytest.mark.slow  # thorough: `make check` leaves it to `make test`


def entry(revision: int) -> journal.Entry:
    return journal.Entry(revision, (journal.Row("tasks", f"k{revision}", revision, b"x" * 600),))


def size(path: pathlib.Path) -> int:
    return path.with_name(f"{path.name}-wal").stat().st_size


def test_the_log_does_not_grow_while_it_is_written_and_copied(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "journal.sqlite"
    one = sqlite.SqliteJournal(path)
    assert size(path) == sqlite.LOG_BYTES
    for revision in range(1, 1500):  # more pages than the log has before it is copied into the file
        one.append([entry(revision)])
    assert size(path) == sqlite.LOG_BYTES
    one.close()


@pytest.mark.parametrize("count", [0, 1, 5, 700])
def test_a_crash_at_any_length_of_the_log_loses_nothing(tmp_path: pathlib.Path, count: int) -> None:
    path = tmp_path / "running" / "journal.sqlite"
    one = sqlite.SqliteJournal(path)
    for revision in range(1, count + 1):
        one.append([entry(revision)])
    found = tmp_path / "found"
    found.mkdir()
    for name in ("journal.sqlite", "journal.sqlite-wal"):  # what is there after the process is killed
        shutil.copy(path.with_name(name), found / name)
    one.close()
    again = sqlite.SqliteJournal(found / "journal.sqlite")
    assert {row.key for row in again.load()} == {f"k{revision}" for revision in range(1, count + 1)}
    assert size(found / "journal.sqlite") >= sqlite.LOG_BYTES
    again.append([entry(count + 1)])
    assert len(list(again.load())) == count + 1
    again.close()


def test_a_disk_without_room_for_the_length_is_no_reason_not_to_start(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.pwrite

    def full(file: int, data: bytes, place: int) -> int:
        if len(data) > 1_000_000:
            raise OSError(28, "No space left on device")
        return write(file, data, place)

    monkeypatch.setattr(sqlite.os, "pwrite", full)
    one = sqlite.SqliteJournal(tmp_path / "journal.sqlite")
    one.append([entry(1)])
    assert [row.key for row in one.load()] == ["k1"]
    one.close()
