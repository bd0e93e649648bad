"""What must hold for either agent (agent-protocol.md 5), by a scripted agent over real websockets.

tests/end_to_end/test_agent_conformance.py runs the list with real containers, for our agent and for Amazon's.
"""

from __future__ import annotations

import asyncio
import pathlib
import threading
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest
from ecs_world import CAPABILITIES, RESOURCES
from scripted_agent import Agent, Server, decode
from websockets.exceptions import ConnectionClosed, InvalidStatus

from roadstead.acs import messages, telemetry
from roadstead.acs import tasks as acs_tasks
from roadstead.journals import sqlite
from roadstead.model import container_instances, services
from roadstead.model import tasks as task_records
from roadstead.signals import metrics
from roadstead.state import journal, plan


class GatedJournal(sqlite.SqliteJournal):
    """A disk that can be made to wait."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__(path)
        self.gate = threading.Event()
        self.gate.set()

    def append(self, entries: Sequence[journal.Entry]) -> None:
        assert self.gate.wait(10)
        super().append(entries)


@pytest.fixture
def disk(tmp_path: pathlib.Path) -> GatedJournal:
    return GatedJournal(tmp_path / "journal")


@pytest.fixture
async def server(disk: GatedJournal) -> AsyncIterator[Server]:
    one = Server(disk)
    await one.start()
    await one.call("create_cluster")
    container = {"name": "app", "image": "busybox", "memory": 64, "cpu": 512}
    await one.call("register_task_definition", family="web", containerDefinitions=[container])
    yield one
    disk.gate.set()
    await one.stop()


async def join(server: Server) -> Agent:
    """C1: an instance registers; every attribute comes back."""
    attributes = [{"name": "rack", "value": "7"}, *CAPABILITIES]
    answer = await server.call("register_container_instance", totalResources=RESOURCES, attributes=attributes)
    instance = answer["containerInstance"]
    assert all(one in instance["attributes"] for one in attributes)
    return server.agent(instance["containerInstanceArn"])


@pytest.fixture
async def agent(server: Server) -> AsyncIterator[Agent]:
    """An agent that is connected and has its manifest."""
    one = await join(server)
    await one.connect()
    await one.take()
    yield one
    await one.close()


async def run(server: Server, count: int = 1) -> list[str]:
    answer = await server.call("run_task", taskDefinition="web", count=count)
    assert not answer["failures"]
    return [task["taskArn"] for task in answer["tasks"]]


async def describe(server: Server, arn: str) -> Any:
    return (await server.call("describe_tasks", tasks=[arn]))["tasks"][0]


def instance_of(server: Server, agent: Agent) -> container_instances.ContainerInstance:
    found = server.store.view().get(container_instances.ContainerInstance, agent.arn.rpartition("/")[2])
    assert found is not None
    return found


async def gone(server: Server, agent: Agent) -> None:
    """Until the server has seen that the agent's connection is lost."""
    seen = asyncio.Event()
    server.store.watch(lambda commit: None if instance_of(server, agent).session.connected else seen.set())
    agent.abort()
    async with asyncio.timeout(5):
        await seen.wait()


async def test_c3_c4_a_task_runs_with_its_port_and_stops_with_its_exit_code(server: Server, agent: Agent) -> None:
    assert instance_of(server, agent).session.connected
    (arn,) = await run(server)
    payload = await agent.take()
    assert agent.known == {arn: "RUNNING"}
    assert payload.tasks[0].containers[0].image == "busybox"
    binding = {"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 32768, "protocol": "tcp"}
    container = {"containerName": "app", "runtimeId": "r", "status": "RUNNING", "networkBindings": [binding]}
    await agent.report(arn, "RUNNING", container)
    task = await describe(server, arn)
    assert task["lastStatus"] == "RUNNING" and task["containers"][0]["networkBindings"] == [binding]
    await server.call("stop_task", task=arn)
    stop = await agent.take()
    assert agent.known == {arn: "STOPPED"} and stop.seq_num > payload.seq_num
    await agent.report(arn, "STOPPED", {"containerName": "app", "status": "STOPPED", "exitCode": 137})
    task = await describe(server, arn)
    assert (task["lastStatus"], task["containers"][0]["exitCode"]) == ("STOPPED", 137)
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "Task stopped by user")
    assert await agent.nothing_comes()


