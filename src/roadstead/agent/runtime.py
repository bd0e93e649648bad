"""The `Runtime` port: what the agent asks of whatever really runs containers.

Implementations: `agent.oci` (crun or runc, conmon, overlay mounts, netlink) and `agent.simulated`. One conformance
suite runs over both. All verbs are idempotent where that has a meaning: removing what is gone is no error.

Failures are `RuntimeProblem`s that carry ECS's own error name (behaviour.md, section 5.9), so that a task's
stoppedReason needs no translation.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol

import msgspec

NetworkMode = Literal["awsvpc", "bridge", "host", "none"]
Transport = Literal["tcp", "udp"]
ContainerStatus = Literal["created", "running", "exited"]


class RuntimeProblem(Exception):
    """A container, sandbox or image could not be had.

    `name` is ECS's error name: CannotPullContainerError, CannotCreateContainerError, CannotStartContainerError,
    ResourceInitializationError, ContainerRuntimeError, ...; `message` says what happened, why, and what to do.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Root of the port's values: frozen, made with keywords."""


class RegistryCredentials(Value, frozen=True, kw_only=True):
    username: str
    password: str


class PulledImage(Value, frozen=True, kw_only=True):
    """An image that is in the content store, its layers unpacked."""

    reference: str
    digest: str
    """Manifest digest, `sha256:…`."""
    size_bytes: int
    stop_signal: int = 15
    """The signal that asks a container of this image to end: its config's StopSignal, else SIGTERM."""


class PortMapping(Value, frozen=True, kw_only=True):
    container_port: int
    host_port: int
    """0 = any free port of the host."""
    protocol: Transport = "tcp"


class PortBinding(Value, frozen=True, kw_only=True):
    """A port mapping as it was really made."""

    bind_ip: str
    container_port: int
    host_port: int
    protocol: Transport = "tcp"


class NetworkInterface(Value, frozen=True, kw_only=True):
    """The address that the control plane gave to an awsvpc task."""

    attachment_id: str
    mac_address: str
    ipv4_address: str
    prefix_length: int
    gateway: str
    dns_servers: tuple[str, ...] = ()


class SandboxSpec(Value, frozen=True, kw_only=True):
    """What a task's containers share: a cgroup with the task's limits, and in awsvpc mode a network namespace."""

    task_id: str
    network_mode: NetworkMode
    network_interface: NetworkInterface | None = None
    """Given in awsvpc mode only."""
    cpu_cores_max: float | None = None
    """Task-level quota in cores (task cpu / 1024); None = none."""
    memory_bytes_max: int | None = None
    """Task-level hard limit; None = none."""


class Ulimit(Value, frozen=True, kw_only=True):
    name: str
    """As ECS spells it: nofile, nproc, core, …"""
    soft: int
    hard: int


class Mount(Value, frozen=True, kw_only=True):
    source: str
    """A path of the host."""
    target: str
    read_only: bool = False


class Tmpfs(Value, frozen=True, kw_only=True):
    target: str
    size_bytes: int
    options: tuple[str, ...] = ()


class ContainerSpec(Value, frozen=True, kw_only=True):
    """Everything needed to make one container. None means: as the image says (or no limit)."""

    container_id: str
    task_id: str
    name: str
    image: str
    """A reference that was pulled before."""
    entry_point: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    environment: dict[str, str] = {}
    user: str | None = None
    """`uid`, `uid:gid`, `name` or `name:group`; names are looked up in the image."""
    working_directory: str | None = None
    hostname: str | None = None
    read_only_root: bool = False
    privileged: bool = False
    no_new_privileges: bool = False
    seccomp_unconfined: bool = False
    capabilities_add: tuple[str, ...] = ()
    capabilities_drop: tuple[str, ...] = ()
    ulimits: tuple[Ulimit, ...] = ()
    cpu_shares: int = 2
    memory_bytes_max: int | None = None
    memory_bytes_reserved: int | None = None
    mounts: tuple[Mount, ...] = ()
    tmpfs: tuple[Tmpfs, ...] = ()
    sysctls: dict[str, str] = {}
    extra_hosts: tuple[tuple[str, str], ...] = ()
    """(host name, address) pairs for /etc/hosts."""
    dns_servers: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    shm_bytes: int | None = None
    init: bool = False
    """A tiny init process as pid 1 that reaps zombies."""
    ports: tuple[PortMapping, ...] = ()
    """Published ports, in bridge mode only."""
    labels: dict[str, str] = {}


