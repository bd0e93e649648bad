"""One connected agent's ACS session, as a machine (agent-protocol.md 3).

Comes in: what the agent sent, tasks of its instance whose records changed (once that is durable), and ticks. Goes out:
messages to send, or that the session shall close. After it opened, the agent gets a manifest of what shall run, then
every live task once; after that, what changes. Payloads carry one task each, so that one that the agent can't take
holds up no other, and are sent again until they are acknowledged; an agent takes a task that it knows as the same task.

Payloads wait for the first manifest's acknowledgment, and a manifest that is sent again is made anew with a higher
number: Amazon's agent discards one whose number is below that of a payload it has seen, without a word.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable

import msgspec

from roadstead.acs import frames, messages, timers
from roadstead.control.sessions import connection, payload
from roadstead.model import container_instances, names, record, tables, task_definitions, tasks
from roadstead.state import view as views

PAYLOADS_IN_FLIGHT_MAX = 256
"""Payloads that may wait for their acknowledgment at once; further tasks queue behind them."""
RESEND_BACKOFF_SECONDS_MAX = 60.0
"""The pause between sending a message again doubles from `timers.PAYLOAD_ACK_SECONDS_MAX` up to this."""
CLOSE_GOING_AWAY = 1001
CLOSE_SERVER_ERROR = 1011
"""An agent that is closed with either comes back at once."""
REASON_INACTIVE = "InactiveInstance: the container instance was deregistered"
REASON_SILENT = "HeartbeatTimeout: no acknowledgment from the agent"
REASON_NUMBERS = "ConnectionExpired: Reconnect to continue"


class Opened(record.Value, frozen=True):
    """The socket is open and the instance's record says so, durably. `tasks` are the instance's live ones."""

    tasks: tuple[tasks.Task, ...]


class TasksChanged(record.Value, frozen=True):
    """New versions of tasks that are, or were, this instance's."""

    tasks: tuple[tasks.Task, ...]


class InstanceChanged(record.Value, frozen=True):
    """A new version of the instance; None where its record was removed."""

    instance: container_instances.ContainerInstance | None


class Received(record.Value, frozen=True):
    """A frame of the agent, parsed."""

    message: frames.Message | frames.Unknown


class Tick(record.Value, frozen=True):
    """Time has passed: `next_at` may have come."""


Event = Opened | TasksChanged | InstanceChanged | Received | Tick


class Send(record.Value, frozen=True):
    message: messages.ServerMessage


class Close(record.Value, frozen=True):
    code: int
    reason: str


Instruction = Send | Close


class _Flight(msgspec.Struct):
    """A message that waits for its acknowledgment."""

    message: messages.PayloadMessage
    task_id: str
    due_at: float = 0.0
    pause_seconds: float = timers.PAYLOAD_ACK_SECONDS_MAX


