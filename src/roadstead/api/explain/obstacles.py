"""Why a scaling policy changes nothing now: what stands in its way, one line for each direction (behaviour.md 1.1-1.4).

These lines look at what is, and decide nothing: `control.service_scaling` does. Where nothing stands in the way, there
is no line: the policy acts when its alarm's action runs next, within a minute, and the decision tells the rest.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from roadstead.api.explain import reasons
from roadstead.control import (
    predictive_capacity,
    scaled_resources,
    service_scaling_predictive,
    step_scaling_formula,
)
from roadstead.model import alarms, predictive, scaling, scaling_names, tables
from roadstead.state import view as views


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """How things stand with what a target scales."""

    target: scaling.ScalableTarget
    scaled: scaled_resources.Scaled | scaled_resources.Unscalable
    policies: tuple[scaling.ScalingPolicy, ...]
    now: float

    @property
    def deploying(self) -> bool:
        return isinstance(self.scaled, scaled_resources.Scaled) and self.scaled.blocks_scale_in

    @property
    def desired(self) -> int:
        assert isinstance(self.scaled, scaled_resources.Scaled), "what can't be scaled is told first"
        return self.scaled.desired


def of_policy(view: views.View, stand: Stand, policy: scaling.ScalingPolicy) -> tuple[reasons.Reason, ...]:
    """Why a policy changes nothing now; and that a cooldown runs, also where nothing is asked for."""
    if isinstance(stand.scaled, scaled_resources.Unscalable):
        return (_unscalable(stand.scaled),)
    if policy.step_scaling is not None:
        found = tuple(_of_steps(view, stand, policy, policy.step_scaling))
    else:
        found = tuple(_of_tracking(view, stand, policy))
    left = max(out_cooldown_left(policy, stand.now), in_cooldown_left(policy, stand.now))
    if left and not any(one.code == "COOLDOWN" for one in found):
        running = reasons.Reason(code="COOLDOWN", text=_runs("cooldown", left), counts={"seconds": left})
        found = (running, *found)
    return found


def _unscalable(why: scaled_resources.Unscalable) -> reasons.Reason:
    return reasons.Reason(code="UNSCALABLE", text=f"no scaling: {why.reason}")


def _runs(what: str, left: float) -> str:
    return f"{what} runs for another {round(left)} s"


def out_cooldown_left(policy: scaling.ScalingPolicy, now: float) -> float:
    """Seconds for which the policy's scale-out cooldown still runs."""
    at = policy.memory.out_at
    return 0.0 if at is None else max(0.0, at + _cooldown_seconds(policy)[0] - now)


def in_cooldown_left(policy: scaling.ScalingPolicy, now: float) -> float:
    """Seconds for which the policy's scale-in cooldown still runs."""
    at = policy.memory.in_at
    return 0.0 if at is None else max(0.0, at + _cooldown_seconds(policy)[1] - now)


def _cooldown_seconds(policy: scaling.ScalingPolicy) -> tuple[int, int]:
    """Those after scaling out, and after scaling in."""
    if policy.step_scaling is not None:
        return policy.step_scaling.cooldown_seconds, policy.step_scaling.cooldown_seconds
    return policy.tracking.scale_out_cooldown_seconds, policy.tracking.scale_in_cooldown_seconds


def _no(way: str, code: str, text: str, **counts: float) -> reasons.Reason:
    return reasons.Reason(code=code, text=f"no scale-{way}: {text}", counts=counts)


# -- target tracking


def _of_tracking(view: views.View, stand: Stand, policy: scaling.ScalingPolicy) -> Iterator[reasons.Reason]:
    """Why a target tracking policy doesn't scale out now, and why not in."""
    high = view.get(alarms.MetricAlarm, policy.alarm_high)
    out = _at_rest("out", "high", high) or _acts_not(view, "out", policy, high) or _not_out(stand, policy)
    if out is not None:
        yield out
    if policy.alarm_low is None:
        yield _no("in", "DISABLED", "DisableScaleIn is set")
        return
    low = view.get(alarms.MetricAlarm, policy.alarm_low)
    inward = _at_rest("in", "low", low) or _acts_not(view, "in", policy, low) or _not_in(view, stand, policy)
    if inward is not None:
        yield inward


def _at_rest(way: str, side: str, alarm: alarms.MetricAlarm | None) -> reasons.Reason | None:
    """That the alarm asks for nothing."""
    if alarm is None:
        return _no(way, "ALARM_MISSING", f"its {side} alarm is gone: PutScalingPolicy makes it again")
    match alarm.observed.state:
        case "INSUFFICIENT_DATA":
            return _no(way, "INSUFFICIENT_DATA", f"its {side} alarm has insufficient data")
        case "OK":
            return _no(way, "ALARM_OK", f"its {side} alarm is OK")
        case "ALARM":
            return None


def _acts_not(
    view: views.View, way: str, policy: scaling.ScalingPolicy, alarm: alarms.MetricAlarm | None
) -> reasons.Reason | None:
    """That the alarm was edited so that it no longer invokes the policy."""
    if alarm is None or (
        alarm.spec.actions_enabled and scaling_names.alarm_action(view.scope, policy) in alarm.spec.alarm_actions
    ):
        return None
    return _no(way, "ACTIONS_OFF", "its alarm's action was switched off or taken away")


# -- step scaling


