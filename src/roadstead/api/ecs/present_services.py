"""A service in the form that ECS shows it. Counts are read from the tasks there are, never remembered."""

from __future__ import annotations

from typing import Any

from roadstead.api.ecs import common
from roadstead.model import names, services, tables
from roadstead.state import view as views


def service(
    view: views.View, one: services.Service, *, with_tags: bool = False, with_events: bool = True
) -> dict[str, Any]:
    """`service` of Create-, Update-, Delete- and DescribeServices (ECS-API Service)."""
    running, pending, _ = view.tally(tables.TASKS, "counts", "service", one.cluster, one.name)
    spec = one.spec
    return common.given(
        serviceArn=names.service_arn(view.scope, one.cluster, one.name),
        serviceName=one.name,
        clusterArn=names.cluster_arn(view.scope, one.cluster),
        loadBalancers=[],
        serviceRegistries=[],
        status=one.status,
        desiredCount=spec.desired_count,
        runningCount=running,
        pendingCount=pending,
        launchType=spec.launch_type,
        taskDefinition=names.task_definition_arn(view.scope, spec.task_definition),
        deploymentConfiguration=_deployment_configuration(spec.deployment_configuration),
        deployments=[_deployment(view, one, each) for each in one.deployments if each.status != "INACTIVE"],
        events=_events(view, one) if with_events else [],
        createdAt=one.created_at,
        placementConstraints=common.wire(spec.placement_constraints),
        placementStrategy=common.wire(spec.placement_strategy),
        networkConfiguration=_network(spec.network_configuration),
        schedulingStrategy=spec.scheduling_strategy,
        deploymentController={"type": "ECS"},
        tags=common.tags_output(one.tags) if with_tags and one.tags else None,
        createdBy=one.created_by,
        enableECSManagedTags=spec.enable_ecs_managed_tags,
        propagateTags=spec.propagate_tags,
        enableExecuteCommand=False,
        availabilityZoneRebalancing="DISABLED",
    )


def _deployment_configuration(configuration: services.DeploymentConfiguration) -> dict[str, Any]:
    breaker = configuration.deployment_circuit_breaker
    return {
        "deploymentCircuitBreaker": {
            "enable": breaker is not None and breaker.enable,
            "rollback": breaker is not None and breaker.rollback,
        },
        "maximumPercent": configuration.effective_maximum_percent,
        "minimumHealthyPercent": configuration.effective_minimum_healthy_percent,
        "strategy": "ROLLING",
        "bakeTimeInMinutes": 0,
    }


def _deployment(view: views.View, one: services.Service, deployment: services.Deployment) -> dict[str, Any]:
    group = ("deployment", one.cluster, one.name, deployment.deployment_id)
    running, pending, _ = view.tally(tables.TASKS, "counts", *group)
    return common.given(
        id=deployment.deployment_id,
        status=deployment.status,
        taskDefinition=names.task_definition_arn(view.scope, deployment.task_definition),
        desiredCount=deployment.desired_count,
        pendingCount=pending,
        runningCount=running,
        failedTasks=deployment.failed_tasks,
        createdAt=deployment.created_at,
        updatedAt=deployment.updated_at,
        launchType=deployment.launch_type,
        networkConfiguration=_network(deployment.network_configuration),
        rolloutState=deployment.rollout_state,
        rolloutStateReason=deployment.rollout_state_reason,
    )


def _network(configuration: Any) -> dict[str, Any] | None:
    if configuration is None or configuration.awsvpc_configuration is None:
        return None
    awsvpc = configuration.awsvpc_configuration
    return {
        "awsvpcConfiguration": {
            "subnets": list(awsvpc.subnets),
            "securityGroups": list(awsvpc.security_groups),
            "assignPublicIp": awsvpc.assign_public_ip or "DISABLED",
        }
    }


def _events(view: views.View, one: services.Service) -> list[dict[str, Any]]:
    """The newest 100, newest first (behaviour.md 5.8)."""
    events = list(view.find(tables.SERVICE_EVENTS, "by_service", one.cluster, one.name))
    newest = events[-services.EVENTS_KEPT_MAX :][::-1]
    return [{"id": event.event_id, "createdAt": event.created_at, "message": event.message} for event in newest]
