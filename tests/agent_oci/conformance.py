"""What every `Runtime` keeps to, as steps over the port alone. `test_conformance.py` runs it over real containers and
over the simulated host.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest

from roadstead.agent import runtime

EXIT_SECONDS_MAX = 20.0


def container(container_id: str, task_id: str, script: str, **told: str) -> runtime.ContainerSpec:
    """`script` is for real containers, `told` (without ROADSTEAD_SIM_) for the simulated host; they say the same."""
    return runtime.ContainerSpec(
        container_id=container_id,
        task_id=task_id,
        name="main",
        image="box",
        command=("/bin/sh", "-c", script),
        environment={f"ROADSTEAD_SIM_{name}": value for name, value in told.items()},
        ports=(runtime.PortMapping(container_port=80, host_port=0),),
        labels={"made": "here"},
    )


def sandbox(task_id: str) -> runtime.SandboxSpec:
    return runtime.SandboxSpec(task_id=task_id, network_mode="bridge")


async def next_exit(made: runtime.Runtime) -> runtime.ContainerExit:
    return await asyncio.wait_for(anext(aiter(made.exits())), EXIT_SECONDS_MAX)


async def a_container_lives_and_dies(made: runtime.Runtime) -> None:
    image = await made.pull("box", None)
    assert image.digest.startswith("sha256:")
    await made.create_sandbox(sandbox("t"))
    await made.create_sandbox(sandbox("t"))
    spec = container("c", "t", "exit 7", EXIT_AFTER_SECONDS="0.05", EXIT_CODE="7")
    await made.create(spec)
    await made.create(spec)
    found = (await made.inventory()).containers
    assert [(each.container_id, each.status, each.labels) for each in found] == [("c", "created", {"made": "here"})]
    started = await made.start("c")
    assert (started.container_id, len(started.bindings)) == ("c", 1)
    ended = await next_exit(made)
    assert (ended.container_id, ended.exit_code, ended.oom_killed) == ("c", 7, False)
    found = (await made.inventory()).containers
    assert [(each.status, each.exit_code) for each in found] == [("exited", 7)]
    assert await made.usage(["c", "nobody"]) == []
    for _ in range(2):
        await made.remove("c")
        await made.remove_sandbox("t")
    assert await made.inventory() == runtime.Inventory(sandboxes=(), containers=())


async def a_running_container_is_read_signalled_and_started_again(made: runtime.Runtime) -> None:
    await made.pull("box", None)
    await made.create_sandbox(sandbox("t"))
    await made.create(container("c", "t", "while :; do sleep 0.02; done"))
    first = await made.start("c")
    assert await made.start("c") == first
    assert await made.execute("c", ("/bin/true",), 10) == 0
    reading = (await made.usage(["c"]))[0]
    assert reading.container_id == "c"
    assert reading.memory_bytes > 0
    for run in range(2):
        await made.signal("c", signal.SIGKILL)
        ended = await next_exit(made)
        assert (ended.exit_code, ended.container_id) == (137, "c")
        with pytest.raises(runtime.RuntimeProblem, match="ContainerRuntimeError"):
            await made.execute("c", ("/bin/true",), 10)
        await made.signal("c", signal.SIGTERM)
        if run == 0:
            again = await made.start("c")
            assert again.started_at >= first.started_at
            assert (await made.inventory()).containers[0].status == "running"
    await made.remove("c")
    await made.remove_sandbox("t")


async def what_cant_be_is_refused_by_name(made: runtime.Runtime) -> None:
    await made.pull("box", None)
    with pytest.raises(runtime.RuntimeProblem, match="CannotCreateContainerError"):
        await made.create(container("c", "nowhere", "true"))
    with pytest.raises(runtime.RuntimeProblem, match="CannotStartContainerError"):
        await made.start("nobody")
    await made.signal("nobody", signal.SIGKILL)
    await made.remove("nobody")
    await made.remove_sandbox("nowhere")


STORIES: tuple[Callable[[runtime.Runtime], Awaitable[None]], ...] = (
    a_container_lives_and_dies,
    a_running_container_is_read_signalled_and_started_again,
    what_cant_be_is_refused_by_name,
)