def _of_steps(
    view: views.View, stand: Stand, policy: scaling.ScalingPolicy, steps: scaling.StepScaling
) -> Iterator[reasons.Reason]:
    """Why a step scaling policy doesn't scale now."""
    action = scaling_names.policy_arn(view.scope, policy)
    wired = list(view.find(tables.ALARMS, "by_action", action))
    invoking = [one for one in wired if action in one.spec.actions_of(one.observed.state)]
    if not invoking:
        states = sorted({one.observed.state for one in wired})
        if states:
            text = f"no scaling: no alarm is in a state that invokes it, but {' and '.join(states)}"
            code = "INSUFFICIENT_DATA" if states == ["INSUFFICIENT_DATA"] else "ALARM_OK"
            yield reasons.Reason(code=code, text=text)
        return
    for alarm in invoking:
        found = _step_obstacle(view, stand, policy, steps, alarm)
        if found is not None:
            yield found


def _step_obstacle(
    view: views.View,
    stand: Stand,
    policy: scaling.ScalingPolicy,
    steps: scaling.StepScaling,
    alarm: alarms.MetricAlarm,
) -> reasons.Reason | None:
    """Why an alarm that invokes the policy comes to nothing; None where it may come to something."""
    if not alarm.spec.actions_enabled:
        return reasons.Reason(code="ACTIONS_OFF", text=f"no scaling: the actions of {alarm.name} are disabled")
    value = step_scaling_formula.aggregate(alarm.observed.window, steps.aggregation)
    if value is None:
        return reasons.Reason(
            code="INSUFFICIENT_DATA", text=f"no scaling: {alarm.name} has no data to choose a step by"
        )
    distance = step_scaling_formula.delta(value, alarm.spec.threshold)
    rising = step_scaling_formula.is_rising(alarm.spec.comparison_operator)
    step = step_scaling_formula.choose(steps.steps, distance, rising)
    if step is None:
        text = f"no scaling: no step is for {value:.10g}, {float(distance):+.10g} from the threshold of {alarm.name}"
        return reasons.Reason(code="NO_STEP", text=text)
    towards = step.adjustment - (stand.desired if steps.adjustment_type == "ExactCapacity" else 0)
    if towards == 0:
        return None
    return _not_out(stand, policy) if towards > 0 else _not_in(view, stand, policy)


# -- predictive scaling


def of_prediction(
    stand: Stand, wanted: predictive.PredictiveScaling, newest: predictive.Prediction | None
) -> Iterator[reasons.Reason]:
    """Why a predictive policy doesn't scale out now; that there is no forecast yet is told beside its forecast."""
    if isinstance(stand.scaled, scaled_resources.Unscalable):
        yield _unscalable(stand.scaled)
        return
    count = predictive_capacity.capacity_at(wanted, newest, predictive_capacity.acting_hour(wanted, stand.now))
    if wanted.mode != "ForecastAndScale":
        yield _no("out", "FORECAST_ONLY", f"its mode is {wanted.mode}")
    elif stand.target.suspended.dynamic_scaling_out:
        yield _no("out", "SUSPENDED", "dynamic scaling out is suspended")
    elif count is not None and stand.desired >= count:
        yield _no("out", "AT_FORECAST", f"the desired count, {stand.desired}, is not below what is predicted, {count}")
    elif count is not None and stand.desired >= stand.target.max_capacity:
        yield _no("out", "AT_MAXIMUM", f"the desired count is at the maximum, {stand.target.max_capacity}")


# -- each of them


def _not_out(stand: Stand, policy: scaling.ScalingPolicy) -> reasons.Reason | None:
    if stand.target.suspended.dynamic_scaling_out:
        return _no("out", "SUSPENDED", "dynamic scaling out is suspended")
    left = out_cooldown_left(policy, stand.now)
    if left:
        more = f"only more than {policy.memory.out_to} is let through"
        return _no("out", "COOLDOWN", f"{_runs('its cooldown', left)}, {more}", seconds=left)
    if stand.desired >= stand.target.max_capacity:
        return _no("out", "AT_MAXIMUM", f"the desired count is at the maximum, {stand.target.max_capacity}")
    return None


def _not_in(view: views.View, stand: Stand, policy: scaling.ScalingPolicy) -> reasons.Reason | None:
    if stand.target.suspended.dynamic_scaling_in:
        return _no("in", "SUSPENDED", "dynamic scaling in is suspended")
    left = in_cooldown_left(policy, stand.now)
    if left:
        return _no("in", "COOLDOWN", _runs("its cooldown", left), seconds=left)
    for other in stand.policies if policy.target_tracking is not None else ():
        objection = _objection(view, stand, other) if other.key != policy.key else None
        if objection is not None:
            return _no("in", "OBJECTION", f"policy {other.policy_name} objects: {objection}")
    if stand.desired <= stand.target.min_capacity:
        return _no("in", "AT_MINIMUM", f"the desired count is at the minimum, {stand.target.min_capacity}")
    floor = service_scaling_predictive.floor(view, stand.target, stand.now)
    if stand.desired <= floor:
        return _no("in", "PREDICTED", f"the desired count is at what is predicted for this hour, {floor}")
    if stand.deploying:
        return _no("in", "DEPLOYMENT", "a deployment is in progress")
    return None


def _objection(view: views.View, stand: Stand, policy: scaling.ScalingPolicy) -> str | None:
    """Why another target tracking policy is not ready to scale in (behaviour.md 1.2.8, 1.2.9); None where it is."""
    if policy.target_tracking is None or policy.alarm_low is None:
        return None
    low = view.get(alarms.MetricAlarm, policy.alarm_low)
    state = low.observed.state if low is not None else "gone"
    if state != "ALARM":
        return f"its low alarm is {state}"
    left = in_cooldown_left(policy, stand.now)
    return _runs("its cooldown", left) if left else None
