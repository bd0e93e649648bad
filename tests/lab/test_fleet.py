"""A fleet of instances: production's placement, alarms and formula decide how many there are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from lab_scenarios import OBJECTIVE, SERVICE, TAIL, made

from roadstead.control import controller
from roadstead.lab import policies, problems, report, results, run, scenario, stage, summary
from roadstead.sim import world

HILL = "- constant: {rate: 60}\n- flash_crowd: {at: 30m, peak: 840, rise: 40m, hold: 1h, half_life: 20m}"
FLEET = "fleet: {cpu_units: 4096, memory_mib: 8192, max: 12}\n"
PRICE = "prices: {instance_hour: 0.2}\n"
CPU60 = policies.tracking("cpu60", 60.0)


def hilly(fleet: str = FLEET, prices: str = PRICE, more: str = "", duration: str = "5h") -> scenario.Scenario:
    return made(HILL, f"duration: {duration}\ntasks: {{min: 2, max: 40}}\n{fleet}{prices}{more}")


def fleet_of(result: results.Result, place: int = 0) -> results.Fleet:
    found = result.runs[place].fleet
    assert found is not None
    return found


@pytest.fixture(scope="module")
def hill() -> results.Result:
    return run.run(hilly(), [CPU60], fixed=[8])


def test_instances_follow_the_tasks_up_and_down(hill: results.Result) -> None:
    fleet = fleet_of(hill)
    running = fleet.series.running
    assert max(running) == fleet.peak >= 5  # 900 / (50 × 60 %) = 30 tasks would be 8 instances
    assert running[0] < fleet.peak and running[-1] < fleet.peak
    for tasks, instances in zip(hill.runs[0].series.running, running, strict=True):
        assert tasks <= 4 * instances


def test_activities_carry_the_formula_and_its_cause(hill: results.Result) -> None:
    changes = fleet_of(hill).activities
    steps = [(one.to_count or 0) - (one.from_count or 0) for one in changes]
    assert min(steps) < 0 < max(steps)
    for one in changes:
        assert re.fullmatch(r"ceil\(\d+ × [\d.]+ / 100\) = \d+", one.formula or "")
        assert re.search(
            r"monitor alarm TargetTracking-fleet-Alarm(High|Low)-\S+ in state ALARM triggered policy "
            rf"ECSManagedAutoScalingPolicy-\S+ changing the desired capacity from {one.from_count} to {one.to_count}\.",
            one.cause,
        )


def test_tasks_wait_while_an_instance_boots(hill: results.Result) -> None:
    fleet = fleet_of(hill)
    assert fleet.minutes_waiting == sum(1 for one in fleet.series.waiting if one) > 0
    assert fleet.task_minutes_waiting == sum(fleet.series.waiting)
    assert (fleet.minutes_at_max, hill.runs[0].notes) == (0.0, ())
    series = hill.runs[0].series
    assert all(
        waiting <= desired - running
        for waiting, desired, running in zip(fleet.series.waiting, series.desired, series.running, strict=True)
    )


def test_scale_in_waits_for_fifteen_low_minutes_and_for_empty_instances(hill: results.Result) -> None:
    """3.5, 3.7: from the last scale-out or scale-in of tasks that could have emptied an instance."""
    fleet = fleet_of(hill)
    first_in = next(one for one in fleet.activities if (one.to_count or 0) < (one.from_count or 0))
    last_out = max(one.at for one in fleet.activities if one.at < first_in.at)
    assert first_in.at - last_out >= 15 * 60


def test_a_fixed_count_pays_its_instances_by_the_hour(hill: results.Result) -> None:
    fixed, fleet = hill.runs[1], fleet_of(hill, 1)
    assert (fleet.instance_hours, fleet.instance_cost, fleet.task_cost) == (10.0, 2.0, 0.0)
    assert (fixed.totals.cost, fleet.activities, fleet.minutes_waiting) == (2.0, (), 0.0)


def test_both_prices_add_up() -> None:
    result = run.run(hilly(prices="prices: {instance_hour: 0.2, task_hour: 0.01}\n", duration="1h"), [], fixed=[8])
    fleet = fleet_of(result)
    assert (fleet.instance_cost, fleet.task_cost, result.runs[0].totals.cost) == (0.4, 0.08, 0.48)
    assert summary.headers(result) == (*summary.HEADERS, "Waiting", "Instances", "Instance hours", "Instance cost")
    assert summary.rows(result)[0].cells[2:] == (
        *("8", "17 min", "81 %", "1.4 h", "0", "0", "8"),
        *("0 min", "2", "2", "$ 0.40"),
    )


def test_columns_of_a_fleet_only_where_there_is_one(hill: results.Result) -> None:
    assert "| Policy | Cost | Instance hours | Out of objective |" in summary.markdown(hill)
    assert "| Waiting | Instances |" in summary.markdown(hill)
    assert [row.cells[2] for row in summary.rows(hill)] == [
        f"{fleet_of(hill, one).instance_hours:.0f}" for one in (0, 1)
    ]
    plain = run.run(made("- constant: {rate: 10}", "duration: 1h\n"), [], fixed=[1])
    assert summary.headers(plain) == summary.HEADERS and plain.runs[0].fleet is None
    assert {len(row.cells) for row in summary.rows(plain)} == {len(summary.HEADERS)}


def test_the_report_shows_instances_where_there_are_any(hill: results.Result) -> None:
    page = report.page(hill).decode()
    assert page.index("Metric, alarms, tasks") < page.index('id="instances"') < page.index("Scaling activities</h2>")
    told = report.data(hill)["runs"][0]["fleet"]
    fleet = fleet_of(hill)
    assert (told["min"], told["max"]) == (0, 12)
    for name in ("wanted", "running", "waiting"):
        assert told[name]["values"] == list(getattr(fleet.series, name)), name
    assert [one[1:3] for one in told["activities"]] == [[one.from_count, one.to_count] for one in fleet.activities]
    plain = run.run(made("- constant: {rate: 10}", "duration: 1h\n"), [], fixed=[1])
    assert 'id="instances"' not in report.page(plain).decode()
    assert report.data(plain)["runs"][0]["fleet"] is None


def test_the_fleets_limit_holds_and_tasks_wait_behind_it() -> None:
    result = run.run(hilly(FLEET.replace("max: 12", "max: 3")), [CPU60])
    fleet, series = fleet_of(result), result.runs[0].series
    assert fleet.peak == 3 and max(series.running) == 12
    limited = f"for {fleet.minutes_at_max:g} min tasks waited because the fleet is no larger than 3 instances"
    assert 60 < fleet.minutes_at_max <= fleet.minutes_waiting and result.runs[0].notes == (limited,)
    assert max(fleet.series.waiting) == 8  # 12 tasks at 100 % of CPU ask for ceil(12 × 100 / 60) = 20
    assert result.runs[0].totals.minutes_out > 60


def test_a_longer_boot_means_a_longer_wait() -> None:
    quick, slow = (
        fleet_of(run.run(hilly(FLEET.replace("max: 12", f"max: 12, boot_time: {{mean: {mean}}}")), [CPU60]))
        for mean in ("20s", "6m")
    )
    assert slow.task_minutes_waiting > 2 * quick.task_minutes_waiting


def test_spare_capacity_is_kept_below_a_target_of_100() -> None:
    full, spare = (
        fleet_of(run.run(hilly(FLEET.replace("max: 12", f"max: 20, target_capacity: {target}")), [CPU60]))
        for target in (100, 70)
    )
    assert spare.task_minutes_waiting < full.task_minutes_waiting
    assert spare.instance_hours > 1.2 * full.instance_hours


def test_binpack_empties_instances_that_spreading_keeps() -> None:
    packed = "max: 12, placement_strategy: [{type: binpack, field: memory}]"
    spread, tight = (
        fleet_of(run.run(hilly(FLEET.replace("max: 12", given)), [CPU60])) for given in ("max: 12", packed)
    )
    assert tight.instance_hours < spread.instance_hours


def test_a_fleet_may_begin_at_nothing() -> None:
    """3.4: out of nothing come two instances."""
    traffic = "- ramp: {from: 0, to: 300, begin: 30m, end: 31m}"
    subject = made(traffic, f"duration: 1h\ntasks: {{min: 0, max: 9}}\n{FLEET}{PRICE}policies: []\nwarm_up: 2h\n")
    given = {
        "TargetValue": 1800.0,
        "CustomizedMetricSpecification": {
            "Namespace": "Roadstead/Lab", "MetricName": "RequestCount", "Statistic": "Sum",
        },
    }  # fmt: skip
    result = run.run(subject, [policies.parse(given, "all-requests")])
    first = fleet_of(result).activities[0]
    assert (first.from_count, first.to_count, first.formula) == (0, 2, "no instance runs and one is needed: 2")


def test_the_same_seed_gives_the_same_bytes_and_times_may_be_observed_ones() -> None:
    fleet = FLEET.replace("max: 12", "max: 12, boot_time: {observed: [60s, 75s, 4m]}")
    text = (
        f"name: x\n{SERVICE.replace('}', ', start_time: {observed: [20s, 25s, 90s]}}', 1)}{OBJECTIVE}"
        f"duration: 2h\ntasks: {{min: 2, max: 40}}\n{fleet}{PRICE}traffic:\n{HILL}\n"
    )
    one, again = (results.to_json(run.run(scenario.parse(text), [CPU60])) for _ in range(2))
    assert one == again
    assert results.to_json(run.run(scenario.parse(text), [CPU60], seed=2)) != one
    told = run.run(scenario.parse(text), [CPU60]).assumptions
    assert "A task takes one of 3 observed times, 20s to 1m30s, half of them up to 25s to start." in told
    assert "An instance takes one of 3 observed times, 1m to 4m, half of them up to 1m15s to boot and join." in told


def test_records_keep_their_invariants_while_instances_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lab checks nothing, for speed: here every commit is checked, and nothing comes out differently."""
    plain = run.run(hilly(), [CPU60])
    monkeypatch.setattr(stage.world, "World", CheckedWorld)
    assert results.to_json(run.run(hilly(), [CPU60])) == results.to_json(plain)


