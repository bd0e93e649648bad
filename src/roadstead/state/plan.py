"""What a decision gives back: a `Plan` of writes, each with the revision that it was based on.

A `Draft` is the convenient way to make one: it remembers what the decision has written so far, so that a later
step of the same decision sees it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from roadstead.model import record
from roadstead.signals import metrics

if TYPE_CHECKING:
    from roadstead.state import view as views

R = TypeVar("R", bound=record.Record)


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """One record's new version; None removes it. `expected` is the revision it was based on, 0 where there was none."""

    record_type: type[record.Record]
    key: str
    record: record.Record | None
    expected: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Writes that happen together or not at all, data points that go with them, and when to look again.

    `wake_at` is only a hint for a controller: a restart that forgets it changes no decision (design.md, law 3).
    """

    writes: tuple[Write, ...] = ()
    data: tuple[metrics.Datum, ...] = ()
    wake_at: float | None = None
    rests: bool = False
    """Whether the controller would write nothing on its own result, now and until `wake_at`: then the plan's own writes
    bring no second look at its key."""

    @property
    def is_empty(self) -> bool:
        return not self.writes and not self.data


NOTHING = Plan()


class Draft:
    """Collects the writes of one decision over a view, and answers `get` with what was written so far."""

    def __init__(self, view: views.View) -> None:
        self.view = view
        self._writes: dict[tuple[type[record.Record], str], Write] = {}
        self._data: list[metrics.Datum] = []

    def get(self, record_type: type[R], key: str) -> R | None:
        """The record as this decision has left it."""
        write = self._writes.get((record_type, key))
        if write is not None:
            return write.record  # type: ignore[return-value]
        return self.view.get(record_type, key)

    def put(self, one: record.Record) -> None:
        """Write a new version (or the first) of a record. A version equal to the stored one is no write."""
        self._write(type(one), one.key, one)

    def remove(self, one: record.Record) -> None:
        """Remove a record; nothing where it isn't there."""
        self._write(type(one), one.key, None)

    def _write(self, record_type: type[Any], key: str, new: record.Record | None) -> None:
        name = (record_type, key)
        if self.view.get(record_type, key) == new:
            self._writes.pop(name, None)
            return
        expected = self.view.revision_of(record_type, key)
        self._writes[name] = Write(record_type=record_type, key=key, record=new, expected=expected)

    def publish(self, data: Sequence[metrics.Datum]) -> None:
        """Add metric data points."""
        self._data.extend(data)

    def plan(self, wake_at: float | None = None, *, rests: bool = False) -> Plan:
        """All of it as a plan."""
        return Plan(writes=tuple(self._writes.values()), data=tuple(self._data), wake_at=wake_at, rests=rests)


def earliest(*moments: float | None) -> float | None:
    """The earliest of the moments that are given; None where none is."""
    given = [moment for moment in moments if moment is not None]
    return min(given) if given else None
