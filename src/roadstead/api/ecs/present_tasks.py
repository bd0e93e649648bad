"""A task's record as DescribeTasks, RunTask and StopTask show it. Complete, in AWS's shape; members without a value are
left out.
"""

from __future__ import annotations

from typing import Any

from roadstead.api.ecs import common
from roadstead.control import overrides
from roadstead.model import container_instances, names, task_definitions, tasks
from roadstead.state import view as views

ARCHITECTURE_ATTRIBUTE = "ecs.cpu-architecture"


def present_task(task: tasks.Task, view: views.View, *, include_tags: bool = False) -> dict[str, Any]:
    """The task in wire names. `tags` is empty unless the caller asked for them, as on AWS."""
    scope = view.scope
    definition = view.get(task_definitions.TaskDefinition, task.spec.task_definition)
    instance_id = task.desired.container_instance
    instance = view.get(container_instances.ContainerInstance, instance_id) if instance_id is not None else None
    seen, desired = task.observed, task.desired
    return common.given(
        attachments=_attachments(task),
        attributes=_attributes(instance),
        availabilityZone=instance.availability_zone if instance is not None else None,
        clusterArn=names.cluster_arn(scope, task.cluster),
        **_connectivity(task, instance),
        containerInstanceArn=names.instance_arn(scope, task.cluster, instance_id) if instance_id is not None else None,
        containers=_containers(task, definition, view),
        cpu=str(task.spec.resources.cpu_units),
        createdAt=task.created_at,
        desiredStatus=desired.status,
        enableExecuteCommand=False,
        executionStoppedAt=seen.execution_stopped_at,
        group=task.spec.group,
        healthStatus=seen.health_status,
        inferenceAccelerators=[],
        lastStatus=seen.last_status,
        launchType=task.spec.launch_type,
        memory=str(task.spec.resources.memory_mib),
        overrides=_overrides(task, definition),
        pullStartedAt=seen.pull_started_at,
        pullStoppedAt=seen.pull_stopped_at,
        startedAt=seen.started_at,
        startedBy=task.spec.started_by,
        stopCode=task.stop_code,
        stoppedAt=seen.stopped_at,
        stoppedReason=task.stopped_reason,
        stoppingAt=desired.stopping_at,
        tags=common.tags_output(task.spec.tags) if include_tags else [],
        taskArn=names.arn_of_task(scope, task),
        taskDefinitionArn=names.task_definition_arn(scope, task.spec.task_definition),
        version=task.version,
    )


def _attributes(instance: container_instances.ContainerInstance | None) -> list[dict[str, str]]:
    architecture = instance.attribute(ARCHITECTURE_ATTRIBUTE) if instance is not None else None
    return [{"name": ARCHITECTURE_ATTRIBUTE, "value": architecture}] if architecture else []


def _connectivity(task: tasks.Task, instance: container_instances.ContainerInstance | None) -> dict[str, Any]:
    """A task is as connected as the agent that runs it; one without an agent yet says nothing."""
    if instance is None or task.desired.placed_at is None:
        return {}
    session = instance.session
    return {
        "connectivity": "CONNECTED" if session.connected else "DISCONNECTED",
        "connectivityAt": max(session.changed_at or 0.0, task.desired.placed_at),
    }


def _attachments(task: tasks.Task) -> list[dict[str, Any]]:
    interface = task.desired.network_interface
    if interface is None:
        return []
    configuration = task.spec.network_configuration
    vpc = configuration.awsvpc_configuration if configuration is not None else None
    details = [
        *([("subnetId", vpc.subnets[0])] if vpc is not None and vpc.subnets else []),
        ("networkInterfaceId", interface.network_interface_id),
        ("macAddress", interface.mac_address),
        ("privateIPv4Address", interface.ipv4_address),
    ]
    return [
        {
            "id": interface.attachment_id,
            "type": "ElasticNetworkInterface",
            "status": interface.status,
            "details": [{"name": name, "value": value} for name, value in details],
        }
    ]


def _containers(
    task: tasks.Task, definition: task_definitions.TaskDefinition | None, view: views.View
) -> list[dict[str, Any]]:
    sizes = {}
    if definition is not None:
        sizes = {one.name: one for one in overrides.effective_containers(definition, task.spec.overrides)}
    return [_container(one, sizes.get(one.name), task, view) for one in task.observed.containers]


def _container(
    container: tasks.ObservedContainer,
    size: task_definitions.ContainerDefinition | None,
    task: tasks.Task,
    view: views.View,
) -> dict[str, Any]:
    interface = task.desired.network_interface
    return common.given(
        containerArn=names.container_arn(view.scope, task.cluster, task.task_id, container.container_id),
        taskArn=names.arn_of_task(view.scope, task),
        name=container.name,
        image=container.image,
        imageDigest=container.image_digest,
        runtimeId=container.runtime_id,
        lastStatus=container.last_status,
        exitCode=container.exit_code,
        reason=container.reason,
        networkBindings=[
            {
                "bindIP": one.bind_ip,
                "containerPort": one.container_port,
                "hostPort": one.host_port,
                "protocol": one.protocol,
            }
            for one in container.network_bindings
        ],
        networkInterfaces=[
            {"attachmentId": interface.attachment_id, "privateIpv4Address": interface.ipv4_address},
        ]
        if interface is not None
        else [],
        healthStatus=container.health_status,
        cpu=str(size.cpu) if size is not None else None,
        memory=str(size.memory) if size is not None and size.memory is not None else None,
        memoryReservation=(
            str(size.memory_reservation) if size is not None and size.memory_reservation is not None else None
        ),
    )


def _overrides(task: tasks.Task, definition: task_definitions.TaskDefinition | None) -> dict[str, Any]:
    """What was overridden; AWS names every container, also those without an override."""
    given: dict[str, Any] = common.wire(task.spec.overrides)
    containers = {one["name"]: one for one in given.get("containerOverrides", ())}
    if definition is not None:
        for container in definition.container_definitions:
            containers.setdefault(container.name, {"name": container.name})
    return {**given, "containerOverrides": list(containers.values()), "inferenceAcceleratorOverrides": []}
