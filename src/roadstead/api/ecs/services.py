"""Services: create, update, delete (ECS-API; behaviour.md 5.1-5.3). They write what is wanted, never what runs."""

from __future__ import annotations

from typing import Any

import msgspec

from roadstead.api import operation
from roadstead.api.ecs import common, present_services
from roadstead.api.ecs import services_checks as checks
from roadstead.api.ecs import services_listing as listing
from roadstead.base import errors
from roadstead.model import services, tables, task_definitions, tasks
from roadstead.state import plan
from roadstead.state import view as views

_FIXED_AT_CREATION: dict[str, tuple[Any, ...]] = {
    "launchType": ("EC2",),
    "schedulingStrategy": ("REPLICA",),
}
_FIXED: dict[str, tuple[Any, ...]] = {
    "availabilityZoneRebalancing": ("DISABLED",),
    "enableExecuteCommand": (False,),
    "healthCheckGracePeriodSeconds": (0,),
}


def create_service(call: operation.Call, view: views.View) -> operation.Reply:
    """CreateService: a new service with its first deployment; the same one again where it exists already."""
    params = call.params
    cluster = common.find_cluster(view, params.cluster)
    checks.check_name(params.serviceName)
    checks.check_client_token(params.clientToken)
    checks.check_fixed(params, {**_FIXED_AT_CREATION, **_FIXED})
    checks.check_controller(params.deploymentController)
    tags = common.tags_of(params.tags)
    existing = view.get(services.Service, services.service_key(cluster.name, params.serviceName))
    if existing is not None and existing.status == "DRAINING":
        raise common.invalid("Unable to Start a service that is still Draining.")
    spec = _spec_of(params, view)
    if existing is not None and existing.status == "ACTIVE":
        if existing.spec != spec or existing.tags != tags:
            raise common.invalid("Creation of service was not idempotent.")
        return _reply(view, existing, plan.NOTHING)
    service = services.Service(
        cluster=cluster.name,
        name=params.serviceName,
        created_at=call.now,
        created_by=f"arn:aws:iam::{view.scope.account}:root",
        client_token=params.clientToken,
        tags=tags,
        spec=spec,
    )
    draft = plan.Draft(view)
    for event in list(view.find(tables.SERVICE_EVENTS, "by_service", cluster.name, service.name)):
        draft.remove(event)  # of an earlier service of this name
    service = services.begin_deployment(service, view.ids, call.now)
    draft.put(service)
    return _reply(view, service, draft.plan(), events=False)


def _spec_of(params: Any, view: views.View) -> services.ServiceSpec:
    """What CreateService asks for, checked."""
    if not params.taskDefinition:
        raise common.invalid("TaskDefinition can not be blank.")
    definition = common.find_runnable_task_definition(view, params.taskDefinition)
    checks.check_runs_on_ec2(definition)
    spec = services.ServiceSpec(
        task_definition=definition.key,
        desired_count=checks.check_desired_count(params.desiredCount),
        deployment_configuration=_deployment_configuration(
            params.deploymentConfiguration, services.DeploymentConfiguration()
        ),
        placement_constraints=_constraints(params.placementConstraints, ()),
        placement_strategy=_strategy(params.placementStrategy, ()),
        network_configuration=_network(params.networkConfiguration, None),
        monitoring=services.Monitoring() if params.monitoring is None else checks.monitoring_of(params.monitoring),
        propagate_tags=params.propagateTags or "NONE",
        enable_ecs_managed_tags=bool(params.enableECSManagedTags),
    )
    checks.check_placement(spec.placement_constraints, spec.placement_strategy)
    checks.check_network(spec.network_configuration, definition)
    return spec


