"""Cgroups of version 1, hybrid and version 2 alike: where they are, how a task's parent is limited, how use is read.

`parse_layout`, `task_settings` and `missing_controllers` are pure; the rest reads and writes the cgroup file systems.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from roadstead.agent.oci import syscalls

Kind = Literal["v1", "hybrid", "v2"]
QUOTA_PERIOD_MICROSECONDS = 100_000
QUOTA_MICROSECONDS_MIN = 1_000
PIDS_MAX = 4096
"""Processes a container may have at once: a fork bomb must not take the host."""
DEPTH_MAX = 16
V2_CONTROLLERS = ("cpu", "memory", "pids", "cpuset", "io")


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """How this host's cgroups are mounted."""

    kind: Kind
    mounts: dict[str, str]
    """Version 1: controller (or `name=systemd`) to mount point. Version 2: `` to the one mount point."""
    unified: str | None = None
    """Hybrid: the version 2 mount beside version 1."""

    def roots(self) -> tuple[str, ...]:
        """Every mount point in which a container's cgroup may exist."""
        return tuple(dict.fromkeys(self.mounts.values()))

    def folder(self, controller: str, cgroup: str) -> Path | None:
        """Directory of a cgroup for a controller; None where the host has no such controller."""
        root = self.mounts.get("" if self.kind == "v2" else controller)
        return Path(root + cgroup) if root is not None else None


def parse_layout(mountinfo: str) -> Layout | None:
    """Find the cgroup mounts in /proc/self/mountinfo; None where there are none."""
    version1: dict[str, str] = {}
    version2: list[str] = []
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(" - ")
        parts, kinds = fields.split(), rest.split()
        if len(parts) < 5 or len(kinds) < 3:
            continue
        point = parts[4]
        if kinds[0] == "cgroup2":
            version2.append(point)
        elif kinds[0] == "cgroup":
            for option in kinds[2].split(","):
                if option not in ("rw", "ro", "xattr", "clone_children", "noprefix") and "release_agent" not in option:
                    version1.setdefault(option, point)
    if version1:
        beside = version2[0] if version2 else None
        return Layout(kind="hybrid" if beside else "v1", mounts=version1, unified=beside)
    return Layout(kind="v2", mounts={"": version2[0]}) if version2 else None


def task_settings(
    layout: Layout, cgroup: str, cpu_cores_max: float | None, memory_bytes_max: int | None
) -> list[tuple[Path, str]]:
    """Files to write, in order, for the parent cgroup of a task: its quota in cores and its hard memory limit."""
    settings: list[tuple[Path, str]] = []
    if cpu_cores_max is not None:
        quota = max(QUOTA_MICROSECONDS_MIN, round(cpu_cores_max * QUOTA_PERIOD_MICROSECONDS))
        cpu = layout.folder("cpu", cgroup)
        if cpu is not None and layout.kind == "v2":
            settings.append((cpu / "cpu.max", f"{quota} {QUOTA_PERIOD_MICROSECONDS}"))
        elif cpu is not None:
            settings.append((cpu / "cpu.cfs_period_us", str(QUOTA_PERIOD_MICROSECONDS)))
            settings.append((cpu / "cpu.cfs_quota_us", str(quota)))
    if memory_bytes_max is not None:
        memory = layout.folder("memory", cgroup)
        if memory is not None:
            name = "memory.max" if layout.kind == "v2" else "memory.limit_in_bytes"
            settings.append((memory / name, str(memory_bytes_max)))
    return settings


def missing_controllers(layout: Layout, available: str) -> list[str]:
    """Controllers that limits need and the host lacks. `available` is version 2's cgroup.controllers."""
    have = available.split() if layout.kind == "v2" else list(layout.mounts)
    return [name for name in ("cpu", "memory", "pids") if name not in have]


def find_layout() -> Layout | None:
    return parse_layout(Path("/proc/self/mountinfo").read_text())


