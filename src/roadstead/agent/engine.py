"""The agent as a machine: which tasks there are, what the control plane says, who may begin (agent-protocol.md 3).

Comes in: `events.AgentEvent`s. Goes out: `instructions.AnyInstruction`s. What must outlive the process is told by
`take_dirty` and has to be saved before the instructions of the same batch are run.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from roadstead.acs import messages, telemetry
from roadstead.acs import tasks as acs_tasks
from roadstead.agent import events, instructions, records, resources, runtime, specs, task

ENDED_KEPT_SECONDS = 3 * 3600.0
"""How long a task that is over is remembered by its ARN, as long as Amazon's agent keeps its containers."""
ENDED_KEPT_MAX = 20_000
EARLY_INTERFACES_MAX = 1_000
"""Interfaces that came before their task."""

Out = list[instructions.AnyInstruction]


class Engine:
    """The machine of the whole agent. `now` is in epoch seconds everywhere."""

    def __init__(self, surroundings: task.Surroundings, cpu_units: int, memory_mib: int) -> None:
        self.container_instance_arn = ""
        """Known once the instance is registered."""
        self.timeline = 0
        """The highest sequence number or timeline that was seen."""
        self.tasks: dict[str, task.Task] = {}
        self.ended: dict[str, float] = {}
        self._surroundings = surroundings
        self._ledger = resources.Ledger(cpu_units, memory_mib)
        self._waiting: dict[str, resources.Needs] = {}
        self._arns: dict[str, str] = {}
        """Task ARN by container id and by task id."""
        self._early_interfaces: dict[str, messages.AttachTaskNetworkInterfacesMessage] = {}
        self._dirty: dict[str, None] = {}

    def handle(self, event: events.AgentEvent, now: float) -> Out:
        """What follows from an event."""
        out: Out = []
        match event:
            case events.MessageReceived():
                self._message(event.message, now, out)
            case events.Restored():
                self._restore(event, now, out)
            case _:
                arn = self._arn_of(event)
                if arn is not None:
                    self._task(arn, event, now, out)
        self._admit(now, out)
        return out

    def take_dirty(self) -> list[tuple[str, records.TaskState | None]]:
        """Tasks that changed since the last call, by ARN; None where the task is over and to be forgotten."""
        dirty = [(arn, self.tasks[arn].state if arn in self.tasks else None) for arn in self._dirty]
        self._dirty.clear()
        return dirty

    def health(self) -> list[telemetry.TaskHealth]:
        """The health of all running containers that have a check, by task."""
        found = []
        for each in self.tasks.values():
            checked = tuple(
                telemetry.ContainerHealth(
                    container_name=container.definition.name,
                    health_status=container.state.health.status,
                    status_since=container.state.health.since,
                    status_message=container.state.health.message,
                )
                for container in each.containers
                if container.state.status == "RUNNING" and specs.health_check_of(container.definition) is not None
            )
            if checked:
                found.append(
                    telemetry.TaskHealth(
                        task_arn=each.state.task.arn,
                        task_definition_family=each.state.task.family,
                        task_definition_version=each.state.task.version,
                        containers=checked,
                    )
                )
        return found

    def running(self) -> list[tuple[acs_tasks.Task, list[records.ContainerState]]]:
        """The tasks with containers that run, and those containers."""
        found = []
        for each in self.tasks.values():
            states = [container for container in each.state.containers if container.status == "RUNNING"]
            if states:
                found.append((each.state.task, states))
        return found

    # Messages

    def _message(self, message: messages.ServerMessage, now: float, out: Out) -> None:
        match message:
            case messages.HeartbeatMessage():
                self._send(messages.HeartbeatAckRequest(message_id=message.message_id), out)
            case messages.PayloadMessage():
                self._payload(message, now, out)
            case messages.TaskManifestMessage():
                self._manifest(message, out)
            case messages.TaskStopVerificationAck():
                for each in message.stop_tasks:
                    if each.task_arn in self.tasks:
                        self._task(each.task_arn, events.StopWanted(), now, out)
            case messages.IAMRoleCredentialsMessage():
                self._acknowledge_credentials(message.message_id, message.role_credentials, out)
            case messages.AttachTaskNetworkInterfacesMessage():
                self._interfaces(message, now, out)
            case (
                messages.AttachInstanceNetworkInterfacesMessage()
                | messages.ConfirmAttachmentMessage()
                | messages.StageUpdateMessage()
                | messages.PerformUpdateMessage()
            ):
                reason = f"{type(message).__name__} is not supported by this agent"
                self._send(self._nack(message.message_id, reason), out)
            case messages.CloseMessage() | messages.ErrorMessage():
                pass  # the shell writes them to its log
            case _:
                assert_never(message)

    def _payload(self, message: messages.PayloadMessage, now: float, out: Out) -> None:
        if not self._is_for_us(message.message_id, message.cluster_arn, message.container_instance_arn):
            return
        self.timeline = max(self.timeline, message.seq_num)
        for each in message.tasks:
            self._upsert(each, now, out)
            for credentials in (each.role_credentials, each.execution_role_credentials):
                if credentials is not None:
                    self._acknowledge_credentials(message.message_id, credentials, out)
        self._acknowledge(message.message_id, out)

    def _upsert(self, wanted: acs_tasks.Task, now: float, out: Out) -> None:
        """Take a task on; of a known one only the desired status counts, and only on its way to STOPPED."""
        if wanted.arn in self.tasks:
            if wanted.desired_status == "STOPPED":
                self._task(wanted.arn, events.StopWanted(), now, out)
            return
        if wanted.arn in self.ended:
            return
        # Keys are not kept: nothing here hands them to containers yet, and what isn't kept can't leak.
        kept = msgspec.structs.replace(wanted, role_credentials=None, execution_role_credentials=None)
        self._know(task.Task(records.new_task(kept, now), self._surroundings))
        early = self._early_interfaces.pop(wanted.arn, None)
        if early is not None:
            self._task(wanted.arn, events.InterfacesAttached(message=early), now, out)
        self._waiting[wanted.arn] = resources.needs_of(kept)
        self._task(wanted.arn, events.Tick(task_arn=wanted.arn), now, out)

    def _manifest(self, message: messages.TaskManifestMessage, out: Out) -> None:
        """Compare what runs with what should; what is too much is asked about before it is stopped."""
        if not self._is_for_us(message.message_id, message.cluster_arn, message.container_instance_arn):
            return
        if message.timeline <= self.timeline:
            return
        self.timeline = message.timeline
        self._acknowledge(message.message_id, out)
        wanted = {each.task_arn for each in message.tasks if each.desired_status == "RUNNING"}
        extra = tuple(
            acs_tasks.TaskIdentifier(
                task_arn=arn, desired_status="STOPPED", task_cluster_arn=each.state.task.task_cluster_arn
            )
            for arn, each in self.tasks.items()
            if arn not in wanted and not each.state.stopping
        )
        if extra:
            self._send(messages.TaskStopVerificationMessage(message_id=message.message_id, stop_candidates=extra), out)

    def _interfaces(self, message: messages.AttachTaskNetworkInterfacesMessage, now: float, out: Out) -> None:
        if not self._is_for_us(message.message_id, message.cluster_arn, message.container_instance_arn):
            return
        self._acknowledge(message.message_id, out)
        out.append(task.attached(self._surroundings.cluster, message.elastic_network_interfaces))
        if message.task_arn in self.tasks:
            self._task(message.task_arn, events.InterfacesAttached(message=message), now, out)
        elif message.task_arn not in self.ended:
            self._early_interfaces[message.task_arn] = message
            while len(self._early_interfaces) > EARLY_INTERFACES_MAX:
                del self._early_interfaces[next(iter(self._early_interfaces))]

    def _is_for_us(self, message_id: str, cluster: str, container_instance: str) -> bool:
        """Messages that miss a name, or name another instance, are not acknowledged: the server will ask again."""
        return bool(message_id and cluster) and container_instance == self.container_instance_arn

    def _acknowledge(self, message_id: str, out: Out) -> None:
        cluster, instance = self._surroundings.cluster, self.container_instance_arn
        self._send(messages.AckRequest(cluster=cluster, container_instance=instance, message_id=message_id), out)

    def _nack(self, message_id: str, reason: str) -> messages.NackRequest:
        cluster, instance = self._surroundings.cluster, self.container_instance_arn
        return messages.NackRequest(cluster=cluster, container_instance=instance, message_id=message_id, reason=reason)

    def _acknowledge_credentials(self, message_id: str, credentials: acs_tasks.RoleCredentials, out: Out) -> None:
        acknowledgment = messages.IAMRoleCredentialsAckRequest(
            message_id=message_id, credentials_id=credentials.credentials_id, expiration=credentials.expiration
        )
        self._send(acknowledgment, out)

    def _send(self, message: messages.AgentMessage, out: Out) -> None:
        out.append(instructions.Send(message=message))

    # Tasks

    def _task(self, arn: str, event: events.TaskEvent, now: float, out: Out) -> None:
        machine = self.tasks[arn]
        out.extend(machine.handle(event, now))
        self._dirty[arn] = None
        if machine.state.status != "NONE":
            self._waiting.pop(arn, None)
        if not machine.holds_resources:
            self._ledger.release(arn)
        if machine.over:
            self._forget(machine, now)

    def _admit(self, now: float, out: Out) -> None:
        """First come, first served; a task that would never fit waits aside and holds nobody up."""
        while True:
            first = next(((arn, n) for arn, n in self._waiting.items() if self._ledger.could_fit(n)), None)
            if first is None or not self._ledger.fits(first[1]):
                return
            self._ledger.hold(*first)
            self._task(first[0], events.Admitted(), now, out)

    def _arn_of(self, event: events.TaskEvent) -> str | None:
        """The task that an event is about; None where it is known no more."""
        match event:
            case events.SandboxMade() | events.SandboxFailed() | events.CleanedUp():
                return self._arns.get(event.task_id)
            case events.Submitted():
                return event.change.task if event.change.task in self.tasks else None
            case events.Tick():
                return event.task_arn if event.task_arn in self.tasks else None
            case events.Admitted() | events.StopWanted() | events.InterfacesAttached() | events.Adopted():
                raise AssertionError(f"{type(event).__name__} is the engine's own")
            case _:
                return self._arns.get(event.container_id)

    def _know(self, machine: task.Task) -> None:
        arn = machine.state.task.arn
        self.tasks[arn] = machine
        self._arns[machine.state.task_id] = arn
        for container in machine.state.containers:
            self._arns[container.container_id] = arn

    def _forget(self, machine: task.Task, now: float) -> None:
        arn = machine.state.task.arn
        del self.tasks[arn]
        del self._arns[machine.state.task_id]
        for container in machine.state.containers:
            del self._arns[container.container_id]
        self.ended[arn] = now
        while self.ended:
            oldest = next(iter(self.ended))
            if len(self.ended) <= ENDED_KEPT_MAX and now - self.ended[oldest] < ENDED_KEPT_SECONDS:
                break
            del self.ended[oldest]

    def _restore(self, event: events.Restored, now: float, out: Out) -> None:
        """Take up what was saved, with what the runtime holds; what nobody knows is removed."""
        self.timeline = event.timeline
        self.ended = dict(sorted(event.ended, key=lambda each: each[1]))
        for state in event.tasks:
            self._know(task.Task(state, self._surroundings))
        held: dict[str, list[runtime.FoundContainer]] = {each.task_id: [] for each in event.inventory.sandboxes}
        for found in event.inventory.containers:
            held.setdefault(found.task_id, []).append(found)
        sandboxes = {each.task_id for each in event.inventory.sandboxes}
        for arn, machine in list(self.tasks.items()):
            task_id = machine.state.task_id
            needs = resources.needs_of(machine.state.task)
            if machine.holds_resources:
                self._ledger.hold(arn, needs)
            elif machine.state.status == "NONE":
                self._waiting[arn] = needs
            containers = tuple(held.pop(task_id, ()))
            self._task(arn, events.Adopted(sandbox=task_id in sandboxes, containers=containers), now, out)
        for task_id, unknown in held.items():
            container_ids = tuple(each.container_id for each in unknown)
            out.append(instructions.CleanUp(task_id=task_id, container_ids=container_ids))
