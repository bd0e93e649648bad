"""Alarms by name, of whichever type, and who depends on whom: for `control.composite_alarms` and the API."""

from __future__ import annotations

from collections.abc import Iterator

from roadstead.model import alarms, tables
from roadstead.state import view as views


def find(view: views.View, name: str) -> alarms.AnyAlarm | None:
    """The alarm of that name; metric and composite alarms share their names."""
    return view.get(alarms.MetricAlarm, name) or view.get(alarms.CompositeAlarm, name)


def children_of(view: views.View, spec: alarms.CompositeAlarmSpec) -> dict[str, alarms.ChildState]:
    """The states of the alarms in a rule: of those that there are."""
    found = ((name, find(view, name)) for name in spec.children)
    return {
        name: alarms.ChildState(state=child.observed.state, since=child.observed.state_transitioned_at)
        for name, child in found
        if child is not None
    }


def dependents(view: views.View, name: str) -> Iterator[alarms.CompositeAlarm]:
    """The composite alarms that go by the state of an alarm: in their rule, or as their suppressor."""
    yield from view.find(tables.COMPOSITE_ALARMS, "by_child", name)
    yield from view.find(tables.COMPOSITE_ALARMS, "by_suppressor", name)
