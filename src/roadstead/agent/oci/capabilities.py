"""Linux capabilities: Docker's default set, additions, removals, what this host can give. Pure but for `host_set`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

NAMES = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
]
"""In the kernel's order: the place is the bit."""

DEFAULT = frozenset(
    [
        "CHOWN",
        "DAC_OVERRIDE",
        "FSETID",
        "FOWNER",
        "MKNOD",
        "NET_RAW",
        "SETGID",
        "SETUID",
        "SETFCAP",
        "SETPCAP",
        "NET_BIND_SERVICE",
        "SYS_CHROOT",
        "KILL",
        "AUDIT_WRITE",
    ]
)
"""Docker's fourteen."""


class UnknownCapability(Exception):
    """No capability of that name, or this host can't give it."""


def resolve(add: Iterable[str], drop: Iterable[str], privileged: bool, host: frozenset[str]) -> frozenset[str]:
    """The set for a container. `ALL` is allowed in both lists; single names win over `ALL` of the other list.

    Raises UnknownCapability for an unknown name, and for an added one that the host itself lacks.
    """
    if privileged:
        return host
    added, dropped = _normalised(add), _normalised(drop)
    base = host if "ALL" in added else (frozenset() if "ALL" in dropped else DEFAULT)
    wanted = (added - {"ALL"}) - host
    if wanted:
        raise UnknownCapability(
            f"this host can't give capability {', '.join(sorted(wanted))}: its own process lacks it"
        )
    keep = base - (dropped - {"ALL"}) if "ALL" in added else base - dropped
    return frozenset((keep | (added - {"ALL"})) & host)


def _normalised(given: Iterable[str]) -> frozenset[str]:
    found = frozenset(name.upper().removeprefix("CAP_") for name in given)
    unknown = found - set(NAMES) - {"ALL"}
    if unknown:
        raise UnknownCapability(f"unknown capability {', '.join(sorted(unknown))}")
    return found


def parse_mask(mask: int) -> frozenset[str]:
    return frozenset(name for bit, name in enumerate(NAMES) if mask >> bit & 1)


def host_set() -> frozenset[str]:
    """What this process could hand on: its permitted and bounding sets."""
    fields = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return parse_mask(int(fields["CapPrm"], 16) & int(fields["CapBnd"], 16))


def in_order(names: frozenset[str]) -> list[str]:
    """As the OCI specification spells them."""
    return [f"CAP_{name}" for name in NAMES if name in names]
