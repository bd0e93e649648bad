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
    """A new activity, InProgress: the desired count is set in the same commit. It overrides unfinished ones."""
    for older in _unfinished(draft, target.key):
        _finish(draft, older, "Overridden", f"The desired count was changed to {to_count} by a newer scaling.", now)
    _put(
        draft,
        target,
        now,
        status="InProgress",
        description=f"Setting desired count to {to_count}.",
        cause=cause,
        status_message=f"Successfully set desired count to {to_count}. "
        f"Waiting for change to be fulfilled by {target.namespace}.",
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


def follow(draft: plan.Draft, key: str, scaled: scaled_resources.Scaled | None, now: float) -> float | None:
    """Write what became of the target's unfinished activities; when to look again at those that still wait.

    `scaled` is what a target that is still registered scales, or None: then nothing will be fulfilled.
    """
    deadlines: list[float] = []
    for one in _unfinished(draft, key):
        count = one.to_count if one.to_count is not None else 0
        if scaled is None:
            _finish(draft, one, "Unfulfilled", "The service or its scalable target is gone.", now)
            continue
        desired, running = scaled.desired, scaled.running
        done = f"Successfully set desired count to {count}."
        growing = one.from_count is not None and count > one.from_count
        if desired != count:
            text = f"The desired count was changed to {desired} by a newer scaling event."
            _finish(draft, one, "Overridden", text, now)
        elif (running >= count) if growing else (running <= count):
            text = f"{done} Change successfully fulfilled by {one.namespace}."
            _finish(draft, one, "Successful", text, now)
        elif now >= one.started_at + FULFILMENT_SECONDS_MAX:
            text = f"{done} Change was not fulfilled by {one.namespace}: {running} running."
            _finish(draft, one, "Unfulfilled", text, now)
        else:
            deadlines.append(one.started_at + FULFILMENT_SECONDS_MAX)
    return min(deadlines, default=None)


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
    status: Literal["Successful", "Overridden", "Unfulfilled"],
    message: str,
    now: float,
) -> None:
    draft.put(msgspec.structs.replace(activity, status=status, status_message=message, ended_at=now))


def _put(
    draft: plan.Draft,
    target: scaling.ScalableTarget,
    now: float,
    *,
    status: Literal["InProgress", "Successful", "Failed"],
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
