"""Container instances: describe, list, change their state (behaviour.md 5.10). Registration: `registration`."""

from __future__ import annotations

import msgspec

from roadstead.api import operation
from roadstead.api.ecs import common, registration
from roadstead.api.ecs import present_instances as present
from roadstead.control.placement import query
from roadstead.model import container_instances, tables, tasks
from roadstead.model import names as arns
from roadstead.state import plan
from roadstead.state import view as views

STATE_CHANGES_MAX = 10
"""Instances that one UpdateContainerInstancesState may name."""
_CHANGEABLE = ("ACTIVE", "DRAINING")
_NEVER_PRESENT = ("REGISTERING", "DEREGISTERING", "REGISTRATION_FAILED")
"""States that AWS has for instances whose set-up takes a while; ours never does."""


def describe_container_instances(call: operation.Call, view: views.View) -> operation.Reply:
    """DescribeContainerInstances: up to 100, by id or ARN; those that aren't there come as failures."""
    params = call.params
    common.check_count(params.containerInstances, "containerInstances")
    for what in params.include or ():
        if what != "TAGS":
            raise common.invalid(f"include {what} is not supported by this server.")
    cluster = common.find_cluster(view, params.cluster)
    found, failures = [], []
    for text in params.containerInstances:
        instance = registration.find_instance(view, cluster.name, text)
        if instance is None:
            failures.append(missing(view, cluster.name, text))
        else:
            found.append(present.present_instance(instance, view, include_tags=common.includes(params.include, "TAGS")))
    return operation.Reply(output={"containerInstances": found, "failures": failures})


def missing(view: views.View, cluster: str, text: str) -> dict[str, str]:
    """The failure for an instance that isn't there."""
    arn = text if text.startswith("arn:") else arns.instance_arn(view.scope, cluster, text)
    return common.failure(arn, "MISSING")


def list_container_instances(call: operation.Call, view: views.View) -> operation.Reply:
    """ListContainerInstances: those of a status (all but INACTIVE ones where none is given) that match the filter."""
    params = call.params
    cluster = common.find_cluster(view, params.cluster)
    if params.status in _NEVER_PRESENT:
        return operation.Reply(output={"containerInstanceArns": []})
    expression = _expression(params.filter)
    group = (cluster.name, params.status) if params.status else (cluster.name,)

    def matches(instance: container_instances.ContainerInstance) -> bool:
        if not params.status and instance.status == "INACTIVE":
            return False
        return expression is None or expression.matches(_Subjects(instance, view))

    page, token = common.read_page(
        view,
        tables.CONTAINER_INSTANCES,
        "by_cluster",
        group,
        query="\n".join(("ListContainerInstances", *group, params.filter or "")),
        token=params.nextToken,
        max_results=params.maxResults,
        matches=matches,
    )
    found = [arns.instance_arn(view.scope, one.cluster, one.instance_id) for one in page]
    return operation.Reply(output=common.given(containerInstanceArns=found, nextToken=token))


def _expression(text: str | None) -> query.Expression | None:
    if not text:
        return None
    try:
        return query.parse(text)
    except query.InvalidExpression as problem:
        raise common.invalid(f"Invalid filter: {problem}") from problem


class _Subjects:
    """What a filter may ask of an instance (`query.Subjects`)."""

    def __init__(self, instance: container_instances.ContainerInstance, view: views.View) -> None:
        self._instance = instance
        self._view = view

    def agent_connected(self) -> bool:
        return self._instance.session.connected

    def agent_version(self) -> str | None:
        return self._instance.version_info.agent_version

    def attribute(self, name: str) -> str | None:
        return self._instance.attribute(name)

    def ec2_instance_id(self) -> str:
        return self._instance.ec2_instance_id

    def registered_at(self) -> float:
        return self._instance.registered_at

    def running_tasks_count(self) -> int:
        return self._view.tally(tables.TASKS, "counts", "instance", self._instance.instance_id)[0]

    def groups(self) -> set[str]:
        return {task.spec.group for task in self._tasks()}

    def hosts_group(self, group: str) -> bool:
        instance = self._instance
        return self._view.tally(tables.TASKS, "group_on_instance", instance.cluster, group, instance.instance_id)[0] > 0

    def _tasks(self) -> list[tasks.Task]:
        return [
            task
            for task in self._view.find(tables.TASKS, "live_by_instance", self._instance.instance_id)
            if task.should_run
        ]


def update_container_instances_state(call: operation.Call, view: views.View) -> operation.Reply:
    """UpdateContainerInstancesState: ACTIVE or DRAINING, from either; what follows is the controllers' work."""
    params = call.params
    common.check_count(params.containerInstances, "containerInstances", STATE_CHANGES_MAX)
    if params.status not in _CHANGEABLE:
        raise common.invalid("Container instance status can only be set to ACTIVE or DRAINING.")
    cluster = common.find_cluster(view, params.cluster)
    draft = plan.Draft(view)
    changed, failures = [], []
    for text in dict.fromkeys(params.containerInstances):
        instance = registration.find_instance(view, cluster.name, text)
        if instance is None:
            failures.append(missing(view, cluster.name, text))
            continue
        if instance.status == "INACTIVE":
            arn = arns.instance_arn(view.scope, cluster.name, instance.instance_id)
            failures.append(common.failure(arn, "INACTIVE"))
            continue
        if instance.status != params.status:
            instance = msgspec.structs.replace(
                instance,
                status=params.status,
                draining_since=call.now if params.status == "DRAINING" else None,
                version=instance.version + 1,
            )
            draft.put(instance)
        changed.append(present.present_instance(instance, view))
    return operation.Reply(output={"containerInstances": changed, "failures": failures}, plan=draft.plan())


OPERATIONS: tuple[operation.Operation, ...] = (
    *registration.OPERATIONS,
    operation.Operation(
        service="ecs",
        name="DescribeContainerInstances",
        decide=describe_container_instances,
        accepts=frozenset({"cluster", "containerInstances", "include"}),
        note="include takes TAGS; CONTAINER_INSTANCE_HEALTH is refused.",
    ),
    operation.Operation(
        service="ecs",
        name="ListContainerInstances",
        decide=list_container_instances,
        accepts=frozenset({"cluster", "filter", "nextToken", "maxResults", "status"}),
    ),
    operation.Operation(
        service="ecs",
        name="UpdateContainerInstancesState",
        decide=update_container_instances_state,
        accepts=frozenset({"cluster", "containerInstances", "status"}),
    ),
)
