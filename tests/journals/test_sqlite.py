"""The SQLite journal: what it took, it gives back, whatever happens to the process; what it can't take, it refuses."""

from __future__ import annotations

import pathlib
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadstead.base import errors
from roadstead.journals import sqlite
from roadstead.signals import metrics
from roadstead.state import journal


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "data" / "journal.sqlite"


@pytest.fixture
def opened(path: pathlib.Path) -> Iterator[sqlite.SqliteJournal]:
    one = sqlite.SqliteJournal(path)
    yield one
    one.close()


def entry(revision: int, *rows: tuple[str, str, bytes | None], data: tuple[metrics.Datum, ...] = ()) -> journal.Entry:
    return journal.Entry(revision, tuple(journal.Row(table, key, revision, blob) for table, key, blob in rows), data)


def datum(value: float) -> metrics.Datum:
    return metrics.Datum(metric=metrics.metric("N", "m", [("a", "b")]), timestamp=value, values=(value,))


def contents(one: journal.Journal) -> dict[tuple[str, str], tuple[int, bytes | None]]:
    return {(row.table, row.key): (row.revision, row.blob) for row in one.load()}


def test_a_new_directory_is_made_and_holds_nothing(opened: sqlite.SqliteJournal) -> None:
    assert contents(opened) == {}
    assert opened.newest_revision() == 0
    assert list(opened.load_data()) == [] and list(opened.load_checkpoint()) == []


def test_the_newest_version_of_each_record_survives_a_restart(path: pathlib.Path) -> None:
    first = sqlite.SqliteJournal(path)
    first.append([entry(1, ("tasks", "a", b"1"), ("tasks", "b", b"1")), entry(2, ("tasks", "a", b"2"))])
    first.append([entry(3, ("services", "a", b"s"), ("tasks", "b", None))])
    first.close()
    again = sqlite.SqliteJournal(path)
    assert contents(again) == {("tasks", "a"): (2, b"2"), ("services", "a"): (3, b"s")}
    again.append([entry(4, ("tasks", "a", b"4"))])  # an update of what was loaded, not a second row
    assert contents(again) == {("tasks", "a"): (4, b"4"), ("services", "a"): (3, b"s")}
    again.close()


def test_writing_without_loading_first_updates_in_place(path: pathlib.Path) -> None:
    first = sqlite.SqliteJournal(path)
    first.append([entry(1, ("tasks", "a", b"1"), ("tasks", "b", b"1"))])
    first.close()
    again = sqlite.SqliteJournal(path)
    again.append([entry(2, ("tasks", "a", None), ("tasks", "b", b"2"), ("tasks", "c", b"2"))])
    assert contents(again) == {("tasks", "b"): (2, b"2"), ("tasks", "c"): (2, b"2")}
    again.close()


def test_the_revision_is_kept_when_the_newest_commit_only_removed(path: pathlib.Path) -> None:
    first = sqlite.SqliteJournal(path)
    first.append([entry(1, ("tasks", "a", b"1"))])
    first.append([entry(7, ("tasks", "a", None))])
    assert first.newest_revision() == 7
    first.append([entry(8, data=(datum(1.0),))])
    first.close()
    again = sqlite.SqliteJournal(path)
    assert again.newest_revision() == 8
    again.close()


def test_metric_data_come_back_in_order_and_a_checkpoint_replaces_them(opened: sqlite.SqliteJournal) -> None:
    opened.append([entry(1, data=(datum(1.0), datum(2.0))), entry(2, ("tasks", "a", b"x"), data=(datum(3.0),))])
    opened.append([entry(3, data=(datum(4.0),))])
    assert list(opened.load_data()) == [datum(1.0), datum(2.0), datum(3.0), datum(4.0)]
    opened.checkpoint([b"one", b"two"])
    opened.append([entry(4, data=(datum(5.0),))])
    assert list(opened.load_checkpoint()) == [b"one", b"two"]
    assert list(opened.load_data()) == [datum(5.0)]
    opened.checkpoint([b"three"])
    assert list(opened.load_checkpoint()) == [b"three"] and list(opened.load_data()) == []


def test_wipe_forgets_everything_and_goes_on(opened: sqlite.SqliteJournal) -> None:
    opened.append([entry(1, ("tasks", "a", b"1"), data=(datum(1.0),))])
    opened.checkpoint([b"one"])
    opened.wipe()
    assert contents(opened) == {} and list(opened.load_checkpoint()) == [] and opened.newest_revision() == 0
    opened.append([entry(2, ("tasks", "a", b"2"))])
    assert contents(opened) == {("tasks", "a"): (2, b"2")}


def test_a_group_larger_than_a_statement_is_one_transaction(opened: sqlite.SqliteJournal) -> None:
    count = 3 * sqlite.ROWS_PER_STATEMENT_MAX + 1
    opened.append([entry(1, *(("tasks", str(number), b"x") for number in range(count)))])
    assert len(contents(opened)) == count
    opened.append([entry(2, *(("tasks", str(number), None) for number in range(count)))])
    assert contents(opened) == {}