class Session:
    """The state of one connection. Nothing of it outlives the connection: the records are what counts."""

    def __init__(self, instance: container_instances.ContainerInstance, first_number: int, now: float) -> None:
        """`first_number` is the begin of the block that `connection.begin` took for this session."""
        self.instance = instance
        self._number = first_number - 1
        self._number_max = first_number - 1 + connection.TIMELINE_BLOCK
        self._sent: dict[str, str] = {}
        self._waiting: collections.OrderedDict[str, tasks.Task] = collections.OrderedDict()
        self._flights: dict[str, _Flight] = {}
        self._flight_of: dict[str, str] = {}
        self._manifest_id: str | None = None
        self._manifest_at = float("inf")
        self._manifest_pause_seconds = timers.PAYLOAD_ACK_SECONDS_MAX
        self._holding = True
        self._heard_at = now
        self._heartbeat_at = now + timers.HEARTBEAT_INTERVAL_SECONDS

    @property
    def next_at(self) -> float:
        """When a Tick is due at the latest."""
        resend_at = min((flight.due_at for flight in self._flights.values()), default=self._heartbeat_at)
        silent_at = self._heard_at + timers.HEARTBEAT_ACK_SECONDS_MAX
        return min(self._heartbeat_at, silent_at, resend_at, self._manifest_at)

    def handle(self, event: Event, view: views.View, now: float) -> list[Instruction]:
        """What to do about an event. The view gives what the records refer to: definitions, and tasks for questions."""
        out: list[Instruction] = []
        match event:
            case Opened():
                self._send_manifest(event.tasks, view, now, out)
                self._take(event.tasks, view, now, out)
            case TasksChanged():
                self._take(event.tasks, view, now, out)
            case InstanceChanged():
                if event.instance is None or event.instance.status == "INACTIVE":
                    out.append(Close(code=CLOSE_GOING_AWAY, reason=REASON_INACTIVE))
                else:
                    self.instance = event.instance
            case Received():
                self._heard_at = now
                self._receive(event.message, view, now, out)
            case Tick():
                self._tick(view, now, out)
        if self._number >= self._number_max and not any(isinstance(one, Close) for one in out):
            out.append(Close(code=CLOSE_GOING_AWAY, reason=REASON_NUMBERS))
        return out

    # ------------------------------------------------------------------------------------------ sending

    def _next_message_id(self) -> str:
        self._number += 1
        return f"{self.instance.instance_id}-{self._number}"

    def _send_manifest(self, live: Iterable[tasks.Task], view: views.View, now: float, out: list[Instruction]) -> None:
        message_id = self._next_message_id()
        message = messages.TaskManifestMessage(
            message_id=message_id,
            cluster_arn=names.cluster_arn(view.scope, self.instance.cluster),
            container_instance_arn=self._arn(view),
            generated_at=int(now * 1000),
            tasks=tuple(payload.identifier(view.scope, task) for task in live),
            timeline=self._number,
        )
        self._manifest_id = message_id
        self._manifest_at = now + self._manifest_pause_seconds
        self._manifest_pause_seconds = min(self._manifest_pause_seconds * 2, RESEND_BACKOFF_SECONDS_MAX)
        out.append(Send(message=message))

    def _take(self, changed: Iterable[tasks.Task], view: views.View, now: float, out: list[Instruction]) -> None:
        """Queue the tasks of which the agent must be told something, and forget those that are none of its business."""
        for task in changed:
            mine = task.is_live and task.desired.container_instance == self.instance.instance_id
            if not mine:
                self._sent.pop(task.task_id, None)
                self._waiting.pop(task.task_id, None)
                self._land(self._flight_of.get(task.task_id))
            elif self._sent.get(task.task_id) != task.desired.status:
                self._sent[task.task_id] = task.desired.status
                self._waiting[task.task_id] = task
                self._land(self._flight_of.get(task.task_id))
        self._pump(view, now, out)

    def _pump(self, view: views.View, now: float, out: list[Instruction]) -> None:
        """Send what waits, as far as the window allows."""
        while self._waiting and not self._holding and len(self._flights) < PAYLOADS_IN_FLIGHT_MAX:
            task_id, task = self._waiting.popitem(last=False)
            definition = view.get(task_definitions.TaskDefinition, task.spec.task_definition)
            assert definition is not None, "a task definition stays as long as its tasks"
            message_id = self._next_message_id()
            message = messages.PayloadMessage(
                message_id=message_id,
                cluster_arn=names.cluster_arn(view.scope, self.instance.cluster),
                container_instance_arn=self._arn(view),
                generated_at=int(now * 1000),
                seq_num=self._number,
                tasks=(payload.build(view.scope, task, definition, self.instance),),
            )
            flight = _Flight(message=message, due_at=0.0, pause_seconds=timers.PAYLOAD_ACK_SECONDS_MAX, task_id=task_id)
            self._flight_of[task_id] = message_id
            self._launch(flight, now, out)

    def _launch(self, flight: _Flight, now: float, out: list[Instruction]) -> None:
        flight.due_at = now + flight.pause_seconds
        flight.pause_seconds = min(flight.pause_seconds * 2, RESEND_BACKOFF_SECONDS_MAX)
        self._flights[flight.message.message_id] = flight
        out.append(Send(message=flight.message))

    def _land(self, message_id: str | None) -> None:
        """The message needs no acknowledgment any more."""
        flight = self._flights.pop(message_id, None) if message_id is not None else None
        if flight is not None:
            self._flight_of.pop(flight.task_id, None)

    def _arn(self, view: views.View) -> str:
        return names.instance_arn(view.scope, self.instance.cluster, self.instance.instance_id)

    # ------------------------------------------------------------------------------------------ receiving

    def _receive(
        self, message: frames.Message | frames.Unknown, view: views.View, now: float, out: list[Instruction]
    ) -> None:
        match message:
            case messages.AckRequest():
                self._land(message.message_id)
                if message.message_id == self._manifest_id:
                    self._manifest_id, self._manifest_at, self._holding = None, float("inf"), False
                self._pump(view, now, out)
            case messages.NackRequest():
                # Refused: the task will be reported STOPPED, or it is worth another try, but not soon.
                flight = self._flights.get(message.message_id)
                if flight is not None:
                    flight.due_at = now + RESEND_BACKOFF_SECONDS_MAX
            case messages.TaskStopVerificationMessage():
                out.append(Send(message=self._verified(message, view, now)))
            case _:
                pass  # acknowledgments of heartbeats and credentials, errors, and types of a later protocol

    def _verified(
        self, message: messages.TaskStopVerificationMessage, view: views.View, now: float
    ) -> messages.TaskStopVerificationAck:
        stop = tuple(one for one in message.stop_candidates if not self._should_run(one.task_arn, view))
        return messages.TaskStopVerificationAck(
            message_id=message.message_id, generated_at=int(now * 1000), stop_tasks=stop
        )

    def _should_run(self, task_arn: str, view: views.View) -> bool:
        task = view.get(tasks.Task, task_arn.rpartition("/")[2])
        return (
            task is not None
            and names.arn_of_task(view.scope, task) == task_arn
            and task.should_run
            and task.desired.container_instance == self.instance.instance_id
        )

    # ------------------------------------------------------------------------------------------ time

    def _tick(self, view: views.View, now: float, out: list[Instruction]) -> None:
        if now >= self._heard_at + timers.HEARTBEAT_ACK_SECONDS_MAX:
            out.append(Close(code=CLOSE_SERVER_ERROR, reason=REASON_SILENT))
            return
        if now >= self._heartbeat_at:
            self._heartbeat_at = now + timers.HEARTBEAT_INTERVAL_SECONDS
            out.append(Send(message=messages.HeartbeatMessage(message_id=self._next_message_id(), healthy=True)))
        if now >= self._manifest_at:
            live = view.find(tables.TASKS, "live_by_instance", self.instance.instance_id)
            self._send_manifest(live, view, now, out)
            self._holding = False
            self._pump(view, now, out)
        for flight in [flight for flight in self._flights.values() if now >= flight.due_at]:
            self._launch(flight, now, out)
