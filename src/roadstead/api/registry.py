"""Every operation that is served: one line a module."""

from __future__ import annotations

from roadstead.api import operation, sts
from roadstead.api.application_autoscaling import operations as application_autoscaling
from roadstead.api.cloudwatch import operations as cloudwatch
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
    cloudwatch.OPERATIONS,
    sts.OPERATIONS,
)


def all_operations(scale_in_datapoints: int | None = None) -> tuple[operation.Operation, ...]:
    """The whole table; each (service, name) once. `scale_in_datapoints` is the server's setting of that name."""
    tables = (*_TABLES, application_autoscaling.operations(scale_in_datapoints))
    return tuple(one for table in tables for one in table)
