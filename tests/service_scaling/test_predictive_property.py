"""Predictive scaling under whatever comes: it never scales in, keeps to the bounds, and a restart changes nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from predictive_stories import START, changes, put, track
from scaling_world import KEY, World

from roadstead.control import alarms, scheduled_scaling, service_scaling
from roadstead.model import predictive, scaling

HOURS = 6
CONTROLLERS = (alarms.CONTROLLER, service_scaling.CONTROLLER, scheduled_scaling.CONTROLLER)
"""Without those that forecast: here the forecast is given."""

loads = st.lists(st.floats(0, 5000).map(lambda one: round(one, 2)), min_size=HOURS + 2, max_size=HOURS + 2)
bounds = st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda pair: (min(pair), max(pair)))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(1, 90)),
        st.tuples(st.just("set"), st.integers(0, 40)),
        st.tuples(st.just("bounds"), bounds),
        st.tuples(st.just("suspend"), st.booleans()),
        st.tuples(st.just("load"), st.floats(0, 200)),
    ),
    max_size=12,
)
raising = st.sampled_from([{}, {"MaxCapacityBreachBehavior": "IncreaseMaxCapacity", "MaxCapacityBuffer": 20}])


def begin(load: list[float], more: dict[str, Any], buffer: int) -> World:
    """A service with target tracking and a predictive policy whose forecast is known."""
    world = World(desired=5, minimum=1, maximum=20, start=START, controllers=CONTROLLERS)
    track(world)
    put(world, SchedulingBufferTime=buffer, **more)
    policy = world.get(scaling.ScalingPolicy, f"{KEY}|foresee")
    newest = predictive.Prediction(asked_at=START, begin=START, load=tuple(load), history_hours=48)
    world.put(
        predictive.Forecast(
            namespace=policy.namespace,
            resource_id=policy.resource_id,
            dimension=policy.dimension,
            policy_name=policy.policy_name,
            policy_id=policy.policy_id,
            target_key=policy.target_key,
            metrics=policy.predictive_scaling.metrics,
            history=predictive.History(begun_at=START, begin=START),
            asked_at=START,
            answer=newest,
            newest=newest,
        )
    )
    world.settle()
    return world


def do(world: World, step: tuple[str, Any]) -> None:
    match step:
        case "pass", minutes:
            world.run(world.now + 60 * minutes)
        case "set", count:
            world.set_desired(count)
        case "bounds", (low, high):
            world.ask("RegisterScalableTarget", MinCapacity=low, MaxCapacity=high)
        case "suspend", on:
            world.ask("RegisterScalableTarget", SuspendedState={"DynamicScalingOutSuspended": on})
        case "load", value:
            for _ in range(16):
                world.minute(value)


@settings(deadline=None, max_examples=60)
@given(loads, raising, st.sampled_from([0, 300, 3600]), steps)
def test_it_never_scales_in_and_keeps_to_the_bounds(
    load: list[float], more: dict[str, Any], buffer: int, taken: list[tuple[str, Any]]
) -> None:
    world = begin(load, more, buffer)
    seen: set[str] = set()
    for step in taken:
        before = world.target.max_capacity
        do(world, step)
        target = world.target
        if not more and step[0] != "bounds":
            assert target.max_capacity == before, "only IncreaseMaxCapacity raises it"
        if step[0] != "bounds":
            assert target.max_capacity >= before, "nothing takes it back"
        for one in world.told:
            if one.activity_id in seen or one.policy_name != "foresee" or one.to_count is None:
                continue
            assert one.from_count is not None and one.to_count > one.from_count
            assert one.numbers.max_capacity is not None and one.to_count <= one.numbers.max_capacity
        seen.update(one.activity_id for one in world.told)


@settings(deadline=None, max_examples=40)
@given(loads, raising, st.sampled_from([0, 300, 3600]), steps)
def test_dynamic_scaling_in_stays_above_what_is_predicted(
    load: list[float], more: dict[str, Any], buffer: int, taken: list[tuple[str, Any]]
) -> None:
    world = begin(load, more, buffer)
    for step in taken:
        do(world, step)
        for one in world.told:
            if one.policy_name == "track" and one.to_count is not None and (one.from_count or 0) > one.to_count:
                hour = int((one.started_at - START) // 3600)
                if 0 <= hour < len(load):
                    predicted = -(-int(load[hour] * 100) // 6000)
                    assert one.to_count >= min(predicted, one.numbers.max_capacity or 0)


@settings(deadline=None, max_examples=40)
@given(loads, raising, st.sampled_from([0, 300, 3600]), steps)
def test_a_restart_changes_nothing_and_a_second_look_writes_nothing(
    load: list[float], more: dict[str, Any], buffer: int, taken: list[tuple[str, Any]]
) -> None:
    steady, restarted = begin(load, more, buffer), begin(load, more, buffer)
    for step in taken:
        do(steady, step)
        do(restarted, step)
        restarted.restart()
        revision = restarted.store.revision
        restarted.stepper.start(restarted.now)
        restarted.settle()
        assert restarted.store.revision == revision
    assert changes(restarted) == changes(steady)
    assert (restarted.desired, restarted.target.max_capacity) == (steady.desired, steady.target.max_capacity)
