"""Container instances: registration and its rules, what is shown, states, listings (behaviour.md 5.10; C1, C2)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ecs_world import RESOURCES, World, id_of

from roadstead.control.sessions import connection


def resources(cpu: int = 2048, memory: int = 4096) -> list[dict[str, Any]]:
    return [
        {"name": "CPU", "type": "INTEGER", "integerValue": cpu},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": memory},
    ]


def test_every_attribute_comes_back_and_the_instance_is_shown_whole(world: World) -> None:
    sent = [
        {"name": "ecs.capability.task-eni"},
        {"name": "com.amazonaws.ecs.capability.logging-driver.json-file"},
        {"name": "rack", "value": "7"},
        {"name": "ecs.os-type", "value": "linux"},
    ]
    instance = world.call(
        "RegisterContainerInstance",
        totalResources=RESOURCES,
        attributes=sent,
        versionInfo={"agentVersion": "1.2.3", "agentHash": "abc", "dockerVersion": "DockerVersion: 20.10"},
        tags=[{"key": "a", "value": "b"}],
        instanceIdentityDocument=json.dumps({"instanceId": "i-123"}),
    )["containerInstance"]
    attributes = {one["name"]: one.get("value") for one in instance["attributes"]}
    assert {one["name"]: one.get("value") for one in sent}.items() <= attributes.items()
    assert attributes["ecs.availability-zone"] == "us-east-1a"
    assert instance["containerInstanceArn"].startswith("arn:aws:ecs:us-east-1:123456789012:container-instance/default/")
    assert (instance["status"], instance["agentConnected"], instance["ec2InstanceId"]) == ("ACTIVE", False, "i-123")
    assert instance["versionInfo"]["agentVersion"] == "1.2.3"
    assert instance["registeredAt"].timestamp() == 1000 and instance["tags"] == [{"key": "a", "value": "b"}]
    registered = {one["name"]: one for one in instance["registeredResources"]}
    assert registered["CPU"]["integerValue"] == 2048 and registered["MEMORY"]["integerValue"] == 4096
    assert registered["PORTS"]["stringSetValue"] == ["22", "51678"]
    world.connect(instance["containerInstanceArn"])
    world.run()
    shown = world.call("DescribeContainerInstances", containerInstances=[id_of(instance["containerInstanceArn"])])
    shown = shown["containerInstances"][0]
    remaining = {one["name"]: one for one in shown["remainingResources"]}
    assert (remaining["CPU"]["integerValue"], remaining["MEMORY"]["integerValue"]) == (2048 - 128, 4096 - 64)
    assert (shown["agentConnected"], shown["pendingTasksCount"], shown["tags"]) == (True, 1, [])


def test_an_agent_that_comes_back_keeps_its_instance_and_its_own_attributes(world: World) -> None:
    arn = world.join({"name": "rack", "value": "7"}, {"name": "ecs.capability.old"})
    task = world.run()
    again = world.call(
        "RegisterContainerInstance",
        containerInstanceArn=arn,
        totalResources=RESOURCES,
        attributes=[{"name": "ecs.capability.new"}],
    )["containerInstance"]
    assert again["containerInstanceArn"] == arn
    names = {one["name"]: one.get("value") for one in again["attributes"]}
    assert names["rack"] == "7" and "ecs.capability.new" in names and "ecs.capability.old" not in names
    assert names["roadstead.subnet"] == "10.1.0.0/24" and world.instance(arn).subnet == "10.1.0.0/24"
    assert world.describe(task)["containerInstanceArn"] == arn
    assert len(world.call("ListContainerInstances")["containerInstanceArns"]) == 1


def test_a_registration_whose_answer_was_lost_is_the_same_instance(world: World) -> None:
    def register(token: str) -> str:
        return world.agent_call(
            "RegisterContainerInstance", {"cluster": "default", "clientToken": token, "totalResources": RESOURCES}
        )["containerInstance"]["containerInstanceArn"]

    first = register("one")
    assert register("one") == first != register("two")
    world.call("DeregisterContainerInstance", containerInstance=first)
    assert register("one") != first, "what was deregistered does not come back"


def test_another_machine_under_an_old_arn_is_refused(world: World) -> None:
    arn = world.join({"name": "ecs.instance-type", "value": "m5.large"})
    expected = ("ClientException", "Container instance type changes are not supported.")
    assert (
        world.refused("RegisterContainerInstance", containerInstanceArn=arn, totalResources=resources(cpu=4096))
        == expected
    )
    assert (
        world.refused("RegisterContainerInstance", containerInstanceArn=arn, totalResources=resources(memory=2048))
        == expected
    )
    other = [{"name": "ecs.instance-type", "value": "m5.xlarge"}]
    assert (
        world.refused(
            "RegisterContainerInstance", containerInstanceArn=arn, totalResources=resources(), attributes=other
        )
        == expected
    )
    world.call("RegisterContainerInstance", containerInstanceArn=arn, totalResources=resources(memory=4090))
    assert world.instance(arn).capacity.memory_mib == 4090


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        ({"cluster": "nowhere"}, "ClientException", "Cluster not found."),
        ({"totalResources": []}, "InvalidParameterException", "CPU"),
        ({"totalResources": resources(memory=0)}, "InvalidParameterException", "MEMORY"),
        (
            {"totalResources": [*resources(), {"name": "GPU", "type": "STRINGSET", "stringSetValue": ["0"]}]},
            "InvalidParameterException",
            "GPU",
        ),
        (
            {"totalResources": [*resources(), {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["ssh"]}]},
            "InvalidParameterException",
            "ssh",
        ),
        ({"containerInstanceArn": "0" * 32}, "ClientException", "not found"),
        ({"instanceIdentityDocument": "{"}, "ClientException", "JSON"),
        ({"platformDevices": [{"id": "0", "type": "GPU"}]}, "Unsupported", "platformDevices"),
    ],
)
def test_what_cannot_register(world: World, params: dict[str, Any], code: str, text: str) -> None:
    found_code, found_text = world.refused("RegisterContainerInstance", **{"totalResources": resources(), **params})
    assert found_code == code and text in found_text


def test_deregistering_waits_for_the_tasks_unless_forced(world: World) -> None:
    arn = world.join()
    task = world.run()
    expected = ("InvalidParameterException", "Found running tasks on the instance.")
    assert world.refused("DeregisterContainerInstance", containerInstance=arn) == expected
    instance = world.call("DeregisterContainerInstance", containerInstance=arn, force=True)["containerInstance"]
    assert (instance["status"], instance["runningTasksCount"], instance["pendingTasksCount"]) == ("INACTIVE", 0, 0)
    assert world.describe(task)["lastStatus"] == "STOPPED"
    assert world.call("ListContainerInstances")["containerInstanceArns"] == []
    again = world.call("DeregisterContainerInstance", containerInstance=arn)["containerInstance"]
    assert again["status"] == "INACTIVE"
    assert world.refused("DeregisterContainerInstance", containerInstance="0" * 32)[0] == "InvalidParameterException"
    assert world.refused("RegisterContainerInstance", containerInstanceArn=arn, totalResources=RESOURCES)[0] == (
        "ClientException"
    )


def test_draining_and_back(world: World) -> None:
    arn = world.join()
    gone = world.join()
    world.call("DeregisterContainerInstance", containerInstance=gone)
    world.now += 9
    answer = world.call("UpdateContainerInstancesState", containerInstances=[arn, gone, "nothing"], status="DRAINING")
    assert [one["status"] for one in answer["containerInstances"]] == ["DRAINING"]
    assert [(one["arn"].rpartition("/")[2], one["reason"]) for one in answer["failures"]] == [
        (id_of(gone), "INACTIVE"),
        ("nothing", "MISSING"),
    ]
    assert world.instance(arn).draining_since == 1009
    assert world.call("ListContainerInstances", status="DRAINING")["containerInstanceArns"] == [arn]
    world.call("UpdateContainerInstancesState", containerInstances=[arn], status="ACTIVE")
    assert world.instance(arn).draining_since is None
    assert world.refused("UpdateContainerInstancesState", containerInstances=[arn], status="INACTIVE")[0] == (
        "InvalidParameterException"
    )
    assert world.refused("UpdateContainerInstancesState", containerInstances=["x"] * 11, status="ACTIVE")[0] == (
        "InvalidParameterException"
    )


def test_listing_by_the_cluster_query_language(world: World) -> None:
    one = world.join({"name": "rack", "value": "7"})
    two = world.join({"name": "rack", "value": "8"}, connected=False)
    listed = lambda text: world.call("ListContainerInstances", filter=text)["containerInstanceArns"]  # noqa: E731
    assert listed("attribute:rack == 8") == [two]
    assert listed("agentConnected == true") == [one]
    world.run("web", group="cron")
    assert listed("task:group == cron") == [one] and listed("not(task:group == cron)") == [two]
    assert sorted(listed("runningTasksCount == 0")) == sorted([one, two])
    page = world.call("ListContainerInstances", maxResults=1)
    rest = world.call("ListContainerInstances", maxResults=1, nextToken=page["nextToken"])
    assert sorted([*page["containerInstanceArns"], *rest["containerInstanceArns"]]) == sorted([one, two])
    assert "nextToken" not in rest
    assert world.refused("ListContainerInstances", filter="nonsense ==")[0] == "InvalidParameterException"
    assert world.refused("DescribeContainerInstances", containerInstances=[one], include=["CONTAINER_INSTANCE_HEALTH"])[
        0
    ] == ("InvalidParameterException")


def test_poll_endpoints_are_where_the_agent_reached_us(world: World) -> None:
    answer = world.call("DiscoverPollEndpoint", containerInstance=world.join(), cluster="default")
    assert answer == {"endpoint": "http://127.0.0.1:4566/acs", "telemetryEndpoint": "http://127.0.0.1:4566/tcs"}


def test_a_server_that_starts_knows_no_agent(world: World) -> None:
    arn = world.join()
    assert world.instance(arn).session.connected
    now = world.now = 2000.0
    world.store.transact(lambda view: (connection.forget_all(view, now), None), now)
    session = world.instance(arn).session
    assert (session.connected, session.changed_at) == (False, 2000.0)
    first = world.connect(arn)
    assert first > session.timeline, "no number is used twice"
    assert world.instance(arn).session.timeline == first - 1 + connection.TIMELINE_BLOCK
    assert world.connect(arn) == first + connection.TIMELINE_BLOCK, "nor by a session that begins at the same moment"


def test_a_server_whose_records_were_set_back_counts_on(world: World) -> None:
    """Else its agents would take no manifest of it, and what it does not know would run for ever."""
    arn = world.join()
    copy, instance_id, used = world.store.view(), arn.rpartition("/")[2], []
    for _ in range(5):
        world.now += 2.0
        used.append(world.connect(arn))
    _, first = connection.begin(copy, instance_id, world.now + 2.0)
    assert first > world.instance(arn).session.timeline > used[-1]
