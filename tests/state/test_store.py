"""The store: its indexes and tallies always say what a naive recount says; stale plans change nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadstead.base import errors, scope
from roadstead.model import clusters, record, tables, tasks
from roadstead.signals import metrics
from roadstead.state import plan, store


def seeds() -> Callable[[], int]:
    count = iter(range(1, 1_000_000))
    return lambda: next(count)


def new_store() -> store.Store:
    return store.Store(scope.Scope(), seeds())


def put(subject: store.Store, *records: record.Record, now: float = 0.0) -> store.Commit | None:
    def decide(view: store.StoreView) -> tuple[plan.Plan, None]:
        draft = plan.Draft(view)
        for one in records:
            draft.put(one)
        return draft.plan(), None

    return subject.transact(decide, now)[0]


def remove(subject: store.Store, one: record.Record) -> None:
    draft = plan.Draft(subject.view())
    draft.remove(one)
    wanted = draft.plan()
    if not wanted.is_empty:
        subject.commit(wanted, 0.0)


def cluster(name: str, **values: Any) -> clusters.Cluster:
    return clusters.Cluster(name=name, created_at=0.0, **values)


def recount(records: list[tasks.Task]) -> tuple[dict[Any, list[str]], dict[Any, tuple[int, ...]]]:
    """Every index and tally of the tasks' table, the slow way: (name, group) → keys in order, sums."""
    places: dict[Any, list[Any]] = defaultdict(list)
    sums: dict[Any, tuple[int, ...]] = {}
    for one in records:
        for name, index in tables.TASKS.indexes.items():
            for group in index.groups(one):
                places[name, group].append((*index.order(one), one.key))
        for name, tally in tables.TASKS.tallies.items():
            for group, amounts in tally.amounts(one):
                before = sums.get((name, group), (0,) * tally.width)
                sums[name, group] = tuple(a + b for a, b in zip(before, amounts, strict=True))
    found = {name: [place[-1] for place in sorted(entries)] for name, entries in places.items()}
    return found, sums


def check_against_recount(subject: store.Store) -> None:
    look = subject.view()
    rows = subject._rows[tasks.Task]
    records = [one for one, _ in rows.records.values()]
    expected, sums = recount(records)
    for name in tables.TASKS.indexes:
        groups = {group for found, group in expected if found == name}
        assert set(rows.indexes[name]) == groups, "no group is left empty, none is missing"
        for group in groups:
            keys = expected[name, group]
            assert [one.key for one in look.find(tables.TASKS, name, *group)] == keys
            assert look.size(tables.TASKS, name, *group) == len(keys)
            first = look.first(tables.TASKS, name, *group)
            assert first is not None and first.key == keys[0]
            assert paged(look, name, group) == keys
    for name, tally in tables.TASKS.tallies.items():
        groups = {group for found, group in sums if found == name}
        for group in groups:
            assert look.tally(tables.TASKS, name, *group) == sums[name, group]
        assert all(any(amounts) for amounts in rows.tallies[name].values()), "no zeros are kept"
        assert look.tally(tables.TASKS, name, "nobody") == (0,) * tally.width


def paged(look: store.StoreView, index: str, group: tables.Group, limit: int = 2) -> list[str]:
    found: list[str] = []
    after: tables.Order | None = None
    while True:
        page = list(look.page(tables.TASKS, index, group, after, limit))
        if not page:
            return found
        found += [one.key for _, one in page]
        after = page[-1][0]


task_values = st.builds(
    tasks.Task,
    task_id=st.sampled_from([f"t{number}" for number in range(6)]),
    cluster=st.sampled_from(["default", "other"]),
    created_at=st.sampled_from([1.0, 2.0]),
    spec=st.builds(
        tasks.TaskSpec,
        task_definition=st.sampled_from(["web:1", "web:2", "job:1"]),
        group=st.just("service:web"),
        service=st.sampled_from([None, "web", "api"]),
        deployment_id=st.sampled_from([None, "ecs-svc/1"]),
        started_by=st.sampled_from([None, "me"]),
        client_token=st.sampled_from([None, "token"]),
        resources=st.builds(tasks.TaskResources, cpu_units=st.integers(0, 2), memory_mib=st.integers(0, 2)),
    ),
    desired=st.builds(
        tasks.TaskDesired,
        status=st.sampled_from(["RUNNING", "STOPPED"]),
        container_instance=st.sampled_from([None, "i1", "i2"]),
    ),
    observed=st.builds(
        tasks.TaskObserved,
        last_status=st.sampled_from(["PROVISIONING", "PENDING", "RUNNING", "STOPPED"]),
        stopped_at=st.sampled_from([None, 5.0]),
    ),
    accounting=st.builds(tasks.TaskAccounting, stop_seen=st.booleans()),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.booleans(), task_values), max_size=25))
