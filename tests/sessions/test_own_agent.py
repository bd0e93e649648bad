"""Our own agent, on a simulated host, against the real gateway: both ends of the protocol meet."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from scripted_agent import KEY, SECRET, Server

from roadstead.agent import main as agent_main
from roadstead.agent import settings as agent_settings
from roadstead.agent import shell
from roadstead.journals import sqlite
from roadstead.model import tables


@pytest.fixture
async def server(tmp_path: pathlib.Path) -> AsyncIterator[Server]:
    one = Server(sqlite.SqliteJournal(tmp_path / "journal"))
    await one.start()
    await one.call("create_cluster")
    container = {"name": "app", "image": "busybox", "memory": 64, "cpu": 64, "stopTimeout": 2}
    await one.call("register_task_definition", family="web", containerDefinitions=[container], networkMode="awsvpc")
    yield one
    await one.stop()


def agent_of(server: Server, path: pathlib.Path) -> shell.Agent:
    chosen = agent_settings.Settings(
        server_url=server.url,
        data_dir=path / "agent",
        access_key_id=KEY,
        secret_access_key=SECRET,
        runtime="simulated",
    )
    return shell.Agent(chosen, agent_main.make_runtime(chosen))


async def until(server: Server, condition: Callable[[], bool]) -> None:
    """Until commits have made something so."""
    seen = asyncio.Event()
    server.store.watch(lambda commit: seen.set())
    async with asyncio.timeout(20):
        while not condition():
            seen.clear()
            await seen.wait()


def counts(server: Server) -> tuple[int, ...]:
    """(RUNNING, pending, stopping) of the cluster."""
    return server.store.view().tally(tables.TASKS, "counts", "cluster", "default")


async def run(server: Server, count: int) -> list[str]:
    vpc: Any = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    answer = await server.call("run_task", taskDefinition="web", count=count, networkConfiguration=vpc)
    assert not answer["failures"]
    return [task["taskArn"] for task in answer["tasks"]]


async def test_tasks_run_stop_and_outlive_connections(server: Server, tmp_path: pathlib.Path) -> None:
    agent = agent_of(server, tmp_path)
    await agent.start()
    try:
        await until(server, lambda: server.agents.connected == 1)
        arns = [*await run(server, 10), *await run(server, 10)]
        await until(server, lambda: counts(server) == (20, 0, 0))
        shown = (await server.call("describe_tasks", tasks=arns))["tasks"]
        assert {task["attachments"][0]["status"] for task in shown} == {"ATTACHED"}
        assert len({task["containers"][0]["runtimeId"] for task in shown}) == 20
        ids = {task["taskArn"]: task["containers"][0]["runtimeId"] for task in shown}
        server.agents.close_all()
        await until(server, lambda: server.agents.connected == 0)
        await until(server, lambda: server.agents.connected == 1)
        await server.call("stop_task", task=arns[0], reason="enough")
        await until(server, lambda: counts(server) == (19, 0, 0))
        again = (await server.call("describe_tasks", tasks=arns))["tasks"]
        assert {task["taskArn"]: task["containers"][0]["runtimeId"] for task in again} == ids, "none was restarted"
        first = next(task for task in again if task["taskArn"] == arns[0])
        assert (first["lastStatus"], first["stoppedReason"], first["stopCode"]) == (
            "STOPPED",
            "enough",
            "UserInitiated",
        )
        assert first["attachments"][0]["status"] == "DELETED" and "exitCode" in first["containers"][0]
    finally:
        await agent.stop()
