"""A stage for stories: the engine over a simulated host in virtual time, and a control plane that only listens."""

from __future__ import annotations

from typing import Any

import msgspec

from roadstead.acs import docker, messages, tasks
from roadstead.agent import api, engine, events, instructions, records, runtime, simulated, simulated_host, task

CLUSTER = "default"
INSTANCE = "arn:aws:ecs:us-east-1:123456789012:container-instance/default/" + "a" * 32
START = 1_000_000.0


def arn_of(number: int) -> str:
    return f"arn:aws:ecs:us-east-1:123456789012:task/default/{number:032x}"


def container(name: str = "web", *, sim: dict[str, object] | None = None, **members: Any) -> tasks.Container:
    """A container, told by `sim` what to do on the simulated host."""
    environment = {f"ROADSTEAD_SIM_{key}": str(value) for key, value in (sim or {}).items()}
    return tasks.Container(
        **{
            "image": "busybox",
            "essential": True,
            "cpu": 128,
            "memory": 64,
            **members,
            "name": name,
            "environment": environment,
        }
    )


def a_task(number: int, *containers: tasks.Container, **members: Any) -> tasks.Task:
    return tasks.Task(
        **{"desired_status": "RUNNING", "family": "web", "version": "3", "network_mode": "bridge", **members},
        arn=arn_of(number),
        containers=containers or (container(),),
    )


def checked(seconds: float = 10, *, retries: int = 2, start_period_seconds: float = 0) -> dict[str, Any]:
    """Members of a container with a health check."""
    check = docker.HealthConfig(
        test=("CMD-SHELL", "exit 0"),
        interval=int(seconds * docker.NANOSECONDS_PER_SECOND),
        retries=retries,
        start_period=int(start_period_seconds * docker.NANOSECONDS_PER_SECOND),
    )
    made = docker.make(docker.Config(healthcheck=check), docker.HostConfig())
    return {"health_check_type": "docker", "docker_config": made}


class Stage:
    """`heard`: every state change, in order; `sent`: every ACS message of the agent; `asked`: every instruction."""

    def __init__(self, *, cpu_units: int = 2048, memory_mib: int = 4096, verb_seconds: float = 0.01) -> None:
        facts = runtime.HostFacts(
            cpu_units=cpu_units,
            memory_mib=memory_mib,
            subnet=None,
            network_modes=("bridge", "awsvpc", "host", "none"),
            runtime_version="simulated",
        )
        self.host = simulated_host.SimulatedHost(facts, pull_seconds=1.0, verb_seconds=verb_seconds)
        self.now = START
        self.heard: list[api.TaskStateChange] = []
        self.attached: list[api.AttachmentStateChanges] = []
        self.sent: list[messages.AgentMessage] = []
        self.asked: list[instructions.AnyInstruction] = []
        self.saved: dict[str, bytes] = {}
        self.ended: dict[str, float] = {}
        self.deaf = False
        """The control plane takes no state changes."""
        self._sequence = 0
        self._begin()

    def _begin(self) -> None:
        facts = self.host.facts
        surroundings = task.Surroundings(cluster=CLUSTER, data_dir="/data", region="us-east-1")
        self.engine = engine.Engine(surroundings, facts.cpu_units, facts.memory_mib)
        self.engine.container_instance_arn = INSTANCE
        self.shell = simulated.SimulatedShell(self.host)
        self.alarms: dict[str, float] = {}
        self._unsent: list[api.TaskStateChange] = []

    def restart_agent(self, *, down_seconds: float = 0.0, verbs_finish: bool = False) -> None:
        """kill -9 the agent, let the host go on for a while, and start it again from what was saved.

        `verbs_finish`: what it had asked for goes on without it, as a child process would.
        """
        timeline = self.engine.timeline
        if not verbs_finish:
            self.host.forget_verbs()
        self.host.advance(self.now + down_seconds)
        self.now += down_seconds
        self._begin()
        self.tell(
            events.Restored(
                tasks=tuple(msgspec.json.decode(raw, type=records.TaskState) for raw in self.saved.values()),
                ended=tuple(self.ended.items()),
                timeline=timeline,
                inventory=self.host.inventory(),
            )
        )

    def tell(self, event: events.AgentEvent) -> None:
        """One event, and all that follows from it at this moment."""
        out = self.engine.handle(event, self.now)
        for arn, state in self.engine.take_dirty():
            if state is None:
                self.saved.pop(arn, None)
                self.ended[arn] = self.now
            else:
                self.saved[arn] = msgspec.json.encode(state)
        self.asked.extend(out)
        for each in out:
            match each:
                case instructions.Submit():
                    self._unsent.append(each.change)
                case instructions.SubmitAttachments():
                    self.attached.append(each.changes)
                case instructions.Send():
                    self.sent.append(each.message)
                case instructions.WakeAt():
                    self.alarms[each.task_arn] = each.at
                case _:
                    assert self.shell.run(each, self.now)

    def payload(self, *wanted: tasks.Task, message_id: str = "m") -> None:
        self._sequence += 1
        message = messages.PayloadMessage(
            message_id=message_id,
            cluster_arn=CLUSTER,
            container_instance_arn=INSTANCE,
            seq_num=self._sequence,
            tasks=wanted,
        )
        self.tell(events.MessageReceived(message=message))

    def stop(self, wanted: tasks.Task) -> None:
        self.payload(msgspec.structs.replace(wanted, desired_status="STOPPED"))

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        until = self.now + seconds
        while True:
            if self._unsent and not self.deaf:
                change = self._unsent.pop(0)
                self.heard.append(change)
                self.tell(events.Submitted(change=change))
                continue
            due = [at for at in (self.shell.next_event_at(), *self.alarms.values()) if at is not None]
            at = min(due, default=until)
            if at > until:
                break
            self.now = max(self.now, at)
            for event in self.shell.advance(self.now):
                self.tell(event)
            for arn in [arn for arn, alarm in self.alarms.items() if alarm <= self.now]:
                del self.alarms[arn]
                self.tell(events.Tick(task_arn=arn))
            if not due:
                break
        self.now = until

    def statuses(self, number: int) -> list[str]:
        """What the control plane heard about a task."""
        return [each.status for each in self.heard if each.task == arn_of(number)]

    def last(self, number: int) -> api.TaskStateChange:
        return [each for each in self.heard if each.task == arn_of(number)][-1]

    def told(self, number: int, name: str) -> list[api.ContainerStateChange]:
        """What it heard about one container."""
        return [
            found
            for each in self.heard
            if each.task == arn_of(number)
            for found in each.containers
            if found.container_name == name
        ]

    def container_id(self, number: int, name: str = "web") -> str:
        return records.container_id_of(arn_of(number), name)

    def status(self, number: int, name: str = "web") -> str:
        """What the host says of a container: created, running, exited or gone."""
        wanted = self.container_id(number, name)
        return next((each.status for each in self.host.inventory().containers if each.container_id == wanted), "gone")

    def signals(self, number: int, name: str = "web") -> list[int]:
        wanted = self.container_id(number, name)
        return [
            each.signal for each in self.asked if isinstance(each, instructions.Signal) and each.container_id == wanted
        ]
