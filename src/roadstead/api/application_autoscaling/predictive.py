"""A predictive scaling configuration: what it may be, and how it is shown (behaviour.md 1.6)."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, Literal

from roadstead.api.application_autoscaling import common, load_balancers, metric_math, tracking
from roadstead.control import predictive_metrics
from roadstead.model import alarms, predictive, scaling, scaling_names, services
from roadstead.signals.math import problems

BUFFER_SECONDS_MAX = 3600
"""An hour: what a forecast is made for."""
MAX_CAPACITY_BUFFER_MAX = 100
PAIR = "PredefinedMetricPairSpecification"
INCREASE: Literal["IncreaseMaxCapacity"] = "IncreaseMaxCapacity"


def configuration(
    wanted: Any,
    target: scaling.ScalableTarget,
    service: services.Service | None,
    identity: common.Identity,
    target_groups: load_balancers.TargetGroups,
) -> predictive.PredictiveScaling:
    """PredictiveScalingPolicyConfiguration, checked."""
    if identity.namespace != scaling_names.ECS_NAMESPACE:
        raise common.invalid(f"PolicyType PredictiveScaling is not supported for {identity.dimension}.")
    if wanted is None:
        raise common.invalid("PredictiveScalingPolicyConfiguration is required for PredictiveScaling policies.")
    check_role(target.custom_role_arn)
    if len(wanted.MetricSpecifications) != 1:
        raise common.invalid("Exactly one metric specification must be specified in MetricSpecifications.")
    specification = wanted.MetricSpecifications[0]
    if not math.isfinite(specification.TargetValue) or not 0 < specification.TargetValue <= tracking.TARGET_VALUE_MAX:
        raise common.invalid("TargetValue must be greater than 0, and at most 2^360.")
    increases = wanted.MaxCapacityBreachBehavior == INCREASE
    return predictive.PredictiveScaling(
        target_value=specification.TargetValue,
        metrics=_Metrics(specification, service, identity, target_groups).read(),
        mode=wanted.Mode or "ForecastOnly",
        buffer_seconds=_buffer_seconds(wanted.SchedulingBufferTime),
        max_capacity_breach=INCREASE if increases else "HonorMaxCapacity",
        max_capacity_buffer_percent=_max_capacity_buffer(wanted.MaxCapacityBuffer, increases),
    )


def check_role(custom_role_arn: str | None) -> None:
    """Refuses a target whose RoleARN isn't the service-linked role (behaviour.md 1.6)."""
    if custom_role_arn is not None:
        raise common.invalid(
            "Predictive scaling works with the service-linked role only: the scalable target was registered with the "
            f"RoleARN {custom_role_arn}."
        )


def _buffer_seconds(given: int | None) -> int:
    if given is None:
        return predictive.BUFFER_SECONDS_DEFAULT
    if not 0 <= given <= BUFFER_SECONDS_MAX:
        raise common.invalid(f"SchedulingBufferTime must be between 0 and {BUFFER_SECONDS_MAX}.")
    return given


def _max_capacity_buffer(given: int | None, increases: bool) -> int | None:
    if not increases:
        if given is not None:
            raise common.invalid(f"MaxCapacityBuffer can only be specified if MaxCapacityBreachBehavior is {INCREASE}.")
        return None
    if given is None:
        raise common.invalid(f"MaxCapacityBuffer must be specified if MaxCapacityBreachBehavior is {INCREASE}.")
    if not 0 <= given <= MAX_CAPACITY_BUFFER_MAX:
        raise common.invalid(f"MaxCapacityBuffer must be between 0 and {MAX_CAPACITY_BUFFER_MAX}.")
    return given


