"""What comes over TCS: metrics become data points of services and clusters, health goes into the tasks' records.

A `Board` belongs to one control-plane process: it remembers each instance's newest sample, from which a cluster's
utilization is made (behaviour.md 2.7). It is no record: after a restart it fills again within one sample.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from roadstead.acs import telemetry, timers
from roadstead.control import observation, overrides
from roadstead.model import container_instances, services, tables, task_definitions, tasks
from roadstead.signals import ecs_metrics, metrics
from roadstead.state import plan
from roadstead.state import view as views

CLOCK_SKEW_SECONDS_MAX = 60.0
"""An agent's timestamp that is further away from our clock is replaced by ours."""
CLUSTER_INTERVAL_SECONDS = timers.METRICS_PUBLISH_SECONDS * 0.9
"""A cluster's data points are at least this far apart: one each sample, however many instances report."""
METRIC_NAMES = (ecs_metrics.CPU, ecs_metrics.MEMORY)
HIGH_RESOLUTION_SECONDS = 20
SAMPLE_TASKS_MAX = 10_000
"""Tasks of one instance's sample; more are left out of the cluster's metrics."""


class NewestUsage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a task used in its newest sample: CPU in percent of what it reserved, memory in MiB."""

    at: float
    cpu_percent: float
    memory_mib: float = msgspec.field(name="memoryMiB")


class Board:
    """Each instance's newest sample, by cluster; bounded by the connected instances."""

    def __init__(self) -> None:
        self._tasks: dict[str, dict[str, NewestUsage]] = {}
        self._usages: dict[str, dict[str, ecs_metrics.InstanceUsage]] = {}
        self._published_at: dict[str, float] = {}

    def note(self, cluster: str, instance_id: str, usage: ecs_metrics.InstanceUsage) -> None:
        """Keep an instance's newest sample."""
        self._usages.setdefault(cluster, {})[instance_id] = usage

    def note_tasks(self, instance_id: str, newest: dict[str, NewestUsage]) -> None:
        """Keep what each task of an instance used, by the task's id."""
        self._tasks[instance_id] = newest

    def task_usages(self, view: views.View, cluster: str) -> dict[str, NewestUsage]:
        """The newest sample of each task of a cluster whose instance is connected, by the task's id."""
        found: dict[str, NewestUsage] = {}
        for instance_id in self._usages.get(cluster, {}):
            for task_id, newest in self._tasks.get(instance_id, {}).items():
                if (task := view.get(tasks.Task, task_id)) is not None and task.is_live:
                    found[task_id] = newest
        return found

    def forget(self, cluster: str, instance_id: str) -> None:
        """The instance's telemetry ended."""
        self._tasks.pop(instance_id, None)
        usages = self._usages.get(cluster)
        if usages is None:
            return
        usages.pop(instance_id, None)
        if not usages:
            del self._usages[cluster]
            self._published_at.pop(cluster, None)

    def cluster_data(self, view: views.View, cluster: str, at: float) -> list[metrics.Datum]:
        """The cluster's data points, or none where its last ones are too young."""
        if at - self._published_at.get(cluster, float("-inf")) < CLUSTER_INTERVAL_SECONDS:
            return []
        self._published_at[cluster] = at
        _, cpu_units, memory_mib = view.tally(tables.CONTAINER_INSTANCES, "capacity", cluster)
        capacity = ecs_metrics.InstanceCapacity(cpu_units=cpu_units, memory_mib=memory_mib)
        return ecs_metrics.cluster_data(cluster, self._usages.get(cluster, {}).values(), [capacity], at)


class Stream:
    """One agent's telemetry: adds up the messages of a sample until the one marked `fin`."""

    def __init__(self, board: Board, instance_id: str) -> None:
        self.board = board
        self.instance_id = instance_id
        self._sample: list[ecs_metrics.TaskUsage] = []
        self._newest: dict[str, NewestUsage] = {}

    def publish_metrics(self, request: telemetry.PublishMetricsRequest, view: views.View, now: float) -> plan.Plan:
        """A PublishMetricsRequest as data points. Tasks that are not RUNNING on this instance are left out."""
        instance = view.get(container_instances.ContainerInstance, self.instance_id)
        if instance is None or instance.status == "INACTIVE":
            return plan.NOTHING
        at = request.timestamp if abs(request.timestamp - now) <= CLOCK_SKEW_SECONDS_MAX else now
        host_cpu_units = float(instance.capacity.cpu_units)
        by_service: dict[str, list[tuple[ecs_metrics.TaskUsage, ecs_metrics.Reservation]]] = {}
        for report in request.task_metrics[: telemetry.TASKS_PER_MESSAGE_MAX]:
            task = _running_task(view, report.task_arn, self.instance_id)
            usage = _usage(report.container_metrics)
            if task is None or usage is None:
                continue
            if len(self._sample) < SAMPLE_TASKS_MAX:
                self._sample.append(usage)
            reserved = reservation_of(view, task)
            if reserved is not None and len(self._newest) < SAMPLE_TASKS_MAX:
                self._newest[task.task_id] = _newest(usage, reserved, host_cpu_units, at)
            if task.spec.service is not None and reserved is not None:
                by_service.setdefault(task.spec.service, []).append((usage, reserved))
        draft = plan.Draft(view)
        for name, samples in by_service.items():
            service = view.get(services.Service, services.service_key(instance.cluster, name))
            high = high_resolution_of(service)
            draft.publish(ecs_metrics.service_data(instance.cluster, name, samples, host_cpu_units, at, high))
        if request.metadata.fin or request.metadata.idle:
            usage_of_all = ecs_metrics.instance_usage(self._sample, host_cpu_units, at)
            self.board.note_tasks(self.instance_id, self._newest)
            self._sample, self._newest = [], {}
            self.board.note(instance.cluster, self.instance_id, usage_of_all)
            draft.publish(self.board.cluster_data(view, instance.cluster, at))
        return draft.plan()


