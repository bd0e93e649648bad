"""The store: every record in memory, with its revision, indexes and tallies. The one place where components meet.

It is single-threaded and does no IO: a shell hands its commits to a `Journal` and answers when they are durable.
Decisions run between two awaits of the shell, so a view needs no copy. A plan whose writes are based on older
revisions is refused whole with `Conflict`; `transact` then runs the decision again.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from sortedcontainers import SortedList

from roadstead.base import errors
from roadstead.base import ids as base_ids
from roadstead.base import scope as base_scope
from roadstead.model import record, tables
from roadstead.signals import metrics, series
from roadstead.state import journal, plan

R = TypeVar("R", bound=record.Record)
T = TypeVar("T")

CONFLICT_RETRIES_MAX = 10
"""How often a decision is run again on a fresh view before its conflict is raised."""


class Change(msgspec.Struct, frozen=True):
    """What the store announces for each record of a commit: before and after, None where it wasn't or isn't there."""

    table: str
    key: str
    before: record.Record | None
    after: record.Record | None
    revision: int

    @property
    def newest(self) -> record.Record:
        """The record after the commit, or the last one before its removal."""
        one = self.after if self.after is not None else self.before
        assert one is not None, "a change has at least one side"
        return one


class Commit:
    """A plan that was applied, at the moment `at`. `late` are the metrics of which data came for periods that had been
    read (`signals.series.SeriesStore.take_late`).
    """

    __slots__ = ("_encoders", "_entry", "at", "changes", "data", "late", "revision")

    def __init__(
        self,
        revision: int,
        changes: tuple[Change, ...],
        data: tuple[metrics.Datum, ...],
        at: float,
        late: tuple[metrics.Metric, ...],
        encoders: Mapping[str, msgspec.msgpack.Encoder],
    ) -> None:
        self.revision = revision
        self.changes = changes
        self.data = data
        self.at = at
        self.late = late
        self._encoders = encoders
        self._entry: journal.Entry | None = None

    @property
    def entry(self) -> journal.Entry:
        """What a journal keeps of it: made when it is first asked for, and never where nothing is kept."""
        if self._entry is None:
            rows = tuple(
                journal.Row(
                    change.table,
                    change.key,
                    self.revision,
                    self._encoders[change.table].encode(change.after) if change.after is not None else None,
                )
                for change in self.changes
            )
            self._entry = journal.Entry(self.revision, rows, self.data)
        return self._entry


class _Rows:
    """One table: records, revisions, indexes, tallies."""

    def __init__(self, table: tables.Table[Any]) -> None:
        self.table = table
        self.clear()
        self.zeros = {name: (0,) * tally.width for name, tally in table.tallies.items()}
        self.encoder = msgspec.msgpack.Encoder()
        self.decoder = msgspec.msgpack.Decoder(table.record_type)

    def clear(self) -> None:
        """Forget every record."""
        self.records: dict[str, tuple[Any, int]] = {}
        self.indexes: dict[str, dict[tables.Group, SortedList[Any]]] = {name: {} for name in self.table.indexes}
        self.tallies: dict[str, dict[tables.Group, tuple[int, ...]]] = {name: {} for name in self.table.tallies}

    def apply(self, key: str, after: Any | None, revision: int) -> Any | None:
        """Set or remove one record; returns the one before."""
        before = self.records[key][0] if key in self.records else None
        if after is None:
            self.records.pop(key, None)
        else:
            self.records[key] = (after, revision)
        for name, index in self.table.indexes.items():
            self._reindex(self.indexes[name], index, key, before, after)
        for name, tally in self.table.tallies.items():
            self._recount(self.tallies[name], tally, before, after)
        return before

    def fill(self, loaded: Sequence[tuple[str, Any, int]]) -> None:
        """Set (key, record, revision) of an empty table at once: each group is sorted once, not at each record."""
        assert not self.records, "only an empty table is filled"
        self.records = {key: (one, revision) for key, one, revision in loaded}
        for name, index in self.table.indexes.items():
            gathered: dict[tables.Group, list[Any]] = {}
            for key, one, _ in loaded:
                groups = index.groups(one)
                if groups:
                    place = (*index.order(one), key)
                    for group in groups:
                        gathered.setdefault(group, []).append(place)
            self.indexes[name] = {group: SortedList(places) for group, places in gathered.items()}
        for name, tally in self.table.tallies.items():
            sums: dict[tables.Group, tuple[int, ...]] = {}
            for _, one, _ in loaded:
                for group, numbers in tally.amounts(one):
                    found = sums.get(group)
                    sums[group] = numbers if found is None else tuple(map(operator.add, found, numbers))
            self.tallies[name] = {group: total for group, total in sums.items() if any(total)}

    @staticmethod
    def _reindex(
        groups: dict[tables.Group, SortedList[Any]],
        index: tables.Index[Any],
        key: str,
        before: Any | None,
        after: Any | None,
    ) -> None:
        part = index.part
        if part is not None and before is not None and after is not None and part(before) is part(after):
            return
        old = index.groups(before) if before is not None else ()
        new = index.groups(after) if after is not None else ()
        if (not old and not new) or (old == new and index.is_by_key):
            return
        old_place = (*index.order(before), key) if old else None
        new_place = (*index.order(after), key) if new else None
        if old == new and old_place == new_place:
            return
        for group in old:
            entries = groups[group]
            entries.remove(old_place)
            if not entries:
                del groups[group]
        for group in new:
            place = groups.get(group)
            if place is None:
                place = groups[group] = SortedList()
            place.add(new_place)

    @staticmethod
    def _recount(
        sums: dict[tables.Group, tuple[int, ...]], tally: tables.Tally[Any], before: Any | None, after: Any | None
    ) -> None:
        old = tally.amounts(before) if before is not None else ()
        new = tally.amounts(after) if after is not None else ()
        if old == new:
            return
        zeros = (0,) * tally.width
        for join, amounts in ((operator.sub, old), (operator.add, new)):
            for group, numbers in amounts:
                total = tuple(map(join, sums.get(group, zeros), numbers))
                if any(total):
                    sums[group] = total
                else:
                    sums.pop(group, None)


class Store:
    """All records of one control plane."""

    def __init__(
        self, scope: base_scope.Scope, seed: Callable[[], int], signals: series.SeriesStore | None = None
    ) -> None:
        """`seed` gives a fresh number below 2^128 for each view that is asked for ids: a shell's, or a simulation's."""
        self.scope = scope
        self.signals = signals if signals is not None else series.SeriesStore()
        self.revision = 0
        self._seed = seed
        self._rows: dict[type[record.Record], _Rows] = {table.record_type: _Rows(table) for table in tables.ALL}
        self._encoders = {rows.table.name: rows.encoder for rows in self._rows.values()}
        self._by_name = {rows.table.name: rows for rows in self._rows.values()}
        self._watchers: list[Callable[[Commit], None]] = []
        self._closed_because: errors.HostProblem | None = None

    def view(self) -> StoreView:
        """A look at the store as it is now."""
        return StoreView(self)

    def watch(self, watcher: Callable[[Commit], None]) -> None:
        """Have `watcher` told of each commit, at once, before anything else happens."""
        self._watchers.append(watcher)

    def refuse_writes(self, problem: errors.HostProblem) -> None:
        """From now on every commit raises `problem`: the journal can't make it durable. Reads go on."""
        self._closed_because = problem

    def load(self, rows: Iterable[journal.Row], newest_revision: int = 0) -> None:
        """Fill an empty store from a journal, whose newest entry had `newest_revision`; nobody is told."""
        loaded: dict[str, list[tuple[str, Any, int]]] = {}
        revision = newest_revision
        for row in rows:
            assert row.blob is not None, "a journal gives back only what is there"
            one = self._by_name[row.table].decoder.decode(row.blob)
            loaded.setdefault(row.table, []).append((row.key, one, row.revision))
            revision = max(revision, row.revision)
        for name, some in loaded.items():
            self._by_name[name].fill(some)
        self.revision = max(self.revision, revision)

    def clear(self) -> None:
        """Forget everything, metrics too. Nobody is told."""
        for rows in self._rows.values():
            rows.clear()
        self.signals.clear()

    def commit(self, wanted: plan.Plan, now: float) -> Commit:
        """Apply a plan. Raises, with nothing applied, errors.Conflict where one of its writes is out of date, and
        errors.HostProblem where writes are refused (see `refuse_writes`).
        """
        if self._closed_because is not None:
            raise self._closed_because
        for write in wanted.writes:
            rows = self._rows[write.record_type]
            found = rows.records[write.key][1] if write.key in rows.records else 0
            if found != write.expected:
                raise errors.Conflict(rows.table.name, write.key, write.expected, found)
        self.revision += 1
        changes: list[Change] = []
        for write in wanted.writes:
            rows = self._rows[write.record_type]
            before = rows.apply(write.key, write.record, self.revision)
            changes.append(Change(rows.table.name, write.key, before, write.record, self.revision))
        for datum in wanted.data:
            self.signals.put(datum, now)
        late = self.signals.take_late() if wanted.data else ()
        done = Commit(self.revision, tuple(changes), wanted.data, now, late, self._encoders)
        for watcher in self._watchers:
            watcher(done)
        return done

    def transact(self, decide: Callable[[StoreView], tuple[plan.Plan, T]], now: float) -> tuple[Commit | None, T]:
        """Run a decision on a fresh view and commit its plan; again, on conflict. No commit for an empty plan."""
        for attempt in range(CONFLICT_RETRIES_MAX + 1):
            wanted, result = decide(self.view())
            if wanted.is_empty:
                return None, result
            try:
                return self.commit(wanted, now), result
            except errors.Conflict:
                if attempt == CONFLICT_RETRIES_MAX:
                    raise
        raise AssertionError("the loop above returns or raises")


