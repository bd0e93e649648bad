"""The agent as a process of its own, killed with SIGKILL: nothing that it acknowledged is forgotten (C2)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from fake_control_plane import INSTANCE, KEY, SECRET, FakeControlPlane
from stage import a_task, container

pytestmark = pytest.mark.slow  # thorough: `make check` leaves it to `make test`

PROGRAM = """
import sys
from pathlib import Path
from roadstead.agent import main, settings
main.run(settings.Settings(server_url=sys.argv[1], data_dir=Path(sys.argv[2]), access_key_id=sys.argv[3],
    secret_access_key=sys.argv[4], runtime="simulated", simulated_cpu_units=1_000_000))
"""
RSS_MIB_MAX = 50


async def start(plane: FakeControlPlane, data_dir: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, plane.url, str(data_dir), KEY, SECRET)


def rss_mib(pid: int) -> float:
    line = next(each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


@pytest.mark.parametrize("acknowledged", [1, 7, 30])
async def test_what_was_acknowledged_survives_sigkill(tmp_path: Path, acknowledged: int) -> None:
    async with FakeControlPlane() as plane:
        process = await start(plane, tmp_path)
        try:
            wanted = [a_task(n, container(cpu=1, memory=1)) for n in range(60)]
            for number, each in enumerate(wanted):
                await plane.payload(each, message_id=str(number))
            await plane.until(lambda: len(plane.agent_messages) >= acknowledged)
            process.kill()
            await process.wait()
            heard = {each.message_id for each in plane.agent_messages}
            process = await start(plane, tmp_path)

            def told(arn: str) -> list[str]:
                return plane.states(arn)

            # The simulated host dies with its process: what had run is told STOPPED, what had not yet begun is started.
            await plane.until(
                lambda: all(told(wanted[int(each)].arn)[-1:] in (["STOPPED"], ["RUNNING"]) for each in heard)
            )
            registered = [body for name, body in plane.calls if name == "RegisterContainerInstance"]
            assert registered[1]["containerInstanceArn"] == INSTANCE
            assert registered[1]["clientToken"] == registered[0]["clientToken"]
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def test_it_ends_by_sigterm_and_is_small(tmp_path: Path) -> None:
    async with FakeControlPlane() as plane:
        process = await start(plane, tmp_path)
        try:
            await plane.payload(a_task(1))
            await plane.until(lambda: plane.states(a_task(1).arn) == ["RUNNING"])
            assert rss_mib(process.pid) <= RSS_MIB_MAX
            os.kill(process.pid, signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 10) == 0
            assert plane.states(a_task(1).arn) == ["RUNNING"]
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
