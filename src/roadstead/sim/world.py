"""The virtual world: production controllers, operations, sessions and agents' machines under a virtual clock.

    world = World(seed=7, controllers=controllers.all_controllers(...))
    world.add_host(cpu_units=2048, memory_mib=4096)
    world.call("ecs", "CreateService", serviceName="web", ...)
    world.run_for(3600)
    print(world.transcript.text())

Everything that happens follows from the seed and from what the scenario asks for, in one thread. A simulation has two
phases: with `set_faults` things go wrong while the invariants are checked after every commit; after `calm` nothing
goes wrong any more, and `converge` waits until the world is as its records say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from roadstead.agent import records, registration, runtime
from roadstead.base import errors
from roadstead.control import controller
from roadstead.engine import stepper
from roadstead.model import names, tables, tasks
from roadstead.sim import agenda as agendas
from roadstead.sim import chance as chances
from roadstead.sim import checkers, crowd, custom_endpoints, faults, hosts, load, network, plane, transcript
from roadstead.sim import disk as disks
from roadstead.state import store

START = 1_767_571_200.0
"""2026-01-05T00:00:00Z, a Monday."""
CALL_SECONDS_MAX = 60.0
"""How long a scenario's call waits for the disk."""
CONVERGE_STEP_SECONDS = 10.0


class Unanswered(errors.RoadsteadError):
    """A scenario's call got no answer: the control plane is down, or died before the disk had it."""


