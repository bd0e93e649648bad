"""Whatever comes, late, twice or not at all: an alarm's state is what behaviour.md 2.6.3 says, written out anew."""

from __future__ import annotations

import math
from typing import Any

from alarm_world import LOAD, POLICY, START, World
from hypothesis import given, settings
from hypothesis import strategies as st

from roadstead.control import alarm_watch

FINE_SECONDS, MINUTE = 10, 60


def expected(world: World, before: str, *, needed: int, periods: int, period: int, treatment: str) -> str:
    """The rule, from a read of the series that keeps nothing."""
    slide = period if period < MINUTE else MINUTE
    end = math.floor(world.now / slide) * slide
    starts = [end - period * age for age in range(1, periods + 3)]
    read = world.store.signals.statistics(LOAD, None, starts[-1], end, period, ("Average",), world.now)
    values = {point.timestamp: point.values["Average"] for point in read}
    reals = [values[start] for start in starts if start in values]
    ages = [age for age, start in enumerate(starts, start=1) if start in values]
    breaching = sum(value > 50.0 for value in reals[:periods])
    missing = periods - len(reals)
    if missing <= 0:
        return "ALARM" if breaching >= needed else "OK"
    if treatment == "breaching":
        return "ALARM" if breaching + missing >= needed else "OK"
    if treatment == "notBreaching":
        return "ALARM" if breaching >= needed else "OK"
    if not reals:
        return "INSUFFICIENT_DATA" if treatment == "missing" else before
    if breaching >= needed:
        return "ALARM"
    if breaching < len(reals):
        return "OK"
    return "ALARM" if treatment == "missing" and max(ages) >= needed else before


_move = st.one_of(
    st.tuples(st.just("measure"), st.integers(-5, 400), st.sampled_from((20.0, 50.0, 80.0, 200.0))),
    st.tuples(st.just("wait"), st.sampled_from((1, 2, 5, 6, 18))),
    st.tuples(st.just("force"), st.sampled_from(("OK", "ALARM", "INSUFFICIENT_DATA"))),
    st.just(("age",)),
    st.just(("restart",)),
)
_moves = st.lists(_move, max_size=40)


@given(
    moves=_moves,
    period=st.sampled_from((10, 20, 60, 180)),
    numbers=st.integers(1, 5).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))),
    treatment=st.sampled_from(("missing", "ignore", "breaching", "notBreaching")),
)
@settings(max_examples=150, deadline=None)
def test_the_state_is_the_rule_s_at_every_evaluation(
    moves: list[Any], period: int, numbers: tuple[int, int], treatment: str
) -> None:
    needed, periods = numbers
    world = World()
    state = "INSUFFICIENT_DATA"

    def said(before: str) -> str:
        return expected(world, before, needed=needed, periods=periods, period=period, treatment=treatment)

    def look() -> None:
        nonlocal state
        world.settle()
        state = said(state)
        assert world.state() == state

    world.put_alarm(
        period_seconds=period, evaluation_periods=periods, datapoints_to_alarm=needed, treat_missing_data=treatment
    )
    look()
    every = FINE_SECONDS if period < MINUTE else MINUTE
    for move in moves:
        match move:
            case ("measure", age, value):
                world.measure(value, world.now - age, resolution=1 if period < MINUTE else 60)
            case ("wait", steps):
                for _ in range(steps):
                    world.now += every
                    look()
            case ("force", forced):
                world.force(forced)
                assert world.state() == forced, "it holds until the next evaluation"
                state = forced
            case ("age",):
                world.store.signals.expire(world.now, 100)
            case _:
                before = state
                world.restart()
                state = world.state()  # evaluated again, or this time's evaluation is known to have been
                assert state in (before, said(before))
    world.now += every
    look()


_feeds = st.tuples(st.just("feed"), st.integers(1, 6), st.sampled_from((20.0, 80.0)))
"""So many periods with a sample each."""


@given(
    moves=st.lists(st.one_of(_feeds, _move), max_size=20),
    offset=st.sampled_from((0.0, 0.25, 7.5)),
    period=st.sampled_from((10, 20, 60, 180)),
    numbers=st.integers(1, 6).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))),
    treatment=st.sampled_from(("missing", "ignore", "breaching", "notBreaching")),
    actions=st.sampled_from(({}, {"alarm_actions": (POLICY,)}, {"ok_actions": (POLICY,)})),
    statistic=st.sampled_from(
        ({}, {"statistic": None, "extended_statistic": "p90", "evaluate_low_sample_count_percentile": "ignore"})
    ),
)
@settings(max_examples=300, deadline=None)
def test_leaving_out_evaluations_that_cannot_differ_changes_no_record(
    moves: list[Any],
    offset: float,
    period: int,
    numbers: tuple[int, int],
    treatment: str,
    actions: dict[str, Any],
    statistic: dict[str, Any],
) -> None:
    sleeper, restless = worlds = World(), World()
    more: dict[str, Any] = {"treat_missing_data": treatment, **actions, **statistic}
    for world in worlds:
        needed, periods = numbers
        world.put_alarm(period_seconds=period, evaluation_periods=periods, datapoints_to_alarm=needed, **more)
    alarm_watch.of(restless.alarm().spec).sleeps = False
    every = FINE_SECONDS if period < MINUTE else MINUTE
    for move in [*moves, ("wait", 20)]:
        for world in worlds:
            match move:
                case ("measure", age, value):
                    world.run(world.now + offset)
                    world.measure(value, world.now - age, resolution=1 if period < MINUTE else 60)
                case ("feed", count, value):
                    for _ in range(count):
                        begin = math.floor(world.now / period + 1) * period
                        world.run(begin + period / 2)
                        world.measure(value, begin, resolution=1 if period < MINUTE else 60)
                case ("wait", steps):
                    world.run(math.floor(world.now / every + steps) * every)
                case ("force", forced):
                    world.force(forced)
                case ("age",):
                    world.store.signals.expire(world.now, 100)
                case _:
                    pass
        assert sleeper.alarm() == restless.alarm()
        told = [[(item.timestamp, item.data) for item in world.history()] for world in worlds]
        assert told[0] == told[1]
    assert sum(sleeper.looks.values()) <= sum(restless.looks.values())


def test_a_verdict_is_kept_for_the_data_it_was_made_from_and_for_no_others(world: World) -> None:
    """Two alarms whose windows are the same in all but the threshold and the state they are in."""
    world.put_alarm("low", threshold=10.0, treat_missing_data="ignore")
    world.put_alarm("high", threshold=90.0, treat_missing_data="ignore")
    for age in (3, 2, 1):
        world.measure(50.0, START - 60 * age)
    world.run(START + 60)
    assert (world.state("low"), world.state("high")) == ("ALARM", "OK")
    world.measure(1_000.0, START - 60)  # late: the window that ended with it is read again at the next minute
    world.run(START + 120)
    assert alarm_watch.breaching(world.store.view(), world.alarm("high"), world.now) == 1


def test_a_verdict_is_kept_for_the_state_it_began_from_and_for_no_other(world: World) -> None:
    world.put_alarm(period_seconds=20, treat_missing_data="ignore")
    world.measure(80.0, START - 20, resolution=1)  # too little of three for any verdict: the state is kept
    for begin, forced in ((20, "OK"), (40, "ALARM"), (60, "OK")):
        world.run(START + begin)
        world.force(forced)
        world.run(START + begin + 10)  # the same window again, from another state on
        assert world.state() == forced