def update_service(call: operation.Call, view: views.View) -> operation.Reply:
    """UpdateService: what is given replaces what was.

    A new task definition, network configuration or monitoring, or `forceNewDeployment`, begins a deployment; the
    desired count alone only changes the newest deployment's number (behaviour.md 5.2).
    """
    params = call.params
    cluster = common.find_cluster(view, params.cluster)
    before = common.find_service(view, cluster.name, params.service)
    if before.status != "ACTIVE":
        raise errors.Refusal("ServiceNotActiveException", "Service was not ACTIVE.")
    checks.check_fixed(params, _FIXED)
    checks.check_controller(params.deploymentController)
    spec = _updated_spec(params, before.spec, view)
    service = msgspec.structs.replace(before, spec=spec)
    if params.forceNewDeployment or _rolls_out(before.spec, spec):
        service = services.begin_deployment(service, view.ids, call.now)
    elif spec.desired_count != before.spec.desired_count:
        service = services.with_desired_count(service, spec.desired_count, call.now)
    draft = plan.Draft(view)
    draft.put(service)
    return _reply(view, service, draft.plan())


def _rolls_out(before: services.ServiceSpec, after: services.ServiceSpec) -> bool:
    """Whether the change needs new tasks."""
    return (
        before.task_definition != after.task_definition
        or before.network_configuration != after.network_configuration
        or before.monitoring != after.monitoring
    )


def _updated_spec(params: Any, before: services.ServiceSpec, view: views.View) -> services.ServiceSpec:
    """The spec after UpdateService, checked."""
    definition = view.get(task_definitions.TaskDefinition, before.task_definition)
    if params.taskDefinition is not None:
        definition = common.find_runnable_task_definition(view, params.taskDefinition)
        checks.check_runs_on_ec2(definition)
    assert definition is not None, "a service's task definition is kept"
    network = _network(params.networkConfiguration, before.network_configuration)
    if params.networkConfiguration is None and definition.effective_network_mode != "awsvpc":
        network = None  # the former definition's; the new one has no use for it
    spec = msgspec.structs.replace(
        before,
        task_definition=definition.key,
        desired_count=before.desired_count
        if params.desiredCount is None
        else checks.check_desired_count(params.desiredCount),
        deployment_configuration=_deployment_configuration(
            params.deploymentConfiguration, before.deployment_configuration
        ),
        placement_constraints=_constraints(params.placementConstraints, before.placement_constraints),
        placement_strategy=_strategy(params.placementStrategy, before.placement_strategy),
        network_configuration=network,
        monitoring=before.monitoring if params.monitoring is None else checks.monitoring_of(params.monitoring),
        propagate_tags=params.propagateTags or before.propagate_tags,
        enable_ecs_managed_tags=before.enable_ecs_managed_tags
        if params.enableECSManagedTags is None
        else params.enableECSManagedTags,
    )
    checks.check_placement(spec.placement_constraints, spec.placement_strategy)
    checks.check_network(spec.network_configuration, definition)
    return spec


def _deployment_configuration(
    wanted: Any, before: services.DeploymentConfiguration
) -> services.DeploymentConfiguration:
    """The configuration after a request: members that are not given stay as they were."""
    configuration = before
    if wanted is not None:
        given: services.DeploymentConfiguration = common.convert(
            wanted, services.DeploymentConfiguration, "deploymentConfiguration"
        )
        members = {name: getattr(given, name) for name in given.__struct_fields__}
        configuration = msgspec.structs.replace(
            before, **{name: value for name, value in members.items() if value is not None}
        )
    checks.check_deployment_configuration(wanted, configuration)
    return configuration


def _constraints(
    wanted: Any, before: tuple[task_definitions.PlacementConstraint, ...]
) -> tuple[task_definitions.PlacementConstraint, ...]:
    kind = tuple[task_definitions.PlacementConstraint, ...]
    found: tuple[task_definitions.PlacementConstraint, ...] = common.convert_optional(
        wanted, kind, "placementConstraints", before
    )
    return found


def _strategy(
    wanted: Any, before: tuple[task_definitions.PlacementStrategy, ...]
) -> tuple[task_definitions.PlacementStrategy, ...]:
    kind = tuple[task_definitions.PlacementStrategy, ...]
    found: tuple[task_definitions.PlacementStrategy, ...] = common.convert_optional(
        wanted, kind, "placementStrategy", before
    )
    return found


