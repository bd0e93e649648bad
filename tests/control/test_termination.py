"""Which task is stopped when there are too many (behaviour.md 5.11)."""

from __future__ import annotations

from tests.control import worlds

from roadstead.control import placement
from roadstead.model import task_definitions, tasks

A1, A2, B1 = (
    worlds.instance("a1", zone="a", memory=4096),
    worlds.instance("a2", zone="a", memory=1024),
    worlds.instance("b1", zone="b", memory=2048),
)


def choose(found: list[tasks.Task], count: int, *strategy: task_definitions.PlacementStrategy) -> list[str]:
    subject = worlds.new_store()
    worlds.put(subject, A1, A2, B1, *found)
    return [one.task_id for one in placement.choose_to_stop(subject.view(), found, count, strategy)]


def on(*places: worlds.Instance) -> list[tasks.Task]:
    return [worlds.task(f"t{n}", place, created_at=float(n)) for n, place in enumerate(places)]


def test_the_fullest_zone_then_the_fullest_instance_gives_its_newest_task() -> None:
    assert choose(on(A1, A1, A2, B1), 3) == ["t1", "t0", "t2"]


def test_never_more_than_there_are() -> None:
    assert sorted(choose(on(A1, B1), 5)) == ["t0", "t1"]


def test_tasks_that_stay_count_for_the_balance() -> None:
    found = on(A1, A2, B1)
    subject = worlds.new_store()
    worlds.put(subject, A1, A2, B1, *found)
    chosen = placement.choose_to_stop(subject.view(), found[1:], 1, (), among=found[:1])
    assert [one.task_id for one in chosen] == ["t1"]


def test_binpack_empties_the_instance_that_has_most_left() -> None:
    binpack = task_definitions.PlacementStrategy(type="binpack", field="memory")
    assert choose(on(A1, A2, B1, A2), 3, binpack) == ["t0", "t2", "t3"]


def test_spread_over_hosts_ignores_zones() -> None:
    spread = task_definitions.PlacementStrategy(type="spread", field="instanceId")
    assert choose(on(A1, A2, B1, B1), 1, spread) == ["t3"]


def test_random_stops_any() -> None:
    random = task_definitions.PlacementStrategy(type="random")
    assert len(set(choose(on(A1, A2, B1), 2, random))) == 2


def test_tasks_without_an_instance_can_be_stopped_too() -> None:
    waiting = worlds.task("w", None)
    assert choose([waiting], 1) == ["w"]
