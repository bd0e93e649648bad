"""Services and their deployments (behaviour.md 5.1, 5.2, 5.7, 5.8)."""

from __future__ import annotations

from typing import Literal

import msgspec

from roadstead.base import ids as base_ids
from roadstead.model import lifecycle, record, task_definitions, tasks

EVENTS_KEPT_MAX = 100
"""Service events kept for each service (behaviour.md 5.8)."""


class DeploymentCircuitBreaker(record.WireValue, frozen=True, kw_only=True):
    enable: bool
    rollback: bool


class DeploymentConfiguration(record.WireValue, frozen=True, kw_only=True):
    """Percentages; None where the user gave none (defaults: 100 and 200, behaviour.md 5.2)."""

    minimum_healthy_percent: int | None = None
    maximum_percent: int | None = None
    deployment_circuit_breaker: DeploymentCircuitBreaker | None = None

    @property
    def effective_minimum_healthy_percent(self) -> int:
        return 100 if self.minimum_healthy_percent is None else self.minimum_healthy_percent

    @property
    def effective_maximum_percent(self) -> int:
        return 200 if self.maximum_percent is None else self.maximum_percent


class MetricConfiguration(record.WireValue, frozen=True, kw_only=True):
    """behaviour.md 1.3.6."""

    metric_names: tuple[Literal["CPUUtilization", "MemoryUtilization"], ...]
    resolution_seconds: Literal[20, 60]


class Monitoring(record.WireValue, frozen=True, kw_only=True):
    metric_configurations: tuple[MetricConfiguration, ...] = ()

    def resolution_seconds(self, metric_name: str) -> int:
        """20 or 60 (the default) for `CPUUtilization` or `MemoryUtilization`."""
        for configuration in self.metric_configurations:
            if metric_name in configuration.metric_names:
                return configuration.resolution_seconds
        return 60


class ServiceSpec(record.Value, frozen=True, kw_only=True):
    """What the user asked for. Written by the API; `desired_count` also by `control.service_scaling`."""

    task_definition: str
    """`family:revision`."""
    desired_count: int
    launch_type: tasks.LaunchType = "EC2"
    scheduling_strategy: Literal["REPLICA"] = "REPLICA"
    deployment_configuration: DeploymentConfiguration = DeploymentConfiguration()
    placement_constraints: tuple[task_definitions.PlacementConstraint, ...] = ()
    placement_strategy: tuple[task_definitions.PlacementStrategy, ...] = ()
    network_configuration: tasks.NetworkConfiguration | None = None
    monitoring: Monitoring = Monitoring()
    propagate_tags: Literal["TASK_DEFINITION", "SERVICE", "NONE"] = "NONE"
    enable_ecs_managed_tags: bool = False


class Deployment(record.Value, frozen=True, kw_only=True):
    """One rollout of a revision of the service. Begun by the API, moved on by `control.deployments`."""

    deployment_id: str
    """`ecs-svc/<19 digits>`."""
    status: Literal["PRIMARY", "ACTIVE", "INACTIVE"]
    task_definition: str
    desired_count: int
    created_at: float
    updated_at: float
    launch_type: tasks.LaunchType = "EC2"
    network_configuration: tasks.NetworkConfiguration | None = None
    monitoring: Monitoring = Monitoring()
    rollout_state: lifecycle.RolloutState = "IN_PROGRESS"
    rollout_state_reason: str = ""
    failed_tasks: int = 0
    """Consecutively failed (behaviour.md 5.2); 0 again once a task runs."""
    failed_at: float | None = None
    """When the newest failure was: a task that ran later resets the count."""
    first_running_at: float | None = None
    """When one of its tasks first ran: the circuit breaker is in its second stage from then on (behaviour.md 5.3)."""
    breaker_failures: int = 0
    """What the circuit breaker counts; 0 again when a task becomes healthy."""


class StartThrottle(record.Value, frozen=True, kw_only=True):
    """Pacing of a service whose tasks fail to start (behaviour.md 5.7)."""

    failures: int = 0
    """Rounds of starts that failed, in a row: tasks that were started together count once."""
    next_start_at: float = 0.0
    round_began_at: float = 0.0
    """Failures of tasks that were created before this belong to a round that was counted already."""