def prepare(layout: Layout, cgroup: str) -> None:
    """Make a cgroup that has others below it, and on version 2 hand the controllers down to them."""
    if layout.kind != "v2":
        for controller in ("cpu", "memory"):
            folder = layout.folder(controller, cgroup)
            if folder is not None:
                _make_hierarchical(Path(layout.mounts[controller]), folder)
        return
    root = Path(layout.mounts[""])
    available = set((root / "cgroup.controllers").read_text().split())
    wanted = " ".join(f"+{name}" for name in V2_CONTROLLERS if name in available)
    folder = root
    for part in ("", *cgroup.strip("/").split("/")):
        folder = folder / part
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.subtree_control").write_text(wanted)


def _make_hierarchical(root: Path, folder: Path) -> None:
    if folder.is_dir():
        return
    above = folder.parent
    if above != root:
        _make_hierarchical(root, above)
    folder.mkdir(exist_ok=True)
    switch = folder / "memory.use_hierarchy"
    if switch.exists() and switch.read_text().strip() == "0":
        switch.write_text("1")  # kernels before 5.11: without it a task's limit would not cover its containers


def apply(settings: list[tuple[Path, str]]) -> None:
    for path, value in settings:
        path.write_text(value)


def processes(layout: Layout, cgroup: str) -> set[int]:
    """All processes in a cgroup and below."""
    found: set[int] = set()
    for root in layout.roots():
        for folder, _, files in os.walk(root + cgroup):
            if "cgroup.procs" in files:
                try:
                    found |= {int(line) for line in Path(folder, "cgroup.procs").read_text().split()}
                except OSError:
                    continue
        if found:
            break
    return found


def remove(layout: Layout, cgroup: str) -> bool:
    """Remove a cgroup and those below it everywhere. False where processes still sit in one; then try again."""
    done = True
    for root in every_root(layout):
        for folder, _, _ in os.walk(root + cgroup, topdown=False):
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                continue
            except OSError as problem:
                if problem.errno != errno.EBUSY:
                    raise
                done = False
    return done


def every_root(layout: Layout) -> tuple[str, ...]:
    """Also hybrid's version 2 mount, where runc makes cgroups, unless this thread has it hidden (see mountns)."""
    beside = layout.unified
    return (*layout.roots(), beside) if beside and syscalls.is_on_cgroup(beside) else layout.roots()


def was_oom_killed(layout: Layout, cgroup: str) -> bool:
    """Whether the kernel killed a process of this cgroup for want of memory."""
    folder = layout.folder("memory", cgroup)
    if folder is None:
        return False
    name = "memory.events" if layout.kind == "v2" else "memory.oom_control"
    return _pairs(folder / name).get("oom_kill", 0) > 0


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    cpu_seconds_total: float
    memory_bytes: int


def read_usage(layout: Layout, cgroup: str) -> Reading | None:
    """CPU time and working set (usage less inactive file cache); None where the cgroup is gone."""
    cpu = layout.folder("cpuacct" if layout.kind != "v2" else "", cgroup)
    memory = layout.folder("memory", cgroup)
    if cpu is None or memory is None:
        return None
    try:
        if layout.kind == "v2":
            seconds = _pairs(cpu / "cpu.stat")["usage_usec"] / 1e6
            used, inactive = int((memory / "memory.current").read_text()), "inactive_file"
        else:
            seconds = int((cpu / "cpuacct.usage").read_text()) / 1e9
            used, inactive = int((memory / "memory.usage_in_bytes").read_text()), "total_inactive_file"
        cache = _pairs(memory / "memory.stat").get(inactive, 0)
    except (OSError, KeyError):
        return None
    return Reading(cpu_seconds_total=seconds, memory_bytes=max(0, used - cache))


def _pairs(path: Path) -> Mapping[str, int]:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    return {parts[0]: int(parts[1]) for line in lines if len(parts := line.split()) == 2 and parts[1].isdigit()}
