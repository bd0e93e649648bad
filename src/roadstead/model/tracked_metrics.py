"""The metrics that AWS predefines for target tracking, and the resource labels of those of load balancers (1.3.1)."""

from __future__ import annotations

import msgspec

PREDEFINED = {
    "ECSServiceAverageCPUUtilization": ("CPUUtilization", 60),
    "ECSServiceAverageMemoryUtilization": ("MemoryUtilization", 60),
    "ECSServiceAverageCPUUtilizationHighResolution": ("CPUUtilization", 20),
    "ECSServiceAverageMemoryUtilizationHighResolution": ("MemoryUtilization", 20),
}
"""PredefinedMetricType → the metric in AWS/ECS, and the alarms' period in seconds."""
LOAD_BALANCER_NAMESPACE = "AWS/ApplicationELB"
LABEL_SEGMENTS = 6


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


def parse_label(label: str) -> ResourceLabel | None:
    """`app/<lb-name>/<lb-id>/targetgroup/<tg-name>/<tg-id>`, none of it empty; None where it isn't that."""
    parts = label.split("/")
    if len(parts) != LABEL_SEGMENTS or not all(parts) or parts[0] != "app" or parts[3] != "targetgroup":
        return None
    return ResourceLabel(load_balancer="/".join(parts[:3]), target_group="/".join(parts[3:]))
