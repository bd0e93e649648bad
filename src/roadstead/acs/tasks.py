"""The Task and Container objects of a payload (agent-protocol.md 3)."""

from __future__ import annotations

from typing import Literal

import msgspec

from roadstead.acs import docker, values

DesiredStatus = Literal["RUNNING", "STOPPED"]
Condition = Literal["START", "COMPLETE", "SUCCESS", "HEALTHY"]
RoleType = Literal["TaskApplication", "TaskExecution"]


class RoleCredentials(values.WireValue, frozen=True, kw_only=True):
    """Keys of a task role or a task execution role; `expiration` is an ISO 8601 text."""

    credentials_id: str
    role_arn: str = ""
    access_key_id: str = ""
    secret_access_key: str = ""
    session_token: str = ""
    expiration: str = ""


class PortMapping(values.WireValue, frozen=True, kw_only=True):
    container_port: int = 0
    host_port: int = 0
    """0 = any free port of the host."""
    protocol: Literal["tcp", "udp"] = "tcp"
    container_port_range: str = ""


class MountPoint(values.WireValue, frozen=True, kw_only=True):
    source_volume: str
    container_path: str
    read_only: bool = False


class VolumeFrom(values.WireValue, frozen=True, kw_only=True):
    source_container: str
    read_only: bool = False


class Dependency(values.WireValue, frozen=True, kw_only=True):
    container_name: str
    condition: Condition


class RestartPolicy(values.WireValue, frozen=True, kw_only=True):
    """`restart_attempt_period`: seconds that a container must have run to be restarted; 0 = the default, 300."""

    enabled: bool = False
    ignored_exit_codes: tuple[int, ...] = ()
    restart_attempt_period: int = 0


class Secret(values.WireValue, frozen=True, kw_only=True):
    name: str
    value_from: str
    region: str = ""
    provider: str = ""
    """ssm or asm."""
    type: str = ""
    """ENVIRONMENT_VARIABLE or MOUNT_POINT."""
    container_path: str = ""
    target: str = ""
    """CONTAINER or LOG_DRIVER."""


class EnvironmentFile(values.WireValue, frozen=True, kw_only=True):
    value: str
    type: str


class EcrAuthData(values.WireValue, frozen=True, kw_only=True):
    registry_id: str = ""
    region: str = ""
    endpoint_override: str = ""
    use_execution_role: bool = False


class AsmAuthData(values.WireValue, frozen=True, kw_only=True):
    credentials_parameter: str = ""
    region: str = ""


class RegistryAuthentication(values.WireValue, frozen=True, kw_only=True):
    type: str = ""
    """ecr or asm."""
    ecr_auth_data: EcrAuthData | None = None
    asm_auth_data: AsmAuthData | None = None


class FirelensConfiguration(values.WireValue, frozen=True, kw_only=True):
    type: str
    options: dict[str, str] = msgspec.field(default_factory=dict)


class ManagedAgent(values.WireValue, frozen=True, kw_only=True):
    name: str
    properties: dict[str, str] = msgspec.field(default_factory=dict)


class Container(values.WireValue, frozen=True, kw_only=True):
    """One container of a task.

    `cpu` in units, `memory` in MiB (hard limit, 0 = none), timeouts in seconds (0 = default).
    """

    name: str
    image: str
    container_arn: str = ""
    cpu: int = 0
    memory: int = 0
    essential: bool = False
    command: tuple[str, ...] | None = None
    entry_point: tuple[str, ...] | None = None
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    environment_files: tuple[EnvironmentFile, ...] = ()
    secrets: tuple[Secret, ...] = ()
    port_mappings: tuple[PortMapping, ...] = ()
    mount_points: tuple[MountPoint, ...] = ()
    volumes_from: tuple[VolumeFrom, ...] = ()
    links: tuple[str, ...] = ()
    depends_on: tuple[Dependency, ...] = ()
    start_timeout: int = 0
    stop_timeout: int = 0
    health_check_type: str = ""
    """`docker` where `dockerConfig.config` carries a health check."""
    logs_auth_strategy: str = ""
    restart_policy: RestartPolicy | None = None
    registry_authentication: RegistryAuthentication | None = None
    firelens_configuration: FirelensConfiguration | None = None
    managed_agents: tuple[ManagedAgent, ...] = ()
    overrides: str = ""
    """A JSON text: `docker.overrides_of`."""
    docker_config: docker.DockerConfig | None = None


