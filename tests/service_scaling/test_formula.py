"""Target tracking's decision: every rule and worked example of behaviour.md 1.1.7-8, 1.2.7-13, 1.3.3 and 1.3.4."""

from __future__ import annotations

import math
from typing import Any

import hypothesis
import msgspec
import pytest
from hypothesis import strategies as st

from roadstead.control import service_scaling_formula as formula
from roadstead.model import scaling


def policy(
    name: str = "cpu",
    *,
    target: float = 50.0,
    high: float | None = None,
    low: float | None = None,
    in_alarm: bool = True,
    fired: bool = True,
    disable_scale_in: bool = False,
    memory: scaling.PolicyMemory | None = None,
    out_cooldown: int = 300,
    in_cooldown: int = 300,
) -> formula.Policy:
    """A policy whose high (or low) alarm is in ALARM with that value; `low` also where its low alarm is quiet."""
    value = high if high is not None else low
    return formula.Policy(
        name=name,
        target_value=target,
        scale_out_cooldown_seconds=out_cooldown,
        scale_in_cooldown_seconds=in_cooldown,
        high=formula.Signal(
            alarm=f"{name}-high", value=value, in_alarm=high is not None, fired=fired and high is not None
        ),
        low=None
        if disable_scale_in
        else formula.Signal(
            alarm=f"{name}-low",
            value=value,
            in_alarm=low is not None and in_alarm,
            fired=low is not None and fired and in_alarm,
        ),
        memory=memory or scaling.PolicyMemory(),
    )


def situation(
    *policies: formula.Policy,
    running: int = 4,
    desired: int | None = None,
    minimum: int = 1,
    maximum: int = 20,
    **more: Any,
) -> formula.Situation:
    return formula.Situation(
        running=running,
        desired=running if desired is None else desired,
        minimum=minimum,
        maximum=maximum,
        policies=policies,
        **more,
    )


def step_to(ruling: formula.Ruling) -> int | None:
    return ruling.step.to if ruling.step is not None else None


def reasons(ruling: formula.Ruling) -> list[str]:
    return [one.reason.code for one in ruling.refused]


# ------------------------------------------------------------------------------- 1.3.3 worked examples


@pytest.mark.parametrize(
    ("running", "value", "expected"),
    [(4, 80, 7), (4, 51, 5), (10, 44, 9), (10, 10, 2), (18, 90, 33), (0, 700, 1), (0, 50, 0), (3, 0, 0), (10, 30, 6)],
)
@pytest.mark.rule("1.3.3#formula", "1.3.3#exact")
def test_1_3_3_proposed_is_running_times_value_by_target_rounded_up(running: int, value: float, expected: int) -> None:
    assert formula.propose(running, value, 50) == expected


@pytest.mark.parametrize(
    ("running", "value", "minimum", "direction", "to"),
    [
        (4, 80.0, 1, "out", 7),
        (4, 51.0, 1, "out", 5),
        (10, 44.0, 1, "in", 9),
        (10, 10.0, 1, "in", 2),
        (3, 0.0, 0, "in", 0),
        (3, 0.0, 1, "in", 1),
        (0, 700.0, 0, "out", 1),
        (18, 90.0, 1, "out", 20),
    ],
)
@pytest.mark.rule("1.3.3#examples", "1.3.3#zero", "1.2#13")
def test_1_3_3_worked_examples(running: int, value: float, minimum: int, direction: str, to: int) -> None:
    asking = policy(high=value) if direction == "out" else policy(low=value)
    ruling = formula.rule(situation(asking, running=running, minimum=minimum), 0.0)
    assert ruling.step is not None
    assert (ruling.step.direction, ruling.step.to) == (direction, to)


@pytest.mark.rule("1.3.3#examples")
def test_1_3_3_without_an_alarm_nothing_changes() -> None:
    for value in (50.0, 46.0):
        quiet = policy(low=value, in_alarm=False, fired=False)
        assert formula.rule(situation(quiet), 0.0) == formula.Ruling()


