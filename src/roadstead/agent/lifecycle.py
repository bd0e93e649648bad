"""Life-cycle ladders inside the agent: tables (behaviour.md 5.9; design.md, law 4). States only climb."""

from __future__ import annotations

from typing import Literal

TaskStatus = Literal["NONE", "ADMITTED", "RUNNING", "ENDED", "CLEANED"]
"""NONE waits for room on the instance; ENDED has no live container; CLEANED has given everything back."""
TASK_LADDER: tuple[TaskStatus, ...] = ("NONE", "ADMITTED", "RUNNING", "ENDED", "CLEANED")
TASK_RANK: dict[str, int] = {status: rank for rank, status in enumerate(TASK_LADDER)}

ContainerStatus = Literal["NONE", "PULLED", "CREATED", "RUNNING", "STOPPED"]
"""A restart in place (restart policy) leaves a container RUNNING, as Amazon's agent does."""
CONTAINER_LADDER: tuple[ContainerStatus, ...] = ("NONE", "PULLED", "CREATED", "RUNNING", "STOPPED")
CONTAINER_RANK: dict[str, int] = {status: rank for rank, status in enumerate(CONTAINER_LADDER)}

SentStatus = Literal["NONE", "PENDING", "RUNNING", "STOPPED"]
"""What the control plane has been told."""
SENT_RANK: dict[str, int] = {"NONE": 0, "PENDING": 1, "RUNNING": 2, "STOPPED": 3}

SandboxStatus = Literal["NONE", "MAKING", "MADE", "GONE"]
Verb = Literal["pull", "create", "start"]
"""A verb of the runtime whose outcome is awaited."""


def container_reached(status: ContainerStatus, at_least: ContainerStatus) -> bool:
    """Whether a container is at a rung or above it."""
    return CONTAINER_RANK[status] >= CONTAINER_RANK[at_least]


def task_reached(status: TaskStatus, at_least: TaskStatus) -> bool:
    """Whether a task is at a rung or above it."""
    return TASK_RANK[status] >= TASK_RANK[at_least]