class HostVolume(values.WireValue, frozen=True, kw_only=True):
    source_path: str = ""


class DockerVolumeConfiguration(values.WireValue, frozen=True, kw_only=True):
    scope: str = ""
    autoprovision: bool = False
    driver: str = ""
    driver_opts: dict[str, str] = msgspec.field(default_factory=dict)
    labels: dict[str, str] = msgspec.field(default_factory=dict)


class EfsAuthorizationConfig(values.WireValue, frozen=True, kw_only=True):
    access_point_id: str = ""
    iam: str = ""


class EfsVolumeConfiguration(values.WireValue, frozen=True, kw_only=True):
    file_system_id: str = ""
    root_directory: str = ""
    transit_encryption: str = ""
    transit_encryption_port: int = 0
    authorization_config: EfsAuthorizationConfig | None = None


class Volume(values.WireValue, frozen=True, kw_only=True):
    name: str
    type: str = ""
    """host, docker, efs, attachment, …"""
    host: HostVolume | None = None
    docker_volume_configuration: DockerVolumeConfiguration | None = None
    efs_volume_configuration: EfsVolumeConfiguration | None = None


class Ipv4Address(values.WireValue, frozen=True, kw_only=True):
    primary: bool = False
    private_address: str = ""


class Ipv6Address(values.WireValue, frozen=True, kw_only=True):
    address: str = ""


class ElasticNetworkInterface(values.WireValue, frozen=True, kw_only=True):
    """An interface with the address that the control plane chose.

    `subnet_gateway_ipv4_address` carries the prefix length: `10.0.0.1/24`.
    """

    attachment_arn: str
    ec2_id: str = ""
    mac_address: str = ""
    ipv4_addresses: tuple[Ipv4Address, ...] = ()
    ipv6_addresses: tuple[Ipv6Address, ...] = ()
    subnet_gateway_ipv4_address: str = ""
    subnet_gateway_ipv6_address: str = ""
    domain_name_servers: tuple[str, ...] = ()
    domain_name: tuple[str, ...] = ()
    private_dns_name: str = ""
    index: int = 0
    name: str = ""
    interface_association_protocol: str = ""


class AttachmentProperty(values.WireValue, frozen=True, kw_only=True):
    name: str
    value: str = ""


class Attachment(values.WireValue, frozen=True, kw_only=True):
    attachment_arn: str
    attachment_type: str = ""
    attachment_properties: tuple[AttachmentProperty, ...] = ()


class Task(values.WireValue, frozen=True, kw_only=True):
    """A task as the control plane wants it. `cpu` in vCPUs (0 = no task-level limit), `memory` in MiB (0 = none)."""

    arn: str
    desired_status: DesiredStatus
    containers: tuple[Container, ...] = ()
    """Always all of them, also when the task shall stop."""
    task_cluster_arn: str = ""
    family: str = ""
    version: str = ""
    group: str = ""
    service_name: str = ""
    launch_type: str = ""
    cpu: float = 0.0
    memory: int = 0
    network_mode: str = ""
    pid_mode: str = ""
    ipc_mode: str = ""
    overrides: str = ""
    zone: str = ""
    task_definition_account_id: str = ""
    enable_fault_injection: bool = False
    volumes: tuple[Volume, ...] = ()
    role_credentials: RoleCredentials | None = None
    execution_role_credentials: RoleCredentials | None = None
    elastic_network_interfaces: tuple[ElasticNetworkInterface, ...] = ()
    attachments: tuple[Attachment, ...] = ()


class TaskIdentifier(values.WireValue, frozen=True, kw_only=True):
    """A task in a manifest, and in the questions about it."""

    task_arn: str
    desired_status: DesiredStatus
    task_cluster_arn: str = ""
