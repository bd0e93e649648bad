"""Custom resources: what Application Auto Scaling scales through a user's own HTTP endpoint (decision 0022)."""

from __future__ import annotations

from typing import Literal

from roadstead.model import record

ScalingStatus = Literal["Pending", "InProgress", "Successful", "Failed"]
"""What an endpoint says of its newest scaling action."""


class WantedCapacity(record.Value, frozen=True, kw_only=True):
    """A desired capacity that the endpoint is to be told."""

    capacity: int
    at: float
    """When it was decided: another decision for the same capacity is told again."""


class CustomResourceObserved(record.Value, frozen=True, kw_only=True):
    """What the endpoint said last, and how well it answers."""

    actual_capacity: int | None = None
    """None until the first answer; from then on neither this nor `desired_capacity` is None."""
    desired_capacity: int | None = None
    scaling_status: ScalingStatus = "Successful"
    failure_reason: str | None = None
    """The endpoint's, with `scaling_status` Failed."""
    resource_name: str | None = None
    dimension_name: str | None = None
    version: str | None = None
    settled: WantedCapacity | None = None
    """The newest wanted capacity that the endpoint has taken or refused: it isn't told again."""
    refusal: str | None = None
    """Why it refused the one in `settled`; None where it took it."""
    failures: int = 0
    """Requests in a row that got no usable answer."""
    failing_since: float | None = None
    failed_at: float | None = None
    """When the newest of them failed."""
    problem: str | None = None
    """Why it failed."""


class CustomResource(record.Record, frozen=True, kw_only=True):
    """Made and removed by the API, with its scalable target."""

    url: str
    """The endpoint, which is the target's resource id."""
    created_at: float
    wanted: WantedCapacity | None = None
    """Written by `control.service_scaling`; None until it first decides: the endpoint's own capacity holds."""
    observed: CustomResourceObserved = CustomResourceObserved()
    """Written by `control.custom_resources`, of what its shell hears."""

    @property
    def key(self) -> str:
        return self.url

    @property
    def is_pending(self) -> bool:
        """Whether the endpoint still has to be told the wanted capacity."""
        return self.wanted is not None and self.wanted != self.observed.settled

    @property
    def desired_capacity(self) -> int | None:
        """The wanted one until the endpoint has settled it, then the endpoint's own, which a user may change there."""
        if self.wanted is not None and self.is_pending:
            return self.wanted.capacity
        return self.observed.desired_capacity
