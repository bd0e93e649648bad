"""Recorded traffic: a CSV of moments and rates, or the JSON that `aws cloudwatch get-metric-data` prints.

A rate holds from its moment until the next one; what is missing in between is not made up, but told in `notes`.
"""

from __future__ import annotations

import bisect
import csv
import itertools
import json
import math
import pathlib
import statistics

import msgspec

from roadstead.lab import problems, scenario, spans

TRACE_BYTES_MAX = 200_000_000
POINTS_MAX = 3_000_000
GAP_PERIODS = 5
"""A gap of more than so many usual distances is told."""
GAPS_TOLD_MAX = 3
TIME_NAMES = ("timestamp", "time", "datetime", "date", "ts")
RATE_NAMES = ("requests_per_second", "requests/s", "rps", "rate", "requests", "value")
MILLISECONDS_FROM = 1e11
"""Numbers as large as this are milliseconds since 1970, smaller ones seconds."""


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """Moments (epoch seconds, rising) and the rate from each on."""

    moments: tuple[float, ...]
    rates: tuple[float, ...]
    notes: tuple[str, ...] = ()

    @property
    def usual_seconds(self) -> float:
        """The usual distance of two moments."""
        steps = [after - before for before, after in itertools.pairwise(self.moments)]
        return statistics.median(steps) if steps else 60.0

    @property
    def seconds(self) -> float:
        """How long it is: the last rate holds for the usual distance."""
        return self.moments[-1] - self.moments[0] + self.usual_seconds

    def rate_at(self, moment: float) -> float:
        """The rate that holds at a moment; the first one before all, the last one after all."""
        return self.rates[max(0, bisect.bisect_right(self.moments, moment) - 1)]


def load(path: pathlib.Path, wanted: scenario.Trace) -> Recording:
    """What a file has recorded. Raises problems.Invalid, which names the line."""
    if path.suffix in (".parquet", ".pq"):
        raise problems.Invalid(
            "Parquet can't be read (that would take a library of 100 MB): convert it, for example with "
            "duckdb -c \"copy (from 'trace.parquet') to 'trace.csv'\"",
            file=str(path),
        )
    text = scenario.read_text(path, TRACE_BYTES_MAX)
    is_json = text.lstrip()[:1] in ("{", "[")
    points = _json_points(text, path, wanted) if is_json else _csv_points(text, path, wanted)
    if wanted.period:
        points = [(moment, rate / wanted.period) for moment, rate in points]
    if not points:
        raise problems.Invalid("there is no data point in it", file=str(path))
    if len(points) > POINTS_MAX:
        raise problems.Invalid(f"more than {POINTS_MAX:,} data points", file=str(path))
    points.sort()
    moments = tuple(moment for moment, _ in points)
    for before, after in itertools.pairwise(moments):
        if before == after:
            raise problems.Invalid(f"{spans.show_moment(before)} stands in it twice", file=str(path))
    made = Recording(moments=moments, rates=tuple(rate for _, rate in points))
    return msgspec.structs.replace(made, notes=_gaps(made, path))


def _gaps(made: Recording, path: pathlib.Path) -> tuple[str, ...]:
    usual = made.usual_seconds
    pairs = itertools.pairwise(made.moments)
    found = [(before, after) for before, after in pairs if after - before > GAP_PERIODS * usual]
    told = [
        f"{path.name} has nothing for {spans.show_span(after - before)} from {spans.show_moment(before)} UTC on: "
        "its last rate holds"
        for before, after in found[:GAPS_TOLD_MAX]
    ]
    if len(found) > GAPS_TOLD_MAX:
        told.append(f"{path.name} has {len(found) - GAPS_TOLD_MAX} more gaps")
    return tuple(told)


def _moment(given: str, path: pathlib.Path, line: int | None) -> float:
    try:
        number = float(given)
    except ValueError:
        try:
            return spans.parse_moment(given.strip())
        except ValueError as problem:
            raise problems.Invalid(str(problem), file=str(path), line=line) from None
    if not math.isfinite(number):
        raise problems.Invalid(f"{given!r} is no moment", file=str(path), line=line)
    return number / 1000.0 if number >= MILLISECONDS_FROM else number


def _rate(given: object, path: pathlib.Path, line: int | None) -> float:
    try:
        rate = float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        rate = math.nan
    if not 0.0 <= rate < math.inf:
        raise problems.Invalid(
            f"{given!r} is no rate: a number that isn't negative is needed", file=str(path), line=line
        )
    return rate


# ---------------------------------------------------------------------------------------------- CSV


def _csv_points(text: str, path: pathlib.Path, wanted: scenario.Trace) -> list[tuple[float, float]]:
    rows = csv.reader(text.splitlines())
    header = next(rows, [])
    names = [name.strip().lower() for name in header]
    if len(names) < 2:
        raise problems.Invalid("two columns are needed: timestamp,requests_per_second", file=str(path), line=1)
    time_at = _column(names, wanted.timestamp, TIME_NAMES, 0, path)
    rate_at = _column(names, wanted.rate, RATE_NAMES, 1 if time_at != 1 else 0, path)
    found = []
    if _is_number(header[rate_at]):  # no header at all
        found.append((_moment(header[time_at], path, 1), _rate(header[rate_at], path, 1)))
    for row in rows:
        if not row:
            continue
        if len(row) <= max(time_at, rate_at):
            raise problems.Invalid(f"{len(names)} columns are needed", file=str(path), line=rows.line_num)
        found.append((_moment(row[time_at], path, rows.line_num), _rate(row[rate_at], path, rows.line_num)))
    return found


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


def _json_points(text: str, path: pathlib.Path, wanted: scenario.Trace) -> list[tuple[float, float]]:
    try:
        dump = json.loads(text)
    except ValueError as problem:
        raise problems.Invalid(f"this is no JSON: {problem}", file=str(path)) from None
    results = dump.get("MetricDataResults") if isinstance(dump, dict) else None
    if not isinstance(results, list) or not all(isinstance(one, dict) for one in results):
        raise problems.Invalid(
            "there are no MetricDataResults in it: give what `aws cloudwatch get-metric-data` printed", file=str(path)
        )
    known = [str(one.get("Id", "")) for one in results]
    if wanted.id is not None and wanted.id not in known:
        raise problems.Invalid(f"there is no result with the id {wanted.id!r}, only {', '.join(known)}", file=str(path))
    if wanted.id is None and len(results) != 1:
        raise problems.Invalid(f"it has {len(results)} results: choose one by `id`: {', '.join(known)}", file=str(path))
    chosen = results[known.index(wanted.id) if wanted.id is not None else 0]
    moments, values = chosen.get("Timestamps", []), chosen.get("Values", [])
    if len(moments) != len(values):
        raise problems.Invalid(f"{len(moments)} Timestamps, but {len(values)} Values", file=str(path))
    if chosen.get("StatusCode") == "PartialData" or dump.get("NextToken"):
        raise problems.Invalid("it is only a part (PartialData): ask for the rest with NextToken first", file=str(path))
    return [
        (_moment(str(moment), path, None), _rate(value, path, None))
        for moment, value in zip(moments, values, strict=True)
    ]
