"""A host that only pretends: containers start at once and burn what they are told to. Pure: time is an argument.

Verbs go in by `apply`, their outcomes and the containers' exits come out of `advance`, in the order of their moments;
`next_event_at` says when there is something. So `sim.world` drives it in virtual time and `agent.simulated` in real.

Any image name is accepted. What a container does is told by its environment, or by labels of the same names:

| name | meaning |
| --- | --- |
| ROADSTEAD_SIM_CPU_PERCENT | CPU burnt, in percent of one core (default 1); the task's own limit caps it |
| ROADSTEAD_SIM_MEMORY_MIB | memory used (default 8); over the container's or task's limit it is killed |
| ROADSTEAD_SIM_EXIT_AFTER_SECONDS | it ends so long after each start (default: never) |
| ROADSTEAD_SIM_EXIT_CODE | with this exit code (default 0) |
| ROADSTEAD_SIM_START_DELAY_SECONDS | its start takes so long (default 0) |
| ROADSTEAD_SIM_STOP_DELAY_SECONDS | so long from the stop signal to its end (default 0) |
| ROADSTEAD_SIM_IGNORE_STOP | 1 = only SIGKILL ends it |
| ROADSTEAD_SIM_PULL_ERROR | making it fails as CannotPullContainerError with this text |
| ROADSTEAD_SIM_CREATE_ERROR | … as CannotCreateContainerError |
| ROADSTEAD_SIM_START_ERROR | its start fails as CannotStartContainerError with this text |
| ROADSTEAD_SIM_HEALTH_EXIT_CODE | exit code of every command run in it, health checks above all (default 0) |
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Sequence

import msgspec

from roadstead.agent import runtime

MIB = 1 << 20
DYNAMIC_PORT_FIRST = 32_768
DYNAMIC_PORT_LAST = 60_999
SIGKILL = 9
SIGNALS_THAT_END = frozenset({1, 2, 3, 9, 15})
PREFIX = "ROADSTEAD_SIM_"


class Pull(msgspec.Struct, frozen=True):
    image: str


class CreateSandbox(msgspec.Struct, frozen=True):
    spec: runtime.SandboxSpec


class Create(msgspec.Struct, frozen=True):
    spec: runtime.ContainerSpec


class Start(msgspec.Struct, frozen=True):
    container_id: str


class Signal(msgspec.Struct, frozen=True):
    container_id: str
    signal: int


class Execute(msgspec.Struct, frozen=True):
    container_id: str
    command: tuple[str, ...]


class Remove(msgspec.Struct, frozen=True):
    container_id: str


class RemoveSandbox(msgspec.Struct, frozen=True):
    task_id: str


Verb = Pull | CreateSandbox | Create | Start | Signal | Execute | Remove | RemoveSandbox
Result = runtime.PulledImage | runtime.StartedContainer | int | None


class Outcome(msgspec.Struct, frozen=True):
    """The verb with this ticket is done: with a result, or with a problem."""

    ticket: int
    result: Result = None
    problem: runtime.RuntimeProblem | None = None


class _End(msgspec.Struct, frozen=True):
    """A container's end that is due, unless it was started anew (another `run`) since."""

    container_id: str
    run: int
    exit_code: int
    oom_killed: bool = False


class _Container(msgspec.Struct):
    spec: runtime.ContainerSpec
    status: runtime.ContainerStatus = "created"
    run: int = 0
    pid: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    exit_code: int | None = None
    oom_killed: bool = False
    bindings: tuple[runtime.PortBinding, ...] = ()
    cpu_percent: float = 0.0
    memory_mib: float = 0.0
    cpu_seconds: float = 0.0
    accrued_at: float = 0.0
    """Up to when `cpu_seconds` is counted."""

    def told(self, name: str, default: str = "") -> str:
        return self.spec.environment.get(PREFIX + name) or self.spec.labels.get(PREFIX + name) or default

    def number(self, name: str, default: float) -> float:
        """A number it was told; what is no number counts as not told."""
        try:
            return float(self.told(name) or default)
        except ValueError:
            return default


