"""What scaling knows of load balancers: resource labels, and the port that says which target groups a service has.

In: the ResourceLabel of a predefined metric (target tracking's ALBRequestCountPerTarget, and every other one that
counts a load balancer's requests). Out: the load balancer and target group that it names, checked against the service
(behaviour.md 1.1.2, 1.3.1).
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec

from roadstead.api.application_autoscaling import common
from roadstead.model import services

NAMESPACE = "AWS/ApplicationELB"
LABEL_SEGMENTS = 6

TargetGroups = Callable[[services.Service], Collection[str]]
"""The target groups that a service is attached to, each as `targetgroup/<name>/<id>`."""


def no_target_groups(service: services.Service) -> Collection[str]:
    """CreateService takes no loadBalancers yet, so no service has a target group."""
    return ()


class ResourceLabel(msgspec.Struct, frozen=True, kw_only=True):
    """A target group behind a load balancer."""

    load_balancer: str
    """`app/<name>/<id>`."""
    target_group: str
    """`targetgroup/<name>/<id>`."""

    @property
    def dimensions(self) -> tuple[tuple[str, str], ...]:
        """Those of the target group's metrics in AWS/ApplicationELB."""
        return (("LoadBalancer", self.load_balancer), ("TargetGroup", self.target_group))


def parse(label: str) -> ResourceLabel | None:
    """`app/<lb-name>/<lb-id>/targetgroup/<tg-name>/<tg-id>`, none of it empty; None where it isn't that."""
    parts = label.split("/")
    if len(parts) != LABEL_SEGMENTS or not all(parts) or parts[0] != "app" or parts[3] != "targetgroup":
        return None
    return ResourceLabel(load_balancer="/".join(parts[:3]), target_group="/".join(parts[3:]))


def attached(
    label: str | None,
    metric_type: str,
    service: services.Service | None,
    identity: common.Identity,
    target_groups: TargetGroups,
) -> ResourceLabel:
    """What the label of a predefined metric `metric_type` names, where the service is attached to it.

    Raises Refusal (ValidationException) with AWS's texts (behaviour.md 1.1.2). A service that doesn't exist any more
    has no target group either. With CODE_DEPLOY AWS refuses these metrics; here CreateService refuses CODE_DEPLOY.
    """
    if label is None:
        raise common.invalid(f"Resource label should be specified for predefined metric type {metric_type}")
    named = parse(label)
    if named is None:
        raise common.invalid(f"Invalid resource label '{label}' for predefined metric type {metric_type}")
    if service is None or named.target_group not in target_groups(service):
        raise common.invalid(f"Target group {named.target_group} is not attached to resource {identity.resource_id}")
    return named
