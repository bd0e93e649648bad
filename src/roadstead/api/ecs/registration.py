"""RegisterContainerInstance and DeregisterContainerInstance (behaviour.md 5.10; agent-protocol.md 2.1)."""

from __future__ import annotations

from typing import Any

import msgspec

from roadstead.api import operation
from roadstead.api.ecs import common, names
from roadstead.api.ecs import present_instances as present
from roadstead.control import observation
from roadstead.model import container_instances, tables
from roadstead.state import plan
from roadstead.state import view as views

ZONE_ATTRIBUTE = "ecs.availability-zone"
TYPE_ATTRIBUTE = "ecs.instance-type"
SUBNET_ATTRIBUTE = "roadstead.subnet"
CAPABILITY_PREFIXES = ("com.amazonaws.ecs.capability.", "ecs.capability.")
MEMORY_DRIFT = 1 / 32
"""A host's memory may differ by this part from one boot to the next (another kernel) and still be the same host."""
ATTRIBUTES_MAX = 200
INSTANCE_TYPE_CHANGED = "Container instance type changes are not supported."
FORCED_OUT = "Container instance deregistration forced by user."


def find_instance(view: views.View, cluster: str, text: str) -> container_instances.ContainerInstance | None:
    """The instance of a cluster by its id or ARN."""
    instance_id = names.id_in_cluster(view.scope, "container-instance", cluster, text)
    found = view.get(container_instances.ContainerInstance, instance_id) if instance_id is not None else None
    return found if found is not None and found.cluster == cluster else None


def register_container_instance(call: operation.Call, view: views.View) -> operation.Reply:
    """RegisterContainerInstance: a new instance, or an agent that comes back under its ARN.

    Every attribute that was sent is in the answer with an equal value: an agent exits where one is missing.
    """
    params = call.params
    cluster = common.find_cluster(view, params.cluster, code="ClientException")
    resources = common.convert_optional(
        params.totalResources, tuple[container_instances.Resource, ...], "totalResources", ()
    )
    capacity = _capacity(resources)
    attributes = _attributes(params.attributes)
    draft = plan.Draft(view)
    before = _known(view, cluster.name, params)
    if before is None:
        instance = _new(call, view, cluster.name)
    else:
        _check_same_host(before, capacity, attributes)
        instance = before
    kept = tuple(one for one in instance.attributes if not one.name.startswith(CAPABILITY_PREFIXES))
    merged = _merge(kept, attributes)
    if ZONE_ATTRIBUTE not in {one.name for one in merged}:
        zone = container_instances.Attribute(name=ZONE_ATTRIBUTE, value=f"{view.scope.region}a")
        merged = (*merged, zone)
    by_name = {one.name: one.value for one in merged}
    instance = msgspec.structs.replace(
        instance,
        attributes=merged,
        registered_resources=resources,
        capacity=capacity,
        version_info=common.convert_optional(
            params.versionInfo, container_instances.VersionInfo, "versionInfo", instance.version_info
        ),
        availability_zone=by_name[ZONE_ATTRIBUTE] or "",
        subnet=by_name.get(SUBNET_ATTRIBUTE),
        tags=common.tags_of(params.tags) if params.tags else instance.tags,
        version=1 if before is None else before.version + 1,
    )
    draft.put(instance)
    shown = present.present_instance(instance, view, include_tags=True)
    return operation.Reply(output={"containerInstance": shown}, plan=draft.plan())


def _known(view: views.View, cluster: str, params: Any) -> container_instances.ContainerInstance | None:
    """The instance that registers again: by its ARN, or by a token with which it registered before."""
    if params.containerInstanceArn:
        found = find_instance(view, cluster, params.containerInstanceArn)
        if found is None or found.status == "INACTIVE":
            raise common.client_error("The referenced container instance was not found or is inactive.")
        return found
    if not params.clientToken:
        return None
    found = view.first(tables.CONTAINER_INSTANCES, "client_token", cluster, params.clientToken)
    return found if found is not None and found.status != "INACTIVE" else None


def _new(call: operation.Call, view: views.View, cluster: str) -> container_instances.ContainerInstance:
    return container_instances.ContainerInstance(
        instance_id=view.ids.hex(32),
        cluster=cluster,
        ec2_instance_id=_document_instance_id(call.params.instanceIdentityDocument) or f"mi-{view.ids.hex(17)}",
        registered_at=call.now,
        client_token=call.params.clientToken or None,
        capacity=container_instances.InstanceCapacity(cpu_units=0, memory_mib=0),
        availability_zone="",
    )


class _IdentityDocument(msgspec.Struct, rename="camel"):
    """The member of EC2's instance identity document that we show."""

    instance_id: str = ""


def _document_instance_id(text: str | None) -> str:
    if not text:
        return ""
    try:
        return msgspec.json.decode(text, type=_IdentityDocument).instance_id
    except msgspec.MsgspecError as problem:
        raise common.client_error("The instance identity document is not valid JSON.") from problem