class CheckedWorld(world.World):
    def __init__(self, seed: int, controllers: Sequence[controller.Controller], **more: Any) -> None:
        super().__init__(seed, controllers, **{**more, "checks": True})


@pytest.mark.parametrize(
    "fleet, prices, told",
    [
        (FLEET, "", "prices.instance_hour is missing"),
        ("", PRICE, "prices.instance_hour is given, and there is no fleet"),
        (FLEET.replace("4096", "512"), PRICE, "no task fits on an instance of the fleet: it needs 1024 CPU units"),
        (FLEET.replace("max: 12", "max: 12, min: 13"), PRICE, "x.yaml:5: fleet: min must not be more than max"),
        (FLEET.replace("max: 12", "max: 12, spot: true"), PRICE, "x.yaml:5: fleet.spot: there is no such field"),
        (FLEET.replace("max: 12", "min: 1"), PRICE, "x.yaml:5: fleet: the field max is missing"),
        (FLEET.replace("max: 12", "max: 12, target_capacity: 0"), PRICE, "x.yaml:5: fleet.target_capacity: expected"),
        (FLEET.replace("max: 12", "max: 12, boot_time: {}"), PRICE, "x.yaml:5: fleet.boot_time: give either mean"),
        (
            FLEET.replace("max: 12", "max: 12, boot_time: {observed: [1s], deviation: 2s}"),
            PRICE,
            "x.yaml:5: fleet.boot_time: observed times have no deviation",
        ),
    ],
)
def test_what_is_wrong_with_a_fleet_is_told(fleet: str, prices: str, told: str) -> None:
    text = f"name: x\n{TAIL}duration: 2h\n{fleet}{prices}traffic:\n- constant: {{rate: 1}}\n"
    with pytest.raises(problems.Invalid) as caught:
        scenario.parse(text, "x.yaml")
    assert told in str(caught.value)


def test_what_does_not_fit_at_the_beginning_is_told_and_ecs_refuses_in_its_own_words() -> None:
    with pytest.raises(problems.Invalid, match=r"fixed 49: 49 tasks at the beginning: the fleet has room for 48 \(fle"):
        run.run(hilly(), [], fixed=[49])
    fleet = FLEET.replace("max: 12", "max: 12, placement_strategy: [{type: binpack, field: gpu}]")
    with pytest.raises(problems.Invalid, match="InvalidParameterException: The field 'gpu' is not valid for the plac"):
        run.run(hilly(fleet), [CPU60])