def _network(wanted: Any, before: tasks.NetworkConfiguration | None) -> tasks.NetworkConfiguration | None:
    found: tasks.NetworkConfiguration | None = common.convert_optional(
        wanted, tasks.NetworkConfiguration, "networkConfiguration", before
    )
    return found


def delete_service(call: operation.Call, view: views.View) -> operation.Reply:
    """DeleteService: the service is DRAINING until its tasks have stopped, then INACTIVE (behaviour.md 5.1.4)."""
    cluster = common.find_cluster(view, call.params.cluster)
    service = common.find_service(view, cluster.name, call.params.service)
    if service.status == "INACTIVE":
        raise errors.Refusal("ServiceNotFoundException", "Service not found.")
    if service.status == "DRAINING":
        return _reply(view, service, plan.NOTHING)
    if not call.params.force:
        if service.spec.desired_count > 0:
            raise common.invalid("The service cannot be stopped while it is scaled above 0.")
        running, pending, _ = view.tally(tables.TASKS, "counts", "service", cluster.name, service.name)
        if running or pending:
            raise common.invalid("The service cannot be stopped while deployments are active.")
    gone = services.with_desired_count(service, 0, call.now)
    gone = msgspec.structs.replace(gone, status="DRAINING", force_delete=bool(call.params.force))
    draft = plan.Draft(view)
    draft.put(gone)
    return _reply(view, gone, draft.plan())


def _reply(view: views.View, service: services.Service, wanted: plan.Plan, *, events: bool = True) -> operation.Reply:
    shown = present_services.service(view, service, with_tags=True, with_events=events)
    return operation.Reply(output={"service": shown}, plan=wanted)


_COMMON_ACCEPTS = [
    "cluster",
    "taskDefinition",
    "desiredCount",
    "availabilityZoneRebalancing",
    "deploymentConfiguration.deploymentCircuitBreaker.enable",
    "deploymentConfiguration.deploymentCircuitBreaker.rollback",
    "deploymentConfiguration.maximumPercent",
    "deploymentConfiguration.minimumHealthyPercent",
    "deploymentConfiguration.strategy",
    "placementConstraints",
    "placementStrategy",
    "networkConfiguration",
    "healthCheckGracePeriodSeconds",
    "deploymentController",
    "enableECSManagedTags",
    "propagateTags",
    "enableExecuteCommand",
    "monitoring",
]
_NOTE = (
    "Launch type EC2, scheduling strategy REPLICA, deployment controller ECS, deployment strategy ROLLING. "
    "availabilityZoneRebalancing may only be DISABLED (also its default here), enableExecuteCommand only false, "
    "healthCheckGracePeriodSeconds only 0. Security groups are kept and shown; they do not filter traffic yet."
)

OPERATIONS: tuple[operation.Operation, ...] = (
    operation.Operation(
        service="ecs",
        name="CreateService",
        decide=create_service,
        accepts=frozenset([*_COMMON_ACCEPTS, "serviceName", "clientToken", "launchType", "schedulingStrategy", "tags"]),
        note=_NOTE,
    ),
    operation.Operation(
        service="ecs",
        name="UpdateService",
        decide=update_service,
        accepts=frozenset([*_COMMON_ACCEPTS, "service", "forceNewDeployment"]),
        note=_NOTE,
    ),
    operation.Operation(
        service="ecs", name="DeleteService", decide=delete_service, accepts=frozenset({"cluster", "service", "force"})
    ),
    operation.Operation(
        service="ecs",
        name="DescribeServices",
        decide=listing.describe_services,
        accepts=frozenset({"cluster", "services", "include"}),
    ),
    operation.Operation(
        service="ecs",
        name="ListServices",
        decide=listing.list_services,
        accepts=frozenset(
            {"cluster", "nextToken", "maxResults", "launchType", "schedulingStrategy", "resourceManagementType"}
        ),
    ),
)
"""What this module serves."""
