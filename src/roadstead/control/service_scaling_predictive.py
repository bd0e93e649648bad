"""What forecasts mean for a service's desired count (behaviour.md 1.6): a part of `control.service_scaling`.

Only policies in the mode ForecastAndScale act. From SchedulingBufferTime before an hour on, the capacity predicted for
it is to be there: if less is wanted then, the desired count goes up to it, once for each hour and policy
(`PolicyMemory.predicted_hour` remembers). So what was missed while no server ran, or before the first forecast was
made, is made up for; and who lowers the count by hand within the hour is left alone. Nothing here scales in. Target
tracking and step scaling may not scale in below the capacity predicted for the present hour, nor below that for the
next one as soon as its buffer has begun.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import msgspec

from roadstead.control import predictive_capacity, scaled_resources
from roadstead.control import service_scaling_activities as activities
from roadstead.control import service_scaling_formula as formula
from roadstead.model import predictive, scaling, tables
from roadstead.state import plan
from roadstead.state import view as views


class Predicted(msgspec.Struct, frozen=True, kw_only=True):
    """What one policy expects of the hour that its buffer has reached."""

    policy: scaling.ScalingPolicy
    configuration: predictive.PredictiveScaling
    prediction: predictive.Prediction
    hour: float
    load: float
    capacity: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The target and what it scales as they are then, and when to look again."""

    target: scaling.ScalableTarget
    scaled: scaled_resources.Scaled
    wake_at: float | None


def act(draft: plan.Draft, target: scaling.ScalableTarget, scaled: scaled_resources.Scaled, now: float) -> Outcome:
    """Raise the target's maximum and the desired count to what is predicted, where an hour's turn has come.

    While DynamicScalingOutSuspended nothing is done, and what is due is done on resuming, if its hour isn't over. With
    several policies the largest capacity counts. The cooldowns of other policies see this as another's scale-out.
    """
    moments = [predictive_capacity.acts_next_at(wanted, now) for _, wanted in _acting(draft.view, target.key)]
    wake_at = plan.earliest(*moments)
    due = [one for one in _predicted(draft.view, target.key, now) if _is_due(one)]
    if not due or target.suspended.dynamic_scaling_out:
        return Outcome(target=target, scaled=scaled, wake_at=wake_at)
    for one in due:
        target = _raise_maximum(draft, target, one, now)
    desired = scaled.desired
    winner = max(due, key=lambda one: one.capacity)
    count = min(max(winner.capacity, target.min_capacity), target.max_capacity)
    for one in due:
        memory = msgspec.structs.replace(one.policy.memory, predicted_hour=one.hour)
        draft.put(msgspec.structs.replace(one.policy, memory=memory))
    if winner.capacity <= desired or count <= desired:
        return Outcome(target=target, scaled=scaled, wake_at=wake_at)
    numbers = scaling.ScalingNumbers(
        target_value=winner.configuration.target_value,
        proposed=winner.capacity,
        bounded=count,
        min_capacity=target.min_capacity,
        max_capacity=target.max_capacity,
        formula=predictive_capacity.formula_text(winner.configuration, winner.prediction, winner.load),
    )
    activities.record_change(draft, target, cause(winner), desired, count, winner.policy.policy_name, numbers, now)
    _end_scale_in_cooldowns(draft, target.key)
    scaled_resources.set_desired(draft, target, count, now)
    return Outcome(target=target, scaled=msgspec.structs.replace(scaled, desired=count), wake_at=wake_at)


def floor(view: views.View, target: scaling.ScalableTarget, now: float) -> int:
    """The count below which nothing scales in now; 0 where nothing is predicted."""
    found = [0]
    for policy, wanted in _acting(view, target.key):
        newest = _newest(view, policy, wanted)
        for hour in (now, predictive_capacity.acting_hour(wanted, now)):
            count = predictive_capacity.capacity_at(wanted, newest, hour)
            found += [count] if count is not None else []
    return min(max(found), target.max_capacity)


def cause(one: Predicted) -> str:
    """Why an activity came to be. AWS's words for it aren't published: this has the form of its other causes."""
    hour = datetime.datetime.fromtimestamp(one.hour, datetime.UTC).strftime("%Y-%m-%dT%H:%MZ")
    return f"capacity {one.capacity} predicted for {hour} triggered policy {one.policy.policy_name}"


def _is_due(one: Predicted) -> bool:
    seen = one.policy.memory.predicted_hour
    return seen is None or seen < one.hour


def _acting(view: views.View, key: str) -> Iterator[tuple[scaling.ScalingPolicy, predictive.PredictiveScaling]]:
    """A target's policies that may scale it, each with its configuration."""
    for one in view.find(tables.SCALING_POLICIES, "by_target", key):
        wanted = one.predictive_scaling
        if wanted is not None and wanted.mode == "ForecastAndScale":
            yield one, wanted


def _newest(
    view: views.View, policy: scaling.ScalingPolicy, wanted: predictive.PredictiveScaling
) -> predictive.Prediction | None:
    """The newest forecast of a policy; none of another that had its name, or of metrics that it no longer has."""
    found = view.get(predictive.Forecast, policy.key)
    if found is None or (found.policy_id, found.metrics) != (policy.policy_id, wanted.metrics):
        return None
    return found.newest


def _predicted(view: views.View, key: str, now: float) -> Iterator[Predicted]:
    for policy, wanted in _acting(view, key):
        newest = _newest(view, policy, wanted)
        hour = predictive_capacity.acting_hour(wanted, now)
        load = predictive_capacity.load_at(newest, hour) if newest is not None else None
        if newest is not None and load is not None:
            yield Predicted(
                policy=policy,
                configuration=wanted,
                prediction=newest,
                hour=hour,
                load=load,
                capacity=predictive_capacity.capacity(wanted, newest, load),
            )


def _raise_maximum(
    draft: plan.Draft, target: scaling.ScalableTarget, one: Predicted, now: float
) -> scaling.ScalableTarget:
    """The target with a larger MaxCapacity, for good, where the policy asks for it."""
    maximum = predictive_capacity.raised_maximum(one.configuration, target.max_capacity, one.capacity)
    if maximum == target.max_capacity:
        return target
    before = draft.get(scaling.ScalableTarget, target.key) or target
    changed = msgspec.structs.replace(before, max_capacity=maximum)
    activities.record_bounds(draft, changed, cause(one), f"max capacity to {maximum}", None, now)
    draft.put(changed)
    return changed


def _end_scale_in_cooldowns(draft: plan.Draft, key: str) -> None:
    """A scale-out by any policy ends them (behaviour.md 1.3.4)."""
    for policy in draft.view.find(tables.SCALING_POLICIES, "by_target", key):
        if policy.predictive_scaling is None and policy.memory.in_at is not None:
            draft.put(msgspec.structs.replace(policy, memory=formula.after_another_scale_out(policy.memory)))
