"""What must hold for either agent (agent-protocol.md 5): C1-C5, C7, C9, C10, C11 and C16, with real containers.

One list, over public AWS APIs alone, for Roadstead's agent and, where ECS_AGENT_BINARY names it, for Amazon's. The
rest of the list is held by a scripted agent in tests/sessions. One server and one agent serve all of it, so the order
counts: metrics come before the restarts, each of which makes an agent wait 20 s for its next datapoints.
"""

from __future__ import annotations

import datetime
import http.client
import os
import pathlib
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.end_to_end import conforming_agents, conforming_cluster, installations

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(240)]

Joined = conforming_cluster.Joined
AGENTS: dict[str, conforming_cluster.Make] = {
    "roadstead": conforming_agents.RoadsteadAgent,
    "amazon": conforming_agents.AmazonAgent,
}
HAS_AMAZONS = bool(os.environ.get(conforming_agents.AMAZON_VARIABLE))
SLEEP = ["/bin/sleep", "1000"]
DEAF = ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
SITE_CPU_UNITS = 64
SITE_MEMORY_MIB = 64
SITE_HELD_MIB_MIN = 6.5
"""A shell variable with the numbers up to a million."""
SITE = [
    "/bin/sh",
    "-c",
    "held=$(seq 1000000); httpd -p 80 -h /; while :; do seq 20000 > /dev/null; sleep 0.5; done",
]
CPU_FACTOR = 3.0
"""How far the service's metric may be from what /proc says of another span: the host is shared."""
METRIC_SECONDS_MAX = 60.0


@pytest.fixture(
    scope="module",
    params=[
        "roadstead",
        pytest.param("amazon", marks=pytest.mark.skipif(not HAS_AMAZONS, reason=conforming_agents.AMAZON_SKIPPED)),
    ],
)
def joined(
    request: pytest.FixtureRequest, box: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Joined]:
    scratch = tmp_path_factory.mktemp(request.param)
    with conforming_cluster.joined(AGENTS[request.param], box, scratch) as one:
        yield one


@pytest.fixture(scope="module")
def site(joined: Joined) -> str:
    """A service of one task that serves, uses CPU and holds memory through the whole list: the ARN of its task."""
    definition = joined.define(
        "site",
        {
            "name": "web",
            "cpu": SITE_CPU_UNITS,
            "memory": SITE_MEMORY_MIB,
            "stopTimeout": 2,
            "command": SITE,
            "portMappings": [{"containerPort": 80}],
        },
    )
    joined.ecs.create_service(cluster=joined.cluster, serviceName="site", taskDefinition=definition, desiredCount=1)
    (arn,) = installations.eventually(
        lambda: joined.ecs.list_tasks(cluster=joined.cluster, serviceName="site")["taskArns"]
    )
    joined.wait(arn, "RUNNING")
    return str(arn)


def container_of(arn: str, name: str = "main") -> conforming_agents.Container:
    return conforming_agents.Container(arn.rpartition("/")[2], name)


