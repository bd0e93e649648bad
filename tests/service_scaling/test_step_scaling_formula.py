"""Step scaling's arithmetic: every worked example of behaviour.md 1.4, and what holds for all numbers."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadstead.control import service_scaling_formula, step_scaling_formula
from roadstead.model import alarms, scaling

NOW = 10_000.0


def step(lower: float | None, upper: float | None, adjustment: int) -> scaling.StepAdjustment:
    return scaling.StepAdjustment(lower_bound=lower, upper_bound=upper, adjustment=adjustment)


def steps(*adjustments: scaling.StepAdjustment, kind: Any = "ChangeInCapacity", **more: Any) -> scaling.StepScaling:
    return scaling.StepScaling(adjustment_type=kind, steps=adjustments, **more)


AWS_STEPS = (
    step(0, 10, 0),
    step(10, 20, 10),
    step(20, None, 30),
    step(-10, 0, 0),
    step(-20, -10, -10),
    step(None, -20, -30),
)
"""AWS's example: out and in, at a threshold of 50."""


def ask(value: float | None, configuration: scaling.StepScaling, **more: Any) -> step_scaling_formula.Ask:
    known = {"policy": "p", "alarm": "a", "threshold": 50.0, "rising": True}
    return step_scaling_formula.Ask(**{**known, **more}, value=value, configuration=configuration)


def capacity(running: int, desired: int | None = None, minimum: int = 0, maximum: int = 100) -> Any:
    return step_scaling_formula.Capacity(
        running=running, desired=running if desired is None else desired, minimum=minimum, maximum=maximum
    )


@pytest.mark.parametrize(
    ("running", "percent", "change"),
    [(127, 10, 12), (67, 1, 1), (58, -1, -1), (667, -1, -6), (10, 0, 0), (0, 50, 0), (100, 1, 1), (200, -1, -2)],
)
@pytest.mark.rule("1.4#percent")
def test_percent_rounding_as_aws_publishes_it(running: int, percent: int, change: int) -> None:
    """12.7→12, 0.67→1, −0.58→−1, −6.67→−6 (AAS-STEP)."""
    assert step_scaling_formula.percent_change(running, percent, None) == change


@pytest.mark.parametrize(("percent", "magnitude", "change"), [(25, 2, 2), (-25, 2, -2), (75, 2, 3), (25, None, 1)])
@pytest.mark.rule("1.4#magnitude")
def test_min_adjustment_magnitude(percent: int, magnitude: int | None, change: int) -> None:
    """Of 4 tasks (AAS-API)."""
    assert step_scaling_formula.percent_change(4, percent, magnitude) == change


@pytest.mark.parametrize(("value", "before", "after"), [(60, 10, 11), (70, 11, 14), (40, 14, 13), (30, 13, 10)])
@pytest.mark.rule("1.4#example")
def test_aws_worked_example(value: float, before: int, after: int) -> None:
    found = step_scaling_formula.answer(
        ask(value, steps(*AWS_STEPS, kind="PercentChangeInCapacity")), capacity(before), NOW
    )
    assert found is not None
    assert (found.to, found.reason) == (after, None)


@pytest.mark.parametrize(
    ("distance", "rising", "adjustment"),
    [(0, True, 1), (0, False, -1), (5, False, 1), (-5, True, -1), (10, True, 2), (9.99, False, 1), (-10, False, -2)],
)
@pytest.mark.rule("1.4#7", "1.4#threshold")
def test_bounds_on_each_side_and_on_the_threshold(distance: float, rising: bool, adjustment: int) -> None:
    """Rule 7; on the threshold itself the alarm's comparison decides."""
    ladder = (step(0, 10, 1), step(10, None, 2), step(-10, 0, -1), step(None, -10, -2))
    found = step_scaling_formula.choose(ladder, Fraction(repr(distance)), rising)
    assert found is not None
    assert found.adjustment == adjustment


@pytest.mark.parametrize(
    ("operator", "rising"),
    [
        ("GreaterThanThreshold", True),
        ("GreaterThanOrEqualToThreshold", True),
        ("LessThanThreshold", False),
        ("LessThanOrEqualToThreshold", False),
    ],
)
@pytest.mark.rule("1.4#threshold")
def test_the_comparison_says_which_side_the_threshold_is_on(operator: str, rising: bool) -> None:
    assert step_scaling_formula.is_rising(operator) is rising


def test_distances_have_no_dust() -> None:
    """0.3 − 0.1 is the 0.2 that the policy says."""
    ladder = (step(0, 0.2, 1), step(0.2, None, 2))
    found = step_scaling_formula.choose(ladder, step_scaling_formula.delta(0.3, 0.1), True)
    assert found == ladder[1]


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_without_a_value_nothing_is_chosen(value: float | None) -> None:
    assert step_scaling_formula.answer(ask(value, steps(step(0, None, 1))), capacity(4), NOW) is None


def test_a_value_that_no_step_is_for_changes_nothing() -> None:
    assert step_scaling_formula.answer(ask(40.0, steps(step(0, None, 1))), capacity(4), NOW) is None


@pytest.mark.rule("1.4#escalation")
def test_the_escalation_example() -> None:
    """+2 ran from 10, now +3: 13, whichever of the two new tasks run by then (AAS-STEP)."""
    memory = scaling.PolicyMemory(out_at=NOW - 60, out_from=10, out_to=12)
    for running in (10, 11, 12):
        for adjustment, expected in ((1, None), (2, None), (3, 13)):
            found = step_scaling_formula.answer(
                ask(60.0, steps(step(0, None, adjustment)), memory=memory), capacity(running, 12), NOW
            )
            assert (found.to if found is not None else None) == expected
    later = step_scaling_formula.answer(ask(60.0, steps(step(0, None, 2)), memory=memory), capacity(12), NOW + 240)
    assert later is not None
    assert later.to == 14, "the cooldown is over"


