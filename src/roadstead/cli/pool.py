"""Runs of the policy lab on all cores: processes that each have the traffic, and take candidates as they get free.

What comes out doesn't depend on how many there are: each run is by itself, and they are given back in order.
"""

from __future__ import annotations

import collections
import concurrent.futures
import multiprocessing
import multiprocessing.connection
import multiprocessing.queues
import os
import signal
import threading
from collections.abc import Iterator, Sequence

from roadstead.base import memory
from roadstead.lab import policies, results, run, scenario, traffic

POLL_SECONDS = 0.1
"""How often progress is looked at."""
SLOTS_MIN = 50_000
"""Less than this many slots of traffic, all runs together, are sooner done here than processes are started."""
AHEAD = 2
"""Runs that a process has waiting: what is ready before its turn is held in memory."""

Told = multiprocessing.queues.SimpleQueue[tuple[str, float]]
_bench: run.Bench | None = None
"""A worker's own."""


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _begin(subject: scenario.Scenario, demand: traffic.Demand, seed: int, told: Told) -> None:
    """In a worker: Ctrl-C is the parent's to handle, and nobody outlives it, however it ended."""
    global _bench  # noqa: PLW0603 (what a process pool has for the state of a worker)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    memory.settle()
    _bench = run.Bench(subject, demand, seed, lambda name, part: told.put((name, part)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def _one(candidate: policies.Candidate) -> results.Run:
    assert _bench is not None
    return _bench.one(candidate)


class Pool:
    """A run.Spread with up to `jobs` processes, which are started when they are worth it. A context manager."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._executor: concurrent.futures.ProcessPoolExecutor | None = None
        self._told: Told | None = None

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)

    def __call__(self, bench: run.Bench, candidates: Sequence[policies.Candidate]) -> Iterator[results.Run]:
        """Runs of all candidates, in order. Raises problems.Invalid."""
        worth_it = self._executor is not None or len(bench.demand.rates) * len(candidates) >= SLOTS_MIN
        if self._jobs < 2 or len(candidates) < 2 or not worth_it:
            return map(bench.one, candidates)
        return self._spread(bench, candidates)

    def _spread(self, bench: run.Bench, candidates: Sequence[policies.Candidate]) -> Iterator[results.Run]:
        executor, told = self._started(bench)
        waiting: collections.deque[concurrent.futures.Future[results.Run]] = collections.deque()
        for one in candidates:
            if len(waiting) >= self._jobs * AHEAD:
                yield self._taken(waiting.popleft(), bench, told)
            waiting.append(executor.submit(_one, one))
        while waiting:
            yield self._taken(waiting.popleft(), bench, told)

    def _started(self, bench: run.Bench) -> tuple[concurrent.futures.ProcessPoolExecutor, Told]:
        if self._executor is None or self._told is None:
            context = multiprocessing.get_context("spawn")  # no threads and no locks of ours in it
            self._told = context.SimpleQueue()
            self._executor = concurrent.futures.ProcessPoolExecutor(
                self._jobs,
                mp_context=context,
                initializer=_begin,
                initargs=(bench.subject, bench.demand, bench.seed, self._told),
            )
        return self._executor, self._told

    def _taken(self, future: concurrent.futures.Future[results.Run], bench: run.Bench, told: Told) -> results.Run:
        """What a future gives; meanwhile progress is handed on."""
        while True:
            done, _ = concurrent.futures.wait([future], timeout=POLL_SECONDS)
            while not told.empty():
                name, part = told.get()
                if bench.progress is not None:
                    bench.progress(name, part)
            if done:
                return future.result()
