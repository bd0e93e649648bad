"""DescribeScalingActivities (behaviour.md 1.7)."""

from __future__ import annotations

from typing import Any

from roadstead.api import operation
from roadstead.api.application_autoscaling import common
from roadstead.model import scaling, scaling_names, tables
from roadstead.state import view as views

ACTIVITIES_PAGE_MAX = 50


def describe_scaling_activities(call: operation.Call, view: views.View) -> operation.Reply:
    """Newest first; those that changed nothing only with IncludeNotScaledActivities."""
    params = call.params
    common.check_filters(params.ResourceId, params.ScalableDimension)
    namespace, resource, dimension = params.ServiceNamespace, params.ResourceId, params.ScalableDimension
    everything = bool(params.IncludeNotScaledActivities)
    group: tables.Group = (namespace,)
    if resource is not None:
        known = scaling_names.DIMENSIONS.get(namespace, "")
        group = (scaling.target_key(namespace, resource, dimension or known),)
    found, token = common.read_page(
        view,
        tables.SCALING_ACTIVITIES,
        "newest_first",
        group,
        query=f"DescribeScalingActivities {group[0]} {everything}",
        token=params.NextToken,
        max_results=params.MaxResults,
        limit=ACTIVITIES_PAGE_MAX,
        matches=lambda one: everything or not one.not_scaled,
    )
    return operation.Reply(output=common.given(ScalingActivities=[_present(one) for one in found], NextToken=token))


def _present(activity: scaling.ScalingActivity) -> dict[str, Any]:
    reasons = [
        common.given(
            Code=reason.code,
            MaxCapacity=reason.max_capacity,
            MinCapacity=reason.min_capacity,
            CurrentCapacity=reason.current_capacity,
        )
        for reason in activity.not_scaled
    ]
    return common.given(
        ActivityId=activity.activity_id,
        ServiceNamespace=activity.namespace,
        ResourceId=activity.resource_id,
        ScalableDimension=activity.dimension,
        Description=activity.description,
        Cause=activity.cause,
        StartTime=activity.started_at,
        EndTime=activity.ended_at,
        StatusCode=activity.status,
        StatusMessage=activity.status_message,
        Details=activity.details,
        NotScaledReasons=reasons or None,
    )
