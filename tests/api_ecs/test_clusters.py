"""Clusters."""

from __future__ import annotations

from typing import Any

import pytest

from roadstead.model import container_instances
from roadstead.model import services as model_services

ARN = "arn:aws:ecs:us-east-1:123456789012:cluster/"


def test_a_cluster_without_a_name_is_the_default_one_and_making_it_again_changes_nothing(world: Any) -> None:
    made = world.call("CreateCluster", tags=[{"key": "team", "value": "web"}])["cluster"]
    assert (made["clusterArn"], made["status"], made["runningTasksCount"]) == (ARN + "default", "ACTIVE", 0)
    assert made["tags"] == [{"key": "team", "value": "web"}]
    revision = world.store.revision
    again = world.call("CreateCluster", clusterName="default")["cluster"]
    assert again["tags"] == made["tags"]
    assert world.store.revision == revision


def test_describe_finds_by_name_and_arn_and_reports_what_is_missing(world: Any) -> None:
    world.call("CreateCluster", clusterName="a")
    world.call("CreateCluster", clusterName="b")
    found = world.call("DescribeClusters", clusters=["a", ARN + "b", "c"])
    assert [one["clusterName"] for one in found["clusters"]] == ["a", "b"]
    assert found["failures"] == [{"arn": ARN + "c", "reason": "MISSING"}]
    assert world.call("DescribeClusters")["failures"] == [{"arn": ARN + "default", "reason": "MISSING"}]


def test_counts_are_those_of_the_tasks_that_there_are(cluster: Any) -> None:
    cluster.run("1" * 32, None, "RUNNING")
    cluster.run("2" * 32, None, "PENDING")
    cluster.run("3" * 32, None, "STOPPED", "STOPPED")
    cluster.call("CreateService", serviceName="s", taskDefinition="web", desiredCount=0)
    shown = cluster.call("DescribeClusters", include=["STATISTICS", "SETTINGS"])["clusters"][0]
    assert (shown["runningTasksCount"], shown["pendingTasksCount"], shown["activeServicesCount"]) == (1, 1, 1)
    statistics = {one["name"]: one["value"] for one in shown["statistics"]}
    assert statistics["runningEC2TasksCount"] == "1"
    assert statistics["activeEC2ServiceCount"] == "1"
    assert shown["settings"] == [{"name": "containerInsights", "value": "disabled"}]


def test_list_pages_through_the_active_clusters(world: Any) -> None:
    for name in ("a", "b", "c", "d"):
        world.call("CreateCluster", clusterName=name)
    world.call("DeleteCluster", cluster="b")
    first = world.call("ListClusters", maxResults=2)
    assert first["clusterArns"] == [ARN + "a", ARN + "c"]
    second = world.call("ListClusters", maxResults=2, nextToken=first["nextToken"])
    assert second == {"clusterArns": [ARN + "d"]}
    assert world.refused("ListClusters", nextToken="nonsense") == ("InvalidParameterException", "Invalid token.")


def test_a_cluster_with_something_in_it_is_not_deleted(cluster: Any) -> None:
    cluster.call("CreateService", serviceName="s", taskDefinition="web", desiredCount=0)
    assert cluster.refused("DeleteCluster", cluster="default")[0] == "ClusterContainsServicesException"
    cluster.call("DeleteService", service="s")
    assert cluster.refused("DeleteCluster", cluster="default")[0] == "ClusterContainsServicesException", "it drains"
    service = cluster.get(model_services.Service, "default/s")
    cluster.put(service.__class__(**{**_fields(service), "status": "INACTIVE"}))
    cluster.run("1" * 32, None, "RUNNING")
    assert cluster.refused("DeleteCluster", cluster="default")[0] == "ClusterContainsTasksException"
    cluster.put(
        container_instances.ContainerInstance(
            instance_id="i" * 32,
            cluster="default",
            ec2_instance_id="i-1",
            registered_at=1.0,
            capacity=container_instances.InstanceCapacity(cpu_units=1024, memory_mib=1024),
            availability_zone="us-east-1a",
        )
    )
    assert cluster.refused("DeleteCluster", cluster="default")[0] == "ClusterContainsContainerInstancesException"


def _fields(one: Any) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__struct_fields__}


def test_a_deleted_cluster_is_inactive_and_its_name_can_be_used_again(world: Any) -> None:
    world.call("CreateCluster", tags=[{"key": "old", "value": "1"}])
    assert world.call("DeleteCluster", cluster="default")["cluster"]["status"] == "INACTIVE"
    assert world.call("DescribeClusters")["clusters"][0]["status"] == "INACTIVE"
    assert world.refused("DeleteCluster", cluster="default")[0] == "ClusterNotFoundException"
    world.now += 10
    again = world.call("CreateCluster")["cluster"]
    assert (again["status"], again["tags"]) == ("ACTIVE", [])


@pytest.mark.parametrize(
    ("operation", "params", "code"),
    [
        ("CreateCluster", {"clusterName": "no spaces"}, "InvalidParameterException"),
        ("CreateCluster", {"clusterName": "x" * 256}, "InvalidParameterException"),
        ("CreateCluster", {"tags": [{"key": "aws:x", "value": "y"}]}, "InvalidParameterException"),
        ("CreateCluster", {"settings": [{"name": "containerInsights", "value": "enabled"}]}, "Unsupported"),
        ("CreateCluster", {"capacityProviders": ["FARGATE"]}, "Unsupported"),
        ("DeleteCluster", {"cluster": "none"}, "ClusterNotFoundException"),
    ],
)
def test_what_is_refused(world: Any, operation: str, params: dict[str, Any], code: str) -> None:
    assert world.refused(operation, **params)[0] == code
