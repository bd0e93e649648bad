"""Find what earlier processes left: running containers to go on with, ended ones, and half-made ones to undo.

Nothing here trusts memory: the records in the data directory, the monitors' exit files and the processes themselves
say what is true. Works after kill -9 at any point. After a reboot there is nothing to find but writable layers.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

import msgspec

from roadstead.agent import runtime
from roadstead.agent.images import store
from roadstead.agent.oci import cgroups, network, processes, records, syscalls, watch
from roadstead.agent.oci import paths as oci_paths

KILL_TRIES_MAX = 100
KILL_RETRY_SECONDS = 0.02


class FoundContainer(msgspec.Struct, frozen=True, kw_only=True):
    record: records.ContainerRecord
    state: records.ContainerState | None
    running: bool
    ended: bool

    @property
    def bindings(self) -> tuple[runtime.PortBinding, ...]:
        return self.state.bindings if self.state is not None else ()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    sandboxes: tuple[runtime.SandboxSpec, ...]
    containers: tuple[FoundContainer, ...]


def find(paths: oci_paths.Paths, layout: cgroups.Layout) -> Found:
    """Look through the data directory; undo what is half made. In the namespace thread."""
    containers = []
    for folder in sorted(paths.containers.iterdir()):
        if folder.name.startswith("."):
            continue
        record = records.read(folder / "container.json", records.ContainerRecord)
        if record is None:
            _undo(paths, folder)
            continue
        containers.append(_find_one(paths, layout, folder, record))
    sandboxes = (records.read(path, runtime.SandboxSpec) for path in sorted(paths.sandboxes.glob("*.json")))
    return Found(sandboxes=tuple(each for each in sandboxes if each is not None), containers=tuple(containers))


def remove_orphans(paths: oci_paths.Paths, layout: cgroups.Layout, found: Found) -> None:
    """What a verb cut short left without any record: cgroups, network namespaces, leases, exit files, engine state.

    In the namespace thread.
    """
    containers = {each.record.spec.container_id for each in found.containers}
    tasks = {each.task_id for each in found.sandboxes} | {each.record.spec.task_id for each in found.containers}
    for root in cgroups.every_root(layout):
        folder = Path(root + paths.cgroup)
        for each in folder.iterdir() if folder.is_dir() else ():
            if each.is_dir() and each.name not in tasks:
                cgroup = f"{paths.cgroup}/{each.name}"
                processes.kill_all(cgroups.processes(layout, cgroup))
                cgroups.remove(layout, cgroup)
    keys = {each.record.network_key for each in found.containers} | {f"task-{task}" for task in tasks}
    net = network.Network(paths)
    for each in paths.networks.iterdir():
        if each.name not in keys:
            net.remove(each.name)
    images = store.ImageStore(paths.data_dir)
    for holder in images.all_holders():
        if holder not in containers:
            images.release(holder)
    for each in (*paths.exits.iterdir(), *paths.engine.iterdir(), *paths.upper.iterdir()):
        if each.name not in containers:
            shutil.rmtree(each) if each.is_dir() else each.unlink()


def _find_one(
    paths: oci_paths.Paths, layout: cgroups.Layout, folder: Path, record: records.ContainerRecord
) -> FoundContainer:
    container_id = record.spec.container_id
    state = records.read(folder / "state.json", records.ContainerState)
    if state is None or (paths.engine / container_id / "exec.fifo").exists():
        # `start` was cut short, perhaps with a created container behind it: back to `created`.
        end_leftovers(paths, layout, record)
        reset(paths, container_id)
        return FoundContainer(record=record, state=None, running=False, ended=False)
    if not paths.exit_file(container_id).exists():
        if processes.birth(state.monitor_pid) == state.monitor_birth:
            return FoundContainer(record=record, state=state, running=True, ended=False)
        watch.settle(paths, layout, record, state)
    return FoundContainer(record=record, state=state, running=False, ended=True)


def end_leftovers(paths: oci_paths.Paths, layout: cgroups.Layout, record: records.ContainerRecord) -> None:
    """Kill monitor and processes of a container whose start was cut short."""
    folder = paths.bundle(record.spec.container_id)
    for name in ("monitor.pid", "pid"):
        pid = _read_number(folder / name)
        if pid is not None and _belongs(pid, paths):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    for _ in range(KILL_TRIES_MAX):
        if cgroups.remove(layout, record.cgroup):
            return
        processes.kill_all(cgroups.processes(layout, record.cgroup))
        time.sleep(KILL_RETRY_SECONDS)


def _belongs(pid: int, paths: oci_paths.Paths) -> bool:
    """Whether a process whose birth was never written down is a monitor or engine of this instance."""
    try:
        return os.fsencode(str(paths.root)) in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _read_number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def reset(paths: oci_paths.Paths, container_id: str) -> None:
    """Forget a start that did not happen."""
    folder = paths.bundle(container_id)
    for name in ("state.json", "pid", "monitor.pid"):
        (folder / name).unlink(missing_ok=True)
    (folder / watch.OOM_FILE).unlink(missing_ok=True)
    paths.exit_file(container_id).unlink(missing_ok=True)
    shutil.rmtree(paths.engine / container_id, ignore_errors=True)


def _undo(paths: oci_paths.Paths, folder: Path) -> None:
    """A bundle without its record: `create` was cut short, nothing of it ever ran."""
    with contextlib.suppress(OSError):
        syscalls.unmount(str(folder / "root"))
    network.Network(paths).remove(folder.name)
    store.ImageStore(paths.data_dir).release(folder.name)
    shutil.rmtree(folder, ignore_errors=True)


def present(
    paths: oci_paths.Paths,
    layout: cgroups.Layout,
    record: records.ContainerRecord,
    state: records.ContainerState | None,
) -> runtime.FoundContainer:
    """One line of the inventory."""
    ended = watch.read_exit(paths, layout, record) if state is not None else None
    status: runtime.ContainerStatus = "created"
    if ended is not None:
        status = "exited"
    elif state is not None:
        status = "running"
    return runtime.FoundContainer(
        container_id=record.spec.container_id,
        task_id=record.spec.task_id,
        name=record.spec.name,
        status=status,
        pid=state.pid if state is not None and status == "running" else None,
        exit_code=ended.exit_code if ended is not None else None,
        oom_killed=ended.oom_killed if ended is not None else False,
        started_at=state.started_at if state is not None else None,
        finished_at=ended.finished_at if ended is not None else None,
        bindings=state.bindings if state is not None else (),
        image_digest=record.image_digest,
        labels=record.spec.labels,
    )
