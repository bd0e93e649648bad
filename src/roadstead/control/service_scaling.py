"""Service auto scaling: from alarms that ask, to the service's desired count (behaviour.md 1.1-1.4, 1.7).

One key is one scalable target. In: the target, its policies with their memory and alarms, and what it scales with its
counts (`control.scaled_resources`). Out: the desired count, the policies' memory, and activities with cause, reason
and numbers. What asks is an alarm whose `observed.actions_at` is newer than what its policy has handled; so a pass over
unchanged records writes nothing. Target tracking owns its two alarms; step scaling is invoked by whichever alarms carry
the policy's ARN among the actions of their present state.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from roadstead.control import controller, scaled_resources, scaling_from_zero, scaling_temper, step_scaling_formula
from roadstead.control import service_scaling_activities as activities
from roadstead.control import service_scaling_cooldowns as cooldowns
from roadstead.control import service_scaling_formula as formula
from roadstead.control import service_scaling_predictive as forecasts
from roadstead.model import alarms, predictive, record, scaling, scaling_names, tables, tasks
from roadstead.state import plan, store
from roadstead.state import view as views

MOMENT_SECONDS = 1.0
"""Alarms that ask within that time of each other ask at the same moment."""


def reconcile(view: views.View, key: str, now: float) -> plan.Plan:
    """One pass over a scalable target: outcomes of earlier scalings, then its bounds, then what its alarms ask."""
    draft = plan.Draft(view)
    target = view.get(scaling.ScalableTarget, key)
    if target is None:
        return draft.plan(activities.follow(draft, key, None, now))
    scaled = scaled_resources.look(view, target)
    wake_at = activities.follow(draft, key, scaled, now)
    if isinstance(scaled, scaled_resources.Unscalable):
        if target.enforce_bounds_at is not None and not scaled.may_pass:
            draft.put(msgspec.structs.replace(target, enforce_bounds_at=None))
        return draft.plan(wake_at)
    if target.enforce_bounds_at is not None:
        scaled = _enforce_bounds(draft, target, scaled, now)
        draft.put(msgspec.structs.replace(target, enforce_bounds_at=None))
    foreseen = forecasts.act(draft, target, scaled, now)
    asked_again_at = _answer_alarms(draft, foreseen.target, foreseen.scaled, now)
    begun_until = activities.deadline(draft)  # what has begun may be fulfilled already: the next pass sees
    rests = begun_until is None and target.enforce_bounds_at is None and foreseen.target is target
    return draft.plan(plan.earliest(wake_at, begun_until, asked_again_at, foreseen.wake_at), rests=rests)


def _enforce_bounds(
    draft: plan.Draft, target: scaling.ScalableTarget, scaled: scaled_resources.Scaled, now: float
) -> scaled_resources.Scaled:
    """Move the desired count inside the bounds, as RegisterScalableTarget asks for (behaviour.md 1.1.5)."""
    desired = scaled.desired
    if desired < target.min_capacity:
        count, cause = target.min_capacity, f"minimum capacity was set to {target.min_capacity}"
    elif desired > target.max_capacity:
        count, cause = target.max_capacity, f"maximum capacity was set to {target.max_capacity}"
    else:
        return scaled
    numbers = scaling.ScalingNumbers(min_capacity=target.min_capacity, max_capacity=target.max_capacity)
    activities.record_change(draft, target, cause, desired, count, None, numbers, now)
    scaled_resources.set_desired(draft, target, count, now)
    return msgspec.structs.replace(scaled, desired=count)


def _answer_alarms(
    draft: plan.Draft, target: scaling.ScalableTarget, scaled: scaled_resources.Scaled, now: float
) -> float | None:
    """Do what the policies' alarms ask for, and remember that it was answered; or say when to ask again.

    Alarms of one minute are evaluated one after the other. Where there are several policies, all that ask within
    MOMENT_SECONDS of the first are heard before one of them wins (behaviour.md 1.2.7): else the service would go out
    for one and at once in for the next. Cooldowns count from when it was asked.
    """
    stored = draft.view.find(tables.SCALING_POLICIES, "by_target", target.key)
    policies = [draft.get(scaling.ScalingPolicy, one.key) or one for one in stored if one.predictive_scaling is None]
    judged, look_at = _judged_policies(draft.view, target, policies, scaled, now)
    asks = tuple(ask for one in policies if one.step_scaling is not None for ask in _asks(draft.view, one))
    moments = [
        *(signal.asked_at for one in judged for signal in (one.high, one.low) if signal is not None and signal.fired),
        *(ask.asked_at for ask in asks),
    ]
    if not moments:
        return look_at
    first = min(moments)
    if len(policies) > 1 and now < first + MOMENT_SECONDS:
        return first + MOMENT_SECONDS
    asked_at = max(first, now - MOMENT_SECONDS) if len(policies) > 1 else now
    situation = formula.Situation(
        running=scaled.running,
        desired=scaled.desired,
        minimum=target.min_capacity,
        maximum=target.max_capacity,
        deploying=scaled.blocks_scale_in,
        out_suspended=target.suspended.dynamic_scaling_out,
        in_suspended=target.suspended.dynamic_scaling_in,
        floor=forecasts.floor(draft.view, target, now),
        policies=judged,
        asks=asks,
    )
    ruling = formula.rule(situation, asked_at)
    _carry_out(draft, target, policies, situation, ruling, asked_at, now)
    return look_at


def _carry_out(
    draft: plan.Draft,
    target: scaling.ScalableTarget,
    policies: list[scaling.ScalingPolicy],
    situation: formula.Situation,
    ruling: formula.Ruling,
    asked_at: float,
    now: float,
) -> None:
    """Write what was ruled: the policies' memory, the activities, the desired capacity."""
    idle_since = {one.name: one.idle_since for one in situation.policies}
    for policy in policies:
        memory = _handled(draft.view, policy)
        memory = msgspec.structs.replace(memory, idle_since=idle_since.get(policy.policy_name))
        if ruling.step is not None:
            memory = formula.remember(
                memory,
                ruling.step,
                own=policy.policy_name == ruling.step.policy,
                desired=situation.desired,
                crediting=cooldowns.credits(policy.memory, _scale_out_cooldown_seconds(policy), asked_at),
                now=asked_at,
            )
        draft.put(msgspec.structs.replace(policy, memory=memory))
    for refused in ruling.refused:
        activities.record_refusal(draft, target, refused, now)
    if ruling.step is not None:
        step = ruling.step
        cause = activities.alarm_cause(step.alarm, step.policy, step.state)
        activities.record_change(draft, target, cause, situation.desired, step.to, step.policy, step.numbers, now)
        scaled_resources.set_desired(draft, target, step.to, now)


