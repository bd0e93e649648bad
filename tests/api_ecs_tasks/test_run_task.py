"""RunTask: what it starts, what it refuses, and what it answers where nothing fits (behaviour.md 5.12)."""

from __future__ import annotations

import pytest
from ecs_world import World, id_of

from roadstead.base import errors

AWSVPC = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": ["sg-1"]}}


def test_a_task_starts_on_an_instance_and_is_shown_whole(world: World) -> None:
    instance = world.join({"name": "ecs.cpu-architecture", "value": "x86_64"})
    answer = world.call(
        "RunTask",
        taskDefinition="web",
        startedBy="me",
        tags=[{"key": "team", "value": "a"}],
        enableECSManagedTags=True,
        overrides={
            "containerOverrides": [{"name": "app", "command": ["true"], "environment": [{"name": "A", "value": "1"}]}]
        },
    )
    assert answer["failures"] == []
    task = answer["tasks"][0]
    prefix = "arn:aws:ecs:us-east-1:123456789012"
    task_id = id_of(task["taskArn"])
    assert task["taskArn"] == f"{prefix}:task/default/{task_id}" and len(task_id) == 32
    assert task["clusterArn"] == f"{prefix}:cluster/default"
    assert task["taskDefinitionArn"] == f"{prefix}:task-definition/web:1"
    assert task["containerInstanceArn"] == instance
    assert task["availabilityZone"] == "us-east-1a"
    assert task["connectivity"] == "CONNECTED"
    assert task["attributes"] == [{"name": "ecs.cpu-architecture", "value": "x86_64"}]
    assert (task["lastStatus"], task["desiredStatus"], task["healthStatus"]) == ("PENDING", "RUNNING", "UNKNOWN")
    assert (task["group"], task["startedBy"], task["launchType"]) == ("family:web", "me", "EC2")
    assert (task["cpu"], task["memory"], task["version"]) == ("128", "64", 1)
    assert task["tags"] == [
        {"key": "team", "value": "a"},
        {"key": "aws:ecs:clusterName", "value": "default"},
    ]
    assert task["overrides"] == {
        "containerOverrides": [{"name": "app", "command": ["true"], "environment": [{"name": "A", "value": "1"}]}],
        "inferenceAcceleratorOverrides": [],
    }
    container = task["containers"][0]
    assert container["containerArn"].startswith(f"{prefix}:container/default/{task_id}/")
    assert container["taskArn"] == task["taskArn"]
    assert (container["name"], container["image"], container["lastStatus"]) == ("app", "busybox", "PENDING")
    assert (container["cpu"], container["memory"]) == ("128", "64")
    assert container["networkBindings"] == [] and "exitCode" not in container
    shown = world.describe(task["taskArn"])
    assert {k: v for k, v in shown.items() if k != "tags"} == {k: v for k, v in task.items() if k != "tags"}
    untagged = world.call("DescribeTasks", tasks=[task_id])["tasks"][0]
    assert untagged["tags"] == []


def test_an_awsvpc_task_gets_an_interface(world: World) -> None:
    world.join()
    world.define("vpc", networkMode="awsvpc")
    task = world.call("RunTask", taskDefinition="vpc", networkConfiguration=AWSVPC)["tasks"][0]
    assert task["lastStatus"] == "PROVISIONING"
    attachment = task["attachments"][0]
    assert (attachment["type"], attachment["status"]) == ("ElasticNetworkInterface", "ATTACHING")
    details = {one["name"]: one["value"] for one in attachment["details"]}
    assert details["subnetId"] == "subnet-1"
    assert details["privateIPv4Address"].startswith("10.1.0.")
    assert details["networkInterfaceId"].startswith("eni-") and details["macAddress"]
    interface = task["containers"][0]["networkInterfaces"][0]
    assert interface == {"attachmentId": attachment["id"], "privateIpv4Address": details["privateIPv4Address"]}
    attached = f"arn:aws:ecs:us-east-1:123456789012:attachment/default/{attachment['id']}"
    world.call("SubmitAttachmentStateChanges", attachments=[{"attachmentArn": attached, "status": "ATTACHED"}])
    assert world.describe(task["taskArn"])["attachments"][0]["status"] == "ATTACHED"
    world.report(task["taskArn"], "PENDING")
    assert world.describe(task["taskArn"])["lastStatus"] == "ACTIVATING"
    world.report(task["taskArn"], "STOPPED")
    assert world.describe(task["taskArn"])["attachments"][0]["status"] == "DELETED"


def test_what_finds_no_room_is_a_failure_with_its_reason_for_each_instance(world: World) -> None:
    one, two = world.join(), world.join(connected=False)
    world.define("huge", containerDefinitions=[{"name": "app", "image": "i", "memory": 3000}])
    answer = world.call("RunTask", taskDefinition="huge", count=3)
    assert len(answer["tasks"]) == 1
    assert {(failure["arn"], failure["reason"]) for failure in answer["failures"]} == {
        (one, "RESOURCE:MEMORY"),
        (two, "AGENT"),
    }
    world.call("UpdateContainerInstancesState", containerInstances=[one], status="DRAINING")
    reasons = {one["arn"]: one["reason"] for one in world.call("RunTask", taskDefinition="web")["failures"]}
    assert reasons == {one: "INACTIVE", two: "AGENT"}


