"""A container instance's record as ECS shows it: what remains is worked out from tallies and indexes."""

from __future__ import annotations

from typing import Any

from roadstead.api.ecs import common
from roadstead.model import container_instances, names, tables
from roadstead.state import view as views

_PORTS = {"PORTS": "tcp", "PORTS_UDP": "udp"}


def present_instance(
    instance: container_instances.ContainerInstance, view: views.View, *, include_tags: bool = False
) -> dict[str, Any]:
    """The instance in wire names. `tags` is empty unless the caller asked for them, as on AWS."""
    running, pending, _ = view.tally(tables.TASKS, "counts", "instance", instance.instance_id)
    return common.given(
        containerInstanceArn=names.instance_arn(view.scope, instance.cluster, instance.instance_id),
        ec2InstanceId=instance.ec2_instance_id,
        version=instance.version,
        versionInfo=common.wire(instance.version_info),
        remainingResources=_remaining(instance, view),
        registeredResources=[_resource(one) for one in instance.registered_resources],
        status=instance.status,
        statusReason=instance.status_reason,
        agentConnected=instance.session.connected,
        runningTasksCount=running,
        pendingTasksCount=pending,
        attributes=[common.given(name=one.name, value=one.value) for one in instance.attributes],
        registeredAt=instance.registered_at,
        attachments=[],
        tags=common.tags_output(instance.tags) if include_tags else [],
    )


def _resource(
    resource: container_instances.Resource, integer: int | None = None, strings: tuple[str, ...] | None = None
) -> dict[str, Any]:
    output: dict[str, Any] = {
        "name": resource.name,
        "type": resource.type,
        "doubleValue": 0.0,
        "longValue": 0,
        "integerValue": resource.integer_value if integer is None else integer,
    }
    if resource.type == "STRINGSET":
        output["stringSetValue"] = list(resource.string_set_value if strings is None else strings)
    return output


def _remaining(instance: container_instances.ContainerInstance, view: views.View) -> list[dict[str, Any]]:
    """CPU and memory that are free, and (as on AWS) the ports that are taken."""
    cpu_units, memory_mib, _ = view.tally(tables.TASKS, "usage", instance.instance_id)
    taken: dict[str, set[int]] | None = None
    output = []
    for resource in instance.registered_resources:
        match resource.name:
            case "CPU":
                output.append(_resource(resource, integer=resource.integer_value - cpu_units))
            case "MEMORY":
                output.append(_resource(resource, integer=resource.integer_value - memory_mib))
            case "PORTS" | "PORTS_UDP":
                if taken is None:
                    taken = _ports_of_tasks(instance, view)
                own = sorted(taken[_PORTS[resource.name]])
                held = dict.fromkeys((*resource.string_set_value, *(str(port) for port in own)))
                output.append(_resource(resource, strings=tuple(held)))
            case _:
                output.append(_resource(resource))
    return output


def _ports_of_tasks(instance: container_instances.ContainerInstance, view: views.View) -> dict[str, set[int]]:
    """Ports of the instance that its tasks hold: those they were placed for, and those that their agent chose."""
    ports: dict[str, set[int]] = {"tcp": set(), "udp": set()}
    for task in view.find(tables.TASKS, "live_by_instance", instance.instance_id):
        for port in task.spec.resources.host_ports:
            ports[port.protocol].add(port.port)
        if task.desired.network_interface is None:
            for container in task.observed.containers:
                for bound in container.network_bindings:
                    ports[bound.protocol].add(bound.host_port)
    return ports