class StartedContainer(Value, frozen=True, kw_only=True):
    container_id: str
    pid: int
    started_at: float
    bindings: tuple[PortBinding, ...] = ()
    notes: tuple[str, ...] = ()
    """What had to be lessened (ulimits above the host's, …), for people."""


class ContainerExit(Value, frozen=True, kw_only=True):
    """A container ended by itself or by a signal."""

    container_id: str
    exit_code: int
    """128 + signal where a signal ended it."""
    oom_killed: bool
    finished_at: float


class FoundContainer(Value, frozen=True, kw_only=True):
    """A container as the runtime finds it, perhaps left by an earlier agent process."""

    container_id: str
    task_id: str
    name: str
    status: ContainerStatus
    pid: int | None = None
    exit_code: int | None = None
    oom_killed: bool = False
    started_at: float | None = None
    finished_at: float | None = None
    bindings: tuple[PortBinding, ...] = ()
    image_digest: str | None = None
    labels: dict[str, str] = {}


class Inventory(Value, frozen=True, kw_only=True):
    """All that the runtime holds for this agent."""

    sandboxes: tuple[SandboxSpec, ...]
    containers: tuple[FoundContainer, ...]


class Usage(Value, frozen=True, kw_only=True):
    """One reading of a container's cgroup."""

    container_id: str
    read_at: float
    cpu_seconds_total: float
    memory_bytes: int
    """Working set: usage less inactive file cache, as Docker's and ECS's figures."""
    network_rx_bytes: int = 0
    network_tx_bytes: int = 0


class HostFacts(Value, frozen=True, kw_only=True):
    """What this host offers to tasks."""

    cpu_units: int
    """1024 a core."""
    memory_mib: int
    subnet: str | None
    """The IPv4 subnet from which awsvpc tasks get addresses, `10.x.y.0/24`; None where awsvpc can't be had."""
    network_modes: tuple[NetworkMode, ...]
    runtime_version: str
    """Shown to people and sent as dockerVersion: `crun 1.8.1`."""
    reserved_ports_tcp: tuple[int, ...] = ()
    reserved_ports_udp: tuple[int, ...] = ()


class Runtime(Protocol):
    """Verbs over sandboxes (a task's shared surroundings) and containers."""

    async def open(self) -> HostFacts:
        """Make ready: directories, bridge, cgroup root. Raises base.errors.HostProblem where the host can't."""
        ...

    async def close(self) -> None:
        """Let go of what this process holds. Containers go on running."""
        ...

    async def pull(self, image: str, credentials: RegistryCredentials | None) -> PulledImage:
        """Bring an image into the content store; at once where it is there. Raises CannotPullContainerError."""
        ...

    async def create_sandbox(self, spec: SandboxSpec) -> None:
        """Make the task's cgroup and, in awsvpc mode, its network. Raises ResourceInitializationError."""
        ...

    async def create(self, spec: ContainerSpec) -> None:
        """Mount, write the bundle, create; nothing of the container's own runs. Raises CannotCreateContainerError."""
        ...

    async def start(self, container_id: str) -> StartedContainer:
        """Run the container's process. Raises CannotStartContainerError.

        A container that has exited runs anew with its files as they are, as a restart policy asks (behaviour.md 5.9).
        """
        ...

    async def signal(self, container_id: str, signal: int) -> None:
        """Send a signal to the container's first process; none where it has ended."""
        ...

    async def remove(self, container_id: str) -> None:
        """Remove a container, killing it first where it still runs; its log stays for `logs`."""
        ...

    async def remove_sandbox(self, task_id: str) -> None:
        """Remove the cgroup, network and files of a task whose containers are gone."""
        ...

    async def execute(self, container_id: str, command: Sequence[str], timeout_seconds: float) -> int:
        """Run a command inside a running container (its namespaces, user, environment) and return its exit code.

        The command is killed when `timeout_seconds` have passed; TimeoutError is raised then. A command that can't be
        run gives 126 or 127 as a shell does; a container that doesn't run raises ContainerRuntimeError. Output is
        dropped.
        """
        ...

    async def inventory(self) -> Inventory:
        """All sandboxes and containers there are, those of earlier agent processes included."""
        ...

    def exits(self) -> AsyncIterator[ContainerExit]:
        """Exits as they happen, of adopted containers too; those before `open` are in the inventory."""
        ...

    async def usage(self, container_ids: Sequence[str]) -> list[Usage]:
        """One reading for each of the containers that still runs."""
        ...
