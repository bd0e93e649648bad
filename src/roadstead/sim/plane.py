"""The control plane's process. Store, controllers, stepper, sessions and operations are the production code; the shells
around them (gateway, committer, live driver) have stand-ins that wait on the agenda instead of asyncio.

A crash loses everything that the disk had not synced, every connection and every answer that was due; a start loads
the disk, marks every agent as gone, and has the stepper look at everything once. Answers and payloads wait for the
disk, as in production.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from roadstead.acs import frames, messages, timers
from roadstead.acs import telemetry as acs_telemetry
from roadstead.base import scope as scopes
from roadstead.control import controller
from roadstead.control.sessions import connection, machine, telemetry
from roadstead.engine import stepper
from roadstead.model import container_instances, tables, tasks
from roadstead.sim import agenda as agendas
from roadstead.sim import chance as chances
from roadstead.sim import disk as disks
from roadstead.sim import faults, front_door, network
from roadstead.state import plan, store

STEPS_AT_ONCE_MAX = 200_000
"""Decisions at one virtual moment; more of them would never end."""
CHECKPOINT_DATA_MAX = 100_000
EXPIRY_SECONDS = 600.0
"""How often metrics that have aged are merged and dropped."""
EXPIRY_BUDGET_STEPS = 1_000_000

Watcher = Callable[[store.Commit], None]


class _Served:
    """One agent's ACS session: the machine, once the instance's record says durably that it is connected."""

    def __init__(self, end: network.End) -> None:
        self.end = end
        self.machine: machine.Session | None = None
        self.tick: agendas.Entry | None = None


class Plane:
    """`on_commit` hears of every commit at once, `on_acknowledged` of those whose request is answered, `on_problem` of
    decisions that failed. With `keeps_nothing` there is no journal, as with `--ephemeral`, and no crash either. With
    `checks` plans that say they rest are tried."""

    def __init__(
        self,
        agenda: agendas.Agenda,
        chance: chances.Chance,
        disk: disks.Disk,
        controllers: Sequence[controller.Controller],
        seed: Callable[[], int],
        *,
        on_commit: Watcher,
        on_problem: Callable[[stepper.Problem], None],
        on_acknowledged: Watcher,
        keeps_nothing: bool = False,
        checks: bool = False,
    ) -> None:
        self.faults = faults.NONE
        self.disk = disk
        self.is_up = False
        self.lives = 0
        """How often it was started."""
        self.acknowledged = 0
        """The newest revision whose durability somebody was told of."""
        self._agenda = agenda
        self._chance = chance
        self._controllers = tuple(controllers)
        self._seed = seed
        self._on_commit = on_commit
        self._on_problem = on_problem
        self._on_acknowledged = on_acknowledged
        self._keeps_nothing = keeps_nothing
        self._checks = checks

    # ------------------------------------------------------------------------------------------ life

    def start(self) -> None:
        """Load what the disk has, and begin."""
        assert not self.is_up
        self.is_up = True
        self.lives += 1
        now = self._agenda.now()
        self.store = store.Store(scopes.Scope(), self._seed)
        self.store.load(self.disk.load(), self.disk.newest_revision())
        self.store.signals.load(self.disk.load_checkpoint())
        for datum in self.disk.load_data():
            self.store.signals.put(datum, now)
        self._gathered: list[store.Commit] = []
        self._syncing: list[store.Commit] = []
        self._durable_revision = self.store.revision
        self._waiters: list[tuple[int, Callable[[], None]]] = []
        self._unanswered: list[Callable[[network.Answer | None], None]] = []
        self._served: dict[str, _Served] = {}
        self._telemetry: dict[str, network.End] = {}
        self._board = telemetry.Board()
        self._turn: agendas.Entry | None = None
        self._is_working = False
        self.stepper = stepper.Stepper(self.store, self._controllers, self._on_problem, checks=self._checks)
        self.store.watch(self._note_commit)
        self.store.watch(self.stepper.note)
        self.stepper.on_work(self._poke)
        self.store.transact(lambda view: (connection.forget_all(view, now), None), now)
        self.stepper.start(now)
        self._poke()
        self._agenda.after(EXPIRY_SECONDS, self._expire, self.lives)

    def crash(self) -> None:
        """kill -9: what was not durable is lost."""
        assert self.is_up and not self._keeps_nothing
        self.is_up = False
        if self._turn is not None:
            self._turn.cancel()
        for answer in self._unanswered:
            answer(None)
        for served in self._served.values():
            if served.tick is not None:
                served.tick.cancel()
            served.end.drop()
        for end in self._telemetry.values():
            end.drop()

    def _expire(self, life: int) -> None:
        if self.is_up and life == self.lives:
            self.store.signals.expire(self._agenda.now(), EXPIRY_BUDGET_STEPS)
            self._agenda.after(EXPIRY_SECONDS, self._expire, life)

    # ------------------------------------------------------------------------------------------ decisions

    def _poke(self) -> None:
        """There is work, or there will be at the stepper's next moment."""
        if self._is_working:
            return
        now = self._agenda.now()
        if self.stepper.has_work:
            at = now + self._chance.between(0.0, self.faults.step_seconds_max)
        else:
            wake_at = self.stepper.next_wake()
            if wake_at is None:
                return
            at = max(wake_at, now)
        if self._turn is not None and self._turn.call is not None:
            if self._turn.at <= at:
                return
            self._turn.cancel()
        self._turn = self._agenda.at(at, self._work)

    def _work(self) -> None:
        """All decisions that wait; one alone where they take time."""
        self._is_working = True
        steps = 1 if self.faults.step_seconds_max > 0.0 else STEPS_AT_ONCE_MAX
        now = self._agenda.now()
        for _ in range(steps):
            if not self.stepper.step(now):
                break
        else:
            assert steps == 1, f"the controllers don't come to rest at {now}"
        self._is_working = False
        self._turn = None
        self._poke()

    # ------------------------------------------------------------------------------------------ durability

    def _note_commit(self, commit: store.Commit) -> None:
        self._on_commit(commit)
        if self._keeps_nothing:
            self._durable_revision = self.acknowledged = commit.revision
            self._tell_sessions(commit)
            return
        self._gathered.append(commit)
        if not self._syncing:
            self._sync()

    def _sync(self) -> None:
        self._syncing, self._gathered = self._gathered, []
        seconds = self._chance.between(0.0, self.faults.sync_seconds_max)
        self._agenda.after(seconds, self._synced, self.lives)

    def _synced(self, life: int) -> None:
        if not self.is_up or life != self.lives:
            return
        group, self._syncing = self._syncing, []
        self.disk.append([commit.entry for commit in group])
        self._durable_revision = self.acknowledged = group[-1].revision
        if self.disk.data_since_checkpoint >= CHECKPOINT_DATA_MAX and not self._gathered:
            self.disk.checkpoint(list(self.store.signals.dump()))
        if self._gathered:
            self._sync()
        for commit in group:
            self._tell_sessions(commit)
        due = [call for revision, call in self._waiters if revision <= self._durable_revision]
        self._waiters = [one for one in self._waiters if one[0] > self._durable_revision]
        for call in due:
            call()

    def when_durable(self, revision: int, call: Callable[[], None]) -> None:
        """Call back once a commit is on the disk; never, where a crash comes first."""
        if revision <= self._durable_revision:
            call()
        else:
            self._waiters.append((revision, call))

    # ------------------------------------------------------------------------------------------ HTTP

    def request(self, service: str, name: str, body: bytes, answer: Callable[[network.Answer | None], None]) -> None:
        """An HTTP request has come in; `answer` is called once, with None where the process dies before."""
        if not self.is_up:
            answer(None)
            return
        commit, found = front_door.decide(self.store, service, name, body, self._agenda.now())
        if commit is None:
            answer(found)
            return
        self._unanswered.append(answer)

        def done() -> None:
            self._unanswered.remove(answer)
            self._on_acknowledged(commit)
            answer(found)

        self.when_durable(commit.revision, done)

    # ------------------------------------------------------------------------------------------ agents' sessions

    def accept_acs(self, end: network.End, instance_arn: str) -> None:
        """An agent opens its ACS socket; `end` is the server's side of it."""
        instance_id = instance_arn.rpartition("/")[2]
        now = self._agenda.now()
        if not self._admits(instance_id):
            end.close(1008, "refused")
            return
        older = self._served.get(instance_id)
        if older is not None:
            self._end_session(older, machine.CLOSE_GOING_AWAY, "A newer connection of this agent took over")
        served = self._served[instance_id] = _Served(end)
        commit, first = self.store.transact(lambda view: connection.begin(view, instance_id, now), now)
        assert commit is not None
        end.receive = lambda text: self._receive(served, text)
        end.closed = lambda _code, _reason: self._gone(served, instance_id)
        self.when_durable(commit.revision, lambda: self._open(served, instance_id, first))

    def _admits(self, instance_id: str) -> bool:
        found = self.store.view().get(container_instances.ContainerInstance, instance_id) if self.is_up else None
        return found is not None and found.status != "INACTIVE"

    def _open(self, served: _Served, instance_id: str, first: int) -> None:
        view = self.store.view()
        instance = view.get(container_instances.ContainerInstance, instance_id)
        if not served.end.is_open or instance is None:
            return
        served.machine = machine.Session(instance, first, self._agenda.now())
        live = tuple(view.find(tables.TASKS, "live_by_instance", instance_id))
        self._feed(served, machine.Opened(tasks=live))

    def _receive(self, served: _Served, text: str) -> None:
        message = frames.parse(text)
        assert not isinstance(message, frames.Unknown)
        self._feed(served, machine.Received(message=message))

    def _feed(self, served: _Served, event: machine.Event) -> None:
        session = served.machine
        if session is None or not served.end.is_open:
            return
        now = self._agenda.now()
        for instruction in session.handle(event, self.store.view(), now):
            match instruction:
                case machine.Send():
                    served.end.send(frames.serialize(instruction.message))
                case machine.Close():
                    self._end_session(served, instruction.code, instruction.reason)
                    self._gone(served, session.instance.instance_id)
                    return
        due = session.next_at
        tick = served.tick
        if tick is None or tick.call is None or tick.at > due:
            if tick is not None:
                tick.cancel()
            served.tick = self._agenda.at(due, self._tick, served)

    def _tick(self, served: _Served) -> None:
        session = served.machine
        if session is None or not served.end.is_open or not self.is_up:
            return
        if session.next_at > self._agenda.now():
            served.tick = self._agenda.at(session.next_at, self._tick, served)
        else:
            self._feed(served, machine.Tick())

    def _end_session(self, served: _Served, code: int, reason: str) -> None:
        if served.tick is not None:
            served.tick.cancel()
        served.end.close(code, reason)

    def _gone(self, served: _Served, instance_id: str) -> None:
        """An ACS socket closed: its instance's agent is gone, unless a newer session took over."""
        if not self.is_up or self._served.get(instance_id) is not served:
            return
        if served.tick is not None:
            served.tick.cancel()
        del self._served[instance_id]
        now = self._agenda.now()
        self.store.transact(lambda view: (connection.end(view, instance_id, now), None), now)

    def _tell_sessions(self, commit: store.Commit) -> None:
        """Give each session what a durable commit changed for it."""
        if not self._served:
            return
        for change in commit.changes:
            if change.table == tables.TASKS.name:
                newest = change.newest
                assert isinstance(newest, tasks.Task)
                for instance_id in sorted({_instance_of(change.before), _instance_of(change.after)} - {""}):
                    served = self._served.get(instance_id)
                    if served is not None:
                        self._feed(served, machine.TasksChanged(tasks=(newest,)))
            elif change.table == tables.CONTAINER_INSTANCES.name:
                served = self._served.get(change.key)
                after = change.after
                assert after is None or isinstance(after, container_instances.ContainerInstance)
                if served is not None:
                    self._feed(served, machine.InstanceChanged(instance=after))

    # ------------------------------------------------------------------------------------------ telemetry

    def accept_tcs(self, end: network.End, instance_arn: str) -> None:
        """An agent opens its TCS socket; `end` is the server's side of it."""
        instance_id = instance_arn.rpartition("/")[2]
        if not self._admits(instance_id):
            end.close(1008, "refused")
            return
        older = self._telemetry.get(instance_id)
        if older is not None:
            older.close(machine.CLOSE_GOING_AWAY, "A newer connection of this agent took over")
        self._telemetry[instance_id] = end
        stream = telemetry.Stream(self._board, instance_id)
        end.receive = lambda text: self._measure(end, stream, text)
        end.closed = lambda _code, _reason: self._telemetry_gone(end, stream)
        self._beat(end)

    def _beat(self, end: network.End) -> None:
        if self.is_up and end.is_open:
            end.send(frames.serialize(messages.HeartbeatMessage(healthy=True)))
            self._agenda.after(timers.HEARTBEAT_INTERVAL_SECONDS, self._beat, end)

    def _measure(self, end: network.End, stream: telemetry.Stream, text: str) -> None:
        _, message = frames.parse_signed(text)
        now, view = self._agenda.now(), self.store.view()
        answer: acs_telemetry.ServerMessage
        match message:
            case acs_telemetry.PublishMetricsRequest():
                wanted = stream.publish_metrics(message, view, now)
                answer = acs_telemetry.AckPublishMetric(message=message.metadata.message_id)
            case acs_telemetry.PublishHealthRequest():
                wanted = telemetry.publish_health(message, stream.instance_id, view, now)
                answer = acs_telemetry.AckPublishHealth(message=message.metadata.message_id)
            case _:
                raise AssertionError(f"our agent doesn't send {type(message).__name__}")
        self.commit(wanted, lambda: end.send(frames.serialize(answer)))

    def commit(self, wanted: plan.Plan, done: Callable[[], None]) -> None:
        """Commit a plan made from the present view; `done` once it is durable."""
        if wanted.is_empty:
            done()
        else:
            self.when_durable(self.store.commit(wanted, self._agenda.now()).revision, done)

    def _telemetry_gone(self, end: network.End, stream: telemetry.Stream) -> None:
        if self.is_up and self._telemetry.get(stream.instance_id) is end:
            del self._telemetry[stream.instance_id]
            instance = self.store.view().get(container_instances.ContainerInstance, stream.instance_id)
            if instance is not None:
                self._board.forget(instance.cluster, stream.instance_id)


def _instance_of(one: Any) -> str:
    return (one.desired.container_instance or "") if isinstance(one, tasks.Task) else ""
