"""Agents and hosts in bulk: a stand-in that makes long simulations cheap.

What it replaces: the agents' machines, the hosts below them, their sockets. What stays production code: operations,
store, every controller, placement, `control.observation` (through which it reports starts and stops, all that are due
at one moment together) and `signals.ecs_metrics` (through which it reports use). Each 20 s every service is measured
as its agents would have measured it together: tasks that share traffic evenly burn the same, so one task's value
stands for all, with their number as the count. What is kept for each 20 s is published at once; what is kept for each
minute, once a minute with all its samples: the same data points. The samples of a stretch of time in which nothing else
happens are taken together, ahead of their time: nobody looks before them. An idle crowd costs nothing but its metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from roadstead.control import observation
from roadstead.control.sessions import connection, telemetry
from roadstead.model import services, tables, task_definitions, tasks
from roadstead.signals import ecs_metrics, metrics
from roadstead.sim import agenda as agendas
from roadstead.sim import load, traffic
from roadstead.state import plan, store
from roadstead.state import view as views

UNITS_PER_CORE = 1024.0
PHASE_SECONDS = 10.0
"""When within its 20 s a sample is told: agents are spread evenly, this is their mean."""
STOPPED_BY_SIGNAL = 143
MINUTE_SECONDS = 60.0
STRETCH_SAMPLES_MAX = 180
"""Samples that are taken together at most: an hour's. Data may lie two hours ahead."""

What = Literal["RUNNING", "STOPPED"]
Seconds = float | Callable[[], float]
"""A span that is always the same, or one drawn anew each time."""
Source = Callable[[float], Sequence[metrics.Datum]]
"""What else is measured at the moment of a sample. It may depend on records, which are the same for a whole stretch."""


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment's running tasks: what each reserves, how many they are, what part of their memory they use."""

    reserved: ecs_metrics.Reservation
    tasks: int
    memory_percent: float | None


class _Running(msgspec.Struct, frozen=True, kw_only=True):
    """A service under load, for as long as neither it nor its tasks change."""

    wanted: load.ServiceLoad
    rate: Callable[[float], float]
    """Its requests per second at a moment."""
    tasks: int
    parts: tuple[_Part, ...]
    cpu: metrics.Metric
    memory: metrics.Metric
    high_resolution: tuple[metrics.Metric, ...]