class StoreView:
    """The store's `View`."""

    __slots__ = ("_ids", "_rows", "_seed", "revision", "scope", "signals")

    def __init__(self, store: Store) -> None:
        self._rows = store._rows
        self._seed = store._seed
        self._ids: base_ids.Ids | None = None
        self.revision = store.revision
        self.scope = store.scope
        self.signals = store.signals

    @property
    def ids(self) -> base_ids.Ids:
        if self._ids is None:  # most decisions need none, and a seed costs more than the rest of a view
            self._ids = base_ids.Ids(self._seed())
        return self._ids

    def get(self, record_type: type[R], key: str) -> R | None:
        found = self._rows[record_type].records.get(key)
        return found[0] if found is not None else None

    def revision_of(self, record_type: type[record.Record], key: str) -> int:
        found = self._rows[record_type].records.get(key)
        return found[1] if found is not None else 0

    def find(self, table: tables.Table[R], index: str, *group: str) -> Iterator[R]:
        rows = self._rows[table.record_type]
        for place in rows.indexes[index].get(group, ()):
            yield rows.records[place[-1]][0]

    def first(self, table: tables.Table[R], index: str, *group: str) -> R | None:
        rows = self._rows[table.record_type]
        entries = rows.indexes[index].get(group)
        return rows.records[entries[0][-1]][0] if entries else None

    def size(self, table: tables.Table[R], index: str, *group: str) -> int:
        return len(self._rows[table.record_type].indexes[index].get(group, ()))

    def page(
        self, table: tables.Table[R], index: str, group: tables.Group, after: tables.Order | None, limit: int
    ) -> Iterator[tuple[tables.Order, R]]:
        rows = self._rows[table.record_type]
        entries = rows.indexes[index].get(group)
        if not entries:
            return
        start = entries.bisect_right(after) if after is not None else 0
        for place in entries.islice(start, start + limit):
            yield place, rows.records[place[-1]][0]

    def tally(self, table: tables.Table[R], name: str, *group: str) -> tuple[int, ...]:
        rows = self._rows[table.record_type]
        return rows.tallies[name].get(group, rows.zeros[name])
