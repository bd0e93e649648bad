"""Scaling activities: what was changed or refused, why, and what became of it (behaviour.md 1.7)."""

from __future__ import annotations

from typing import Literal

import msgspec

from roadstead.control import scaled_resources
from roadstead.control import service_scaling_formula as formula
from roadstead.model import alarms, scaling, tables
from roadstead.state import plan
from roadstead.state import view as views

FULFILMENT_SECONDS_MAX = 15 * 60
"""An activity that isn't fulfilled by then is Unfulfilled (behaviour.md 1.7)."""
UNFINISHED = ("Pending", "InProgress")
ACTIVITIES_LOOKED_AT_MAX = 10
"""Newest activities of a target among which one is looked for: the newest change, or a refusal said before."""
NOT_SCALED_DESCRIPTION = "Attempting to scale due to alarm triggered"


def alarm_cause(alarm: str, policy: str, state: alarms.AlarmState = "ALARM") -> str:
    """The cause of an activity that a policy's alarm asked for."""
    return f"monitor alarm {alarm} in state {state} triggered policy {policy}"


def record_change(
    draft: plan.Draft,
    target: scaling.ScalableTarget,
    cause: str,
    from_count: int,
    to_count: int,
    policy_name: str | None,
    numbers: scaling.ScalingNumbers,
    now: float,
) -> None:
    """A new activity; the capacity is set in the same commit. It overrides unfinished ones.

    It is InProgress where that is all (a service), and Pending where the thing has still to be told (1.7).
    """
    kind = scaled_resources.kind_of(target.namespace)
    name, is_done = kind.capacity_name, not kind.is_told_later
    for older in _unfinished(draft, target.key):
        _finish(draft, older, "Overridden", f"The {name} was changed to {to_count} by a newer scaling.", now)
    _put(
        draft,
        target,
        now,
        status="InProgress" if is_done else "Pending",
        description=f"Setting {name} to {to_count}.",
        cause=cause,
        status_message=_waiting(target.namespace, to_count) if is_done else None,
        from_count=from_count,
        to_count=to_count,
        policy_name=policy_name,
        numbers=numbers,
    )


def record_bounds(
    draft: plan.Draft,
    target: scaling.ScalableTarget,
    cause: str,
    bounds: str,
    problem: str | None,
    now: float,
) -> None:
    """That a scheduled action set the target's bounds (`min capacity to 1 and max capacity to 5`), or why it did not.

    Such an activity has no end time (behaviour.md 1.7).
    """
    _put(
        draft,
        target,
        now,
        status="Successful" if problem is None else "Failed",
        description=f"Setting {bounds}",
        cause=cause,
        status_message=f"Successfully set {bounds}" if problem is None else problem,
        numbers=scaling.ScalingNumbers(min_capacity=target.min_capacity, max_capacity=target.max_capacity),
    )


def record_refusal(draft: plan.Draft, target: scaling.ScalableTarget, refused: formula.Refused, now: float) -> None:
    """A not-scaled activity; none where the policy's newest activity already says the same of the same alarm."""
    cause = alarm_cause(refused.alarm, refused.policy, refused.state)
    newest = draft.view.page(tables.SCALING_ACTIVITIES, "newest_first", (target.key,), None, ACTIVITIES_LOOKED_AT_MAX)
    for _, one in newest:
        if not one.not_scaled:
            break
        if one.policy_name == refused.policy:
            if one.cause == cause and one.not_scaled == (refused.reason,):
                return
            break
    _put(
        draft,
        target,
        now,
        status="Failed",
        description=NOT_SCALED_DESCRIPTION,
        cause=cause,
        policy_name=refused.policy,
        not_scaled=(refused.reason,),
        numbers=refused.numbers,
    )


def newest_change(view: views.View, key: str) -> scaling.ScalingActivity | None:
    """The target's newest activity that changed its capacity; None where none of the newest did."""
    for _, one in view.page(tables.SCALING_ACTIVITIES, "newest_first", (key,), None, ACTIVITIES_LOOKED_AT_MAX):
        if one.to_count is not None:
            return one
    return None


def _done(namespace: str, count: int) -> str:
    return f"Successfully set {scaled_resources.kind_of(namespace).capacity_name} to {count}."


def _waiting(namespace: str, count: int) -> str:
    return f"{_done(namespace, count)} Waiting for change to be fulfilled by {namespace}."


def follow(
    draft: plan.Draft, key: str, found: scaled_resources.Scaled | scaled_resources.Unscalable | None, now: float
) -> float | None:
    """Write what became of the target's unfinished activities; when to look again at those that still wait.

    `found` is what a target that is still registered scales. Where that is gone nothing will be fulfilled; where it
    can't be asked at present, what was begun waits.
    """
    deadlines: list[float] = []
    for one in _unfinished(draft, key):
        due_at = one.started_at + FULFILMENT_SECONDS_MAX
        if isinstance(found, scaled_resources.Scaled):
            outcome = _outcome(one, found, is_late=now >= due_at)
        elif found is None or not found.may_pass:
            outcome = _Outcome("Unfulfilled", "The service or its scalable target is gone.")
        elif now >= due_at:
            outcome = _Outcome("Unfulfilled", _failed(one, found.reason))
        else:
            outcome = None
        if outcome is None:
            deadlines.append(due_at)
        elif outcome.status == "InProgress":
            deadlines.append(due_at)
            draft.put(msgspec.structs.replace(one, status="InProgress", status_message=outcome.message))
        else:
            _finish(draft, one, outcome.status, outcome.message, now)
    return min(deadlines, default=None)


