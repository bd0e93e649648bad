"""From what agents measure to AWS/ECS CPUUtilization and MemoryUtilization (behaviour.md 2.7).

Agents send, every 20 s, each container's CPU as percent of the whole host and its memory in MiB
(agent-protocol.md 4). The gateway knows which task belongs to which service and what it reserved; these functions
turn the one into the other, as data for `series.SeriesStore`. A service's datum carries one value per task and
sample, so that over a minute Average is the mean of all of them, Minimum and Maximum are single tasks' values and
SampleCount is 3 x tasks. Whoever has no task publishes nothing.

All functions are pure; who calls `cluster_data` keeps each instance's newest `InstanceUsage`.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from roadstead.signals import metrics

NAMESPACE = "AWS/ECS"
CPU = "CPUUtilization"
MEMORY = "MemoryUtilization"
PERCENT = "Percent"
CPU_UNITS_MIN = 2
"""A container without cpu counts as 2 units: the agent never gives the kernel fewer shares."""
USAGE_SECONDS_MAX = 60.0
"""An instance silent for longer (three samples) is left out of its cluster's metric."""
METRICS_KEPT_MAX = 4096
"""Names of metrics that are kept from sample to sample."""
VALUES_PER_DATUM_MAX = 150
"""Distinct values in one datum, as PutMetricData allows."""


class ContainerReservation(msgspec.Struct, frozen=True, kw_only=True):
    """What a container definition reserves: cpu units, hard limit and soft limit in MiB (0 or None where unset)."""

    cpu_units: int = 0
    memory_mib: int | None = None
    memory_reservation_mib: int | None = None


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """What a task's usage is measured against. With `is_cpu_capped` (cpu set for the task) 100 % is the limit."""

    cpu_units: float
    memory_mib: float
    is_cpu_capped: bool


class TaskUsage(msgspec.Struct, frozen=True, kw_only=True):
    """One sample of one task, its containers summed up: CPU in percent of the whole host, memory in MiB."""

    cpu_percent_of_host: float
    memory_mib: float


class InstanceUsage(msgspec.Struct, frozen=True, kw_only=True):
    """One sample of all tasks on one container instance, taken at `at` (epoch seconds).

    `cpu_units` and `memory_mib` are used by tasks, `tasks` is how many run.
    """

    at: float
    cpu_units: float
    memory_mib: float
    tasks: int


class InstanceCapacity(msgspec.Struct, frozen=True, kw_only=True):
    """What a container instance registered. Only ACTIVE and DRAINING instances count for a cluster's metrics."""

    cpu_units: float
    memory_mib: float


def reservation(
    task_cpu_units: int | None, task_memory_mib: int | None, containers: Sequence[ContainerReservation]
) -> Reservation:
    """What a task definition reserves: the task's own cpu and memory where set, else the sum over its containers.

    Of a container the soft memory limit counts if set, else the hard limit (behaviour.md 2.7).
    """
    cpu = task_cpu_units or sum(max(each.cpu_units, CPU_UNITS_MIN) for each in containers)
    memory = task_memory_mib or sum(each.memory_reservation_mib or each.memory_mib or 0 for each in containers)
    return Reservation(
        cpu_units=float(cpu or CPU_UNITS_MIN), memory_mib=float(memory), is_cpu_capped=bool(task_cpu_units)
    )


def cpu_utilization(usage: TaskUsage, host_cpu_units: float, reserved: Reservation) -> float:
    """A task's CPU in percent of what it reserved; above 100 only where cpu is set for containers alone."""
    used = usage.cpu_percent_of_host / 100.0 * host_cpu_units
    percent = used * 100.0 / reserved.cpu_units
    return min(percent, 100.0) if reserved.is_cpu_capped else percent


def memory_utilization(usage: TaskUsage, reserved: Reservation) -> float | None:
    """A task's memory in percent of what it reserved; None where it reserved none."""
    return usage.memory_mib * 100.0 / reserved.memory_mib if reserved.memory_mib else None


