"""Runs controllers over a store, one key at a time. Pure: `engine.live` drives it with a real clock, `sim.world` jumps.

    store.watch(stepper.note)       every commit, whoever made it, adds the keys it concerns
    stepper.start(now)              every key once
    while stepper.step(now): ...    until everything has come to rest
    stepper.next_wake()             when to look again

A decision that fails is tried again after a growing pause; one that never comes to rest is slowed down. Both are
reported, and neither stops the others.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence

import msgspec

from roadstead.base import errors
from roadstead.control import controller as controllers
from roadstead.engine import queue
from roadstead.model import tables
from roadstead.signals import metrics
from roadstead.state import plan, store

RETRY_SECONDS_FIRST = 0.1
"""Pause before a failed decision is tried again; it doubles with each failure in a row."""
RETRY_SECONDS_MAX = 60.0
REST_WINDOW_SECONDS = 1.0
"""Over how long the runs of one key are counted."""
RESTLESS_RUNS_MAX = 1000
"""Runs of one key within a window that wrote something, or asked to be run again at once, before it is slowed down."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something is wrong with a decision; for the log. `retry_at` says when its key is looked at again."""

    controller: str
    key: str
    what: str
    detail: str
    """The traceback, where there is one."""
    failures: int
    """In a row."""
    retry_at: float