def _capacity(resources: tuple[container_instances.Resource, ...]) -> container_instances.InstanceCapacity:
    by_name = {one.name: one for one in resources}
    for name in ("CPU", "MEMORY"):
        if name not in by_name or by_name[name].integer_value <= 0:
            raise common.invalid(f"totalResources must give {name} as a positive INTEGER.")
    for one in resources:
        if one.name not in ("CPU", "MEMORY", "PORTS", "PORTS_UDP"):
            raise common.invalid(f"The resource {one.name} is not supported by this server.")
    return container_instances.InstanceCapacity(
        cpu_units=by_name["CPU"].integer_value,
        memory_mib=by_name["MEMORY"].integer_value,
        reserved_ports_tcp=_ports(by_name.get("PORTS")),
        reserved_ports_udp=_ports(by_name.get("PORTS_UDP")),
    )


def _ports(resource: container_instances.Resource | None) -> tuple[int, ...]:
    texts = resource.string_set_value if resource is not None else ()
    for text in texts:
        if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
            raise common.invalid(f"Invalid port: {text}.")
    return tuple(sorted({int(text) for text in texts}))


def _attributes(value: Any) -> tuple[container_instances.Attribute, ...]:
    found: tuple[container_instances.Attribute, ...] = common.convert_optional(
        value, tuple[container_instances.Attribute, ...], "attributes", ()
    )
    if len(found) > ATTRIBUTES_MAX:
        raise common.invalid(f"An instance can have at most {ATTRIBUTES_MAX} attributes.")
    return found


def _merge(
    kept: tuple[container_instances.Attribute, ...], sent: tuple[container_instances.Attribute, ...]
) -> tuple[container_instances.Attribute, ...]:
    """An agent that registers again sends no custom attributes: those it had stay."""
    return tuple({one.name: one for one in (*kept, *sent)}.values())


def _check_same_host(
    before: container_instances.ContainerInstance,
    capacity: container_instances.InstanceCapacity,
    attributes: tuple[container_instances.Attribute, ...],
) -> None:
    old_type = before.attribute(TYPE_ATTRIBUTE)
    types = [one.value for one in attributes if one.name == TYPE_ATTRIBUTE]
    drift = abs(capacity.memory_mib - before.capacity.memory_mib)
    if (
        (old_type and types and types[-1] != old_type)
        or capacity.cpu_units != before.capacity.cpu_units
        or drift > before.capacity.memory_mib * MEMORY_DRIFT
    ):
        raise common.client_error(INSTANCE_TYPE_CHANGED)


def deregister_container_instance(call: operation.Call, view: views.View) -> operation.Reply:
    """DeregisterContainerInstance: refused while tasks run there, unless forced; then they count as STOPPED."""
    params = call.params
    cluster = common.find_cluster(view, params.cluster)
    instance = find_instance(view, cluster.name, params.containerInstance)
    if instance is None:
        raise common.invalid("The referenced container instance was not found.")
    draft = plan.Draft(view)
    if instance.status != "INACTIVE":
        live = list(view.find(tables.TASKS, "live_by_instance", instance.instance_id))
        if live and not params.force:
            raise common.invalid("Found running tasks on the instance.")
        for task in live:
            draft.put(observation.conclude_stopped(task, "UserInitiated", FORCED_OUT, call.now))
        instance = msgspec.structs.replace(
            instance, status="INACTIVE", draining_since=None, client_token=None, version=instance.version + 1
        )
        draft.put(instance)
    shown = present.present_instance(instance, view)
    if not draft.plan().is_empty:
        shown["runningTasksCount"] = shown["pendingTasksCount"] = 0
    return operation.Reply(output={"containerInstance": shown}, plan=draft.plan())


OPERATIONS: tuple[operation.Operation, ...] = (
    operation.Operation(
        service="ecs",
        name="RegisterContainerInstance",
        decide=register_container_instance,
        accepts=frozenset(
            {
                *("cluster", "containerInstanceArn", "instanceIdentityDocument", "instanceIdentityDocumentSignature"),
                *("totalResources.name", "totalResources.type"),
                *("totalResources.integerValue", "totalResources.stringSetValue"),
                *("versionInfo", "attributes.name", "attributes.value", "tags", "clientToken"),
            }
        ),
        note=(
            "The caller's signature says who it is: of the identity document only the instance id is taken, and its own"
            " signature is not checked. totalResources are CPU and MEMORY as INTEGER, PORTS and PORTS_UDP as STRINGSET."
        ),
    ),
    operation.Operation(
        service="ecs",
        name="DeregisterContainerInstance",
        decide=deregister_container_instance,
        accepts=frozenset({"cluster", "containerInstance", "force"}),
        note="Tasks on an instance that is forced out count as STOPPED; their containers are left alone, as on AWS.",
    ),
)
