"""Which records are stored, and by what they can be found: tables, indexes and tallies, as data.

`state.store` keeps an index up to date at each write, so that no decision scans (design.md, law 10).
An **index** maps a value to the records that have it, in order of a sort key. A **tally** adds up numbers over the
records of a group. A function that gives nothing leaves the record out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from roadstead.model import (
    alarms,
    clusters,
    container_instances,
    custom_resources,
    predictive,
    record,
    scaling,
    services,
    task_definitions,
    tasks,
)

R = TypeVar("R", bound=record.Record)
Group = tuple[str, ...]
Order = tuple[Any, ...]


class Index(Generic[R]):
    """`groups(record)`: the values under which it is found. `order(record)`: where it stands among them.

    `part(record)`, where given: all that both depend on besides the key. While it is the same object, nothing moves.
    """

    def __init__(
        self,
        groups: Callable[[R], tuple[Group, ...]],
        order: Callable[[R], Order] | None = None,
        part: Callable[[R], object] | None = None,
    ) -> None:
        self.groups = groups
        self.part = part
        self.order = order or (lambda one: (one.key,))
        self.is_by_key = order is None


class Tally(Generic[R]):
    """`amounts(record)`: for each group the numbers that this record adds to it."""

    def __init__(self, width: int, amounts: Callable[[R], tuple[tuple[Group, tuple[int, ...]], ...]]) -> None:
        self.width = width
        self.amounts = amounts


class Table(Generic[R]):
    """A kind of record: its name in the journal, its indexes and tallies by name."""

    def __init__(
        self,
        name: str,
        record_type: type[R],
        indexes: Mapping[str, Index[R]] | None = None,
        tallies: Mapping[str, Tally[R]] | None = None,
    ) -> None:
        self.name = name
        self.record_type = record_type
        self.indexes = dict(indexes or {})
        self.tallies = dict(tallies or {})


def _task_listings(task: tasks.Task) -> tuple[Group, ...]:
    """ListTasks' filters, each a group of its own; the most selective one is read, the others are checked."""
    base = (task.cluster, task.desired.status)
    groups: list[Group] = [base, (*base, "family", task.family)]
    if task.spec.service is not None:
        groups.append((*base, "service", task.spec.service))
    if task.spec.started_by is not None:
        groups.append((*base, "startedBy", task.spec.started_by))
    if task.desired.container_instance is not None:
        groups.append((*base, "instance", task.desired.container_instance))
    return tuple(groups)


def _live_service(task: tasks.Task) -> tuple[Group, ...]:
    if task.spec.service is None or not task.is_live:
        return ()
    return ((task.cluster, task.spec.service),)


def _unseen_stops(task: tasks.Task) -> tuple[Group, ...]:
    if task.spec.service is None or task.is_live or task.accounting.stop_seen:
        return ()
    return ((task.cluster, task.spec.service),)


def _counts(task: tasks.Task) -> tuple[int, int, int]:
    status = task.observed.last_status
    stopping = task.desired.status == "STOPPED"
    return (
        1 if status == "RUNNING" else 0,
        1 if status in ("PROVISIONING", "PENDING", "ACTIVATING") else 0,
        1 if stopping else 0,
    )


def _task_counts(task: tasks.Task) -> tuple[tuple[Group, tuple[int, ...]], ...]:
    if not task.is_live:
        return ()
    amounts = _counts(task)
    groups: list[Group] = [("cluster", task.cluster)]
    if task.spec.service is not None:
        groups.append(("service", task.cluster, task.spec.service))
        if task.spec.deployment_id is not None:
            groups.append(("deployment", task.cluster, task.spec.service, task.spec.deployment_id))
    if task.desired.container_instance is not None:
        groups.append(("instance", task.desired.container_instance))
    return tuple((group, amounts) for group in groups)


def _instance_usage(task: tasks.Task) -> tuple[tuple[Group, tuple[int, ...]], ...]:
    if task.desired.container_instance is None or not task.is_live:
        return ()
    return (((task.desired.container_instance,), (task.spec.resources.cpu_units, task.spec.resources.memory_mib, 1)),)


