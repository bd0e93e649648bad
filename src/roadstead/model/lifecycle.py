"""Life-cycle states and the moves that are allowed: tables, in one place. States only climb (design.md, law 4).

The diagrams in docs/lifecycles.md are drawn from these tables, and `model.invariants` holds every commit to them.
"""

from __future__ import annotations

from typing import Literal

TaskStatus = Literal[
    "PROVISIONING",
    "PENDING",
    "ACTIVATING",
    "RUNNING",
    "DEACTIVATING",
    "STOPPING",
    "DEPROVISIONING",
    "STOPPED",
    "DELETED",
]
ContainerStatus = Literal["PENDING", "RUNNING", "STOPPED"]
ServiceStatus = Literal["ACTIVE", "DRAINING", "INACTIVE"]
RolloutState = Literal["IN_PROGRESS", "COMPLETED", "FAILED"]

TASK_LADDER: tuple[TaskStatus, ...] = (
    "PROVISIONING",
    "PENDING",
    "ACTIVATING",
    "RUNNING",
    "DEACTIVATING",
    "STOPPING",
    "DEPROVISIONING",
    "STOPPED",
    "DELETED",
)
"""behaviour.md 5.9. A task may skip rungs, it never goes down."""

TASK_RANK: dict[str, int] = {status: rank for rank, status in enumerate(TASK_LADDER)}
TASK_ENDED = frozenset({"STOPPED", "DELETED"})
TASK_STARTING = frozenset({"PROVISIONING", "PENDING", "ACTIVATING"})
"""These count as pendingCount."""

CONTAINER_LADDER: tuple[ContainerStatus, ...] = ("PENDING", "RUNNING", "STOPPED")
CONTAINER_RANK: dict[str, int] = {status: rank for rank, status in enumerate(CONTAINER_LADDER)}
CONTAINER_MOVES: frozenset[tuple[str, str]] = frozenset(
    {("PENDING", "RUNNING"), ("PENDING", "STOPPED"), ("RUNNING", "STOPPED"), ("STOPPED", "RUNNING")}
)
"""STOPPED → RUNNING is a restart in place under a restart policy (behaviour.md 5.9), and only then."""

SERVICE_MOVES: frozenset[tuple[str, str]] = frozenset(
    {("ACTIVE", "DRAINING"), ("ACTIVE", "INACTIVE"), ("DRAINING", "INACTIVE")}
)

ROLLOUT_MOVES: frozenset[tuple[str, str]] = frozenset(
    {("IN_PROGRESS", "COMPLETED"), ("IN_PROGRESS", "FAILED"), ("COMPLETED", "IN_PROGRESS")}
)
"""COMPLETED → IN_PROGRESS is a rollback to a completed deployment (behaviour.md 5.3)."""


def task_may_move(before: str, after: str) -> bool:
    """Whether a task may go from one status to another: up the ladder, or staying."""
    return TASK_RANK[after] >= TASK_RANK[before]
