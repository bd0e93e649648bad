"""Computes the forecasts that `control.predictive_scaling` asks for, in a process of its own.

What is asked stands in the store, so nothing is lost with this process or that one: after a start every open question
is found again. The worker (`python -m roadstead.app.forecast_worker`) is started when there is a question, answers one
line of JSON with another, and ends when there are no more: a server without forecasts never pays for the libraries.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys

import msgspec

from roadstead.base import clock as clocks
from roadstead.base import errors
from roadstead.control import forecasting
from roadstead.model import predictive, tables
from roadstead.state import plan, store

logger = logging.getLogger(__name__)

ANSWER_SECONDS_MAX = 120.0
"""How long the worker may take for one forecast, its start included; then it is given up."""
LINE_BYTES_MAX = 1_000_000
START_AGAIN_SECONDS = 60.0
"""How soon a worker that could not be started is tried again."""
WORKER = (sys.executable, "-m", "roadstead.app.forecast_worker")


class Forecaster:
    """Made and used on the event loop's thread."""

    def __init__(self, subject: store.Store, clock: clocks.Clock, command: tuple[str, ...] = WORKER) -> None:
        self._store = subject
        self._clock = clock
        self._command = command
        self._wakes = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._worker: asyncio.subprocess.Process | None = None
        """One that isn't ended yet."""

    def start(self) -> None:
        """Answer what is asked, and from now on what will be."""
        self._store.watch(self._note)
        self._wakes.set()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """End, with the worker. What is still asked stays asked."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._worker is not None:
            await _end(self._worker)

    def _note(self, commit: store.Commit) -> None:
        if any(isinstance(change.after, predictive.Forecast) and change.after.is_asked for change in commit.changes):
            self._wakes.set()

    async def _run(self) -> None:
        while True:
            await self._wakes.wait()
            self._wakes.clear()
            try:
                if self._next() is not None:
                    await self._answer_all()
            except errors.HostProblem as problem:
                logger.error("no more forecasts: %s", problem)
                return
            except OSError as error:
                logger.error("the process that computes forecasts can't be started: %s", error)
                await asyncio.sleep(START_AGAIN_SECONDS)
                self._wakes.set()

    def _next(self) -> forecasting.Question | None:
        found = self._store.view().first(tables.FORECASTS, "asked", "all")
        return forecasting.question_of(found) if found is not None else None

    async def _answer_all(self) -> None:
        """One worker for all that is asked by now and while it works."""
        pipe = asyncio.subprocess.PIPE
        worker = await asyncio.create_subprocess_exec(*self._command, stdin=pipe, stdout=pipe, limit=LINE_BYTES_MAX)
        self._worker = worker
        try:
            while (question := self._next()) is not None:
                self._record(question.key, await _ask(worker, question))
                if worker.returncode is not None:
                    self._wakes.set()  # the others are for a new one
                    return
        finally:
            await _end(worker)
            self._worker = None

    def _record(self, key: str, answer: predictive.Prediction) -> None:
        def decide(view: store.StoreView) -> tuple[plan.Plan, None]:
            return forecasting.record(view, key, answer), None

        self._store.transact(decide, self._clock.now())


async def _ask(worker: asyncio.subprocess.Process, question: forecasting.Question) -> predictive.Prediction:
    """The worker's answer, or that it gave none; then the worker is gone."""
    assert worker.stdin is not None and worker.stdout is not None
    try:
        worker.stdin.write(msgspec.json.encode(question) + b"\n")
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            line = await worker.stdout.readline()
        return msgspec.json.decode(line, type=predictive.Prediction)
    except TimeoutError:
        problem = f"it took longer than {ANSWER_SECONDS_MAX:.0f} s"
    except (OSError, ValueError) as error:
        problem = f"the process that computes it failed ({type(error).__name__}); the server's log says more"
    logger.error("the forecast of %s failed: %s", question.key, problem)
    await _end(worker)
    return predictive.Prediction(asked_at=question.asked_at, problem=problem)


async def _end(worker: asyncio.subprocess.Process) -> None:
    if worker.stdin is not None:
        worker.stdin.close()
    if worker.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            worker.kill()
    await worker.communicate()  # until its pipes are closed, too
