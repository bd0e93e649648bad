"""The names of Application Auto Scaling's things: targets, policies, the alarms' action (behaviour.md 1.1, 1.2)."""

from __future__ import annotations

import re

from roadstead.base import scope as base_scope
from roadstead.model import scaling

ECS_NAMESPACE = "ecs"
ECS_DIMENSION = "ecs:service:DesiredCount"
CUSTOM_NAMESPACE = "custom-resource"
CUSTOM_DIMENSION = "custom-resource:ResourceType:Property"
DIMENSIONS = {ECS_NAMESPACE: ECS_DIMENSION, CUSTOM_NAMESPACE: CUSTOM_DIMENSION}
"""The one dimension that is scaled of each namespace."""
_ENDPOINT = re.compile(
    r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?"
    r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*/scalableTargetDimensions/[A-Za-z0-9._~!$&'()*+,;=:@%-]+"
)


def service_target_key(cluster: str, service: str) -> str:
    """The key of an ECS service's scalable target."""
    return scaling.target_key(ECS_NAMESPACE, f"service/{cluster}/{service}", ECS_DIMENSION)


def service_of(resource_id: str) -> tuple[str, str] | None:
    """(cluster, service) of `service/<cluster>/<service>`; None where the text is none."""
    parts = resource_id.split("/")
    if len(parts) != 3 or parts[0] != "service" or not all(parts):
        return None
    return parts[1], parts[2]


def namespace_of(resource_id: str) -> str:
    """The namespace that a ResourceId must be of: URLs are custom resources, all else ECS's."""
    return CUSTOM_NAMESPACE if "://" in resource_id else ECS_NAMESPACE


def is_endpoint(resource_id: str) -> bool:
    """Whether it is the URL of a custom resource's endpoint: http(s), no user, no query, and AWS's path at its end."""
    return _ENDPOINT.fullmatch(resource_id) is not None


def custom_target_key(url: str) -> str:
    """The key of a custom resource's scalable target."""
    return scaling.target_key(CUSTOM_NAMESPACE, url, CUSTOM_DIMENSION)


def target_arn(scope: base_scope.Scope, target: scaling.ScalableTarget) -> str:
    """`arn:aws:application-autoscaling:region:account:scalable-target/<id>`."""
    return scope.arn("application-autoscaling", f"scalable-target/{target.target_id}")


def policy_arn(scope: base_scope.Scope, policy: scaling.ScalingPolicy) -> str:
    """`arn:aws:autoscaling:region:account:scalingPolicy:<uuid>:resource/ecs/service/<cluster>/<service>:policyName/<name>`."""
    resource = f"resource/{policy.namespace}/{policy.resource_id}"
    return scope.arn("autoscaling", f"scalingPolicy:{policy.policy_id}:{resource}:policyName/{policy.policy_name}")


def scheduled_action_arn(scope: base_scope.Scope, action: scaling.ScheduledAction) -> str:
    """`arn:aws:autoscaling:region:account:scheduledAction:<uuid>:resource/ecs/…:scheduledActionName/<name>`."""
    resource = f"resource/{action.namespace}/{action.resource_id}"
    return scope.arn(
        "autoscaling", f"scheduledAction:{action.action_id}:{resource}:scheduledActionName/{action.action_name}"
    )


def policy_id_of(action: str) -> str | None:
    """The UUID in a scaling policy's ARN; None where the text is none."""
    _, found, rest = action.partition(":scalingPolicy:")
    return rest.partition(":")[0] or None if found else None


def alarm_action(scope: base_scope.Scope, policy: scaling.ScalingPolicy) -> str:
    """The action that a target tracking policy puts on its own alarms: its ARN and `createdBy/<uuid>`."""
    return f"{policy_arn(scope, policy)}:createdBy/{policy.created_by_id}"
