"""Traffic: each generator, what they make together, and recordings."""

from __future__ import annotations

import json
import pathlib
import statistics

import msgspec
import pytest
from lab_scenarios import made

from roadstead.lab import problems, scenario, traces, traffic

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
    path.write_text("time,host,rps\n2026-11-22T10:00:00Z,a,5\n2026-11-22T10:02:00Z,a,7\n2026-11-22T10:01:00Z,a,6.5\n")
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


@pytest.mark.parametrize(
    "name, text, told",
    [
        ("a.csv", "timestamp,rate\n1,2\n2,x\n", "a.csv:3: 'x' is no rate"),
        ("a.csv", "timestamp,rate\nmonday,2\n", "a.csv:2: 'monday' is no moment"),
        ("a.csv", "timestamp,rate\n1,-2\n", "a.csv:2: '-2' is no rate"),
        ("a.csv", "timestamp,rate\n1,2\n1,3\n", "1970-01-01 00:00:01 stands in it twice"),
        ("a.csv", "timestamp\n1\n", "a.csv:1: two columns are needed"),
        ("a.csv", "timestamp,rate\n", "no data point"),
        ("a.parquet", "PAR1", "Parquet can't be read"),
        ("a.json", "{}", "there are no MetricDataResults"),
        ("a.json", dump({"Id": "a"}, {"Id": "b"}), "it has 2 results: choose one by `id`: a, b"),
        ("a.json", dump({"Id": "a", "StatusCode": "PartialData"}), "it is only a part"),
        ("a.json", dump({"Id": "a"}, NextToken="x"), "it is only a part"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_recording(tmp_path: pathlib.Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(problems.Invalid) as caught:
        traces.load(tmp_path / name, scenario.Trace(file=name))
    assert told in str(caught.value)


def test_without_a_trace_a_duration_is_needed() -> None:
    with pytest.raises(problems.Invalid, match="duration is missing"):
        traffic.make(made("- constant: {rate: 1}", ""), 1)
