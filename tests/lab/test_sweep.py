"""Sweeps: which candidates they make, what is on the front, and that neither series nor processes change the result."""

from __future__ import annotations

import itertools
import json
import pathlib
import re

import hypothesis
import hypothesis.strategies as st
import msgspec
import pytest
from lab_scenarios import OBJECTIVE, SERVICE, made

from roadstead import lab
from roadstead.cli import pool
from roadstead.lab import front, policies, problems, report, results, run, summary, sweeps

RAMP = "- ramp: {from: 60, to: 600, begin: 20m, end: 50m}\n- noise: {percent: 3}"
SHORT = "duration: 70m\nwarm_up: 20m\ntasks: {min: 2, max: 30}\n"
STEPS = json.loads((pathlib.Path(__file__).parents[2] / "examples/scenarios/policies/cpu60-steps.json").read_text())


# -- values


@pytest.mark.parametrize(
    "name, given, found",
    [
        ("TargetValue", "40:90:5", tuple(float(one) for one in range(40, 95, 5))),
        ("TargetValue", "0.1:0.3:0.1", (0.1, 0.2, 0.3)),
        ("TargetValue", "40:49:5", (40.0, 45.0)),
        ("TargetValue", range(40, 60, 10), (40.0, 50.0)),
        ("ScaleInCooldown", [60, 300.0], (60, 300)),
        ("ScaleInCooldown", 60, (60,)),
        ("HighResolution", [True, False], (True, False)),
    ],
)
def test_values(name: str, given: object, found: tuple[object, ...]) -> None:
    assert sweeps.values(name, given) == found


@pytest.mark.parametrize(
    "name, given, told",
    [
        ("Target", [1], "sweep.Target: there is no such parameter; there are TargetValue, ScaleOutCooldown"),
        ("TargetValue", "40:90", "'40:90' is no range: say FROM:TO:STEP"),
        ("TargetValue", "90:40:5", "is no range"),
        ("TargetValue", "40:90:0", "is no range"),
        ("TargetValue", "40:nan:1", "is no range"),
        ("TargetValue", "0:1000000:1", "is more than 200 values"),
        ("TargetValue", [], "from one to 200 values are needed"),
        ("TargetValue", [50, 50], "each once"),
        ("TargetValue", ["high"], "'high' is no number"),
        ("ScaleInCooldown", [0.5], "0.5 is no whole number"),
        ("HighResolution", [1], "1 is neither true nor false"),
        ("HighResolution", "0:1:1", "is no range"),
    ],
)
def test_values_that_can_not_be(name: str, given: object, told: str) -> None:
    with pytest.raises(problems.Invalid) as caught:
        sweeps.values(name, given)
    assert told in str(caught.value)


# -- candidates


def test_every_combination_is_made_and_named() -> None:
    found = sweeps.candidates(
        sweeps.BASE, "cpu", {"TargetValue": (50.0, 70.0), "ScaleInCooldown": (60, 900), "HighResolution": (False, True)}
    )
    assert [one.name for one in found][:4] == [
        "cpu-target50-in60-60s", "cpu-target50-in60-20s", "cpu-target50-in900-60s", "cpu-target50-in900-20s",
    ]  # fmt: skip
    assert len(found) == 8 and not any(one.is_named for one in found)
    last = found[-1].policies[0]
    assert last["PolicyName"] == "cpu-target70-in900-20s"
    assert last["TargetTrackingScalingPolicyConfiguration"] == policies.cpu_tracking(70.0, 60, 900, True)
    assert policies.cpu_tracking(60.0, 60) == sweeps.BASE, "what was swept is as it was"


def test_each_parameter_changes_what_it_says() -> None:
    values: dict[str, tuple[sweeps.Value, ...]] = {
        "TargetValue": (33.0,), "ScaleOutCooldown": (7,), "ScaleInCooldown": (8,), "DisableScaleIn": (True,),
        "HighResolution": (True,), "MinCapacity": (3,), "MaxCapacity": (9,), "ScalingAdjustment": (10,),
        "MinAdjustmentMagnitude": (4,), "Cooldown": (5,), "Threshold": (66.0,), "Period": (10,),
        "EvaluationPeriods": (6,),
    }  # fmt: skip
    assert set(values) == set(sweeps.PARAMETERS), "a new parameter needs a value here"
    (one,) = sweeps.candidates(STEPS, "steps", values)
    tracked = one.policies[0]["TargetTrackingScalingPolicyConfiguration"]
    assert tracked == {**policies.cpu_tracking(33.0, 7, 8, True), "DisableScaleIn": True}
    step = one.policies[1]["StepScalingPolicyConfiguration"]
    assert [each["ScalingAdjustment"] for each in step["StepAdjustments"]] == [10, 40], "in proportion: 50 and 200 were"
    assert (step["MinAdjustmentMagnitude"], step["Cooldown"]) == (4, 5)
    alarm = one.alarms[0]
    assert (alarm["Threshold"], alarm["Period"], alarm["EvaluationPeriods"]) == (66.0, 10, 6)
    assert (one.min_capacity, one.max_capacity) == (3, 9)