@pytest.mark.parametrize("running", range(1, 200))
@pytest.mark.rule("1.3.3#exact")
def test_1_3_3_division_is_exact(running: int) -> None:
    """A third of the target with the value that floats make of it never asks for a task too many."""
    target = 50.0
    for wanted in (1, running // 2 + 1, running, 2 * running):
        value = wanted * target / running
        assert formula.propose(running, value, target) == wanted


def test_1_3_3_numbers_say_how_the_result_came_about() -> None:
    ruling = formula.rule(situation(policy(high=78.1, target=60.0), maximum=5), 0.0)
    assert ruling.step is not None
    assert ruling.step.numbers == scaling.ScalingNumbers(
        alarm_name="cpu-high",
        metric_value=78.1,
        target_value=60.0,
        capacity=4,
        proposed=6,
        bounded=5,
        min_capacity=1,
        max_capacity=5,
        formula="ceil(4 × 78.1 / 60) = 6",
    )
    assert formula.formula_text(0, 700, 50) == "none runs, and 700 is above 50: 1"


@pytest.mark.rule("1.3.3#high in vain", "1.7#AlreadyAtMaxCapacity")
def test_1_3_3_at_the_maximum_nothing_is_added() -> None:
    ruling = formula.rule(situation(policy(high=90.0), running=20), 0.0)
    assert ruling.step is None
    assert ruling.refused[0].reason == scaling.NotScaledReason(code="AlreadyAtMaxCapacity", max_capacity=20)


@pytest.mark.rule("1.3.3#high in vain", "1.7#AlreadyAtDesiredCapacity")
def test_1_3_3_what_is_asked_for_is_there_already() -> None:
    """Tasks that can't be placed: desired stands at 9, 5 run."""
    ruling = formula.rule(situation(policy(high=90.0), running=5, desired=9), 0.0)
    assert ruling.step is None
    assert ruling.refused[0].reason == scaling.NotScaledReason(code="AlreadyAtDesiredCapacity", current_capacity=9)


@pytest.mark.rule("1.3.3#low in vain", "1.7#AlreadyAtMinCapacity")
def test_1_3_3_at_the_minimum_nothing_is_removed() -> None:
    ruling = formula.rule(situation(policy(low=5.0), running=2, minimum=2), 0.0)
    assert ruling.step is None
    assert ruling.refused[0].reason == scaling.NotScaledReason(code="AlreadyAtMinCapacity", min_capacity=2)


@pytest.mark.rule("1.3.3#low in vain", "1.7#AlreadyAtDesiredCapacity")
def test_1_3_3_low_load_that_needs_every_task_removes_none() -> None:
    ruling = formula.rule(situation(policy(low=44.0), running=4), 0.0)
    assert reasons(ruling) == ["AlreadyAtDesiredCapacity"], "ceil(4 × 44 / 50) is 4"


@pytest.mark.rule("1.3.3#flapping", "1.7#AutoScalingAnticipatedFlapping")
def test_1_3_3_a_scale_in_that_another_policy_would_undo_is_not_done() -> None:
    memory_bound = policy("memory", high=60.0, disable_scale_in=True, fired=False)
    ruling = formula.rule(situation(policy(low=10.0), memory_bound, running=10), 0.0)
    assert (ruling.step, reasons(ruling)) == (None, ["AutoScalingAnticipatedFlapping"])


def test_1_3_3_an_alarm_at_rest_has_no_fresh_value_to_object_with() -> None:
    quiet = formula.Signal(alarm="memory-high", value=49.0, in_alarm=False, fired=False)
    silent = msgspec.structs.replace(policy("memory", disable_scale_in=True), high=quiet)
    assert step_to(formula.rule(situation(policy(low=10.0), silent, running=10), 0.0)) == 2


def test_1_3_3_without_a_data_point_nothing_happens() -> None:
    forced = msgspec.structs.replace(policy(), high=formula.Signal(alarm="h", value=None, in_alarm=True, fired=True))
    assert formula.rule(situation(forced), 0.0) == formula.Ruling()


# ------------------------------------------------------------------------------- 1.1 bounds and suspension


@pytest.mark.rule("1.1#7")
def test_1_1_7_below_the_minimum_a_scale_out_goes_at_least_there() -> None:
    assert step_to(formula.rule(situation(policy(high=60.0), running=1, minimum=4), 0.0)) == 4
    assert step_to(formula.rule(situation(policy(high=90.0), running=3, minimum=4), 0.0)) == 6


@pytest.mark.rule("1.1#7")
def test_1_1_7_below_the_minimum_a_scale_in_does_nothing() -> None:
    ruling = formula.rule(situation(policy(low=5.0), running=2, minimum=4), 0.0)
    assert (ruling.step, reasons(ruling)) == (None, ["AlreadyAtMinCapacity"])


@pytest.mark.rule("1.1#8")
def test_1_1_8_above_the_maximum_a_scale_in_goes_at_least_there() -> None:
    assert step_to(formula.rule(situation(policy(low=44.0), running=30), 0.0)) == 20
    assert step_to(formula.rule(situation(policy(low=10.0), running=30), 0.0)) == 6


@pytest.mark.rule("1.1#8")
def test_1_1_8_above_the_maximum_a_scale_out_does_nothing() -> None:
    ruling = formula.rule(situation(policy(high=90.0), running=30), 0.0)
    assert (ruling.step, reasons(ruling)) == (None, ["AlreadyAtMaxCapacity"])


@pytest.mark.rule("1.1.1#in", "1.1.1#out", "1.1.1#silence")
def test_1_1_1_a_suspended_direction_is_silent() -> None:
    assert formula.rule(situation(policy(high=90.0), out_suspended=True), 0.0) == formula.Ruling()
    assert formula.rule(situation(policy(low=5.0), in_suspended=True), 0.0) == formula.Ruling()
    assert step_to(formula.rule(situation(policy(high=90.0), in_suspended=True), 0.0)) == 8


# ------------------------------------------------------------------------------- 1.2 several policies, deployments


@pytest.mark.rule("1.2#7")
def test_1_2_7_the_largest_scale_out_wins() -> None:
    ruling = formula.rule(situation(policy("a", high=60.0), policy("b", high=80.0)), 0.0)
    assert ruling.step is not None
    assert (ruling.step.policy, ruling.step.to) == ("b", 7)


@pytest.mark.rule("1.2#8")
def test_1_2_8_one_policy_is_enough_to_scale_out() -> None:
    ruling = formula.rule(situation(policy("a", high=80.0), policy("b", low=5.0)), 0.0)
    assert (step_to(ruling), reasons(ruling)) == (7, [])


@pytest.mark.rule("1.2#8")
def test_1_2_8_all_policies_must_be_ready_to_scale_in() -> None:
    ready, other = policy("a", low=5.0), policy("b", low=46.0, in_alarm=False)
    assert formula.rule(situation(ready, other, running=10), 0.0) == formula.Ruling()


@pytest.mark.rule("1.2#9")
def test_1_2_9_the_largest_of_the_candidates_is_applied() -> None:
    ruling = formula.rule(situation(policy("a", low=5.0), policy("b", low=30.0), running=10), 0.0)
    assert ruling.step is not None
    assert (ruling.step.policy, ruling.step.to) == ("b", 6)


@pytest.mark.rule("1.2#8")
def test_1_2_8_a_policy_that_may_not_scale_in_has_no_vote() -> None:
    silent = policy("b", high=20.0, disable_scale_in=True, fired=False)
    assert step_to(formula.rule(situation(policy("a", low=25.0), silent, running=10), 0.0)) == 5


@pytest.mark.rule("1.2#9")
def test_1_2_9_a_policy_in_its_scale_in_cooldown_is_not_ready() -> None:
    resting = policy("b", low=5.0, memory=scaling.PolicyMemory(in_at=900.0))
    assert formula.rule(situation(policy("a", low=5.0), resting), 1000.0) == formula.Ruling()
    assert step_to(formula.rule(situation(policy("a", low=5.0), resting), 1200.0)) == 1


@pytest.mark.rule("1.2#10")
def test_1_2_10_the_running_count_is_the_start_not_the_desired() -> None:
    assert step_to(formula.rule(situation(policy(high=80.0), running=4, desired=6), 0.0)) == 7


@pytest.mark.rule("1.2#11")
def test_1_2_11_a_deployment_blocks_scale_in_only() -> None:
    ruling = formula.rule(situation(policy(low=5.0), deploying=True), 0.0)
    assert (ruling.step, reasons(ruling)) == (None, ["TargetServicePutResourceAsUnscalable"])
    assert step_to(formula.rule(situation(policy(high=80.0), deploying=True), 0.0)) == 7


# ------------------------------------------------------------------------------- 1.3.4 cooldowns


@pytest.mark.rule("1.3.4#example", "1.3.4#out", "1.3.4#credit")
def test_1_3_4_worked_example() -> None:
    """t=0: 4 → 7. t=60: 7 again, ignored. t=120: 9. t=430: the cooldown is over."""
    memory, desired = scaling.PolicyMemory(), 4
    story = [(0.0, 4, 80.0, 7), (60.0, 4, 80.0, None), (120.0, 5, 90.0, 9), (430.0, 9, 60.0, 11)]
    for now, running, value, expected in story:
        asking = policy(high=value, memory=memory)
        ruling = formula.rule(situation(asking, running=running, desired=desired), now)
        assert (step_to(ruling), ruling.refused) == (expected, ()), now
        if ruling.step is not None:
            memory = formula.remember(
                memory,
                ruling.step,
                own=True,
                desired=desired,
                crediting=formula.in_scale_out_cooldown(asking, now),
                now=now,
            )
            desired = ruling.step.to
        if now == 120.0:
            assert (memory.out_at, memory.out_from, memory.out_to) == (120.0, 4, 9), (
                "the start is kept, the clock begins anew"
            )
    assert (memory.out_from, memory.out_to) == (9, 11)


@pytest.mark.rule("1.3.4#in")
def test_1_3_4_a_scale_in_cooldown_blocks_scale_in_and_not_scale_out() -> None:
    memory = scaling.PolicyMemory(in_at=0.0)
    assert formula.rule(situation(policy(low=5.0, memory=memory)), 299.0) == formula.Ruling()
    assert step_to(formula.rule(situation(policy(low=5.0, memory=memory)), 300.0)) == 1
    assert step_to(formula.rule(situation(policy(high=80.0, memory=memory)), 10.0)) == 7


@pytest.mark.rule("1.3.4#ended")
def test_1_3_4_a_scale_out_by_any_policy_ends_the_scale_in_cooldown() -> None:
    step = formula.rule(situation(policy("a", high=80.0)), 10.0).step
    assert step is not None
    other = formula.remember(scaling.PolicyMemory(in_at=0.0), step, own=False, desired=4, crediting=False, now=10.0)
    assert other == scaling.PolicyMemory()


def test_1_3_4_a_scale_in_takes_away_what_was_credited() -> None:
    step = formula.rule(situation(policy("a", low=5.0)), 10.0).step
    assert step is not None
    before = scaling.PolicyMemory(out_at=0.0, out_from=4, out_to=9)
    after = formula.remember(before, step, own=True, desired=9, crediting=True, now=10.0)
    assert after == scaling.PolicyMemory(in_at=10.0)


# ------------------------------------------------------------------------------- what always holds

MEMORIES = st.builds(
    scaling.PolicyMemory,
    out_at=st.none() | st.floats(0, 1000),
    out_from=st.integers(0, 30),
    out_to=st.integers(0, 30),
    in_at=st.none() | st.floats(0, 1000),
)
VALUES = st.floats(0, 1e6) | st.integers(0, 200).map(float) | st.just(math.inf)


@st.composite
def policies(draw: st.DrawFn) -> tuple[formula.Policy, ...]:
    found = []
    for name in draw(st.lists(st.sampled_from("abcd"), unique=True, min_size=1, max_size=3)):
        value = draw(st.none() | VALUES)
        high_alarm = draw(st.booleans())
        low_alarm = not high_alarm and draw(st.booleans())
        signals = [
            formula.Signal(alarm=name + kind, value=value, in_alarm=active, fired=active and draw(st.booleans()))
            for kind, active in (("high", high_alarm), ("low", low_alarm))
        ]
        found.append(
            formula.Policy(
                name=name,
                target_value=draw(st.floats(0.01, 1e4)),
                scale_out_cooldown_seconds=draw(st.integers(0, 400)),
                scale_in_cooldown_seconds=draw(st.integers(0, 400)),
                high=signals[0],
                low=None if draw(st.booleans()) else signals[1],
                memory=draw(MEMORIES),
            )
        )
    return tuple(found)


@st.composite
def situations(draw: st.DrawFn) -> formula.Situation:
    minimum = draw(st.integers(0, 10))
    return formula.Situation(
        running=draw(st.integers(0, 30)),
        desired=draw(st.integers(0, 30)),
        minimum=minimum,
        maximum=draw(st.integers(minimum, 25)),
        deploying=draw(st.booleans()),
        out_suspended=draw(st.booleans()),
        in_suspended=draw(st.booleans()),
        policies=draw(policies()),
    )


@hypothesis.settings(max_examples=400, deadline=None)
@hypothesis.given(situations(), st.floats(0, 2000))
@pytest.mark.rule("1.2#13", "1.1.1#in", "1.1.1#out", "1.2#11")
def test_a_step_stays_within_the_bounds_and_goes_its_way(given: formula.Situation, now: float) -> None:
    ruling = formula.rule(given, now)
    hypothesis.event(ruling.step.direction if ruling.step is not None else "none")
    if ruling.step is None:
        return
    assert given.minimum <= ruling.step.to <= given.maximum
    if ruling.step.direction == "out":
        assert ruling.step.to > given.desired
        assert not given.out_suspended
    else:
        assert ruling.step.to < given.desired
        assert not given.in_suspended
        assert not given.deploying


@hypothesis.settings(max_examples=400, deadline=None)
@hypothesis.given(situations(), st.floats(0, 2000))
@pytest.mark.rule("1.2#8", "1.3.3#flapping")
def test_nothing_is_removed_while_any_policy_objects(given: formula.Situation, now: float) -> None:
    ruling = formula.rule(given, now)
    if ruling.step is None or ruling.step.direction == "out":
        return
    for one in given.policies:
        if one.low is not None:
            assert one.low.in_alarm, f"{one.name} is not ready"
            assert not formula.in_scale_in_cooldown(one, now), f"{one.name} rests"
        signal = one.low or one.high
        if signal is not None and signal.in_alarm and signal.value is not None and math.isfinite(signal.value):
            needed = formula.quotient(given.running, signal.value, one.target_value)
            assert needed <= ruling.step.to or ruling.step.to == given.maximum < given.desired


@hypothesis.settings(max_examples=400, deadline=None)
@hypothesis.given(situations(), st.floats(0, 2000))
@pytest.mark.rule("1.3.4#out")
def test_a_policy_in_its_scale_out_cooldown_only_asks_for_more_than_it_had(
    given: formula.Situation, now: float
) -> None:
    ruling = formula.rule(given, now)
    if ruling.step is None or ruling.step.direction == "in":
        return
    winner = next(one for one in given.policies if one.name == ruling.step.policy)
    if formula.in_scale_out_cooldown(winner, now):
        assert ruling.step.to > winner.memory.out_to


@hypothesis.settings(deadline=None)
@hypothesis.given(situations(), st.floats(0, 2000))
def test_only_what_fired_is_answered(given: formula.Situation, now: float) -> None:
    quiet = tuple(
        msgspec.structs.replace(
            one,
            high=msgspec.structs.replace(one.high, fired=False) if one.high else None,
            low=msgspec.structs.replace(one.low, fired=False) if one.low else None,
        )
        for one in given.policies
    )
    assert formula.rule(msgspec.structs.replace(given, policies=quiet), now) == formula.Ruling()


@hypothesis.settings(deadline=None)
@hypothesis.given(situations(), st.floats(0, 2000))
def test_an_alarm_in_vain_is_answered_at_most_once(given: formula.Situation, now: float) -> None:
    ruling = formula.rule(given, now)
    assert len(ruling.refused) <= len(given.policies)
    assert len({(one.policy, one.alarm) for one in ruling.refused}) == len(ruling.refused)


@hypothesis.settings(deadline=None)
@hypothesis.given(st.integers(1, 500), st.floats(0, 1e6), st.floats(0.01, 1e4))
@pytest.mark.rule("1.3.3#formula")
def test_the_proposed_count_meets_the_target_and_one_less_would_not(running: int, value: float, target: float) -> None:
    proposed = formula.propose(running, value, target)
    needed = formula.quotient(running, value, target)
    assert proposed - 1 < needed <= proposed or (proposed == 0 and needed == 0)
