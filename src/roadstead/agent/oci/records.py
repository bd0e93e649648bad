"""What the runtime writes down, so that a later process finds everything. Written atomically, never in place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

import msgspec

from roadstead.agent import runtime

Kind = TypeVar("Kind")


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """Choices made at first start."""

    instance_name: str
    subnet_awsvpc: str
    subnet_local: str


class ContainerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`container.json`: written last by `create`, so a bundle without it is half made and is removed."""

    spec: runtime.ContainerSpec
    network_mode: runtime.NetworkMode
    image_digest: str
    cgroup: str
    network_key: str | None
    """Name of the network namespace in ns/net; None where it is the host's or a fresh one of the engine."""
    ipv4_address: str | None = None
    """In bridge mode."""
    veth: str | None = None
    created_at: float
    notes: tuple[str, ...] = ()


class ContainerState(msgspec.Struct, frozen=True, kw_only=True):
    """`state.json`: the processes of a started container. While the engine's fifo is there it only waits."""

    pid: int
    pid_birth: int
    """Start time in clock ticks since boot: tells the process from a later one with the same number."""
    monitor_pid: int
    monitor_birth: int
    started_at: float
    bindings: tuple[runtime.PortBinding, ...] = ()


def read(path: Path, kind: type[Kind]) -> Kind | None:
    """None where the file is missing or was never finished."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None


def write(path: Path, value: object) -> None:
    """Atomic for other processes and for kill -9; no sync, because nothing of it outlives a crash of the host."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(msgspec.json.encode(value))
    os.replace(temporary, path)
