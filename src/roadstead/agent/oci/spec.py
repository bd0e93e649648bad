"""Build the OCI specification (config.json) of one container. Pure: what the host and the image are is given.

In: the agent's ContainerSpec, the image's configuration, who it runs as, and this host's limits. Out: a dictionary for
crun or runc, and notes about what had to be lessened. Standard mounts, masked paths and devices are Docker's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from roadstead.agent import runtime
from roadstead.agent.images import records as images
from roadstead.agent.oci import capabilities, cgroups, users

PATH_DEFAULT = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SHM_BYTES_DEFAULT = 64 * 1024**2
OOM_SCORE_ADJUSTMENT = 100
"""Containers go before the agent and its monitors when the host runs out of memory."""
CPU_SHARES_MIN = 2
CPU_SHARES_MAX = 262_144
INIT_PATH = "/dev/init"
"""Where the tiny init is mounted, as Docker does at /sbin/docker-init; /dev is always there."""

_MASKED = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
]
_READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
_DEVICES = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2))
_RLIMITS = frozenset(
    [
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ]
)


class UnfitSpec(Exception):
    """The container can't be made from what was asked; the text says what and why."""


class Device(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    kind: str
    """`c` or `b`."""
    major: int
    minor: int
    mode: int


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What the runtime knows about the host and the container's place on it."""

    root: str
    """Mounted root file system."""
    cgroup: str
    network_mode: runtime.NetworkMode
    network_namespace: str | None
    """Path; None means the host's in `host` mode and a fresh, empty one in `none` mode."""
    hostname: str
    etc: str
    """Directory with this container's hosts, hostname and resolv.conf."""
    cgroups_version_2: bool
    swap_accounting: bool
    hard_limits: dict[str, int]
    """The host's hard resource limits by ECS name; missing = unlimited."""
    may_raise_limits: bool
    oom_score_now: int
    host_capabilities: frozenset[str]
    capabilities: frozenset[str]
    seccomp_filter: str | None = None
    """Compiled, base64: for crun."""
    seccomp_profile: dict[str, Any] | None = None
    """As OCI text: for runc."""
    devices: tuple[Device, ...] = ()
    """All of the host's, for privileged containers."""
    init_program: str | None = None


class Built(msgspec.Struct, frozen=True, kw_only=True):
    config: dict[str, Any]
    notes: tuple[str, ...]


def merge_arguments(spec: runtime.ContainerSpec, image: images.ImageConfig) -> tuple[str, ...]:
    """Entry point and command as Docker merges them: an overridden entry point clears the image's command."""
    if spec.entry_point:
        entry_point, command = spec.entry_point, spec.command or ()
    else:
        entry_point, command = image.entry_point, spec.command if spec.command else image.command
    arguments = (*entry_point, *command)
    if not arguments or not arguments[0]:
        raise UnfitSpec("no command specified: neither the image nor the task definition has an entry point or command")
    return arguments


def merge_environment(
    spec: runtime.ContainerSpec, image: images.ImageConfig, hostname: str, home: str
) -> tuple[str, ...]:
    """Image's values, then the task definition's over them; PATH, HOSTNAME and HOME where nobody sets them."""
    merged = dict(item.partition("=")[::2] for item in (PATH_DEFAULT, f"HOSTNAME={hostname}", *image.environment))
    merged.update(spec.environment)
    merged.setdefault("HOME", home)
    return tuple(f"{name}={value}" for name, value in merged.items())


def clamp_ulimits(
    wanted: Sequence[runtime.Ulimit], hard_limits: dict[str, int], may_raise: bool
) -> tuple[list[dict[str, Any]], list[str]]:
    """Limits for the specification, never above what this host allows, and a note for each that was lowered."""
    limits, notes = [], []
    for limit in wanted:
        if limit.name not in _RLIMITS:
            raise UnfitSpec(f"invalid ulimit type: {limit.name}")
        soft, hard = _endless(limit.soft), _endless(limit.hard)
        if soft > hard:
            raise UnfitSpec(f"ulimit soft limit must be less than or equal to hard limit: {limit.soft} > {limit.hard}")
        most = hard_limits.get(limit.name)
        if most is not None and hard > most and not may_raise:
            notes.append(f"ulimit {limit.name} lowered from {limit.soft}:{limit.hard} to this host's hard limit {most}")
            soft, hard = min(soft, most), most
        limits.append({"type": f"RLIMIT_{limit.name.upper()}", "soft": soft, "hard": hard})
    return limits, notes


def _endless(value: int) -> int:
    return 2**64 - 1 if value < 0 else value


def build(
    spec: runtime.ContainerSpec, image: images.ImageConfig, identity: users.Identity, place: Surroundings
) -> Built:
    """The whole specification. Raises UnfitSpec."""
    limits, notes = clamp_ulimits(spec.ulimits, place.hard_limits, place.may_raise_limits)
    config: dict[str, Any] = {
        "ociVersion": "1.0.0",
        "root": {"path": place.root, "readonly": spec.read_only_root},
        "hostname": place.hostname,
        "process": _process(spec, image, identity, place, limits),
        "mounts": _mounts(spec, place),
        "linux": _linux(spec, place),
        "annotations": {},
    }
    if place.seccomp_filter is not None:
        config["annotations"]["run.oci.seccomp_bpf_data"] = place.seccomp_filter
    elif place.seccomp_profile is not None:
        config["linux"]["seccomp"] = place.seccomp_profile
    return Built(config=config, notes=tuple(notes))


def _process(
    spec: runtime.ContainerSpec,
    image: images.ImageConfig,
    identity: users.Identity,
    place: Surroundings,
    limits: list[dict[str, Any]],
) -> dict[str, Any]:
    arguments = merge_arguments(spec, image)
    if spec.init:
        if place.init_program is None:
            raise UnfitSpec(
                "initProcessEnabled needs a small init program, which this host lacks: apt-get install catatonit"
            )
        arguments = (INIT_PATH, "--", *arguments)
    names = capabilities.in_order(place.capabilities)
    # As Docker: whoever isn't root gets them in the bounding set only, and must gain them by a file's capabilities.
    held = names if identity.uid == 0 else []
    process: dict[str, Any] = {
        "terminal": False,
        "user": {"uid": identity.uid, "gid": identity.gid, "additionalGids": list(identity.additional_gids)},
        "args": list(arguments),
        "env": list(merge_environment(spec, image, place.hostname, identity.home)),
        "cwd": working_directory(spec, image),
        "capabilities": {"bounding": names, "effective": held, "permitted": held},
        "rlimits": limits,
        "noNewPrivileges": spec.no_new_privileges,
    }
    if place.oom_score_now <= OOM_SCORE_ADJUSTMENT:
        process["oomScoreAdj"] = OOM_SCORE_ADJUSTMENT
    return process


def working_directory(spec: runtime.ContainerSpec, image: images.ImageConfig) -> str:
    """The container's first directory; made where the image lacks it."""
    path = spec.working_directory or image.working_directory or "/"
    if not path.startswith("/"):
        raise UnfitSpec(f"the working directory '{path}' is invalid, it needs to be an absolute path")
    return path


def _mounts(spec: runtime.ContainerSpec, place: Surroundings) -> list[dict[str, Any]]:
    shm = spec.shm_bytes or SHM_BYTES_DEFAULT
    sys_mode = "rw" if spec.privileged else "ro"
    mounts = [
        _mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        _mount(
            "/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"
        ),
        _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        _mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", f"size={shm}"),
        _mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", sys_mode),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", sys_mode),
    ]
    mounts += [_bind(f"{place.etc}/{name}", f"/etc/{name}") for name in ("hosts", "hostname", "resolv.conf")]
    if spec.init and place.init_program is not None:
        mounts.append(_bind(place.init_program, INIT_PATH, "ro"))
    for tmpfs in spec.tmpfs:
        options = tmpfs.options or ("nosuid", "noexec", "nodev")
        mounts.append(_mount(_absolute(tmpfs.target), "tmpfs", "tmpfs", *options, f"size={tmpfs.size_bytes}"))
    mounts += [
        _bind(_absolute(mount.source), _absolute(mount.target), *(("ro",) if mount.read_only else ("rw",)))
        for mount in spec.mounts
    ]
    return mounts


