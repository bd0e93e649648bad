"""Runs the machines' instructions over a `Runtime` and the ECS API; outcomes go back as events. Shell."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import shutil
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

import msgspec

from roadstead.acs import timers
from roadstead.agent import api, ecs, events, http, instructions, runtime
from roadstead.base import clock as clocks

log = logging.getLogger(__name__)

SANDBOXES_AT_ONCE = 2
CREATES_AT_ONCE = 2
STARTS_AT_ONCE = 8
"""Each verb has its own: with one for all, a hundred tasks would first all get a sandbox, then all be created, and only
then start, while the cores wait; so the first starts while the next is made.
"""
PULLS_AT_ONCE = 4
CHECKS_AT_ONCE = 16
CLEANUPS_AT_ONCE = 8
SUBMITS_AT_ONCE = http.CONNECTIONS_MAX
FINISH_SECONDS_MAX = 5.0
"""How long a stopping agent waits for verbs that are on their way."""
REFUSED_FOR_GOOD = frozenset({"InvalidParameterException"})
"""Sending such a state change again won't help: it is dropped (agent-protocol.md 2.3)."""

T = TypeVar("T")
Tell = Callable[[events.AgentEvent], None]


class Worker:
    """Runs instructions; `tell` takes the events that follow."""

    def __init__(self, host: runtime.Runtime, calls: ecs.Ecs, clock: clocks.Clock, tell: Tell) -> None:
        self._runtime = host
        self._ecs = calls
        self._clock = clock
        self._tell = tell
        self._verbs: set[asyncio.Task[None]] = set()
        self._submits: set[asyncio.Task[None]] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._pulls: dict[str, asyncio.Task[runtime.PulledImage]] = {}
        self._furnishing = asyncio.Semaphore(SANDBOXES_AT_ONCE)
        self._creating = asyncio.Semaphore(CREATES_AT_ONCE)
        self._starting = asyncio.Semaphore(STARTS_AT_ONCE)
        self._pulling = asyncio.Semaphore(PULLS_AT_ONCE)
        self._checking = asyncio.Semaphore(CHECKS_AT_ONCE)
        self._cleaning = asyncio.Semaphore(CLEANUPS_AT_ONCE)
        self._submitting = asyncio.Semaphore(SUBMITS_AT_ONCE)
        self._online = asyncio.Event()
        self._is_closing = False

    def run(self, instruction: instructions.TaskInstruction) -> None:
        """Begin with it; never waits. While the agent stops nothing is begun: the next agent asks for it again."""
        if self._is_closing:
            return
        match instruction:
            case instructions.CreateSandbox():
                self._begin(self._sandbox(instruction.spec))
            case instructions.Pull():
                self._begin(self._pull(instruction))
            case instructions.Create():
                self._begin(self._create(instruction))
            case instructions.Start():
                self._begin(self._start(instruction))
            case instructions.Signal():
                self._begin(self._signal(instruction))
            case instructions.CheckHealth():
                self._begin(self._check(instruction))
            case instructions.CleanUp():
                self._begin(self._clean_up(instruction))
            case instructions.Submit():
                self._begin(self._submit(instruction.change), self._submits)
            case instructions.SubmitAttachments():
                self._begin(self._deliver(instruction.changes), self._submits)
            case instructions.WakeAt():
                self._wake_at(instruction.task_arn, instruction.at)

    def online(self) -> None:
        """The control plane can be reached again: what waits for its next try tries now."""
        self._online.set()
        self._online = asyncio.Event()

    async def close(self) -> None:
        """Give verbs on their way a moment to finish, then let go; submits go on with the next process."""
        self._is_closing = True
        for timer in self._timers.values():
            timer.cancel()
        for submit in self._submits:
            submit.cancel()
        pending = self._verbs | set(self._pulls.values())
        if pending:
            await asyncio.wait(pending, timeout=FINISH_SECONDS_MAX)
        unfinished = [each for each in pending | self._submits if not each.done()]
        for each in unfinished:
            each.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]] | None = None) -> None:
        tasks = self._verbs if among is None else among
        begun = asyncio.create_task(work)
        tasks.add(begun)
        begun.add_done_callback(tasks.discard)

    def _wake_at(self, task_arn: str, at: float) -> None:
        earlier = self._timers.pop(task_arn, None)
        if earlier is not None:
            earlier.cancel()
        delay = max(0.0, at - self._clock.now())
        self._timers[task_arn] = asyncio.get_running_loop().call_later(delay, self._ring, task_arn, at)

    def _ring(self, task_arn: str, at: float) -> None:
        if self._clock.now() < at:  # the loop's clock ran ahead of ours
            self._wake_at(task_arn, at)
            return
        self._timers.pop(task_arn, None)
        self._tell(events.Tick(task_arn=task_arn))

    # Verbs of the runtime

    async def _sandbox(self, spec: runtime.SandboxSpec) -> None:
        async with self._furnishing:
            problem = await _attempt(self._runtime.create_sandbox(spec), "ResourceInitializationError")
        if problem is None:
            self._tell(events.SandboxMade(task_id=spec.task_id))
        else:
            self._tell(events.SandboxFailed(task_id=spec.task_id, name=problem.name, message=problem.message))

    async def _pull(self, instruction: instructions.Pull) -> None:
        pulled = await _result(self._pulled(instruction.image), "CannotPullContainerError")
        if isinstance(pulled, runtime.RuntimeProblem):
            self._failed(instruction.container_id, pulled)
        else:
            self._tell(events.Pulled(container_id=instruction.container_id, image=pulled))

    async def _pulled(self, image: str) -> runtime.PulledImage:
        """Containers that want the same image at the same time wait for one pull."""
        pull = self._pulls.get(image)
        if pull is None:
            pull = self._pulls[image] = asyncio.create_task(self._pull_once(image))
            pull.add_done_callback(lambda _: self._pulls.pop(image, None))
        return await asyncio.shield(pull)

    async def _pull_once(self, image: str) -> runtime.PulledImage:
        async with self._pulling:
            return await self._runtime.pull(image, None)

    async def _create(self, instruction: instructions.Create) -> None:
        async with self._creating:
            problem = await _attempt(self._make(instruction), "CannotCreateContainerError")
        if problem is None:
            self._tell(events.Created(container_id=instruction.spec.container_id))
        else:
            self._failed(instruction.spec.container_id, problem)

    async def _make(self, instruction: instructions.Create) -> None:
        for directory in instruction.directories:
            os.makedirs(directory, exist_ok=True)
        await self._runtime.create(instruction.spec)

    async def _start(self, instruction: instructions.Start) -> None:
        async with self._starting:
            started = await _result(self._runtime.start(instruction.container_id), "CannotStartContainerError")
        if isinstance(started, runtime.RuntimeProblem):
            self._failed(instruction.container_id, started)
            return
        for note in started.notes:
            log.info("container %s: %s", instruction.container_id, note)
        self._tell(events.Started(container_id=instruction.container_id, container=started))

    async def _signal(self, instruction: instructions.Signal) -> None:
        work = self._runtime.signal(instruction.container_id, instruction.signal)
        problem = await _attempt(work, "CannotStopContainerError")
        if problem is not None:  # the next SIGKILL, or the exit itself, ends it
            log.warning("container %s: signal %d: %s", instruction.container_id, instruction.signal, problem)

    async def _check(self, instruction: instructions.CheckHealth) -> None:
        container_id, seconds = instruction.container_id, instruction.timeout_seconds
        exit_code: int | None = None
        message = ""
        async with self._checking:
            try:
                exit_code = await self._runtime.execute(container_id, instruction.command, seconds)
            except TimeoutError:
                message = f"Health check exceeded timeout ({seconds:g}s)"
            except runtime.RuntimeProblem as problem:
                message = str(problem)
            except Exception as problem:
                log.exception("container %s: the health check could not be run", container_id)
                message = str(problem)
        self._tell(events.HealthChecked(container_id=container_id, exit_code=exit_code, message=message))

    async def _clean_up(self, instruction: instructions.CleanUp) -> None:
        async with self._cleaning:
            removals = (_attempt(self._runtime.remove(each), "") for each in instruction.container_ids)
            problems = await asyncio.gather(*removals)
            if not any(problems):
                problems = [await _attempt(self._runtime.remove_sandbox(instruction.task_id), "")]
            if not any(problems):
                problems = [await _attempt(_remove_directories(instruction.directories), "")]
        text = "; ".join(str(each) for each in problems if each is not None)
        if text:
            log.warning("task %s: could not remove all of it: %s", instruction.task_id, text)
        self._tell(events.CleanedUp(task_id=instruction.task_id, problem=text))

    def _failed(self, container_id: str, problem: runtime.RuntimeProblem) -> None:
        log.warning("container %s: %s", container_id, problem)
        self._tell(events.VerbFailed(container_id=container_id, name=problem.name, message=problem.message))

    # State changes

    async def _submit(self, change: api.TaskStateChange) -> None:
        await self._deliver(change)
        self._tell(events.Submitted(change=change))

    async def _deliver(self, change: msgspec.Struct) -> None:
        """Send until it arrives: 1 s to 30 s between tries, for ever; what is refused for good is dropped."""
        backoff_seconds = timers.SUBMIT_BACKOFF_SECONDS_MIN
        while True:
            online = self._online
            try:
                async with self._submitting:
                    await self._ecs.call(change, dict)
                return
            except ecs.ApiProblem as problem:
                if problem.code in REFUSED_FOR_GOOD:
                    log.warning("a state change was refused and is dropped: %s", problem)
                    return
                log.warning("a state change was not taken, trying again: %s", problem)
            except http.HttpProblem as problem:
                log.info("a state change did not arrive, trying again: %s", problem)
            jittered = backoff_seconds * random.uniform(0.8, 1.2)
            try:
                await asyncio.wait_for(online.wait(), jittered)
            except TimeoutError:
                backoff_seconds = min(2 * backoff_seconds, timers.SUBMIT_BACKOFF_SECONDS_MAX)


async def _remove_directories(directories: Iterable[str]) -> None:
    for directory in directories:
        await asyncio.to_thread(shutil.rmtree, directory, True)


async def _attempt(work: Awaitable[object], name: str) -> runtime.RuntimeProblem | None:
    outcome = await _result(work, name)
    return outcome if isinstance(outcome, runtime.RuntimeProblem) else None


async def _result(work: Awaitable[T], name: str) -> T | runtime.RuntimeProblem:
    """What came of it. A failure that the runtime did not name is our bug or the host's: `name` is its best word."""
    try:
        return await work
    except runtime.RuntimeProblem as problem:
        return problem
    except Exception as problem:
        log.exception("the runtime failed")
        return runtime.RuntimeProblem(name or "ContainerRuntimeError", str(problem) or type(problem).__name__)