class Crowd:
    """Container instances of one size in one cluster, all connected for ever, on which nothing goes wrong.

    `begin` makes them known; from then on `note` must hear of every commit. More of them may `join` later, and those
    without tasks `leave`.
    """

    def __init__(
        self,
        agenda: agendas.Agenda,
        look: Callable[[], store.Store],
        *,
        cluster: str,
        instances: Sequence[str],
        cpu_units: int,
        start_seconds: Seconds,
        stop_seconds: float,
    ) -> None:
        """`instances` are the ids of registered container instances; `start_seconds` is asked for each task."""
        self._agenda = agenda
        self._store = look
        self._cluster = cluster
        self._instances = set(instances)
        self._cpu_units = float(cpu_units)
        self._start_seconds = start_seconds
        self._stop_seconds = stop_seconds
        self._loads: dict[str, load.ServiceLoad] = {}
        self._due: dict[float, list[tuple[str, What]]] = {}
        self._reserved: dict[str, ecs_metrics.Reservation] = {}
        """By task definition: those never change."""
        self._cluster_cpu = ecs_metrics.metric(ecs_metrics.CPU, cluster)
        self._cluster_memory = ecs_metrics.metric(ecs_metrics.MEMORY, cluster)
        self._samples: dict[metrics.Metric, dict[float, int]] = {}
        """Values that wait to be published, each with how often it was measured."""
        self._sources: list[Source] = []
        self._published: set[metrics.Metric] = set()
        """Those of which there are data points."""
        self._running: list[_Running] | None = None
        """None where it is to be looked up anew."""
        self._cpu_registered = 0.0
        self._steady: list[tuple[metrics.Metric, float, int]] = []
        """What is measured in each sample alike while that is so: the use of memory, each value with its count."""
        self._steady_samples = 0
        """Samples since it was counted last."""

    def begin(self) -> None:
        """Connect all instances, and begin to measure."""
        now = self._agenda.now()
        for instance_id in sorted(self._instances):
            self._connect(instance_id)
        interval = load.INTERVAL_SECONDS
        self._agenda.at((now // interval) * interval + interval + PHASE_SECONDS, self._measure)

    def join(self, instance_id: str) -> None:
        """Connect one more registered instance, of the same size."""
        self._instances.add(instance_id)
        self._connect(instance_id)

    def leave(self, instance_id: str) -> None:
        """An instance on which no task is left was deregistered."""
        self._instances.discard(instance_id)

    def _connect(self, instance_id: str) -> None:
        now = self._agenda.now()
        self._store().transact(lambda view: connection.begin(view, instance_id, now), now)

    def put_load(self, wanted: load.ServiceLoad) -> None:
        """Have a service's tasks burn what its traffic asks of them; in place of what it had."""
        self._loads[wanted.service] = wanted
        self._running = None

    def also_publish(self, source: Source) -> None:
        """Have more data published with each sample."""
        self._sources.append(source)

    # ------------------------------------------------------------------------------------------ starts and stops

    def note(self, commit: store.Commit) -> None:
        """A commit: what it wants started or stopped here will be."""
        for change in commit.changes:
            if change.table == tables.TASKS.name:
                self._note_task(change.before, change.after)
                self._running = None
            elif change.table == tables.SERVICES.name or change.table == tables.CONTAINER_INSTANCES.name:
                self._running = None

    def _note_task(self, before: object, after: object) -> None:
        if not isinstance(after, tasks.Task) or not after.is_live:
            return
        if after.desired.container_instance not in self._instances:
            return
        was = before.desired if isinstance(before, tasks.Task) else None
        if after.desired.status == "STOPPED":
            if was is None or was.status != "STOPPED":
                self._plan(self._stop_seconds, after.task_id, "STOPPED")
        elif was is None or was.container_instance is None:
            seconds = self._start_seconds
            self._plan(seconds() if callable(seconds) else seconds, after.task_id, "RUNNING")

    def _plan(self, seconds: float, task_id: str, what: What) -> None:
        at = self._agenda.now() + seconds
        waiting = self._due.get(at)
        if waiting is None:
            waiting = self._due[at] = []
            self._agenda.at(at, self._report, at)
        waiting.append((task_id, what))

    def _report(self, at: float) -> None:
        """Everything that is due at a moment, as agents would report it."""
        happened = self._due.pop(at)
        now = self._agenda.now()

        def decide(view: views.View) -> tuple[plan.Plan, None]:
            draft = plan.Draft(view)
            for task_id, what in happened:
                task = draft.get(tasks.Task, task_id)
                if task is None or (what == "RUNNING" and not task.should_run):
                    continue
                definition = view.get(task_definitions.TaskDefinition, task.spec.task_definition)
                draft.put(observation.observe(task, definition, _report_of(task, what, now), now))
            return draft.plan(), None

        self._store().transact(decide, now)

    # ------------------------------------------------------------------------------------------ use

    def _measure(self) -> None:
        """Samples of everything that runs: one, and those of the quiet time that follows."""
        kept = self._store()
        now = moment = self._agenda.now()
        if self._running is None:
            self._count_steady()
            self._running = list(self._look(kept.view()))
            self._steady = list(self._memory(self._running, kept.view()))
        data: list[metrics.Datum] = []
        for _ in range(STRETCH_SAMPLES_MAX):
            known = len(self._published)
            data += self._sample(moment, self._running)
            moment += load.INTERVAL_SECONDS
            if len(self._published) > known or not self._agenda.is_free(moment):
                break  # a metric's first data point may wake somebody
        if data:
            kept.commit(plan.Plan(data=tuple(data)), now)
        self._agenda.at(moment, self._measure)

    def _sample(self, at: float, running: Sequence[_Running]) -> list[metrics.Datum]:
        """One sample of everything that runs, and the data that are due with it."""
        data: list[metrics.Datum] = []
        cpu_units = 0.0
        self._steady_samples += 1
        for one in running:
            work = one.wanted.work
            cores = work.cpu_cores(one.rate(at), one.tasks)
            for part in one.parts:
                units = cores * UNITS_PER_CORE
                if part.reserved.is_cpu_capped:
                    units = min(units, part.reserved.cpu_units)
                usage = ecs_metrics.TaskUsage(
                    cpu_percent_of_host=units * 100.0 / self._cpu_units, memory_mib=work.memory_mib
                )
                self._note(one.cpu, ecs_metrics.cpu_utilization(usage, self._cpu_units, part.reserved), part.tasks)
                cpu_units += units * part.tasks
            for subject in one.high_resolution:
                data += self._taken(subject, at, True)
        percent = ecs_metrics.percent_of(cpu_units, self._cpu_registered)
        if running and percent is not None:
            self._note(self._cluster_cpu, percent, 1)
        if (at + load.INTERVAL_SECONDS) // MINUTE_SECONDS > at // MINUTE_SECONDS:
            self._count_steady()
            for subject in list(self._samples):
                data += self._taken(subject, at, False)
        for source in self._sources:
            more = source(at)
            data += more
            self._published.update(datum.metric for datum in more)
        return data

    def _memory(self, running: Sequence[_Running], view: views.View) -> Iterator[tuple[metrics.Metric, float, int]]:
        """How much of their memory services and the cluster use; what the cluster has of CPU is noted beside it."""
        _, cpu_units, memory_mib = view.tally(tables.CONTAINER_INSTANCES, "capacity", self._cluster)
        self._cpu_registered = float(cpu_units)
        used = 0.0
        for one in running:
            for part in one.parts:
                if part.memory_percent is not None:
                    yield one.memory, part.memory_percent, part.tasks
                used += one.wanted.work.memory_mib * part.tasks
        percent = ecs_metrics.percent_of(used, memory_mib)
        if running and percent is not None:
            yield self._cluster_memory, percent, 1

    def _count_steady(self) -> None:
        """Note what all samples since the last time had in common."""
        if self._steady_samples:
            for subject, value, count in self._steady:
                self._note(subject, value, count * self._steady_samples)
        self._steady_samples = 0

    def _look(self, view: views.View) -> Iterator[_Running]:
        """The services under load that have tasks running."""
        for wanted in self._loads.values():
            name = wanted.service
            service = view.get(services.Service, services.service_key(self._cluster, name))
            count = view.tally(tables.TASKS, "counts", "service", self._cluster, name)[0]
            if service is None or not count:
                continue
            parts: list[_Part] = []
            idle = ecs_metrics.TaskUsage(cpu_percent_of_host=0.0, memory_mib=wanted.work.memory_mib)
            for deployment in service.deployments:
                here = view.tally(tables.TASKS, "counts", "deployment", self._cluster, name, deployment.deployment_id)
                reserved = self._reservation(view, deployment.task_definition, name) if here[0] else None
                if reserved is not None:
                    percent = ecs_metrics.memory_utilization(idle, reserved)
                    parts.append(_Part(reserved=reserved, tasks=here[0], memory_percent=percent))
            if parts:
                high = sorted(telemetry.high_resolution_of(service))
                yield _Running(
                    wanted=wanted,
                    rate=traffic.sampler(wanted.requests),
                    tasks=count,
                    parts=tuple(parts),
                    cpu=ecs_metrics.metric(ecs_metrics.CPU, self._cluster, name),
                    memory=ecs_metrics.metric(ecs_metrics.MEMORY, self._cluster, name),
                    high_resolution=tuple(ecs_metrics.metric(one, self._cluster, name) for one in high),
                )

    def _note(self, subject: metrics.Metric, value: float, count: int) -> None:
        counted = self._samples.get(subject)
        if counted is None:
            self._samples[subject] = {value: count}
        else:
            counted[value] = counted.get(value, 0) + count

    def _taken(self, subject: metrics.Metric, now: float, is_high_resolution: bool) -> list[metrics.Datum]:
        """All that waits of a metric, to be published."""
        if is_high_resolution and subject.name == ecs_metrics.MEMORY:
            self._count_steady()
        counted = self._samples.pop(subject, None)
        self._published.add(subject)
        return ecs_metrics.data_of(subject, counted, now, is_high_resolution) if counted else []

    def _reservation(self, view: views.View, definition: str, service: str) -> ecs_metrics.Reservation | None:
        found = self._reserved.get(definition)
        if found is None:
            for task in view.find(tables.TASKS, "live_by_service", self._cluster, service):
                if task.spec.task_definition == definition:
                    found = telemetry.reservation_of(view, task)
                    break
            if found is not None:
                self._reserved[definition] = found
        return found


def _report_of(task: tasks.Task, what: What, now: float) -> observation.TaskReport:
    stopped = what == "STOPPED"
    return observation.TaskReport(
        status=what,
        containers=tuple(
            observation.ContainerReport(
                name=one.name,
                status=what,
                runtime_id=one.container_id,
                exit_code=STOPPED_BY_SIGNAL if stopped else None,
            )
            for one in task.observed.containers
        ),
        execution_stopped_at=now if stopped and task.observed.started_at is not None else None,
    )