def _judged_policies(
    view: views.View,
    target: scaling.ScalableTarget,
    policies: list[scaling.ScalingPolicy],
    scaled: scaled_resources.Scaled,
    now: float,
) -> tuple[tuple[formula.Policy, ...], float | None]:
    """The target tracking policies as the formula sees them; and from no capacity, when to look at their data again."""
    last = activities.newest_change(view, target.key)
    judged = tuple(_judged(view, one, last, now) for one in policies if one.target_tracking is not None)
    if scaled.running or scaled.desired:
        return judged, None
    stopped_at = last.ended_at if last is not None and last.to_count == 0 else None
    zero_since = max((at for at in (scaled.desired_since, stopped_at) if at is not None), default=None)
    looks = (scaling_from_zero.next_look_at(view, one.high, now) for one in judged if one.high is not None)
    return tuple(_from_zero(view, one, zero_since, now) for one in judged), plan.earliest(*looks)


def _from_zero(view: views.View, judged: formula.Policy, zero_since: float | None, now: float) -> formula.Policy:
    """The policy of a target without any capacity: its high alarm asks after one data point."""
    if judged.high is None:
        return judged
    high = scaling_from_zero.woken(view, judged.high, judged.target_value, zero_since, now)
    return msgspec.structs.replace(judged, high=high)


