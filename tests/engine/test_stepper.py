"""The stepper: fair, merging, patient with failures, and it says when a controller doesn't come to rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadstead.base import scope
from roadstead.control import controller
from roadstead.engine import queue, stepper
from roadstead.model import clusters, record, tables
from roadstead.state import plan, store, view

Decide = Callable[[view.View, str, float], plan.Plan]


class World:
    """A store with a stepper over controllers named a, b, …, each watching every cluster."""

    def __init__(self, *decisions: Decide, checks: bool = False) -> None:
        seeds = iter(range(1, 1_000_000))
        self.store = store.Store(scope.Scope(), lambda: next(seeds))
        self.problems: list[stepper.Problem] = []
        self.steps: list[tuple[str, str]] = []
        table = [make_controller(chr(97 + place), decide) for place, decide in enumerate(decisions)]
        self.stepper = stepper.Stepper(
            self.store,
            table,
            self.problems.append,
            lambda name, key, _commit: self.steps.append((name, key)),
            checks=checks,
        )
        self.store.watch(self.stepper.note)

    def put(self, name: str, *tags: str) -> None:
        draft = plan.Draft(self.store.view())
        draft.put(cluster(name, *tags))
        wanted = draft.plan()
        if not wanted.is_empty:
            self.store.commit(wanted, 0.0)

    def settle(self, now: float, steps_max: int = 10_000) -> int:
        for count in range(steps_max):
            if not self.stepper.step(now):
                return count
        pytest.fail("it doesn't come to rest")

    def tags(self, name: str) -> int:
        found = self.store.view().get(clusters.Cluster, name)
        assert found is not None
        return len(found.tags)


def make_controller(name: str, decide: Decide) -> controller.Controller:
    def keys(change: store.Change, look: view.View) -> Iterable[str]:
        return (change.key,) if change.table == "clusters" else ()

    def all_keys(look: view.View) -> Iterable[str]:
        assert isinstance(look, store.StoreView)
        return list(look._rows[clusters.Cluster].records)

    return controller.Controller(name=name, reconcile=decide, keys=keys, all_keys=all_keys)


def cluster(name: str, *tags: str) -> clusters.Cluster:
    return clusters.Cluster(name=name, created_at=0.0, tags=tuple(record.Tag(key=tag) for tag in tags))


def idle(look: view.View, key: str, now: float) -> plan.Plan:
    return plan.NOTHING


def grow_to(size: int, *, rests: bool = False) -> Decide:
    """A controller that adds one tag a run until there are `size`; it may say that it rests after each."""

    def decide(look: view.View, key: str, now: float) -> plan.Plan:
        draft = plan.Draft(look)
        found = draft.get(clusters.Cluster, key)
        if found is not None and len(found.tags) < size:
            draft.put(msgspec.structs.replace(found, tags=(*found.tags, record.Tag(key=str(len(found.tags))))))
        return draft.plan(rests=rests)

    return decide


def test_a_change_brings_its_key_to_each_controller_once() -> None:
    world = World(idle, idle)
    world.put("x")
    world.put("x", "1")
    world.put("x", "2")
    assert world.stepper.waiting == 2
    assert world.settle(0.0) == 2
    assert world.steps == [("a", "x"), ("b", "x")]


def test_a_controller_runs_again_after_its_own_write_until_it_rests() -> None:
    world = World(grow_to(5))
    world.put("x")
    world.settle(0.0)
    assert world.tags("x") == 5
    assert len(world.steps) == 6, "the last run finds nothing to do"
    assert world.stepper.next_wake() is None and not world.problems


def test_a_plan_that_rests_is_not_looked_at_again_for_its_own_writes_but_others_look() -> None:
    world = World(grow_to(1, rests=True), idle)
    world.put("x")
    world.settle(0.0)
    assert world.steps == [("a", "x"), ("b", "x")]
    world.put("x", "0", "another's")
    world.settle(0.0)
    assert world.steps[2:] == [("a", "x"), ("b", "x")]


def test_with_checks_a_plan_that_only_says_it_rests_is_a_problem() -> None:
    world = World(grow_to(2, rests=True), checks=True)
    world.put("x")
    world.stepper.step(0.0)
    (problem,) = world.problems
    assert "a plan that rests is followed by" in problem.what


def test_a_controller_is_asked_about_the_tables_that_it_names_alone() -> None:
    world = World(checks=True)
    named = msgspec.structs.replace(make_controller("a", idle), tables=(tables.SERVICES,))
    world.stepper = stepper.Stepper(world.store, [named], world.problems.append)
    world.store.watch(world.stepper.note)
    world.put("x")
    assert world.stepper.waiting == 0
    strict = stepper.Stepper(world.store, [named], world.problems.append, checks=True)
    with pytest.raises(AssertionError, match="a doesn't name clusters"):
        world.store.watch(strict.note)
        world.put("y")


def test_start_looks_at_every_key_so_a_restart_needs_no_memory() -> None:
    world = World(grow_to(2))
    world.store.load([])
    for name in "xyz":
        world.put(name)
    fresh = stepper.Stepper(world.store, [make_controller("a", grow_to(2))], world.problems.append)
    world.store.watch(fresh.note)
    fresh.start(0.0)
    while fresh.step(0.0):
        pass
    assert [world.tags(name) for name in "xyz"] == [2, 2, 2]


def test_controllers_take_turns() -> None:
    world = World(idle, idle)
    for number in range(50):
        world.stepper._queue.add(0, f"many{number}")
    world.stepper._queue.add(1, "one")
    world.settle(0.0)
    assert world.steps.index(("b", "one")) == 1


def test_it_wakes_a_key_when_it_asked_to_be_woken() -> None:
    wanted = {"x": 10.0, "y": 5.0}
    world = World(lambda look, key, now: plan.Plan(wake_at=wanted[key] if now < wanted[key] else None))
    world.put("x")
    world.put("y")
    world.settle(0.0)
    assert world.stepper.next_wake() == 5.0
    assert world.settle(4.9) == 0
    assert world.settle(5.0) == 1 and world.steps[-1] == ("a", "y")
    assert world.stepper.next_wake() == 10.0
    assert world.settle(12.0) == 1 and world.steps[-1] == ("a", "x")
    assert world.stepper.next_wake() is None


def test_the_newest_run_decides_when_a_key_wakes() -> None:
    wake_at: list[float | None] = [10.0, 20.0, None]
    world = World(lambda look, key, now: plan.Plan(wake_at=wake_at.pop(0)))
    for number, expected in enumerate((10.0, 20.0, None)):
        world.put("x", str(number))
        world.settle(0.0)
        assert world.stepper.next_wake() == expected


def test_a_failing_decision_is_reported_retried_and_stops_nobody() -> None:
    fails = True

    def decide(look: view.View, key: str, now: float) -> plan.Plan:
        if key == "bad" and fails:
            raise ZeroDivisionError("a bug")
        return grow_to(1)(look, key, now)

    world = World(decide)
    world.put("bad")
    world.put("good")
    world.settle(0.0)
    assert world.tags("good") == 1
    problem = world.problems[0]
    assert (problem.controller, problem.key, problem.failures) == ("a", "bad", 1)
    assert "ZeroDivisionError: a bug" in problem.what and "test_stepper.py" in problem.detail
    now, pauses = 0.0, []
    for _ in range(14):
        wake_at = world.stepper.next_wake()
        assert wake_at is not None
        pauses.append(wake_at - now)
        now = wake_at
        world.settle(now)
    assert pauses[0] == pytest.approx(stepper.RETRY_SECONDS_FIRST)
    assert pauses == sorted(pauses) and pauses[-1] == pytest.approx(stepper.RETRY_SECONDS_MAX)
    fails = False
    world.settle(now + stepper.RETRY_SECONDS_MAX)
    assert world.tags("bad") == 1 and world.stepper.next_wake() is None


def test_errors_in_a_controllers_key_functions_are_reported_too() -> None:
    def broken(*_: object) -> Iterable[str]:
        raise KeyError("keys")

    table = [
        controller.Controller(name="broken", reconcile=idle, keys=broken, all_keys=broken),
        make_controller("fine", grow_to(1)),
    ]
    world = World()
    one = stepper.Stepper(world.store, table, world.problems.append)
    world.store.watch(one.note)
    world.put("x")
    one.start(0.0)
    while one.step(0.0):
        pass
    assert world.tags("x") == 1
    assert {problem.controller for problem in world.problems} == {"broken"}


def test_a_controller_that_never_rests_is_reported_and_slowed_down() -> None:
    def flip(look: view.View, key: str, now: float) -> plan.Plan:
        draft = plan.Draft(look)
        found = draft.get(clusters.Cluster, key)
        assert found is not None
        draft.put(msgspec.structs.replace(found, status="ACTIVE" if found.status == "INACTIVE" else "INACTIVE"))
        return draft.plan()

    world = World(flip, idle)
    world.put("x")
    world.put("y")
    world.settle(0.0)
    assert {(problem.controller, problem.key) for problem in world.problems} == {("a", "x"), ("a", "y")}
    assert "doesn't come to rest" in world.problems[0].what
    assert world.stepper.next_wake() == stepper.REST_WINDOW_SECONDS
    assert len(world.steps) <= 4 * stepper.RESTLESS_RUNS_MAX + 10


def test_two_controllers_that_undo_each_other_are_found_as_well() -> None:
    def set_to(status: str) -> Decide:
        def decide(look: view.View, key: str, now: float) -> plan.Plan:
            draft = plan.Draft(look)
            found = draft.get(clusters.Cluster, key)
            assert found is not None
            draft.put(msgspec.structs.replace(found, status=status))
            return draft.plan()

        return decide

    world = World(set_to("ACTIVE"), set_to("INACTIVE"))
    world.put("x")
    world.settle(0.0)
    assert {problem.controller for problem in world.problems} == {"a", "b"}


def test_asking_to_be_woken_in_the_past_does_not_spin_for_ever() -> None:
    world = World(lambda look, key, now: plan.Plan(wake_at=now - 1.0))
    world.put("x")
    world.settle(0.0)
    assert "doesn't come to rest" in world.problems[0].what


def test_after_rest_the_count_begins_anew() -> None:
    world = World(grow_to(3))
    for round_number in range(stepper.RESTLESS_RUNS_MAX):
        world.put("x", f"round{round_number}")
        world.settle(0.0)
    assert not world.problems


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 2), st.sampled_from("xyz")),
            st.tuples(st.just("pop")),
            st.tuples(st.just("discard"), st.integers(0, 2), st.sampled_from("xyz")),
            st.tuples(
                st.just("sleep"),
                st.integers(0, 2),
                st.sampled_from("xyz"),
                st.one_of(st.none(), st.integers(0, 9).map(float)),
            ),
            st.tuples(st.just("wake"), st.integers(0, 9).map(float)),
        ),
        max_size=60,
    )
)
def test_the_queue_is_what_a_simple_model_says(steps: list[tuple[object, ...]]) -> None:
    subject = queue.WorkQueue(3)
    ready: set[tuple[int, str]] = set()
    sleeping: dict[tuple[int, str], float] = {}
    for step in steps:
        match step:
            case ("add", int() as place, str() as key):
                subject.add(place, key)
                ready.add((place, key))
            case ("pop",):
                found = subject.pop()
                assert (found is None) == (not ready)
                if found is not None:
                    assert found in ready
                    ready.discard(found)
            case ("discard", int() as place, str() as key):
                subject.discard(place, key)
                ready.discard((place, key))
            case ("sleep", int() as place, str() as key, at):
                assert at is None or isinstance(at, float)
                subject.sleep(place, key, at)
                sleeping.pop((place, key), None)
                if at is not None:
                    sleeping[place, key] = at
            case ("wake", float() as now):
                subject.wake(now)
                ready |= {name for name, at in sleeping.items() if at <= now}
                sleeping = {name: at for name, at in sleeping.items() if at > now}
        assert len(subject) == len(ready)
        assert subject.sleeping == len(sleeping)
        assert subject.next_wake() == min(sleeping.values(), default=None)


def test_the_heap_of_wakes_does_not_grow_with_changes_of_mind() -> None:
    subject = queue.WorkQueue(1)
    for number in range(10_000):
        subject.sleep(0, "x", 1e9 - number)
    assert subject.sleeping == 1
    assert len(subject._wakes) <= 2 + queue.STALE_WAKES_MIN + 1