def test_bounds_that_contradict_each_other_are_left_out() -> None:
    found = sweeps.candidates(sweeps.BASE, "cpu", {"MinCapacity": (2, 8), "MaxCapacity": (4, 10)})
    assert [one.name for one in found] == ["cpu-min2-max4", "cpu-min2-max10", "cpu-min8-max10"]


@pytest.mark.parametrize(
    "given, parameters, told",
    [
        (STEPS["Policies"][1:], {"TargetValue": (5.0,)}, "sweep.TargetValue: x has no target tracking policy"),
        (sweeps.BASE, {"ScalingAdjustment": (5,)}, "x has no step scaling policy"),
        (sweeps.BASE, {"Threshold": (5.0,)}, "x has no alarm"),
        (
            {"TargetValue": 9, "CustomizedMetricSpecification": {}},
            {"HighResolution": (True,)},
            "x has no target tracking policy on CPU or memory",
        ),
        (sweeps.BASE, {"TargetValue": tuple(map(float, range(20))), "Cooldown": tuple(range(11))}, "220 combinations"),
        ("cpu", {"TargetValue": (5.0,)}, "an object is needed"),
    ],
)
def test_what_can_not_be_swept(given: object, parameters: dict[str, tuple[sweeps.Value, ...]], told: str) -> None:
    with pytest.raises(problems.Invalid) as caught:
        sweeps.candidates(given, "x", parameters)
    assert told in str(caught.value)


# -- the front


def run_with(name: str, cost: float, minutes: float, like: results.Run, is_named: bool = False) -> results.Run:
    totals = msgspec.structs.replace(like.totals, cost=cost, minutes_out=minutes)
    return msgspec.structs.replace(like, name=name, totals=totals, is_named=is_named, is_within=minutes <= 10)


@pytest.fixture(scope="module")
def like() -> results.Run:
    return run.run(made("- constant: {rate: 60}", "duration: 20m\nwarm_up: 10m\n"), [], fixed=[3]).runs[0]


@hypothesis.given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 20)), min_size=1, max_size=25))
def test_the_front_is_what_no_other_beats(pairs: list[tuple[int, int]]) -> None:
    like = _LIKE
    runs = [run_with(str(place), float(cost), float(out), like) for place, (cost, out) in enumerate(pairs)]
    found = results.front(runs)

    def beats(one: results.Run, other: results.Run) -> bool:
        a, b = results.worth(one), results.worth(other)
        return a != b and a[0] <= b[0] and a[1] <= b[1]

    assert {results.worth(one) for one in found} == {
        results.worth(one) for one in runs if not any(beats(other, one) for other in runs)
    }
    assert all(results.worth(a)[0] < results.worth(b)[0] for a, b in itertools.pairwise(found)), "each once, by cost"
    best = results.cheapest(runs)
    assert best is None or best in found, "the cheapest within the objective is on it"
    slim = results.slim(runs)
    assert [one.name for one in slim if one.is_whole] == [one.name for one in runs if one in found]
    kept: list[results.Run] = []
    for one in runs:
        kept = results.slim([*kept, one])
    assert kept == slim, "dropping on the way comes to the same as dropping at the end"


_LIKE = run.run(made("- constant: {rate: 60}", "duration: 20m\nwarm_up: 10m\n"), [], fixed=[3]).runs[0]


def test_what_was_named_keeps_its_series(like: results.Run) -> None:
    runs = [run_with("a", 1.0, 1.0, like), run_with("b", 2.0, 2.0, like, is_named=True), run_with("c", 3.0, 3.0, like)]
    assert [one.is_whole for one in results.slim(runs)] == [True, True, False]
    assert results.slim(runs)[2].totals == runs[2].totals and results.slim(runs)[2].given == runs[2].given


# -- all of it


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> results.Result:
    path = tmp_path_factory.mktemp("sweep") / "mine.json"
    path.write_text(json.dumps(policies.cpu_tracking(60.0, 60)))
    return lab.sweep(made(RAMP, SHORT), {"TargetValue": "50:95:15", "ScaleInCooldown": [60, 300]}, [path], fixed=[9])


def test_a_sweep_has_a_front_and_keeps_its_series_and_what_was_named(swept: results.Result) -> None:
    assert [one.name for one in swept.runs if one.is_named] == ["mine", "fixed 9"]
    assert len(swept.runs) == 2 + 4 * 2
    assert swept.front and set(swept.front) <= {one.name for one in swept.runs}
    assert {one.name for one in swept.runs if one.is_whole} == {"mine", "fixed 9", *swept.front}
    assert [one.name for one in swept.shown][:2] == ["mine", "fixed 9"]
    assert swept.best is None or swept.best in swept.front


