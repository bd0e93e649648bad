"""Predictive policies in the lab: the history they are given, and what they make of a morning (behaviour.md 1.6)."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
from lab_scenarios import made

from roadstead.lab import policies, problems, results, run, traffic

HOUR = 3600.0
DAY = 24 * HOUR
PAIR = {"PredefinedMetricPairSpecification": {"PredefinedMetricType": "ECSServiceCPUUtilization"}}
TRACKING = policies.tracking("cpu", 60.0)
TASKS = "tasks: {min: 2, max: 60}\n"


def predictive(specification: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    wanted = {"TargetValue": 60.0, **(specification or PAIR)}
    given = {"MetricSpecifications": [wanted], "Mode": "ForecastAndScale", **more}
    return {"PolicyName": "foresee", "PredictiveScalingPolicyConfiguration": given}


def both(**more: Any) -> policies.Candidate:
    """Target tracking and predictive scaling together."""
    return policies.parse([*TRACKING.written["Policies"], predictive(**more)], "both")


@pytest.fixture
def office(tmp_path: pathlib.Path) -> str:
    """A week of office hours as a trace: 60 requests/s, and 900 from 8 to 18 on weekdays."""
    rows = ["timestamp,requests_per_second"]
    for hour in range(7 * 24):
        busy = hour // 24 < 5 and 8 <= hour % 24 < 18
        rows.append(f"{hour * 3600},{900 if busy else 60}")
    pathlib.Path(tmp_path, "office.csv").write_text("\n".join(rows))
    return str(tmp_path)


def moments(one: results.Run, policy: str) -> list[float]:
    """When a policy scaled out, in hours after the begin."""
    scaled = [each for each in one.activities if each.policy == policy and each.to_count is not None]
    return [each.at for each in scaled if each.from_count is not None and each.to_count > each.from_count]  # type: ignore[operator]


def ahead(office: str, duration: str) -> results.Result:
    """Target tracking alone, and with predictive scaling."""
    subject = made("- trace: {file: office.csv, repeat: true}", f"duration: {duration}\n{TASKS}")
    subject = type(subject)(**{name: getattr(subject, name) for name in subject.__struct_fields__} | {"folder": office})
    return run.run(subject, [TRACKING, both()])


def check_ahead(found: results.Result, days: int) -> None:
    alone, together = found.runs
    out = [(at - found.begin) % DAY / HOUR for at in moments(together, "foresee")]
    mornings = [hour for hour in out if hour < 12]
    assert len(mornings) >= min(days, 5) and all(hour == 8 - 5 / 60 for hour in mornings)
    assert alone.totals.minutes_out > 3 * together.totals.minutes_out


def test_the_morning_finds_its_tasks_running(office: str) -> None:
    """Target tracking alone needs minutes for each morning; with the forecast the tasks are there at 7:55."""
    check_ahead(ahead(office, "1d"), 1)


@pytest.mark.slow
def test_in_a_fortnight_forecast_and_scale_is_ahead_of_each_morning(office: str) -> None:
    found = ahead(office, "14d")
    check_ahead(found, 10)
    assert found.runs[1].totals.minutes_out < 60
    at_weekends = [
        one.to_count
        for one in found.runs[1].activities
        if one.policy == "foresee" and one.to_count is not None and (one.at - found.begin) // DAY % 7 >= 5
    ]
    assert max(at_weekends, default=2) <= 4, "weekends, which need 2 tasks, were seen twice before the run began"


def test_the_run_is_the_history_where_nothing_is_known_before_it() -> None:
    subject = made("- diurnal: {low: 50, high: 800}", f"duration: 30h\nhistory: 0s\n{TASKS}")
    found = run.run(subject, [both()])
    acted = moments(found.runs[0], "foresee")
    assert acted and acted[0] - found.begin >= 23 * HOUR
    assert found.assumptions[-1].startswith("No traffic is known from before the start")


def test_a_trace_has_nothing_before_its_first_moment(office: str) -> None:
    once = made("- trace: {file: office.csv}", "")
    repeated = made("- trace: {file: office.csv, repeat: true}", "duration: 2d\n")
    for subject, known in ((once, False), (repeated, True)):
        fields = {name: getattr(subject, name) for name in subject.__struct_fields__} | {"folder": office}
        assert (traffic.before(type(subject)(**fields), 1, subject.start or 0.0) is not None) == known


def test_history_is_the_same_traffic_before_the_start() -> None:
    subject = made("- diurnal: {low: 50, high: 800}\n- flash_crowd: {at: 1h, peak: 500}", "duration: 2d\n")
    demand = traffic.make(subject, 1)
    past = traffic.before(subject, 1, demand.begin)
    assert past is not None and past.begin == demand.begin - 14 * DAY
    assert past.begin + past.duration_seconds == demand.begin
    day = round(DAY / 20)
    crowd_is_over = slice(day // 2, day)
    assert list(past.rates[:day])[crowd_is_over] == pytest.approx(list(demand.rates[day:])[crowd_is_over], rel=1e-6)
    assert max(past.rates) <= 800.0


def test_history_and_warm_up_change_nothing_for_policies_that_do_not_forecast() -> None:
    traffic_lines = "- diurnal: {low: 50, high: 800}\n- noise: {percent: 5}"
    long, none = (
        run.run(made(traffic_lines, f"duration: 2h\nhistory: {span}\n"), [TRACKING]) for span in ("14d", "0s")
    )
    assert long.runs[0].series == none.runs[0].series and long.assumptions == none.assumptions


def test_a_balancers_requests_are_counted_by_the_lab() -> None:
    pair = {"PredefinedMetricPairSpecification": {"PredefinedMetricType": "ALBRequestCount", "ResourceLabel": "x"}}
    specification = {**pair, "TargetValue": 1800.0}
    candidate = policies.parse([predictive(specification)], "alb")
    assert candidate.notes and "load balancer" in candidate.notes[0]
    found = run.run(made("- constant: {rate: 300}", f"duration: 2h\n{TASKS}"), [candidate])
    assert found.runs[0].series.desired[-1] == 10  # 300 × 60 / 1800


def test_forecast_only_is_told_to_do_nothing() -> None:
    candidate = policies.parse([predictive(Mode="ForecastOnly")], "only")
    assert "never scales" in candidate.notes[0]
    found = run.run(made("- constant: {rate: 300}", f"duration: 2h\n{TASKS}"), [candidate])
    assert found.runs[0].activities == ()


def test_a_history_of_more_than_two_weeks_is_refused() -> None:
    with pytest.raises(problems.Invalid, match="history must be at most"):
        made("- constant: {rate: 300}", "duration: 2h\nhistory: 15d\n")