Change = tuple[str, bytes | None]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from("abcd"), st.one_of(st.none(), st.binary(max_size=3))), min_size=1, max_size=4
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 4),
)
def test_any_grouping_of_any_writes_gives_the_same_as_a_dict(
    tmp_path_factory: pytest.TempPathFactory, commits: list[list[Change]], group: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.sqlite"
    expected: dict[str, bytes] = {}
    one = sqlite.SqliteJournal(path)
    entries = []
    for revision, commit in enumerate(commits, 1):
        changes = dict(commit)
        entries.append(entry(revision, *(("tasks", key, blob) for key, blob in changes.items())))
        for key, blob in changes.items():
            if blob is None:
                expected.pop(key, None)
            else:
                expected[key] = blob
    for start in range(0, len(entries), group):
        one.append(entries[start : start + group])
    assert {key: blob for (_, key), (_, blob) in contents(one).items()} == expected
    one.close()
    again = sqlite.SqliteJournal(path)
    assert {key: blob for (_, key), (_, blob) in contents(again).items()} == expected
    assert again.newest_revision() == len(commits)
    again.close()


def test_it_syncs_the_log_at_each_commit(opened: sqlite.SqliteJournal) -> None:
    assert opened._db.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert opened._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_a_second_server_is_told_who_holds_the_directory(opened: sqlite.SqliteJournal, path: pathlib.Path) -> None:
    with pytest.raises(errors.HostProblem, match=r"in use: another Roadstead server \(process \d+\).*roadstead down"):
        sqlite.SqliteJournal(path)


def test_a_directory_that_cannot_be_made_is_a_host_problem() -> None:
    with pytest.raises(errors.HostProblem, match="--data-dir"):
        sqlite.SqliteJournal(pathlib.Path("/proc/nowhere/journal.sqlite"))


def test_a_newer_schema_is_refused_and_the_lock_given_back(path: pathlib.Path) -> None:
    sqlite.SqliteJournal(path).close()
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version={sqlite.SCHEMA_VERSION + 1}")
    database.close()
    for _ in range(2):
        with pytest.raises(errors.HostProblem, match="a newer Roadstead wrote it"):
            sqlite.SqliteJournal(path)


def test_a_file_that_is_no_journal_is_a_host_problem(path: pathlib.Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database " * 1000)
    with pytest.raises(errors.HostProblem, match="not a database"):
        sqlite.SqliteJournal(path)


def test_a_full_disk_raises_and_leaves_the_group_out_whole(opened: sqlite.SqliteJournal) -> None:
    opened.append([entry(1, ("tasks", "a", b"1"))])
    opened._db.execute("PRAGMA max_page_count=20")
    big = [(("tasks", str(number), b"x" * 4000)) for number in range(40)]
    with pytest.raises(errors.HostProblem, match=r"full.*Make room"):
        opened.append([entry(2, ("tasks", "a", b"2")), entry(3, *big)])
    assert contents(opened) == {("tasks", "a"): (1, b"1")}


WRITER = """
import pathlib, sys
from roadstead.journals import sqlite
from roadstead.state import journal
one = sqlite.SqliteJournal(pathlib.Path(sys.argv[1]))
revision = one.newest_revision()
while True:
    entries = []
    for _ in range(3):
        revision += 1
        rows = (journal.Row("tasks", str(revision), revision, b"v" * 500), journal.Row("tasks", "same", revision, b"s"))
        entries.append(journal.Entry(revision, rows))
    one.append(entries)
    sys.stdout.write(f"{revision}\\n")
    sys.stdout.flush()
"""


def test_kill_minus_nine_loses_nothing_that_was_acknowledged(path: pathlib.Path) -> None:
    acknowledged = 0
    for round_number in range(3):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        try:
            for _ in range(40 + 30 * round_number):
                acknowledged = int(child.stdout.readline())
        finally:
            child.send_signal(signal.SIGKILL)
            rest, _ = child.communicate()
        acknowledged = max([acknowledged, *(int(line) for line in rest.splitlines() if line)])
        again = sqlite.SqliteJournal(path)
        found = contents(again)
        newest = again.newest_revision()
        again.close()
        assert newest >= acknowledged > 0
        assert {key for _, key in found} == {"same", *(str(number) for number in range(1, newest + 1))}
        assert found["tasks", "same"][0] == newest, "a group is there whole or not at all"
        assert newest % 3 == 0


def test_a_write_error_of_the_system_is_a_host_problem_and_what_was_there_stays(path: pathlib.Path) -> None:
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n{WRITER}"
    child = subprocess.run(
        [sys.executable, "-c", limited, str(path)], check=False, capture_output=True, text=True, timeout=60
    )
    assert child.returncode == 1
    assert "HostProblem" in child.stderr and "can't be written" in child.stderr
    acknowledged = int(child.stdout.splitlines()[-1])
    again = sqlite.SqliteJournal(path)
    found = contents(again)
    again.close()
    assert {("tasks", str(number)) for number in range(1, acknowledged + 1)} <= set(found)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 300_000