def test_without_instances_there_is_nothing_to_place_on(world: World) -> None:
    expected = ("InvalidParameterException", "No Container Instances were found in your cluster.")
    assert world.refused("RunTask", taskDefinition="web") == expected


def test_the_same_client_token_starts_the_same_tasks_once(world: World) -> None:
    world.join()
    first = world.call("RunTask", taskDefinition="web", count=2, clientToken="t")
    revision = world.store.revision
    again = world.call("RunTask", taskDefinition="web", count=2, clientToken="t")
    assert sorted(one["taskArn"] for one in again["tasks"]) == sorted(one["taskArn"] for one in first["tasks"])
    assert world.store.revision == revision
    assert world.refused("RunTask", taskDefinition="web", clientToken="t", startedBy="other")[0] == "ConflictException"


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        ({"launchType": "FARGATE"}, "InvalidParameterException", "launchType FARGATE"),
        ({"launchType": "EXTERNAL"}, "InvalidParameterException", "launchType EXTERNAL"),
        ({"enableExecuteCommand": True}, "InvalidParameterException", "enableExecuteCommand"),
        ({"count": 0}, "InvalidParameterException", "count"),
        ({"count": 11}, "InvalidParameterException", "count"),
        ({"propagateTags": "SERVICE"}, "InvalidParameterException", "SERVICE"),
        ({"group": "service:x"}, "InvalidParameterException", "reserved"),
        ({"startedBy": "not so!"}, "InvalidParameterException", "startedBy"),
        ({"clientToken": "t" * 65}, "InvalidParameterException", "clientToken"),
        ({"tags": [{"key": "aws:x", "value": "y"}]}, "InvalidParameterException", "reserved"),
        ({"networkConfiguration": AWSVPC}, "InvalidParameterException", "networkMode"),
        ({"placementStrategy": [{"type": "binpack", "field": "x"}]}, "InvalidParameterException", "binpack"),
        (
            {"placementConstraints": [{"type": "memberOf", "expression": "nonsense =="}]},
            "ClientException",
            "expression",
        ),
        ({"overrides": {"containerOverrides": [{"name": "nobody"}]}}, "InvalidParameterException", "nobody"),
        (
            {"overrides": {"containerOverrides": [{"name": "app", "command": ["x" * 9000]}]}},
            "InvalidParameterException",
            "8192",
        ),
        ({"overrides": {"taskRoleArn": "arn:aws:iam::1:role/x"}}, "Unsupported", "overrides.taskRoleArn"),
        ({"capacityProviderStrategy": [{"capacityProvider": "x"}]}, "Unsupported", "capacityProviderStrategy"),
        ({"taskDefinition": "nothing"}, "ClientException", "TaskDefinition not found."),
        ({"cluster": "nowhere"}, "ClusterNotFoundException", "Cluster not found."),
    ],
)
def test_what_cannot_be_is_refused_by_name(world: World, params: dict, code: str, text: str) -> None:
    world.join()
    found_code, found_text = world.refused("RunTask", **{"taskDefinition": "web", **params})
    assert found_code == code and text in found_text


def test_an_expression_that_placement_could_not_read_gets_nowhere(world: World) -> None:
    bad = [{"type": "memberOf", "expression": "attribute:x =! y"}]
    service = {"serviceName": "s", "taskDefinition": "web", "desiredCount": 1}
    assert "expression" in world.refused("CreateService", placementConstraints=bad, **service)[1]
    container = {"name": "app", "image": "i", "memory": 64}
    definition = {"family": "bad", "containerDefinitions": [container]}
    assert "expression" in world.refused("RegisterTaskDefinition", placementConstraints=bad, **definition)[1]


def test_an_awsvpc_task_needs_its_network_configuration(world: World) -> None:
    world.join()
    world.define("vpc", networkMode="awsvpc")
    code, text = world.refused("RunTask", taskDefinition="vpc")
    assert code == "InvalidParameterException"
    assert text == "Network Configuration must be provided when networkMode 'awsvpc' is specified."


def test_an_inactive_definition_does_not_run(world: World) -> None:
    world.join()
    world.call("DeregisterTaskDefinition", taskDefinition="web:1")
    assert world.refused("RunTask", taskDefinition="web:1") == ("ClientException", "TaskDefinition is inactive")


def test_overrides_change_what_is_reserved(world: World) -> None:
    world.join()
    override = {"name": "app", "cpu": 512, "memory": 1024}
    task = world.call("RunTask", taskDefinition="web", overrides={"containerOverrides": [override], "memory": "2 GB"})[
        "tasks"
    ][0]
    assert (task["cpu"], task["memory"]) == ("512", "2048")
    assert (task["containers"][0]["cpu"], task["containers"][0]["memory"]) == ("512", "1024")
    with pytest.raises(errors.Refusal):
        world.call("RunTask", taskDefinition="web", overrides={"memory": "lots"})
