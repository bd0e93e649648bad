"""Watches monitors end, and reads how their containers ended. One pidfd a container; nothing polls.

conmon writes the exit code to a file before it ends. If the monitor ends without one, it was killed: then its container
is killed too, for nobody would hear of its end any more, and its exit code is 137.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from roadstead.agent import runtime
from roadstead.agent.oci import cgroups, processes, records
from roadstead.agent.oci import paths as oci_paths

EXIT_LOST = 128 + signal.SIGKILL
OOM_FILE = "oom"
Ended = Callable[[runtime.ContainerExit], None]


class Watch:
    """All monitors of this instance."""

    def __init__(self, paths: oci_paths.Paths, layout: cgroups.Layout, ended: Ended) -> None:
        self._paths = paths
        self._layout = layout
        self._ended = ended
        self._descriptors: dict[str, int] = {}
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}

    def add(self, record: records.ContainerRecord, state: records.ContainerState) -> None:
        """Tell when this container ends; at once (from the loop) where it has ended already."""
        container_id = record.spec.container_id
        loop = asyncio.get_running_loop()
        descriptor = processes.open_process(state.monitor_pid, state.monitor_birth)
        if descriptor is None:
            loop.call_soon(self._over, record, state)
            return
        self._descriptors[container_id] = descriptor
        loop.add_reader(descriptor, self._over, record, state)

    def _over(self, record: records.ContainerRecord, state: records.ContainerState) -> None:
        container_id = record.spec.container_id
        self.forget(container_id)
        self._ended(settle(self._paths, self._layout, record, state))
        for waiter in self._waiters.pop(container_id, []):
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, container_id: str) -> None:
        """Until the monitor has ended; at once where none is watched."""
        if container_id in self._descriptors:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.setdefault(container_id, []).append(waiter)
            await waiter

    def forget(self, container_id: str) -> None:
        descriptor = self._descriptors.pop(container_id, None)
        if descriptor is not None:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)

    def close(self) -> None:
        for container_id in list(self._descriptors):
            self.forget(container_id)


def settle(
    paths: oci_paths.Paths, layout: cgroups.Layout, record: records.ContainerRecord, state: records.ContainerState
) -> runtime.ContainerExit:
    """How a container ended whose monitor is gone."""
    container_id = record.spec.container_id
    found = read_exit(paths, layout, record)
    if found is not None:
        return found
    processes.send(state.pid, state.pid_birth, signal.SIGKILL)
    write_exit(paths, container_id, EXIT_LOST)
    found = read_exit(paths, layout, record)
    assert found is not None
    return found


def write_exit(paths: oci_paths.Paths, container_id: str, code: int) -> None:
    """An exit code that no monitor could write."""
    temporary = paths.exits / f".{container_id}.new"
    temporary.write_text(str(code))
    os.replace(temporary, paths.exit_file(container_id))


def read_exit(
    paths: oci_paths.Paths, layout: cgroups.Layout, record: records.ContainerRecord
) -> runtime.ContainerExit | None:
    """What the exit file says; None where there is none."""
    path = paths.exit_file(record.spec.container_id)
    try:
        code, moment = int(path.read_text()), path.stat().st_mtime
    except (FileNotFoundError, ValueError):
        return None
    bundle = paths.bundle(record.spec.container_id)
    oom = (bundle / OOM_FILE).exists() or cgroups.was_oom_killed(layout, record.cgroup)
    if oom:
        _keep_oom(bundle / OOM_FILE)
    return runtime.ContainerExit(
        container_id=record.spec.container_id,
        exit_code=code,
        oom_killed=oom,
        finished_at=min(moment, time.time()),
    )


def _keep_oom(path: Path) -> None:
    """The cgroup's counter goes with the cgroup; this file stays as long as the container's record."""
    if not path.exists():
        path.touch()
