"""Clusters: create, describe, list, delete (ECS-API)."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from roadstead.api import operation
from roadstead.api.ecs import common
from roadstead.api.ecs import names as references
from roadstead.base import errors
from roadstead.model import clusters, names, tables
from roadstead.state import plan
from roadstead.state import view as views

NAME_LENGTH_MAX = 255
_NAME = re.compile(r"[A-Za-z0-9_-]+")


def create_cluster(call: operation.Call, view: views.View) -> operation.Reply:
    """CreateCluster: the cluster of that name (`default` where absent), made where there is no ACTIVE one."""
    name = call.params.clusterName or clusters.DEFAULT_CLUSTER
    if _NAME.fullmatch(name) is None:
        raise common.invalid("Identifiers must contain only alphanumeric characters, hyphens and underscores.")
    if len(name) > NAME_LENGTH_MAX:
        raise common.invalid(f"The cluster's name can have at most {NAME_LENGTH_MAX} characters.")
    tags = common.tags_of(call.params.tags)
    found = view.get(clusters.Cluster, name)
    draft = plan.Draft(view)
    if found is None or found.status == "INACTIVE":
        found = clusters.Cluster(name=name, created_at=call.now, tags=tags)
        draft.put(found)
    output = {"cluster": present_cluster(view, found, ("TAGS", "SETTINGS"))}
    return operation.Reply(output=output, plan=draft.plan())


def describe_clusters(call: operation.Call, view: views.View) -> operation.Reply:
    """DescribeClusters: those named (the default one where none is); INACTIVE ones too; unknown ones in `failures`."""
    asked = call.params.clusters or [clusters.DEFAULT_CLUSTER]
    common.check_count(asked, "Clusters")
    found: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    for text in dict.fromkeys(asked):
        parts = references.parts_of(view.scope, "cluster", text)
        one = view.get(clusters.Cluster, parts[0]) if parts is not None and len(parts) == 1 else None
        if one is None:
            arn = text if text.startswith("arn:") else names.cluster_arn(view.scope, text)
            failures.append(common.failure(arn, "MISSING"))
        else:
            found.append(present_cluster(view, one, call.params.include or ()))
    return operation.Reply(output={"clusters": found, "failures": failures})


def list_clusters(call: operation.Call, view: views.View) -> operation.Reply:
    """ListClusters: ARNs of the ACTIVE clusters, by name."""
    found, token = common.read_page(
        view,
        tables.CLUSTERS,
        "all",
        ("all",),
        query="ListClusters",
        token=call.params.nextToken,
        max_results=call.params.maxResults,
        matches=lambda one: one.status == "ACTIVE",
    )
    arns = [names.cluster_arn(view.scope, one.name) for one in found]
    return operation.Reply(output=common.given(clusterArns=arns, nextToken=token))


def delete_cluster(call: operation.Call, view: views.View) -> operation.Reply:
    """DeleteCluster: an empty cluster becomes INACTIVE; one that still has something in it is refused."""
    found = common.find_cluster(view, call.params.cluster)
    draining = view.size(tables.SERVICES, "by_cluster", found.name, "DRAINING")
    if view.tally(tables.SERVICES, "active", found.name)[0] or draining:
        raise errors.Refusal(
            "ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active."
        )
    if view.tally(tables.CONTAINER_INSTANCES, "capacity", found.name)[0]:
        raise errors.Refusal(
            "ClusterContainsContainerInstancesException",
            "The Cluster cannot be deleted while Container Instances are active or draining.",
        )
    if any(view.tally(tables.TASKS, "counts", "cluster", found.name)):
        raise errors.Refusal("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
    draft = plan.Draft(view)
    gone = msgspec.structs.replace(found, status="INACTIVE")
    draft.put(gone)
    return operation.Reply(output={"cluster": present_cluster(view, gone, ("SETTINGS",))}, plan=draft.plan())


def present_cluster(
    view: views.View, cluster: clusters.Cluster, include: tuple[str, ...] | list[str]
) -> dict[str, Any]:
    """A cluster with its counts; `include` adds tags, settings and statistics."""
    running, pending, _ = view.tally(tables.TASKS, "counts", "cluster", cluster.name)
    active = view.tally(tables.SERVICES, "active", cluster.name)[0]
    statistics: list[dict[str, str]] = []
    if "STATISTICS" in include:
        numbers = {
            "runningEC2TasksCount": running,
            "runningFargateTasksCount": 0,
            "pendingEC2TasksCount": pending,
            "pendingFargateTasksCount": 0,
            "activeEC2ServiceCount": active,
            "activeFargateServiceCount": 0,
            "drainingEC2ServiceCount": view.size(tables.SERVICES, "by_cluster", cluster.name, "DRAINING"),
            "drainingFargateServiceCount": 0,
        }
        statistics = [{"name": name, "value": str(number)} for name, number in numbers.items()]
    return {
        "clusterArn": names.cluster_arn(view.scope, cluster.name),
        "clusterName": cluster.name,
        "status": cluster.status,
        "registeredContainerInstancesCount": view.tally(tables.CONTAINER_INSTANCES, "capacity", cluster.name)[0],
        "runningTasksCount": running,
        "pendingTasksCount": pending,
        "activeServicesCount": active,
        "statistics": statistics,
        "tags": common.tags_output(cluster.tags) if "TAGS" in include else [],
        "settings": [{"name": "containerInsights", "value": "disabled"}] if "SETTINGS" in include else [],
        "capacityProviders": [],
        "defaultCapacityProviderStrategy": [],
    }


def _operation(name: str, decide: Any, *accepts: str) -> operation.Operation:
    return operation.Operation(service="ecs", name=name, decide=decide, accepts=frozenset(accepts))


OPERATIONS: tuple[operation.Operation, ...] = (
    _operation("CreateCluster", create_cluster, "clusterName", "tags"),
    _operation("DescribeClusters", describe_clusters, "clusters", "include"),
    _operation("ListClusters", list_clusters, "nextToken", "maxResults"),
    _operation("DeleteCluster", delete_cluster, "cluster"),
)
"""What this module serves."""
