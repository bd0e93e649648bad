"""A service's scaling decisions, one line each: metric, target, what was computed, what bounded it, cooldown left."""

from __future__ import annotations

from collections.abc import Iterator

from roadstead.api.explain import obstacles, reasons
from roadstead.model import scaling, tables
from roadstead.state import view as views

ACTIVITIES_SHOWN_MAX = 100


def decisions(
    view: views.View,
    target: scaling.ScalableTarget,
    policies: tuple[scaling.ScalingPolicy, ...],
    now: float,
    since_seconds: float,
) -> reasons.Reason:
    """The decisions of the last `since_seconds`, newest first: those to scale, and those not to."""
    found = tuple(_lines(view, target.key, {one.policy_name: one for one in policies}, now, since_seconds))
    return reasons.Reason(
        code="DECISIONS",
        text=f"{reasons.plural(len(found), 'decision')} in the last {reasons.age(since_seconds)}"
        + (" (the newest shown)" if len(found) == ACTIVITIES_SHOWN_MAX else ""),
        counts={"decisions": len(found)},
        reasons=found,
    )


def _lines(
    view: views.View, key: str, policies: dict[str, scaling.ScalingPolicy], now: float, since_seconds: float
) -> Iterator[reasons.Reason]:
    # Those of whose newest change no line tells yet: only that one can have begun the cooldown that runs.
    cooling = dict(policies)
    for _, activity in view.page(tables.SCALING_ACTIVITIES, "newest_first", (key,), None, ACTIVITIES_SHOWN_MAX):
        if activity.started_at < now - since_seconds:
            return
        policy = None
        if activity.policy_name is not None and not activity.not_scaled:
            policy = cooling.pop(activity.policy_name, None)
        yield decision(activity, policy, now)


def decision(activity: scaling.ScalingActivity, policy: scaling.ScalingPolicy | None, now: float) -> reasons.Reason:
    """One decision in a line. `policy` is the one whose newest change it was, else None."""
    numbers = activity.numbers
    counts = {
        name: float(value)
        for name, value in (
            ("metric", numbers.metric_value),
            ("target", numbers.target_value),
            ("threshold", numbers.threshold),
            ("capacity", numbers.capacity),
            ("proposed", numbers.proposed),
            ("bounded", numbers.bounded),
            ("predicted", numbers.predicted),
            ("from", activity.from_count),
            ("to", activity.to_count),
        )
        if value is not None
    }
    when = f"{reasons.age(now - activity.started_at)} ago"
    why = _why(activity)
    if activity.not_scaled:
        codes = ", ".join(reason.code for reason in activity.not_scaled)
        return reasons.Reason(code="NOT_SCALED", text=f"{when}, not scaled: {codes}: {why}", counts=counts)
    if activity.to_count is None:
        text = f"{when}, {activity.description}, {activity.status}: {why}"
        if activity.status == "Failed":
            text += f": {activity.status_message}"
        return reasons.Reason(code="SCALED", text=text, counts=counts)
    left = _cooldown_left(activity, policy, now)
    if left:
        counts["cooldownSeconds"] = left
        why += f"; cooldown runs for another {round(left)} s"
    change = f"{activity.from_count} → {activity.to_count}"
    return reasons.Reason(code="SCALED", text=f"{when}, {change}, {activity.status}: {why}", counts=counts)


def _why(activity: scaling.ScalingActivity) -> str:
    """`policy cpu, AlarmHigh: CPUUtilization 80, target 50: ceil(4 × 80 / 50) = 7, bounded to 6 by the maximum`."""
    numbers = activity.numbers
    if activity.policy_name is None:
        return activity.cause
    if numbers.metric_value is None:  # predicted
        return f"{activity.cause}: {numbers.formula}{_bounded(numbers)}"
    measured = f"{numbers.metric_name or 'metric'} {numbers.metric_value:.10g}"
    if numbers.target_value is not None:
        measured += f", target {numbers.target_value:.10g}"
    elif numbers.threshold is not None:
        measured += f", threshold {numbers.threshold:.10g}"
    alarm = _alarm(numbers.alarm_name)
    return f"policy {activity.policy_name}, {alarm}: {measured}: {numbers.formula}{_bounded(numbers)}"


def _bounded(numbers: scaling.ScalingNumbers) -> str:
    """`, bounded to 6 by the maximum`, where a bound changed what was computed."""
    if numbers.proposed is None or numbers.bounded is None or numbers.proposed == numbers.bounded:
        return ""
    if numbers.predicted is not None:
        return ""  # what bounded it stands behind the formula
    bound = "minimum" if numbers.bounded > numbers.proposed else "maximum"
    return f", bounded to {numbers.bounded} by the {bound}"


def _alarm(name: str | None) -> str:
    """An alarm's name; of target tracking's own only which of the two it is."""
    if name is None:
        return "an alarm"
    for kind in ("AlarmHigh", "AlarmLow"):
        if name.startswith("TargetTracking-") and f"-{kind}-" in name:
            return kind
    return f"alarm {name}"


def _cooldown_left(activity: scaling.ScalingActivity, policy: scaling.ScalingPolicy | None, now: float) -> float:
    """Seconds for which the cooldown that a change began still runs; 0 where it doesn't."""
    if policy is None or activity.from_count is None or activity.to_count is None:
        return 0.0
    if activity.to_count > activity.from_count:
        return obstacles.out_cooldown_left(policy, now)
    return obstacles.in_cooldown_left(policy, now)
