"""Tasks: stop, describe, list (behaviour.md 5.9, 5.12). Running them: `run_task`."""

from __future__ import annotations

from typing import Any

from roadstead.api import operation
from roadstead.api.ecs import common, names, present_tasks, registration, run_task
from roadstead.control import observation
from roadstead.model import container_instances, services, tables, tasks
from roadstead.model import names as arns
from roadstead.state import plan
from roadstead.state import view as views

REASON_CHARACTERS_MAX = 1024
STOPPED_BY_USER = "Task stopped by user"


def find_task(view: views.View, cluster: str, text: str) -> tasks.Task | None:
    """The task of a cluster by its id or ARN."""
    task_id = names.id_in_cluster(view.scope, "task", cluster, text)
    found = view.get(tasks.Task, task_id) if task_id is not None else None
    return found if found is not None and found.cluster == cluster else None


def stop_task(call: operation.Call, view: views.View) -> operation.Reply:
    """StopTask: asks for the stop; a task that no agent has, or whose instance is gone, is STOPPED at once."""
    params = call.params
    if params.reason is not None and len(params.reason) > REASON_CHARACTERS_MAX:
        raise common.invalid(f"The reason can have at most {REASON_CHARACTERS_MAX} characters.")
    cluster = common.find_cluster(view, params.cluster)
    task = find_task(view, cluster.name, params.task)
    if task is None:
        raise common.invalid("The referenced task was not found.")
    reason = params.reason or STOPPED_BY_USER
    stopped = tasks.request_stop(task, "UserInitiated", reason, call.now)
    if not _has_agent(stopped, view):
        stopped = observation.conclude_stopped(stopped, "UserInitiated", reason, call.now)
    draft = plan.Draft(view)
    draft.put(stopped)
    return operation.Reply(output={"task": present_tasks.present_task(stopped, view)}, plan=draft.plan())


def _has_agent(task: tasks.Task, view: views.View) -> bool:
    instance_id = task.desired.container_instance
    instance = view.get(container_instances.ContainerInstance, instance_id) if instance_id is not None else None
    return instance is not None and instance.status != "INACTIVE"


def describe_tasks(call: operation.Call, view: views.View) -> operation.Reply:
    """DescribeTasks: up to 100, by id or ARN; those that aren't there come as failures."""
    params = call.params
    common.check_count(params.tasks, "tasks")
    cluster = common.find_cluster(view, params.cluster)
    tags = common.includes(params.include, "TAGS")
    found, failures = [], []
    for text in params.tasks:
        task = find_task(view, cluster.name, text)
        if task is None:
            arn = text if text.startswith("arn:") else arns.task_arn(view.scope, cluster.name, text)
            failures.append(common.failure(arn, "MISSING"))
        else:
            found.append(present_tasks.present_task(task, view, include_tags=tags))
    return operation.Reply(output={"tasks": found, "failures": failures})


def list_tasks(call: operation.Call, view: views.View) -> operation.Reply:
    """ListTasks: those whose desired status is RUNNING (or the one asked for) that pass every filter."""
    params = call.params
    cluster = common.find_cluster(view, params.cluster)
    desired = params.desiredStatus or "RUNNING"
    filters = _filters(view, cluster.name, params)
    if desired == "PENDING" or filters is None:
        common.page_size(params.maxResults)
        return operation.Reply(output={"taskArns": []})  # nothing is ever asked to be PENDING (ECS-API)
    base = (cluster.name, desired)
    groups: list[tables.Group] = [(*base, name, value) for name, value in filters.items()] or [base]
    group = min(groups, key=lambda one: view.size(tables.TASKS, "listing", *one))

    def matches(task: tasks.Task) -> bool:
        if params.launchType and task.spec.launch_type != params.launchType:
            return False
        return len(filters) < 2 or all(_value(task, name) == value for name, value in filters.items())

    # Every group of the index is in the order of the tasks' ids: a place in one is a place in all.
    page, token = common.read_page(
        view,
        tables.TASKS,
        "listing",
        group,
        query="\n".join(("ListTasks", *base, params.launchType or "", *(f"{k}={v}" for k, v in filters.items()))),
        token=params.nextToken,
        max_results=params.maxResults,
        matches=matches,
    )
    found = [arns.arn_of_task(view.scope, task) for task in page]
    return operation.Reply(output=common.given(taskArns=found, nextToken=token))


def _filters(view: views.View, cluster: str, params: Any) -> dict[str, str] | None:
    """The filters that have an index, by its names; None where one can match nothing."""
    filters = {}
    if params.family:
        filters["family"] = params.family
    if params.startedBy:
        filters["startedBy"] = params.startedBy
    if params.serviceName:
        name = names.id_in_cluster(view.scope, "service", cluster, params.serviceName)
        if name is None or view.get(services.Service, services.service_key(cluster, name)) is None:
            raise common.service_not_found()
        filters["service"] = name
    if params.containerInstance:
        instance = registration.find_instance(view, cluster, params.containerInstance)
        if instance is None:
            return None
        filters["instance"] = instance.instance_id
    return filters


def _value(task: tasks.Task, name: str) -> str | None:
    match name:
        case "family":
            return task.family
        case "service":
            return task.spec.service
        case "startedBy":
            return task.spec.started_by
    return task.desired.container_instance


OPERATIONS: tuple[operation.Operation, ...] = (
    *run_task.OPERATIONS,
    operation.Operation(
        service="ecs", name="StopTask", decide=stop_task, accepts=frozenset({"cluster", "task", "reason"})
    ),
    operation.Operation(
        service="ecs", name="DescribeTasks", decide=describe_tasks, accepts=frozenset({"cluster", "tasks", "include"})
    ),
    operation.Operation(
        service="ecs",
        name="ListTasks",
        decide=list_tasks,
        accepts=frozenset(
            {
                *("cluster", "containerInstance", "family", "nextToken", "maxResults", "startedBy", "serviceName"),
                *("desiredStatus", "launchType"),
            }
        ),
    ),
)
