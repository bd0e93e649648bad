"""Runs: the production controllers decide, and what they did is told right."""

from __future__ import annotations

import json
import math
import re

import pytest
from lab_scenarios import TAIL, made

from roadstead import lab
from roadstead.lab import policies, problems, results, run

RAMP = "- ramp: {from: 60, to: 600, begin: 30m, end: 60m}\n- noise: {percent: 3}"
CPU60 = policies.tracking("cpu60", 60.0)


@pytest.fixture(scope="module")
def ramp() -> results.Result:
    subject = made(RAMP, "duration: 2h\ntasks: {min: 2, max: 30}\nprices: {task_hour: 0.5}\n")
    return run.run(subject, [CPU60], fixed=[6])


def test_a_fixed_count_costs_what_it_says(ramp: results.Result) -> None:
    fixed = ramp.runs[1]
    assert (fixed.name, fixed.totals.task_hours, fixed.totals.cost) == ("fixed 6", 12.0, 6.0)
    assert (fixed.totals.activities, fixed.totals.peak, fixed.alarms, fixed.bounds) == (0, 6, (), ())
    assert fixed.totals.dropped_percent == pytest.approx(100 * (600 - 300) / 600 * 75 / 91, rel=0.1)


def test_the_policy_follows_the_ramp(ramp: results.Result) -> None:
    scaled = ramp.runs[0]
    assert scaled.series.running[0] == 2
    assert scaled.series.running[-1] in range(19, 23)  # 600 / (50 × 60 %) = 20
    assert scaled.metric == results.Metric(name="CPUUtilization", unit="%", target=60.0)
    assert [(one.asks, one.threshold, one.periods) for one in scaled.alarms] == [("more", 60.0, 3), ("less", 54.0, 15)]
    assert scaled.bounds[0] == results.Bounds(at=ramp.begin, min=2, max=30)
    assert ramp.best is None or ramp.best == "cpu60"


def test_activities_tell_cause_and_numbers(ramp: results.Result) -> None:
    scaled = [one for one in ramp.runs[0].activities if not one.not_scaled]
    assert len(scaled) == ramp.runs[0].totals.activities >= 4
    for one in scaled:
        assert one.policy == "cpu60" and "triggered policy cpu60" in one.cause
        found = re.fullmatch(r"ceil\((\d+) × ([\d.]+) / 60\) = (\d+)", one.formula or "")
        assert found and math.ceil(round(int(found[1]) * float(found[2]) / 60, 6)) == int(found[3]) == one.to_count


def test_alarm_changes_agree_with_activities(ramp: results.Result) -> None:
    scaled = ramp.runs[0]
    for one in scaled.activities:
        name = re.search(r"monitor alarm (\S+) in", one.cause)
        assert name is not None
        before = [change for change in scaled.alarm_changes if change.alarm == name[1] and change.at <= one.at]
        assert before and before[-1].state == "ALARM"


def test_series_agree_with_totals(ramp: results.Result) -> None:
    assert ramp.steps == 120
    for one in ramp.runs:
        series = one.series
        assert {len(getattr(series, name)) for name in series.__struct_fields__} == {120}
        assert sum(series.out) == one.totals.minutes_out
        assert one.is_within == (one.totals.minutes_out <= 5)
        assert all(bool(out) == (use > 85) for out, use in zip(series.out, series.utilization, strict=True))
        assert one.totals.peak == max(series.running)
        assert one.totals.task_hours == pytest.approx(sum(series.running) / 60, rel=0.05)


def test_the_same_seed_gives_the_same_bytes() -> None:
    subject = made(RAMP)
    one, again = (results.to_json(run.run(subject, [CPU60])) for _ in range(2))
    assert one == again
    assert results.to_json(run.run(subject, [CPU60], seed=2)) != one
    assert json.loads(one)["runs"][0]["series"]["desired"][0] >= 1


def test_twenty_second_metrics_react_sooner() -> None:
    subject = made("- ramp: {from: 60, to: 900, begin: 30m, end: 35m}", "duration: 1h\ntasks: {min: 2, max: 40}\n")
    found = run.run(subject, [CPU60, policies.tracking("fast", 60.0, high_resolution=True)])
    slow, fast = (min(one.at for one in each.activities if one.to_count) for each in found.runs)
    assert fast < slow
    assert found.runs[1].totals.minutes_out < found.runs[0].totals.minutes_out


def test_a_policy_on_requests_per_task() -> None:
    given = {
        "TargetValue": 1800.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": "app/x"},
    }
    subject = made("- ramp: {from: 60, to: 600, begin: 30m, end: 60m}", "duration: 2h\ntasks: {min: 2, max: 40}\n")
    found = run.run(subject, [policies.parse(given, "requests")]).runs[0]
    assert found.metric == results.Metric(name="RequestCountPerTarget", unit="", target=1800.0)
    assert found.series.running[-1] == 20  # 600 a second are 36,000 a minute, 1,800 for each
    assert found.series.metric[-1] == pytest.approx(1800.0, abs=1)


def test_what_the_production_api_refuses_is_refused_here_in_its_words() -> None:
    with pytest.raises(problems.Invalid, match="ValidationException: TargetValue must be greater than 0"):
        run.run(made(RAMP), [policies.tracking("none", -5.0)])


def test_names_must_differ_and_something_must_be_tried() -> None:
    with pytest.raises(problems.Invalid, match="two policies are called cpu60"):
        run.run(made(RAMP), [CPU60, CPU60])
    with pytest.raises(problems.Invalid, match="nothing to try"):
        lab.simulate(made(RAMP))


def test_a_latency_objective_and_dropped_requests() -> None:
    tail = TAIL.replace("utilization_percent: 85, minutes: 5", "latency_p99: 600ms, dropped_percent: 0.1")
    found = run.run(made("- constant: {rate: 120}", "duration: 1h\n", tail), [], fixed=[2, 3, 4])
    assert [one.is_within for one in found.runs] == [False, True, True]
    assert found.best == "fixed 3"
    assert found.objective == "p99 latency over 600ms or more than 0.1 % dropped never"
    assert found.runs[0].series.latency[0] > 2.0


def test_flaps_are_scale_ins_that_were_undone() -> None:
    def change(at: float, before: int, after: int) -> results.Activity:
        return results.Activity(
            at=at, from_count=before, to_count=after, status="Successful", policy="p", cause="", formula=None,
            metric_value=None, target_value=None,
        )  # fmt: skip

    assert results.flaps([change(0, 4, 3), change(600, 3, 4), change(900, 4, 5)]) == 1
    assert results.flaps([change(0, 4, 3), change(1801, 3, 4)]) == 0
    assert results.flaps([change(0, 3, 4), change(60, 4, 3)]) == 0


def test_a_result_with_a_latency_objective_is_plain_json() -> None:
    tail = "service: {requests_per_second: 50, cpu_seconds_per_request: 0.02}\nobjective: {latency_p99: 500ms}\n"
    found = run.run(made("- constant: {rate: 60}", "duration: 20m\n", tail), [policies.fixed(2)])
    assert json.loads(results.to_json(found))["latency_limit_seconds"] == 0.5
