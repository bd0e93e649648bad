"""The simulated host behind the agent: live (`SimulatedRuntime`, asyncio) and in virtual time (`SimulatedShell`, pure).

What containers do is told by their environment: see `agent.simulated_host`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import cast

from roadstead.agent import events, instructions, runtime, simulated_host
from roadstead.base import clock

EXITS_QUEUED_MAX = 100_000


class SimulatedShell:
    """Runs the engine's runtime instructions on a simulated host, in virtual time: no event loop.

    `run` takes an instruction; outcomes and exits come from `advance` as the engine's events. What is no verb of the
    runtime (Submit, Send, WakeAt, SubmitAttachments) is the driver's own to do: `run` answers False for it.
    """

    def __init__(self, host: simulated_host.SimulatedHost) -> None:
        self.host = host
        self._asked: dict[int, instructions.AnyInstruction] = {}

    def run(self, instruction: instructions.AnyInstruction, now: float) -> bool:
        """Ask the host for it; False where it is nothing for a host."""
        verbs = _verbs(instruction)
        if not verbs:
            return False
        for verb in verbs:
            ticket = self.host.apply(verb, now)
        self._asked[ticket] = instruction  # the last verb's outcome is the instruction's
        return True

    def next_event_at(self) -> float | None:
        return self.host.next_event_at()

    def advance(self, now: float) -> list[events.AgentEvent]:
        """What happened up to `now`, as events for the engine."""
        happened: list[events.AgentEvent] = []
        for each in self.host.advance(now):
            if isinstance(each, runtime.ContainerExit):
                happened.append(events.Exited(container_id=each.container_id, exit=each))
            else:
                instruction = self._asked.pop(each.ticket, None)
                event = _event(instruction, each) if instruction is not None else None
                if event is not None:
                    happened.append(event)
        return happened


def _verbs(instruction: instructions.AnyInstruction) -> list[simulated_host.Verb]:
    match instruction:
        case instructions.CreateSandbox():
            return [simulated_host.CreateSandbox(instruction.spec)]
        case instructions.Pull():
            return [simulated_host.Pull(instruction.image)]
        case instructions.Create():
            return [simulated_host.Create(instruction.spec)]
        case instructions.Start():
            return [simulated_host.Start(instruction.container_id)]
        case instructions.Signal():
            return [simulated_host.Signal(instruction.container_id, instruction.signal)]
        case instructions.CheckHealth():
            return [simulated_host.Execute(instruction.container_id, instruction.command)]
        case instructions.CleanUp():
            removals: list[simulated_host.Verb] = [simulated_host.Remove(each) for each in instruction.container_ids]
            return [*removals, simulated_host.RemoveSandbox(instruction.task_id)]
        case _:
            return []


def _event(instruction: instructions.AnyInstruction, outcome: simulated_host.Outcome) -> events.AgentEvent | None:
    problem, result = outcome.problem, outcome.result
    match instruction:
        case instructions.CreateSandbox():
            return events.SandboxMade(task_id=instruction.spec.task_id)
        case instructions.CleanUp():
            return events.CleanedUp(task_id=instruction.task_id)
        case instructions.CheckHealth():
            exit_code = result if isinstance(result, int) else None
            return events.HealthChecked(container_id=instruction.container_id, exit_code=exit_code)
        case instructions.Create() if problem is None:
            return events.Created(container_id=instruction.spec.container_id)
        case instructions.Create():
            container_id = instruction.spec.container_id
        case instructions.Pull() | instructions.Start():
            container_id = instruction.container_id
        case _:
            return None
    if problem is not None:
        return events.VerbFailed(container_id=container_id, name=problem.name, message=problem.message)
    if isinstance(result, runtime.PulledImage):
        return events.Pulled(container_id=container_id, image=result)
    assert isinstance(result, runtime.StartedContainer)
    return events.Started(container_id=container_id, container=result)


class SimulatedRuntime:
    """The `Runtime` port over a simulated host, in real time: for `--runtime simulated` and for tests of clients."""

    def __init__(self, host: simulated_host.SimulatedHost, time: clock.Clock) -> None:
        self._host = host
        self._clock = time
        self._waiting: dict[int, asyncio.Future[simulated_host.Result]] = {}
        self._exits: asyncio.Queue[runtime.ContainerExit] = asyncio.Queue(EXITS_QUEUED_MAX)
        self._timer: asyncio.TimerHandle | None = None

    async def open(self) -> runtime.HostFacts:
        self._wake()
        return self._host.facts

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def pull(self, image: str, credentials: runtime.RegistryCredentials | None) -> runtime.PulledImage:
        return cast(runtime.PulledImage, await self._do(simulated_host.Pull(image)))

    async def create_sandbox(self, spec: runtime.SandboxSpec) -> None:
        await self._do(simulated_host.CreateSandbox(spec))

    async def create(self, spec: runtime.ContainerSpec) -> None:
        await self._do(simulated_host.Create(spec))

    async def start(self, container_id: str) -> runtime.StartedContainer:
        return cast(runtime.StartedContainer, await self._do(simulated_host.Start(container_id)))

    async def signal(self, container_id: str, signal: int) -> None:
        await self._do(simulated_host.Signal(container_id, signal))

    async def remove(self, container_id: str) -> None:
        await self._do(simulated_host.Remove(container_id))

    async def remove_sandbox(self, task_id: str) -> None:
        await self._do(simulated_host.RemoveSandbox(task_id))

    async def execute(self, container_id: str, command: Sequence[str], timeout_seconds: float) -> int:
        return cast(int, await self._do(simulated_host.Execute(container_id, tuple(command))))

    async def inventory(self) -> runtime.Inventory:
        return self._host.inventory()

    async def exits(self) -> AsyncIterator[runtime.ContainerExit]:
        while True:
            yield await self._exits.get()

    async def usage(self, container_ids: Sequence[str]) -> list[runtime.Usage]:
        return self._host.usage(container_ids, self._clock.now())

    async def _do(self, verb: simulated_host.Verb) -> simulated_host.Result:
        done: asyncio.Future[simulated_host.Result] = asyncio.get_running_loop().create_future()
        self._waiting[self._host.apply(verb, self._clock.now())] = done
        self._wake()
        return await done

    def _wake(self) -> None:
        """Take what has happened, and come again when there is more."""
        for each in self._host.advance(self._clock.now()):
            if isinstance(each, runtime.ContainerExit):
                self._exits.put_nowait(each)
                continue
            done = self._waiting.pop(each.ticket, None)
            if done is None or done.done():
                continue
            if each.problem is not None:
                done.set_exception(each.problem)
            else:
                done.set_result(each.result)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at = self._host.next_event_at()
        if at is not None:
            delay = max(0.0, at - self._clock.now())
            self._timer = asyncio.get_running_loop().call_later(delay, self._wake)
