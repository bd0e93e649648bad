"""A container instance: an agent's process over a host. The agent's machines (`agent.engine`, `task`, `containers`,
`stats`) are the production code; the host is `agent.simulated_host`, which outlives the agent; its shell (sockets,
timers, retries, the records on its disk) has this stand-in, which waits on the agenda.

A crash loses what was not saved: memory, connections, requests on their way. A start reads the saved records and what
the host holds, registers under the saved ARN, and connects.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from roadstead.acs import frames, timers
from roadstead.acs import telemetry as acs_telemetry
from roadstead.agent import (
    api,
    engine,
    events,
    instructions,
    records,
    registration,
    runtime,
    settings,
    simulated,
    simulated_host,
    stats,
    task,
)
from roadstead.base import ids
from roadstead.sim import agenda as agendas
from roadstead.sim import chance as chances
from roadstead.sim import faults, network

UNITS_PER_CORE = 1024
CLOSE_EXPIRED = 1000
REFUSED_FOR_GOOD = "InvalidParameterException"
"""Sending such a state change again won't help: it is dropped (agent-protocol.md 2.3)."""


class ControlPlane(Protocol):
    """What an agent reaches over the network (`sim.plane.Plane`)."""

    def request(
        self, service: str, name: str, body: bytes, answer: Callable[[network.Answer | None], None]
    ) -> None: ...

    def accept_acs(self, end: network.End, instance_arn: str) -> None: ...

    def accept_tcs(self, end: network.End, instance_arn: str) -> None: ...


class Watcher(Protocol):
    """Who wants to know what happens on hosts: transcript and checkers."""

    def started(self, host: str, container: runtime.ContainerSpec) -> None: ...

    def exited(self, host: str, exit: runtime.ContainerExit) -> None: ...

    def happened(self, text: str) -> None: ...


class Saved:
    """The agent's disk."""

    def __init__(self) -> None:
        self.arn = ""
        self.timeline = 0
        self.tasks: dict[str, bytes] = {}
        self.ended: dict[str, float] = {}


