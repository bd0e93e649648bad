"""What one pass of the services' controller costs, medians: `python -m bench.bench_services`.

The decision alone, without the commit; among 10,000 tasks of other services.
"""

from __future__ import annotations

import statistics
import time

import msgspec

from bench.parts import placement as worlds
from roadstead.control import services as controller
from roadstead.model import record, services, tables, task_definitions, tasks
from roadstead.state import plan, store

ROUNDS = 9
NOW = worlds.NOW


def put(subject: store.Store, *records: record.Record) -> None:
    draft = plan.Draft(subject.view())
    for one in records:
        draft.put(one)
    subject.commit(draft.plan(), NOW)


def service(subject: store.Store, desired: int) -> services.Service:
    spec = services.ServiceSpec(task_definition="web:1", desired_count=desired)
    made = services.Service(cluster="default", name="web", created_at=NOW, spec=spec)
    return services.begin_deployment(made, subject.view().ids, NOW)


def milliseconds(subject: store.Store, now: float) -> float:
    spent = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        controller.reconcile(subject.view(), "default/web", now)
        spent.append(time.perf_counter() - begun)
    return statistics.median(spent) * 1000


def settle(subject: store.Store, now: float) -> None:
    """Run the service to its desired count, all RUNNING, and at rest."""
    while not (wanted := controller.reconcile(subject.view(), "default/web", now)).is_empty:
        subject.commit(wanted, now)
        draft = plan.Draft(subject.view())
        for task in subject.view().find(tables.TASKS, "live_by_service", "default", "web"):
            if task.observed.started_at is None:
                seen = msgspec.structs.replace(task.observed, last_status="RUNNING", started_at=NOW)
                draft.put(msgspec.structs.replace(task, observed=seen))
        subject.commit(draft.plan(), now)


def measure() -> list[tuple[str, float]]:
    """(what, milliseconds), medians of `ROUNDS`."""
    subject = worlds.world(1_000, 10_000)
    container = task_definitions.ContainerDefinition(name="app", image="app", cpu=64, memory=64)
    put(
        subject,
        task_definitions.TaskDefinition(
            family="web", revision=1, registered_at=NOW, container_definitions=(container,)
        ),
        service(subject, 100),
    )
    found = [("a pass that starts 100 tasks", milliseconds(subject, NOW))]
    settle(subject, NOW + 60)
    found.append(("a pass over 100 tasks at rest", milliseconds(subject, NOW + 60)))
    first = next(subject.view().find(tables.TASKS, "live_by_service", "default", "web"))
    put(subject, tasks.request_stop(first, "UserInitiated", "", NOW))
    found.append(("a pass that replaces one of 100 tasks", milliseconds(subject, NOW + 60)))
    put(subject, service(subject, 5_000))
    settle(subject, NOW + 60)
    found.append(("a pass over 5,000 tasks at rest", milliseconds(subject, NOW + 60)))
    return found


def main() -> None:
    for what, spent in measure():
        print(f"{what:48} {spent:9.2f} ms")


if __name__ == "__main__":
    main()
