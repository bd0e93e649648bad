"""Task definitions: what a task consists of. Shapes and words are ECS's (ECS-API RegisterTaskDefinition)."""

from __future__ import annotations

from typing import Literal

from roadstead.model import record

NetworkMode = Literal["awsvpc", "bridge", "host", "none"]
DEFAULT_NETWORK_MODE: NetworkMode = "bridge"
DEFAULT_STOP_TIMEOUT_SECONDS = 30


class PortMapping(record.WireValue, frozen=True, kw_only=True):
    container_port: int | None = None
    host_port: int | None = None
    protocol: Literal["tcp", "udp"] = "tcp"
    name: str | None = None
    app_protocol: str | None = None


class MountPoint(record.WireValue, frozen=True, kw_only=True):
    source_volume: str | None = None
    container_path: str | None = None
    read_only: bool | None = None


class Ulimit(record.WireValue, frozen=True, kw_only=True):
    name: str
    soft_limit: int
    hard_limit: int


class ContainerDependency(record.WireValue, frozen=True, kw_only=True):
    container_name: str
    condition: Literal["START", "COMPLETE", "SUCCESS", "HEALTHY"]


class HealthCheck(record.WireValue, frozen=True, kw_only=True):
    """Times in seconds (behaviour.md 5.9)."""

    command: tuple[str, ...]
    interval: int = 30
    timeout: int = 5
    retries: int = 3
    start_period: int | None = None


class ContainerRestartPolicy(record.WireValue, frozen=True, kw_only=True):
    enabled: bool
    ignored_exit_codes: tuple[int, ...] = ()
    restart_attempt_period: int | None = None


class KernelCapabilities(record.WireValue, frozen=True, kw_only=True):
    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


class Tmpfs(record.WireValue, frozen=True, kw_only=True):
    container_path: str
    size: int
    """MiB."""
    mount_options: tuple[str, ...] = ()


class LinuxParameters(record.WireValue, frozen=True, kw_only=True):
    capabilities: KernelCapabilities | None = None
    init_process_enabled: bool | None = None
    shared_memory_size: int | None = None
    """MiB."""
    tmpfs: tuple[Tmpfs, ...] = ()


class HostEntry(record.WireValue, frozen=True, kw_only=True):
    hostname: str
    ip_address: str


class SystemControl(record.WireValue, frozen=True, kw_only=True):
    namespace: str | None = None
    value: str | None = None


class LogConfiguration(record.WireValue, frozen=True, kw_only=True):
    log_driver: str
    options: dict[str, str] = {}


class ContainerDefinition(record.WireValue, frozen=True, kw_only=True):
    """One container of a task. `memory`, `memory_reservation` in MiB, `cpu` in CPU units (1024 a core)."""

    name: str
    image: str
    cpu: int = 0
    memory: int | None = None
    memory_reservation: int | None = None
    essential: bool | None = None
    """Absent means true."""
    port_mappings: tuple[PortMapping, ...] = ()
    entry_point: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    environment: tuple[record.KeyValuePair, ...] = ()
    mount_points: tuple[MountPoint, ...] = ()
    linux_parameters: LinuxParameters | None = None
    depends_on: tuple[ContainerDependency, ...] = ()
    start_timeout: int | None = None
    stop_timeout: int | None = None
    hostname: str | None = None
    user: str | None = None
    working_directory: str | None = None
    disable_networking: bool | None = None
    privileged: bool | None = None
    readonly_root_filesystem: bool | None = None
    dns_servers: tuple[str, ...] = ()
    dns_search_domains: tuple[str, ...] = ()
    extra_hosts: tuple[HostEntry, ...] = ()
    docker_security_options: tuple[str, ...] = ()
    docker_labels: dict[str, str] = {}
    ulimits: tuple[Ulimit, ...] = ()
    log_configuration: LogConfiguration | None = None
    health_check: HealthCheck | None = None
    system_controls: tuple[SystemControl, ...] = ()
    restart_policy: ContainerRestartPolicy | None = None

    @property
    def is_essential(self) -> bool:
        return self.essential is not False


class HostVolume(record.WireValue, frozen=True, kw_only=True):
    source_path: str | None = None


class Volume(record.WireValue, frozen=True, kw_only=True):
    name: str
    host: HostVolume | None = None


class PlacementConstraint(record.WireValue, frozen=True, kw_only=True):
    type: Literal["distinctInstance", "memberOf"]
    expression: str | None = None


class PlacementStrategy(record.WireValue, frozen=True, kw_only=True):
    type: Literal["spread", "binpack", "random"]
    field: str | None = None


class TaskDefinition(record.Record, frozen=True, kw_only=True):
    """A registered revision of a family. Immutable but for `status` and its times."""

    family: str
    revision: int
    status: Literal["ACTIVE", "INACTIVE"] = "ACTIVE"
    registered_at: float
    registered_by: str | None = None
    deregistered_at: float | None = None
    container_definitions: tuple[ContainerDefinition, ...]
    volumes: tuple[Volume, ...] = ()
    network_mode: NetworkMode | None = None
    """None: not given; behaves as `bridge`."""
    cpu: str | None = None
    """Task-level CPU units, in text as ECS stores them."""
    memory: str | None = None
    """Task-level MiB, in text as ECS stores them."""
    task_role_arn: str | None = None
    execution_role_arn: str | None = None
    requires_compatibilities: tuple[str, ...] = ()
    placement_constraints: tuple[PlacementConstraint, ...] = ()
    tags: tuple[record.Tag, ...] = ()
    requires_attributes: tuple[str, ...] = ()
    """Names of the attributes that an instance must have (`com.amazonaws.ecs.capability.…`)."""

    @property
    def key(self) -> str:
        return f"{self.family}:{self.revision}"

    @property
    def effective_network_mode(self) -> NetworkMode:
        return self.network_mode or DEFAULT_NETWORK_MODE


class TaskDefinitionFamily(record.Record, frozen=True, kw_only=True):
    """Counts a family's revisions. Numbers are never used twice."""

    family: str
    latest_revision: int
    active_revisions: int = 0
    latest_active_revision: int | None = None
    """What a bare family name means; None when all are deregistered."""

    @property
    def key(self) -> str:
        return self.family