class Host:
    """One machine with its agent; `name` tells it from others in the transcript."""

    def __init__(
        self,
        name: str,
        facts: runtime.HostFacts,
        agenda: agendas.Agenda,
        chance: chances.Chance,
        lines: network.Network,
        plane: ControlPlane,
        watcher: Watcher,
        *,
        cluster: str,
        zone: str,
        attributes: dict[str, str],
        verb_seconds: float,
        pull_seconds: float,
    ) -> None:
        self.name = name
        self.faults = faults.NONE
        self.is_up = False
        self.is_lost = False
        self.link = network.Link()
        self.saved = Saved()
        self.machine = simulated_host.SimulatedHost(facts, pull_seconds=pull_seconds, verb_seconds=verb_seconds)
        self.specs: dict[str, runtime.ContainerSpec] = {}
        """Of the containers that were made, by id."""
        self._agenda = agenda
        self._chance = chance
        self._network = lines
        self._plane = plane
        self._watcher = watcher
        self._cluster = cluster
        self._settings = settings.Settings(
            server_url="", data_dir=pathlib.Path(name), cluster=cluster, availability_zone=zone, attributes=attributes
        )
        self._token = f"token-{name}"
        self._life = 0

    @property
    def engine(self) -> engine.Engine:
        """The agent's machine; only while the agent is up."""
        return self._engine

    @property
    def instance_id(self) -> str:
        """Empty until it is registered."""
        return self.saved.arn.rpartition("/")[2]

    # ------------------------------------------------------------------------------------------ life

    def start(self) -> None:
        """Start the agent's process."""
        assert not self.is_up and not self.is_lost
        self.is_up = True
        self._life += 1
        now = self._agenda.now()
        facts = self.machine.facts
        self._catch_up(now)
        self._shell = simulated.SimulatedShell(self.machine)
        self._host_entry: agendas.Entry | None = None
        self._wakes: dict[str, agendas.Entry] = {}
        self._acs: network.End | None = None
        self._tcs: network.End | None = None
        self._heard_at = now
        self._reconnect_seconds = timers.RECONNECT_BACKOFF_SECONDS_MIN
        self._names = ids.Ids(self._life)
        self._sampler = stats.Sampler(facts.cpu_units / UNITS_PER_CORE)
        self._engine = engine.Engine(
            task.Surroundings(cluster=self._cluster, region="us-east-1"), facts.cpu_units, facts.memory_mib
        )
        self._engine.container_instance_arn = self.saved.arn
        restored = events.Restored(
            tasks=tuple(msgspec.msgpack.decode(raw, type=records.TaskState) for raw in self.saved.tasks.values()),
            ended=tuple(self.saved.ended.items()),
            timeline=self.saved.timeline,
            inventory=self.machine.inventory(),
        )
        self._tell(restored)
        if self.is_up:
            self._register(timers.REGISTER_BACKOFF_SECONDS_MIN)

    def _catch_up(self, now: float) -> None:
        """What happened while no agent was there to hear it: it is in the inventory, too."""
        for happened in self.machine.advance(now):
            if isinstance(happened, runtime.ContainerExit):
                self._watcher.exited(self.name, happened)
            elif isinstance(happened.result, runtime.StartedContainer):
                self._watcher.started(self.name, self.specs[happened.result.container_id])

    def crash(self) -> None:
        """kill -9 the agent: its containers run on."""
        assert self.is_up
        self.is_up = False
        self._life += 1
        if self._host_entry is not None:
            self._host_entry.cancel()
        for entry in self._wakes.values():
            entry.cancel()
        for end in (self._acs, self._tcs):
            if end is not None:
                end.drop()

    def reboot(self) -> None:
        """The host loses all its containers, and its agent with them."""
        if self.is_up:
            self.crash()
        for container in self.machine.inventory().containers:
            if container.status == "running":
                gone = runtime.ContainerExit(
                    container_id=container.container_id,
                    exit_code=137,
                    oom_killed=False,
                    finished_at=self._agenda.now(),
                )
                self._watcher.exited(self.name, gone)
        self.machine.reboot()

    def kill(self, container_id: str) -> None:
        """A container dies by itself."""
        self.machine.kill(container_id, self._agenda.now())
        self._look_at_host()

    def running(self) -> list[runtime.FoundContainer]:
        """The containers that run on this host."""
        return [one for one in self.machine.inventory().containers if one.status == "running"]

    # ------------------------------------------------------------------------------------------ the engine

    def _tell(self, event: events.AgentEvent) -> None:
        """One event: save what it changed, then do what follows from it."""
        now = self._agenda.now()
        out = self._engine.handle(event, now)
        saved = self.saved
        for arn, state in self._engine.take_dirty():
            if state is None:
                saved.tasks.pop(arn, None)
                saved.ended = dict(self._engine.ended)
            else:
                saved.tasks[arn] = msgspec.msgpack.encode(state)
        saved.timeline = self._engine.timeline
        if out and self._chance.happens(self.faults.agent_crash_chance):
            self._watcher.happened(f"{self.name}: the agent dies between saving and doing")
            self.crash()
            self._agenda.after(self._chance.between(0.0, self.faults.agent_down_seconds_max), self._revive)
            return
        for instruction in out:
            self._do(instruction)

    def _revive(self) -> None:
        if not self.is_up and not self.is_lost:
            self.start()

    def _do(self, instruction: instructions.AnyInstruction) -> None:
        match instruction:
            case instructions.Submit():
                self._submit(instruction.change, events.Submitted(change=instruction.change))
            case instructions.SubmitAttachments():
                self._submit(instruction.changes, None)
            case instructions.Send():
                if self._acs is not None:
                    self._acs.send(frames.serialize(instruction.message))
            case instructions.WakeAt():
                older = self._wakes.get(instruction.task_arn)
                if older is not None:
                    older.cancel()
                arn = instruction.task_arn
                self._wakes[arn] = self._agenda.at(instruction.at, self._tell_if, self._life, events.Tick(task_arn=arn))
            case _:
                self._ask_host(instruction)

    def _tell_if(self, life: int, event: events.AgentEvent) -> None:
        """Tell the engine, unless the process that this was meant for is gone."""
        if self.is_up and life == self._life:
            self._tell(event)

    def _ask_host(self, instruction: instructions.AnyInstruction) -> None:
        trouble = self._trouble(instruction)
        if trouble is not None:
            self._agenda.after(self._chance.between(0.0, 5.0), self._tell_if, self._life, trouble)
        elif self._chance.happens(self.faults.slow_verb_chance):
            seconds = self._chance.between(0.0, self.faults.slow_verb_seconds_max)
            self._agenda.after(seconds, self._run_verb, self._life, instruction)
        else:
            self._run_verb(self._life, instruction)

    def _trouble(self, instruction: instructions.AnyInstruction) -> events.VerbFailed | None:
        """A fault in place of a pull or a start."""
        match instruction:
            case instructions.Pull() if self._chance.happens(self.faults.pull_failure_chance):
                name, text = "CannotPullContainerError", "the registry can't be reached"
            case instructions.Start() if self._chance.happens(self.faults.start_failure_chance):
                name, text = "CannotStartContainerError", "the host is out of something"
            case _:
                return None
        self._watcher.happened(f"{self.name}: {name}: {text}")
        return events.VerbFailed(container_id=instruction.container_id, name=name, message=text)

    def _run_verb(self, life: int, instruction: instructions.AnyInstruction) -> None:
        if not self.is_up or life != self._life:
            return
        if isinstance(instruction, instructions.Create):
            self.specs[instruction.spec.container_id] = instruction.spec
        done = self._shell.run(instruction, self._agenda.now())
        assert done, f"{type(instruction).__name__} is nothing for a host"
        self._look_at_host()

    def _look_at_host(self) -> None:
        """Be there when the host has something to tell."""
        if not self.is_up:
            return
        at = self._shell.next_event_at()
        if at is None:
            return
        entry = self._host_entry
        if entry is not None and entry.call is not None:
            if entry.at <= at:
                return
            entry.cancel()
        self._host_entry = self._agenda.at(at, self._host_told, self._life)

    def _host_told(self, life: int) -> None:
        if not self.is_up or life != self._life:
            return
        for event in self._shell.advance(self._agenda.now()):
            match event:
                case events.Started():
                    self._watcher.started(self.name, self.specs[event.container_id])
                case events.Exited():
                    self._watcher.exited(self.name, event.exit)
                case _:
                    pass
            self._tell_if(life, event)
        self._look_at_host()

    # ------------------------------------------------------------------------------------------ HTTP

    def _request(self, body: Any, answered: Callable[[network.Answer | None], None]) -> None:
        life = self._life
        name, raw = api.OPERATIONS[type(body)], msgspec.json.encode(body)

        def back(answer: network.Answer | None) -> None:
            if self.is_up and life == self._life:
                answered(answer)

        self._network.request(self.link, lambda reply: self._plane.request(api.SERVICE, name, raw, reply), back)

    def _submit(self, change: api.TaskStateChange | api.AttachmentStateChanges, done: events.Submitted | None) -> None:
        """Send until it arrives, or is refused for good."""
        pause = timers.SUBMIT_BACKOFF_SECONDS_MIN

        def answered(answer: network.Answer | None) -> None:
            nonlocal pause
            if answer is not None and answer.code in ("", REFUSED_FOR_GOOD):
                if done is not None:
                    self._tell(done)
                return
            self._agenda.after(pause, again, self._life)
            pause = min(pause * 2, timers.SUBMIT_BACKOFF_SECONDS_MAX)

        def again(life: int) -> None:
            if self.is_up and life == self._life:
                self._request(change, answered)

        again(self._life)

    def _register(self, pause: float) -> None:
        wanted = registration.request(self._settings, self.machine.facts, "simulated", self.saved.arn, self._token)

        def answered(answer: network.Answer | None) -> None:
            if answer is None:
                later = min(pause * 2, timers.REGISTER_BACKOFF_SECONDS_MAX)
                self._agenda.after(pause, self._if_alive, self._life, lambda: self._register(later))
            elif answer.code:
                self._watcher.happened(f"{self.name}: the agent is refused: {answer.code}: {answer.body.decode()}")
                self.crash()
                self.is_lost = True
            else:
                reply = msgspec.json.decode(answer.body, type=api.RegisterContainerInstanceReply)
                registration.check(wanted, reply)
                self.saved.arn = self._engine.container_instance_arn = reply.container_instance.container_instance_arn
                self._connect()

        self._request(wanted, answered)

    def _if_alive(self, life: int, call: Callable[[], None]) -> None:
        if self.is_up and life == self._life:
            call()

    # ------------------------------------------------------------------------------------------ websockets

    def _connect(self) -> None:
        """Open both sockets; their opening takes a message's way."""
        life, now = self._life, self._agenda.now()
        if now < self.link.cut_until:
            self._agenda.after(network.REQUEST_TIMEOUT_SECONDS, self._if_alive, life, lambda: self._retry(None))
            return
        acs, tcs = network.Socket(self._network, self.link), network.Socket(self._network, self.link)
        self._acs, self._tcs = acs.client, tcs.client
        self._heard_at = now
        self._acs.receive = self._receive
        self._tcs.receive = lambda _text: None
        self._acs.closed = self._tcs.closed = lambda code, _reason: self._retry(code)
        self._agenda.after(self._network.delay(), self._opened, life, acs, tcs)
        patience = timers.AGENT_SILENCE_SECONDS_MAX + self._chance.between(0.0, timers.AGENT_SILENCE_JITTER_SECONDS)
        self._agenda.after(patience, self._watch_silence, acs.client, patience)
        lasts = timers.CONNECTION_SECONDS_MAX + self._chance.between(0.0, timers.CONNECTION_JITTER_SECONDS)
        self._agenda.after(lasts, self._expire, acs.client)
        self._agenda.after(timers.METRICS_PUBLISH_SECONDS, self._publish, tcs.client)

    def _opened(self, life: int, acs: network.Socket, tcs: network.Socket) -> None:
        if not self.is_up or life != self._life or self._acs is not acs.client:
            return
        # The server's side is made open by accepting it; a process that is down refuses.
        acs.server.closed = tcs.server.closed = lambda _code, _reason: None
        self._plane.accept_acs(acs.server, self.saved.arn)
        self._plane.accept_tcs(tcs.server, self.saved.arn)

    def _receive(self, text: str) -> None:
        self._heard_at = self._agenda.now()
        self._reconnect_seconds = timers.RECONNECT_BACKOFF_SECONDS_MIN
        message = frames.parse(text)
        assert not isinstance(message, frames.Unknown)
        self._tell(events.MessageReceived(message=message))  # type: ignore[arg-type]

    def _retry(self, code: int | None) -> None:
        """Drop what is left of the connections and connect anew: at once, or after a pause that grows."""
        for end in (self._acs, self._tcs):
            if end is not None:
                end.drop()
        self._acs = self._tcs = None
        if code in timers.RECONNECT_AT_ONCE_CODES and self._reconnect_seconds == timers.RECONNECT_BACKOFF_SECONDS_MIN:
            self._reconnect_seconds *= timers.RECONNECT_BACKOFF_FACTOR
            self._connect()
            return
        pause = self._reconnect_seconds
        self._reconnect_seconds = min(pause * timers.RECONNECT_BACKOFF_FACTOR, timers.RECONNECT_BACKOFF_SECONDS_MAX)
        pause *= 1 + self._chance.between(0.0, timers.RECONNECT_BACKOFF_JITTER)
        self._agenda.after(pause, self._reconnect, self._life)

    def _reconnect(self, life: int) -> None:
        if self.is_up and life == self._life and self._acs is None:
            self._connect()

    def _watch_silence(self, end: network.End, patience: float) -> None:
        if self._acs is not end or not end.is_open:
            return
        due = self._heard_at + patience
        if self._agenda.now() >= due:
            self._retry(None)
        else:
            self._agenda.at(due, self._watch_silence, end, patience)

    def _expire(self, end: network.End) -> None:
        if self._acs is end and end.is_open:
            self._retry(CLOSE_EXPIRED)

    # ------------------------------------------------------------------------------------------ telemetry

    def _publish(self, end: network.End) -> None:
        """Read what runs, and tell it. One reading each 20 s has the same mean as four."""
        if self._tcs is not end or not end.is_open:
            return
        now = self._agenda.now()
        running = self._engine.running()
        for_ids = [container.container_id for _, containers in running for container in containers]
        self._sampler.add(self.machine.usage(for_ids, now))
        found = self._sampler.publish(running)
        arn = self.saved.arn
        sent: list[acs_telemetry.AgentMessage] = []
        sent += stats.metrics_requests(found, self._cluster, arn, not running, now, self._names)
        sent += stats.health_requests(self._engine.health(), self._cluster, arn, now, self._names)
        for message in sent:
            end.send(frames.serialize_signed({}, message))
        self._agenda.after(timers.METRICS_PUBLISH_SECONDS, self._publish, end)
