"""A read-only, indexed look at all records: what decisions are made from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar

from roadstead.base import ids as base_ids
from roadstead.base import scope as base_scope
from roadstead.model import record, tables
from roadstead.signals import series

R = TypeVar("R", bound=record.Record)


class View(Protocol):
    """A snapshot at `revision`. It is valid until the decision that got it returns; don't keep it."""

    @property
    def revision(self) -> int:
        """Number of the newest commit that is in it."""
        ...

    @property
    def scope(self) -> base_scope.Scope:
        """Account and region, for ARNs."""
        ...

    @property
    def ids(self) -> base_ids.Ids:
        """Fresh names for what this decision makes; another stream for each view."""
        ...

    @property
    def signals(self) -> series.SeriesView:
        """The metrics."""
        ...

    def get(self, record_type: type[R], key: str) -> R | None:
        """The record with that key."""
        ...

    def revision_of(self, record_type: type[record.Record], key: str) -> int:
        """The revision of a record: of the commit that wrote it last; 0 where there is none."""
        ...

    def find(self, table: tables.Table[R], index: str, *group: str) -> Iterator[R]:
        """The records of an index's group, in the index's order."""
        ...

    def first(self, table: tables.Table[R], index: str, *group: str) -> R | None:
        """The first record of the group."""
        ...

    def size(self, table: tables.Table[R], index: str, *group: str) -> int:
        """How many records the group has; costs nothing."""
        ...

    def page(
        self, table: tables.Table[R], index: str, group: tables.Group, after: tables.Order | None, limit: int
    ) -> Iterator[tuple[tables.Order, R]]:
        """Up to `limit` records of a group that stand behind `after` in its order, each with its place."""
        ...

    def tally(self, table: tables.Table[R], name: str, *group: str) -> tuple[int, ...]:
        """The sums of a tally's group; zeros where nothing was added up."""
        ...