def service_data(
    cluster: str,
    service: str,
    tasks: Iterable[tuple[TaskUsage, Reservation]],
    host_cpu_units: float,
    at: float,
    high_resolution: frozenset[str] = frozenset(),
) -> list[metrics.Datum]:
    """One instance's sample of one service's tasks, as data of {ClusterName, ServiceName}.

    `host_cpu_units` is 1024 for each of the host's cores, `at` the moment of the sample, `high_resolution` the names
    of the metrics that the service asked for each 20 s. Empty where no task was sampled.
    """
    cpu: list[float] = []
    memory: list[float] = []
    for usage, reserved in tasks:
        cpu.append(cpu_utilization(usage, host_cpu_units, reserved))
        of_memory = memory_utilization(usage, reserved)
        if of_memory is not None:
            memory.append(of_memory)
    data: list[metrics.Datum] = []
    for name, values in ((CPU, cpu), (MEMORY, memory)):
        data += data_of(metric(name, cluster, service), Counter(values), at, name in high_resolution)
    return data


def instance_usage(tasks: Iterable[TaskUsage], host_cpu_units: float, at: float) -> InstanceUsage:
    """One instance's sample of all its tasks (those without a service too), for `cluster_data`."""
    sampled = list(tasks)
    return InstanceUsage(
        at=at,
        cpu_units=sum(each.cpu_percent_of_host for each in sampled) / 100.0 * host_cpu_units,
        memory_mib=sum(each.memory_mib for each in sampled),
        tasks=len(sampled),
    )


def cluster_data(
    cluster: str, usages: Iterable[InstanceUsage], capacities: Iterable[InstanceCapacity], at: float
) -> list[metrics.Datum]:
    """A cluster's `cluster_utilization` as data of {ClusterName}."""
    data: list[metrics.Datum] = []
    for name, percent in cluster_utilization(usages, capacities, at):
        data += data_of(metric(name, cluster), {percent: 1}, at, False)
    return data


def cluster_utilization(
    usages: Iterable[InstanceUsage], capacities: Iterable[InstanceCapacity], at: float
) -> list[tuple[str, float]]:
    """A cluster's use in percent of all that its ACTIVE and DRAINING instances registered, by the metric's name.

    `usages` holds the newest sample of each such instance; those older than USAGE_SECONDS_MAX before `at` don't
    count. Empty where no task runs or nothing is registered.
    """
    fresh = [usage for usage in usages if at - usage.at <= USAGE_SECONDS_MAX]
    registered = list(capacities)
    if not any(usage.tasks for usage in fresh):
        return []
    shares = (
        (CPU, sum(usage.cpu_units for usage in fresh), sum(each.cpu_units for each in registered)),
        (MEMORY, sum(usage.memory_mib for usage in fresh), sum(each.memory_mib for each in registered)),
    )
    found = [(name, percent_of(used, capacity)) for name, used, capacity in shares]
    return [(name, percent) for name, percent in found if percent is not None]


def percent_of(used: float, capacity: float) -> float | None:
    """What part of a cluster's capacity is used; None where it has none."""
    return used * 100.0 / capacity if capacity > 0.0 else None


@functools.lru_cache(maxsize=METRICS_KEPT_MAX)
def metric(name: str, cluster: str, service: str | None = None) -> metrics.Metric:
    """A metric of a cluster, or of a service in it; the same object each time, whose hash is known."""
    of_service = (("ServiceName", service),) if service is not None else ()
    return metrics.Metric(NAMESPACE, name, (("ClusterName", cluster), *of_service))


def data_of(
    subject: metrics.Metric, counted: Mapping[float, int], at: float, is_high_resolution: bool
) -> list[metrics.Datum]:
    """Values, each with how often it was measured (once at least), as few data."""
    resolution = metrics.HIGH_RESOLUTION_SECONDS if is_high_resolution else metrics.STANDARD_RESOLUTION_SECONDS
    if len(counted) == 1:  # as nearly always, where tasks burn alike
        ((value, times),) = counted.items()
        only = metrics.Datum(
            metric=subject,
            timestamp=at,
            values=(value,),
            counts=() if times == 1 else (float(times),),
            unit=PERCENT,
            storage_resolution_seconds=resolution,
        )
        return [only]
    seen = sorted(counted.items())
    data: list[metrics.Datum] = []
    for first in range(0, len(seen), VALUES_PER_DATUM_MAX):
        part = seen[first : first + VALUES_PER_DATUM_MAX]
        is_single = sum([count for _, count in part]) == len(part)
        data.append(
            metrics.Datum(
                metric=subject,
                timestamp=at,
                values=tuple([value for value, _ in part]),
                counts=() if is_single else tuple([float(count) for _, count in part]),
                unit=PERCENT,
                storage_resolution_seconds=resolution,
            )
        )
    return data
