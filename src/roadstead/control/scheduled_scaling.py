"""Scheduled scaling: sets a scalable target's bounds at the times that its scheduled actions name (behaviour.md 1.5).

One key is one scalable target. In: the target, its actions, the time. Out: the target's new bounds with
`enforce_bounds_at`, on which `control.service_scaling` moves the desired count; an activity for each action that ran.

What was missed. Each pass looks for the newest time at which an action was due since it was last run; so an action of
which several times passed while no server ran is run once, however long ago that was: the bounds are then those that
they would be had nothing been missed. Several actions run in the order of those times, each with its activity; the
desired count is moved once, into the last bounds. While scheduled scaling is suspended nothing runs, and what was due
by the moment at which it was resumed is skipped for good.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from roadstead.control import controller, scaled_resources
from roadstead.control import service_scaling_activities as activities
from roadstead.control.schedules import actions as schedules
from roadstead.model import scaling, tables
from roadstead.state import plan, store
from roadstead.state import view as views


def reconcile(view: views.View, key: str, now: float) -> plan.Plan:
    """Run a target's scheduled actions that are due, and wake when the next one is."""
    target = view.get(scaling.ScalableTarget, key)
    if target is None or target.suspended.scheduled_scaling:
        return plan.NOTHING
    due: list[tuple[float, str, scaling.ScheduledAction]] = []
    wake_at: float | None = None
    for action in view.find(tables.SCHEDULED_ACTIONS, "by_target", key):
        since = max(action.effective_at, action.last_due_at or 0.0, target.scheduled_resumed_at or 0.0)
        coming = schedules.next_due(action, since)
        if coming is not None and coming <= now:
            newest = schedules.newest_due(action, now)
            assert newest is not None, f"{action.key} was due at {coming}"
            due.append((newest, action.action_name, action))
            coming = schedules.next_due(action, now)
        wake_at = plan.earliest(wake_at, coming)
    draft = plan.Draft(view)
    for at, _, action in sorted(due, key=lambda one: one[:2]):
        target = _run(draft, target, action, now)
        draft.put(msgspec.structs.replace(action, last_due_at=at))
    return draft.plan(wake_at)


def _run(
    draft: plan.Draft, target: scaling.ScalableTarget, action: scaling.ScheduledAction, now: float
) -> scaling.ScalableTarget:
    """Set the bounds that an action has, where that is possible; the target as it then is."""
    changed = msgspec.structs.replace(
        target,
        min_capacity=target.min_capacity if action.min_capacity is None else action.min_capacity,
        max_capacity=target.max_capacity if action.max_capacity is None else action.max_capacity,
        enforce_bounds_at=now,
    )
    cause = f"scheduled action name {action.action_name} was triggered"
    problem = _problem(draft.view, changed, action)
    activities.record_bounds(draft, changed if problem is None else target, cause, bounds_text(action), problem, now)
    if problem is not None:
        return target
    draft.put(changed)
    return changed


def bounds_text(action: scaling.ScheduledAction) -> str:
    """`min capacity to 1 and max capacity to 5`, or the one of them that the action has."""
    parts = [
        f"{name} capacity to {value}"
        for name, value in (("min", action.min_capacity), ("max", action.max_capacity))
        if value is not None
    ]
    return " and ".join(parts)


def _problem(view: views.View, changed: scaling.ScalableTarget, action: scaling.ScheduledAction) -> str | None:
    """Why the action can't run; None where it can."""
    unscalable = scaled_resources.problem(view, changed)
    if unscalable is not None:
        return unscalable
    if changed.min_capacity > changed.max_capacity:
        return (
            f"Failed to set {bounds_text(action)}. Reason: The maximum capacity, {changed.max_capacity}, would be "
            f"less than the minimum capacity, {changed.min_capacity}."
        )
    return None


def _keys(change: store.Change, _view: views.View) -> Iterable[str]:
    match change.newest:
        case scaling.ScalableTarget() as target:
            return (target.key,)
        case scaling.ScheduledAction() as action:
            return (action.target_key,)
        case _:
            return ()


CONTROLLER = controller.Controller(
    name="scheduled_scaling",
    reconcile=reconcile,
    keys=_keys,
    all_keys=scaled_resources.every_target,
    tables=(tables.SCALABLE_TARGETS, tables.SCHEDULED_ACTIONS),
)
"""Keys are those of scalable targets."""
