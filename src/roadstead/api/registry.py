"""Every operation that is served: one line a module."""

from __future__ import annotations

from roadstead.api import operation, sts
from roadstead.api.ecs import (
    agent,
    clusters,
    container_instances,
    services,
    task_definitions,
    tasks,
)

_TABLES: tuple[tuple[operation.Operation, ...], ...] = (
    clusters.OPERATIONS,
    task_definitions.OPERATIONS,
    services.OPERATIONS,
    tasks.OPERATIONS,
    container_instances.OPERATIONS,
    agent.OPERATIONS,
    sts.OPERATIONS,
)


def all_operations() -> tuple[operation.Operation, ...]:
    """The whole table; each (service, name) once."""
    return tuple(one for table in _TABLES for one in table)
