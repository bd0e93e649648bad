"""From readings of cgroups to TCS's statistic sets (agent-protocol.md 4; behaviour.md 2.7). Pure.

A reading comes every 5 s; every 20 s what was gathered goes out. CPU is in percent of the WHOLE host (100 = all its
cores busy), memory in MiB.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from roadstead.acs import tasks as acs_tasks
from roadstead.acs import telemetry
from roadstead.agent import records, runtime
from roadstead.base import ids

MIB = 1 << 20
SAMPLES_MAX = 120
"""Of one container, between two publications: ten minutes without a connection. The oldest go first."""

Running = Sequence[tuple[acs_tasks.Task, list[records.ContainerState]]]


class _Series(msgspec.Struct):
    """What was gathered of one container since the last publication."""

    last: runtime.Usage
    cpu_percent: list[float]
    memory_mib: list[float]
    rx_bytes: list[float]
    tx_bytes: list[float]


class Sampler:
    """Gathers readings. `cores` is the host's cpu units / 1024, as they are registered."""

    def __init__(self, cores: float) -> None:
        self._cores = cores
        self._series: dict[str, _Series] = {}

    def add(self, usages: Iterable[runtime.Usage]) -> None:
        """Take one reading of each running container; what has no reading is forgotten with the next publication."""
        for usage in usages:
            series = self._series.get(usage.container_id)
            if series is None:
                self._series[usage.container_id] = _Series(usage, [], [], [], [])
            else:
                self._grow(series, usage)

    def _grow(self, series: _Series, usage: runtime.Usage) -> None:
        last, series.last = series.last, usage
        seconds = usage.read_at - last.read_at
        cpu = usage.cpu_seconds_total - last.cpu_seconds_total
        if seconds <= 0 or cpu < 0:
            return  # the clock was set, or the container was restarted: a new beginning
        series.cpu_percent.append(100 * cpu / seconds / self._cores)
        series.memory_mib.append(usage.memory_bytes / MIB)
        series.rx_bytes.append(max(0, usage.network_rx_bytes - last.network_rx_bytes))
        series.tx_bytes.append(max(0, usage.network_tx_bytes - last.network_tx_bytes))
        for gathered in (series.cpu_percent, series.memory_mib, series.rx_bytes, series.tx_bytes):
            del gathered[:-SAMPLES_MAX]

    def publish(self, running: Running) -> list[telemetry.TaskMetric]:
        """The statistic sets of what runs, and begin anew. Containers without two readings are left out."""
        metrics = []
        kept: dict[str, _Series] = {}
        for task, containers in running:
            found = []
            for container in containers:
                series = self._series.get(container.container_id)
                if series is None:
                    continue
                kept[container.container_id] = _Series(series.last, [], [], [], [])
                if series.cpu_percent:
                    found.append(_metric(task, container, series))
            if found:
                metrics.append(
                    telemetry.TaskMetric(
                        task_arn=task.arn,
                        task_definition_family=task.family,
                        task_definition_version=task.version,
                        container_metrics=tuple(found),
                    )
                )
        self._series = kept
        return metrics


def metrics_requests(
    metrics: Sequence[telemetry.TaskMetric],
    cluster: str,
    container_instance: str,
    idle: bool,
    now: float,
    names: ids.Ids,
) -> list[telemetry.PublishMetricsRequest]:
    """One publication: at most 10 tasks a message, `fin` on the last, one empty `idle` where nothing runs."""
    size = telemetry.TASKS_PER_MESSAGE_MAX
    batches = [tuple(metrics[at : at + size]) for at in range(0, len(metrics), size)]
    if not batches and idle:
        batches = [()]
    message_id = names.uuid()
    return [
        telemetry.PublishMetricsRequest(
            metadata=telemetry.MetricsMetadata(
                cluster=cluster,
                container_instance=container_instance,
                message_id=message_id,
                idle=idle,
                fin=number == len(batches) - 1,
            ),
            timestamp=now,
            task_metrics=batch,
        )
        for number, batch in enumerate(batches)
    ]


def health_requests(
    health: Sequence[telemetry.TaskHealth], cluster: str, container_instance: str, now: float, names: ids.Ids
) -> list[telemetry.PublishHealthRequest]:
    """The messages about containers with health checks; none where there are none."""
    size = telemetry.TASKS_PER_MESSAGE_MAX
    batches = [tuple(health[at : at + size]) for at in range(0, len(health), size)]
    message_id = names.uuid()
    return [
        telemetry.PublishHealthRequest(
            metadata=telemetry.HealthMetadata(
                cluster=cluster,
                container_instance=container_instance,
                message_id=message_id,
                fin=number == len(batches) - 1,
            ),
            timestamp=now,
            tasks=batch,
        )
        for number, batch in enumerate(batches)
    ]


def _metric(task: acs_tasks.Task, container: records.ContainerState, series: _Series) -> telemetry.ContainerMetric:
    definition = next(each for each in task.containers if each.name == container.name)
    return telemetry.ContainerMetric(
        container_name=container.name,
        container_arn=definition.container_arn,
        cpu_stats_set=_set(series.cpu_percent),
        memory_stats_set=_set(series.memory_mib),
        network_stats_set=telemetry.NetworkStatsSet(rx_bytes=_set(series.rx_bytes), tx_bytes=_set(series.tx_bytes)),
        restart_stats_set=telemetry.RestartStatsSet(restart_count=container.restart_count)
        if definition.restart_policy is not None
        else None,
    )


def _set(samples: list[float]) -> telemetry.StatsSet:
    return telemetry.StatsSet(min=min(samples), max=max(samples), sum=sum(samples), sample_count=len(samples))
