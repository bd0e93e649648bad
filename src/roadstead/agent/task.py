"""One task as a machine: from the payload that brought it to the last state change (behaviour.md 5.9).

Comes in: `events.TaskEvent`s. Goes out: instructions. Each event is applied to the state, then everything that the
state allows next is asked for (level-triggered), so the order of events doesn't matter and a restored state goes on
where it stood. The state is `records.TaskState`, which the engine saves.
"""

from __future__ import annotations

from typing import get_args

from roadstead.acs import docker
from roadstead.acs import tasks as acs_tasks
from roadstead.agent import api, containers, events, instructions, lifecycle, records, reporting, runtime, specs

CLEANUP_RETRY_SECONDS = 30.0
CLEANUP_ATTEMPTS_MAX = 20
INTERFACE_WAIT_SECONDS = 180.0
"""How long an awsvpc task waits for its interface before it fails."""


class Surroundings(runtime.Value, frozen=True, kw_only=True):
    """What is the same for all tasks of an agent."""

    cluster: str
    data_dir: str = "/var/lib/roadstead-agent"
    region: str = ""


class Task:
    """The machine of one task. `now` is in epoch seconds everywhere."""

    def __init__(self, state: records.TaskState, surroundings: Surroundings) -> None:
        self.state = state
        self._surroundings = surroundings
        self._problem = _problem_of(state.task)
        self.containers = [] if self._problem else _containers(state)
        self._by_name = {each.definition.name: each for each in self.containers}
        order = [] if self._problem else specs.start_order(state.task)
        self._stop_order = [self._by_name[name] for name in reversed(order)]
        self._dependents = _dependents(self.containers)
        self._wake_at: float | None = None

    @property
    def over(self) -> bool:
        """Everything is given back and told: the task can be forgotten."""
        return self.state.sent == "STOPPED" and not self.state.cleaning and self.state.cleanup_at is None

    @property
    def holds_resources(self) -> bool:
        """Whether the task counts against the instance's cpu, memory and ports."""
        return self.state.status in ("ADMITTED", "RUNNING", "ENDED")

    def handle(self, event: events.TaskEvent, now: float) -> containers.Out:
        """What follows from an event."""
        out: containers.Out = []
        if isinstance(event, get_args(events.ContainerEvent)):
            self._container(event, now, out)
        else:
            self._apply(event, now, out)
        self._advance(now, out)
        return out

    def _container(self, event: events.ContainerEvent, now: float, out: containers.Out) -> None:
        container = next((each for each in self.containers if each.state.container_id == event.container_id), None)
        if container is None:
            return
        if isinstance(event, events.Pulled | events.VerbFailed) and container.state.verb == "pull":
            self.state.pull_stopped_at = now
        out.extend(container.handle(event, now, self.state.stopping))
        if isinstance(event, events.Started) and container.state.started_at is not None:
            self._bind_host_ports(container)

    def _apply(self, event: events.TaskEvent, now: float, out: containers.Out) -> None:
        state = self.state
        match event:
            case events.Admitted():
                self._climb("ADMITTED")
            case events.StopWanted():
                state.desired = "STOPPED"
            case events.InterfacesAttached():
                state.interfaces = state.interfaces or event.message.elastic_network_interfaces
            case events.SandboxMade():
                state.sandbox = "MADE"
            case events.SandboxFailed():
                state.sandbox = "GONE"
                state.reason = f"{event.name}: {event.message}"
                state.stopping = True
            case events.Adopted():
                self._adopt(event, now, out)
            case events.CleanedUp():
                self._cleaned_up(event.problem, now)
            case events.Submitted():
                reporting.sent(state, event.change)
            case _:
                pass  # a Tick: `_advance` does what is due

    def _adopt(self, event: events.Adopted, now: float, out: containers.Out) -> None:
        """After a restart of the agent: what was on its way, or is lost, is asked for again."""
        state = self.state
        state.submitting = None
        state.cleaning = False
        state.attachments_sent = False
        if state.sandbox in ("NONE", "MAKING", "MADE"):
            state.sandbox = "MADE" if event.sandbox else "NONE"
        found = {each.container_id: each for each in event.containers}
        for container in self.containers:
            container_id = container.state.container_id
            what = events.Found(container_id=container_id, container=found.get(container_id))
            out.extend(container.handle(what, now, state.stopping))
            if container.state.started_at is not None:
                self._bind_host_ports(container)

    def _advance(self, now: float, out: containers.Out) -> None:
        state = self.state
        if state.desired == "STOPPED" and not state.stopping:
            state.stopping = True
        if self._problem and not state.stopping:
            state.reason, state.stopping = self._problem, True
        for container in self.containers:
            container.tick(now, state.stopping, out)
        self._settle(now)
        if not state.stopping and state.status in ("ADMITTED", "RUNNING"):
            self._climb_containers(now, out)
        if state.stopping:
            self._stop_containers(now, out)
            self._settle(now)
        self._clean_up(now, out)
        self._report(out)
        self._wake(now, out)

    def _stop_containers(self, now: float, out: containers.Out) -> None:
        """Each container ends after those that depend on it."""
        for container in self._stop_order:
            if all(each.stopped for each in self._dependents[container.definition.name]):
                container.stop(now, out)

    def _settle(self, now: float) -> None:
        """Draw the task's own status from its containers'."""
        state = self.state
        essential = [each for each in self.containers if each.definition.essential] or self.containers
        if state.status == "ADMITTED" and not state.stopping and all(each.reached_running for each in essential):
            state.running_at = now
            self._climb("RUNNING")
        ended = [each for each in essential if each.stopped]
        if not state.stopping and (ended or self._dependency_failed(now)):
            state.stopping = True
        if state.stopping and state.execution_stopped_at is None:
            finished = [each.state.finished_at for each in ended if each.state.finished_at is not None]
            if finished and any(each.reached_running for each in ended):
                state.execution_stopped_at = min(finished)
        if not lifecycle.task_reached(state.status, "ENDED") and self._nothing_lives():
            state.stopping = True
            for each in state.containers:
                each.status = "STOPPED"
            self._climb("ENDED")

    def _nothing_lives(self) -> bool:
        if self._problem:
            return True
        return all(each.stopped for each in self.containers) and self.state.sandbox != "MAKING"

    def _climb_containers(self, now: float, out: containers.Out) -> None:
        state = self.state
        if state.sandbox == "NONE":
            self._make_sandbox(now, out)
        for container in self.containers:
            each = container.state
            if each.verb is not None or each.status in ("RUNNING", "STOPPED"):
                continue
            if each.status == "NONE":
                state.pull_started_at = now if state.pull_started_at is None else state.pull_started_at
                container.pull(out)
            elif each.status == "CREATED" and not each.remake:
                if self._dependencies_met(container):
                    container.start(out)
            elif state.sandbox == "MADE":
                self._create(container, out)

    def _make_sandbox(self, now: float, out: containers.Out) -> None:
        state = self.state
        if specs.network_mode_of(state.task) == "awsvpc" and not state.interfaces:
            if now - state.received_at >= INTERFACE_WAIT_SECONDS:
                state.reason = "ResourceInitializationError: no network interface was attached to the task"
                state.stopping = True
            return
        try:
            spec = specs.sandbox_spec(state)
        except specs.Unsupported as problem:
            state.reason, state.stopping = f"ResourceInitializationError: {problem}", True
            return
        state.sandbox = "MAKING"
        state.sandbox_asked = True
        out.append(instructions.CreateSandbox(spec=spec))

    def _create(self, container: containers.Container, out: containers.Out) -> None:
        around = self._surroundings
        spec = specs.container_spec(self.state, container.definition, around.data_dir, around.region)
        container.create(spec, tuple(mount.source for mount in spec.mounts), out)

    def _dependencies_met(self, container: containers.Container) -> bool:
        return all(_met(self._by_name[each.container_name], each.condition) for each in container.definition.depends_on)

    def _dependency_failed(self, now: float) -> bool:
        """Whether a container that has not started can never start: then the task ends, and its reason says why."""
        for container in self.containers:
            if container.reached_running or container.stopped:
                continue
            for dependency in container.definition.depends_on:
                target = self._by_name[dependency.container_name]
                why = _never_met(target, dependency.condition, now)
                if why:
                    self.state.reason = self.state.reason or (
                        f"dependency graph: container ordering dependency [{target.definition.name}] "
                        f"for target [{container.definition.name}] {why}"
                    )
                    return True
        return False

    def _clean_up(self, now: float, out: containers.Out) -> None:
        state = self.state
        if state.status == "ENDED" and not state.cleaning and state.cleanup_at is None:
            made = tuple(each.state.container_id for each in self.containers if each.state.created)
            if not made and not state.sandbox_asked:
                self._climb("CLEANED")
                return
            self._ask_clean_up(made, out)
        elif state.cleanup_at is not None and now >= state.cleanup_at:
            self._ask_clean_up(tuple(each.state.container_id for each in self.containers), out)

    def _ask_clean_up(self, container_ids: tuple[str, ...], out: containers.Out) -> None:
        self.state.cleaning = True
        self.state.cleanup_at = None
        self.state.cleanup_attempts += 1
        directories = specs.task_directories(self.state.task, self._surroundings.data_dir)
        out.append(
            instructions.CleanUp(task_id=self.state.task_id, container_ids=container_ids, directories=directories)
        )

    def _cleaned_up(self, problem: str, now: float) -> None:
        """The end is told even where something could not be removed; that is tried again apart from it."""
        state = self.state
        if not state.cleaning:
            return
        state.cleaning = False
        if problem and state.cleanup_attempts < CLEANUP_ATTEMPTS_MAX:
            state.cleanup_at = now + CLEANUP_RETRY_SECONDS
        else:
            state.sandbox = "GONE"
        self._climb("CLEANED")

    def _report(self, out: containers.Out) -> None:
        state = self.state
        if state.sandbox == "MADE" and state.interfaces and not state.attachments_sent:
            state.attachments_sent = True
            out.append(attached(self._surroundings.cluster, state.interfaces))
        change = reporting.next_change(state, self._surroundings.cluster)
        if change is not None:
            state.submitting = change
            out.append(instructions.Submit(change=change))

    def _wake(self, now: float, out: containers.Out) -> None:
        due = [each.wake_at(self.state.stopping) for each in self.containers]
        due.append(self.state.cleanup_at)
        if not self.state.stopping:
            deadlines = (_dependency_deadline(each) for each in self.containers)
            due.extend(each for each in deadlines if each is not None and each > now)
            if self.state.status == "ADMITTED" and self.state.sandbox == "NONE":
                due.append(self.state.received_at + INTERFACE_WAIT_SECONDS)
        at = min((each for each in due if each is not None), default=None)
        if at is not None and (at != self._wake_at or at <= now):
            out.append(instructions.WakeAt(task_arn=self.state.task.arn, at=at))
        self._wake_at = at

    def _bind_host_ports(self, container: containers.Container) -> None:
        """In host mode a container's ports are the host's own."""
        if specs.network_mode_of(self.state.task) == "host" and not container.state.bindings:
            container.state.bindings = tuple(
                runtime.PortBinding(
                    bind_ip="0.0.0.0",
                    container_port=each.container_port,
                    host_port=each.container_port,
                    protocol=each.protocol,
                )
                for each in container.definition.port_mappings
            )

    def _climb(self, status: lifecycle.TaskStatus) -> None:
        if not lifecycle.task_reached(self.state.status, status):
            self.state.status = status