def _group_in_zone(task: tasks.Task) -> tuple[tuple[Group, tuple[int, ...]], ...]:
    if task.desired.availability_zone is None or not task.should_run:
        return ()
    return (((task.cluster, task.spec.group, task.desired.availability_zone), (1,)),)


def _host_ports(task: tasks.Task) -> tuple[Group, ...]:
    """Ports of the instance that the task holds: the fixed ones it was placed for, and those its agent chose."""
    instance = task.desired.container_instance
    if instance is None or not task.is_live:
        return ()
    ports = {(port.port, port.protocol) for port in task.spec.resources.host_ports}
    if task.desired.network_interface is None:
        for container in task.observed.containers:
            ports.update((bound.host_port, bound.protocol) for bound in container.network_bindings)
    return tuple((instance, f"{port}/{protocol}") for port, protocol in sorted(ports))


def _group_on_instance(task: tasks.Task) -> tuple[tuple[Group, tuple[int, ...]], ...]:
    if task.desired.container_instance is None or not task.should_run:
        return ()
    return (((task.cluster, task.spec.group, task.desired.container_instance), (1,)),)


TASKS = Table(
    "tasks",
    tasks.Task,
    indexes={
        # (cluster, desired status[, filter, value]) → every task that ListTasks may name
        "listing": Index(_task_listings),
        # (cluster, service) → tasks that are not STOPPED, oldest first
        "live_by_service": Index(_live_service, lambda task: (task.created_at, task.task_id)),
        # (cluster, service) → STOPPED tasks that the service's controller has not looked at yet
        "unseen_stops": Index(_unseen_stops),
        # (instance id,) → tasks that are not STOPPED
        "live_by_instance": Index(
            lambda task: (
                ((task.desired.container_instance,),) if task.desired.container_instance and task.is_live else ()
            )
        ),
        # (instance id, address) → live awsvpc tasks with that address
        "addresses": Index(
            lambda task: (
                ((task.desired.container_instance, task.desired.network_interface.ipv4_address),)
                if task.desired.container_instance and task.desired.network_interface and task.is_live
                else ()
            )
        ),
        # (instance id, "port/protocol") → live tasks that hold that port of the instance
        "host_ports": Index(_host_ports),
        # (attachment id,) → the live awsvpc task whose network interface it is
        "attachment": Index(
            lambda task: (
                ((task.desired.network_interface.attachment_id,),)
                if task.desired.network_interface and task.is_live
                else ()
            )
        ),
        # (cluster,) → live tasks that have no instance yet
        "unplaced": Index(
            lambda task: ((task.cluster,),) if task.should_run and task.desired.container_instance is None else (),
            lambda task: (task.created_at, task.task_id),
        ),
        # (cluster,) → live tasks that should stop and never had an instance
        "stopping_unplaced": Index(
            lambda task: (
                ((task.cluster,),)
                if task.is_live and task.desired.status == "STOPPED" and task.desired.container_instance is None
                else ()
            )
        ),
        # ("all",) → STOPPED tasks in the order in which they stopped, for retention
        "stopped": Index(
            lambda task: () if task.is_live else (("all",),),
            lambda task: (task.observed.stopped_at or 0.0, task.task_id),
        ),
        # (cluster, client token) → tasks started with it
        "client_token": Index(
            lambda task: ((task.cluster, task.spec.client_token),) if task.spec.client_token is not None else ()
        ),
    },
    tallies={
        # ("cluster"|"service"|"deployment"|"instance", …) → (RUNNING, pending, desired STOPPED) of live tasks
        "counts": Tally(3, _task_counts),
        # (instance id,) → (CPU units, memory MiB, tasks) held by live tasks
        "usage": Tally(3, _instance_usage),
        # (cluster, group, instance id) → tasks of the group that should run there
        "group_on_instance": Tally(1, _group_on_instance),
        # (cluster, group, availability zone) → tasks of the group that should run there
        "group_in_zone": Tally(1, _group_in_zone),
    },
)

CLUSTERS = Table(
    "clusters",
    clusters.Cluster,
    indexes={
        "all": Index(lambda one: (("all",),)),
        # ("all",) → INACTIVE clusters, for retention
        "inactive": Index(
            lambda one: (("all",),) if one.status == "INACTIVE" else (), lambda one: (one.inactive_at or 0.0, one.name)
        ),
    },
)