class _Metrics:
    """A metric specification's metrics, on their way into a record."""

    def __init__(
        self,
        wanted: Any,
        service: services.Service | None,
        identity: common.Identity,
        target_groups: load_balancers.TargetGroups,
    ) -> None:
        self._wanted = wanted
        self._attached = (service, identity, target_groups)

    def read(self) -> predictive.PredictiveMetrics:
        """A metric pair, or one load and one scaling metric."""
        wanted = self._wanted
        load = self._one("Load", predictive_metrics.LOADS)
        scaled = self._one("Scaling", predictive_metrics.SCALINGS)
        pair, capacity = wanted.PredefinedMetricPairSpecification, wanted.CustomizedCapacityMetricSpecification
        if (pair is None) == (load is None and scaled is None):
            raise common.invalid(f"Either {PAIR}, or a load metric and a scaling metric must be specified.")
        if pair is not None:
            if capacity is not None:
                raise common.invalid(f"{PAIR} can not be specified together with other metrics.")
            return predictive.PredictiveMetrics(pair=self._predefined(pair, PAIR, predictive_metrics.PAIRS))
        if load is None or scaled is None:
            raise common.invalid("A load metric and a scaling metric must be specified together.")
        if capacity is not None and not scaled.queries:
            raise common.invalid(
                "CustomizedCapacityMetricSpecification can only be specified with CustomizedScalingMetricSpecification."
            )
        counted = _customized(capacity, "CustomizedCapacityMetricSpecification") if capacity is not None else None
        return predictive.PredictiveMetrics(load=load, scaling=scaled, capacity=counted)

    def _one(self, role: str, names: Collection[str]) -> predictive.PredictiveMetric | None:
        """The load or the scaling metric: predefined, or customized, or none."""
        member, other = f"Predefined{role}MetricSpecification", f"Customized{role}MetricSpecification"
        predefined, customized = getattr(self._wanted, member), getattr(self._wanted, other)
        if predefined is not None and customized is not None:
            raise common.invalid(f"Only one of {member} and {other} can be specified.")
        if predefined is not None:
            return self._predefined(predefined, member, names)
        return _customized(customized, other) if customized is not None else None

    def _predefined(self, wanted: Any, member: str, names: Collection[str]) -> predictive.PredictiveMetric:
        name, label = wanted.PredefinedMetricType, wanted.ResourceLabel
        if name not in names:
            known = ", ".join(sorted(names))
            raise common.invalid(f"The predefined metric type {name} can not be used in {member}: use one of {known}.")
        if name in predictive_metrics.ALB_TYPES:
            named = load_balancers.attached(label, name, *self._attached)
            return predictive.PredictiveMetric(predefined=name, target_group=named.dimensions, resource_label=label)
        if label is not None:
            raise common.invalid(f"Resource label should not be specified for predefined metric type {name}")
        return predictive.PredictiveMetric(predefined=name)


def _customized(wanted: Any, member: str) -> predictive.PredictiveMetric:
    if not wanted.MetricDataQueries:
        raise common.invalid(f"{member} needs MetricDataQueries.")
    queries = metric_math.queries_from(wanted.MetricDataQueries, expression_period_seconds=None)
    try:
        predictive_metrics.check(queries)
    except problems.MathError as problem:
        raise common.invalid(problem.text) from None
    return predictive.PredictiveMetric(queries=queries)


def present(configured: predictive.PredictiveScaling) -> dict[str, Any]:
    """As DescribeScalingPolicies shows it; members that were left to their defaults with those."""
    return common.given(
        MetricSpecifications=[present_specification(configured)],
        Mode=configured.mode,
        SchedulingBufferTime=configured.buffer_seconds,
        MaxCapacityBreachBehavior=configured.max_capacity_breach,
        MaxCapacityBuffer=configured.max_capacity_buffer_percent,
    )


def present_specification(configured: predictive.PredictiveScaling) -> dict[str, Any]:
    """The metric specification."""
    metrics = configured.metrics
    shown: dict[str, Any] = {"TargetValue": configured.target_value}
    if metrics.pair is not None:
        shown[PAIR] = _present_predefined(metrics.pair)
    for role, one in (("Load", metrics.load), ("Scaling", metrics.scaling), ("Capacity", metrics.capacity)):
        if one is None:
            continue
        if one.predefined is not None:
            shown[f"Predefined{role}MetricSpecification"] = _present_predefined(one)
        else:
            shown[f"Customized{role}MetricSpecification"] = {"MetricDataQueries": _present_queries(one.queries)}
    return shown


def _present_predefined(one: predictive.PredictiveMetric) -> dict[str, Any]:
    return common.given(PredefinedMetricType=one.predefined, ResourceLabel=one.resource_label)


def _present_queries(queries: tuple[alarms.MetricQuery, ...]) -> list[dict[str, Any]]:
    return [metric_math.present(query) for query in queries]