async def test_c2_a_killed_agent_comes_back_to_its_tasks(server: Server, agent: Agent) -> None:
    (arn,) = await run(server)
    await agent.take()
    await agent.report(arn, "RUNNING", {"containerName": "app", "status": "RUNNING"})
    await gone(server, agent)
    assert (await describe(server, arn))["connectivity"] == "DISCONNECTED"
    again = await server.call(
        "register_container_instance", containerInstanceArn=agent.arn, totalResources=RESOURCES, attributes=CAPABILITIES
    )
    assert again["containerInstance"]["containerInstanceArn"] == agent.arn
    await agent.connect()
    manifest = await agent.take()
    assert [(task.task_arn, task.desired_status) for task in manifest.tasks] == [(arn, "RUNNING")]
    await agent.take()
    assert agent.started == [arn], "the task that it has is not a new one"
    assert sorted(agent.numbers) == agent.numbers and len(set(agent.numbers)) == len(agent.numbers)
    task = await describe(server, arn)
    assert (task["lastStatus"], task["connectivity"]) == ("RUNNING", "CONNECTED")


async def test_c5_c6_updates_are_deltas_and_pending_is_accepted(server: Server, agent: Agent) -> None:
    containers = [
        {"name": "app", "image": "i", "memory": 64},
        {"name": "side", "image": "i", "memory": 64, "essential": False},
    ]
    await server.call("register_task_definition", family="two", containerDefinitions=containers)
    arn = (await server.call("run_task", taskDefinition="two"))["tasks"][0]["taskArn"]
    await agent.report(arn, "PENDING", {"containerName": "side", "runtimeId": "s", "status": "RUNNING"})
    await agent.report(arn, "RUNNING", {"containerName": "app", "runtimeId": "a", "status": "RUNNING"})
    await agent.report(arn, "RUNNING", {"containerName": "side", "status": "STOPPED", "exitCode": 0})
    task = await describe(server, arn)
    shown = {one["name"]: (one["runtimeId"], one["lastStatus"]) for one in task["containers"]}
    assert task["lastStatus"] == "RUNNING"
    assert shown == {"app": ("a", "RUNNING"), "side": ("s", "STOPPED")}


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        ({"reason": "CannotPullContainerError: gone"}, "TaskFailedToStart", "CannotPullContainerError: gone"),
        (
            {"reason": "CannotStartContainerError: bad", "exitCode": 127},
            "TaskFailedToStart",
            "CannotStartContainerError: bad",
        ),
        (
            {"reason": "OutOfMemoryError: Container killed due to memory usage", "exitCode": 137},
            "EssentialContainerExited",
            "Essential container in task exited",
        ),
        ({"exitCode": 3}, "EssentialContainerExited", "Essential container in task exited"),
    ],
)
async def test_c7_every_way_to_fail_has_its_code_and_reason(
    server: Server, agent: Agent, change: dict[str, Any], code: str, reason: str
) -> None:
    (arn,) = await run(server)
    if "exitCode" in change and code == "EssentialContainerExited":
        await agent.report(arn, "RUNNING", {"containerName": "app", "status": "RUNNING"})
    await agent.report(arn, "STOPPED", {"containerName": "app", "status": "STOPPED", **change})
    task = await describe(server, arn)
    assert (task["stopCode"], task["stoppedReason"]) == (code, reason)
    assert task["containers"][0].get("reason") == change.get("reason")
    assert task["containers"][0].get("exitCode") == change.get("exitCode")


async def test_c9_the_manifest_stops_what_should_not_run(server: Server, agent: Agent) -> None:
    (arn,) = await run(server)
    await agent.take()
    await agent.close()
    await agent.connect()
    manifest = await agent.receive()
    stray = arn[:-32] + "f" * 32
    candidates = tuple(acs_tasks.TaskIdentifier(task_arn=one, desired_status="STOPPED") for one in (stray, arn))
    await agent.say(messages.TaskStopVerificationMessage(message_id=manifest.message_id, stop_candidates=candidates))
    answer = await agent.receive()
    assert isinstance(answer, messages.TaskStopVerificationAck)
    assert [task.task_arn for task in answer.stop_tasks] == [stray]


