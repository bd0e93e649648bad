"""The same calls with 100,000 tasks in the store as with ten: the cost of a call must not grow with the cluster.

Two servers run side by side and are asked in turn, by one connection; the store of each was written as its journal.
"""

from __future__ import annotations

import asyncio
import itertools
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import uvloop

from bench import figures, load, servers, stand_in
from roadstead.base import scope
from roadstead.journals import sqlite
from roadstead.model import clusters, container_instances, task_definitions, tasks
from roadstead.state import plan, store

RUNS = 3
TASKS_FEW, TASKS_MANY = 10, 100_000
INSTANCES = 1_000
COMMIT_RECORDS = 10_000
SECONDS = 0.5
ROUNDS = 3
TIMES = 1.2
PAGE_MS = 2.0
REGISTERED_AT = 1_790_000_000.0
OPERATIONS = ("DescribeTasks", "DescribeServices", "RegisterTaskDefinition", "RunTask")
FIGURES = (
    *(
        figures.Figure(
            f"{name} ratio", f"{name}: time with {TASKS_MANY:,} tasks", "times that with ten", figures.most(TIMES)
        )
        for name in OPERATIONS
    ),
    figures.Figure("page", f"ListTasks, a page of 100 of {TASKS_MANY:,}, median", "ms", figures.most(PAGE_MS)),
    figures.Figure("page few", "  the same with ten tasks", "ms"),
    figures.Figure("start", f"start to serving with {TASKS_MANY:,} tasks", "s"),
    figures.Figure("memory", f"control plane with {TASKS_MANY:,} tasks (PSS)", "MiB"),
)


def run(quick: bool) -> dict[str, float]:
    """Measure once."""
    with servers.temporary() as directory:
        few, many = directory / "few", directory / "many"
        _write(few, 1, TASKS_FEW)
        _write(many, 10 if quick else INSTANCES, 1_000 if quick else TASKS_MANY)
        began = time.perf_counter()
        with servers.ours(many) as large:
            started = time.perf_counter() - began
            with servers.ours(few) as small, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                found = runner.run(_measure(small, large, 0.05 if quick else SECONDS))
            return {**found, "start": started, "memory": servers.pss_kib(large.pid) / 1024}


def _write(data_dir: pathlib.Path, instances: int, count: int) -> None:
    """A data directory whose journal has so many running tasks."""
    data_dir.mkdir(parents=True)
    seeds = itertools.count(1)
    subject = store.Store(scope.Scope(account="123456789012", region=servers.REGION), lambda: next(seeds))
    kept = sqlite.SqliteJournal(data_dir / "journal.sqlite")
    draft = plan.Draft(subject.view())

    def flush() -> None:
        nonlocal draft
        commit = subject.commit(draft.plan(), REGISTERED_AT)
        assert commit is not None
        kept.append([commit.entry])
        draft = plan.Draft(subject.view())

    draft.put(clusters.Cluster(name="default", created_at=REGISTERED_AT))
    container = task_definitions.ContainerDefinition(name="app", image="web:1", memory=64)
    draft.put(
        task_definitions.TaskDefinition(
            family="old", revision=1, registered_at=REGISTERED_AT, container_definitions=(container,)
        )
    )
    draft.put(
        task_definitions.TaskDefinitionFamily(
            family="old", latest_revision=1, active_revisions=1, latest_active_revision=1
        )
    )
    for number in range(instances):
        draft.put(_instance(number))
    for number in range(count):
        draft.put(_task(number, instances))
        if number % COMMIT_RECORDS == COMMIT_RECORDS - 1:
            flush()
    draft.put(clusters.Cluster(name="other", created_at=REGISTERED_AT))
    flush()
    kept.close()


def _instance(number: int) -> container_instances.ContainerInstance:
    return container_instances.ContainerInstance(
        instance_id=f"{number:032x}",
        cluster="default",
        ec2_instance_id=f"i-{number:017x}",
        registered_at=REGISTERED_AT,
        capacity=container_instances.InstanceCapacity(cpu_units=16_384, memory_mib=65_536),
        availability_zone=f"{servers.REGION}a",
    )


def _task(number: int, instances: int) -> tasks.Task:
    return tasks.Task(
        task_id=f"{number:032x}",
        cluster="default",
        created_at=REGISTERED_AT + number / 1000,
        spec=tasks.TaskSpec(
            task_definition="old:1",
            group="family:old",
            resources=tasks.TaskResources(cpu_units=64, memory_mib=64),
        ),
        desired=tasks.TaskDesired(
            container_instance=f"{number % instances:032x}", availability_zone=f"{servers.REGION}a"
        ),
        observed=tasks.TaskObserved(last_status="RUNNING"),
    )


def _params(name: str) -> dict[str, Any]:
    container = {"name": "app", "image": "web:1", "memory": 6}
    match name:
        case "DescribeTasks":
            return {"tasks": [f"{7:032x}"]}
        case "DescribeServices":
            return {"services": ["web"]}
        case "RegisterTaskDefinition":
            return {"family": "new", "containerDefinitions": [container]}
        case "RunTask":
            return {"taskDefinition": "web"}
    return {}


async def _measure(small: servers.Server, large: servers.Server, seconds: float) -> dict[str, float]:
    for server in (small, large):
        ecs = server.client("ecs")
        container = {"name": "app", "image": "web:1", "memory": 6}
        ecs.register_task_definition(family="web", containerDefinitions=[container])
        ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=0)
    arns = [await asyncio.to_thread(stand_in.register, server) for server in (small, large)]
    async with stand_in.connected(small, arns[0]), stand_in.connected(large, arns[1]):
        found: dict[str, float] = {}
        for name in (*OPERATIONS, "ListTasks"):
            times = await _times((small, large), name, seconds)
            if name == "ListTasks":
                found |= dict(zip(("page few", "page"), times, strict=True))
            else:
                found[f"{name} ratio"] = times[1] / times[0]
    return found


async def _times(both: Sequence[servers.Server], name: str, seconds: float) -> list[float]:
    """Median time of one call at each server, ms: the best of some short rounds, in turn."""
    found = [float("inf")] * len(both)
    for _ in range(ROUNDS):
        for place, server in enumerate(both):
            request = server.request("ecs", name, **_params(name))
            done = await load.drive(server.address, itertools.repeat(request), 1, seconds)
            found[place] = min(found[place], done.p50_ms)
    return found
