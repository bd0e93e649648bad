"""`requiresAttributes`: what an instance must be able to do for a task definition to run on it, as AWS works it out.

Agents announce these attributes when they register (`com.amazonaws.ecs.capability.…`, `ecs.capability.…`); placement
looks for them. Only those that Amazon's own agent announces are asked for.
"""

from __future__ import annotations

from roadstead.model import task_definitions

DOCKER_API = "com.amazonaws.ecs.capability.docker-remote-api."
LOGGING = "com.amazonaws.ecs.capability.logging-driver."
PRIVILEGED = "com.amazonaws.ecs.capability.privileged-container"
TASK_ROLE = "com.amazonaws.ecs.capability.task-iam-role"
TASK_ROLE_HOST = "com.amazonaws.ecs.capability.task-iam-role-network-host"
TASK_ENI = "ecs.capability.task-eni"
HEALTH_CHECK = "ecs.capability.container-health-check"
ORDERING = "ecs.capability.container-ordering"
RESTART_POLICY = "ecs.capability.container-restart-policy"


def required(definition: task_definitions.TaskDefinition) -> tuple[str, ...]:
    """Names of the attributes that an instance needs for the definition; sorted."""
    names: set[str] = set()
    if definition.network_mode == "awsvpc":
        names |= {TASK_ENI, DOCKER_API + "1.18"}
    if definition.task_role_arn:
        names |= {TASK_ROLE_HOST if definition.network_mode == "host" else TASK_ROLE, DOCKER_API + "1.17"}
    for container in definition.container_definitions:
        names |= _container(container)
    return tuple(sorted(names))


def _container(container: task_definitions.ContainerDefinition) -> set[str]:
    names: set[str] = set()
    if container.privileged:
        names.add(PRIVILEGED)
    if container.log_configuration is not None:
        names |= {LOGGING + container.log_configuration.log_driver, DOCKER_API + "1.18"}
    if container.memory_reservation is not None:
        names.add(DOCKER_API + "1.21")
    if container.health_check is not None:
        names |= {HEALTH_CHECK, DOCKER_API + "1.24"}
    if container.depends_on or container.start_timeout is not None or container.stop_timeout is not None:
        names.add(ORDERING)
    if container.restart_policy is not None and container.restart_policy.enabled:
        names.add(RESTART_POLICY)
    parameters = container.linux_parameters
    if parameters is not None:
        if parameters.init_process_enabled:
            names.add(DOCKER_API + "1.25")
        if parameters.shared_memory_size is not None or parameters.tmpfs:
            names.add(DOCKER_API + "1.22")
    return names
