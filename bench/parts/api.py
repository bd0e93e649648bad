"""The AWS API under load, moto's server beside it: the same requests, made by botocore's serializer and signed.

Ours verifies each signature and answers a write only when it is on the disk; moto does neither. RunTask needs an
instance: ours has one whose agent takes every task (and acknowledges it, which costs us); moto's tasks are Fargate's.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import pathlib
import sqlite3
import statistics
import time
from typing import Any

import uvloop

from bench import figures, load, servers, stand_in

RUNS = 3
CONNECTIONS = 16
SECONDS = 1.5
OPERATIONS = ("ListClusters", "DescribeServices", "RegisterTaskDefinition", "RunTask")
BARRED = ("DescribeServices", "RegisterTaskDefinition", "RunTask")
TIMES_MOTO = 10.0
P99_MS = 10.0
WRITES_PER_SECOND = 5_000.0

CONTAINERS = [
    {
        "name": "app",
        "image": "registry.example.com/team/web:1.2.3",
        "cpu": 128,
        "memory": 256,
        "essential": True,
        "command": ["httpd", "-f", "-p", "80"],
        "environment": [{"name": f"SETTING_{number}", "value": "value"} for number in range(5)],
        "portMappings": [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}],
    }
]
TASK_CONTAINERS = [{"name": "app", "image": "web:1", "memory": 6, "essential": True}]


def _figures() -> tuple[figures.Figure, ...]:
    found = []
    for name in OPERATIONS:
        barred = name in BARRED
        for connections in (1, CONNECTIONS):
            where = f"{name} at {connections} connection{'s' if connections > 1 else ''}"
            key = f"{name} {connections}"
            found.append(figures.Figure(key, where, "requests/s", peer_name=f"moto {key}"))
        bar = figures.least(TIMES_MOTO) if barred else None
        found.append(figures.Figure(f"{name} ratio", f"{name} at {CONNECTIONS} connections", "times moto's rate", bar))
        key, bar = f"{name} p99", figures.most(P99_MS) if barred else None
        title = f"{name} at {CONNECTIONS} connections, p99"
        found.append(figures.Figure(key, title, "ms", bar, peer_name=f"moto {key}"))
    title = f"durable writes (CreateCluster, a record each) from {CONNECTIONS} connections"
    bar = figures.least(WRITES_PER_SECOND)
    found.append(
        figures.Figure("writes", title, "writes/s", bar, peer_name="sqlite", peer="bare SQLite, a row a commit")
    )
    found.append(figures.Figure("sync", "  this disk: write 4 KiB into a file's blocks and sync, median", "ms"))
    return tuple(found)


FIGURES = _figures()


def run(quick: bool) -> dict[str, float]:
    """Measure once: for each operation moto, then ours, each alone at work."""
    with servers.temporary() as directory, servers.moto() as peer, servers.ours(directory / "data") as own:
        sides = [("", own)] if peer is None else [("moto ", peer), ("", own)]
        for _, server in sides:
            _set_up(server)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_measure(sides, own, 0.2 if quick else SECONDS))


def _set_up(server: servers.Server) -> None:
    ecs = server.client("ecs")
    ecs.create_cluster(clusterName="default")
    ecs.register_task_definition(family="web", containerDefinitions=TASK_CONTAINERS)
    # without tasks: what is measured is the API, and neither side has anything to do behind it
    ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=0)


def _params(operation: str, is_ours: bool) -> dict[str, Any]:
    match operation:
        case "DescribeServices":
            return {"cluster": "default", "services": ["web"]}
        case "RegisterTaskDefinition":
            return {"family": "web2", "containerDefinitions": CONTAINERS}
        case "RunTask":
            chosen = {} if is_ours else {"launchType": "FARGATE"}
            return {"cluster": "default", "count": 1, "taskDefinition": "web", **chosen}
    return {}


async def _measure(sides: list[tuple[str, servers.Server]], own: servers.Server, seconds: float) -> dict[str, float]:
    found: dict[str, float] = {}
    arn = await asyncio.to_thread(stand_in.register, own)
    async with stand_in.connected(own, arn):
        for name in OPERATIONS:
            for connections in (1, CONNECTIONS):
                for label, server in sides:
                    request = server.request("ecs", name, **_params(name, server is own))
                    await load.drive(server.address, [request] * 20, 1, seconds)
                    done = await load.drive(server.address, itertools.repeat(request), connections, seconds)
                    found[f"{label}{name} {connections}"] = done.rate
                    if connections == CONNECTIONS:
                        found[f"{label}{name} p99"] = done.p99_ms
            if len(sides) == 2:
                found[f"{name} ratio"] = found[f"{name} {CONNECTIONS}"] / found[f"moto {name} {CONNECTIONS}"]
        await _check_tasks(own)
    writes = [own.request("ecs", "CreateCluster", clusterName=f"cluster-{number}") for number in range(20_000)]
    done = await load.drive(own.address, writes, CONNECTIONS, seconds)
    found["writes"] = done.rate
    return found | _disk(own.data_dir.parent, 50 if seconds < 1 else 1_000)


def _disk(directory: pathlib.Path, count: int) -> dict[str, float]:
    """What the disk alone gives at this moment."""
    file = os.open(directory / "sync", os.O_RDWR | os.O_CREAT)
    os.pwrite(file, bytes(count * 4096), 0)
    os.fdatasync(file)
    taken = []
    for number in range(count):
        began = time.perf_counter()
        os.pwrite(file, b"x" * 4096, number * 4096)
        os.fdatasync(file)
        taken.append(time.perf_counter() - began)
    os.close(file)
    database = sqlite3.connect(directory / "bare.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, blob BLOB)")
    began = time.perf_counter()
    for number in range(count):
        database.execute("INSERT INTO rows VALUES (?, ?)", (number, b"x" * 400))
    rate = count / (time.perf_counter() - began)
    database.close()
    return {"sync": statistics.median(taken) * 1e3, "sqlite": rate}


async def _check_tasks(own: servers.Server) -> None:
    """RunTask answers 200 also where nothing was placed: see that tasks came of it."""
    client = own.client("ecs")
    reply = await asyncio.to_thread(client.run_task, taskDefinition="web")
    if reply["failures"] or not reply["tasks"]:
        raise RuntimeError(f"RunTask placed nothing: {json.dumps(reply['failures'])}")