class Stepper:
    """The controllers of one store and their work queue.

    `report` is told of problems, `on_step` of each decision that was run and its commit (None where it wrote nothing).
    """

    def __init__(
        self,
        subject: store.Store,
        table: Sequence[controllers.Controller],
        report: Callable[[Problem], None],
        on_step: Callable[[str, str, store.Commit | None], None] | None = None,
        *,
        checks: bool = False,
    ) -> None:
        """`checks`, for tests: it is a problem where a plan says that it rests and doesn't, or where a change concerns
        a key of a controller that doesn't name its table.
        """
        self._store = subject
        self._controllers = tuple(table)
        self._report = report
        self._on_step = on_step
        self._concerned = {
            table.name: [
                (place, one) for place, one in enumerate(self._controllers) if one.tables is None or table in one.tables
            ]
            for table in tables.ALL
        }
        self._checks = checks
        self._queue = queue.WorkQueue(len(self._controllers))
        self._failures: dict[queue.Key, int] = {}
        self._window_ends_at = float("-inf")
        self._runs: dict[queue.Key, int] = {}
        self._slowed: set[queue.Key] = set()
        self._on_work: Callable[[], None] | None = None

    def on_work(self, call: Callable[[], None]) -> None:
        """Have `call` called whenever a commit has added work."""
        self._on_work = call

    @property
    def waiting(self) -> int:
        """How many keys wait to be looked at now."""
        return len(self._queue)

    @property
    def has_work(self) -> bool:
        """Whether a key waits to be looked at now."""
        return bool(self._queue)

    def start(self, now: float) -> None:
        """Begin anew: every key of every controller is looked at once."""
        self._queue.clear()
        self._failures.clear()
        self._runs.clear()
        self._slowed.clear()
        for place, one in enumerate(self._controllers):
            try:
                for key in one.all_keys(self._store.view()):
                    self._queue.add(place, key)
            except Exception as error:
                self._tell(place, "*", "all_keys", error, 1, now)

    def note(self, commit: store.Commit) -> None:
        """Add the keys that a commit concerns; to be given to `store.watch`."""
        if commit.late:
            self._hasten(commit)
        if not commit.changes:
            return  # of data points late ones alone concern a key
        look = self._store.view()
        concerned = self._concerned
        for change in commit.changes:
            for place, one in concerned[change.table]:
                try:
                    for key in one.keys(change, look):
                        if (place, key) not in self._slowed:
                            self._queue.add(place, key)
                except Exception as error:
                    self._tell(place, change.key, f"keys of a change to {change.table}", error, 1, 0.0)
        if self._checks:
            self._check_tables(commit, look)
        if self._on_work is not None and self._queue:
            self._on_work()

    def _check_tables(self, commit: store.Commit, look: store.StoreView) -> None:
        for change in commit.changes:
            for place, one in enumerate(self._controllers):
                if (place, one) not in self._concerned[change.table]:
                    assert not list(one.keys(change, look)), f"{one.name} doesn't name {change.table}"

    def _hasten(self, commit: store.Commit) -> None:
        """Wake the keys that read anew what has come late; a key that waits anyway reads it then."""
        look = self._store.view()
        is_sooner = False
        for place, one in enumerate(self._controllers):
            for metric in commit.late:
                try:
                    for key, wake_at in one.wakes(metric, look, commit.at):
                        is_sooner = self._queue.hasten(place, key, wake_at) or is_sooner
                except Exception as error:
                    self._tell(place, metrics.to_text(metric), "wakes of late data", error, 1, 0.0)
        if is_sooner and self._on_work is not None:
            self._on_work()

    def step(self, now: float) -> bool:
        """Look at one key; False where none waits."""
        self._queue.wake(now)
        found = self._queue.pop()
        if found is None:
            self._runs.clear()
            return False
        place, key = found
        if now >= self._window_ends_at:
            self._runs.clear()
            self._slowed.clear()
            self._window_ends_at = now + REST_WINDOW_SECONDS
        one = self._controllers[place]
        try:
            commit, wanted = self._store.transact(lambda look: _twice(one.reconcile(look, key, now)), now)
            if wanted.rests:
                if self._checks:
                    _check_rest(one, key, wanted, self._store.view(), now)
                self._queue.discard(place, key)  # its own writes have added it
        except Exception as error:
            self._retry_later(found, error, now)
            return True
        self._failures.pop(found, None)
        self._queue.sleep(place, key, wanted.wake_at)
        if commit is not None or (wanted.wake_at is not None and wanted.wake_at <= now):
            self._count(found, now)
        if self._on_step is not None:
            self._on_step(one.name, key, commit)
        return True

    def next_wake(self) -> float | None:
        """The next moment at which there is something to do; None where only a commit can bring it."""
        return self._queue.next_wake()

    def _retry_later(self, found: queue.Key, error: Exception, now: float) -> None:
        place, key = found
        failures = self._failures.get(found, 0) + 1
        self._failures[found] = failures
        pause = min(RETRY_SECONDS_FIRST * 2.0 ** min(failures - 1, 60), RETRY_SECONDS_MAX)
        self._queue.sleep(place, key, now + pause)
        self._tell(place, key, "reconcile", error, failures, now + pause)

    def _count(self, found: queue.Key, now: float) -> None:
        """Count a run after which the controller had not come to rest; slow its key down when there are too many."""
        count = self._runs.get(found, 0) + 1
        self._runs[found] = count
        if count < RESTLESS_RUNS_MAX:
            return
        place, key = found
        self._slowed.add(found)
        self._queue.discard(place, key)
        self._queue.sleep(place, key, self._window_ends_at)
        what = (
            f"it doesn't come to rest: {count} runs within {REST_WINDOW_SECONDS} s wrote or asked for another at once"
        )
        self._report(
            Problem(
                controller=self._controllers[place].name,
                key=key,
                what=what,
                detail="",
                failures=0,
                retry_at=self._window_ends_at,
            )
        )

    def _tell(self, place: int, key: str, what: str, error: Exception, failures: int, retry_at: float) -> None:
        closed = isinstance(error, errors.HostProblem)
        self._report(
            Problem(
                controller=self._controllers[place].name,
                key=key,
                what=f"{what}: {error}" if closed else f"{what} failed: {type(error).__name__}: {error}",
                detail="" if closed else "".join(traceback.format_exception(error)),
                failures=failures,
                retry_at=retry_at,
            )
        )


def _check_rest(one: controllers.Controller, key: str, first: plan.Plan, look: store.StoreView, now: float) -> None:
    """That a plan rests as it says: the next one writes nothing, not even when it would wake by itself."""
    again = one.reconcile(look, key, now)
    assert again.is_empty, f"a plan that rests is followed by {[write.record for write in again.writes]}"
    if again.wake_at is not None and (first.wake_at is None or again.wake_at < first.wake_at):
        later = one.reconcile(look, key, again.wake_at)
        assert later.is_empty, f"a plan rests until {first.wake_at}, but at {again.wake_at} there is more to do"


def _twice(wanted: plan.Plan) -> tuple[plan.Plan, plan.Plan]:
    return wanted, wanted
