"""What is asked of placement, and what it answers: counts first, words last."""

from __future__ import annotations

import msgspec

from roadstead.model import task_definitions, tasks

AGENT = "AGENT"
ATTRIBUTE = "ATTRIBUTE"
DISTINCT_INSTANCE = "distinctInstance"
DRAINING = "DRAINING"
INACTIVE = "INACTIVE"
MEMBER_OF = "memberOf"
RESOURCE_CPU = "RESOURCE:CPU"
RESOURCE_ENI = "RESOURCE:ENI"
RESOURCE_MEMORY = "RESOURCE:MEMORY"
RESOURCE_PORTS = "RESOURCE:PORTS"

HOW_CLOSE = {
    reason: rank
    for rank, reason in enumerate(
        (
            INACTIVE,
            DRAINING,
            AGENT,
            ATTRIBUTE,
            MEMBER_OF,
            DISTINCT_INSTANCE,
            RESOURCE_MEMORY,
            RESOURCE_CPU,
            RESOURCE_PORTS,
            RESOURCE_ENI,
        )
    )
}
"""An instance that fails at a later filter is closer to fitting."""


class PlacementRequest(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """A task that wants an instance. Equal requests are of one class: what was learnt for one serves the next."""

    group: str
    """`service:<name>`, `family:<family>`, or what the caller of RunTask said."""
    resources: tasks.TaskResources
    network_mode: task_definitions.NetworkMode = "bridge"
    constraints: tuple[task_definitions.PlacementConstraint, ...] = ()
    """The task's and its definition's together; their expressions have been parsed once by who accepted them."""
    strategy: tuple[task_definitions.PlacementStrategy, ...] = ()
    """Empty: spread over availability zones, then over instances (behaviour.md 5.11)."""
    required_attributes: tuple[str, ...] = ()


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """The instance that was chosen, and why."""

    instance_id: str
    availability_zone: str
    reason: tasks.PlacementReason
    network_interface: tasks.NetworkInterface | None = None

    def desired(self, now: float) -> tasks.TaskDesired:
        """The desired part of a task that is placed here at `now`."""
        return tasks.TaskDesired(
            container_instance=self.instance_id,
            availability_zone=self.availability_zone,
            placed_at=now,
            placement_reason=self.reason,
            network_interface=self.network_interface,
        )


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why one instance can't take the task."""

    instance_id: str
    reason: str


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """No instance can take the task. Nothing was placed."""

    considered: int
    """Instances of the cluster that are not INACTIVE."""
    counts: dict[str, int]
    """Instances refused for each reason (the first that an instance fails at)."""
    closest: Refusal | None
    """The instance that came closest to fitting; None where there are none."""
    refusals: tuple[Refusal, ...]
    """One for each instance: RunTask's failures."""
