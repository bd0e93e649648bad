"""The runtime's own mount namespace, and the one thread that lives in it.

Overlay mounts and network namespaces' bind mounts are made inside a private mount namespace, which a bind mount in the
data directory keeps alive. That does three things: the host's mount table stays clean; when the namespace goes, so does
every mount in it, whatever crashed before; and crun, which refuses a host with hybrid cgroups, finds no version 2 mount
there. Monitors and engines are spawned from this thread, for a child inherits its parent thread's namespaces.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from roadstead.agent.oci import paths as oci_paths
from roadstead.agent.oci import syscalls
from roadstead.base import errors

Result = TypeVar("Result")


class MountNamespace:
    """Runs functions, one at a time, in the runtime's mount namespace."""

    def __init__(self, paths: oci_paths.Paths) -> None:
        self._paths = paths
        self._executor: ThreadPoolExecutor | None = None

    def open(self, unmount: str | None) -> bool:
        """Enter the namespace of an earlier process, or make a new one without the mount `unmount`.

        Returns whether it is new: then no overlay mount and no network namespace of before exists any more.
        """
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="roadstead-mounts")
        self._executor = executor
        path = str(self._paths.mount_namespace)
        if syscalls.is_namespace_file(path):
            executor.submit(_enter, path, unmount).result()
            return False
        self._paths.mount_namespace.touch()
        thread = executor.submit(_detach, unmount).result()
        for processor in (*sorted(os.sched_getaffinity(0)), None):
            try:
                syscalls.mount(f"/proc/self/task/{thread}/ns/mnt", path, "", syscalls.MS_BIND)
                break
            except OSError as problem:
                # A namespace can be bound only in one with a lower number, and new kernels number a processor at a
                # time: where we aren't in the host's first namespace, one made on another processor may be the lower.
                if problem.errno != errno.EINVAL or processor is None:
                    raise
                thread = executor.submit(_detach_on, processor, unmount).result()
        return True

    async def run(self, work: Callable[[], Result]) -> Result:
        assert self._executor is not None, "open() comes first"
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        assert self._executor is not None, "open() comes first"
        return self._executor.submit(work)

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True)
            self._executor = None


def _enter(path: str, unmount: str | None) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.unshare(syscalls.CLONE_FS)  # a thread that shares its working directory can't change namespace
        syscalls.setns(descriptor, syscalls.CLONE_NEWNS)
    finally:
        os.close(descriptor)
    _hide(unmount)


def _detach(unmount: str | None) -> int:
    syscalls.unshare(syscalls.CLONE_NEWNS)
    try:
        syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_SLAVE)
    except OSError as problem:
        if problem.errno != errno.EINVAL:
            raise
        raise errors.HostProblem(
            "containers can't be run below this root directory",
            "it is not a mount point, as in a plain chroot",
            "Bind the directory to itself before entering it: mount --bind DIR DIR && chroot DIR.",
        ) from problem
    _hide(unmount)
    return threading.get_native_id()


def _detach_on(processor: int, unmount: str | None) -> int:
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    try:
        return _detach(unmount)
    finally:
        os.sched_setaffinity(0, everywhere)


def _hide(unmount: str | None) -> None:
    if unmount is not None and syscalls.is_on_cgroup(unmount):
        syscalls.unmount(unmount)
        # crun still writes below that path: into a file system that goes with this namespace, not the one beneath.
        syscalls.mount("tmpfs", unmount, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)


def forget(paths: oci_paths.Paths) -> None:
    """Let the namespace go; with its last process all mounts in it vanish. Then our own mounts in the host's table."""
    for point in sorted(syscalls.mount_points_below(str(paths.root)), reverse=True):
        syscalls.unmount(point)
