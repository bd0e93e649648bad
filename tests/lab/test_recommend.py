"""The recommendation: the highest target that keeps the objective, and nothing cheaper was found that does."""

from __future__ import annotations

import pytest
from lab_scenarios import made

from roadstead.lab import policies, problems, recommend

pytestmark = pytest.mark.slow  # thorough: `make check` leaves it to `make test`

SWING = "- diurnal: {low: 100, high: 600, peak: 3:00}\n- noise: {percent: 4}"


def test_the_highest_target_that_keeps_the_objective() -> None:
    found = recommend.search(made(SWING, "duration: 6h\ntasks: {min: 2, max: 40}\nwarm_up: 30m\n"), fixed=[20])
    assert len(found.runs) <= recommend.RUNS_MAX + 1
    assert len({one.name for one in found.runs}) == len(found.runs), "nothing is tried twice"
    best = next(one for one in found.runs if one.name == found.best)
    assert best.is_within
    assert all(one.totals.cost >= best.totals.cost for one in found.runs if one.is_within)
    targets = {int(one.name[3:5]): one for one in found.runs if one.name.endswith("-60s")}
    kept = max(target for target, one in targets.items() if one.is_within)
    assert kept + recommend.STEP in targets and not targets[kept + recommend.STEP].is_within


def test_names_that_the_search_needs_are_taken() -> None:
    with pytest.raises(problems.Invalid, match="two policies are called cpu60-20s"):
        recommend.search(made(SWING), [policies.tracking("cpu60-20s", 60)])


def test_an_objective_that_nothing_keeps() -> None:
    tail = (
        "service: {requests_per_second: 50, cpu_seconds_per_request: 0.02}\n"
        "objective: {utilization_percent: 85}\ntasks: {min: 1, max: 2}\n"
    )
    found = recommend.search(made("- constant: {rate: 400}", "duration: 20m\nwarm_up: 10m\n", tail))
    assert found.best is None
    assert {one.name for one in found.runs} >= {"cpu20-60s", "cpu20-20s"}
