"""The messages of the TCS websocket, both directions (agent-protocol.md 4). The frame's `type` is the class's name.

Server frames are plain; agent frames are signed (`frames.serialize_signed`).
`HeartbeatMessage` is the one of `messages`.
"""

from __future__ import annotations

from typing import Literal

from roadstead.acs import values

HealthStatus = Literal["HEALTHY", "UNHEALTHY", "UNKNOWN"]
TASKS_PER_MESSAGE_MAX = 10
FRAME_BYTES_MAX = 1 << 20


class StatsSet(values.WireValue, frozen=True, kw_only=True):
    """A statistic set; a mean is `sum / sample_count`."""

    min: float = 0.0
    max: float = 0.0
    sum: float = 0.0
    sample_count: int = 0


class NetworkStatsSet(values.WireValue, frozen=True, kw_only=True):
    """Bytes and packets in the reporting interval."""

    rx_bytes: StatsSet | None = None
    rx_dropped: StatsSet | None = None
    rx_errors: StatsSet | None = None
    rx_packets: StatsSet | None = None
    tx_bytes: StatsSet | None = None
    tx_dropped: StatsSet | None = None
    tx_errors: StatsSet | None = None
    tx_packets: StatsSet | None = None
    rx_bytes_per_second: StatsSet | None = None
    tx_bytes_per_second: StatsSet | None = None


class StorageStatsSet(values.WireValue, frozen=True, kw_only=True):
    read_size_bytes: StatsSet | None = None
    write_size_bytes: StatsSet | None = None


class RestartStatsSet(values.WireValue, frozen=True, kw_only=True):
    restart_count: int = 0


class ContainerMetric(values.WireValue, frozen=True, kw_only=True):
    """`cpu_stats_set` in percent of the WHOLE host (100 = all cores busy), `memory_stats_set` in MiB."""

    container_name: str
    container_arn: str = ""
    cpu_stats_set: StatsSet | None = None
    memory_stats_set: StatsSet | None = None
    network_stats_set: NetworkStatsSet | None = None
    storage_stats_set: StorageStatsSet | None = None
    restart_stats_set: RestartStatsSet | None = None


class TaskMetric(values.WireValue, frozen=True, kw_only=True):
    task_arn: str
    task_definition_family: str = ""
    task_definition_version: str = ""
    container_metrics: tuple[ContainerMetric, ...] = ()


class MetricsMetadata(values.WireValue, frozen=True, kw_only=True):
    """`idle`: nothing runs, no tasks follow. `fin`: the last message of a batch."""

    cluster: str = ""
    container_instance: str = ""
    message_id: str = ""
    idle: bool = False
    fin: bool = False


class PublishMetricsRequest(values.WireValue, frozen=True, kw_only=True):
    """Agent → server, every 20 s. `timestamp` in seconds since the epoch."""

    metadata: MetricsMetadata
    timestamp: float
    task_metrics: tuple[TaskMetric, ...] = ()


class ContainerHealth(values.WireValue, frozen=True, kw_only=True):
    """`status_since` in seconds since the epoch."""

    container_name: str
    health_status: HealthStatus
    status_since: float = 0.0
    status_message: str = ""


class TaskHealth(values.WireValue, frozen=True, kw_only=True):
    task_arn: str
    task_definition_family: str = ""
    task_definition_version: str = ""
    containers: tuple[ContainerHealth, ...] = ()


class HealthMetadata(values.WireValue, frozen=True, kw_only=True):
    cluster: str = ""
    container_instance: str = ""
    message_id: str = ""
    fin: bool = False


class PublishHealthRequest(values.WireValue, frozen=True, kw_only=True):
    """Agent → server, every 20 s, for tasks whose containers have health checks. `timestamp` in epoch seconds."""

    metadata: HealthMetadata
    timestamp: float
    tasks: tuple[TaskHealth, ...] = ()


class InstanceStatusMetadata(values.WireValue, frozen=True, kw_only=True):
    cluster: str = ""
    container_instance: str = ""
    request_id: str = ""


class InstanceStatus(values.WireValue, frozen=True, kw_only=True):
    type: str
    """ContainerRuntime, …"""
    status: str
    """OK, IMPAIRED, INITIALIZING or INSUFFICIENT_DATA."""
    last_updated: float = 0.0
    last_status_change: float = 0.0


class PublishInstanceStatusRequest(values.WireValue, frozen=True, kw_only=True):
    """Agent → server: how the instance itself is."""

    metadata: InstanceStatusMetadata
    statuses: tuple[InstanceStatus, ...] = ()
    timestamp: float = 0.0


class AckPublishMetric(values.WireValue, frozen=True, kw_only=True):
    """Server → agent."""

    message: str = ""


class AckPublishHealth(values.WireValue, frozen=True, kw_only=True):
    """Server → agent."""

    message: str = ""


class AckPublishInstanceStatus(values.WireValue, frozen=True, kw_only=True):
    """Server → agent."""

    message: str = ""


class StopTelemetrySessionMessage(values.WireValue, frozen=True, kw_only=True):
    """Server → agent: close this session and open a new one."""

    message: str = ""


AgentMessage = PublishMetricsRequest | PublishHealthRequest | PublishInstanceStatusRequest
ServerMessage = AckPublishMetric | AckPublishHealth | AckPublishInstanceStatus | StopTelemetrySessionMessage