def _newest(
    usage: ecs_metrics.TaskUsage, reserved: ecs_metrics.Reservation, host_cpu_units: float, at: float
) -> NewestUsage:
    used_cpu_units = usage.cpu_percent_of_host / 100.0 * host_cpu_units
    percent = 100.0 * used_cpu_units / reserved.cpu_units if reserved.cpu_units else 0.0
    return NewestUsage(at=at, cpu_percent=percent, memory_mib=usage.memory_mib)


def publish_health(
    request: telemetry.PublishHealthRequest, instance_id: str, view: views.View, now: float
) -> plan.Plan:
    """A PublishHealthRequest as what was observed of the instance's tasks: one plan for all of them."""
    draft = plan.Draft(view)
    for report in request.tasks[: telemetry.TASKS_PER_MESSAGE_MAX]:
        task = _task_of(view, report.task_arn, instance_id)
        definition = view.get(task_definitions.TaskDefinition, task.spec.task_definition) if task else None
        if task is None or definition is None:
            continue
        healths = tuple(
            observation.ContainerHealthReport(
                name=one.container_name, status=one.health_status, since=one.status_since or now
            )
            for one in report.containers
        )
        draft.put(observation.observe_health(task, definition, healths, now))
    return draft.plan()


def _task_of(view: views.View, task_arn: str, instance_id: str) -> tasks.Task | None:
    task = view.get(tasks.Task, task_arn.rpartition("/")[2])
    return task if task is not None and task.desired.container_instance == instance_id else None


def _running_task(view: views.View, task_arn: str, instance_id: str) -> tasks.Task | None:
    task = _task_of(view, task_arn, instance_id)
    return task if task is not None and task.observed.last_status == "RUNNING" else None


def _usage(containers: Iterable[telemetry.ContainerMetric]) -> ecs_metrics.TaskUsage | None:
    """The containers' means, summed up; None where nothing was sampled."""
    sampled = tuple(containers)
    cpu = [_mean(one.cpu_stats_set) for one in sampled if _sampled(one.cpu_stats_set)]
    memory = [_mean(one.memory_stats_set) for one in sampled if _sampled(one.memory_stats_set)]
    if not cpu and not memory:
        return None
    return ecs_metrics.TaskUsage(cpu_percent_of_host=sum(cpu), memory_mib=sum(memory))


def _sampled(stats: telemetry.StatsSet | None) -> bool:
    return stats is not None and stats.sample_count > 0


def _mean(stats: telemetry.StatsSet | None) -> float:
    assert stats is not None and stats.sample_count > 0, "checked by _sampled"
    return stats.sum / stats.sample_count


def reservation_of(view: views.View, task: tasks.Task) -> ecs_metrics.Reservation | None:
    """What a task's usage is measured against; None where its definition is gone."""
    definition = view.get(task_definitions.TaskDefinition, task.spec.task_definition)
    if definition is None:
        return None
    return ecs_metrics.reservation(
        overrides.effective_cpu_units(definition, task.spec.overrides),
        overrides.effective_memory_mib(definition, task.spec.overrides),
        [
            ecs_metrics.ContainerReservation(
                cpu_units=one.cpu, memory_mib=one.memory, memory_reservation_mib=one.memory_reservation
            )
            for one in overrides.effective_containers(definition, task.spec.overrides)
        ],
    )


def high_resolution_of(service: services.Service | None) -> frozenset[str]:
    """Names of the metrics that the service publishes each 20 s (behaviour.md 1.3.6)."""
    if service is None:
        return frozenset()
    monitoring = service.spec.monitoring
    return frozenset(name for name in METRIC_NAMES if monitoring.resolution_seconds(name) == HIGH_RESOLUTION_SECONDS)
