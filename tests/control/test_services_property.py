"""Whatever happens, in whatever order: no commit breaks an invariant, and when faults stop, every service gets well.

Users scale, update, delete and reconfigure; instances come, drain, go, lose their agents; agents start, fail and kill
tasks; the control plane is restarted at any point. Decisions run one at a time between all of that.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.control import fleet as fleets
from tests.control import worlds

from roadstead.control import observation
from roadstead.model import container_instances, invariants, services, tables, task_definitions, tasks

pytestmark = pytest.mark.slow  # thorough: `make check` leaves it to `make test`

BAD = 3
"""A revision that never starts."""
CHECKED = 2
"""A revision with a health check."""
NAMES = st.sampled_from(["web", "api"])
PERCENTS = st.sampled_from([(100, 200), (50, 100), (0, 100), (50, 200), (100, 150), (100, 100), (90, 110)])
BREAKERS = st.sampled_from(
    [
        None,
        services.DeploymentCircuitBreaker(enable=True, rollback=True),
        services.DeploymentCircuitBreaker(enable=True, rollback=False),
    ]
)
DESIRED = st.integers(0, 6)
CHOICE = st.integers(0, 1000)
ROUNDS_MAX = 60
"""Rounds in which a world without faults must get well."""


class Services(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = fleets.Fleet()
        self.instances = 0

    @initialize(
        seed=st.integers(0, 100),
        desired=st.tuples(DESIRED, DESIRED),
        percents=st.tuples(PERCENTS, PERCENTS),
        breakers=st.tuples(BREAKERS, BREAKERS),
        revisions=st.tuples(st.sampled_from([1, CHECKED]), st.sampled_from([1, CHECKED])),
    )
    def begin(self, seed: int, desired: Any, percents: Any, breakers: Any, revisions: Any) -> None:
        definitions = (
            worlds.definition(revision=1),
            worlds.definition(revision=CHECKED, health_check=True),
            worlds.definition(revision=BAD),
        )
        self.world = fleets.Fleet(*definitions, seed=seed)
        self.new_instance(3, "a")
        self.new_instance(8, "b")
        for place, name in enumerate(("web", "api")):
            self.create(name, desired[place], percents[place], breakers[place], revisions[place])
        self.one_good_round()

    # -------------------------------------------------------------------------------- looking

    def found_tasks(self, *statuses: str, desired: str | None = None) -> list[tasks.Task]:
        found = []
        for name in ("web", "api"):
            for one in self.world.store.view().find(tables.TASKS, "live_by_service", worlds.CLUSTER, name):
                if (not statuses or one.observed.last_status in statuses) and desired in (None, one.desired.status):
                    found.append(one)
        return found

    def get(self, name: str) -> services.Service | None:
        found = self.world.store.view().get(services.Service, f"{worlds.CLUSTER}/{name}")
        return found if found is not None and found.status == "ACTIVE" else None

    def all_instances(self) -> list[container_instances.ContainerInstance]:
        view = self.world.store.view()
        return list(view.find(tables.CONTAINER_INSTANCES, "by_cluster", worlds.CLUSTER))

    def put(self, *records: Any) -> None:
        worlds.put(self.world.store, *records, now=self.world.now)

    def edit(self, name: str, **spec: Any) -> None:
        found = self.get(name)
        if found is not None:
            self.put(worlds.replace(found, spec=worlds.replace(found.spec, **spec)))

    # -------------------------------------------------------------------------------- users

    @rule(name=NAMES, desired=DESIRED, percents=PERCENTS, breaker=BREAKERS, revision=st.sampled_from([1, CHECKED]))
    def create(self, name: str, desired: int, percents: tuple[int, int], breaker: Any, revision: int) -> None:
        found = self.world.store.view().get(services.Service, f"{worlds.CLUSTER}/{name}")
        if found is None or found.status == "INACTIVE":
            minimum, maximum = percents
            self.world.now += 0.001
            made = worlds.service(
                name, desired, f"web:{revision}", minimum=minimum, maximum=maximum, breaker=breaker, now=self.world.now
            )
            self.put(made)

    @rule(name=NAMES, desired=DESIRED)
    def scale(self, name: str, desired: int) -> None:
        self.edit(name, desired_count=desired)

    @rule(name=NAMES, percents=PERCENTS, breaker=BREAKERS)
    def reconfigure(self, name: str, percents: tuple[int, int], breaker: Any) -> None:
        self.edit(
            name,
            deployment_configuration=services.DeploymentConfiguration(
                minimum_healthy_percent=percents[0],
                maximum_percent=percents[1],
                deployment_circuit_breaker=breaker,
            ),
        )

    @rule(name=NAMES, revision=st.sampled_from([1, CHECKED, BAD]))
    def update(self, name: str, revision: int) -> None:
        found = self.get(name)
        if found is not None:
            spec = worlds.replace(found.spec, task_definition=f"web:{revision}")
            ids = self.world.store.view().ids
            self.put(services.begin_deployment(worlds.replace(found, spec=spec), ids, self.world.now))

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        found = self.get(name)
        if found is not None:
            self.put(worlds.replace(found, status="DRAINING", force_delete=True))

    @rule(choice=CHOICE)
    def stop_task(self, choice: int) -> None:
        found = self.found_tasks(desired="RUNNING")
        if found:
            one = found[choice % len(found)]
            self.put(tasks.request_stop(one, "UserInitiated", "Task stopped by user", self.world.now))

    @rule(name=NAMES, desired=st.integers(2, 6), percents=PERCENTS, revision=st.sampled_from([1, CHECKED]))
    def scale_and_update(self, name: str, desired: int, percents: tuple[int, int], revision: int) -> None:
        """What people do at once in one UpdateService."""
        self.scale(name, desired)
        self.reconfigure(name, percents, None)
        self.update(name, revision)
        self.world.settle()

    # -------------------------------------------------------------------------------- instances

    @precondition(lambda self: self.instances < 6)
    @rule(room=st.integers(1, 6), zone=st.sampled_from("ab"))
    def new_instance(self, room: int, zone: str) -> None:
        self.instances += 1
        self.put(worlds.instance(f"i{self.instances}", zone=zone, cpu=256 * room, memory=128 * room))

    @rule(choice=CHOICE, status=st.sampled_from(["ACTIVE", "DRAINING", "DRAINING", "INACTIVE"]))
    def set_instance(self, choice: int, status: Any) -> None:
        found = [one for one in self.all_instances() if one.status != "INACTIVE"]
        if found:
            self.put(worlds.replace(found[choice % len(found)], status=status))

    @rule(choice=CHOICE, connected=st.booleans())
    def connect(self, choice: int, connected: bool) -> None:
        found = [one for one in self.all_instances() if one.status != "INACTIVE"]
        if found:
            session = container_instances.AgentSession(connected=connected)
            self.put(worlds.replace(found[choice % len(found)], session=session))

    # -------------------------------------------------------------------------------- agents

    def runs_or_fails(self, one: tasks.Task) -> None:
        if one.spec.task_definition == f"web:{BAD}":
            failed = observation.TaskReport(status="STOPPED", reason="CannotPullContainerError: no such image")
            self.world.report(one, failed)
        else:
            self.world.run(one)

    @rule(choices=st.lists(CHOICE, max_size=5))
    def agents_start(self, choices: list[int]) -> None:
        for choice in choices:
            found = self.found_tasks("PENDING")
            if found:
                self.runs_or_fails(found[choice % len(found)])

    @rule(choices=st.lists(CHOICE, max_size=3), reason=st.sampled_from(["CannotStartContainerError: x", "it ended"]))
    def agents_lose(self, choices: list[int], reason: str) -> None:
        for choice in choices:
            found = self.found_tasks()
            if found:
                report = observation.TaskReport(status="STOPPED", reason=reason)
                self.world.report(found[choice % len(found)], report)

    @rule()
    def agents_stop(self) -> None:
        for one in self.found_tasks(desired="STOPPED"):
            self.world.report(one, observation.TaskReport(status="STOPPED"))

    @rule(choice=CHOICE, status=st.sampled_from(["HEALTHY", "HEALTHY", "UNHEALTHY"]))
    def health(self, choice: int, status: Any) -> None:
        found = self.found_tasks("RUNNING")
        if found:
            self.report_health(found[choice % len(found)], status)

    def report_health(self, one: tasks.Task, status: Any) -> None:
        definition = self.world.store.view().get(task_definitions.TaskDefinition, one.spec.task_definition)
        assert definition is not None
        reports = (observation.ContainerHealthReport(name="app", status=status, since=self.world.now),)
        self.put(observation.observe_health(one, definition, reports, self.world.now))

    # -------------------------------------------------------------------------------- time

    @rule(steps=st.integers(1, 4))
    def some_steps(self, steps: int) -> None:
        for _ in range(steps):
            self.world.stepper.step(self.world.now)
        assert not self.world.problems, self.world.problems

    @rule()
    def settle(self) -> None:
        self.world.settle()

    @rule(seconds=st.sampled_from([0.5, 15.0, 41.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule()
    def restart(self) -> None:
        self.world.stepper.start(self.world.now)

    @invariant()
    def tallies_are_what_counting_gives(self) -> None:
        invariants.check_tallies(self.world.store.view())

    @rule()
    def all_goes_well(self) -> None:
        self.one_good_round()

    @rule()
    def all_goes_well_for_long(self) -> None:
        self.one_good_round()
        self.one_good_round()

    # -------------------------------------------------------------------------------- the end of all faults

    def teardown(self) -> None:
        for one in self.all_instances():
            if one.status != "INACTIVE":
                self.put(worlds.replace(one, status="ACTIVE", session=container_instances.AgentSession(connected=True)))
        self.put(worlds.instance("big", zone="a", cpu=10**6, memory=10**6))
        for name in ("web", "api"):
            self.reconfigure(name, (100, 200), None)
            found = self.get(name)
            if found is not None and (
                found.primary.task_definition == f"web:{BAD}" or found.primary.rollout_state == "FAILED"
            ):
                self.update(name, 1)
        for _ in range(ROUNDS_MAX):
            self.one_good_round()
            if all(self.is_well(name) for name in ("web", "api")):
                return
        raise AssertionError(f"not well: {[(n, self.get(n), self.world.live(n)) for n in ('web', 'api')]}")

    def one_good_round(self) -> None:
        self.world.settle()
        for one in self.found_tasks(desired="STOPPED"):
            self.world.report(one, observation.TaskReport(status="STOPPED"))
        for one in self.found_tasks("PENDING"):
            self.runs_or_fails(one)
        for one in self.found_tasks("RUNNING", desired="RUNNING"):
            if one.spec.task_definition == f"web:{CHECKED}":
                self.report_health(one, "HEALTHY")
        self.world.advance(60)

    def is_well(self, name: str) -> bool:
        found = self.world.store.view().get(services.Service, f"{worlds.CLUSTER}/{name}")
        if found is None or found.status == "INACTIVE":
            return not self.world.live(name)
        live = self.world.live(name)
        return (
            found.status == "ACTIVE"
            and len(live) == found.spec.desired_count
            and all(one.observed.last_status == "RUNNING" for one in live)
            and all(one.spec.task_definition == found.spec.task_definition for one in live)
            and not self.world.stopping(name)
            and len(found.deployments) == 1
            and found.primary.rollout_state == "COMPLETED"
            and found.progress.steady_since is not None
        )


EXPLORE = int(os.environ.get("EXPLORE", "0"))
"""So many worlds that nobody has seen before, instead of the same ones each time: `EXPLORE=1000 pytest …`."""
Services.TestCase.settings = settings(
    max_examples=EXPLORE or 80, stateful_step_count=40, deadline=None, derandomize=not EXPLORE
)
TestServices = Services.TestCase
