"""A new task's record: the same from RunTask and from a service's controller."""

from __future__ import annotations

from roadstead.base import ids as base_ids
from roadstead.model import record, task_definitions, tasks

CLUSTER_TAG = "aws:ecs:clusterName"
SERVICE_TAG = "aws:ecs:serviceName"


def make(
    definition: task_definitions.TaskDefinition,
    spec: tasks.TaskSpec,
    desired: tasks.TaskDesired,
    cluster: str,
    ids: base_ids.Ids,
    now: float,
) -> tasks.Task:
    """A task that begins its life: `desired` as placement said, or an empty one while it waits for capacity.

    It is PROVISIONING while it waits for capacity or for its network interface, else PENDING (behaviour.md 5.9).
    """
    provisioning = desired.container_instance is None or desired.network_interface is not None
    return tasks.Task(
        task_id=ids.hex(32),
        cluster=cluster,
        created_at=now,
        spec=spec,
        desired=desired,
        observed=tasks.TaskObserved(
            last_status="PROVISIONING" if provisioning else "PENDING",
            containers=tuple(
                tasks.ObservedContainer(container_id=ids.uuid(), name=one.name, image=one.image)
                for one in definition.container_definitions
            ),
        ),
    )


def managed_tags(cluster: str, service: str | None = None) -> tuple[record.Tag, ...]:
    """What `enableECSManagedTags` adds to a task (behaviour.md 5.14)."""
    tags = (record.Tag(key=CLUSTER_TAG, value=cluster),)
    return tags if service is None else (*tags, record.Tag(key=SERVICE_TAG, value=service))
