"""Step scaling policies and scheduled actions, explained."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from roadstead.api.explain import obstacles, reasons
from roadstead.control import alarm_watch
from roadstead.control.schedules import actions as schedules
from roadstead.model import scaling, scaling_names, tables
from roadstead.state import view as views

ALARMS_SHOWN_MAX = 10
ACTIONS_SHOWN_MAX = 20
"""Scheduled actions of a target that are shown."""


def step_policy(
    view: views.View, stand: obstacles.Stand, policy: scaling.ScalingPolicy, steps: scaling.StepScaling
) -> reasons.Reason:
    """A step scaling policy: its steps, the alarms that invoke it, its cooldown, and why it changes nothing now."""
    states = list(_invokers(view, policy, stand.now))
    if not states:
        text = "no alarm has this policy as its action: PutMetricAlarm with its ARN makes one"
        states.append(reasons.Reason(code="ALARM_MISSING", text=text))
    states += obstacles.of_policy(view, stand, policy)
    listed = ", ".join(_step(steps, step) for step in steps.steps)
    return reasons.Reason(
        code="POLICY",
        text=f"policy {policy.policy_name}: {steps.adjustment_type} of the "
        f"{(steps.aggregation or 'Average').lower()}: {listed}",
        counts={"steps": len(steps.steps)},
        reasons=tuple(states),
    )


def _step(steps: scaling.StepScaling, step: scaling.StepAdjustment) -> str:
    """`0..10: +1`, distances from the alarm's threshold."""
    lower = "-inf" if step.lower_bound is None else f"{step.lower_bound:g}"
    upper = "+inf" if step.upper_bound is None else f"{step.upper_bound:g}"
    match steps.adjustment_type:
        case "ChangeInCapacity":
            how = f"{step.adjustment:+d}"
        case "PercentChangeInCapacity":
            how = f"{step.adjustment:+d} %"
        case "ExactCapacity":
            how = f"={step.adjustment}"
    return f"{lower}..{upper}: {how}"


def _invokers(view: views.View, policy: scaling.ScalingPolicy, now: float) -> Iterator[reasons.Reason]:
    found = view.find(tables.ALARMS, "by_action", scaling_names.policy_arn(view.scope, policy))
    for alarm in itertools.islice(found, ALARMS_SHOWN_MAX):
        needed = alarm.spec.datapoints_to_alarm or alarm.spec.evaluation_periods
        breaching = alarm_watch.breaching(view, alarm, now)
        said = reasons.newest_datapoint(alarm.observed.reason)
        yield reasons.Reason(
            code="ALARM",
            text=f"alarm {alarm.name} {alarm.observed.state} {breaching} of {needed}: {said}",
            counts={"breaching": breaching, "needed": needed},
        )


def scheduled_actions(view: views.View, target: scaling.ScalableTarget, now: float) -> Iterator[reasons.Reason]:
    """A target's scheduled actions, each with when it is due next, and that they are suspended if they are."""
    found = view.find(tables.SCHEDULED_ACTIONS, "by_target", target.key)
    for action in itertools.islice(found, ACTIONS_SHOWN_MAX):
        counts = {
            name: float(value)
            for name, value in (("min", action.min_capacity), ("max", action.max_capacity))
            if value is not None
        }
        due_at = schedules.next_due(action, now)
        if target.suspended.scheduled_scaling:
            coming = "suspended"
        elif due_at is None:
            coming = "not due again"
        else:
            coming = f"due in {reasons.age(due_at - now)}"
            counts["dueInSeconds"] = due_at - now
        last = "" if action.last_due_at is None else f", last due {reasons.age(now - action.last_due_at)} ago"
        bounds = ", ".join(f"{name} {counts[name]:g}" for name in ("min", "max") if name in counts)
        zone = "" if action.timezone is None else f" {action.timezone}"
        yield reasons.Reason(
            code="SCHEDULE",
            text=f"scheduled action {action.action_name}: {action.schedule}{zone}: {bounds}; {coming}{last}",
            counts=counts,
        )
