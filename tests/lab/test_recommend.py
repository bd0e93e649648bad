"""The recommendation: families of policies, the highest target of each that keeps the objective, then small changes."""

from __future__ import annotations

import pytest
from lab_scenarios import made

from roadstead import lab
from roadstead.lab import policies, results, run, scenario, search, traffic

SWING = "- diurnal: {low: 100, high: 600, peak: 3:00}\n- noise: {percent: 4}"
MORE = "duration: 6h\ntasks: {min: 2, max: 40}\nwarm_up: 30m\n"


def names(found: results.Result) -> set[str]:
    return {one.name for one in found.runs}


@pytest.fixture(scope="module")
def found() -> results.Result:
    """A search that took its time."""
    return lab.recommend(made(SWING, MORE), fixed=[20])


@pytest.mark.slow
def test_the_best_is_the_cheapest_of_all_that_were_tried(found: results.Result) -> None:
    assert len(found.runs) <= search.RUNS_MAX + 1
    assert len(names(found)) == len(found.runs), "nothing is tried twice"
    best = next(one for one in found.runs if one.name == found.best)
    assert best.is_within and best.is_whole and found.best in found.front
    assert all(results.worth(one) >= results.worth(best) for one in found.runs if one.is_within)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["-60s", "-20s", "-steps"])
def test_the_highest_target_of_each_family_is_found(found: results.Result, ending: str) -> None:
    targets = {int(one.name[3:5]): one for one in found.runs if one.name.startswith("cpu") and one.name[5:] == ending}
    kept = max(target for target, one in targets.items() if one.is_within)
    assert kept + search.STEP in targets and not targets[kept + search.STEP].is_within


@pytest.mark.slow
def test_the_best_families_are_changed_in_one_thing(found: results.Result) -> None:
    assert {name.rpartition("-")[2] for name in names(found)} >= {"in60", "out0", "in900", "min3"}


@pytest.mark.slow
def test_the_same_search_finds_the_same(found: results.Result) -> None:
    assert results.to_json(lab.recommend(made(SWING, MORE), fixed=[20])) == results.to_json(found)


def test_halving_finds_the_last_that_is_fine() -> None:
    for count in range(1, 20):
        for fine in range(count + 1):
            looking = search._highest(count)
            asked = next(looking)
            steps = 1
            try:
                while True:
                    asked = looking.send(asked < fine)
                    steps += 1
            except StopIteration as end:
                assert end.value == (fine - 1 if fine else None)
            assert steps <= 5


TIGHT = (
    "service: {requests_per_second: 50, cpu_seconds_per_request: 0.02}\n"
    "objective: {utilization_percent: 85}\ntasks: {min: 1, max: 2}\n"
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cpu60-20s", "cpu60-20s-out0", "requests75"])
def test_the_search_calls_its_own_otherwise_where_a_name_is_somebodys(name: str) -> None:
    subject = made("- constant: {rate: 60}", "duration: 20m\nwarm_up: 10m\n", TIGHT)
    found = lab.recommend(subject, [policies.tracking(name, 60)])
    assert name in names(found)
    assert len(found.runs) > 1 and all(one.startswith("found-") for one in names(found) - {name})


@pytest.mark.slow
def test_an_objective_that_nothing_keeps() -> None:
    found = lab.recommend(made("- constant: {rate: 400}", "duration: 20m\nwarm_up: 10m\n", TIGHT))
    assert found.best is None
    assert names(found) >= {"cpu20-60s", "cpu20-20s", "requests20", "cpu20-steps"}


# -- what is tried


def week(traffic_parts: str, more: str = "duration: 7d\n") -> tuple[scenario.Scenario, traffic.Demand]:
    subject = made(traffic_parts, more)
    return subject, traffic.make(subject, 1)


def test_days_that_are_alike_have_a_peak() -> None:
    _, demand = week("- diurnal: {low: 100, high: 600, peak: 14:00}")
    peak = search.daily_peak(demand)
    assert peak is not None
    (begin, end), lowest = peak
    assert (begin, end) == (9, 19) and 420 <= lowest <= 450  # 70 % of 600 are 420


def test_a_peak_may_go_over_midnight() -> None:
    _, demand = week("- diurnal: {low: 100, high: 600, peak: 0:30}")
    peak = search.daily_peak(demand)
    assert peak is not None and peak[0] == (20, 5)


@pytest.mark.parametrize(
    "parts, more", [("- constant: {rate: 100}", "duration: 7d\n"), ("- diurnal: {low: 1, high: 9}", "duration: 1d\n")]
)
def test_without_a_daily_peak_there_is_no_floor(parts: str, more: str) -> None:
    subject, demand = week(parts, more)
    assert search.daily_peak(demand) is None
    assert len(search.families(subject, demand)) == 4


def test_the_floor_is_raised_before_the_peak_and_lowered_after_it() -> None:
    subject, demand = week("- diurnal: {low: 100, high: 600, peak: 14:00}")
    floor = search.families(subject, demand)[4].candidate(60)
    before, after = floor.scheduled_actions
    assert (before["Schedule"], after["Schedule"]) == ("cron(50 8 * * ? *)", "cron(0 19 * * ? *)")
    assert before["ScalableTargetAction"] == {"MinCapacity": 14}  # 0.9 × 443 / 30, rounded up
    assert after["ScalableTargetAction"] == {"MinCapacity": subject.tasks.min}


def test_a_forecast_is_tried_where_days_have_a_peak() -> None:
    subject, demand = week("- diurnal: {low: 100, high: 600, peak: 14:00}", "duration: 3d\ntasks: {min: 2, max: 40}\n")
    ahead = search.families(subject, demand)[5].candidate(60)
    assert (ahead.name, ahead.foresees, len(ahead.policies)) == ("cpu60-ahead", True, 2)
    made = run.run(subject, [ahead]).runs[0]
    assert any(one.policy == "ahead" for one in made.activities if one.is_change)


def test_requests_per_task_are_a_part_of_what_one_serves() -> None:
    subject, demand = week("- constant: {rate: 100}")
    given = search.families(subject, demand)[2].candidate(60).written["Policies"][0]
    configuration = given["TargetTrackingScalingPolicyConfiguration"]
    assert configuration["TargetValue"] == 0.6 * 50 * 60
    assert configuration["PredefinedMetricSpecification"]["PredefinedMetricType"] == "ALBRequestCountPerTarget"
