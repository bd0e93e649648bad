"""One container as a machine: pulled, created, started, checked, stopped, killed, restarted in place.

Comes in: `events.ContainerEvent`s and the calls of its task (`pull`, `create`, `start`, `stop`), which alone knows the
siblings. Goes out: instructions. Its state is `records.ContainerState`, which is saved. Behaviour.md 5.9.
"""

from __future__ import annotations

from typing import assert_never

from roadstead.acs import docker
from roadstead.acs import tasks as acs_tasks
from roadstead.agent import api, events, health, instructions, lifecycle, records, runtime, specs

STOP_TIMEOUT_SECONDS = 30.0
"""Where the container has none of its own."""
RESTART_ATTEMPT_PERIOD_SECONDS = 300
SIGKILL = 9
SIGNAL_BY_NAME = {"HUP": 1, "INT": 2, "QUIT": 3, "KILL": 9, "USR1": 10, "USR2": 12, "TERM": 15, "WINCH": 28}
KILL_REPEAT_SECONDS = 10.0
KILLS_MAX = 10
"""After so many SIGKILLs that ended nothing the container is given up as one that can't be stopped."""
OOM_REASON = "OutOfMemoryError: Container killed due to memory usage"
LOST_REASON = "ContainerRuntimeError: The container is gone: its host or its runtime was restarted"

Out = list[instructions.TaskInstruction]


