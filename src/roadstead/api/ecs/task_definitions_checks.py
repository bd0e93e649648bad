"""RegisterTaskDefinition's rules (ECS-API; behaviour.md 5.9, 5.11, 5.15). All refusals are ClientExceptions.

Texts that AWS is known to send are used word for word; the others say what is wrong and with which container.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from roadstead.api.ecs import common
from roadstead.api.ecs import task_definitions_containers as containers_checks
from roadstead.api.ecs import task_definitions_sizes as sizes
from roadstead.base import errors
from roadstead.control.placement import query
from roadstead.model import task_definitions

NAME_LENGTH_MAX = 255
CONTAINERS_MAX = 10
"""Containers of one task definition (ECS quotas)."""
DEFINITION_BYTES_MAX = 65_536
"""A task definition as JSON (ECS quotas)."""
PLACEMENT_CONSTRAINTS_MAX = 10
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_VOLUME_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def check_family(family: str) -> None:
    """Refuses what can't name a family."""
    if not family:
        raise common.client_error("Family should not be null or empty.")
    if _NAME.fullmatch(family) is None:
        raise common.client_error("Family contains invalid characters.")
    if len(family) > NAME_LENGTH_MAX:
        raise common.client_error(f"Family can not be longer than {NAME_LENGTH_MAX} characters.")


def check_container_names(found: Sequence[tuple[str | None, str | None]]) -> None:
    """Refuses missing or malformed (name, image) pairs; before anything else can name a container."""
    if not found:
        raise common.client_error("Container list cannot be empty.")
    if len(found) > CONTAINERS_MAX:
        raise common.client_error(f"A task definition can have at most {CONTAINERS_MAX} containers.")
    seen: set[str] = set()
    for name, image in found:
        if not name:
            raise common.client_error("Container.name should not be null or empty.")
        if _NAME.fullmatch(name) is None:
            raise common.client_error("Container.name contains invalid characters.")
        if len(name) > NAME_LENGTH_MAX:
            raise common.client_error(f"Container.name can not be longer than {NAME_LENGTH_MAX} characters.")
        if name in seen:
            raise common.client_error(
                f"Container.name must be unique within a task definition: '{name}' is given twice."
            )
        seen.add(name)
        containers_checks.check_image(image)


def check_definition(definition: task_definitions.TaskDefinition) -> None:
    """Refuses a definition that breaks a rule. `cpu` and `memory` are already whole numbers in text."""
    found = definition.container_definitions
    if not any(container.is_essential for container in found):
        raise common.client_error("Invalid setting for task definition. At least one container must be essential.")
    volumes = _check_volumes(definition.volumes)
    for container in found:
        containers_checks.check_container(container, definition.effective_network_mode, volumes)
    _check_sizes(definition)
    _check_dependencies(found)
    _check_host_ports(found)
    _check_port_names(found)
    check_placement_constraints(definition.placement_constraints, ("memberOf",))
    if "FARGATE" in definition.requires_compatibilities:
        sizes.check_fargate(definition)


def check_length(length_bytes: int) -> None:
    """Refuses a definition whose JSON is longer than ECS keeps."""
    if length_bytes > DEFINITION_BYTES_MAX:
        raise common.client_error(
            f"Actual length: '{length_bytes}'. Max allowed length is '{DEFINITION_BYTES_MAX}' bytes."
        )


def check_compatibilities(asked: Iterable[str]) -> None:
    """Refuses launch types that this server can never run."""
    for launch_type in asked:
        if launch_type not in ("EC2", "FARGATE"):
            raise common.client_error(f"requiresCompatibilities: {launch_type} is not supported by this server.")


def check_placement_constraints(
    constraints: Sequence[task_definitions.PlacementConstraint], allowed: Sequence[str]
) -> None:
    """Refuses placement constraints that are too many, of a kind that isn't `allowed` here, or half given."""
    if len(constraints) > PLACEMENT_CONSTRAINTS_MAX:
        raise common.client_error(f"At most {PLACEMENT_CONSTRAINTS_MAX} placement constraints can be given.")
    for constraint in constraints:
        if constraint.type not in allowed:
            raise common.client_error(f"The placement constraint {constraint.type} can not be used here.")
        if constraint.type == "memberOf" and not (constraint.expression or "").strip():
            raise common.client_error("The placement constraint memberOf requires an expression.")
        if constraint.type == "distinctInstance" and constraint.expression:
            raise common.client_error("The placement constraint distinctInstance takes no expression.")
        if constraint.type == "memberOf":
            _check_expression(constraint.expression or "")


