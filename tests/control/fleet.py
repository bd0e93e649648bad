"""A tiny world for the services' controller: the real store, stepper and controllers; agents that do as they are told.

Every commit is held to the invariants, and after `settle` every controller must have come to rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.control import worlds

from roadstead.control import controller, instances, observation, retention
from roadstead.control import services as service_control
from roadstead.control import tasks as task_control
from roadstead.engine import stepper
from roadstead.model import container_instances, invariants, record, services, tables, task_definitions, tasks
from roadstead.state import plan, store

CONTROLLERS = (service_control.CONTROLLER, instances.CONTROLLER, task_control.CONTROLLER, retention.CONTROLLER)
STEPS_MAX = 5_000
"""More steps without rest are a bug."""


class Fleet:
    def __init__(self, *records: record.Record, seed: int = 7) -> None:
        self.now = worlds.NOW
        self.store = worlds.new_store(seed)
        self.problems: list[stepper.Problem] = []
        self.started: list[str] = []
        self.stopped: list[str] = []
        self.passes = 0
        self.stepper = stepper.Stepper(self.store, CONTROLLERS, self.problems.append, checks=True)
        self.store.watch(lambda commit: invariants.check_commit(commit, self.store.view()))
        self.store.watch(self._note)
        self.store.watch(self.stepper.note)
        worlds.put(self.store, worlds.cluster(), *records, now=self.now)
        self.stepper.start(self.now)

    def _note(self, commit: store.Commit) -> None:
        for change in commit.changes:
            if isinstance(change.after, tasks.Task):
                if change.before is None:
                    self.started.append(change.after.task_id)
                elif change.after.desired.status == "STOPPED" and change.before.desired.status == "RUNNING":  # type: ignore[attr-defined]
                    self.stopped.append(change.after.task_id)

    # ------------------------------------------------------------------------------------ time

    def settle(self) -> Fleet:
        """Run until everything rests; then every decision, taken again, writes nothing."""
        steps = 0
        while self.stepper.step(self.now):
            steps += 1
            assert steps < STEPS_MAX, "the controllers don't come to rest"
        self.passes = steps
        assert not self.problems, self.problems
        for one in CONTROLLERS:
            for key in one.all_keys(self.store.view()):
                self._rests(one, key)
        return self

    def _rests(self, one: controller.Controller, key: str) -> None:
        wanted = one.reconcile(self.store.view(), key, self.now)
        waiting = one is service_control.CONTROLLER and self.service(key.partition("/")[2]).progress.placement_failure
        if waiting and not wanted.is_empty:
            # others may have changed why there is no room; that is looked at again now and then, and written once
            assert not any(write.record_type is tasks.Task for write in wanted.writes), "room was overlooked"
            self.store.commit(wanted, self.now)
            while self.stepper.step(self.now):
                pass
            wanted = one.reconcile(self.store.view(), key, self.now)
        assert wanted.is_empty, f"{one.name} {key} would still write {wanted.writes}"

    def advance(self, seconds: float) -> Fleet:
        """Let time pass, wake by wake."""
        end = self.now + seconds
        self.settle()
        while (wake := self.stepper.next_wake()) is not None and wake <= end:
            self.now = max(self.now, wake)
            self.settle()
        self.now = end
        return self.settle()

    # ------------------------------------------------------------------------------------ looking

    def service(self, name: str = "web") -> services.Service:
        found = self.store.view().get(services.Service, f"{worlds.CLUSTER}/{name}")
        assert found is not None
        return found

    def live(self, name: str = "web", revision: int | None = None) -> list[tasks.Task]:
        """The service's tasks that should run, oldest first."""
        found = self.store.view().find(tables.TASKS, "live_by_service", worlds.CLUSTER, name)
        return [
            one
            for one in found
            if one.should_run and (revision is None or one.spec.task_definition == f"web:{revision}")
        ]

    def stopping(self, name: str = "web") -> list[tasks.Task]:
        found = self.store.view().find(tables.TASKS, "live_by_service", worlds.CLUSTER, name)
        return [one for one in found if not one.should_run]

    def newest(self) -> tasks.Task:
        """The task that was started last."""
        return self.task(self.started[-1])

    def task(self, task_id: str) -> tasks.Task:
        found = self.store.view().get(tasks.Task, task_id)
        assert found is not None
        return found

    def events(self, name: str = "web") -> list[str]:
        found = self.store.view().find(tables.SERVICE_EVENTS, "by_service", worlds.CLUSTER, name)
        return [one.message.removeprefix(f"(service {name}) ") for one in found]

    def codes(self, name: str = "web") -> list[str | None]:
        found = self.store.view().find(tables.SERVICE_EVENTS, "by_service", worlds.CLUSTER, name)
        return [one.code for one in found]

    # ------------------------------------------------------------------------------------ what agents do

    def report(self, task: tasks.Task, report: observation.TaskReport) -> None:
        view = self.store.view()
        found = view.get(tasks.Task, task.task_id)
        assert found is not None
        definition = view.get(task_definitions.TaskDefinition, found.spec.task_definition)
        draft = plan.Draft(view)
        draft.put(observation.observe(found, definition, report, self.now))
        self.store.commit(draft.plan(), self.now)

    def run(self, *found: tasks.Task) -> Fleet:
        """Their agents report them RUNNING."""
        for task in found:
            self.report(task, observation.TaskReport(status="RUNNING"))
        return self

    def run_all(self, name: str = "web") -> Fleet:
        return self.run(*(one for one in self.live(name) if one.observed.last_status == "PENDING")).settle()

    def finish_stops(self, name: str = "web") -> Fleet:
        """Their agents have stopped what was to stop."""
        for task in self.stopping(name):
            self.report(task, observation.TaskReport(status="STOPPED"))
        return self.settle()

    def kill(self, *found: tasks.Task) -> Fleet:
        """Their containers end."""
        for task in found:
            self.report(task, observation.TaskReport(status="STOPPED", reason="it ended"))
        return self

    def health(self, status: tasks.HealthStatus, *found: tasks.Task) -> Fleet:
        for task in found:
            view = self.store.view()
            stored = self.task(task.task_id)
            definition = view.get(task_definitions.TaskDefinition, stored.spec.task_definition)
            assert definition is not None
            reports = (observation.ContainerHealthReport(name="app", status=status, since=self.now),)
            draft = plan.Draft(view)
            draft.put(observation.observe_health(stored, definition, reports, self.now))
            self.store.commit(draft.plan(), self.now)
        return self.settle()

    # ------------------------------------------------------------------------------------ what users do

    def put(self, *records: record.Record) -> Fleet:
        worlds.put(self.store, *records, now=self.now)
        return self.settle()

    def change(self, edit: Callable[[services.Service], services.Service], name: str = "web") -> Fleet:
        return self.put(edit(self.service(name)))

    def scale(self, desired: int, name: str = "web") -> Fleet:
        return self.change(lambda one: worlds.replace(one, spec=worlds.replace(one.spec, desired_count=desired)), name)

    def update(self, revision: int, name: str = "web") -> Fleet:
        """UpdateService with another revision."""

        def edit(one: services.Service) -> services.Service:
            spec = worlds.replace(one.spec, task_definition=f"web:{revision}")
            return services.begin_deployment(worlds.replace(one, spec=spec), self.store.view().ids, self.now)

        return self.change(edit, name)

    def delete(self, name: str = "web") -> Fleet:
        return self.change(lambda one: worlds.replace(one, status="DRAINING", force_delete=True), name)

    def set_instance(self, instance_id: str, status: container_instances.InstanceStatus) -> Fleet:
        found = self.store.view().get(container_instances.ContainerInstance, instance_id)
        assert found is not None
        return self.put(worlds.replace(found, status=status))


def fleet(
    service: services.Service | None = None, instances_count: int = 2, health_check: bool = False, **instance: Any
) -> Fleet:
    """A service `web` on so many instances in two zones, with revisions web:1 to web:4."""
    big: dict[str, Any] = {"cpu": 1_000_000, "memory": 1_000_000, **instance}
    return Fleet(
        *(worlds.instance(f"i{n}", zone="ab"[n % 2], **big) for n in range(instances_count)),
        *(worlds.definition(revision=n, health_check=health_check) for n in range(1, 5)),
        *([service] if service is not None else []),
    ).settle()


def steady(service: services.Service, **more: Any) -> Fleet:
    """A fleet whose service has completed its first deployment."""
    made = fleet(service, **more)
    while any(one.observed.last_status == "PENDING" for one in made.live()):
        made.run_all()
    made.advance(41)
    assert made.service().primary.rollout_state == "COMPLETED"
    return made
