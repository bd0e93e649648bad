"""Traffic: each generator, what they make together, and recordings."""

from __future__ import annotations

import json
import pathlib
import statistics
import sys

import duckdb
import msgspec
import pytest
from lab_scenarios import made

from roadstead.lab import problems, recordings, scenario, traces, traffic

DAY = "duration: 1d\n"


def rates(parts: str, more: str = DAY, seed: int = 1) -> list[float]:
    return list(traffic.make(made(parts, more), seed).rates)


def at(found: list[float], hours: float) -> float:
    return found[int(hours * 180)]


def test_a_day_swings_between_night_and_peak() -> None:
    found = rates("- diurnal: {low: 10, high: 110, peak: 14:00}")
    assert len(found) == 4320
    assert max(found) == pytest.approx(110.0, abs=0.01) and found.index(max(found)) in (2519, 2520)
    assert at(found, 2) == pytest.approx(10.0, abs=0.01)
    assert at(found, 8) == pytest.approx(60.0, abs=0.1)


def test_sources_add_up_and_the_others_change_what_is_before_them() -> None:
    assert set(rates("- constant: {rate: 10}\n- scale: {factor: 3}\n- constant: {rate: 1}")) == {31.0}


def test_a_ramp_is_level_before_and_after() -> None:
    found = rates("- ramp: {from: 10, to: 20, begin: 6h, end: 12h}")
    assert [found[0], at(found, 9), at(found, 20)] == pytest.approx([10.0, 15.0, 20.0], abs=0.01)


def test_a_spike_multiplies_for_a_while() -> None:
    found = rates("- constant: {rate: 10}\n- spike: {at: 2h, duration: 30m, factor: 4}")
    assert [at(found, hour) for hour in (1.99, 2.0, 2.49, 2.5)] == [10.0, 40.0, 40.0, 10.0]


def test_a_flash_crowd_rises_stays_and_halves() -> None:
    found = rates("- flash_crowd: {at: 1h, peak: 800, rise: 10m, hold: 20m, half_life: 15m}")
    assert at(found, 0.9) == 0.0
    assert at(found, 1 + 5 / 60) == pytest.approx(400.0, abs=15)
    assert at(found, 1.25) == 800.0
    assert at(found, 1.75) == pytest.approx(400.0, abs=10)


def test_weekends_and_growth() -> None:
    found = rates(
        "- constant: {rate: 100}\n- weekend: {factor: 0.5}\n- growth: {percent: 10, per: 7d}", "duration: 14d\n"
    )
    assert found[0] == pytest.approx(100.0, abs=0.01)  # the start is a Monday
    assert found[5 * 4320] == pytest.approx(50.0 * 1.1 ** (5 / 7), abs=0.01)
    assert found[7 * 4320] == pytest.approx(110.0, abs=0.01)


def test_noise_follows_from_the_seed() -> None:
    parts = "- constant: {rate: 100}\n- noise: {percent: 8}"
    one, again, other = rates(parts), rates(parts), rates(parts, seed=2)
    assert one == again != other
    assert statistics.mean(one) == pytest.approx(100.0, abs=0.5)
    assert statistics.stdev(one) == pytest.approx(8.0, abs=0.3)


def test_parts_are_described() -> None:
    subject = made("- diurnal: {low: 10, high: 110, peak: 14:30}\n- ramp: {from: 1, to: 2, end: 3h}")
    assert traffic.describe(subject) == (
        "diurnal: low 10, high 110, peak 14:30 UTC",
        "ramp: from 1, to 2, end 3h",
    )


# -- recordings


def recorded(path: pathlib.Path, more: str = "", options: str = "") -> traffic.Demand:
    subject = made(f"- trace: {{file: {path.name}{options}}}", more)
    return traffic.make(msgspec.structs.replace(subject, folder=str(path.parent)), 1)