def _judged(
    view: views.View, policy: scaling.ScalingPolicy, last: scaling.ScalingActivity | None, now: float
) -> formula.Policy:
    """A policy as the formula sees it; `last` is the target's newest change of capacity."""
    tracking, options = policy.tracking, policy.options
    low = None
    if policy.alarm_low is not None and not tracking.disable_scale_in:
        low = _signal(view, policy, policy.alarm_low, last)
    idle_since = scaling_temper.idle_since(
        options,
        policy.memory.idle_since,
        asks_for_zero=low is not None and formula.asks_for_zero(low, tracking.target_value),
        low_since=low.in_alarm_since if low is not None else 0.0,
        now=now,
    )
    return formula.Policy(
        name=policy.policy_name,
        metric_name=tracking.metric_name,
        target_value=tracking.target_value,
        scale_out_cooldown_seconds=tracking.scale_out_cooldown_seconds,
        scale_in_cooldown_seconds=tracking.scale_in_cooldown_seconds,
        high=_signal(view, policy, policy.alarm_high, last),
        low=low,
        memory=policy.memory,
        options=options,
        idle_since=idle_since,
        is_held=scaling_temper.is_held(options, idle_since, now),
    )


def _signal(
    view: views.View, policy: scaling.ScalingPolicy, name: str, last: scaling.ScalingActivity | None
) -> formula.Signal:
    """One of the policy's alarms; one that a user has deleted, or taken the action from, asks for nothing."""
    alarm = view.get(alarms.MetricAlarm, name)
    if alarm is None:
        return formula.Signal(alarm=name, value=None, in_alarm=False, fired=False, acts=False)
    in_alarm = alarm.observed.state == "ALARM"
    acts = alarm.spec.actions_enabled and scaling_names.alarm_action(view.scope, policy) in alarm.spec.alarm_actions
    due = alarm.observed.actions_at
    handled = policy.memory.handled_evaluation.get(name)
    fired = in_alarm and acts and due is not None and (handled is None or due > handled)
    return formula.Signal(
        alarm=name,
        value=alarm.observed.newest_value,
        in_alarm=in_alarm,
        in_alarm_since=alarm.observed.state_transitioned_at,
        fired=fired,
        acts=acts,
        asked_at=due or 0.0,
        running=_running_when_measured(alarm.observed.newest_value_at, last),
    )


def _running_when_measured(measured_at: float | None, last: scaling.ScalingActivity | None) -> int | None:
    """How many tasks a data point was measured with, where that isn't the present count; else None.

    A data point whose period began before the newest change was fulfilled tells of the load on as many tasks as there
    were before it. Counting it for those that run now would multiply the change: each step would be taken twice, and a
    service with short cooldowns would swing for ever. While a change is on its way the running count is used as it is
    (the second worked example of behaviour.md 1.3.4).
    """
    if measured_at is None or last is None or last.status != "Successful" or last.ended_at is None:
        return None
    return last.from_count if measured_at < last.ended_at else None


def _scale_out_cooldown_seconds(policy: scaling.ScalingPolicy) -> int:
    if policy.step_scaling is not None:
        return policy.step_scaling.cooldown_seconds
    return policy.tracking.scale_out_cooldown_seconds


def _asks(view: views.View, policy: scaling.ScalingPolicy) -> Iterable[step_scaling_formula.Ask]:
    """The alarms that invoke a step scaling policy now: their action is due, and it isn't answered yet."""
    configuration = policy.step_scaling
    assert configuration is not None, f"{policy.policy_name} is no step scaling policy"
    for alarm in _invokers(view, policy):
        seen, handled = alarm.observed, policy.memory.handled_evaluation.get(alarm.name)
        if not alarm.spec.actions_enabled or seen.actions_at is None:
            continue
        if handled is not None and seen.actions_at <= handled:
            continue
        yield step_scaling_formula.Ask(
            policy=policy.policy_name,
            configuration=configuration,
            memory=policy.memory,
            alarm=alarm.name,
            state=seen.state,
            asked_at=seen.actions_at,
            metric_name=alarm.spec.watched,
            threshold=alarm.spec.threshold,
            rising=step_scaling_formula.is_rising(alarm.spec.comparison_operator),
            value=step_scaling_formula.aggregate(seen.window, configuration.aggregation),
        )