def test_indexes_and_tallies_are_what_a_recount_gives(steps: list[tuple[bool, tasks.Task]]) -> None:
    subject = new_store()
    entries = []
    subject.watch(lambda commit: entries.append(commit.entry))
    for keeps, task in steps:
        if keeps:
            put(subject, task)
        else:
            remove(subject, task)
    check_against_recount(subject)
    journaled: dict[str, Any] = {}
    for entry in entries:
        for row in entry.rows:
            journaled[row.key] = row
    again = new_store()
    again.load([row for row in journaled.values() if row.blob is not None], subject.revision)
    check_against_recount(again)
    assert again._rows[tasks.Task].records == subject._rows[tasks.Task].records
    assert again.revision == subject.revision


def test_a_stale_plan_is_refused_whole() -> None:
    subject = new_store()
    put(subject, cluster("a"), cluster("b"))
    draft = plan.Draft(subject.view())
    draft.put(cluster("c"))
    draft.put(cluster("a", status="INACTIVE"))
    put(subject, cluster("a", tags=(record.Tag(key="k"),)))
    revision = subject.revision
    with pytest.raises(errors.Conflict, match="based on revision 1, but it is at 2"):
        subject.commit(draft.plan(), 0.0)
    look = subject.view()
    assert subject.revision == revision and look.get(clusters.Cluster, "c") is None
    found = look.get(clusters.Cluster, "a")
    assert found is not None and found.status == "ACTIVE"


def test_a_decision_that_conflicts_runs_again_on_a_fresh_view() -> None:
    subject = new_store()
    put(subject, cluster("a"))
    seen: list[int] = []

    def decide(view: store.StoreView) -> tuple[plan.Plan, int]:
        draft = plan.Draft(view)
        found = draft.get(clusters.Cluster, "a")
        assert found is not None
        seen.append(len(found.tags))
        draft.put(msgspec.structs.replace(found, status="INACTIVE"))
        if len(seen) == 1:  # another writer comes in between
            put(subject, cluster("a", tags=(record.Tag(key="k"),)))
        return draft.plan(), len(found.tags)

    commit, tags = subject.transact(decide, 0.0)
    assert seen == [0, 1] and tags == 1 and commit is not None
    found = subject.view().get(clusters.Cluster, "a")
    assert found is not None and found.status == "INACTIVE" and found.tags, "nothing of either writer is lost"


def test_a_decision_that_always_conflicts_is_given_up() -> None:
    subject = new_store()
    put(subject, cluster("a"))
    count = 0

    def decide(view: store.StoreView) -> tuple[plan.Plan, None]:
        nonlocal count
        draft = plan.Draft(view)
        draft.remove(cluster("a"))
        count += 1
        put(subject, cluster("a", tags=(record.Tag(key=str(count)),)))
        return draft.plan(), None

    with pytest.raises(errors.Conflict):
        subject.transact(decide, 0.0)
    assert count == store.CONFLICT_RETRIES_MAX + 1


def test_writing_what_is_there_is_no_write() -> None:
    subject = new_store()
    assert put(subject, cluster("a")) is not None
    assert put(subject, cluster("a")) is None
    assert subject.revision == 1


def test_watchers_are_told_before_and_after() -> None:
    subject = new_store()
    told: list[store.Commit] = []
    subject.watch(told.append)
    put(subject, cluster("a"))
    put(subject, cluster("a", status="INACTIVE"))
    remove(subject, cluster("a"))
    sides = [(change.before is not None, change.after is not None) for commit in told for change in commit.changes]
    assert sides == [(False, True), (True, True), (True, False)]
    assert [commit.entry.revision for commit in told] == [1, 2, 3]
    assert told[-1].entry.rows[0].blob is None


def test_metric_data_of_a_plan_reach_the_series_and_the_journal() -> None:
    subject = new_store()
    told: list[store.Commit] = []
    subject.watch(told.append)
    one = metrics.Datum(metric=metrics.metric("N", "m"), timestamp=990.0, values=(3.0,))
    subject.commit(plan.Plan(data=(one,)), 1_000.0)
    points = subject.view().signals.statistics(one.metric, None, 960.0, 1_020.0, 60, ["Sum"], 1_000.0)
    assert [point.values for point in points] == [{"Sum": 3.0}]
    assert told[0].entry.data == (one,)


def test_a_store_that_refuses_writes_still_reads() -> None:
    subject = new_store()
    put(subject, cluster("a"))
    subject.refuse_writes(errors.HostProblem("The journal can't be written", "no space", "Make room."))
    with pytest.raises(errors.HostProblem, match="no space"):
        put(subject, cluster("b"))
    assert subject.view().get(clusters.Cluster, "a") is not None and subject.revision == 1
    assert put(subject, cluster("a")) is None, "what writes nothing is still answered"


def test_clear_forgets_records_and_indexes() -> None:
    subject = new_store()
    put(subject, cluster("a"))
    subject.clear()
    assert subject.view().size(tables.CLUSTERS, "all", "all") == 0
    put(subject, cluster("a"))
    assert subject.view().revision_of(clusters.Cluster, "a") == subject.revision
