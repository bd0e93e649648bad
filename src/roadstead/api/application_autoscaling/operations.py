"""The table of Application Auto Scaling's operations."""

from __future__ import annotations

import functools
from collections.abc import Callable

from roadstead.api import operation
from roadstead.api.application_autoscaling import activities, policies, targets
from roadstead.state import view as views

_IDENTITY = ("ServiceNamespace", "ResourceId", "ScalableDimension")
_TRACKING = "TargetTrackingScalingPolicyConfiguration"


def operations(scale_in_datapoints: int | None = None) -> tuple[operation.Operation, ...]:
    """What is served. `scale_in_datapoints` shortens the EvaluationPeriods (15, or 30 at 20 s) of new low alarms."""
    if scale_in_datapoints is not None and scale_in_datapoints < 1:
        raise ValueError("scale_in_datapoints must be at least 1")
    put = functools.partial(policies.put_scaling_policy, scale_in_datapoints=scale_in_datapoints)
    only_ecs = "ECS services only (ecs:service:DesiredCount)."
    paging = ("MaxResults", "NextToken")
    return (
        _operation(
            "RegisterScalableTarget",
            targets.register_scalable_target,
            (*_IDENTITY, "MinCapacity", "MaxCapacity", "RoleARN", "SuspendedState", "Tags"),
            f"{only_ecs} As on AWS, ECS targets always have the service-linked role, whatever RoleARN says.",
        ),
        _operation("DeregisterScalableTarget", targets.deregister_scalable_target, _IDENTITY, only_ecs),
        _operation(
            "DescribeScalableTargets",
            targets.describe_scalable_targets,
            ("ServiceNamespace", "ResourceIds", "ScalableDimension", *paging),
        ),
        _operation(
            "PutScalingPolicy",
            put,
            (
                *_IDENTITY,
                "PolicyName",
                "PolicyType",
                f"{_TRACKING}.TargetValue",
                f"{_TRACKING}.PredefinedMetricSpecification",
                *(
                    f"{_TRACKING}.CustomizedMetricSpecification.{member}"
                    for member in ("MetricName", "Namespace", "Dimensions", "Statistic", "Unit", "Metrics")
                ),
                f"{_TRACKING}.ScaleOutCooldown",
                f"{_TRACKING}.ScaleInCooldown",
                f"{_TRACKING}.DisableScaleIn",
                "StepScalingPolicyConfiguration",
            ),
            f"{only_ecs} StepScaling and TargetTrackingScaling. --scale-in-datapoints shortens low alarms.",
        ),
        _operation("DeleteScalingPolicy", policies.delete_scaling_policy, (*_IDENTITY, "PolicyName"), only_ecs),
        _operation(
            "DescribeScalingPolicies",
            policies.describe_scaling_policies,
            (*_IDENTITY, "PolicyNames", *paging),
        ),
        _operation(
            "DescribeScalingActivities",
            activities.describe_scaling_activities,
            (*_IDENTITY, "IncludeNotScaledActivities", *paging),
        ),
    )


def _operation(
    name: str,
    decide: Callable[[operation.Call, views.View], operation.Reply],
    accepts: tuple[str, ...],
    note: str = "",
) -> operation.Operation:
    return operation.Operation(
        service="application-autoscaling", name=name, decide=decide, accepts=frozenset(accepts), note=note
    )
