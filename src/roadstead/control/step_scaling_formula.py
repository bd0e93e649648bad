"""What step scaling decides, from numbers alone (behaviour.md 1.4).

In: an `Ask` (a policy, and the alarm that invokes it with the value it saw) and the `Capacity`. Out: an `Answer`: the
count to go to, or the reason why nothing changes; or None where the policy has nothing to say. Which of several
policies' answers is applied is `control.service_scaling_formula`'s to rule.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal

import msgspec

from roadstead.control import service_scaling_cooldowns as cooldowns
from roadstead.model import alarms, scaling

Direction = Literal["out", "in", "none"]


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm that invokes a step scaling policy."""

    policy: str
    configuration: scaling.StepScaling
    memory: scaling.PolicyMemory = scaling.PolicyMemory()
    alarm: str
    state: alarms.AlarmState = "ALARM"
    asked_at: float = 0.0
    """When the alarm's action was run."""
    metric_name: str | None = None
    threshold: float
    rising: bool
    """The alarm's comparison is one of the Greater… ones."""
    value: float | None
    """The data points that the alarm evaluated, aggregated as the policy says; None where there are none."""


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """The counts that an answer depends on."""

    running: int
    desired: int
    minimum: int
    maximum: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an invocation comes to."""

    policy: str
    alarm: str
    state: alarms.AlarmState
    direction: Direction
    """Where the step wants to go; `none` for an adjustment of 0, which always has a reason."""
    to: int
    reason: scaling.NotScaledReason | None = None
    """Why nothing changes; None where something does."""
    numbers: scaling.ScalingNumbers


def aggregate(window: alarms.WindowValues | None, aggregation: scaling.AggregationType | None) -> float | None:
    """The value of an alarm's evaluated data points that a policy computes with; their mean if it doesn't say which."""
    if window is None:
        return None
    match aggregation:
        case "Average" | None:
            return window.average
        case "Minimum":
            return window.minimum
        case "Maximum":
            return window.maximum


def is_rising(comparison_operator: str) -> bool:
    """Whether an alarm's comparison looks for values above its threshold."""
    return comparison_operator.startswith("Greater")


def delta(value: float, threshold: float) -> Fraction:
    """How far the metric is from the threshold: of the numbers as they are written, so that 0.3 - 0.1 is 0.2."""
    return Fraction(repr(value)) - Fraction(repr(threshold))


def choose(
    steps: tuple[scaling.StepAdjustment, ...], distance: Fraction, rising: bool
) -> scaling.StepAdjustment | None:
    """The step that a distance falls into; None where there is none.

    Above the threshold a step has its lower bound and not its upper one, below it the other way round. On the threshold
    itself the alarm's comparison says which rule holds.
    """
    upper_side = distance > 0 or (distance == 0 and rising)
    for step in steps:
        lower = _bound(step.lower_bound)
        upper = _bound(step.upper_bound)
        if upper_side:
            fits = (lower is None or lower <= distance) and (upper is None or distance < upper)
        else:
            fits = (lower is None or lower < distance) and (upper is None or distance <= upper)
        if fits:
            return step
    return None


def _bound(value: float | None) -> Fraction | None:
    return None if value is None else Fraction(repr(value))


def percent_change(capacity: int, percent: int, minimum_magnitude: int | None) -> int:
    """How many tasks so many percent are: rounded towards zero, but at least one, and at least the magnitude."""
    if percent == 0:
        return 0
    exact = Fraction(capacity * percent, 100)
    size = math.floor(abs(exact))
    if size == 0 and exact != 0:
        size = 1
    size = max(size, minimum_magnitude or 0)
    return size if percent > 0 else -size


def change(configuration: scaling.StepScaling, capacity: int, adjustment: int) -> int:
    """The count that an adjustment leads to from `capacity`, before the bounds; never below 0."""
    match configuration.adjustment_type:
        case "ChangeInCapacity":
            return max(0, capacity + adjustment)
        case "PercentChangeInCapacity":
            return max(0, capacity + percent_change(capacity, adjustment, configuration.minimum_magnitude))
        case "ExactCapacity":
            return adjustment


