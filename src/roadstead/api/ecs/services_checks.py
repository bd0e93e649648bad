"""What a service may ask for (ECS-API CreateService, UpdateService; behaviour.md 1.3.6, 5.2, 5.11)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from roadstead.api.ecs import common
from roadstead.api.ecs import task_definitions_checks as definition_checks
from roadstead.control import placement
from roadstead.model import services, task_definitions, tasks

NAME_LENGTH_MAX = 255
DESIRED_COUNT_MAX = 5000
"""Tasks of one service (ECS quotas)."""
CLIENT_TOKEN_LENGTH_MAX = 64
SUBNETS_MAX = 16
SECURITY_GROUPS_MAX = 5
METRICS = ("CPUUtilization", "MemoryUtilization")
RESOLUTIONS_SECONDS = (20, 60)
_NAME = re.compile(r"[A-Za-z0-9_-]+")


def check_name(name: str) -> None:
    """Refuses what can't name a service."""
    if not name:
        raise common.invalid("Service name can not be blank.")
    if len(name) > NAME_LENGTH_MAX or _NAME.fullmatch(name) is None:
        raise common.invalid(
            f"Service names have up to {NAME_LENGTH_MAX} letters, digits, hyphens and underscores: '{name}' is none."
        )


def check_client_token(token: str | None) -> None:
    """Refuses a `clientToken` that is too long."""
    if token is not None and len(token) > CLIENT_TOKEN_LENGTH_MAX:
        raise common.invalid(f"clientToken can have at most {CLIENT_TOKEN_LENGTH_MAX} characters.")


def check_desired_count(count: int | None) -> int:
    """The desired count of a REPLICA service, which must be given."""
    if count is None:
        raise common.invalid("desiredCount is required when schedulingStrategy is REPLICA.")
    if not 0 <= count <= DESIRED_COUNT_MAX:
        raise common.invalid(f"desiredCount must be between 0 and {DESIRED_COUNT_MAX}.")
    return count


def check_fixed(params: Any, allowed: dict[str, tuple[Any, ...]]) -> None:
    """Refuses members that this server takes in one value only: `allowed` has those values for each."""
    for member, values in allowed.items():
        value = getattr(params, member, None)
        if value is not None and value not in values:
            shown = " or ".join(str(one) for one in values)
            raise common.invalid(f"{member} {value} is not supported by this server: use {shown}.")


def check_controller(controller: Any) -> None:
    """Refuses deployment controllers other than ECS."""
    if controller is not None and controller.type != "ECS":
        raise common.invalid(f"deploymentController {controller.type} is not supported by this server: use ECS.")


def check_deployment_configuration(wanted: Any, configuration: services.DeploymentConfiguration) -> None:
    """Refuses percentages that would block deployments, and strategies other than ROLLING."""
    if wanted is not None and wanted.strategy not in (None, "ROLLING"):
        raise common.invalid(f"The deployment strategy {wanted.strategy} is not supported by this server: use ROLLING.")
    low = configuration.effective_minimum_healthy_percent
    high = configuration.effective_maximum_percent
    if not 0 <= low <= 100:
        raise common.invalid("minimumHealthyPercent must be between 0 and 100.")
    if high < 100:
        raise common.invalid("maximumPercent must be at least 100.")
    if low == high == 100:
        raise common.invalid(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments."
        )


def check_placement(
    constraints: Sequence[task_definitions.PlacementConstraint], strategy: Sequence[task_definitions.PlacementStrategy]
) -> None:
    """Refuses placement constraints and strategies that mean nothing (behaviour.md 5.11)."""
    definition_checks.check_placement_constraints(constraints, ("memberOf", "distinctInstance"))
    problem = placement.check_strategy(tuple(strategy))
    if problem is not None:
        raise common.invalid(problem)


def check_network(
    configuration: tasks.NetworkConfiguration | None, definition: task_definitions.TaskDefinition
) -> None:
    """Refuses a network configuration that is missing in awsvpc mode, or given in another, or malformed."""
    awsvpc = configuration.awsvpc_configuration if configuration is not None else None
    if definition.effective_network_mode != "awsvpc":
        if awsvpc is not None:
            raise common.invalid(
                "Network Configuration is not valid for the given networkMode of this task definition."
            )
        return
    if awsvpc is None:
        raise common.invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    if not awsvpc.subnets:
        raise common.invalid("subnets can not be empty.")
    if len(awsvpc.subnets) > SUBNETS_MAX or len(awsvpc.security_groups) > SECURITY_GROUPS_MAX:
        raise common.invalid(f"At most {SUBNETS_MAX} subnets and {SECURITY_GROUPS_MAX} securityGroups can be given.")
    if awsvpc.assign_public_ip == "ENABLED":
        raise common.invalid("Assign public IP is not supported for this launch type.")


def check_runs_on_ec2(definition: task_definitions.TaskDefinition) -> None:
    """Refuses a definition that requires other launch types only."""
    if definition.requires_compatibilities and "EC2" not in definition.requires_compatibilities:
        raise common.invalid("Task definition does not support launch_type EC2.")


def monitoring_of(wanted: Any) -> services.Monitoring:
    """A `monitoring` parameter: for each metric at most one resolution of 20 or 60 seconds (behaviour.md 1.3.6)."""
    seen: set[str] = set()
    for configuration in wanted.metricConfigurations or ():
        if configuration.resolutionSeconds not in RESOLUTIONS_SECONDS:
            raise common.invalid("resolutionSeconds must be 20 or 60.")
        for name in configuration.metricNames:
            if name not in METRICS:
                raise common.invalid(f"metricNames: '{name}' is none of {', '.join(METRICS)}.")
            if name in seen:
                raise common.invalid(f"metricNames: '{name}' is given more than once.")
            seen.add(name)
    monitoring: services.Monitoring = common.convert(wanted, services.Monitoring, "monitoring")
    return monitoring
