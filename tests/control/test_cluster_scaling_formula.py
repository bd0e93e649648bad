"""Managed scaling's numbers: every rule and worked example of behaviour.md 3.4 and 3.6."""

from __future__ import annotations

from typing import Literal

import hypothesis
import pytest
from hypothesis import strategies as st

from roadstead.control import cluster_scaling_formula as formula

SIZE = formula.InstanceSize(cpu_units=16 * 1024, memory_mib=24 * 1024)
SMALL = formula.Need(cpu_units=2 * 1024, memory_mib=8 * 1024)
PLAIN = formula.Settings()


def waiting(count: int, need: formula.Need = SMALL) -> list[formula.Group]:
    return [formula.Group(need=need, count=count)]


def ruled(
    asks: Literal["out", "in"],
    reservation: float,
    instances: int,
    *,
    desired: int | None = None,
    minimum: int = 0,
    maximum: int = 100,
    is_warming: bool = False,
    target: int = 100,
) -> formula.Ruling:
    situation = formula.Situation(
        asks=asks,
        reservation=reservation,
        instances=instances,
        desired=instances if desired is None else desired,
        minimum=minimum,
        maximum=maximum,
        is_warming=is_warming,
    )
    return formula.rule(situation, formula.Settings(target_capacity=target))


# -- packing


def test_3_4_the_worked_example_of_packing() -> None:
    """Ten tasks of 2 vCPU and 8 GiB on 16 vCPU and 24 GiB: two instances by CPU, four by memory."""
    found = formula.measure(waiting(10), 10, 0, [SIZE], PLAIN)
    assert (found.wanted, found.reservation) == (14, 140.0)


def test_a_task_is_not_split_over_two_instances() -> None:
    """Two of 13 GiB are 26 of 48 GiB, and still fill two instances each on its own."""
    need = formula.Need(memory_mib=13 * 1024)
    assert formula.tasks_on_one(need, SIZE) == 1
    assert formula.instances_for(need, 3, SIZE) == 3


@pytest.mark.parametrize(
    "need, on_one",
    [
        (formula.Need(cpu_units=4096), 4),
        (formula.Need(cpu_units=4096, interfaces=1), 2),
        (formula.Need(gpus=1), 4),
        (formula.Need(cpu_units=128, is_alone=True), 1),
        (formula.Need(cpu_units=16 * 1024 + 1), 0),
        (formula.Need(cpu_units=16 * 1024 + 1, is_alone=True), 0),
    ],
)
def test_3_4_the_scarcest_resource_counts(need: formula.Need, on_one: int) -> None:
    size = formula.InstanceSize(cpu_units=16 * 1024, memory_mib=24 * 1024, interfaces=2, gpus=4)
    assert formula.tasks_on_one(need, size) == on_one


def test_3_4_groups_of_waiting_tasks_do_not_add_up() -> None:
    big = formula.Need(memory_mib=24 * 1024)
    found = formula.measure([*waiting(6), *waiting(5, big)], 2, 0, [SIZE], PLAIN)
    assert found.wanted == 2 + 5  # the six small ones alone would need two


def test_3_4_tasks_are_packed_onto_the_largest_type_and_must_fit_on_the_smallest() -> None:
    tiny = formula.InstanceSize(cpu_units=4096, memory_mib=9 * 1024)
    wide = formula.InstanceSize(cpu_units=2048, memory_mib=64 * 1024)
    assert formula.largest([SIZE, tiny, wide]) == formula.InstanceSize(cpu_units=16 * 1024, memory_mib=64 * 1024)
    assert formula.smallest([SIZE, tiny, wide]) == formula.InstanceSize(cpu_units=2048, memory_mib=9 * 1024)
    assert formula.measure(waiting(8), 1, 0, [SIZE, tiny, wide], PLAIN).wanted == 2
    dropped = formula.measure(waiting(8, formula.Need(cpu_units=4096)), 1, 0, [SIZE, tiny, wide], PLAIN)
    assert (dropped.wanted, dropped.dropped) == (1, 8)


# -- the metric


@pytest.mark.parametrize(
    "instances, empty, count, reservation",
    [
        (0, 0, 0, 100.0),
        (0, 0, 1, 200.0),
        (0, 0, 99, 200.0),
        (4, 0, 0, 100.0),
        (4, 1, 0, 75.0),
        (3, 1, 0, pytest.approx(200 / 3)),
        (4, 4, 0, 0.0),
        (4, 0, 3, 125.0),
        (4, 2, 3, 125.0),  # what is empty and doesn't fit (another zone, another need) is no matter while tasks wait
    ],
)
def test_3_4_the_edges_of_the_metric(instances: int, empty: int, count: int, reservation: float) -> None:
    assert formula.measure(waiting(count), instances, empty, [SIZE], PLAIN).reservation == reservation


@pytest.mark.parametrize("low, high, added", [(1, 10_000, 4), (6, 10_000, 6), (1, 3, 3), (5, 3, 3)])
def test_3_4_the_step_sizes_bound_what_is_added(low: int, high: int, added: int) -> None:
    settings = formula.Settings(minimum_scaling_step_size=low, maximum_scaling_step_size=high)
    assert formula.measure(waiting(10), 10, 0, [SIZE], settings).wanted == 10 + added


@pytest.mark.parametrize("target", [100, 80])
def test_3_4_where_no_waiting_task_fits_the_metric_is_held_at_the_target(target: int) -> None:
    settings = formula.Settings(target_capacity=target)
    found = formula.measure(waiting(7, formula.Need(gpus=1)), 5, 2, [SIZE], settings)
    assert (found.reservation, found.wanted, found.dropped) == (target, 5, 7)


