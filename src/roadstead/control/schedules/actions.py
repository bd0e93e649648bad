"""When a scheduled action is due: its expression within its start and end (behaviour.md 1.5)."""

from __future__ import annotations

from roadstead.control.schedules import expressions
from roadstead.model import scaling


def next_due(action: scaling.ScheduledAction, after: float) -> float | None:
    """The first time later than `after` at which it is due; None where there is none."""
    expression = expressions.parse(action.schedule, action.timezone)
    start = action.start_at
    found: float | None
    if start is not None and after < start and expression.recurs:
        found = start  # it runs then, and as it recurs from there on
    elif start is not None and after < start:
        found = expressions.following(expression, start - 1, _anchor(action))
    else:
        found = expressions.following(expression, after, _anchor(action))
    if found is None or (action.end_at is not None and found > action.end_at):
        return None
    return found


def newest_due(action: scaling.ScheduledAction, until: float) -> float | None:
    """The last time that is not later than `until` at which it was due; None where there is none."""
    expression = expressions.parse(action.schedule, action.timezone)
    start = action.start_at
    limit = until if action.end_at is None else min(until, action.end_at)
    found = expressions.preceding(expression, limit, _anchor(action))
    if start is None:
        return found
    if found is not None and found >= start:
        return found
    return start if expression.recurs and start <= limit else None


def _anchor(action: scaling.ScheduledAction) -> float:
    return action.start_at if action.start_at is not None else action.anchor_at
