"""How much a task takes from its instance: worked out once, when it is made."""

from __future__ import annotations

from roadstead.model import task_definitions, tasks


def resources_of(
    definition: task_definitions.TaskDefinition, overrides: tasks.TaskOverride | None = None
) -> tasks.TaskResources:
    """CPU units, MiB and fixed host ports of a task (behaviour.md 5.11; ECS-API TaskDefinition cpu, memory).

    A task-level size wins over the sum of the containers; of a container counts its soft memory limit where it has one,
    else its hard one. Overrides win over the definition; their task-level sizes are integers in text, as stored.
    """
    overrides = overrides or tasks.TaskOverride()
    by_name = {one.name: one for one in overrides.container_overrides if one.name is not None}
    cpu = overrides.cpu or definition.cpu
    memory = overrides.memory or definition.memory
    return tasks.TaskResources(
        cpu_units=int(cpu)
        if cpu
        else sum(_cpu_units(one, by_name.get(one.name)) for one in definition.container_definitions),
        memory_mib=int(memory)
        if memory
        else sum(_memory_mib(one, by_name.get(one.name)) for one in definition.container_definitions),
        host_ports=_fixed_host_ports(definition),
    )


def _cpu_units(container: task_definitions.ContainerDefinition, override: tasks.ContainerOverride | None) -> int:
    if override is not None and override.cpu is not None:
        return override.cpu
    return container.cpu


def _memory_mib(container: task_definitions.ContainerDefinition, override: tasks.ContainerOverride | None) -> int:
    soft, hard = container.memory_reservation, container.memory
    if override is not None:
        soft = override.memory_reservation if override.memory_reservation is not None else soft
        hard = override.memory if override.memory is not None else hard
    return soft if soft is not None else hard or 0


def _fixed_host_ports(definition: task_definitions.TaskDefinition) -> tuple[tasks.HostPort, ...]:
    """Ports of the instance that must be free: named ones in bridge mode, every one in host mode."""
    mode = definition.effective_network_mode
    if mode not in ("bridge", "host"):
        return ()
    ports = set()
    for container in definition.container_definitions:
        for mapping in container.port_mappings:
            port = mapping.host_port or (mapping.container_port if mode == "host" else 0)
            if port:
                ports.add(tasks.HostPort(port=port, protocol=mapping.protocol))
    return tuple(sorted(ports))