def attached(cluster: str, interfaces: tuple[acs_tasks.ElasticNetworkInterface, ...]) -> instructions.SubmitAttachments:
    """The report that interfaces are attached."""
    changes = tuple(
        api.AttachmentStateChange(attachment_arn=each.attachment_arn, status="ATTACHED") for each in interfaces
    )
    return instructions.SubmitAttachments(changes=api.AttachmentStateChanges(cluster=cluster, attachments=changes))


def _problem_of(task: acs_tasks.Task) -> str:
    """Why the task can't be run as it is written; empty where it can."""
    try:
        specs.check(task)
    except (specs.Unsupported, docker.MalformedDockerConfig) as problem:
        return f"ResourceInitializationError: {problem}"
    return ""


def _containers(state: records.TaskState) -> list[containers.Container]:
    by_name = {each.name: each for each in state.containers}
    return [containers.Container(definition, by_name[definition.name]) for definition in state.task.containers]


def _dependents(machines: list[containers.Container]) -> dict[str, list[containers.Container]]:
    """For each container those that depend on it: it ends after them."""
    found: dict[str, list[containers.Container]] = {each.definition.name: [] for each in machines}
    for machine in machines:
        for dependency in machine.definition.depends_on:
            found[dependency.container_name].append(machine)
    return found


def _met(target: containers.Container, condition: acs_tasks.Condition) -> bool:
    match condition:
        case "START":
            return target.reached_running
        case "COMPLETE":
            return target.stopped and target.reached_running
        case "SUCCESS":
            return target.stopped and target.state.exit_code == 0
        case "HEALTHY":
            return target.state.health.status == "HEALTHY" and not target.stopped


def _never_met(target: containers.Container, condition: acs_tasks.Condition, now: float) -> str:
    """Why a condition can't be met any more; empty where it still can, or is."""
    if _met(target, condition):
        return ""
    if target.stopped:
        if condition == "SUCCESS" and target.reached_running:
            return "as dependency did not exit successfully."
        return "as dependency container already stopped."
    deadline = _dependency_deadline(target)
    if condition != "START" and deadline is not None and now >= deadline:
        return "has timed out."
    return ""


def _dependency_deadline(target: containers.Container) -> float | None:
    """When those that wait for this container give up: its startTimeout after its start (behaviour.md 5.9)."""
    if not target.definition.start_timeout or target.state.started_at is None or target.stopped:
        return None
    return target.state.started_at + target.definition.start_timeout