def test_what_other_policies_added_is_no_credit() -> None:
    """10 → 12 by this policy, → 20 by another: +3 is one more than its +2, so 21."""
    memory = scaling.PolicyMemory(out_at=NOW - 60, out_from=10, out_to=12)
    found = step_scaling_formula.answer(ask(60.0, steps(step(0, None, 3)), memory=memory), capacity(20), NOW)
    assert found is not None
    assert found.to == 21


@pytest.mark.rule("1.2#7")
def test_the_largest_capacity_wins_among_those_that_ask_at_once() -> None:
    """Current 10, policy A +3 → 13, policy B +200 % → 30 (AAS-API); for scaling in it is the larger, too."""
    a = ask(60.0, steps(step(0, None, 3)), policy="a")
    b = ask(60.0, steps(step(0, None, 200), kind="PercentChangeInCapacity"), policy="b")
    situation = service_scaling_formula.Situation(
        running=10, desired=10, minimum=0, maximum=100, policies=(), asks=(a, b)
    )
    ruling = service_scaling_formula.rule(situation, NOW)
    assert ruling.step is not None
    assert (ruling.step.policy, ruling.step.to, ruling.refused) == ("b", 30, ())
    less = tuple(ask(40.0, steps(step(None, 0, change)), policy=str(change), rising=False) for change in (-4, -2, -3))
    ruling = service_scaling_formula.rule(msgspec.structs.replace(situation, asks=less), NOW)
    assert ruling.step is not None
    assert (ruling.step.policy, ruling.step.to) == ("-2", 8)
    ruling = service_scaling_formula.rule(msgspec.structs.replace(situation, asks=(*less, a)), NOW)
    assert ruling.step is not None
    assert ruling.step.to == 13, "scaling out goes first"


# -- what holds for all numbers


@st.composite
def ladders(draw: Any) -> tuple[scaling.StepAdjustment, ...]:
    """Steps that cover everything, each with its own bounds, in any order."""
    bounds = sorted(draw(st.sets(st.integers(-50, 50), min_size=1, max_size=6)))
    edges = [None, *map(float, bounds), None]
    found = [step(lower, upper, draw(st.integers(-150, 150))) for lower, upper in itertools.pairwise(edges)]
    return tuple(draw(st.permutations(found)))


kinds = st.sampled_from(["ChangeInCapacity", "PercentChangeInCapacity", "ExactCapacity"])


@given(ladders(), st.integers(-200, 200), st.booleans())
def test_exactly_one_step_is_for_each_distance(
    ladder: tuple[scaling.StepAdjustment, ...], tenths: int, rising: bool
) -> None:
    distance = Fraction(tenths, 4)
    hits = [one for one in ladder if step_scaling_formula.choose((one,), distance, rising) is not None]
    assert len(hits) == 1
    assert step_scaling_formula.choose(ladder, distance, rising) == hits[0]


@given(st.integers(0, 5000), st.integers(-300, 300), st.none() | st.integers(1, 20))
@pytest.mark.rule("1.4#percent")
def test_percent_changes_are_towards_zero_but_never_none(running: int, percent: int, magnitude: int | None) -> None:
    change = step_scaling_formula.percent_change(running, percent, magnitude)
    exact = Fraction(running * percent, 100)
    assert change * percent >= 0
    if exact != 0:
        assert abs(change) >= 1
    if percent and magnitude:
        assert abs(change) >= magnitude
    if abs(exact) >= max(1, magnitude or 0):
        assert abs(exact) - 1 < abs(change) <= abs(exact)


@given(
    ladders(),
    kinds,
    st.integers(0, 200).map(lambda one: one / 2),
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(0, 20),
    st.integers(0, 40),
    st.booleans(),
    st.sampled_from([None, 10, 290, 310]),
    st.sampled_from([None, 10, 290, 310]),
)
@pytest.mark.rule("1.4#bounds", "1.4#cooldown")
def test_an_answer_keeps_to_bounds_directions_and_cooldowns(
    ladder: tuple[scaling.StepAdjustment, ...],
    kind: Any,
    value: float,
    running: int,
    desired: int,
    minimum: int,
    room: int,
    rising: bool,
    out_age: float | None,
    in_age: float | None,
) -> None:
    if kind == "ExactCapacity":
        ladder = tuple(msgspec.structs.replace(one, adjustment=abs(one.adjustment)) for one in ladder)
    memory = scaling.PolicyMemory(
        out_at=NOW - out_age if out_age is not None else None,
        out_from=max(0, desired - 3),
        out_to=desired,
        in_at=NOW - in_age if in_age is not None else None,
    )
    counts = capacity(running, desired, minimum, minimum + room)
    found = step_scaling_formula.answer(
        ask(value, steps(*ladder, kind=kind), rising=rising, memory=memory), counts, NOW
    )
    if found is None:
        return
    assert minimum <= found.to <= minimum + room
    if found.reason is not None:
        return
    assert (found.to > desired) if found.direction == "out" else (found.to < desired)
    assert found.direction != "none"
    if found.direction == "in":
        assert in_age in (None, 310), "no scale-in within the cooldown"
    if found.direction == "out" and out_age in (10, 290) and desired >= minimum:
        assert found.to > memory.out_to, "within the cooldown only more than it already added"


@pytest.mark.rule("1.4#aggregation")
def test_aggregates() -> None:
    window = alarms.WindowValues(average=2.0, minimum=1.0, maximum=4.0)
    found = [step_scaling_formula.aggregate(window, kind) for kind in ("Average", "Minimum", "Maximum")]
    assert found == [2.0, 1.0, 4.0]
    assert step_scaling_formula.aggregate(None, "Average") is None