def _mount(target: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": source, "options": list(options)}


def _bind(source: str, target: str, *options: str) -> dict[str, Any]:
    return _mount(target, "bind", source, "rbind", "rprivate", *options)


def _absolute(path: str) -> str:
    if not path.startswith("/") or ".." in path.split("/"):
        raise UnfitSpec(f"invalid mount path: '{path}' must be an absolute path without '..'")
    return path


def _linux(spec: runtime.ContainerSpec, place: Surroundings) -> dict[str, Any]:
    namespaces: list[dict[str, str]] = [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]
    if place.network_namespace is not None:
        namespaces.append({"type": "network", "path": place.network_namespace})
    elif place.network_mode != "host":
        namespaces.append({"type": "network"})
    if place.cgroups_version_2 and not spec.privileged:
        namespaces.append({"type": "cgroup"})
    if place.network_mode == "host" and any(name.startswith("net.") for name in spec.sysctls):
        raise UnfitSpec("sysctls of the network (net.*) can't be set in host mode: they would change the host's")
    linux: dict[str, Any] = {
        "namespaces": namespaces,
        "cgroupsPath": place.cgroup,
        "resources": _resources(spec, place),
        "sysctl": dict(spec.sysctls),
    }
    if spec.privileged:
        linux["devices"] = [
            {
                "path": device.path,
                "type": device.kind,
                "major": device.major,
                "minor": device.minor,
                "fileMode": device.mode,
                "uid": 0,
                "gid": 0,
            }
            for device in place.devices
        ]
    else:
        linux["maskedPaths"], linux["readonlyPaths"] = list(_MASKED), list(_READ_ONLY)
    return linux


def _resources(spec: runtime.ContainerSpec, place: Surroundings) -> dict[str, Any]:
    memory: dict[str, int] = {}
    if spec.memory_bytes_max is not None:
        memory["limit"] = spec.memory_bytes_max
        if place.swap_accounting:
            memory["swap"] = 2 * spec.memory_bytes_max  # Docker's default: as much swap as memory
    if spec.memory_bytes_reserved is not None:
        memory["reservation"] = spec.memory_bytes_reserved
    resources: dict[str, Any] = {
        "devices": _device_rules(spec.privileged),
        "cpu": {"shares": min(CPU_SHARES_MAX, max(CPU_SHARES_MIN, spec.cpu_shares))},
        "pids": {"limit": cgroups.PIDS_MAX},
    }
    if memory:
        resources["memory"] = memory
    return resources


def _device_rules(privileged: bool) -> list[dict[str, Any]]:
    if privileged:
        return [{"allow": True, "access": "rwm"}]
    rules: list[dict[str, Any]] = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "access": "m"},
        {"allow": True, "type": "b", "access": "m"},
    ]
    rules += [{"allow": True, "type": "c", "major": a, "minor": b, "access": "rwm"} for a, b in _DEVICES]
    rules.append({"allow": True, "type": "c", "major": 136, "access": "rwm"})
    return rules
