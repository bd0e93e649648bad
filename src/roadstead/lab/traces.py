"""Recorded traffic in files: CSV, Parquet, or the JSON that `aws cloudwatch get-metric-data` prints.

A CSV is read line by line and Parquet batch by batch, so that memory holds the points alone.
"""

from __future__ import annotations

import csv
import itertools
import pathlib
from collections.abc import Iterator

import msgspec

from roadstead.lab import parquet, problems, recordings, scenario

TRACE_BYTES_MAX = 1_000_000_000
JSON_BYTES_MAX = 50_000_000
"""JSON is read as a whole."""
SNIFFED_BYTES = 4096
TIME_NAMES = ("timestamp", "time", "datetime", "date", "ts")
RATE_NAMES = ("requests_per_second", "requests/s", "rps", "rate", "requests", "value")
PARQUET_SUFFIXES = (".parquet", ".pq")


def load(path: pathlib.Path, wanted: scenario.Trace) -> recordings.Recording:
    """What a file has recorded. Raises problems.Invalid, which names the line."""
    builder = recordings.Builder(str(path), wanted.period)
    try:
        _check_size(path, TRACE_BYTES_MAX)
        with path.open("rb") as file:
            beginning = file.read(SNIFFED_BYTES)
        if path.suffix.lower() in PARQUET_SUFFIXES or beginning[:4] == parquet.MAGIC:
            _read_parquet(path, wanted, builder)
        elif beginning.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"["):
            _check_size(path, JSON_BYTES_MAX)
            _read_json(path.read_bytes(), path, wanted, builder)
        else:
            _read_csv(path, wanted, builder)
    except OSError as problem:
        raise problems.Invalid(f"can't be read: {problem.strerror}", file=str(path)) from None
    except UnicodeDecodeError:
        raise problems.Invalid("is no text in UTF-8", file=str(path)) from None
    return builder.done(path.name)


def _check_size(path: pathlib.Path, bytes_max: int) -> None:
    if path.stat().st_size > bytes_max:
        raise problems.Invalid(f"the file has more than {bytes_max:,} bytes", file=str(path))


# ---------------------------------------------------------------------------------------------- columns


def _read_csv(path: pathlib.Path, wanted: scenario.Trace, builder: recordings.Builder) -> None:
    with path.open(encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(text)
        try:
            header = next(rows, [])
            time_at, rate_at = _columns(header, wanted, path)
            body: Iterator[list[str]] = rows
            if _is_number(header[rate_at]):  # no header at all
                body = itertools.chain([header], rows)
            for row in body:
                if not row:
                    continue
                if len(row) <= max(time_at, rate_at):
                    raise problems.Invalid(f"{len(header)} columns are needed", file=str(path), line=rows.line_num)
                builder.add(row[time_at], row[rate_at], rows.line_num)
        except csv.Error as problem:
            raise problems.Invalid(f"this is no CSV: {problem}", file=str(path), line=rows.line_num) from None


def _read_parquet(path: pathlib.Path, wanted: scenario.Trace, builder: recordings.Builder) -> None:
    with parquet.opened(path) as file:
        time_at, rate_at = _columns(file.columns, wanted, path)
        for row, (moment, rate) in enumerate(file.pairs(time_at, rate_at), start=1):
            builder.add(moment, rate, row)


def _columns(header: list[str], wanted: scenario.Trace, path: pathlib.Path) -> tuple[int, int]:
    """Where the moments are, and where the rates."""
    names = [name.strip().lower() for name in header]
    if len(names) < 2:
        raise problems.Invalid("two columns are needed: timestamp,requests_per_second", file=str(path), line=1)
    time_at = _column(names, wanted.timestamp, TIME_NAMES, 0, path)
    return time_at, _column(names, wanted.rate, RATE_NAMES, 1 if time_at != 1 else 0, path)


def _column(names: list[str], wanted: str | None, usual: tuple[str, ...], place: int, path: pathlib.Path) -> int:
    if wanted is not None:
        if wanted.strip().lower() not in names:
            raise problems.Invalid(f"there is no column {wanted!r}, only {', '.join(names)}", file=str(path), line=1)
        return names.index(wanted.strip().lower())
    return next((names.index(name) for name in usual if name in names), place)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# ---------------------------------------------------------------------------------------------- GetMetricData


class _Found(msgspec.Struct, frozen=True):
    """One of MetricDataResults."""

    Id: str = ""
    Timestamps: list[str | int | float] = []
    Values: list[float | int | str | None] = []
    StatusCode: str = "Complete"


class _Dump(msgspec.Struct, frozen=True):
    """What get-metric-data prints."""

    MetricDataResults: list[_Found]
    NextToken: str | None = None


def _read_json(text: bytes, path: pathlib.Path, wanted: scenario.Trace, builder: recordings.Builder) -> None:
    try:
        dump = msgspec.json.decode(text.removeprefix(b"\xef\xbb\xbf"), type=_Dump)
    except msgspec.ValidationError as problem:
        raise problems.Invalid(
            f"this isn't what `aws cloudwatch get-metric-data` prints (MetricDataResults): {problem}", file=str(path)
        ) from None
    except msgspec.DecodeError as problem:
        raise problems.Invalid(f"this is no JSON: {problem}", file=str(path)) from None
    known = [one.Id for one in dump.MetricDataResults]
    if wanted.id is not None and wanted.id not in known:
        raise problems.Invalid(f"there is no result with the id {wanted.id!r}, only {', '.join(known)}", file=str(path))
    if wanted.id is None and len(known) != 1:
        raise problems.Invalid(f"it has {len(known)} results: choose one by `id`: {', '.join(known)}", file=str(path))
    chosen = dump.MetricDataResults[known.index(wanted.id) if wanted.id is not None else 0]
    if len(chosen.Timestamps) != len(chosen.Values):
        raise problems.Invalid(f"{len(chosen.Timestamps)} Timestamps, but {len(chosen.Values)} Values", file=str(path))
    if chosen.StatusCode == "PartialData" or dump.NextToken:
        raise problems.Invalid("it is only a part (PartialData): ask for the rest with NextToken first", file=str(path))
    for moment, value in zip(chosen.Timestamps, chosen.Values, strict=True):
        builder.add(moment, value)
