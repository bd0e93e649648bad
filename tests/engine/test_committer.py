"""The committer and the live driver: nothing is answered before the disk has it, and a broken disk stops all writes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Sequence

import pytest

from roadstead.base import clock, errors, scope
from roadstead.control import controller
from roadstead.engine import committer, live, stepper
from roadstead.model import clusters, record
from roadstead.signals import metrics
from roadstead.state import journal, plan, store, view


class SlowJournal(journal.MemoryJournal):
    """Waits for `gate` before each group; remembers groups; fails where it is told to."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.groups: list[list[int]] = []
        self.checkpoints: list[int] = []
        self.problem: Exception | None = None

    def append(self, entries: Sequence[journal.Entry]) -> None:
        self.gate.wait(10)
        if self.problem is not None:
            raise self.problem
        self.groups.append([entry.revision for entry in entries])

    def checkpoint(self, chunks: Sequence[bytes]) -> None:
        self.checkpoints.append(sum(map(len, self.groups)))


class Bench:
    """A store with a committer over a SlowJournal."""

    def __init__(self) -> None:
        seeds = iter(range(1, 1_000_000))
        self.store = store.Store(scope.Scope(), lambda: next(seeds))
        self.journal = SlowJournal()
        # a MemoryJournal keeps nothing and is not waited for; this one is to be waited for
        self.failures: list[errors.HostProblem] = []
        self.committer = committer.Committer(self.store, _Kept(self.journal), self.failures.append)

    def put(self, name: str, *tags: str) -> int:
        draft = plan.Draft(self.store.view())
        draft.put(clusters.Cluster(name=name, created_at=0.0, tags=tuple(record.Tag(key=tag) for tag in tags)))
        return self.store.commit(draft.plan(), 0.0).revision


class _Kept:
    """A journal that is not a MemoryJournal by type."""

    def __init__(self, inner: SlowJournal) -> None:
        self.newest_revision = inner.newest_revision
        self.load = inner.load
        self.load_checkpoint = inner.load_checkpoint
        self.load_data = inner.load_data
        self.append = inner.append
        self.checkpoint = inner.checkpoint
        self.wipe = inner.wipe
        self.close = inner.close


async def test_a_write_waits_until_the_disk_has_it() -> None:
    bench = Bench()
    bench.journal.gate.clear()
    revision = bench.put("x")
    waiter = asyncio.ensure_future(bench.committer.durable(revision))
    done, _ = await asyncio.wait([waiter], timeout=0.05)
    assert not done and bench.committer.durable_revision == 0 and bench.committer.backlog == 1
    bench.journal.gate.set()
    await asyncio.wait_for(waiter, 5)
    assert bench.committer.durable_revision == revision and bench.committer.backlog == 0
    await bench.committer.durable(revision)
    await bench.committer.close()


async def test_what_comes_in_one_turn_is_one_group_and_what_waits_is_the_next() -> None:
    bench = Bench()
    for number in range(5):
        bench.put(f"first{number}")
    await bench.committer.durable(5)
    assert bench.journal.groups == [[1, 2, 3, 4, 5]]
    bench.journal.gate.clear()
    bench.put("alone")
    await asyncio.sleep(0.02)  # the writer takes it and stands at the gate
    for number in range(7):
        bench.put(f"second{number}")
        await asyncio.sleep(0)
    bench.journal.gate.set()
    await bench.committer.durable(13)
    assert bench.journal.groups[1:] == [[6], [7, 8, 9, 10, 11, 12, 13]]
    await bench.committer.close()


@pytest.mark.parametrize(
    "problem", [errors.HostProblem("The journal can't be written", "disk full", "Make room."), MemoryError("none left")]
)
async def test_when_the_journal_fails_nobody_is_answered_and_nothing_more_is_written(problem: Exception) -> None:
    bench = Bench()
    await bench.committer.durable(bench.put("kept"))
    bench.journal.gate.clear()
    bench.journal.problem = problem
    waiters = [asyncio.ensure_future(bench.committer.durable(bench.put(name))) for name in ("x", "y")]
    await asyncio.sleep(0)
    bench.journal.gate.set()
    results = await asyncio.wait_for(asyncio.gather(*waiters, return_exceptions=True), 5)
    assert all(isinstance(result, errors.HostProblem) for result in results)
    assert bench.failures == [bench.committer.failure]
    with pytest.raises(errors.HostProblem):
        bench.put("z")
    with pytest.raises(errors.HostProblem):
        await bench.committer.durable(bench.store.revision)
    await bench.committer.durable(1)  # what was durable stays so
    bench.journal.problem = None
    await bench.committer.close([b"checkpoint"])
    assert bench.journal.groups == [[1]] and bench.journal.checkpoints == []