class SimulatedHost:
    """The host. `now` is in epoch seconds and never goes back."""

    def __init__(self, facts: runtime.HostFacts, *, pull_seconds: float = 0.0, verb_seconds: float = 0.0) -> None:
        """`pull_seconds`: the first pull of each image; `verb_seconds`: every other verb that makes or starts."""
        self.facts = facts
        self._pull_seconds = pull_seconds
        self._verb_seconds = verb_seconds
        self._images: set[str] = set()
        self._sandboxes: dict[str, runtime.SandboxSpec] = {}
        self._containers: dict[str, _Container] = {}
        self._ports: dict[tuple[str, int], str] = {}
        self._next_port = DYNAMIC_PORT_FIRST
        self._queue: list[tuple[float, int, Verb | _End]] = []
        self._count = 0

    def apply(self, verb: Verb, now: float) -> int:
        """Ask for a verb; its outcome comes from `advance` under the ticket that is returned."""
        return self._push(now + self._seconds(verb), verb)

    def next_event_at(self) -> float | None:
        """When `advance` has something next; None where nothing is on its way."""
        return self._queue[0][0] if self._queue else None

    def advance(self, now: float) -> list[Outcome | runtime.ContainerExit]:
        """All that happened up to `now`, in order."""
        happened: list[Outcome | runtime.ContainerExit] = []
        while self._queue and self._queue[0][0] <= now:
            at, ticket, what = heapq.heappop(self._queue)
            if isinstance(what, _End):
                exit = self._end(what, at)
                if exit is not None:
                    happened.append(exit)
                continue
            try:
                happened.append(Outcome(ticket, self._do(what, at)))
            except runtime.RuntimeProblem as problem:
                happened.append(Outcome(ticket, problem=problem))
        return happened

    def usage(self, container_ids: Sequence[str], now: float) -> list[runtime.Usage]:
        """One reading of each of these that runs."""
        readings = []
        for container_id in container_ids:
            container = self._containers.get(container_id)
            if container is None or container.status != "running":
                continue
            self._accrue(container, now)
            readings.append(
                runtime.Usage(
                    container_id=container_id,
                    read_at=now,
                    cpu_seconds_total=container.cpu_seconds,
                    memory_bytes=int(container.memory_mib * MIB),
                )
            )
        return readings

    def inventory(self) -> runtime.Inventory:
        """All sandboxes and containers there are."""
        return runtime.Inventory(
            sandboxes=tuple(self._sandboxes.values()),
            containers=tuple(_found(each) for each in self._containers.values()),
        )

    def set_load(self, container_id: str, now: float, *, cpu_percent: float) -> None:
        """What a running container burns from now on, in percent of one core; without effect on one that is gone."""
        container = self._containers.get(container_id)
        if container is not None:
            self._accrue(container, now)
            container.cpu_percent = self._capped(container, cpu_percent)

    def kill(self, container_id: str, now: float, *, exit_code: int = 137) -> None:
        """A fault: the container ends by itself at `now`."""
        container = self._containers.get(container_id)
        if container is not None and container.status == "running":
            self._push(now, _End(container_id, container.run, exit_code))

    def forget_verbs(self) -> None:
        """A fault: the agent that had asked for verbs was killed, so what was not done won't be. Containers go on."""
        self._queue = [each for each in self._queue if isinstance(each[2], _End)]
        heapq.heapify(self._queue)

    def reboot(self) -> None:
        """A fault: the host loses all that runs and all that is on its way; images stay."""
        self._sandboxes.clear()
        self._containers.clear()
        self._ports.clear()
        self._queue.clear()

    def _push(self, at: float, what: Verb | _End) -> int:
        self._count += 1
        heapq.heappush(self._queue, (at, self._count, what))
        return self._count

    def _seconds(self, verb: Verb) -> float:
        match verb:
            case Pull():
                return 0.0 if verb.image in self._images else self._pull_seconds
            case Start():
                container = self._containers.get(verb.container_id)
                told = container.number("START_DELAY_SECONDS", 0.0) if container else 0.0
                return self._verb_seconds + max(0.0, told)
            case Create() | CreateSandbox():
                return self._verb_seconds
            case _:
                return 0.0

    def _do(self, verb: Verb, now: float) -> Result:
        match verb:
            case Pull():
                self._images.add(verb.image)
                digest = hashlib.sha256(verb.image.encode()).hexdigest()
                return runtime.PulledImage(reference=verb.image, digest=f"sha256:{digest}", size_bytes=MIB)
            case CreateSandbox():
                self._sandboxes[verb.spec.task_id] = verb.spec
            case Create():
                self._create(verb.spec)
            case Start():
                return self._start(verb.container_id, now)
            case Signal():
                self._signal(verb, now)
            case Execute():
                return int(self._running(verb.container_id).number("HEALTH_EXIT_CODE", 0))
            case Remove():
                container = self._containers.pop(verb.container_id, None)
                if container is not None:
                    self._free_ports(container)
            case RemoveSandbox():
                self._sandboxes.pop(verb.task_id, None)
        return None

    def _create(self, spec: runtime.ContainerSpec) -> None:
        container = _Container(spec)
        for name, error in (("PULL_ERROR", "CannotPullContainerError"), ("CREATE_ERROR", "CannotCreateContainerError")):
            if container.told(name):
                raise runtime.RuntimeProblem(error, container.told(name))
        if spec.task_id not in self._sandboxes:
            raise runtime.RuntimeProblem("CannotCreateContainerError", f"the task {spec.task_id} has no sandbox")
        if spec.image not in self._images:
            raise runtime.RuntimeProblem("CannotCreateContainerError", f"the image {spec.image} was not pulled")
        self._containers.setdefault(spec.container_id, container)

    def _start(self, container_id: str, now: float) -> runtime.StartedContainer:
        container = self._containers.get(container_id)
        if container is None:
            raise runtime.RuntimeProblem("CannotStartContainerError", f"there is no container {container_id}")
        if container.told("START_ERROR"):
            raise runtime.RuntimeProblem("CannotStartContainerError", container.told("START_ERROR"))
        if container.status != "running":
            container.bindings = container.bindings or self._bind(container.spec)
            self._run(container, now)
        assert container.started_at is not None
        return runtime.StartedContainer(
            container_id=container_id,
            pid=container.pid,
            started_at=container.started_at,
            bindings=container.bindings,
        )

    def _run(self, container: _Container, now: float) -> None:
        container.status = "running"
        container.run += 1
        container.pid = 1000 + self._count
        container.started_at = container.accrued_at = now
        container.finished_at = container.exit_code = None
        container.cpu_seconds = 0.0
        container.cpu_percent = self._capped(container, container.number("CPU_PERCENT", 1.0))
        container.memory_mib = container.number("MEMORY_MIB", 8.0)
        container_id = container.spec.container_id
        limits = [container.spec.memory_bytes_max, self._sandboxes[container.spec.task_id].memory_bytes_max]
        if any(limit is not None and container.memory_mib * MIB > limit for limit in limits):
            self._push(now, _End(container_id, container.run, 128 + SIGKILL, oom_killed=True))
        elif container.told("EXIT_AFTER_SECONDS"):
            after = max(0.0, container.number("EXIT_AFTER_SECONDS", 0.0))
            self._push(now + after, _End(container_id, container.run, int(container.number("EXIT_CODE", 0))))

    def _signal(self, verb: Signal, now: float) -> None:
        container = self._containers.get(verb.container_id)
        if container is None or container.status != "running" or verb.signal not in SIGNALS_THAT_END:
            return
        if verb.signal == SIGKILL:
            self._push(now, _End(verb.container_id, container.run, 128 + SIGKILL))
        elif container.told("IGNORE_STOP") != "1":
            delay = max(0.0, container.number("STOP_DELAY_SECONDS", 0.0))
            self._push(now + delay, _End(verb.container_id, container.run, 128 + verb.signal))

    def _end(self, end: _End, now: float) -> runtime.ContainerExit | None:
        container = self._containers.get(end.container_id)
        if container is None or container.status != "running" or container.run != end.run:
            return None
        self._accrue(container, now)
        container.status = "exited"
        container.exit_code = end.exit_code
        container.oom_killed = end.oom_killed
        container.finished_at = now
        self._free_ports(container)
        return runtime.ContainerExit(
            container_id=end.container_id, exit_code=end.exit_code, oom_killed=end.oom_killed, finished_at=now
        )

    def _running(self, container_id: str) -> _Container:
        container = self._containers.get(container_id)
        if container is None or container.status != "running":
            raise runtime.RuntimeProblem("ContainerRuntimeError", f"the container {container_id} does not run")
        return container

    def _bind(self, spec: runtime.ContainerSpec) -> tuple[runtime.PortBinding, ...]:
        made: list[runtime.PortBinding] = []
        for mapping in spec.ports:
            port = mapping.host_port or self._free_port(mapping.protocol)
            if (mapping.protocol, port) in self._ports:
                for binding in made:
                    del self._ports[binding.protocol, binding.host_port]
                raise runtime.RuntimeProblem(
                    "CannotStartContainerError", f"Bind for 0.0.0.0:{port} failed: port is already allocated"
                )
            self._ports[mapping.protocol, port] = spec.container_id
            made.append(
                runtime.PortBinding(
                    bind_ip="0.0.0.0",
                    container_port=mapping.container_port,
                    host_port=port,
                    protocol=mapping.protocol,
                )
            )
        return tuple(made)

    def _free_port(self, protocol: runtime.Transport) -> int:
        for _ in range(DYNAMIC_PORT_LAST - DYNAMIC_PORT_FIRST + 1):
            port = self._next_port
            self._next_port = DYNAMIC_PORT_FIRST if port == DYNAMIC_PORT_LAST else port + 1
            if (protocol, port) not in self._ports:
                return port
        raise runtime.RuntimeProblem("CannotStartContainerError", "all dynamic host ports are in use")

    def _free_ports(self, container: _Container) -> None:
        for binding in container.bindings:
            self._ports.pop((binding.protocol, binding.host_port), None)
        container.bindings = ()

    def _capped(self, container: _Container, cpu_percent: float) -> float:
        sandbox = self._sandboxes.get(container.spec.task_id)
        cores = sandbox.cpu_cores_max if sandbox is not None else None
        most = 100 * (cores if cores is not None else self.facts.cpu_units / 1024)
        return min(max(0.0, cpu_percent), most)

    def _accrue(self, container: _Container, now: float) -> None:
        if container.status == "running":
            container.cpu_seconds += container.cpu_percent / 100 * max(0.0, now - container.accrued_at)
            container.accrued_at = now


def _found(container: _Container) -> runtime.FoundContainer:
    spec = container.spec
    return runtime.FoundContainer(
        container_id=spec.container_id,
        task_id=spec.task_id,
        name=spec.name,
        status=container.status,
        pid=container.pid if container.status == "running" else None,
        exit_code=container.exit_code,
        oom_killed=container.oom_killed,
        started_at=container.started_at,
        finished_at=container.finished_at,
        bindings=container.bindings,
        labels=spec.labels,
    )
