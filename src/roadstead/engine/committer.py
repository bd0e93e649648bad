"""Makes commits durable: one writer thread, one sync for all that waits.

While the disk takes one group, the next one gathers; so the groups grow with the load and the wait stays about two
syncs long. The loop hands over what one turn of it has committed at the end of that turn, and is called back once a
group. When the journal fails, the store refuses all further writes: memory must not run away from the disk.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence

from roadstead.base import errors
from roadstead.state import journal, store

WAITING_ENTRIES_MAX = 5_000
"""Commits that wait for the disk before new writes are refused: about a second's worth."""
GROUP_ENTRIES_MAX = 1_000
"""Commits in one group."""
CHECKPOINT_DATA_MAX = 100_000
"""Metric data points that are journaled before the series are dumped in their place: about 0.1 s of a start."""


Outcome = Callable[[errors.HostProblem | None], None]
"""Is told that something is durable (None), or why it never will be."""


class _Job:
    """What the writer is handed: entries to append, or a call that must run between groups (or None: end)."""

    __slots__ = ("call", "done", "entries")

    def __init__(
        self, entries: list[journal.Entry], call: Callable[[], None] | None, done: asyncio.Future[None] | None
    ):
        self.entries = entries
        self.call = call
        self.done = done


class Committer:
    """Writes the commits of `subject` to `kept`; made and used on the event loop's thread.

    `on_failure` is called once, with the reason, when the journal can't be written; the store refuses writes by then.
    """

    def __init__(
        self, subject: store.Store, kept: journal.Journal, on_failure: Callable[[errors.HostProblem], None]
    ) -> None:
        self._store = subject
        self._journal = kept
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._gathered: list[journal.Entry] = []
        self._data_since_checkpoint = 0
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._waiters: deque[tuple[int, Outcome]] = deque()
        self._waiting = 0
        self.durable_revision = subject.revision
        self.failure: errors.HostProblem | None = None
        self._keeps_nothing = isinstance(kept, journal.MemoryJournal)
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._thread.start()
        subject.watch(self.submit)

    # -- on the loop

    @property
    def backlog(self) -> int:
        """Commits that are not durable yet."""
        return self._waiting

    @property
    def is_full(self) -> bool:
        """Whether so much waits for the disk that no new write should begin."""
        return self._waiting >= WAITING_ENTRIES_MAX

    def submit(self, commit: store.Commit) -> None:
        """Have a commit made durable (the store calls it)."""
        if self._keeps_nothing:
            self.durable_revision = commit.revision
            return
        if self.failure is not None:
            return
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append(commit.entry)
        self._waiting += 1
        self._data_since_checkpoint += len(commit.entry.data)

    async def durable(self, revision: int) -> None:
        """Return when the commit with that revision, and all before it, are on the disk. Raises errors.HostProblem
        when the journal can't be written.
        """
        if revision <= self.durable_revision:
            return
        waiter: asyncio.Future[None] = self._loop.create_future()

        def settle(problem: errors.HostProblem | None) -> None:
            self._settle(waiter, problem)

        self.when_durable(revision, settle)
        await waiter

    def when_durable(self, revision: int, tell: Outcome) -> None:
        """As `durable`, for who needs no coroutine: `tell` is called once, at once where the answer is known."""
        if revision <= self.durable_revision or self.failure is not None:
            tell(None if revision <= self.durable_revision else self.failure)
        else:
            self._waiters.append((revision, tell))

    async def between_groups(self, call: Callable[[], None]) -> None:
        """Run `call` in the writer's thread after everything submitted so far, and wait for it."""
        self._hand_over()
        done: asyncio.Future[None] = self._loop.create_future()
        self._jobs.put(_Job([], call, done))
        await done

    async def close(self, chunks: Sequence[bytes] | None = None) -> None:
        """Write all that waits (then `chunks` as the metrics' checkpoint), end the thread. The journal stays open."""
        self._hand_over()
        if chunks is not None and self.failure is None:
            self._jobs.put(_Job([], lambda: self._journal.checkpoint(chunks), None))
        self._jobs.put(None)
        await self._loop.run_in_executor(None, self._thread.join)

    def _hand_over(self) -> None:
        if not self._gathered:
            return
        entries, self._gathered = self._gathered, []
        self._jobs.put(_Job(entries, None, None))
        if self._data_since_checkpoint >= CHECKPOINT_DATA_MAX:
            self._data_since_checkpoint = 0
            chunks = list(self._store.signals.dump())
            self._jobs.put(_Job([], lambda: self._journal.checkpoint(chunks), None))

    def _group_done(self, count: int, revision: int) -> None:
        self._waiting -= count
        if self.failure is not None:
            return
        self.durable_revision = revision
        waiters = self._waiters
        while waiters and waiters[0][0] <= revision:
            waiters.popleft()[1](None)

    def _settle(self, done: asyncio.Future[None], problem: errors.HostProblem | None) -> None:
        if done.done():
            return
        if problem is None:
            done.set_result(None)
        else:
            done.set_exception(problem)

    def _fail(self, problem: errors.HostProblem) -> None:
        if self.failure is not None:
            return
        self.failure = problem
        self._store.refuse_writes(problem)
        self._gathered.clear()
        self._waiting = 0
        waiters, self._waiters = self._waiters, deque()
        for _, tell in waiters:
            tell(problem)
        self._on_failure(problem)

    # -- in the writer's thread

    def _write(self) -> None:
        failed: errors.HostProblem | None = None
        ends = False
        while not ends:
            jobs = [self._jobs.get()]
            count = 0
            while count < GROUP_ENTRIES_MAX:
                try:
                    one = self._jobs.get_nowait()
                except queue.Empty:
                    break
                jobs.append(one)
                count += len(one.entries) if one is not None else 0
            entries: list[journal.Entry] = []
            for job in jobs:
                if job is not None and job.call is None:
                    entries += job.entries
                    continue
                failed = failed or self._append(entries)
                entries = []
                if job is None:
                    ends = True
                    break
                failed = self._run(job, failed)
            failed = failed or self._append(entries)

    def _append(self, entries: list[journal.Entry]) -> errors.HostProblem | None:
        if not entries:
            return None
        problem = _attempt(lambda: self._journal.append(entries))
        if problem is not None:
            self._loop.call_soon_threadsafe(self._fail, problem)
        else:
            self._loop.call_soon_threadsafe(self._group_done, len(entries), entries[-1].revision)
        return problem

    def _run(self, job: _Job, failed: errors.HostProblem | None) -> errors.HostProblem | None:
        assert job.call is not None
        problem = failed or _attempt(job.call)
        if problem is not None:
            self._loop.call_soon_threadsafe(self._fail, problem)
        if job.done is not None:
            self._loop.call_soon_threadsafe(self._settle, job.done, problem)
        return problem


def _attempt(call: Callable[[], None]) -> errors.HostProblem | None:
    try:
        call()
    except errors.HostProblem as problem:
        return problem
    except Exception as error:
        return errors.HostProblem(
            "The journal failed",
            f"{type(error).__name__}: {error}",
            "Nothing acknowledged is lost. Restart the server.",
        )
    return None