class PlacementFailure(record.Value, frozen=True, kw_only=True):
    """Why the newest attempt to place found no room: counts first, words last (law 7)."""

    at: float
    needed: tasks.TaskResources
    instances_considered: int
    refused: dict[str, int] = {}
    """Instances refused, by reason: `RESOURCE:CPU`, `RESOURCE:MEMORY`, `RESOURCE:PORTS`, `AGENT`, `DRAINING`, …"""
    closest_instance: str | None = None
    closest_reason: str | None = None
    event_at: float = 0.0
    """When people were last told."""


class ServiceProgress(record.Value, frozen=True, kw_only=True):
    """What the service's controllers remember between passes (law 3). Written by them only."""

    throttle: StartThrottle = StartThrottle()
    placement_failure: PlacementFailure | None = None
    steady_since: float | None = None
    steady_event_at: float | None = None
    blocked_event_at: float | None = None
    impaired_event_at: float | None = None
    next_event_number: int = 0


class Service(record.Record, frozen=True, kw_only=True):
    cluster: str
    name: str
    status: lifecycle.ServiceStatus = "ACTIVE"
    created_at: float
    created_by: str | None = None
    client_token: str | None = None
    tags: tuple[record.Tag, ...] = ()
    spec: ServiceSpec
    deployments: tuple[Deployment, ...] = ()
    """Newest first: PRIMARY, then the ACTIVE ones that are drained."""
    progress: ServiceProgress = ServiceProgress()
    force_delete: bool = False
    inactive_at: float | None = None
    """When it became INACTIVE, as retention counts."""

    @property
    def key(self) -> str:
        return service_key(self.cluster, self.name)

    @property
    def primary(self) -> Deployment:
        """The deployment that the service is going to, or is at."""
        return self.deployments[0]


def service_key(cluster: str, name: str) -> str:
    """The key of a service: names are unique within a cluster."""
    return f"{cluster}/{name}"


def begin_deployment(service: Service, ids: base_ids.Ids, now: float) -> Service:
    """The service with a new PRIMARY deployment of its present spec; the others become ACTIVE and are drained.

    It also resets the start throttle (behaviour.md 5.3, 5.7).
    """
    deployment_id = f"ecs-svc/{ids.digits(19)}"
    fresh = Deployment(
        deployment_id=deployment_id,
        status="PRIMARY",
        task_definition=service.spec.task_definition,
        desired_count=service.spec.desired_count,
        created_at=now,
        updated_at=now,
        launch_type=service.spec.launch_type,
        network_configuration=service.spec.network_configuration,
        monitoring=service.spec.monitoring,
        rollout_state_reason=f"ECS deployment {deployment_id} in progress.",
    )
    older = tuple(
        msgspec.structs.replace(deployment, status="ACTIVE", updated_at=now)
        if deployment.status == "PRIMARY"
        else deployment
        for deployment in service.deployments
    )
    progress = msgspec.structs.replace(
        service.progress, throttle=StartThrottle(), placement_failure=None, steady_since=None, blocked_event_at=None
    )
    return msgspec.structs.replace(service, deployments=(fresh, *older), progress=progress)


def with_desired_count(service: Service, count: int, now: float) -> Service:
    """The service with another desired count, which its newest deployment follows; no deployment begins."""
    newest = msgspec.structs.replace(service.primary, desired_count=count, updated_at=now)
    spec = msgspec.structs.replace(service.spec, desired_count=count)
    return msgspec.structs.replace(service, spec=spec, deployments=(newest, *service.deployments[1:]))


class ServiceEvent(record.Record, frozen=True, kw_only=True):
    """A line that the service's scheduler says to people (behaviour.md 5.8)."""

    cluster: str
    service: str
    number: int
    """Grows by 1 within the service; the newest 100 are kept."""
    event_id: str
    created_at: float
    message: str
    code: str | None = None
    """Machine-readable: `SERVICE_STEADY_STATE`, `SERVICE_TASK_PLACEMENT_FAILURE`, …"""
    counts: dict[str, int] = {}

    @property
    def key(self) -> str:
        return f"{self.cluster}/{self.service}/{self.number:010d}"
