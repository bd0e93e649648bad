"""Agents and hosts in bulk: a stand-in that makes long simulations cheap.

What it replaces: the agents' machines, the hosts below them, their sockets. What stays production code: operations,
store, every controller, placement, `control.observation` (through which it reports starts and stops, all that are due
at one moment together) and `signals.ecs_metrics` (through which it reports use). Each 20 s every service is measured
as its agents would have measured it together: tasks that share traffic evenly burn the same, so one task's value
stands for all, with their number as the count. What is kept for each 20 s is published at once; what is kept for each
minute, once a minute with all its samples: the same data points. An idle crowd costs nothing but its metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

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

What = Literal["RUNNING", "STOPPED"]
Seconds = float | Callable[[], float]
"""A span that is always the same, or one drawn anew each time."""


class Crowd:
    """Container instances of one size in one cluster, all connected for ever, on which nothing goes wrong.

    `begin` makes them known; from then on `note` must hear of every commit.
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
        self._instances = frozenset(instances)
        self._cpu_units = float(cpu_units)
        self._start_seconds = start_seconds
        self._stop_seconds = stop_seconds
        self._loads: dict[str, load.ServiceLoad] = {}
        self._due: dict[float, list[tuple[str, What]]] = {}
        self._reserved: dict[str, ecs_metrics.Reservation] = {}
        """By task definition: those never change."""
        self._capacity: ecs_metrics.InstanceCapacity | None = None
        self._samples: dict[metrics.Metric, dict[float, int]] = {}
        """Values that wait to be published, each with how often it was measured."""

    def begin(self) -> None:
        """Connect all instances, and begin to measure."""
        now = self._agenda.now()
        for instance_id in sorted(self._instances):

            def connect(view: views.View, instance_id: str = instance_id) -> tuple[plan.Plan, int]:
                return connection.begin(view, instance_id, now)

            self._store().transact(connect, now)
        interval = load.INTERVAL_SECONDS
        self._agenda.at((now // interval) * interval + interval + PHASE_SECONDS, self._measure)

    def put_load(self, wanted: load.ServiceLoad) -> None:
        """Have a service's tasks burn what its traffic asks of them; in place of what it had."""
        self._loads[wanted.service] = wanted

    # ------------------------------------------------------------------------------------------ starts and stops

    def note(self, commit: store.Commit) -> None:
        """A commit: what it wants started or stopped here will be."""
        for change in commit.changes:
            if change.table == tables.TASKS.name:
                self._note_task(change.before, change.after)
            elif change.table == tables.CONTAINER_INSTANCES.name:
                self._capacity = None

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
        """One sample of everything that runs."""
        now = self._agenda.now()
        kept = self._store()
        view = kept.view()
        data: list[metrics.Datum] = []
        cpu_units = memory_mib = 0.0
        running = 0
        for wanted in self._loads.values():
            service = view.get(services.Service, services.service_key(self._cluster, wanted.service))
            count = view.tally(tables.TASKS, "counts", "service", self._cluster, wanted.service)[0]
            if service is None or not count:
                continue
            cores = wanted.work.cpu_cores(traffic.rate(wanted.requests, now), count)
            for deployment in service.deployments:
                here = view.tally(
                    tables.TASKS, "counts", "deployment", self._cluster, wanted.service, deployment.deployment_id
                )[0]
                reserved = self._reservation(view, deployment.task_definition, wanted.service) if here else None
                if reserved is None:
                    continue
                units = cores * UNITS_PER_CORE
                if reserved.is_cpu_capped:
                    units = min(units, reserved.cpu_units)
                usage = ecs_metrics.TaskUsage(
                    cpu_percent_of_host=units * 100.0 / self._cpu_units, memory_mib=wanted.work.memory_mib
                )
                self._sample(wanted.service, usage, reserved, here)
                cpu_units, memory_mib, running = cpu_units + units * here, memory_mib + usage.memory_mib * here, 1
            for name in sorted(telemetry.high_resolution_of(service)):
                data += self._taken(ecs_metrics.metric(name, self._cluster, wanted.service), now, True)
        if running:
            all_of_it = ecs_metrics.InstanceUsage(at=now, cpu_units=cpu_units, memory_mib=memory_mib, tasks=running)
            for name, percent in ecs_metrics.cluster_utilization((all_of_it,), (self._registered(view),), now):
                self._note(ecs_metrics.metric(name, self._cluster), percent, 1)
        if (now + load.INTERVAL_SECONDS) // MINUTE_SECONDS > now // MINUTE_SECONDS:
            for subject in list(self._samples):
                data += self._taken(subject, now, False)
        if data:
            kept.commit(plan.Plan(data=tuple(data)), now)
        self._agenda.at(now + load.INTERVAL_SECONDS, self._measure)

    def _sample(
        self, service: str, usage: ecs_metrics.TaskUsage, reserved: ecs_metrics.Reservation, count: int
    ) -> None:
        """What so many tasks of a service use, each."""
        cpu = ecs_metrics.cpu_utilization(usage, self._cpu_units, reserved)
        self._note(ecs_metrics.metric(ecs_metrics.CPU, self._cluster, service), cpu, count)
        memory = ecs_metrics.memory_utilization(usage, reserved)
        if memory is not None:
            self._note(ecs_metrics.metric(ecs_metrics.MEMORY, self._cluster, service), memory, count)

    def _note(self, subject: metrics.Metric, value: float, count: int) -> None:
        counted = self._samples.setdefault(subject, {})
        counted[value] = counted.get(value, 0) + count

    def _taken(self, subject: metrics.Metric, now: float, is_high_resolution: bool) -> list[metrics.Datum]:
        """All that waits of a metric, to be published."""
        counted = self._samples.pop(subject, None)
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

    def _registered(self, view: views.View) -> ecs_metrics.InstanceCapacity:
        if self._capacity is None:
            _, cpu_units, memory_mib = view.tally(tables.CONTAINER_INSTANCES, "capacity", self._cluster)
            self._capacity = ecs_metrics.InstanceCapacity(cpu_units=cpu_units, memory_mib=memory_mib)
        return self._capacity


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