TASK_DEFINITIONS = Table(
    "task_definitions",
    task_definitions.TaskDefinition,
    indexes={
        # (status,) and (status, family) → revisions, by family and number
        "listing": Index(lambda one: ((one.status,), (one.status, one.family)), lambda one: (one.family, one.revision)),
    },
)

FAMILIES = Table(
    "task_definition_families",
    task_definitions.TaskDefinitionFamily,
    indexes={
        "all": Index(lambda one: (("ALL",), ("ACTIVE",) if one.active_revisions else ("INACTIVE",))),
    },
)

CONTAINER_INSTANCES = Table(
    "container_instances",
    container_instances.ContainerInstance,
    indexes={
        # (cluster,) and (cluster, status) → instances
        "by_cluster": Index(
            lambda one: ((one.cluster,), (one.cluster, one.status)), lambda one: (one.registered_at, one.instance_id)
        ),
        "client_token": Index(lambda one: ((one.cluster, one.client_token),) if one.client_token else ()),
        # (cluster,) → instances that accept tasks, by zone: placement's candidates
        "placeable": Index(
            lambda one: ((one.cluster,),) if one.accepts_tasks else (),
            lambda one: (one.availability_zone, one.instance_id),
        ),
        # ("all",) → INACTIVE instances, for retention
        "inactive": Index(
            lambda one: (("all",),) if one.status == "INACTIVE" else (),
            lambda one: (one.inactive_at or 0.0, one.instance_id),
        ),
    },
    tallies={
        # (cluster,) → (instances that are not INACTIVE, CPU units and MiB of those that are ACTIVE or DRAINING)
        "capacity": Tally(
            3,
            lambda one: (
                (((one.cluster,), (1, one.capacity.cpu_units, one.capacity.memory_mib)),)
                if one.status != "INACTIVE"
                else ()
            ),
        ),
    },
)

SERVICES = Table(
    "services",
    services.Service,
    indexes={
        # (cluster,), (cluster, status) → services by name
        "by_cluster": Index(lambda one: ((one.cluster,), (one.cluster, one.status)), lambda one: (one.name,)),
        # (cluster,) → services that found no room for a task, the longest waiting first
        "waiting_for_room": Index(
            lambda one: ((one.cluster,),) if one.progress.placement_failure is not None else (),
            lambda one: (
                one.progress.placement_failure.at if one.progress.placement_failure is not None else 0.0,
                one.name,
            ),
        ),
        # ("all",) → INACTIVE services, the longest gone first; for retention
        "inactive": Index(
            lambda one: (("all",),) if one.status == "INACTIVE" else (), lambda one: (one.inactive_at or 0.0, one.name)
        ),
    },
    tallies={
        # (cluster,) → services that are not INACTIVE
        "active": Tally(1, lambda one: (((one.cluster,), (1,)),) if one.status == "ACTIVE" else ()),
    },
)

SERVICE_EVENTS = Table(
    "service_events",
    services.ServiceEvent,
    indexes={"by_service": Index(lambda one: ((one.cluster, one.service),), lambda one: (one.number,))},
)

SCALABLE_TARGETS = Table(
    "scalable_targets",
    scaling.ScalableTarget,
    indexes={
        "by_namespace": Index(lambda one: ((one.namespace,),)),
        # (last part of its ARN,) → the target
        "by_id": Index(lambda one: ((one.target_id,),)),
    },
)

SCALING_POLICIES = Table(
    "scaling_policies",
    scaling.ScalingPolicy,
    indexes={
        "by_namespace": Index(lambda one: ((one.namespace,),)),
        "by_target": Index(lambda one: ((one.target_key,),)),
        # (the UUID of its ARN,) → the policy
        "by_id": Index(lambda one: ((one.policy_id,),)),
        # (alarm name,) → the policy that owns it
        "by_alarm": Index(lambda one: tuple((name,) for name in one.alarm_names)),
        # ("all",) → policies that own alarms
        "owning_alarms": Index(lambda one: (("all",),) if one.alarm_high else ()),
    },
)

