"""Scheduled actions: put, describe, delete (behaviour.md 1.5)."""

from __future__ import annotations

from typing import Any

from roadstead.api import operation
from roadstead.api.application_autoscaling import common
from roadstead.base import errors
from roadstead.control.schedules import actions as schedules
from roadstead.control.schedules import errors as schedule_errors
from roadstead.control.schedules import expressions
from roadstead.model import scaling, scaling_names, tables
from roadstead.state import plan
from roadstead.state import view as views

ACTIONS_PAGE_MAX = 50
ACTIONS_OF_TARGET_MAX = 200
"""Scheduled actions of one scalable target (AAS quotas)."""


def put_scheduled_action(call: operation.Call, view: views.View) -> operation.Reply:
    """PutScheduledAction: a new action, or another schedule or other bounds for the one of that name."""
    wanted = common.identity(call.params)
    target = common.find_target(view, wanted)
    before = view.get(scaling.ScheduledAction, f"{target.key}|{call.params.ScheduledActionName}")
    if before is None and view.size(tables.SCHEDULED_ACTIONS, "by_target", target.key) >= ACTIONS_OF_TARGET_MAX:
        raise errors.Refusal(
            "LimitExceededException",
            f"A scalable target can have at most {ACTIONS_OF_TARGET_MAX} scheduled actions.",
        )
    action = _action(call, view, wanted, before)
    _check_bounds(action)
    _check_times(action, before, call.now)
    draft = plan.Draft(view)
    draft.put(action)
    return operation.Reply(plan=draft.plan())


def _action(
    call: operation.Call, view: views.View, wanted: common.Identity, before: scaling.ScheduledAction | None
) -> scaling.ScheduledAction:
    """The action; what a request does not name stays as it was, but start and end, which go (AAS-API)."""
    params = call.params
    schedule = params.Schedule or (before.schedule if before is not None else None)
    if schedule is None:
        raise common.invalid("Schedule is required when a scheduled action is created.")
    start_at = params.StartTime
    bounds = params.ScalableTargetAction
    if before is not None and bounds is None:
        least, most = before.min_capacity, before.max_capacity
    else:
        least = bounds.MinCapacity if bounds is not None else None
        most = bounds.MaxCapacity if bounds is not None else None
    same_rhythm = before is not None and (before.schedule, before.start_at) == (schedule, start_at)
    return scaling.ScheduledAction(
        namespace=wanted.namespace,
        resource_id=wanted.resource_id,
        dimension=wanted.dimension,
        action_name=params.ScheduledActionName,
        action_id=before.action_id if before is not None else view.ids.uuid(),
        created_at=before.created_at if before is not None else call.now,
        schedule=schedule,
        timezone=params.Timezone or (before.timezone if before is not None else None),
        start_at=start_at,
        end_at=params.EndTime,
        min_capacity=least,
        max_capacity=most,
        anchor_at=before.anchor_at if before is not None and same_rhythm else call.now,
        effective_at=call.now,
        last_due_at=before.last_due_at if before is not None else None,
    )


def _check_bounds(action: scaling.ScheduledAction) -> None:
    least, most = action.min_capacity, action.max_capacity
    if least is None and most is None:
        raise common.invalid("ScalableTargetAction must have a MinCapacity, a MaxCapacity or both.")
    if (least is not None and least < 0) or (most is not None and most < 0):
        raise common.invalid("MinCapacity and MaxCapacity can not be less than 0.")
    if least is not None and most is not None and least > most:
        raise common.invalid("Maximum capacity cannot be less than minimum capacity.")


def _check_times(action: scaling.ScheduledAction, before: scaling.ScheduledAction | None, now: float) -> None:
    """Refuses an expression that is none, and a new action that would never run."""
    try:
        expressions.parse(action.schedule, action.timezone)
    except schedule_errors.Malformed as problem:
        raise common.invalid(f"Invalid schedule '{action.schedule}': {problem}.") from problem
    if action.start_at is not None and action.end_at is not None and action.end_at <= action.start_at:
        raise common.invalid("EndTime must be later than StartTime.")
    if before is None and schedules.next_due(action, now) is None:
        raise common.invalid(f"The schedule '{action.schedule}' has no time in the future.")


def delete_scheduled_action(call: operation.Call, view: views.View) -> operation.Reply:
    """DeleteScheduledAction: what it has set stays."""
    wanted = common.identity(call.params)
    target = common.find_target(view, wanted)
    found = view.get(scaling.ScheduledAction, f"{target.key}|{call.params.ScheduledActionName}")
    if found is None:
        raise common.not_found("scheduled action found", wanted, call.params.ScheduledActionName)
    draft = plan.Draft(view)
    draft.remove(found)
    return operation.Reply(plan=draft.plan())


def describe_scheduled_actions(call: operation.Call, view: views.View) -> operation.Reply:
    """DescribeScheduledActions: those of a namespace, perhaps of one resource, perhaps by name."""
    found, token = common.read_named_page(
        view,
        tables.SCHEDULED_ACTIONS,
        "DescribeScheduledActions",
        call.params,
        names=call.params.ScheduledActionNames,
        names_of=lambda one: (one.action_name, scaling_names.scheduled_action_arn(view.scope, one)),
        limit=ACTIONS_PAGE_MAX,
    )
    shown = [_present(view, one) for one in found]
    return operation.Reply(output=common.given(ScheduledActions=shown, NextToken=token))


def _present(view: views.View, action: scaling.ScheduledAction) -> dict[str, Any]:
    return common.given(
        ScheduledActionName=action.action_name,
        ScheduledActionARN=scaling_names.scheduled_action_arn(view.scope, action),
        ServiceNamespace=action.namespace,
        Schedule=action.schedule,
        Timezone=action.timezone,
        ResourceId=action.resource_id,
        ScalableDimension=action.dimension,
        StartTime=action.start_at,
        EndTime=action.end_at,
        ScalableTargetAction=common.given(MinCapacity=action.min_capacity, MaxCapacity=action.max_capacity),
        CreationTime=action.created_at,
    )
