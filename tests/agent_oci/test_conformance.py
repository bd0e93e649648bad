"""The conformance suite of the `Runtime` port, over each of its implementations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.agent_oci import conformance

from roadstead.agent import runtime, simulated, simulated_host
from roadstead.agent.oci import runtime as oci
from roadstead.base import clock

Story = Callable[[runtime.Runtime], Awaitable[None]]


def named(story: Story) -> str:
    return getattr(story, "__name__", "story")


@pytest.mark.parametrize("story", conformance.STORIES, ids=named)
async def test_the_simulated_host(story: Story) -> None:
    facts = runtime.HostFacts(
        cpu_units=1024, memory_mib=1024, subnet=None, network_modes=("bridge",), runtime_version="simulated"
    )
    made: runtime.Runtime = simulated.SimulatedRuntime(simulated_host.SimulatedHost(facts), clock.SystemClock())
    await made.open()
    try:
        await story(made)
    finally:
        await made.close()


@pytest.mark.real
@pytest.mark.parametrize("engine", ["crun", "runc"])
@pytest.mark.parametrize("story", conformance.STORIES, ids=named)
async def test_real_containers(story: Story, data_dir: Path, engine: str) -> None:
    made: runtime.Runtime = oci.OciRuntime(data_dir, "conformance", engine=engine)
    await made.open()
    try:
        await story(made)
    finally:
        await made.close()
