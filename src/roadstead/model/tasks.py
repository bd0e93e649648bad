"""Tasks (behaviour.md 5.9, 5.12).

Three parts, three writers: `spec` is written once, by RunTask or the service's controller; `desired` by who decides
(placement at creation, StopTask and the controllers afterwards, always through `request_stop`); `observed` by what
agents report (`control.sessions` and Submit*StateChange, always through `control.observation`).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from roadstead.model import lifecycle, record, task_definitions

StopCode = Literal[
    "TaskFailedToStart",
    "EssentialContainerExited",
    "UserInitiated",
    "ServiceSchedulerInitiated",
    "SpotInterruption",
    "TerminationNotice",
    "InfrastructureHealth",
]
HealthStatus = Literal["HEALTHY", "UNHEALTHY", "UNKNOWN"]
LaunchType = Literal["EC2", "FARGATE", "EXTERNAL"]


class ContainerOverride(record.WireValue, frozen=True, kw_only=True):
    name: str | None = None
    command: tuple[str, ...] | None = None
    environment: tuple[record.KeyValuePair, ...] = ()
    cpu: int | None = None
    memory: int | None = None
    memory_reservation: int | None = None


class TaskOverride(record.WireValue, frozen=True, kw_only=True):
    container_overrides: tuple[ContainerOverride, ...] = ()
    cpu: str | None = None
    memory: str | None = None
    task_role_arn: str | None = None
    execution_role_arn: str | None = None


class AwsVpcConfiguration(record.WireValue, frozen=True, kw_only=True):
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    assign_public_ip: Literal["ENABLED", "DISABLED"] | None = None


class NetworkConfiguration(record.WireValue, frozen=True, kw_only=True):
    awsvpc_configuration: AwsVpcConfiguration | None = None


class HostPort(record.Value, frozen=True, kw_only=True, order=True):
    port: int
    protocol: Literal["tcp", "udp"] = "tcp"


class TaskResources(record.Value, frozen=True, kw_only=True):
    """What the task takes from an instance, worked out once at creation (overrides applied)."""

    cpu_units: int = 0
    memory_mib: int = 0
    """Hard limit, or the soft limit where one is set: what placement reserves."""
    host_ports: tuple[HostPort, ...] = ()
    """Fixed host ports only."""


class NetworkInterface(record.Value, frozen=True, kw_only=True):
    """The address that an awsvpc task was given."""

    attachment_id: str
    network_interface_id: str
    mac_address: str
    ipv4_address: str
    prefix_length: int
    gateway: str
    status: Literal["PRECREATED", "ATTACHING", "ATTACHED", "DETACHED", "DELETED"] = "ATTACHING"


class TaskSpec(record.Value, frozen=True, kw_only=True):
    """Written once, at creation."""

    task_definition: str
    """`family:revision`."""
    group: str
    launch_type: LaunchType = "EC2"
    service: str | None = None
    """Name of the service that owns it."""
    deployment_id: str | None = None
    started_by: str | None = None
    overrides: TaskOverride = TaskOverride()
    network_configuration: NetworkConfiguration | None = None
    placement_constraints: tuple[task_definitions.PlacementConstraint, ...] = ()
    placement_strategy: tuple[task_definitions.PlacementStrategy, ...] = ()
    tags: tuple[record.Tag, ...] = ()
    enable_ecs_managed_tags: bool = False
    reference_id: str | None = None
    client_token: str | None = None
    resources: TaskResources = TaskResources()


class PlacementReason(record.Value, frozen=True, kw_only=True):
    """Why this instance was chosen (law 7): how many were looked at, how many fitted, what decided."""

    candidates: int
    fitting: int
    decided_by: str
    """`spread(attribute:ecs.availability-zone)`, `binpack(memory)`, `random`, `asked for`, …"""


class TaskDesired(record.Value, frozen=True, kw_only=True):
    """What should become of the task."""

    status: Literal["RUNNING", "STOPPED"] = "RUNNING"
    container_instance: str | None = None
    """Its instance's id; None while it waits for capacity."""
    availability_zone: str | None = None
    """Its instance's zone; set together with it (`control.placement`: `Placed.desired`)."""
    placed_at: float | None = None
    placement_reason: PlacementReason | None = None
    network_interface: NetworkInterface | None = None
    stop_code: StopCode | None = None
    stopped_reason: str | None = None
    stopping_at: float | None = None


class NetworkBinding(record.WireValue, frozen=True, kw_only=True):
    bind_ip: str = "0.0.0.0"
    container_port: int = 0
    host_port: int = 0
    protocol: Literal["tcp", "udp"] = "tcp"


class ObservedContainer(record.Value, frozen=True, kw_only=True):
    """One container as its agent last reported it."""

    container_id: str
    """The id in the container's ARN: given by us at creation, not by the runtime."""
    name: str
    image: str
    last_status: lifecycle.ContainerStatus = "PENDING"
    runtime_id: str | None = None
    image_digest: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    network_bindings: tuple[NetworkBinding, ...] = ()
    health_status: HealthStatus = "UNKNOWN"
    health_since: float | None = None


class TaskObserved(record.Value, frozen=True, kw_only=True):
    """What was reported, or concluded from silence, about the task."""

    last_status: lifecycle.TaskStatus = "PROVISIONING"
    containers: tuple[ObservedContainer, ...] = ()
    health_status: HealthStatus = "UNKNOWN"
    became_healthy_at: float | None = None
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    started_at: float | None = None
    """When it became RUNNING."""
    execution_stopped_at: float | None = None
    stopped_at: float | None = None
    stop_code: StopCode | None = None
    """Set from the agent's report where nobody had asked for the stop."""
    stopped_reason: str | None = None
    connected: bool = True


class TaskAccounting(record.Value, frozen=True, kw_only=True):
    """What the service's controller has already taken into account. Written by `control.services` only."""

    failure_counted: bool = False
    stop_seen: bool = False
    """The stop was seen by the service's controller, once."""


class Task(record.Record, frozen=True, kw_only=True):
    task_id: str
    """32 hexadecimal digits."""
    cluster: str
    created_at: float
    version: int = 1
    """Plus 1 with each change that users can see."""
    spec: TaskSpec
    desired: TaskDesired = TaskDesired()
    observed: TaskObserved = TaskObserved()
    accounting: TaskAccounting = TaskAccounting()

    @property
    def key(self) -> str:
        return self.task_id

    @property
    def family(self) -> str:
        return self.spec.task_definition.rpartition(":")[0]

    @property
    def is_live(self) -> bool:
        """Not yet STOPPED: it may hold resources of its instance."""
        return self.observed.last_status not in lifecycle.TASK_ENDED

    @property
    def should_run(self) -> bool:
        return self.desired.status == "RUNNING" and self.is_live

    @property
    def stop_code(self) -> StopCode | None:
        """What DescribeTasks shows: who asked first, else what the agent reported."""
        return self.desired.stop_code or self.observed.stop_code

    @property
    def stopped_reason(self) -> str | None:
        return self.desired.stopped_reason or self.observed.stopped_reason


def request_stop(task: Task, code: StopCode, reason: str, now: float) -> Task:
    """The task with its desired status STOPPED. The first request wins: a later one changes nothing."""
    if task.desired.status == "STOPPED" or not task.is_live:
        return task
    desired = msgspec.structs.replace(
        task.desired, status="STOPPED", stop_code=code, stopped_reason=reason, stopping_at=now
    )
    return msgspec.structs.replace(task, desired=desired, version=task.version + 1)