async def test_a_waiter_that_gave_up_holds_nobody_up() -> None:
    bench = Bench()
    bench.journal.gate.clear()
    gone = asyncio.ensure_future(bench.committer.durable(bench.put("x")))
    stays = asyncio.ensure_future(bench.committer.durable(bench.put("y")))
    await asyncio.sleep(0)
    gone.cancel()
    bench.journal.gate.set()
    await asyncio.wait_for(stays, 5)
    await bench.committer.close()


async def test_closing_writes_what_waits_and_then_the_checkpoint() -> None:
    bench = Bench()
    for number in range(3):
        bench.put(f"x{number}")
    await bench.committer.close([b"checkpoint"])
    assert [revision for group in bench.journal.groups for revision in group] == [1, 2, 3]
    assert bench.journal.checkpoints == [3]


async def test_metric_data_are_replaced_by_a_checkpoint_once_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committer, "CHECKPOINT_DATA_MAX", 10)
    bench = Bench()
    one = metrics.Datum(metric=metrics.metric("N", "m"), timestamp=0.0, values=(1.0,))
    for _ in range(3):
        revision = bench.store.commit(plan.Plan(data=(one,) * 4), 0.0).revision
        await bench.committer.durable(revision)
    await bench.committer.close()
    assert bench.journal.checkpoints == [3], "after the entries that it holds"


async def test_an_ephemeral_server_waits_for_nothing() -> None:
    subject = store.Store(scope.Scope(), lambda: 1)
    one = committer.Committer(subject, journal.MemoryJournal(), lambda problem: None)
    draft = plan.Draft(subject.view())
    draft.put(clusters.Cluster(name="x", created_at=0.0))
    revision = subject.commit(draft.plan(), 0.0).revision
    assert one.durable_revision == revision
    await one.close()


async def test_between_groups_runs_in_order_and_gives_its_error_back() -> None:
    bench = Bench()
    bench.put("x")
    seen: list[int] = []
    await bench.committer.between_groups(lambda: seen.append(len(bench.journal.groups)))
    assert seen == [1]
    await bench.committer.close()


def ticking(seen: list[tuple[str, float]]) -> controller.Controller:
    """Adds a tag to a cluster up to three, then wakes itself once 30 ms later."""

    def decide(look: view.View, key: str, now: float) -> plan.Plan:
        seen.append((key, now))
        draft = plan.Draft(look)
        found = draft.get(clusters.Cluster, key)
        assert found is not None
        if len(found.tags) < 3:
            tags = (*found.tags, record.Tag(key=str(len(found.tags))))
            draft.put(clusters.Cluster(name=key, created_at=0.0, tags=tags))
            return draft.plan()
        return plan.Plan(wake_at=now + 0.03 if len(seen) < 5 else None)

    def keys(change: store.Change, look: view.View) -> Iterable[str]:
        return (change.key,)

    return controller.Controller(name="ticking", reconcile=decide, keys=keys, all_keys=lambda look: ())


async def until(condition: object, seconds: float = 5.0) -> None:
    assert callable(condition)
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  the engine offers no event, and needs none
            await asyncio.sleep(0.002)


async def test_the_live_engine_works_off_commits_and_wakes_by_itself() -> None:
    bench = Bench()
    seen: list[tuple[str, float]] = []
    problems: list[stepper.Problem] = []
    driven = stepper.Stepper(bench.store, [ticking(seen)], problems.append)
    bench.store.watch(driven.note)
    engine = live.LiveEngine(driven, clock.SystemClock(), bench.committer)
    engine.start()
    bench.put("x")
    await until(lambda: len(seen) == 5)
    assert seen[4][1] - seen[3][1] >= 0.03
    found = bench.store.view().get(clusters.Cluster, "x")
    assert found is not None and len(found.tags) == 3 and not problems
    await bench.committer.durable(bench.store.revision)
    engine.stop()
    bench.put("x")
    await asyncio.sleep(0.01)
    assert len(seen) == 5, "a stopped engine looks at nothing"
    await bench.committer.close()


async def test_the_live_engine_lets_others_work_in_between() -> None:
    bench = Bench()

    def busy(look: view.View, key: str, now: float) -> plan.Plan:
        return plan.Plan(wake_at=now)

    one = controller.Controller(
        name="busy", reconcile=busy, keys=lambda change, look: (change.key,), all_keys=lambda look: ()
    )
    driven = stepper.Stepper(bench.store, [one], lambda problem: None)
    bench.store.watch(driven.note)
    engine = live.LiveEngine(driven, clock.SystemClock(), bench.committer)
    engine.start()
    for number in range(50):
        bench.put(f"x{number}")
    for _ in range(5):
        await asyncio.sleep(0)
    engine.stop()
    assert driven.waiting > 0, "there was work all the time, and still we got our turns"
    await bench.committer.close()