async def test_c10_a_newer_connection_takes_over_and_nothing_is_doubled(server: Server, agent: Agent) -> None:
    first = await run(server, 3)
    await agent.until(lambda: len(agent.known) == 3)
    older = agent.acs
    assert older is not None
    await agent.connect()
    await agent.until(lambda: agent.numbers[-1] > agent.numbers[3] and len(agent.numbers) == 8)
    with pytest.raises(ConnectionClosed) as closed:
        await older.recv()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
    assert sorted(agent.started) == sorted(first), "known tasks are not started again"
    assert instance_of(server, agent).session.connected and server.agents.connected == 1
    (more,) = await run(server)
    await agent.until(lambda: more in agent.known)
    assert len(agent.started) == 4


async def test_c11_frames_become_utilization(server: Server, agent: Agent) -> None:
    await server.call("create_service", serviceName="site", taskDefinition="web", desiredCount=1)
    (arn,) = await run(server)
    own(server, arn, "site")
    await agent.report(arn, "RUNNING", {"containerName": "app", "status": "RUNNING"})
    await agent.connect(path="/tcs/ws")
    now = time.time()
    answer = await agent.publish(agent.sample(arn, cpu=20.0, memory=16.0))
    assert isinstance(answer, telemetry.AckPublishMetric)
    series = server.store.view().signals

    def value(name: str, *dimensions: tuple[str, str]) -> list[float]:
        metric = metrics.metric("AWS/ECS", name, dimensions)
        points = series.statistics(metric, None, now - 60, now + 60, 60, ["Average"], now)
        return [point.values["Average"] for point in points]

    service = (("ClusterName", "default"), ("ServiceName", "site"))
    # 20 % of a host of 2048 units are 410 of the container's 512; 16 MiB are a quarter of its 64.
    assert value("CPUUtilization", *service) == [pytest.approx(80.0)]
    assert value("MemoryUtilization", *service) == [pytest.approx(25.0)]
    assert value("CPUUtilization", ("ClusterName", "default")) == [pytest.approx(20.0)]
    assert value("MemoryUtilization", ("ClusterName", "default")) == [pytest.approx(100 * 16 / 4096)]
    idle = telemetry.PublishMetricsRequest(
        metadata=telemetry.MetricsMetadata(cluster="default", idle=True, fin=True), timestamp=now
    )
    assert isinstance(await agent.publish(idle), telemetry.AckPublishMetric)


async def test_c12_container_health_reaches_the_task(server: Server, agent: Agent) -> None:
    check = {"command": ["CMD-SHELL", "true"]}
    container = {"name": "app", "image": "i", "memory": 64, "healthCheck": check}
    await server.call("register_task_definition", family="checked", containerDefinitions=[container])
    arn = (await server.call("run_task", taskDefinition="checked"))["tasks"][0]["taskArn"]
    await agent.connect(path="/tcs/ws")
    health = telemetry.ContainerHealth(container_name="app", health_status="HEALTHY", status_since=1.0)
    request = telemetry.PublishHealthRequest(
        metadata=telemetry.HealthMetadata(message_id="h", fin=True),
        timestamp=time.time(),
        tasks=(telemetry.TaskHealth(task_arn=arn, containers=(health,)),),
    )
    assert isinstance(await agent.publish(request), telemetry.AckPublishHealth)
    task = await describe(server, arn)
    assert (task["healthStatus"], task["containers"][0]["healthStatus"]) == ("HEALTHY", "HEALTHY")
    status = telemetry.PublishInstanceStatusRequest(metadata=telemetry.InstanceStatusMetadata(request_id="r"))
    assert isinstance(await agent.publish(status), telemetry.AckPublishInstanceStatus)


