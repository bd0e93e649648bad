"""What this host offers (`facts`, for the agent), and whether it can run containers (`check`, for the doctor)."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec

from roadstead.agent import runtime
from roadstead.agent.oci import cgroups, monitor, nat
from roadstead.base import errors

CPU_UNITS_A_CORE = 1024
VERSION_SECONDS_MAX = 5.0
DISK_BYTES_MIN = 1024**3
KERNEL_MIN = (5, 6)
"""openat2, pidfds and time-safe overlay mounts."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One check's outcome, for people."""

    name: str
    ok: bool
    detail: str
    next_step: str = ""


def require_root() -> None:
    if os.geteuid() != 0:
        raise errors.HostProblem(
            "containers need root",
            "this process is not root, and namespaces, mounts and networks are root's",
            "Run it with sudo, or use --runtime simulated, which needs no rights.",
        )


def require_cgroups() -> cgroups.Layout:
    layout = cgroups.find_layout()
    if layout is None:
        raise errors.HostProblem(
            "no cgroups", "no cgroup file system is mounted", "Mount it: mount -t cgroup2 none /sys/fs/cgroup"
        )
    missing = cgroups.missing_controllers(layout, _available(layout))
    if missing:
        raise errors.HostProblem(
            "limits can't be set",
            f"the cgroup controllers {', '.join(missing)} are missing",
            "Enable them on the kernel's command line, e.g. cgroup_enable=memory.",
        )
    return layout


def _available(layout: cgroups.Layout) -> str:
    if layout.kind != "v2":
        return ""
    return Path(layout.mounts[""], "cgroup.controllers").read_text()


def require_plain_path(data_dir: Path) -> None:
    """Overlay's options are separated by colons and commas, and can't hold them."""
    if any(character in str(data_dir) for character in ":,\\"):
        raise errors.HostProblem(
            f"the data directory {data_dir} can't be used",
            "its path has a colon, comma or backslash, which overlay mounts can't take",
            "Choose another with --data-dir.",
        )


def facts(
    programs: monitor.Programs, subnet: str, *, cpu_units: int | None, memory_mib: int | None
) -> runtime.HostFacts:
    """What tasks may use here."""
    cores = len(os.sched_getaffinity(0))
    return runtime.HostFacts(
        cpu_units=cpu_units if cpu_units is not None else cores * CPU_UNITS_A_CORE,
        memory_mib=memory_mib if memory_mib is not None else _memory_mib(),
        subnet=subnet,
        network_modes=("awsvpc", "bridge", "host", "none"),
        runtime_version=version(programs.engine),
        reserved_ports_tcp=(22,),
    )


def _memory_mib() -> int:
    line = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:"))
    return int(line.split()[1]) // 1024


def version(program: str) -> str:
    """`crun 1.8.1`; the bare name where the program does not say."""
    name = Path(program).name
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=VERSION_SECONDS_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return name
    words = done.stdout.split()
    number = next((word.strip(",") for word in words if word[:1].isdigit() or word[:2] == "v1"), "")
    return f"{name} {number}".strip()


def check(data_dir: str | os.PathLike[str] = "/var/lib") -> list[Finding]:
    """Everything that running containers needs, each with what to do where it is missing. Changes nothing."""
    return [
        _finding_root(),
        _finding_kernel(),
        *(_finding_program(name, package, needed) for name, package, needed in _PROGRAMS),
        _finding_library("libseccomp.so.2", "libseccomp2", "the default seccomp profile"),
        _finding_library("libnftables.so.1", "nftables", "published ports and the way out"),
        _finding_cgroups(),
        _finding_kernel_part("overlay mounts", lambda: "overlay" in Path("/proc/filesystems").read_text(), "overlay"),
        _finding_kernel_part("bridges", lambda: _has_module("bridge"), "bridge"),
        _finding_kernel_part("nftables", _has_nftables, "nf_tables"),
        _finding_forwarding(),
        _finding_disk(Path(data_dir)),
    ]


_PROGRAMS = (
    ("crun", "crun", "starts containers (runc does as well)"),
    ("conmon", "conmon", "watches over each container"),
    ("skopeo", "skopeo", "fetches images; packed ones need none"),
    ("nft", "nftables", "shows the rules of address translation"),
)


def _finding_root() -> Finding:
    root = os.geteuid() == 0
    step = "" if root else "Run with sudo, or use --runtime simulated."
    return Finding(name="root", ok=root, detail=f"effective user id {os.geteuid()}", next_step=step)


def _finding_kernel() -> Finding:
    release = platform.release()
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    ok = numbers >= KERNEL_MIN
    step = "" if ok else f"Linux {KERNEL_MIN[0]}.{KERNEL_MIN[1]} or newer is needed."
    return Finding(name="kernel", ok=ok, detail=release, next_step=step)


def _finding_program(name: str, package: str, needed: str) -> Finding:
    path = shutil.which(name)
    if path is None and name == "crun":
        path = shutil.which("runc")
    if path is None:
        return Finding(
            name=name, ok=False, detail=f"not found; it {needed}", next_step=f"Install it: apt-get install {package}"
        )
    return Finding(name=name, ok=True, detail=f"{version(path)} ({path}); it {needed}")


def _finding_library(file: str, package: str, needed: str) -> Finding:
    try:
        ctypes.CDLL(file)
    except OSError as problem:
        return Finding(
            name=file,
            ok=False,
            detail=f"{problem}; it is needed for {needed}",
            next_step=f"Install it: apt-get install {package}",
        )
    return Finding(name=file, ok=True, detail=f"found; used for {needed}")


def _finding_cgroups() -> Finding:
    try:
        layout = require_cgroups()
    except errors.HostProblem as problem:
        return Finding(name="cgroups", ok=False, detail=f"{problem.what}: {problem.why}", next_step=problem.next_step)
    words = {"v1": "version 1", "hybrid": "version 1 with an empty version 2 beside it", "v2": "version 2"}
    return Finding(name="cgroups", ok=True, detail=words[layout.kind])


def _finding_kernel_part(name: str, present: Callable[[], bool], module: str) -> Finding:
    try:
        ok = present()
    except OSError:
        ok = False
    if ok:
        return Finding(name=name, ok=True, detail="the kernel has it")
    return Finding(
        name=name, ok=False, detail="not seen in the kernel; it may load by itself", next_step=f"modprobe {module}"
    )


def _has_nftables() -> bool:
    try:
        return nat.works()
    except errors.HostProblem:
        return False


def _has_module(name: str) -> bool:
    """Loaded, built in, or there to be loaded."""
    if Path("/sys/module", name).exists():
        return True
    built_in = Path("/lib/modules", platform.release(), "modules.builtin")
    listed = Path("/lib/modules", platform.release(), "modules.dep")
    return any(path.exists() and f"/{name}.ko" in path.read_text() for path in (built_in, listed))


def _finding_forwarding() -> Finding:
    text = Path("/proc/sys/net/ipv4/ip_forward").read_text().strip()
    detail = "on" if text == "1" else "off; the agent turns it on"
    return Finding(name="ip_forward", ok=True, detail=detail)


def _finding_disk(data_dir: Path) -> Finding:
    place = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    free = shutil.disk_usage(place).free
    ok = free >= DISK_BYTES_MIN
    step = "" if ok else "Free some space, or choose another place with --data-dir."
    return Finding(name="disk", ok=ok, detail=f"{free // 1024**2} MiB free at {place}", next_step=step)
