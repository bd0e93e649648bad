"""What every controller looks like to the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from roadstead.model import tables
from roadstead.signals import metrics
from roadstead.state import plan, store, view


def _nothing(_metric: metrics.Metric, _view: view.View, _now: float) -> Iterable[tuple[str, float]]:
    return ()


class Controller(msgspec.Struct, frozen=True, kw_only=True):
    """A level-triggered decision, taken one key at a time.

    `reconcile(view, key, now)` looks at the whole present state of its key and says what to write; it must come to
    rest: run again on its own result, it writes nothing. It never relies on having been told of each change.
    """

    name: str
    """Stands in logs and in the reasons of decisions: `services`."""
    reconcile: Callable[[view.View, str, float], plan.Plan]
    keys: Callable[[store.Change, view.View], Iterable[str]]
    """The keys that a change concerns (the view is that after the change); often none."""
    all_keys: Callable[[view.View], Iterable[str]]
    """Every key there is: looked at once after a start."""
    tables: tuple[tables.Table[Any], ...] | None = None
    """Those whose changes `keys` is asked about; None: all."""
    wakes: Callable[[metrics.Metric, view.View, float], Iterable[tuple[str, float]]] = _nothing
    """The keys that late data of a metric concern (`signals.series.SeriesStore.take_late`), and by when each is to be
    looked at because of them."""