def test_over_and_under_provisioning(swept: results.Result) -> None:
    assert results.over_and_short([100, 100, 0, 101], [3, 1, 1, 2], 50.0, 3600.0) == (2.0, 2.0)
    by_name = {one.name: one for one in swept.runs}
    lazy, eager = by_name["mine-target95-in300"], by_name["mine-target50-in300"]
    assert lazy.totals.short_task_hours > eager.totals.short_task_hours
    assert eager.totals.over_task_hours > lazy.totals.over_task_hours
    fixed = by_name["fixed 9"]
    needed = sum(-(-rate // 42.5) for rate in fixed.series.demand) / 60  # 85 % of 50
    assert fixed.totals.over_task_hours - fixed.totals.short_task_hours == pytest.approx(9 * 70 / 60 - needed, abs=0.02)


def test_the_picture_has_a_point_for_each_run(swept: results.Result) -> None:
    page = report.page(swept).decode()
    picture = page[page.index('<svg id="front"') : page.index("</svg>")]
    assert picture.count("<circle") == len(swept.runs)
    assert picture.count("data-place=") == len(swept.shown)
    assert "mine-target95-in60:" in picture, "the pointer is told each by its name"
    shown = re.findall(r'<tr data-place="(\d+)"', page)
    assert shown == [str(place) for place in range(len(swept.shown))]
    assert f"{len(swept.runs) - len(swept.shown)} more were tried" in page
    assert len(report.data(swept)["runs"]) == len(swept.shown)


def test_a_page_has_graphs_of_so_many_runs_and_no_more(swept: results.Result) -> None:
    like = swept.shown[0]
    many = [run_with(f"run {place}", 100.0 - place, float(place), like, is_named=True) for place in range(60)]
    best = results.cheapest(many)
    assert best is not None
    whole = msgspec.structs.replace(
        swept, runs=tuple(many), front=tuple(one.name for one in results.front(many)), best=best.name
    )
    drawn = report.drawn(whole)
    assert len(drawn) <= report.RUNS_DRAWN_MAX and best in drawn
    assert report.page(whole).decode().count("<tr") >= 60


def test_one_run_makes_a_picture_too(swept: results.Result) -> None:
    one = msgspec.structs.replace(swept.runs[0], is_named=False)
    lone = msgspec.structs.replace(swept, runs=(one,), front=(one.name,), best=None)
    assert front.scatter(lone, {}).count("<circle") == 1
    free = run_with("free", 0.0, 0.0, one)
    assert "free" in front.scatter(msgspec.structs.replace(lone, runs=(free,), front=("free",)), {})


def test_markdown_tells_the_front(swept: results.Result) -> None:
    told = summary.markdown(swept)
    assert told.count("◆ |") + told.count("◆** |") == len(swept.front)
    assert "◆ no other is cheaper without being out of objective for longer. " in told


def test_a_scenario_may_have_sweeps(tmp_path: pathlib.Path) -> None:
    (tmp_path / "mine.json").write_text(json.dumps(policies.cpu_tracking(60.0, 60)))
    more = (
        f"{SHORT}policies: [mine.json]\nsweep:\n- {{policy: mine.json, parameters: {{TargetValue: 50:80:30}}}}\n"
        "- {parameters: {HighResolution: [true]}}\n"
    )
    subject = msgspec.structs.replace(made(RAMP, more), folder=str(tmp_path))
    assert [one.name for one in run.of_scenario(subject)] == ["mine", "mine-target50", "mine-target80", "cpu-20s"]


def test_bounds_are_looked_at_before_anything_runs() -> None:
    seen: list[str] = []
    with pytest.raises(problems.Invalid, match="MinCapacity 31 is more than MaxCapacity 30"):
        lab.sweep(made(RAMP, SHORT), {"MinCapacity": [2, 31]}, progress=lambda name, part: seen.append(name))
    assert not seen


@pytest.mark.slow
def test_processes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "SLOTS_MIN", 1)
    subject = made(
        RAMP, f"{SHORT}fixed: [8]\nsweep:\n- parameters: {{TargetValue: 50:95:15}}\n", f"{SERVICE}{OBJECTIVE}"
    )
    alone = results.to_json(lab.simulate(subject))
    told: list[tuple[str, float]] = []
    with pool.Pool(3) as spread:
        together = lab.simulate(subject, spread=spread, progress=lambda *one: told.append(one))
        assert spread._executor is not None, "processes did it"
    assert results.to_json(together) == alone
    assert {name for name, part in told if part == 1.0} == {one.name for one in together.runs}


@pytest.mark.slow
def test_what_is_wrong_in_a_process_is_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "SLOTS_MIN", 1)
    with (
        pool.Pool(2) as spread,
        pytest.raises(problems.Invalid, match="cpu-target-5: ValidationException: TargetValue"),
    ):
        lab.sweep(made(RAMP, SHORT), {"TargetValue": [50, -5]}, spread=spread)
