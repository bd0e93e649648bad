"""The agent's entry: make its runtime, run it until it is told to end. Shell."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import signal
from typing import cast

from roadstead.agent import runtime, settings, shell, simulated, simulated_host
from roadstead.base import clock


def run(chosen: settings.Settings) -> None:
    """Run an agent in this process until SIGTERM or SIGINT; containers go on running. Raises errors.HostProblem."""
    asyncio.run(serve(chosen))


async def serve(chosen: settings.Settings) -> None:
    """As `run`, inside a running loop."""
    agent = shell.Agent(chosen, make_runtime(chosen))
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    starting = asyncio.create_task(agent.start())
    told_to_end = asyncio.create_task(ending.wait())
    await asyncio.wait((starting, told_to_end), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        return
    starting.result()
    failing = asyncio.create_task(agent.wait())
    await asyncio.wait((failing, told_to_end), return_when=asyncio.FIRST_COMPLETED)
    told_to_end.cancel()
    await agent.stop()
    if failing.done() and not failing.cancelled():
        failing.result()
    failing.cancel()


def make_runtime(chosen: settings.Settings) -> runtime.Runtime:
    """The runtime that the settings name."""
    if chosen.runtime == "simulated":
        facts = runtime.HostFacts(
            cpu_units=chosen.simulated_cpu_units,
            memory_mib=chosen.simulated_memory_mib,
            subnet="10.201.0.0/16",
            network_modes=("awsvpc", "bridge", "host", "none"),
            runtime_version="simulated",
        )
        return simulated.SimulatedRuntime(simulated_host.SimulatedHost(facts), clock.SystemClock())
    from roadstead.agent.oci import runtime as oci_runtime  # only where it is wanted: it brings netlink along

    made: object = oci_runtime.OciRuntime(
        chosen.data_dir,
        chosen.instance_name or platform.node(),
        cpu_units=chosen.cpu_units,
        memory_mib=chosen.memory_mib,
    )
    return cast(runtime.Runtime, made)  # its own tests hold it to the port