class World:
    """See the module. `hosts` are in the order in which they were added."""

    def __init__(
        self,
        seed: int,
        controllers: Sequence[controller.Controller],
        *,
        start: float = START,
        checks: bool = True,
        keeps_transcript: bool = True,
        keeps_nothing: bool = False,
    ) -> None:
        """`checks`: the invariants after each commit. `keeps_nothing`: no journal, so no crash of the control plane."""
        self.seed = seed
        self.agenda = agendas.Agenda(start)
        self.chance = chances.Chance(seed)
        self.transcript = transcript.Transcript(self.agenda, is_on=keeps_transcript)
        self.disk = disks.Disk()
        self.network = network.Network(self.agenda, self.chance.fork("network"))
        self.hosts: list[hosts.Host] = []
        self.problems: list[stepper.Problem] = []
        self._seeds = 0
        self._checks = checks
        self._storm = 0
        """Grows with each change of the faults: what an older one had planned doesn't happen."""
        self._faults = faults.NONE
        self._loads: list[load.ServiceLoad] = []
        self._crowds: list[crowd.Crowd] = []
        self.checkers = checkers.Checkers(self.view, lambda: self.hosts, self.disk)
        self.plane = plane.Plane(
            self.agenda,
            self.chance.fork("plane"),
            self.disk,
            controllers,
            self._next_seed,
            on_commit=self._on_commit,
            on_problem=self._on_problem,
            on_acknowledged=self.checkers.acknowledged,
            keeps_nothing=keeps_nothing,
            checks=checks,
        )
        self.endpoints = custom_endpoints.Endpoints(self.agenda, self.plane, self.chance.fork("endpoints"))
        self.plane.start()

    @property
    def now(self) -> float:
        """The virtual moment, epoch seconds."""
        return self.agenda.now()

    def view(self) -> store.StoreView:
        """A look at the control plane's records."""
        return self.plane.store.view()

    def _next_seed(self) -> int:
        self._seeds += 1
        return (self.seed << 64) + self._seeds

    def _on_commit(self, commit: store.Commit) -> None:
        self.transcript.commit(commit)
        if self._checks:
            self.checkers.commit(commit)
        if commit.changes:
            for one in self._crowds:
                one.note(commit)
            self.endpoints.note(commit)
        if self.chance.happens(self._faults.plane_crash_chance):
            self.agenda.after(self.chance.between(0.0, self._faults.sync_seconds_max), self._strike_plane)

    def _on_problem(self, problem: stepper.Problem) -> None:
        self.problems.append(problem)
        self.transcript.note(f"PROBLEM in {problem.controller} of {problem.key}: {problem.what}")
        if self._checks:
            raise AssertionError(f"seed {self.seed}: a decision failed: {problem.what}\n{problem.detail}")

    # ------------------------------------------------------------------------------------------ scenario

    def call(self, service: str, operation: str, /, **params: Any) -> Any:
        """What a client of AWS's would be answered, once it is durable. Raises errors.Refusal with AWS's code, and
        Unanswered. Time passes as far as the disk takes it.
        """
        found: list[network.Answer | None] = []
        self.plane.request(service, operation, msgspec.json.encode(params), found.append)
        until = self.now + CALL_SECONDS_MAX
        while not found:
            at = self.agenda.next_at()
            if at is None or at > until:
                break
            self.agenda.step()
        answer = found[0] if found else None
        if answer is None:
            raise Unanswered(f"{operation} got no answer")
        if answer.code:
            raise errors.Refusal(answer.code, answer.body.decode())
        return msgspec.json.decode(answer.body) if answer.body else {}

    def run_for(self, seconds: float) -> None:
        """Let so much virtual time pass."""
        self.run_until(self.now + seconds)

    def run_until(self, moment: float) -> None:
        """Let everything up to a moment happen."""
        self.agenda.run_until(moment)

    def add_host(
        self,
        *,
        cpu_units: int = 2048,
        memory_mib: int = 4096,
        zone: str = "us-east-1a",
        cluster: str = "default",
        verb_seconds: float = 0.05,
        pull_seconds: float = 2.0,
        subnet: str | None = None,
        attributes: dict[str, str] | None = None,
    ) -> hosts.Host:
        """Another container instance; its agent starts at once, and registers as soon as its messages get through."""
        name = f"host-{len(self.hosts) + 1}"
        facts = runtime.HostFacts(
            cpu_units=cpu_units,
            memory_mib=memory_mib,
            subnet=subnet,
            network_modes=("bridge", "awsvpc", "host", "none"),
            runtime_version="simulated",
        )
        host = hosts.Host(
            name,
            facts,
            self.agenda,
            self.chance.fork(name),
            self.network,
            self.plane,
            _Watcher(self),
            cluster=cluster,
            zone=zone,
            attributes=attributes or {},
            verb_seconds=verb_seconds,
            pull_seconds=pull_seconds,
        )
        host.faults = self._faults
        self.hosts.append(host)
        host.start()
        return host

    def add_crowd(
        self,
        count: int,
        *,
        cpu_units: int = 4096,
        memory_mib: int = 16384,
        cluster: str = "default",
        start_seconds: crowd.Seconds = 2.0,
        stop_seconds: float = 1.0,
    ) -> crowd.Crowd:
        """So many container instances at once, by a stand-in that costs little (`sim.crowd`). A world has hosts or a
        crowd, not both.
        """
        assert not self.hosts
        instances = [
            self.register_instance(f"us-east-1{'abc'[number % 3]}", cpu_units, memory_mib, cluster)
            for number in range(count)
        ]
        made = crowd.Crowd(
            self.agenda,
            lambda: self.plane.store,
            cluster=cluster,
            instances=instances,
            cpu_units=cpu_units,
            start_seconds=start_seconds,
            stop_seconds=stop_seconds,
        )
        self._crowds.append(made)
        made.begin()
        return made

    def register_instance(self, zone: str, cpu_units: int, memory_mib: int, cluster: str = "default") -> str:
        """Register a container instance as an agent would, for a crowd to play it. Gives its id."""
        resources = [
            {"name": "CPU", "type": "INTEGER", "integerValue": cpu_units},
            {"name": "MEMORY", "type": "INTEGER", "integerValue": memory_mib},
        ]
        attributes = [{"name": "ecs.availability-zone", "value": zone}]
        attributes += [{"name": name} for name in registration.CAPABILITIES]
        wanted = {"cluster": cluster, "totalResources": resources, "attributes": attributes}
        reply = self.call("ecs", "RegisterContainerInstance", **wanted)
        arn: str = reply["containerInstance"]["containerInstanceArn"]
        return arn.rpartition("/")[2]

    def add_custom_resource(
        self, url: str, *, capacity: int = 0, change_seconds: float = 10.0
    ) -> custom_endpoints.Endpoint:
        """A user's endpoint at that URL, to be registered as a scalable target; it takes so long to change."""
        return self.endpoints.add(url, capacity, change_seconds)

    def also_publish(self, source: crowd.Source) -> None:
        """Have the crowd publish more data with each of its samples."""
        (only,) = self._crowds
        only.also_publish(source)

    def put_load(self, wanted: load.ServiceLoad) -> None:
        """Have a service's tasks burn what its traffic asks of them, from now on; in place of what it had."""
        if self._crowds:
            for one in self._crowds:
                one.put_load(wanted)
            return
        self._loads = [one for one in self._loads if (one.cluster, one.service) != (wanted.cluster, wanted.service)]
        self._loads.append(wanted)
        self._apply_load(wanted)

    def _apply_load(self, wanted: load.ServiceLoad) -> None:
        if wanted not in self._loads:
            return
        if self.plane.is_up:
            by_instance = {host.instance_id: host for host in self.hosts}
            for one in load.shares(wanted, self.view(), self.now):
                host = by_instance.get(one.instance_id)
                if host is not None:
                    host.machine.set_load(one.container_id, self.now, cpu_percent=one.cpu_percent)
        self.agenda.after(load.INTERVAL_SECONDS, self._apply_load, wanted)

    # ------------------------------------------------------------------------------------------ faults by hand

    def crash_control_plane(self, down_seconds: float = 1.0) -> None:
        """kill -9 the control plane; it is started again after a while."""
        if not self.plane.is_up:
            return
        lost = self.plane.store.revision - self.disk.newest_revision()
        self.transcript.note(f"the control plane dies; commits lost: {lost}")
        self.plane.crash()
        self.agenda.after(down_seconds, self._start_plane)

    def _start_plane(self) -> None:
        if self.plane.is_up:
            return
        self.transcript.note("the control plane starts")
        self.plane.start()
        self.endpoints.begin()
        if self._checks:
            self.checkers.after_restart(self.plane.acknowledged)

    def crash_agent(self, number: int, down_seconds: float = 1.0) -> None:
        """kill -9 a host's agent; it is started again after a while."""
        host = self.hosts[number]
        if host.is_up:
            self.transcript.note(f"{host.name}: the agent dies")
            host.crash()
            self.agenda.after(down_seconds, self._start_agent, host)

    def _start_agent(self, host: hosts.Host) -> None:
        if not host.is_up and not host.is_lost:
            self.transcript.note(f"{host.name}: the agent starts")
            host.start()

    def reboot(self, number: int, down_seconds: float = 30.0) -> None:
        """A host loses all its containers; its agent is started again after a while."""
        host = self.hosts[number]
        if not host.is_lost:
            self.transcript.note(f"{host.name}: reboots")
            host.reboot()
            self.agenda.after(down_seconds, self._start_agent, host)

    def lose_instance(self, number: int) -> None:
        """A host is gone for good. What noticed it (an Auto Scaling group, a person) still has to deregister it."""
        host = self.hosts[number]
        self.transcript.note(f"{host.name}: is gone for good")
        host.reboot()
        host.is_lost = True

    def cut(self, number: int, seconds: float) -> None:
        """A host can't be reached for a while, and nobody is told."""
        host = self.hosts[number]
        self.transcript.note(f"{host.name}: cut off for {seconds:.0f} s")
        host.link.cut_until = max(host.link.cut_until, self.now + seconds)

    def kill_container(self, task_id: str) -> None:
        """All containers of a task die by themselves."""
        task = self.view().get(tasks.Task, task_id)
        assert task is not None, f"there is no task {task_id}"
        arn = names.arn_of_task(self.view().scope, task)
        for host in self.hosts:
            if host.instance_id == task.desired.container_instance:
                for one in task.observed.containers:
                    self.transcript.note(f"{host.name}: {one.name} of {task_id} dies")
                    host.kill(records.container_id_of(arn, one.name))

    # ------------------------------------------------------------------------------------------ faults by chance

    def set_faults(self, wanted: faults.Faults) -> None:
        """From now on things go wrong so often."""
        self._faults = self.network.faults = self.plane.faults = wanted
        for host in self.hosts:
            host.faults = wanted
        self._storm += 1
        for mean, strike in (
            (wanted.plane_crash_every_seconds, self._strike_plane),
            (wanted.agent_crash_every_seconds, self._strike_agent),
            (wanted.reboot_every_seconds, self._strike_host),
            (wanted.cut_every_seconds, self._strike_link),
            (wanted.container_death_every_seconds, self._strike_container),
        ):
            if mean > 0.0:
                self.agenda.after(self.chance.wait(mean), self._strike, self._storm, mean, strike)

    def calm(self) -> None:
        """From now on nothing goes wrong any more."""
        self.transcript.note("calm")
        self.set_faults(faults.NONE)
        for host in self.hosts:
            host.link.cut_until = min(host.link.cut_until, self.now)

    def _strike(self, storm: int, mean: float, strike: Callable[[], None]) -> None:
        if storm == self._storm:
            strike()
            self.agenda.after(self.chance.wait(mean), self._strike, storm, mean, strike)

    def _strike_plane(self) -> None:
        self.crash_control_plane(self.chance.between(0.0, self._faults.plane_down_seconds_max))

    def _strike_agent(self) -> None:
        if self.hosts:
            down = self.chance.between(0.0, self._faults.agent_down_seconds_max)
            self.crash_agent(self.chance.choice(range(len(self.hosts))), down)

    def _strike_host(self) -> None:
        if self.hosts:
            self.reboot(self.chance.choice(range(len(self.hosts))), self.chance.between(1.0, 120.0))

    def _strike_link(self) -> None:
        if self.hosts:
            seconds = self.chance.between(0.0, self._faults.cut_seconds_max)
            self.cut(self.chance.choice(range(len(self.hosts))), seconds)

    def _strike_container(self) -> None:
        alive = [(host, one) for host in self.hosts if not host.is_lost for one in host.running()]
        if alive:
            host, one = self.chance.choice(alive)
            self.transcript.note(f"{host.name}: {one.name} of {one.task_id} dies")
            host.kill(one.container_id)

    # ------------------------------------------------------------------------------------------ liveness

    def converge(self, within_seconds: float) -> None:
        """Wait until everything is as the records say. Raises AssertionError, saying what is not, where it never is."""
        until = self.now + within_seconds
        while True:
            found = self.checkers.unsettled() if self.plane.is_up else ["the control plane is down"]
            if not found:
                break
            if self.now >= until:
                raise AssertionError(f"seed {self.seed}: not settled after {within_seconds} s: {found[:5]}")
            self.run_for(CONVERGE_STEP_SECONDS)
        self.checkers.hosts_agree()

    def running(self, service: str, cluster: str = "default") -> int:
        """How many of a service's tasks run."""
        return self.view().tally(tables.TASKS, "counts", "service", cluster, service)[0]


class _Watcher:
    """What hosts tell: to the checkers, and into the transcript."""

    def __init__(self, world: World) -> None:
        self._world = world

    def started(self, host: str, container: runtime.ContainerSpec) -> None:
        self._world.checkers.started(host, container)

    def exited(self, host: str, exit: runtime.ContainerExit) -> None:
        self._world.checkers.exited(host, exit.container_id)

    def happened(self, text: str) -> None:
        self._world.transcript.note(text)