async def test_c16_tasks_that_an_agent_can_not_take_yet_wait_for_it(server: Server, agent: Agent) -> None:
    """The agent holds a task back while a stopping one still has the room: the server keeps both, and asks again."""
    first = await run(server)
    await agent.take()
    await server.call("stop_task", task=first[0])
    await agent.take()
    (second,) = await run(server)
    await agent.take()
    shown = {arn: (await describe(server, arn))["lastStatus"] for arn in (first[0], second)}
    assert shown == {first[0]: "PENDING", second: "PENDING"}
    await agent.report(first[0], "STOPPED", {"containerName": "app", "status": "STOPPED", "exitCode": 0})
    await agent.report(second, "RUNNING", {"containerName": "app", "status": "RUNNING"})
    assert (await describe(server, second))["lastStatus"] == "RUNNING"


async def test_nothing_is_sent_before_it_is_durable(server: Server, agent: Agent, disk: GatedJournal) -> None:
    disk.gate.clear()
    waiting = asyncio.create_task(run(server))
    assert await agent.nothing_comes(0.2)
    assert not waiting.done(), "nor is the caller answered"
    disk.gate.set()
    (arn,) = await waiting
    await agent.take()
    assert agent.known == {arn: "RUNNING"}


async def test_many_tasks_reach_the_agent_without_waiting_for_each_other(server: Server, agent: Agent) -> None:
    arns = await run(server, 4)
    received = [await agent.take(ack=False) for _ in arns]
    assert sorted(message.tasks[0].arn for message in received) == sorted(arns)


async def refusal(server: Server, agent: Agent, **how: Any) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as refused:
        await agent.connect(**how)
    response = refused.value.response
    body = decode(response.body or b"")
    assert body["message"]["message"]
    return response.status_code, body["type"]


async def test_who_may_not_connect_is_told_why_before_the_upgrade(server: Server) -> None:
    agent = await join(server)
    assert await refusal(server, agent, secret="wrong") == (403, "AccessDeniedException")
    assert await refusal(server, agent, cluster="nowhere") == (400, "InvalidClusterException")
    assert await refusal(server, agent, path="/acs/nothing") == (400, "BadRequestException")
    stranger = server.agent(agent.arn[:-32] + "0" * 32)
    assert await refusal(server, stranger) == (400, "InvalidInstanceException")
    assert await refusal(server, stranger, path="/tcs/ws") == (400, "InvalidInstanceException")
    nobody = server.agent("")
    assert await refusal(server, nobody) == (400, "BadRequestException")
    await agent.connect()
    await agent.take()
    await server.call("deregister_container_instance", containerInstance=agent.arn)
    assert agent.acs is not None
    with pytest.raises(ConnectionClosed):
        await agent.acs.recv()
    assert await refusal(server, agent) == (400, "InactiveInstanceException")


async def test_broken_frames_end_nothing(server: Server, agent: Agent) -> None:
    assert agent.acs is not None
    await agent.acs.send("nonsense")
    await agent.acs.send('{"type": "AckRequest", "message": {}}')
    tcs = await agent.connect(path="/tcs/ws")
    await tcs.send("nonsense")
    (arn,) = await run(server)
    await agent.take()
    assert agent.known == {arn: "RUNNING"}
    await agent.report(arn, "RUNNING", {"containerName": "app", "status": "RUNNING"})
    assert isinstance(await agent.publish(agent.sample(arn, 1.0, 1.0)), telemetry.AckPublishMetric)


async def test_a_stopping_server_lets_its_agents_go(server: Server, agent: Agent) -> None:
    await agent.connect(path="/tcs/ws")
    assert agent.acs is not None and agent.tcs is not None
    await server.agents.stop()
    for connection in (agent.acs, agent.tcs):
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
    assert not instance_of(server, agent).session.connected
    assert await refusal(server, agent) == (500, "ServerException")


def own(server: Server, arn: str, service: str) -> None:
    """Make a task a service's, as its controller would have made it."""
    view = server.store.view()
    task = view.get(task_records.Task, arn.rpartition("/")[2])
    found = view.get(services.Service, f"default/{service}")
    assert task is not None and found is not None
    draft = plan.Draft(view)
    spec = msgspec.structs.replace(task.spec, service=service, deployment_id=found.primary.deployment_id)
    draft.put(msgspec.structs.replace(task, spec=spec))
    server.store.commit(draft.plan(), time.time())
