"""Placements a second on one core, medians.

What is timed is the choice (and, in passes, the look at the cluster that each pass begins with), not the store.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable

from bench import figures
from roadstead.base import scope
from roadstead.control import placement
from roadstead.model import container_instances, task_definitions, tasks
from roadstead.state import plan, store

RUNS = 3
ROUNDS = 3
SIZES = ((1_000, 10_000), (5_000, 100_000))
SIZES_QUICK = ((20, 200), (50, 1_000))
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
NOW = 1_000_000.0
PASS_TASKS = 100
"""Tasks that the services' controller starts in one pass."""
BINPACK = (task_definitions.PlacementStrategy(type="binpack", field="memory"),)


def request(group: str, strategy: tuple[task_definitions.PlacementStrategy, ...] = ()) -> placement.PlacementRequest:
    return placement.PlacementRequest(
        group=group, resources=tasks.TaskResources(cpu_units=64, memory_mib=64), strategy=strategy
    )


def world(instances: int, running: int, services: int = 10) -> store.Store:
    """`running` tasks of `services` services on the instances."""
    seeds = itertools.count(1)
    subject = store.Store(scope.Scope(), lambda: next(seeds))
    draft = plan.Draft(subject.view())
    made = []
    for number in range(instances):
        one = container_instances.ContainerInstance(
            instance_id=f"{number * 2654435761 % 2**32:08x}{number:024x}",
            cluster="default",
            ec2_instance_id=f"i-{number:017x}",
            registered_at=NOW,
            capacity=container_instances.InstanceCapacity(cpu_units=16_384, memory_mib=65_536),
            availability_zone=ZONES[number % len(ZONES)],
            session=container_instances.AgentSession(connected=True),
        )
        made.append(one)
        draft.put(one)
    for number in range(running):
        on = made[number % instances]
        draft.put(
            tasks.Task(
                task_id=f"{number:032x}",
                cluster="default",
                created_at=NOW,
                spec=tasks.TaskSpec(
                    task_definition="web:1",
                    group=f"service:s{number // instances % services}",
                    service=f"s{number // instances % services}",
                    resources=tasks.TaskResources(cpu_units=64, memory_mib=64),
                ),
                desired=tasks.TaskDesired(container_instance=on.instance_id, availability_zone=on.availability_zone),
                observed=tasks.TaskObserved(last_status="RUNNING"),
            )
        )
    subject.commit(draft.plan(), NOW)
    return subject


def place_all(subject: store.Store, wanted: placement.PlacementRequest, count: int) -> None:
    packer = placement.Packer(subject.view(), "default")
    for _ in range(count):
        assert isinstance(packer.place(wanted), placement.Placed)


def in_passes(subject: store.Store, count: int) -> Callable[[], None]:
    """Each pass another service's, on a fresh picture."""

    def run() -> None:
        for number in range(count // PASS_TASKS):
            place_all(subject, request(f"service:new{number}"), PASS_TASKS)

    return run


def median_per_second(run: Callable[[], None], placements: int) -> float:
    run()
    speeds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        run()
        speeds.append(placements / (time.perf_counter() - begun))
    return statistics.median(speeds)


CASES = (
    "one decision",
    f"passes of {PASS_TASKS}, new services",
    f"a pass of {PASS_TASKS}, service on every instance",
    "one task alone",
    f"a pass of {PASS_TASKS}, binpack(memory)",
)
PER_SECOND = 20_000.0
"""Of the first case at the first size; at the second size it may not fall under half of that."""


def _figures() -> tuple[figures.Figure, ...]:
    found = []
    for place, (instances, running) in enumerate(SIZES):
        for number, case in enumerate(CASES):
            bar = figures.least(PER_SECOND / (place + 1)) if number == 0 else None
            title = f"{instances:,} instances × {running:,} tasks: {case}"
            found.append(figures.Figure(f"{place} {number}", title, "placements/s", bar))
    return tuple(found)


FIGURES = _figures()


def run(quick: bool) -> dict[str, float]:
    """Measure once: the median of some rounds a case."""
    found = {}
    for place, (instances, running) in enumerate(SIZES_QUICK if quick else SIZES):
        many = 100 if quick else 10_000
        subject = world(instances, running)
        works: tuple[tuple[Callable[[], None], int], ...] = (
            (lambda s=subject, n=many: place_all(s, request("service:new"), n), many),  # type: ignore[misc]
            (in_passes(subject, 200 if quick else 2_000), 200 if quick else 2_000),
            (lambda s=subject: place_all(s, request("service:s0"), PASS_TASKS), PASS_TASKS),  # type: ignore[misc]
            (lambda s=subject: place_all(s, request("family:job"), 1), 1),  # type: ignore[misc]
            (lambda s=subject: place_all(s, request("service:new", BINPACK), PASS_TASKS), PASS_TASKS),  # type: ignore[misc]
        )
        for number, (work, count) in enumerate(works):
            found[f"{place} {number}"] = median_per_second(work, count)
    return found
