"""Task definitions: register, describe, list, deregister (ECS-API; behaviour.md 5.9, 5.11, 5.15)."""

from __future__ import annotations

from typing import Any

import msgspec

from roadstead.api import operation
from roadstead.api.ecs import common, names
from roadstead.api.ecs import task_definitions_attributes as attributes
from roadstead.api.ecs import task_definitions_checks as checks
from roadstead.api.ecs import task_definitions_listing as listing
from roadstead.api.ecs import task_definitions_present as present
from roadstead.api.ecs import task_definitions_sizes as sizes
from roadstead.model import task_definitions
from roadstead.state import plan
from roadstead.state import view as views

_CONTAINER_MEMBERS = [
    "name",
    "image",
    "cpu",
    "memory",
    "memoryReservation",
    "essential",
    "entryPoint",
    "command",
    "environment",
    "mountPoints",
    "dependsOn",
    "startTimeout",
    "stopTimeout",
    "hostname",
    "user",
    "workingDirectory",
    "privileged",
    "readonlyRootFilesystem",
    "dnsServers",
    "dnsSearchDomains",
    "extraHosts",
    "dockerSecurityOptions",
    "dockerLabels",
    "ulimits",
    "healthCheck",
    "systemControls",
    "restartPolicy",
    "portMappings.containerPort",
    "portMappings.hostPort",
    "portMappings.protocol",
    "portMappings.name",
    "portMappings.appProtocol",
    "linuxParameters.capabilities",
    "linuxParameters.initProcessEnabled",
    "linuxParameters.sharedMemorySize",
    "linuxParameters.tmpfs",
    "logConfiguration.logDriver",
]
_VOLUMES = ("volumes.name", "volumes.host")
REGISTER_ACCEPTS = frozenset(
    [
        *[
            "family",
            "taskRoleArn",
            "executionRoleArn",
            "networkMode",
            "cpu",
            "memory",
            "requiresCompatibilities",
            "placementConstraints",
            "tags",
        ],
        *_VOLUMES,
        *(f"containerDefinitions.{member}" for member in _CONTAINER_MEMBERS),
    ]
)


def register_task_definition(call: operation.Call, view: views.View) -> operation.Reply:
    """RegisterTaskDefinition: checks it, and keeps it as the family's next revision."""
    wanted: dict[str, Any] = msgspec.to_builtins(call.params)
    family = wanted["family"]
    checks.check_family(family)
    checks.check_container_names([(one.get("name"), one.get("image")) for one in wanted["containerDefinitions"]])
    checks.check_length(len(msgspec.json.encode({name: value for name, value in wanted.items() if name != "tags"})))
    checks.check_compatibilities(wanted.get("requiresCompatibilities", ()))
    tags = common.tags_of(call.params.tags)
    counts = view.get(task_definitions.TaskDefinitionFamily, family)
    revision = counts.latest_revision + 1 if counts is not None else 1
    definition = _definition(wanted, revision, f"arn:aws:iam::{view.scope.account}:root", call.now)
    checks.check_definition(definition)
    definition = msgspec.structs.replace(definition, requires_attributes=attributes.required(definition), tags=tags)
    draft = plan.Draft(view)
    draft.put(definition)
    draft.put(
        task_definitions.TaskDefinitionFamily(
            family=family,
            latest_revision=revision,
            active_revisions=(counts.active_revisions if counts is not None else 0) + 1,
            latest_active_revision=revision,
        )
    )
    output: dict[str, Any] = {"taskDefinition": present.task_definition(view.scope, definition)}
    if tags:
        output["tags"] = common.tags_output(tags)
    return operation.Reply(output=output, plan=draft.plan())


def _definition(
    wanted: dict[str, Any], revision: int, registered_by: str, now: float
) -> task_definitions.TaskDefinition:
    """The revision that a request describes, its sizes as whole numbers and its host ports filled in."""
    cpu, memory = sizes.cpu_units(wanted.get("cpu")), sizes.memory_mib(wanted.get("memory"))
    mode = wanted.get("networkMode")
    containers = common.convert(
        wanted["containerDefinitions"], tuple[task_definitions.ContainerDefinition, ...], "containerDefinitions"
    )
    return task_definitions.TaskDefinition(
        family=wanted["family"],
        revision=revision,
        registered_at=now,
        registered_by=registered_by,
        container_definitions=tuple(_filled(one, mode) for one in containers),
        volumes=_volumes(wanted.get("volumes", ())),
        network_mode=mode,
        cpu=None if cpu is None else str(cpu),
        memory=None if memory is None else str(memory),
        task_role_arn=wanted.get("taskRoleArn"),
        execution_role_arn=wanted.get("executionRoleArn"),
        requires_compatibilities=tuple(dict.fromkeys(wanted.get("requiresCompatibilities", ()))),
        placement_constraints=_placement_constraints(wanted.get("placementConstraints", ())),
    )


