"""Container definitions as a task runs them: with the overrides of RunTask applied (ECS-API ContainerOverride)."""

from __future__ import annotations

import msgspec

from roadstead.model import record, task_definitions, tasks


def effective_containers(
    definition: task_definitions.TaskDefinition, override: tasks.TaskOverride
) -> tuple[task_definitions.ContainerDefinition, ...]:
    """The definition's containers, in its order, each with what the override says of it."""
    if not override.container_overrides:
        return definition.container_definitions
    by_name = {one.name: one for one in override.container_overrides}
    return tuple(
        _effective(container, by_name[container.name]) if container.name in by_name else container
        for container in definition.container_definitions
    )


def _effective(
    container: task_definitions.ContainerDefinition, override: tasks.ContainerOverride
) -> task_definitions.ContainerDefinition:
    environment = {pair.name: pair for pair in (*container.environment, *override.environment)}
    return msgspec.structs.replace(
        container,
        cpu=container.cpu if override.cpu is None else override.cpu,
        memory=container.memory if override.memory is None else override.memory,
        memory_reservation=(
            container.memory_reservation if override.memory_reservation is None else override.memory_reservation
        ),
        command=container.command if override.command is None else override.command,
        environment=tuple[record.KeyValuePair, ...](environment.values()),
    )


def effective_cpu_units(definition: task_definitions.TaskDefinition, override: tasks.TaskOverride) -> int | None:
    """CPU units set for the whole task; None where it sets none."""
    text = override.cpu or definition.cpu
    return int(text) if text else None


def effective_memory_mib(definition: task_definitions.TaskDefinition, override: tasks.TaskOverride) -> int | None:
    """MiB set for the whole task; None where it sets none."""
    text = override.memory or definition.memory
    return int(text) if text else None