FORECASTS = Table(
    "forecasts",
    predictive.Forecast,
    indexes={
        "all": Index(lambda one: (("all",),)),
        # ("all",) → forecasts that somebody has to compute
        "asked": Index(lambda one: (("all",),) if one.is_asked else ()),
    },
)

SCHEDULED_ACTIONS = Table(
    "scheduled_actions",
    scaling.ScheduledAction,
    indexes={
        "by_namespace": Index(lambda one: ((one.namespace,),)),
        "by_target": Index(lambda one: ((one.target_key,),)),
    },
)

CUSTOM_RESOURCES = Table(
    "custom_resources",
    custom_resources.CustomResource,
    # ("all",) → by URL
    indexes={"all": Index(lambda one: (("all",),))},
)

SCALING_ACTIVITIES = Table(
    "scaling_activities",
    scaling.ScalingActivity,
    indexes={
        # (namespace,) and (target key,) → activities, newest first
        "newest_first": Index(
            lambda one: ((one.namespace,), (one.target_key,)),
            lambda one: (-one.started_at, -one.number, one.activity_id),
        ),
        # (target key,) → activities that still wait for their outcome
        "unfinished": Index(lambda one: ((one.target_key,),) if one.status in ("Pending", "InProgress") else ()),
        # ("all",) → oldest first, for retention
        "oldest_first": Index(lambda one: (("all",),), lambda one: (one.started_at, one.activity_id)),
    },
)


def _metric_groups(spec: alarms.AlarmSpec) -> tuple[Group, ...]:
    if spec.namespace is None or spec.metric_name is None:
        return ()
    return ((spec.namespace, spec.metric_name, *sum(spec.dimensions, ())),)


ALARMS = Table(
    "alarms",
    alarms.MetricAlarm,
    indexes={
        # ("all",) and (state,) → alarms by name
        "listing": Index(lambda one: (("all",), (one.observed.state,))),
        # (namespace, metric name, dimension, value, …) → alarms on that metric; those on metric math are in none
        "by_metric": Index(lambda one: _metric_groups(one.spec), part=lambda one: one.spec),
        # (action,) → alarms that carry it, for whichever state
        "by_action": Index(
            lambda one: tuple((action,) for action in sorted(set(one.spec.every_action))), part=lambda one: one.spec
        ),
    },
)

COMPOSITE_ALARMS = Table(
    "composite_alarms",
    alarms.CompositeAlarm,
    indexes={
        # ("all",) and (state,) → alarms by name
        "listing": Index(lambda one: (("all",), (one.observed.state,))),
        # (alarm name,) → composite alarms whose rules name it
        "by_child": Index(lambda one: tuple((name,) for name in one.spec.children)),
        # (alarm name,) → composite alarms whose actions it suppresses
        "by_suppressor": Index(
            lambda one: ((one.spec.suppressor_name,),) if one.spec.suppressor_name is not None else ()
        ),
    },
)

ALARM_HISTORY = Table(
    "alarm_history",
    alarms.AlarmHistoryItem,
    indexes={
        # ("all",) and (alarm name,) → items, oldest first
        "by_alarm": Index(
            lambda one: (("all",), ("alarm", one.alarm_name)), lambda one: (one.timestamp, one.number, one.item_id)
        ),
        # ("all",) and ("alarm", alarm name) → items, newest first
        "newest_first": Index(
            lambda one: (("all",), ("alarm", one.alarm_name)), lambda one: (-one.timestamp, -one.number, one.item_id)
        ),
    },
)

ALL: tuple[Table[Any], ...] = (
    CLUSTERS,
    TASK_DEFINITIONS,
    FAMILIES,
    CONTAINER_INSTANCES,
    TASKS,
    SERVICES,
    SERVICE_EVENTS,
    SCALABLE_TARGETS,
    SCALING_POLICIES,
    FORECASTS,
    SCHEDULED_ACTIONS,
    CUSTOM_RESOURCES,
    SCALING_ACTIVITIES,
    ALARMS,
    COMPOSITE_ALARMS,
    ALARM_HISTORY,
)