class Container:
    """The machine of one container. `now` is in epoch seconds everywhere."""

    def __init__(self, definition: acs_tasks.Container, state: records.ContainerState) -> None:
        self.definition = definition
        self.state = state
        self._check = specs.health_check_of(definition)

    @property
    def reached_running(self) -> bool:
        """Whether it was ever started."""
        return self.state.started_at is not None

    @property
    def stopped(self) -> bool:
        return self.state.status == "STOPPED"

    def pull(self, out: Out) -> None:
        """Ask for the image."""
        self.state.verb = "pull"
        out.append(instructions.Pull(container_id=self.state.container_id, image=self.definition.image))

    def create(self, spec: runtime.ContainerSpec, directories: tuple[str, ...], out: Out) -> None:
        """Ask for the container."""
        self.state.verb = "create"
        self.state.created = True
        out.append(instructions.Create(spec=spec, directories=directories))

    def start(self, out: Out) -> None:
        """Ask for its process: the first time, or again under its restart policy."""
        self.state.verb = "start"
        out.append(instructions.Start(container_id=self.state.container_id))

    def stop(self, now: float, out: Out) -> None:
        """End it: at once where it doesn't run; else by its stop signal, and SIGKILL after its stop timeout."""
        state = self.state
        if state.status == "STOPPED" or state.verb in ("create", "start"):
            return
        if state.status != "RUNNING":
            self._end(now)
        elif state.kill_at is None:
            state.kill_at = now + (self.definition.stop_timeout or STOP_TIMEOUT_SECONDS)
            out.append(instructions.Signal(container_id=state.container_id, signal=self._stop_signal()))

    def handle(self, event: events.ContainerEvent, now: float, stopping: bool) -> Out:
        """What follows from an outcome. `stopping`: its task ends, so nothing is restarted."""
        out: Out = []
        match event:
            case events.Pulled():
                self._pulled(event.image)
            case events.Created():
                self._climb("CREATED")
                self._clear("create")
                self.state.remake = False
            case events.Started():
                self._started(event.container, now, stopping, out)
            case events.VerbFailed():
                self._failed(event, now)
            case events.Exited():
                self._exited(event.exit, now, stopping, out)
            case events.HealthChecked():
                if self._check is not None and self.state.status == "RUNNING":
                    health.checked(self.state, self._check, event, now)
            case events.Found():
                self._found(event.container, now, stopping, out)
            case _:
                assert_never(event)
        return out

    def tick(self, now: float, stopping: bool, out: Out) -> None:
        """Do what is due: kill after the stop timeout, check health. Without effect where nothing is."""
        state = self.state
        if state.status != "RUNNING":
            return
        if state.kill_at is not None and now >= state.kill_at:
            self._kill(now, out)
        if self._check is not None and not stopping and state.verb is None:
            health.tick(state, self._check, now, out)

    def wake_at(self, stopping: bool) -> float | None:
        """When `tick` has something to do next."""
        if self.state.status != "RUNNING":
            return None
        due = [self.state.kill_at]
        if self._check is not None and not stopping and self.state.verb is None:
            due.append(self.state.health.next_check_at)
        return min((each for each in due if each is not None), default=None)

    def _pulled(self, image: runtime.PulledImage) -> None:
        if self._clear("pull"):
            self.state.image_digest = image.digest
            self.state.stop_signal = image.stop_signal
            self._climb("PULLED")

    def _started(self, started: runtime.StartedContainer, now: float, stopping: bool, out: Out) -> None:
        state = self.state
        if not self._clear("start") or state.status == "STOPPED":
            return
        self._running(started.started_at, started.bindings, now)
        if state.early_exit is not None:
            early, state.early_exit = state.early_exit, None
            self._exited(early, now, stopping, out)

    def _running(self, started_at: float, bindings: tuple[runtime.PortBinding, ...], now: float) -> None:
        state = self.state
        if state.started_at is None:
            state.started_at = started_at
        else:
            state.restart_count += 1
        state.last_started_at = started_at
        state.bindings = bindings or state.bindings
        self._climb("RUNNING")
        if self._check is not None:
            health.begin(state, self._check, now)

    def _failed(self, event: events.VerbFailed, now: float) -> None:
        if self.state.status == "STOPPED":
            return
        self.state.verb = None
        self.state.early_exit = None
        self._end(now, f"{event.name}: {event.message}")

    def _exited(self, exit: runtime.ContainerExit, now: float, stopping: bool, out: Out) -> None:
        state = self.state
        if state.status == "STOPPED" or _is_of_an_earlier_run(state, exit):
            return
        if state.verb == "start":
            state.early_exit = exit
            return
        state.verb = None
        if self._restarts(exit, stopping):
            self.start(out)
            return
        state.exit_code = exit.exit_code
        self._end(exit.finished_at, OOM_REASON if exit.oom_killed else "")

    def _restarts(self, exit: runtime.ContainerExit, stopping: bool) -> bool:
        """behaviour.md 5.9: enabled, exit code not ignored, and it ran for the period since its last start."""
        policy = self.definition.restart_policy
        started = self.state.last_started_at
        if policy is None or not policy.enabled or stopping or started is None or self.state.kill_at is not None:
            return False
        period = policy.restart_attempt_period or RESTART_ATTEMPT_PERIOD_SECONDS
        return exit.exit_code not in policy.ignored_exit_codes and exit.finished_at - started >= period

    def _found(self, found: runtime.FoundContainer | None, now: float, stopping: bool, out: Out) -> None:
        """After a restart of the agent: no verb is on its way any more, and the runtime's word is the truth."""
        state = self.state
        state.verb = None
        state.health.checking = False
        if state.status == "STOPPED":
            return
        if found is None:
            state.remake = state.status == "CREATED"
            if state.status == "RUNNING":
                self._end(now, LOST_REASON)
            return
        state.created = True
        state.image_digest = state.image_digest or found.image_digest or ""
        match found.status:
            case "created":
                self._climb("CREATED")
            case "running":
                self._found_running(found, now)
            case "exited":
                self._found_exited(found, now, stopping, out)
            case _:
                assert_never(found.status)

    def _found_running(self, found: runtime.FoundContainer, now: float) -> None:
        started_at = found.started_at if found.started_at is not None else now
        if self.state.last_started_at is None or started_at > self.state.last_started_at:
            self._running(started_at, found.bindings, now)
        elif self._check is not None:
            health.resume(self.state, self._check, now)

    def _found_exited(self, found: runtime.FoundContainer, now: float, stopping: bool, out: Out) -> None:
        if self.state.started_at is None:
            self._running(found.started_at if found.started_at is not None else now, found.bindings, now)
        exit = runtime.ContainerExit(
            container_id=found.container_id,
            exit_code=found.exit_code if found.exit_code is not None else 0,
            oom_killed=found.oom_killed,
            finished_at=found.finished_at if found.finished_at is not None else now,
        )
        self._exited(exit, now, stopping, out)
        if found.exit_code is None and self.state.status == "STOPPED":
            self.state.exit_code = None
            self.state.reason = "ContainerRuntimeError: The container ended, and its exit code was lost"

    def _kill(self, now: float, out: Out) -> None:
        state = self.state
        if state.kills >= KILLS_MAX:
            self._end(now, f"CannotStopContainerError: The container did not end after {KILLS_MAX} times SIGKILL")
            return
        state.kills += 1
        state.kill_at = now + KILL_REPEAT_SECONDS
        out.append(instructions.Signal(container_id=state.container_id, signal=SIGKILL))

    def _stop_signal(self) -> int:
        name = docker.config_of(self.definition.docker_config).stop_signal.removeprefix("SIG")
        if name.isdecimal():
            return int(name)
        return SIGNAL_BY_NAME.get(name, self.state.stop_signal)

    def _climb(self, status: lifecycle.ContainerStatus) -> None:
        if not lifecycle.container_reached(self.state.status, status):
            self.state.status = status

    def _clear(self, verb: lifecycle.Verb) -> bool:
        """The verb's outcome is here; False where it was not awaited (any more)."""
        if self.state.verb != verb:
            return False
        self.state.verb = None
        return True

    def _end(self, now: float, reason: str = "") -> None:
        state = self.state
        state.status = "STOPPED"
        state.finished_at = now
        state.kill_at = None
        state.reason = reason[: api.REASON_CHARACTERS_MAX]
        state.health.next_check_at = None
        state.verb = state.verb if state.verb == "pull" else None


def _is_of_an_earlier_run(state: records.ContainerState, exit: runtime.ContainerExit) -> bool:
    """An exit that was told twice, after the restart that answered it."""
    return state.restart_count > 0 and state.last_started_at is not None and exit.finished_at < state.last_started_at
