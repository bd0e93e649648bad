"""Wipe all traces of an instance from this host: processes, cgroups, namespaces, mounts, bridges, rules, its files.

`python -m roadstead.agent.oci.destroy DATA_DIR` does it by hand. What identifies the traces is derived from the data
directory's path alone, so it works on a directory that is damaged or already gone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from roadstead.agent.oci import cgroups, lock, mountns, network, processes, records
from roadstead.agent.oci import paths as oci_paths
from roadstead.base import errors

WAIT_SECONDS_MAX = 10.0
WAIT_STEP_SECONDS = 0.02


def destroy(data_dir: str | os.PathLike[str], *, keep_images: bool = False) -> None:
    """Remove everything; nothing there is no error. Raises HostProblem while an agent runs on the directory.

    Images and logs go too, unless `keep_images` (then both stay).
    """
    paths = oci_paths.Paths(data_dir)
    held = lock.acquire(paths.lock) if paths.root.is_dir() else -1
    try:
        _end_processes(paths)
        layout = cgroups.find_layout()
        if layout is not None:
            _remove_cgroups(layout, paths)
        mountns.forget(paths)
        network.wipe(paths)
        _remove_files(paths, keep_images)
    finally:
        if held >= 0:
            os.close(held)


def _end_processes(paths: oci_paths.Paths) -> None:
    """Containers by their records, then every monitor and engine whose command line names this directory."""
    for path in paths.containers.glob("*/state.json") if paths.containers.is_dir() else ():
        state = records.read(path, records.ContainerState)
        if state is not None:
            processes.send(state.pid, state.pid_birth, signal.SIGKILL)
    layout = cgroups.find_layout()
    if layout is not None:
        processes.kill_all(cgroups.processes(layout, paths.cgroup))
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while monitors := _monitors(paths):
        if time.monotonic() > deadline:
            break
        if time.monotonic() > deadline - WAIT_SECONDS_MAX / 2:
            processes.kill_all(monitors)
        time.sleep(WAIT_STEP_SECONDS)


def _monitors(paths: oci_paths.Paths) -> set[int]:
    """conmon, crun and runc processes of this instance: their arguments hold its directory."""
    marker = os.fsencode(f"{paths.root}/")
    found = set()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
            program = os.path.basename(arguments[0])
            if program in (b"conmon", b"crun", b"runc") and any(each.startswith(marker) for each in arguments):
                found.add(int(folder.name))
    return found


def _remove_cgroups(layout: cgroups.Layout, paths: oci_paths.Paths) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not cgroups.remove(layout, paths.cgroup):
        processes.kill_all(cgroups.processes(layout, paths.cgroup))
        if time.monotonic() > deadline:
            raise errors.HostProblem(
                f"the cgroup {paths.cgroup} can't be removed",
                "processes in it hang in the kernel",
                "Restart this host.",
            )
        time.sleep(WAIT_STEP_SECONDS)
    for root in cgroups.every_root(layout):
        with contextlib.suppress(OSError):  # the common parent stays while other instances use it
            os.rmdir(root + os.path.dirname(paths.cgroup))


def _remove_files(paths: oci_paths.Paths, keep_images: bool) -> None:
    shutil.rmtree(paths.root, ignore_errors=True)
    if not keep_images:
        shutil.rmtree(paths.logs, ignore_errors=True)
        shutil.rmtree(paths.data_dir / "images", ignore_errors=True)


if __name__ == "__main__":
    destroy(sys.argv[1])