def _check_expression(text: str) -> None:
    """Refuses what is no cluster query: whoever places the tasks later relies on it."""
    try:
        query.parse(text)
    except query.InvalidExpression as problem:
        raise common.client_error(f"Invalid placement constraint expression: {problem}") from problem


def _check_volumes(volumes: Sequence[task_definitions.Volume]) -> set[str]:
    names: set[str] = set()
    for volume in volumes:
        if not volume.name:
            raise common.client_error("Volume.name should not be null or empty.")
        if len(volume.name) > NAME_LENGTH_MAX or _VOLUME_NAME.fullmatch(volume.name) is None:
            raise common.client_error("Volume.name contains invalid characters.")
        if volume.name in names:
            raise common.client_error(f"Volume.name must be unique: '{volume.name}' is given twice.")
        names.add(volume.name)
        path = volume.host.source_path if volume.host is not None else None
        if path and not path.startswith("/"):
            raise common.client_error(f"The sourcePath of volume '{volume.name}' must be an absolute path.")
    return names


def _check_sizes(definition: task_definitions.TaskDefinition) -> None:
    found = definition.container_definitions
    if definition.memory is None:
        for container in found:
            if container.memory is None and container.memory_reservation is None:
                raise containers_checks.refusal(
                    container, "At least one of 'memory' or 'memoryReservation' must be specified."
                )
    else:
        limit = int(definition.memory)
        if any((container.memory or 0) > limit for container in found):
            raise common.client_error("The 'memory' setting for container is greater than for the task.")
        if sum(container.memory_reservation or container.memory or 0 for container in found) > limit:
            raise common.client_error(
                "The total memory of the containers is greater than the 'memory' setting of the task."
            )
    if definition.cpu is not None and sum(container.cpu for container in found) > int(definition.cpu):
        raise common.client_error("The total cpu of the containers is greater than the 'cpu' setting of the task.")


def _check_dependencies(found: Sequence[task_definitions.ContainerDefinition]) -> None:
    by_name = {container.name: container for container in found}
    for container in found:
        for dependency in container.depends_on:
            _check_dependency(container, dependency, by_name)
    waiting = {container.name: {each.container_name for each in container.depends_on} for container in found}
    while waiting:
        ready = [name for name, needs in waiting.items() if not needs & waiting.keys()]
        if not ready:
            raise common.client_error(f"Container dependencies form a cycle: {', '.join(sorted(waiting))}.")
        for name in ready:
            del waiting[name]


def _check_dependency(
    container: task_definitions.ContainerDefinition,
    dependency: task_definitions.ContainerDependency,
    by_name: dict[str, task_definitions.ContainerDefinition],
) -> None:
    other = by_name.get(dependency.container_name)
    if other is None:
        raise containers_checks.refusal(container, f"It depends on an unknown container '{dependency.container_name}'.")
    if other is container:
        raise containers_checks.refusal(container, "It can not depend on itself.")
    if dependency.condition in ("COMPLETE", "SUCCESS") and other.is_essential:
        raise containers_checks.refusal(
            container, f"The condition {dependency.condition} can not be set on the essential container '{other.name}'."
        )
    if dependency.condition == "HEALTHY" and other.health_check is None:
        raise containers_checks.refusal(
            container, f"The condition HEALTHY needs a health check in container '{other.name}'."
        )


def _check_host_ports(found: Sequence[task_definitions.ContainerDefinition]) -> None:
    taken: set[tuple[int, str]] = set()
    for container in found:
        for mapping in container.port_mappings:
            if not mapping.host_port:
                continue
            port = (mapping.host_port, mapping.protocol)
            if port in taken:
                raise containers_checks.refusal(
                    container,
                    f"Host port {mapping.host_port}/{mapping.protocol} is used by more than one port mapping.",
                )
            taken.add(port)


def _check_port_names(found: Sequence[task_definitions.ContainerDefinition]) -> None:
    seen: set[str] = set()
    for container in found:
        for mapping in container.port_mappings:
            if mapping.name is None:
                continue
            if mapping.name in seen:
                raise _twice(container, mapping.name)
            seen.add(mapping.name)


def _twice(container: task_definitions.ContainerDefinition, name: str) -> errors.Refusal:
    return containers_checks.refusal(container, f"The port mapping name '{name}' is given twice.")