class _Outcome(msgspec.Struct, frozen=True):
    """What an activity comes to next."""

    status: Literal["InProgress", "Successful", "Failed", "Overridden", "Unfulfilled"]
    message: str


def _outcome(one: scaling.ScalingActivity, scaled: scaled_resources.Scaled, *, is_late: bool) -> _Outcome | None:
    """What becomes of an unfinished activity, by what it wanted and what there is; None: it goes on as it is."""
    count = one.to_count if one.to_count is not None else 0
    growing = one.from_count is not None and count > one.from_count
    is_there = (scaled.running >= count) if growing else (scaled.running <= count)
    done = _done(one.namespace, count)
    if scaled.failure is not None:
        return _Outcome("Failed", _failed(one, scaled.failure))
    if scaled.desired != count:
        name = scaled_resources.kind_of(one.namespace).capacity_name
        return _Outcome("Overridden", f"The {name} was changed to {scaled.desired} by a newer scaling event.")
    if is_there and scaled.is_accepted and not scaled.is_moving:
        return _Outcome("Successful", f"{done} Change successfully fulfilled by {one.namespace}.")
    if is_late and not scaled.is_accepted:
        return _Outcome("Unfulfilled", _failed(one, "The endpoint has not taken it yet."))
    if is_late:
        return _Outcome("Unfulfilled", f"{done} Change was not fulfilled by {one.namespace}: {scaled.running} running.")
    if one.status == "Pending" and scaled.is_accepted:
        return _Outcome("InProgress", _waiting(one.namespace, count))
    return None


def _failed(one: scaling.ScalingActivity, reason: str) -> str:
    return f"Failed to set {scaled_resources.kind_of(one.namespace).capacity_name} to {one.to_count}. Reason: {reason}"


def deadline(draft: plan.Draft) -> float | None:
    """When to look again at the activities that this pass itself begins."""
    begun = [
        write.record.started_at + FULFILMENT_SECONDS_MAX
        for write in draft.plan().writes
        if isinstance(write.record, scaling.ScalingActivity) and write.record.status in UNFINISHED
    ]
    return min(begun, default=None)


def _unfinished(draft: plan.Draft, key: str) -> list[scaling.ScalingActivity]:
    """The target's unfinished activities, as this pass has left them: those it began, too."""
    stored = [one.activity_id for one in draft.view.find(tables.SCALING_ACTIVITIES, "unfinished", key)]
    begun = [
        write.key
        for write in draft.plan().writes
        if write.record_type is scaling.ScalingActivity and not write.expected
    ]
    found = (draft.get(scaling.ScalingActivity, name) for name in (*stored, *begun))
    return [one for one in found if one is not None and one.status in UNFINISHED]


def _finish(
    draft: plan.Draft,
    activity: scaling.ScalingActivity,
    status: Literal["Successful", "Failed", "Overridden", "Unfulfilled"],
    message: str,
    now: float,
) -> None:
    draft.put(msgspec.structs.replace(activity, status=status, status_message=message, ended_at=now))


def _put(
    draft: plan.Draft,
    target: scaling.ScalableTarget,
    now: float,
    *,
    status: Literal["Pending", "InProgress", "Successful", "Failed"],
    description: str,
    cause: str,
    numbers: scaling.ScalingNumbers,
    status_message: str | None = None,
    from_count: int | None = None,
    to_count: int | None = None,
    policy_name: str | None = None,
    not_scaled: tuple[scaling.NotScaledReason, ...] = (),
) -> None:
    draft.put(
        scaling.ScalingActivity(
            activity_id=draft.view.ids.uuid(),
            namespace=target.namespace,
            resource_id=target.resource_id,
            dimension=target.dimension,
            started_at=now,
            number=_next_number(draft, target.key, now),
            status=status,
            description=description,
            cause=cause,
            status_message=status_message,
            from_count=from_count,
            to_count=to_count,
            policy_name=policy_name,
            not_scaled=not_scaled,
            numbers=numbers,
        )
    )


def _next_number(draft: plan.Draft, key: str, now: float) -> int:
    """The place of a new activity among those that begin in the same moment."""
    newest = draft.view.first(tables.SCALING_ACTIVITIES, "newest_first", key)
    number = newest.number + 1 if newest is not None and newest.started_at == now else 0
    begun = [
        write.record.number
        for write in draft.plan().writes
        if isinstance(write.record, scaling.ScalingActivity) and write.record.started_at == now
    ]
    return max([number, *(one + 1 for one in begun)])