def answer(ask: Ask, capacity: Capacity, now: float) -> Answer | None:
    """What the invocation comes to; None without a value or a step for it, and while a cooldown says to wait."""
    if ask.value is None or not math.isfinite(ask.value):
        return None
    distance = delta(ask.value, ask.threshold)
    step = choose(ask.configuration.steps, distance, ask.rising)
    if step is None:
        return None
    credit = 0
    in_cooldown = cooldowns.credits(ask.memory, ask.configuration.cooldown_seconds, now)
    if in_cooldown and capacity.desired >= capacity.minimum:  # else somebody else has lowered it since
        credit = ask.memory.out_to - ask.memory.out_from
    direction = _direction(ask.configuration, step, capacity)
    base = _base(ask.memory, credit, direction, capacity)
    proposed = change(ask.configuration, base, step.adjustment)
    bounded = min(max(proposed, capacity.minimum), capacity.maximum)
    if direction == "out" and credit and bounded <= max(base + credit, ask.memory.out_to):
        return None  # what it asks for was added already
    if direction == "in" and cooldowns.blocks_scale_in(ask.memory, ask.configuration.cooldown_seconds, now):
        return None
    changes = bounded > capacity.desired if direction == "out" else bounded < capacity.desired
    return Answer(
        policy=ask.policy,
        alarm=ask.alarm,
        state=ask.state,
        direction=direction,
        to=bounded,
        reason=None if changes and direction != "none" else _reason(direction, capacity),
        numbers=scaling.ScalingNumbers(
            alarm_name=ask.alarm,
            metric_name=ask.metric_name,
            metric_value=ask.value,
            threshold=ask.threshold,
            capacity=base,
            proposed=proposed,
            bounded=bounded,
            min_capacity=capacity.minimum,
            max_capacity=capacity.maximum,
            formula=_text(ask, distance, step, base, proposed),
        ),
    )


def _direction(configuration: scaling.StepScaling, step: scaling.StepAdjustment, capacity: Capacity) -> Direction:
    towards = step.adjustment
    if configuration.adjustment_type == "ExactCapacity":
        towards -= capacity.desired
    if towards == 0:
        return "none"
    return "out" if towards > 0 else "in"


def _base(memory: scaling.PolicyMemory, credit: int, direction: Direction, capacity: Capacity) -> int:
    """The count that the adjustment starts from: the running tasks (behaviour.md 1.2.10), but for two cases.

    A count outside the bounds is first brought inside (1.1.7, 1.1.8). And while a scale-out cooldown runs, what it
    began with counts as there already: a greater step starts from before that scale-out, so only the rest is added.
    """
    running = capacity.running
    if direction == "out":
        if capacity.desired < capacity.minimum:
            return max(running, capacity.minimum)
        return running - min(credit, max(0, running - memory.out_from)) if credit else running
    if direction == "in" and capacity.desired > capacity.maximum:
        return min(running, capacity.maximum)
    return running


def _reason(direction: Direction, capacity: Capacity) -> scaling.NotScaledReason:
    if direction == "out" and capacity.desired >= capacity.maximum:
        return scaling.NotScaledReason(code="AlreadyAtMaxCapacity", max_capacity=capacity.maximum)
    if direction == "in" and capacity.desired <= capacity.minimum:
        return scaling.NotScaledReason(code="AlreadyAtMinCapacity", min_capacity=capacity.minimum)
    return scaling.NotScaledReason(code="AlreadyAtDesiredCapacity", current_capacity=capacity.desired)


def _text(ask: Ask, distance: Fraction, step: scaling.StepAdjustment, base: int, proposed: int) -> str:
    """How it came to its result: `70 - 50 = 20 is in [20, +inf): 11 + 30 % = 14`."""
    lower = "-inf" if step.lower_bound is None else f"{step.lower_bound:.10g}"
    upper = "+inf" if step.upper_bound is None else f"{step.upper_bound:.10g}"
    upper_side = distance > 0 or (distance == 0 and ask.rising)
    span = f"[{lower}, {upper})" if upper_side else f"({lower}, {upper}]"
    sign, size = ("-", -step.adjustment) if step.adjustment < 0 else ("+", step.adjustment)
    match ask.configuration.adjustment_type:
        case "ChangeInCapacity":
            how = f"{base} {sign} {size} = {proposed}"
        case "PercentChangeInCapacity":
            least = ask.configuration.minimum_magnitude
            how = f"{base} {sign} {size} %{f' (at least {least})' if least else ''} = {proposed}"
        case "ExactCapacity":
            how = f"exactly {proposed}"
    return f"{ask.value:.10g} - {ask.threshold:.10g} = {float(distance):.10g} is in {span}: {how}"
