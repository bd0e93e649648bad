"""Two columns of a Parquet file, read by DuckDB where it is installed: the extra `roadstead[parquet]`."""

from __future__ import annotations

import contextlib
import importlib
import pathlib
from collections.abc import Iterator
from typing import Any

from roadstead.lab import problems

MAGIC = b"PAR1"
INSTALL = "pip install 'roadstead[parquet]'"
ROWS_A_BATCH = 20_000
MEMORY_MAX = "512MB"
"""DuckDB's own."""
MOMENT_KINDS = ("TIMESTAMP", "DATE")


class File:
    """An open file: its columns, and pairs of two of them."""

    def __init__(self, connection: Any, path: pathlib.Path) -> None:
        self._connection = connection
        self._path = str(path)
        connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [self._path])
        described = connection.fetchall()
        self.columns: list[str] = [str(row[0]) for row in described]
        self._kinds: list[str] = [str(row[1]) for row in described]

    def pairs(self, time_at: int, rate_at: int) -> Iterator[tuple[object, object]]:
        """Moment and rate of each row, in the file's order; moments of time are epoch seconds, all else as it is."""
        time, rate = (_quoted(self.columns[place]) for place in (time_at, rate_at))
        if self._kinds[time_at].startswith(MOMENT_KINDS):
            time = f"epoch({time})"
        self._connection.execute(f"SELECT {time}, {rate} FROM read_parquet(?)", [self._path])
        while batch := self._connection.fetchmany(ROWS_A_BATCH):
            yield from batch


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator[File]:
    """A Parquet file. Raises problems.Invalid where it is none, or nothing is installed to read it."""
    try:
        duckdb = importlib.import_module("duckdb")
    except ImportError:
        raise problems.Invalid(
            f"reading Parquet needs DuckDB, which isn't installed: {INSTALL}", file=str(path)
        ) from None
    connection = duckdb.connect(config={"threads": 1, "memory_limit": MEMORY_MAX})
    try:
        yield File(connection, path)
    except duckdb.Error as problem:
        raise problems.Invalid(
            f"this can't be read as Parquet: {str(problem).splitlines()[0]}", file=str(path)
        ) from None
    finally:
        connection.close()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