def status_of(port: int) -> int:
    """The HTTP status at a port of this host; 0 where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/bin/busybox", headers={"Range": "bytes=0-0"})
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def test_c1_it_registers_and_its_attributes_are_echoed(joined: Joined) -> None:
    """An agent that misses one of them in the answer ends at once; this one connected."""
    assert joined.agent.pid
    instance = joined.instance
    assert (instance["status"], instance["agentConnected"]) == ("ACTIVE", True)
    attributes = {one["name"]: one.get("value") for one in instance["attributes"]}
    name, value = conforming_agents.ATTRIBUTE
    assert attributes[name] == value
    assert attributes["ecs.os-type"] == "linux"
    assert attributes["ecs.availability-zone"]
    assert any(each.startswith("com.amazonaws.ecs.capability.docker-remote-api.1.") for each in attributes)
    resources = {one["name"]: one for one in instance["registeredResources"]}
    assert resources["CPU"]["integerValue"] == 1024 * (os.cpu_count() or 0)
    assert resources["MEMORY"]["integerValue"] > SITE_MEMORY_MIB
    found = joined.ecs.list_container_instances(cluster=joined.cluster, filter=f"attribute:{name} == {value}")
    assert found["containerInstanceArns"] == [instance["containerInstanceArn"]]


def test_c3_a_task_runs_with_its_host_port(joined: Joined, site: str) -> None:
    task = joined.wait(site, "RUNNING")
    (container,) = task["containers"]
    assert container["lastStatus"] == "RUNNING" and container["runtimeId"]
    (binding,) = container["networkBindings"]
    assert (binding["containerPort"], binding["protocol"]) == (80, "tcp")
    assert binding["hostPort"] > 0
    installations.eventually(lambda: status_of(binding["hostPort"]) in (200, 206))
    assert container_of(site, "web") in joined.containers()


def test_c4_a_task_that_ignores_sigterm_is_killed_after_its_stop_timeout(joined: Joined) -> None:
    definition = joined.define("deaf", {"name": "main", "command": DEAF, "stopTimeout": 3})
    (arn,) = joined.run(definition)
    joined.wait(arn, "RUNNING")
    asked_at = time.monotonic()
    joined.ecs.stop_task(cluster=joined.cluster, task=arn, reason="enough")
    task = joined.wait(arn, "STOPPED")
    assert 2.5 <= time.monotonic() - asked_at <= 15
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")
    assert (task["containers"][0]["lastStatus"], task["containers"][0]["exitCode"]) == ("STOPPED", 137)
    assert container_of(arn) not in joined.containers()


def test_c5_what_is_told_of_one_container_changes_no_other(joined: Joined) -> None:
    definition = joined.define(
        "pair",
        {"name": "main", "command": SLEEP, "stopTimeout": 2, "portMappings": [{"containerPort": 80}]},
        {"name": "side", "command": ["/bin/sh", "-c", "sleep 1; exit 4"], "essential": False},
    )
    (arn,) = joined.run(definition)
    first = by_name(joined.wait(arn, "RUNNING"))
    task = joined.wait_until(arn, lambda task: by_name(task)["side"]["lastStatus"] == "STOPPED")
    seen = by_name(task)
    assert (task["lastStatus"], seen["side"]["exitCode"]) == ("RUNNING", 4)
    assert seen["side"]["runtimeId"] != seen["main"]["runtimeId"]
    assert seen["main"]["lastStatus"] == "RUNNING" and "exitCode" not in seen["main"]
    for member in ("runtimeId", "networkBindings"):
        assert seen["main"][member] == first["main"][member]
    joined.stop(arn)
    seen = by_name(joined.task(arn))
    assert (seen["side"]["exitCode"], seen["main"]["lastStatus"]) == (4, "STOPPED")


def by_name(task: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {container["name"]: container for container in task["containers"]}


STARTS_NOT = "TaskFailedToStart"
EXITS = "EssentialContainerExited"
EXITED = "Essential container in task exited"
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"


@pytest.mark.parametrize(
    ("container", "code", "reason", "container_reason", "exit_code"),
    [
        pytest.param({"image": "127.0.0.1:1/nowhere:1"}, STARTS_NOT, "CannotPull", "CannotPull", None, id="pull"),
        pytest.param(
            {"command": ["/no/such/program"]}, STARTS_NOT, "CannotStartContainerError", "CannotStart", ..., id="start"
        ),
        pytest.param({"command": ["/bin/tail", "/dev/zero"]}, EXITS, EXITED, OUT_OF_MEMORY, 137, id="memory"),
        pytest.param({"command": ["/bin/sh", "-c", "exit 7"]}, EXITS, EXITED, "", 7, id="exit"),
    ],
)
def test_c7_every_way_to_fail_has_its_code_and_reason(
    joined: Joined, container: dict[str, Any], code: str, reason: str, container_reason: str, exit_code: object
) -> None:
    """Agents differ in the words behind the error's name, and in whether what couldn't start has an exit code."""
    (arn,) = joined.run(joined.define("failing", {"name": "main", **container}))
    task = joined.wait(arn, "STOPPED")
    (seen,) = task["containers"]
    assert task["stopCode"] == code
    assert task["stoppedReason"].startswith(reason)
    assert seen.get("reason", "").startswith(container_reason)
    if not container_reason:
        assert "reason" not in seen
    if exit_code is not ...:
        assert seen.get("exitCode") == exit_code
    assert container_of(arn) not in joined.containers()


def test_c11_what_containers_use_becomes_utilization_of_their_service(joined: Joined, site: str) -> None:
    cloudwatch = joined.server.client("cloudwatch")

    def average(name: str) -> float | None:
        now = datetime.datetime.now(datetime.UTC)
        points = cloudwatch.get_metric_statistics(
            Namespace="AWS/ECS",
            MetricName=name,
            Dimensions=[{"Name": "ClusterName", "Value": joined.cluster}, {"Name": "ServiceName", "Value": "site"}],
            StartTime=now - datetime.timedelta(minutes=10),
            EndTime=now + datetime.timedelta(minutes=1),
            Period=60,
            Statistics=["Average"],
        )["Datapoints"]
        return float(points[-1]["Average"]) if points else None

    cpu = installations.eventually(lambda: average("CPUUtilization"), METRIC_SECONDS_MAX)
    memory = installations.eventually(lambda: average("MemoryUtilization"), METRIC_SECONDS_MAX)
    cores = conforming_cluster.cores_used(joined.containers()[container_of(site, "web")])
    expected = 100 * cores * 1024 / SITE_CPU_UNITS
    assert expected / CPU_FACTOR <= cpu <= expected * CPU_FACTOR
    assert 100 * SITE_HELD_MIB_MIN / SITE_MEMORY_MIB <= memory <= 100


def test_c2_an_agent_that_was_killed_is_the_same_instance_with_the_same_containers(joined: Joined, site: str) -> None:
    instance, before = joined.instance, joined.containers()
    assert container_of(site, "web") in before
    joined.agent.kill()
    installations.eventually(lambda: not joined.instance["agentConnected"])
    assert joined.containers() == before
    joined.agent.start()
    joined.wait_connected()
    again = joined.instance
    assert again["containerInstanceArn"] == instance["containerInstanceArn"]
    assert attributes_of(again) == attributes_of(instance)
    task = joined.task(site)
    assert (task["lastStatus"], task["connectivity"]) == ("RUNNING", "CONNECTED")
    (arn,) = joined.run(joined.define("after", {"name": "main", "command": ["/bin/true"]}))
    assert joined.wait(arn, "STOPPED")["containers"][0]["exitCode"] == 0
    assert joined.containers() == before


def attributes_of(instance: dict[str, Any]) -> dict[str, str | None]:
    return {one["name"]: one.get("value") for one in instance["attributes"]}


def test_c10_a_server_that_comes_back_doubles_nothing(joined: Joined, site: str) -> None:
    before = joined.containers()
    definition = joined.define("three", {"name": "main", "command": SLEEP, "stopTimeout": 1})
    arns = joined.run(definition, 3)
    assert joined.server.stop(signal.SIGKILL) == -signal.SIGKILL  # in the midst of their starts
    joined.server.start()
    joined.wait_connected()
    tasks = [joined.wait(arn, "RUNNING") for arn in arns]
    assert len({task["containers"][0]["runtimeId"] for task in tasks}) == 3
    running = joined.containers()
    assert running.keys() == before.keys() | {container_of(arn) for arn in arns}
    assert before.items() <= running.items()

    assert joined.server.stop() == 0
    assert joined.containers() == running
    joined.server.start()
    joined.wait_connected()
    assert [joined.task(arn)["containers"] for arn in arns] == [task["containers"] for task in tasks]
    assert joined.containers() == running
    joined.stop(*arns)
    installations.eventually(lambda: joined.containers() == before)
    assert joined.task(site)["lastStatus"] == "RUNNING"


def test_c9_a_task_that_the_control_plane_does_not_know_is_stopped(joined: Joined, site: str) -> None:
    """Its record is lost with the data directory, of which there is an older copy."""
    before = joined.containers()
    definition = joined.define("stray", {"name": "main", "command": SLEEP, "stopTimeout": 1})
    with joined.server.set_back():
        joined.wait_connected()
        arns = joined.run(definition, 3)
        for arn in arns:
            joined.wait(arn, "RUNNING")
        assert joined.containers().keys() == before.keys() | {container_of(arn) for arn in arns}
    joined.wait_connected()
    installations.eventually(lambda: joined.containers() == before)
    failures = joined.ecs.describe_tasks(cluster=joined.cluster, tasks=arns)["failures"]
    assert [failure["reason"] for failure in failures] == ["MISSING"] * 3
    task = joined.task(site)
    assert (task["lastStatus"], task["connectivity"]) == ("RUNNING", "CONNECTED")


def test_c16_a_task_that_was_placed_on_what_another_still_holds_waits_on_the_agent(joined: Joined) -> None:
    """The control plane can't know of the first one, because its record is lost; the agent does."""
    memory_mib = next(
        one["integerValue"] * 6 // 10 for one in joined.instance["registeredResources"] if one["name"] == "MEMORY"
    )
    large = {"name": "main", "memory": memory_mib}
    first = joined.define("first", {**large, "command": DEAF, "stopTimeout": 4})
    second = joined.define("second", {**large, "command": SLEEP, "stopTimeout": 1})
    with joined.server.set_back():
        joined.wait_connected()
        (holder,) = joined.run(first)
        joined.wait(holder, "RUNNING")
    joined.wait_connected()
    (waiting,) = joined.run(second)
    waited, ends_at = 0, time.monotonic() + conforming_cluster.TASK_SECONDS_MAX
    while (status := joined.task(waiting)["lastStatus"]) != "RUNNING":
        running = joined.containers()
        assert not {container_of(holder), container_of(waiting)} <= running.keys(), "there is room for one of them"
        if container_of(holder) in running:
            assert status == "PENDING"
            waited += 1
        assert time.monotonic() < ends_at, joined.agent.log()
        time.sleep(installations.POLL_SECONDS)
    assert waited, "it had nothing to wait for"
    assert container_of(holder) not in joined.containers()
    joined.stop(waiting)