def _invokers(view: views.View, policy: scaling.ScalingPolicy) -> Iterable[alarms.MetricAlarm]:
    """The alarms that carry a step scaling policy's ARN among the actions of the state that they are in."""
    action = scaling_names.policy_arn(view.scope, policy)
    for alarm in view.find(tables.ALARMS, "by_action", action):
        if action in alarm.spec.actions_of(alarm.observed.state):
            yield alarm


def _handled(view: views.View, policy: scaling.ScalingPolicy) -> scaling.PolicyMemory:
    """The policy's memory with its alarms' present askings in it."""
    if policy.step_scaling is not None:
        concerned = list(_invokers(view, policy))
    else:
        named = (view.get(alarms.MetricAlarm, name) for name in (policy.alarm_high, policy.alarm_low) if name)
        concerned = [alarm for alarm in named if alarm is not None]
    handled = {alarm.name: alarm.observed.actions_at for alarm in concerned if alarm.observed.actions_at is not None}
    return msgspec.structs.replace(policy.memory, handled_evaluation=handled)


def _keys(change: store.Change, view: views.View) -> Iterable[str]:
    """The targets that a change concerns."""
    match change.newest:
        case scaling.ScalableTarget() as target:
            return (target.key,)
        case scaling.ScalingPolicy() as policy:
            return (policy.target_key,)
        case predictive.Forecast() as forecast:
            return (forecast.target_key,)
        case scaling.ScalingActivity() as activity:
            return (activity.target_key,) if activity.status in activities.UNFINISHED else ()
        case alarms.MetricAlarm() as alarm:
            return _targets_of_alarm(view, alarm, is_silent=_is_silent(change.before, alarm))
        case tasks.Task() as task:
            return [key for key in scaled_resources.targets_of(task, view) if _waits_for_tasks(view, key)]
        case record.Record() as other:
            return scaled_resources.targets_of(other, view)


def _waits_for_tasks(view: views.View, key: str) -> bool:
    """Whether the tasks that run matter to a target: something is on its way, or there may be none left (1.3.3)."""
    return view.size(tables.SCALING_ACTIVITIES, "unfinished", key) > 0 or _is_at_zero(view, key)


def _is_at_zero(view: views.View, key: str) -> bool:
    """Whether the target has no capacity: then its data are looked at, whatever its alarms' state."""
    target = view.get(scaling.ScalableTarget, key)
    scaled = scaled_resources.find(view, target) if target is not None else None
    return scaled is not None and scaled.running == 0 and scaled.desired == 0


def _is_silent(before: record.Record | None, alarm: alarms.MetricAlarm) -> bool:
    """Whether an alarm is OK, and nothing but its state has changed: target tracking answers alarms in ALARM alone."""
    return isinstance(before, alarms.MetricAlarm) and alarm.observed.state == "OK" and alarm.spec is before.spec


def _targets_of_alarm(view: views.View, alarm: alarms.MetricAlarm, *, is_silent: bool) -> Iterable[str]:
    """The targets whose policies an alarm may invoke: its owner's, and those of the policies that its actions name."""
    found: dict[str, None] = {}
    owner = view.first(tables.SCALING_POLICIES, "by_alarm", alarm.name)
    if owner is not None and (not is_silent or _is_at_zero(view, owner.target_key)):
        found[owner.target_key] = None
    for action in alarm.spec.actions_of(alarm.observed.state):
        policy_id = scaling_names.policy_id_of(action)
        named = view.first(tables.SCALING_POLICIES, "by_id", policy_id) if policy_id is not None else None
        if named is not None and named.step_scaling is not None:
            found[named.target_key] = None
    return found


CONTROLLER = controller.Controller(
    name="service_scaling",
    reconcile=reconcile,
    keys=_keys,
    all_keys=scaled_resources.every_target,
    tables=(
        *scaled_resources.TABLES,
        tables.SCALABLE_TARGETS,
        tables.SCALING_POLICIES,
        tables.SCALING_ACTIVITIES,
        tables.ALARMS,
        tables.FORECASTS,
    ),
)
"""Keys are those of scalable targets."""
