"""A task definition in the form that ECS shows it: what was registered, and the defaults that ECS adds."""

from __future__ import annotations

from typing import Any

from roadstead.api.ecs import common
from roadstead.api.ecs import task_definitions_sizes as sizes
from roadstead.base import scope as base_scope
from roadstead.model import names, task_definitions

_ALWAYS_LISTED = ("portMappings", "environment", "mountPoints", "volumesFrom", "systemControls")
"""Members of a container that ECS shows even when they are empty."""


def task_definition(scope: base_scope.Scope, definition: task_definitions.TaskDefinition) -> dict[str, Any]:
    """`taskDefinition` of Register-, Describe- and DeregisterTaskDefinition; tags are shown beside it, not in it."""
    return common.given(
        taskDefinitionArn=names.task_definition_arn(scope, definition.key),
        containerDefinitions=[_container(container) for container in definition.container_definitions],
        family=definition.family,
        taskRoleArn=definition.task_role_arn,
        executionRoleArn=definition.execution_role_arn,
        networkMode=definition.network_mode,
        revision=definition.revision,
        volumes=[{"host": {}, **common.wire(volume)} for volume in definition.volumes],
        status=definition.status,
        requiresAttributes=[{"name": name} for name in definition.requires_attributes] or None,
        placementConstraints=common.wire(definition.placement_constraints),
        compatibilities=sizes.compatibilities(definition),
        requiresCompatibilities=list(definition.requires_compatibilities) or None,
        cpu=definition.cpu,
        memory=definition.memory,
        registeredAt=definition.registered_at,
        deregisteredAt=definition.deregistered_at,
        registeredBy=definition.registered_by,
    )


def _container(container: task_definitions.ContainerDefinition) -> dict[str, Any]:
    shown: dict[str, Any] = {"cpu": 0, "essential": True, **common.wire(container)}
    for member in _ALWAYS_LISTED:
        shown.setdefault(member, [])
    shown["portMappings"] = [{"protocol": "tcp", **mapping} for mapping in shown["portMappings"]]
    if container.health_check is not None:
        check = container.health_check
        shown["healthCheck"] = {
            "interval": check.interval,
            "timeout": check.timeout,
            "retries": check.retries,
            **shown["healthCheck"],
        }
    return shown
