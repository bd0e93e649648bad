"""The report: one file that needs nothing else, says all that the result does, and is the same bytes each time."""

from __future__ import annotations

import array
import itertools
import json
import re

import msgspec
import pytest
from lab_scenarios import made

from roadstead.lab import policies, report, results, run, summary

CPU60 = policies.tracking("cpu60", 60.0)


@pytest.fixture(scope="module")
def ramp() -> results.Result:
    subject = made("- ramp: {from: 60, to: 600, begin: 30m, end: 60m}\n- noise: {percent: 3}", "duration: 2h\n")
    return run.run(subject, [CPU60], fixed=[6])


def data_of(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    value = json.loads(found[1])
    assert isinstance(value, dict)
    return value


def test_the_same_result_gives_the_same_bytes(ramp: results.Result) -> None:
    assert report.page(ramp) == report.page(ramp)


def test_nothing_is_fetched_from_elsewhere(ramp: results.Result) -> None:
    page = report.page(ramp).decode()
    assert not re.search(r"<(link|img|iframe)\b|<script[^>]+src=|@import|url\(", page)
    assert "{{" not in page.replace("{{}}", "")
    assert "Permission is hereby granted" in page, "uPlot's licence travels with it"


def test_order_of_the_page(ramp: results.Result) -> None:
    page = report.page(ramp).decode()
    places = [
        page.index(text)
        for text in (
            summary.answer(ramp).split(":")[0][:20],
            "Policies side by side",
            "Demand against capacity</h2>",
            "Metric, alarms, tasks",
            "Scaling activities",
            "Apply it",
            "How it was made",
        )
    ]
    assert places == sorted(places)
    assert "<td>cpu60" in page and "<td>fixed 6" in page, "the table stands in it without any script"


def test_data_are_what_the_run_was(ramp: results.Result) -> None:
    data = report.data(ramp)
    scaled, fixed = data["runs"]
    demand = [value / data["demand"]["scale"] for value in data["demand"]["values"]]
    assert demand == pytest.approx(list(ramp.runs[0].series.demand), abs=0.5)
    assert scaled["desired"] == {"scale": 1, "values": list(ramp.runs[0].series.desired)}
    assert len(data["x"]) == 120 and data["x"][0] == 60
    assert len(scaled["activities"]) == ramp.runs[0].totals.activities
    cause = data["texts"][scaled["activities"][0][3]]
    assert cause == next(one for one in ramp.runs[0].activities if not one.not_scaled).cause
    assert sum(to - begin for begin, to in fixed["out"]) == fixed_minutes(ramp) * 60
    assert data["selected"] == (0 if ramp.best == "cpu60" else data["selected"])


def fixed_minutes(ramp: results.Result) -> float:
    return ramp.runs[1].totals.minutes_out


def test_long_series_keep_their_extremes() -> None:
    values = array.array("d", (float(place % 97) for place in range(525_600)))
    values[300_000], values[400_000] = 5000.0, -7.0
    width = report.bucket(len(values))
    told = report._series(values, width)
    assert len(told["values"]) <= report.POINTS_MAX
    assert len(told["values"]) == len(report._moments(len(values), width, 60.0))
    assert (max(told["values"]), min(told["values"])) == (5000, -7)


def test_moments_of_buckets_rise() -> None:
    moments = report._moments(50_001, report.bucket(50_001), 60.0)
    assert all(after > before for before, after in itertools.pairwise(moments))


def test_a_rug_of_too_many_spans_is_merged_never_lost() -> None:
    out = [1, 0] * 20_000
    spans = report._spans_out(out, 60.0)
    assert len(spans) <= report.RUG_MAX
    assert (spans[0][0], spans[-1][1]) == (0, 39_999 * 60)


def test_names_can_not_break_out_of_the_page(ramp: results.Result) -> None:
    evil = "</script><script>alert(1)</script>"
    one = msgspec.structs.replace(ramp.runs[0], name=evil)
    page = report.page(msgspec.structs.replace(ramp, scenario=evil, runs=(one,), best=evil)).decode()
    assert "<script>alert" not in page
    runs = data_of(page)["runs"]
    assert isinstance(runs, list) and runs[0]["name"] == evil


def test_when_none_keeps_the_objective_the_nearest_is_named(ramp: results.Result) -> None:
    none = msgspec.structs.replace(ramp, best=None)
    assert summary.answer(none).startswith("None keeps the objective (utilization over 85 % for at most 5 minutes).")