def test_a_csv_gives_start_and_duration(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("time,host,rps\n2026-11-22T10:00:00Z,a,5\n2026-11-22T10:01:00Z,a,6.5\n2026-11-22T10:02:00Z,a,7\n")
    found = recorded(path)
    assert (found.begin, found.duration_seconds) == (1_795_341_600.0, 180.0)
    assert list(found.rates) == [5.0] * 3 + [6.5] * 3 + [7.0] * 3


def test_a_csv_without_a_header_in_milliseconds(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("1795341600000,5\n1795341660000,6\n")
    assert list(recorded(path).rates) == [5.0] * 3 + [6.0] * 3


def test_a_trace_can_be_repeated_and_ends_otherwise(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("timestamp,requests_per_second\n0,5\n60,6\n")
    assert list(recorded(path, "duration: 3m\n").rates) == [5.0] * 3 + [6.0] * 3 + [0.0] * 3
    assert list(recorded(path, "duration: 3m\n", ", repeat: true").rates) == [5.0] * 3 + [6.0] * 3 + [5.0] * 3


def test_a_trace_that_counts_from_0_starts_on_a_monday(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("seconds,rate\n0,5\n60,6\n")
    assert recorded(path).begin == scenario.START


def test_gaps_are_told(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("timestamp,rate\n" + "".join(f"{moment},1\n" for moment in (0, 60, 120, 7320, 7380)))
    assert recorded(path).notes == (
        "trace.csv has nothing for 2h from 1970-01-01 00:02:00 UTC on: its last rate holds",
    )


def dump(*results: dict[str, object], **more: object) -> str:
    return json.dumps({"MetricDataResults": list(results), **more})


def test_what_get_metric_data_printed(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "dump.json"
    moments = ["2026-11-22T10:01:00+00:00", "2026-11-22T10:00:00+00:00"]
    path.write_text(dump({"Id": "m1", "Timestamps": moments, "Values": [600.0, 300.0], "StatusCode": "Complete"}))
    assert list(recorded(path, options=", period: 60s").rates) == [5.0] * 3 + [10.0] * 3


def test_the_newest_may_come_first(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("timestamp,rate\n120,7\n60,6\n0,5\n")
    assert list(recorded(path).rates) == [5.0] * 3 + [6.0] * 3 + [7.0] * 3


def parquet(path: pathlib.Path, select: str) -> pathlib.Path:
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    return path


MINUTES = "TIMESTAMPTZ '2026-11-22 10:00:00+00' + to_minutes(i::INT)"


@pytest.mark.parametrize(
    "column",
    [
        MINUTES,
        "TIMESTAMP_NS '2026-11-22 10:00:00' + to_minutes(i::INT)",
        "1795341600000 + 60000 * i",
        "1795341600.0 + 60 * i",
        "strftime(TIMESTAMP '2026-11-22 10:00:00' + to_minutes(i::INT), '%Y-%m-%dT%H:%M:%SZ')",
    ],
)
def test_parquet_with_any_kind_of_moment(tmp_path: pathlib.Path, column: str) -> None:
    path = parquet(tmp_path / "trace.parquet", f"SELECT 'a' AS host, {column} AS time, 5 + i AS rps FROM range(3) t(i)")
    found = recorded(path)
    assert (found.begin, list(found.rates)) == (1_795_341_600.0, [5.0] * 3 + [6.0] * 3 + [7.0] * 3)


def test_parquet_whose_columns_are_named(tmp_path: pathlib.Path) -> None:
    select = f'SELECT {MINUTES} AS "the ""time""", 60 * i AS hits, 1 AS other FROM range(2) t(i)'
    path = parquet(tmp_path / "trace.pq", select)
    found = recorded(path, options=", timestamp: 'the \"time\"', rate: hits, period: 1m")
    assert list(found.rates) == [0.0] * 3 + [1.0] * 3


@pytest.mark.parametrize(
    "select, told",
    [
        (f"SELECT {MINUTES} AS time, CASE WHEN i < 2 THEN i END AS rate FROM range(3) t(i)", "a.parquet:3: None is no"),
        (f"SELECT {MINUTES} AS time, 'NaN'::DOUBLE AS rate FROM range(3) t(i)", "a.parquet:1: nan is no rate"),
        ("SELECT NULL::TIMESTAMP AS time, 1 AS rate", "a.parquet:1: None is no moment"),
        ("SELECT 1 AS rate", "two columns are needed"),
        ("SELECT 1 AS time, 2 AS rate LIMIT 0", "no data point"),
    ],
)
def test_what_is_wrong_with_parquet(tmp_path: pathlib.Path, select: str, told: str) -> None:
    path = parquet(tmp_path / "a.parquet", select)
    with pytest.raises(problems.Invalid) as caught:
        traces.load(path, scenario.Trace(file=path.name))
    assert told in str(caught.value)


def test_without_duckdb_the_message_names_the_command(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path / "a.parquet", "SELECT 1 AS time, 2 AS rate")
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(problems.Invalid, match=r"DuckDB, which isn't installed: pip install 'roadstead\[parquet\]'"):
        traces.load(path, scenario.Trace(file=path.name))


@pytest.mark.parametrize(
    "name, text, told",
    [
        ("a.csv", "timestamp,rate\n1,2\n2,x\n", "a.csv:3: 'x' is no rate"),
        ("a.csv", "timestamp,rate\nmonday,2\n", "a.csv:2: 'monday' is no moment"),
        ("a.csv", "timestamp,rate\nNaN,2\n", "a.csv:2: 'NaN' is no moment"),
        ("a.csv", "timestamp,rate\n-60,2\n", "a.csv:2: '-60' is no moment"),
        ("a.csv", "timestamp,rate\n1,-2\n", "a.csv:2: '-2' is no rate"),
        ("a.csv", "timestamp,rate\n1,2\n\n2,nan\n", "a.csv:4: 'nan' is no rate"),
        ("a.csv", "timestamp,rate\n1,inf\n", "a.csv:2: 'inf' is no rate"),
        ("a.csv", "timestamp,rate\n1,\n", "a.csv:2: '' is no rate"),
        ("a.csv", "timestamp,rate\n0,1\n1,2\n1,3\n", "a.csv:4: 1970-01-01 00:00:01 stands in it twice"),
        ("a.csv", "timestamp,rate\n9,1\n1,2\n1,3\n", "a.csv:4: 1970-01-01 00:00:01 stands in it twice"),
        ("a.csv", "timestamp,rate\n0,1\n60,2\n30,3\n90,1\n", "a.csv:4: 1970-01-01 00:00:30 is earlier than"),
        ("a.csv", "timestamp,rate\n90,1\n30,2\n60,3\n0,1\n", "a.csv:4: 1970-01-01 00:01:00 is later than"),
        ("a.csv", "timestamp,rate\n1,2\n3\n", "a.csv:3: 2 columns are needed"),
        ("a.csv", "timestamp\n1\n", "a.csv:1: two columns are needed"),
        ("a.csv", "timestamp,rate\n", "no data point"),
        ("a.csv", "", "a.csv:1: two columns are needed"),
        ("a.csv", "timestamp,rate\n1,\"" + "2" * 200_000, "a.csv:2: this is no CSV: field larger than"),
        ("a.parquet", "PAR1", "this can't be read as Parquet"),
        ("a.json", "{}", "isn't what `aws cloudwatch get-metric-data` prints"),
        ("a.json", "{", "this is no JSON"),
        ("a.json", dump({"Id": "a"}, {"Id": "b"}), "it has 2 results: choose one by `id`: a, b"),
        ("a.json", dump({"Id": "a", "StatusCode": "PartialData"}), "it is only a part"),
        ("a.json", dump({"Id": "a"}, NextToken="x"), "it is only a part"),
        ("a.json", dump({"Id": "a", "Timestamps": ["2026-01-05"], "Values": []}), "1 Timestamps, but 0 Values"),
        ("a.json", dump({"Id": "a", "Timestamps": [60, 60], "Values": [1, 2]}), "00:01:00 stands in it twice"),
        ("a.json", dump({"Id": "a"}), "no data point"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_recording(tmp_path: pathlib.Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(problems.Invalid) as caught:
        traces.load(tmp_path / name, scenario.Trace(file=name))
    assert told in str(caught.value)


def test_text_that_is_none(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"timestamp,rate\n1,\xff\n")
    with pytest.raises(problems.Invalid, match="is no text in UTF-8"):
        traces.load(tmp_path / "a.csv", scenario.Trace(file="a.csv"))


def test_what_is_too_long_is_refused_with_its_line(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "POINTS_MAX", 3)
    (tmp_path / "a.csv").write_text("timestamp,rate\n" + "".join(f"{at},1\n" for at in range(5)))
    with pytest.raises(problems.Invalid, match=r"a\.csv:5: more than 3 data points"):
        traces.load(tmp_path / "a.csv", scenario.Trace(file="a.csv"))


def test_without_a_trace_a_duration_is_needed() -> None:
    with pytest.raises(problems.Invalid, match="duration is missing"):
        traffic.make(made("- constant: {rate: 1}", ""), 1)
