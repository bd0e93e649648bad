"""The ARNs of ECS's things, in the long form (ECS-API): made here, in one place, from a scope and a record's key."""

from __future__ import annotations

from roadstead.base import scope as base_scope
from roadstead.model import tasks


def cluster_arn(scope: base_scope.Scope, cluster: str) -> str:
    """`arn:aws:ecs:region:account:cluster/name`."""
    return scope.arn("ecs", f"cluster/{cluster}")


def task_arn(scope: base_scope.Scope, cluster: str, task_id: str) -> str:
    """`…:task/cluster/id`."""
    return scope.arn("ecs", f"task/{cluster}/{task_id}")


def container_arn(scope: base_scope.Scope, cluster: str, task_id: str, container_id: str) -> str:
    """`…:container/cluster/task/id`."""
    return scope.arn("ecs", f"container/{cluster}/{task_id}/{container_id}")


def instance_arn(scope: base_scope.Scope, cluster: str, instance_id: str) -> str:
    """`…:container-instance/cluster/id`."""
    return scope.arn("ecs", f"container-instance/{cluster}/{instance_id}")


def service_arn(scope: base_scope.Scope, cluster: str, service: str) -> str:
    """`…:service/cluster/name`."""
    return scope.arn("ecs", f"service/{cluster}/{service}")


def task_definition_arn(scope: base_scope.Scope, task_definition: str) -> str:
    """`…:task-definition/family:revision`, from `family:revision`."""
    return scope.arn("ecs", f"task-definition/{task_definition}")


def attachment_arn(scope: base_scope.Scope, cluster: str, attachment_id: str) -> str:
    """`…:attachment/cluster/id`: an awsvpc task's network interface."""
    return scope.arn("ecs", f"attachment/{cluster}/{attachment_id}")


def arn_of_task(scope: base_scope.Scope, task: tasks.Task) -> str:
    """A task's ARN."""
    return task_arn(scope, task.cluster, task.task_id)
