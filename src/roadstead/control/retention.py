"""What is kept how long, and then forgotten, a bounded batch at a time.

Key: the kind of record. Nothing here is remembered but the records' own times; `wake_at` says when the next one is due.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from roadstead.control import controller
from roadstead.model import alarms, clusters, container_instances, record, scaling, services, tables, tasks
from roadstead.state import plan, store
from roadstead.state import view as views

R = TypeVar("R", bound=record.Record)

STOPPED_TASK_SECONDS = 3600.0
"""STOPPED tasks are kept an hour (behaviour.md 5.9)."""
INACTIVE_SECONDS = 3600.0
"""INACTIVE services, clusters and container instances can be described for that long."""
BATCH_MAX = 500
"""Records removed in one pass; the next pass follows at once."""


def _oldest(
    table: tables.Table[R], index: str, kept_seconds: float, moment: Callable[[R], float]
) -> Callable[[views.View, plan.Draft, float], float | None]:
    """Removes what is older than `kept_seconds` from an index that has the oldest first."""

    def clean(view: views.View, draft: plan.Draft, now: float) -> float | None:
        for number, one in enumerate(view.find(table, index, "all")):
            due_at = moment(one) + kept_seconds
            if due_at > now:
                return due_at
            if number == BATCH_MAX:
                return now
            draft.remove(one)
        return None

    return clean


def _inactive(view: views.View, draft: plan.Draft, now: float) -> float | None:
    """INACTIVE services with their events, clusters and instances: first marked with the time, later removed."""
    wake_at: float | None = None
    left = BATCH_MAX
    kinds: tuple[tables.Table[Any], ...] = (tables.SERVICES, tables.CLUSTERS, tables.CONTAINER_INSTANCES)
    for table in kinds:
        for one in view.find(table, "inactive", "all"):
            if left <= 0:
                return now
            if one.inactive_at is None:
                draft.put(msgspec.structs.replace(one, inactive_at=now))
                wake_at = plan.earliest(wake_at, now + INACTIVE_SECONDS)
            elif one.inactive_at + INACTIVE_SECONDS > now:
                wake_at = plan.earliest(wake_at, one.inactive_at + INACTIVE_SECONDS)
                break
            else:
                left -= _remove_with_events(view, draft, one)
            left -= 1
    return wake_at


def _remove_with_events(view: views.View, draft: plan.Draft, one: record.Record) -> int:
    draft.remove(one)
    removed = 0
    if isinstance(one, services.Service):
        for event in view.find(tables.SERVICE_EVENTS, "by_service", one.cluster, one.name):
            draft.remove(event)
            removed += 1
    return removed


_KINDS: dict[str, Callable[[views.View, plan.Draft, float], float | None]] = {
    "tasks": _oldest(tables.TASKS, "stopped", STOPPED_TASK_SECONDS, lambda one: one.observed.stopped_at or 0.0),
    "scaling_activities": _oldest(
        tables.SCALING_ACTIVITIES, "oldest_first", scaling.ACTIVITY_RETENTION_SECONDS, lambda one: one.started_at
    ),
    "alarm_history": _oldest(
        tables.ALARM_HISTORY, "by_alarm", alarms.HISTORY_RETENTION_SECONDS, lambda one: one.timestamp
    ),
    "inactive": _inactive,
}


def reconcile(view: views.View, key: str, now: float) -> plan.Plan:
    """Forget what has been kept long enough, of one kind."""
    draft = plan.Draft(view)
    wake_at = _KINDS[key](view, draft, now)
    return draft.plan(wake_at)


def keys(change: store.Change, view: views.View) -> Iterable[str]:
    """The first record of a kind that will end sets its clock going; `wake_at` does the rest."""
    after = change.after
    if isinstance(after, tasks.Task):
        return ("tasks",) if not after.is_live and view.first(tables.TASKS, "stopped", "all") is after else ()
    if isinstance(after, scaling.ScalingActivity):
        return ("scaling_activities",) if view.first(tables.SCALING_ACTIVITIES, "oldest_first", "all") is after else ()
    if isinstance(after, alarms.AlarmHistoryItem):
        return ("alarm_history",) if view.first(tables.ALARM_HISTORY, "by_alarm", "all") is after else ()
    if isinstance(after, services.Service | clusters.Cluster | container_instances.ContainerInstance):
        return ("inactive",) if after.status == "INACTIVE" else ()
    return ()


def all_keys(view: views.View) -> Iterator[str]:
    """Every kind."""
    return iter(_KINDS)


CONTROLLER = controller.Controller(
    name="retention",
    reconcile=reconcile,
    keys=keys,
    all_keys=all_keys,
    tables=(
        tables.TASKS,
        tables.SCALING_ACTIVITIES,
        tables.ALARM_HISTORY,
        tables.SERVICES,
        tables.CLUSTERS,
        tables.CONTAINER_INSTANCES,
    ),
)