# -- the group


@pytest.mark.parametrize(
    "wanted, target, instances", [(2, 100, 2), (2, 50, 4), (9, 90, 10), (7, 70, 10), (21, 70, 30), (3, 7, 43)]
)
def test_3_4_the_size_that_is_wanted_is_m_over_the_target(wanted: int, target: int, instances: int) -> None:
    """3.4's examples (2 of 3 at targets 100 and 50, 9 at 90 %), and quotients that binary fractions would round up."""
    reservation = formula.measure([], 50, 50 - wanted, [SIZE], PLAIN).reservation
    assert ruled("in", reservation, 50, target=target).desired == max(instances, 25)
    assert ruled("out", reservation, 50, desired=0, target=target).desired == instances


def test_3_4_two_instances_come_first_where_there_are_none() -> None:
    assert ruled("out", 200.0, 0).desired == 2
    assert ruled("out", 200.0, 0, target=50).desired == 2
    assert ruled("out", 200.0, 0, maximum=1).desired == 1


def test_a_group_of_nothing_that_nobody_needs_stays_so_below_a_target_of_100_too() -> None:
    reservation = formula.measure([], 0, 0, [SIZE], PLAIN).reservation
    assert ruled("out", reservation, 0, target=80) == formula.Ruling(
        desired=0, formula="no instance runs and none is needed: 0", reason="AlreadyAtDesiredCapacity"
    )


def test_3_6_scale_out_waits_until_no_instance_is_warming() -> None:
    assert ruled("out", 140.0, 10, is_warming=True).reason == "Warming"
    ruling = ruled("out", 140.0, 10)
    assert (ruling.desired, ruling.reason, ruling.formula) == (14, None, "ceil(10 × 140 / 100) = 14")


def test_3_6_an_instance_warms_for_its_warm_up_after_its_launch() -> None:
    assert formula.is_warming([0.0, 700.1], PLAIN, 1000.0)
    assert not formula.is_warming([0.0, 700.0], PLAIN, 1000.0)
    assert not formula.is_warming([], PLAIN, 1000.0)


@pytest.mark.parametrize("instances, desired", [(1, 0), (2, 1), (3, 2), (5, 3), (10, 5), (40, 20)])
def test_3_6_a_minute_of_scale_in_takes_half_of_the_group_at_most(instances: int, desired: int) -> None:
    assert ruled("in", 0.0, instances).desired == desired


def test_4_1_the_bounds_hold_and_say_so() -> None:
    assert ruled("out", 300.0, 4, maximum=6).desired == 6
    assert ruled("out", 300.0, 6, maximum=6).reason == "AlreadyAtMaxCapacity"
    assert ruled("in", 10.0, 4, minimum=3).desired == 3
    assert ruled("in", 10.0, 3, minimum=3).reason == "AlreadyAtMinCapacity"


def test_3_7_what_is_desired_may_be_below_what_runs_while_instances_are_protected() -> None:
    """Five run, three are desired, and one more was found empty: nothing new is asked for."""
    assert ruled("in", 80.0, 5, desired=3).reason == "AlreadyAtDesiredCapacity"


@hypothesis.given(
    counts=st.lists(st.integers(1, 400), min_size=1, max_size=4),
    cpu=st.lists(st.integers(1, 20_000), min_size=4, max_size=4),
    instances=st.integers(0, 300),
    low=st.integers(1, 50),
    high=st.integers(1, 10_000),
    target=st.integers(1, 100),
)
def test_waiting_tasks_never_ask_for_less_and_never_for_more_than_a_step(
    counts: list[int], cpu: list[int], instances: int, low: int, high: int, target: int
) -> None:
    settings = formula.Settings(target_capacity=target, minimum_scaling_step_size=low, maximum_scaling_step_size=high)
    groups = [
        formula.Group(need=formula.Need(cpu_units=units), count=count)
        for units, count in zip(cpu, counts, strict=False)
    ]
    found = formula.measure(groups, instances, 0, [SIZE], settings)
    fits = any(one.need.cpu_units <= SIZE.cpu_units for one in groups)
    if fits:
        assert instances + 1 <= found.wanted <= instances + high
        assert found.reservation > 100.0
    else:
        assert found.reservation == target and found.wanted == instances
    ruling = ruled("out", found.reservation, instances, maximum=10_000, target=target)
    assert ruling.desired >= instances
    assert (ruling.desired > instances) == (ruling.reason is None)
    if fits and instances and target == 100:
        assert ruling.desired == found.wanted


@hypothesis.given(
    instances=st.integers(1, 500),
    empty=st.integers(0, 500),
    minimum=st.integers(0, 20),
    target=st.integers(1, 100),
)
def test_scaling_in_ends_only_what_is_empty_and_comes_to_rest(
    instances: int, empty: int, minimum: int, target: int
) -> None:
    """Minute after minute, as long as the low alarm would ask: never below what has tasks, nor below the minimum."""
    empty = min(instances, empty)
    busy = instances - empty
    desired = max(instances, minimum)
    for _ in range(600):
        measured = formula.measure([], desired, desired - busy, [SIZE], PLAIN)
        if measured.reservation >= target:
            break
        ruling = ruled("in", measured.reservation, desired, minimum=minimum, target=target)
        assert max(busy, minimum) <= ruling.desired <= desired
        assert desired - ruling.desired <= max(1, desired // 2)
        if ruling.reason is not None:
            break
        desired = ruling.desired
    else:
        raise AssertionError("it never rests")
    assert desired >= max(busy, minimum)
    if target == 100:
        assert desired == max(busy, minimum)