def _volumes(wanted: Any) -> tuple[task_definitions.Volume, ...]:
    volumes: tuple[task_definitions.Volume, ...] = common.convert(
        [{"name": "", **one} for one in wanted], tuple[task_definitions.Volume, ...], "volumes"
    )
    return volumes


def _placement_constraints(wanted: Any) -> tuple[task_definitions.PlacementConstraint, ...]:
    if any("type" not in one for one in wanted):
        raise common.client_error("A placement constraint needs a type.")
    constraints: tuple[task_definitions.PlacementConstraint, ...] = common.convert(
        wanted, tuple[task_definitions.PlacementConstraint, ...], "placementConstraints"
    )
    return constraints


def _filled(container: task_definitions.ContainerDefinition, mode: str | None) -> task_definitions.ContainerDefinition:
    """The container with its host ports: that of the container in awsvpc and host mode, else 0 (any free one)."""
    mappings = tuple(
        mapping
        if mapping.host_port is not None
        else msgspec.structs.replace(mapping, host_port=mapping.container_port if mode in ("awsvpc", "host") else 0)
        for mapping in container.port_mappings
    )
    return msgspec.structs.replace(container, port_mappings=mappings) if mappings else container


def describe_task_definition(call: operation.Call, view: views.View) -> operation.Reply:
    """DescribeTaskDefinition: by family, `family:revision` or ARN; INACTIVE revisions too."""
    found = common.find_task_definition(view, call.params.taskDefinition, missing="Unable to describe task definition.")
    output: dict[str, Any] = {"taskDefinition": present.task_definition(view.scope, found)}
    if common.includes(call.params.include, "TAGS"):
        output["tags"] = common.tags_output(found.tags)
    return operation.Reply(output=output)


def deregister_task_definition(call: operation.Call, view: views.View) -> operation.Reply:
    """DeregisterTaskDefinition: the revision becomes INACTIVE; what runs of it runs on. Again: no change."""
    parts = names.parts_of(view.scope, "task-definition", call.params.taskDefinition)
    if parts is not None and len(parts) == 1 and ":" not in parts[0]:
        raise common.client_error("The task definition's revision must be given, as family:revision or as an ARN.")
    found = common.find_task_definition(
        view, call.params.taskDefinition, missing="The specified task definition does not exist."
    )
    draft = plan.Draft(view)
    if found.status == "ACTIVE":
        found = msgspec.structs.replace(found, status="INACTIVE", deregistered_at=call.now)
        counts = view.get(task_definitions.TaskDefinitionFamily, found.family)
        assert counts is not None, "a revision has a family"
        newest = counts.latest_active_revision
        draft.put(found)
        draft.put(
            msgspec.structs.replace(
                counts,
                active_revisions=counts.active_revisions - 1,
                latest_active_revision=_active_before(view, found) if newest == found.revision else newest,
            )
        )
    return operation.Reply(output={"taskDefinition": present.task_definition(view.scope, found)}, plan=draft.plan())


def _active_before(view: views.View, leaving: task_definitions.TaskDefinition) -> int | None:
    """The newest ACTIVE revision below the one that leaves."""
    for revision in range(leaving.revision - 1, 0, -1):
        found = view.get(task_definitions.TaskDefinition, f"{leaving.family}:{revision}")
        if found is not None and found.status == "ACTIVE":
            return revision
    return None


def _operation(name: str, decide: Any, accepts: frozenset[str], note: str = "") -> operation.Operation:
    return operation.Operation(service="ecs", name=name, decide=decide, accepts=accepts, note=note)


OPERATIONS: tuple[operation.Operation, ...] = (
    _operation(
        "RegisterTaskDefinition",
        register_task_definition,
        REGISTER_ACCEPTS,
        "The log driver is json-file. FARGATE definitions are checked and kept; they run once Fargate is offered. "
        "requiresCompatibilities takes EC2 and FARGATE. executionRoleArn is kept and shown; nothing needs it yet, as "
        "what an agent would use it for (ECR, secrets, awslogs) is refused. Tasks with a taskRoleArn need an instance "
        "with ecs.capability task-iam-role, which our agent does not offer yet: they are refused with ATTRIBUTE.",
    ),
    _operation("DescribeTaskDefinition", describe_task_definition, frozenset({"taskDefinition", "include"})),
    _operation(
        "ListTaskDefinitions",
        listing.list_task_definitions,
        frozenset({"familyPrefix", "status", "sort", "nextToken", "maxResults"}),
    ),
    _operation(
        "ListTaskDefinitionFamilies",
        listing.list_task_definition_families,
        frozenset({"familyPrefix", "status", "nextToken", "maxResults"}),
    ),
    _operation("DeregisterTaskDefinition", deregister_task_definition, frozenset({"taskDefinition"})),
)
"""What this module serves."""
