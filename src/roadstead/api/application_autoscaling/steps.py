"""A step scaling configuration: what it may be, and how it is shown (behaviour.md 1.4)."""

from __future__ import annotations

import itertools
import math
from typing import Any

from roadstead.api.application_autoscaling import common
from roadstead.base import errors
from roadstead.model import scaling

STEPS_MAX = 20
"""Step adjustments of one policy (AAS quotas)."""
COOLDOWN_SECONDS_MAX = 2**31 - 1


def configuration(wanted: Any, before: scaling.StepScaling | None) -> scaling.StepScaling:
    """StepScalingPolicyConfiguration, checked. What it does not say stays as `before` an update."""
    if wanted is None:
        if before is None:
            raise common.invalid("StepScalingPolicyConfiguration is required for StepScaling policies.")
        return before
    adjustment_type = wanted.AdjustmentType or (before.adjustment_type if before is not None else None)
    if adjustment_type is None:
        raise common.invalid("AdjustmentType is required when a step scaling policy configuration is added.")
    steps = _steps(wanted.StepAdjustments or ()) or (before.steps if before is not None else ())
    if not steps:
        raise common.invalid("At least one step adjustment is required.")
    _check_ranges(steps)
    if adjustment_type == "ExactCapacity" and any(step.adjustment < 0 for step in steps):
        raise common.invalid("ScalingAdjustment must not be negative with the adjustment type ExactCapacity.")
    return scaling.StepScaling(
        adjustment_type=adjustment_type,
        steps=steps,
        minimum_magnitude=_magnitude(wanted.MinAdjustmentMagnitude, adjustment_type, before),
        cooldown_seconds=_cooldown(wanted.Cooldown, before),
        aggregation=wanted.MetricAggregationType or (before.aggregation if before is not None else None),
    )


def _magnitude(wanted: int | None, adjustment_type: str, before: scaling.StepScaling | None) -> int | None:
    if adjustment_type != "PercentChangeInCapacity":
        if wanted is not None:
            raise common.invalid("MinAdjustmentMagnitude can only be specified with PercentChangeInCapacity.")
        return None
    if wanted is None:
        return before.minimum_magnitude if before is not None else None
    if wanted < 1:
        raise common.invalid("MinAdjustmentMagnitude must be at least 1.")
    return wanted


def _cooldown(wanted: int | None, before: scaling.StepScaling | None) -> int:
    if wanted is None:
        return before.cooldown_seconds if before is not None else scaling.DEFAULT_COOLDOWN_SECONDS
    if not 0 <= wanted <= COOLDOWN_SECONDS_MAX:
        raise common.invalid("Cooldown must not be negative.")
    return wanted


def _steps(wanted: Any) -> tuple[scaling.StepAdjustment, ...]:
    if len(wanted) > STEPS_MAX:
        raise errors.Refusal(
            "LimitExceededException", f"A step scaling policy can have at most {STEPS_MAX} step adjustments."
        )
    return tuple(
        scaling.StepAdjustment(
            lower_bound=_bound(one.MetricIntervalLowerBound),
            upper_bound=_bound(one.MetricIntervalUpperBound),
            adjustment=one.ScalingAdjustment,
        )
        for one in wanted
    )


def _bound(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise common.invalid("The bounds of a step adjustment must be finite numbers.")
    return None if value is None else float(value)


def _check_ranges(steps: tuple[scaling.StepAdjustment, ...]) -> None:
    """Rules 2 to 5 of behaviour.md 1.4: each range is one, and together they are one without overlap or gap."""
    for step in steps:
        if step.lower_bound is None and step.upper_bound is None:
            raise common.invalid(
                "MetricIntervalLowerBound and MetricIntervalUpperBound must not both be absent from a step adjustment."
            )
        if step.lower_bound is not None and step.upper_bound is not None and step.upper_bound <= step.lower_bound:
            raise common.invalid("MetricIntervalUpperBound must be greater than MetricIntervalLowerBound.")
    if sum(step.lower_bound is None for step in steps) > 1:
        raise common.invalid("At most one step adjustment can be without a MetricIntervalLowerBound.")
    if sum(step.upper_bound is None for step in steps) > 1:
        raise common.invalid("At most one step adjustment can be without a MetricIntervalUpperBound.")
    ordered = sorted(steps, key=lambda one: -math.inf if one.lower_bound is None else one.lower_bound)
    for one, after in itertools.pairwise(ordered):
        end = math.inf if one.upper_bound is None else one.upper_bound
        begin = -math.inf if after.lower_bound is None else after.lower_bound
        if begin < end:
            raise common.invalid("The intervals of the step adjustments must not overlap.")
        if begin > end:
            raise common.invalid("There must not be a gap between the intervals of the step adjustments.")
    first, last = ordered[0], ordered[-1]
    if first.lower_bound is not None and first.lower_bound < 0:
        raise common.invalid(
            "With a negative MetricIntervalLowerBound there must be a step adjustment without MetricIntervalLowerBound."
        )
    if last.upper_bound is not None and last.upper_bound > 0:
        raise common.invalid(
            "With a positive MetricIntervalUpperBound there must be a step adjustment without MetricIntervalUpperBound."
        )


def present(steps: scaling.StepScaling) -> dict[str, Any]:
    """As DescribeScalingPolicies shows it; a MetricAggregationType that was left to its default isn't in it, as on AWS
    (the AWS CLI's example of describe-scaling-policies), else Terraform would see a difference for ever."""
    return common.given(
        AdjustmentType=steps.adjustment_type,
        StepAdjustments=[
            common.given(
                MetricIntervalLowerBound=step.lower_bound,
                MetricIntervalUpperBound=step.upper_bound,
                ScalingAdjustment=step.adjustment,
            )
            for step in steps.steps
        ],
        MinAdjustmentMagnitude=steps.minimum_magnitude,
        Cooldown=steps.cooldown_seconds,
        MetricAggregationType=steps.aggregation,
    )
