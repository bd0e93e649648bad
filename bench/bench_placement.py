"""Placements a second on one core, medians: `python -m bench.bench_placement`.

What is timed is the choice (and, in passes, the look at the cluster that each pass begins with), not the store.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable

from roadstead.base import scope
from roadstead.control import placement
from roadstead.model import container_instances, task_definitions, tasks
from roadstead.state import plan, store

ROUNDS = 5
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


def place(subject: store.Store, wanted: placement.PlacementRequest, count: int) -> None:
    packer = placement.Packer(subject.view(), "default")
    for _ in range(count):
        assert isinstance(packer.place(wanted), placement.Placed)


def in_passes(subject: store.Store, count: int) -> Callable[[], None]:
    """Each pass another service's, on a fresh picture."""

    def run() -> None:
        for number in range(count // PASS_TASKS):
            place(subject, request(f"service:new{number}"), PASS_TASKS)

    return run


def median_per_second(run: Callable[[], None], placements: int) -> float:
    run()
    speeds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        run()
        speeds.append(placements / (time.perf_counter() - begun))
    return statistics.median(speeds)


def measure() -> list[tuple[str, float]]:
    """(what, placements a second), medians of `ROUNDS`."""
    found = []
    for instances, running in ((1_000, 10_000), (5_000, 100_000)):
        subject = world(instances, running)
        name = f"{instances:,} instances × {running:,} tasks"
        cases: tuple[tuple[str, Callable[[], None], int], ...] = (
            ("one decision", lambda s=subject: place(s, request("service:new"), 10_000), 10_000),  # type: ignore[misc]
            (f"passes of {PASS_TASKS}, new services", in_passes(subject, 2_000), 2_000),
            (
                f"a pass of {PASS_TASKS}, service on every instance",
                lambda s=subject: place(s, request("service:s0"), PASS_TASKS),  # type: ignore[misc]
                PASS_TASKS,
            ),
            ("one task alone", lambda s=subject: place(s, request("family:job"), 1), 1),  # type: ignore[misc]
            (
                f"a pass of {PASS_TASKS}, binpack(memory)",
                lambda s=subject: place(s, request("service:new", BINPACK), PASS_TASKS),  # type: ignore[misc]
                PASS_TASKS,
            ),
        )
        found += [(f"{name}: {what}", median_per_second(run, count)) for what, run, count in cases]
    empty = world(1_000, 0)
    found.append(
        (
            "1,000 empty instances, 10,000 tasks of one service",
            median_per_second(lambda: place(empty, request("service:a"), 10_000), 10_000),
        )
    )
    return found


def main() -> None:
    for what, speed in measure():
        print(f"{what:72} {speed:12,.0f} placements/s")


if __name__ == "__main__":
    main()
