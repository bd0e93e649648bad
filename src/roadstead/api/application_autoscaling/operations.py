"""The table of Application Auto Scaling's operations."""

from __future__ import annotations

import functools
from collections.abc import Callable

from roadstead.api import operation
from roadstead.api.application_autoscaling import (
    activities,
    forecasts,
    load_balancers,
    policies,
    scheduled,
    tags,
    targets,
)
from roadstead.state import view as views

_IDENTITY = ("ServiceNamespace", "ResourceId", "ScalableDimension")
_PAGING = ("MaxResults", "NextToken")
_WHAT_SCALES = "ECS services (ecs:service:DesiredCount) and custom resources (custom-resource:ResourceType:Property)."
_TRACKING = "TargetTrackingScalingPolicyConfiguration"


def operations(
    scale_in_datapoints: int | None = None,
    target_groups: load_balancers.TargetGroups = load_balancers.no_target_groups,
) -> tuple[operation.Operation, ...]:
    """What is served. `scale_in_datapoints` shortens the EvaluationPeriods (15, or 30 at 20 s) of new low alarms;
    `target_groups` says which a service is attached to.
    """
    if scale_in_datapoints is not None and scale_in_datapoints < 1:
        raise ValueError("scale_in_datapoints must be at least 1")
    put = functools.partial(
        policies.put_scaling_policy, scale_in_datapoints=scale_in_datapoints, target_groups=target_groups
    )
    return (*_of_targets(), *_of_policies(put), *_of_scheduled_actions())


def _of_targets() -> tuple[operation.Operation, ...]:
    """Targets, their tags and their activities."""
    return (
        _operation(
            "RegisterScalableTarget",
            targets.register_scalable_target,
            (*_IDENTITY, "MinCapacity", "MaxCapacity", "RoleARN", "SuspendedState", "Tags"),
            f"{_WHAT_SCALES} A custom resource's endpoint is asked after the answer, not before. Targets always have "
            "the service-linked role, whatever RoleARN says.",
        ),
        _operation("DeregisterScalableTarget", targets.deregister_scalable_target, _IDENTITY, _WHAT_SCALES),
        _operation(
            "DescribeScalableTargets",
            targets.describe_scalable_targets,
            ("ServiceNamespace", "ResourceIds", "ScalableDimension", *_PAGING),
        ),
        _operation(
            "TagResource",
            tags.tag_resource,
            ("ResourceARN", "Tags"),
            "Keys that begin with roadstead: are options of target tracking (docs/decisions/0023-options-as-tags.md).",
        ),
        _operation("UntagResource", tags.untag_resource, ("ResourceARN", "TagKeys")),
        _operation("ListTagsForResource", tags.list_tags_for_resource, ("ResourceARN",)),
        _operation(
            "DescribeScalingActivities",
            activities.describe_scaling_activities,
            (*_IDENTITY, "IncludeNotScaledActivities", *_PAGING),
        ),
    )


def _of_policies(put: Callable[[operation.Call, views.View], operation.Reply]) -> tuple[operation.Operation, ...]:
    return (
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
                "PredictiveScalingPolicyConfiguration",
            ),
            f"{_WHAT_SCALES} Of the latter no PredictiveScaling. --scale-in-datapoints shortens low alarms.",
        ),
        _operation("DeleteScalingPolicy", policies.delete_scaling_policy, (*_IDENTITY, "PolicyName"), _WHAT_SCALES),
        _operation(
            "DescribeScalingPolicies",
            policies.describe_scaling_policies,
            (*_IDENTITY, "PolicyNames", *_PAGING),
        ),
        _operation(
            "GetPredictiveScalingForecast",
            forecasts.get_predictive_scaling_forecast,
            (*_IDENTITY, "PolicyName", "StartTime", "EndTime"),
            "Hours that have begun as they were expected then; both lists are empty before the first forecast.",
        ),
    )


def _of_scheduled_actions() -> tuple[operation.Operation, ...]:
    return (
        _operation(
            "PutScheduledAction",
            scheduled.put_scheduled_action,
            (
                *_IDENTITY,
                "ScheduledActionName",
                "Schedule",
                "Timezone",
                "StartTime",
                "EndTime",
                "ScalableTargetAction",
            ),
            f"{_WHAT_SCALES} What was missed while the server was down is made up for at its start: each action's "
            "newest time, in order. Days of the week count from 1 = SUN, as in EventBridge.",
        ),
        _operation(
            "DeleteScheduledAction",
            scheduled.delete_scheduled_action,
            (*_IDENTITY, "ScheduledActionName"),
            _WHAT_SCALES,
        ),
        _operation(
            "DescribeScheduledActions",
            scheduled.describe_scheduled_actions,
            (*_IDENTITY, "ScheduledActionNames", *_PAGING),
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
