"""What scaling knows of load balancers: resource labels, and the port that says which target groups a service has.

In: the ResourceLabel of a predefined metric (target tracking's ALBRequestCountPerTarget, and every other one that
counts a load balancer's requests). Out: the load balancer and target group that it names, checked against the service
(behaviour.md 1.1.2, 1.3.1).
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from roadstead.api.application_autoscaling import common
from roadstead.model import services, tracked_metrics

TargetGroups = Callable[[services.Service], Collection[str]]
"""The target groups that a service is attached to, each as `targetgroup/<name>/<id>`."""


def no_target_groups(service: services.Service) -> Collection[str]:
    """CreateService takes no loadBalancers yet, so no service has a target group."""
    return ()


def attached(
    label: str | None,
    metric_type: str,
    service: services.Service | None,
    identity: common.Identity,
    target_groups: TargetGroups,
) -> tracked_metrics.ResourceLabel:
    """What the label of a predefined metric `metric_type` names, where the service is attached to it.

    Raises Refusal (ValidationException) with AWS's texts (behaviour.md 1.1.2). A service that doesn't exist any more
    has no target group either. With CODE_DEPLOY AWS refuses these metrics; here CreateService refuses CODE_DEPLOY.
    """
    if label is None:
        raise common.invalid(f"Resource label should be specified for predefined metric type {metric_type}")
    named = tracked_metrics.parse_label(label)
    if named is None:
        raise common.invalid(f"Invalid resource label '{label}' for predefined metric type {metric_type}")
    if service is None or named.target_group not in target_groups(service):
        raise common.invalid(f"Target group {named.target_group} is not attached to resource {identity.resource_id}")
    return named
