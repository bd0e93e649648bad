"""The agent in its shell, against a small control plane on loopback, with the simulated runtime in real time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from fake_control_plane import INSTANCE, KEY, SECRET, FakeControlPlane
from stage import a_task, arn_of, container

from roadstead.acs import messages, refusals, tasks, telemetry
from roadstead.agent import main, runtime, settings, shell, simulated, simulated_host
from roadstead.base import clock, errors


def chosen(plane: FakeControlPlane, data_dir: Path, **members: object) -> settings.Settings:
    made = settings.Settings(
        server_url=plane.url,
        data_dir=data_dir,
        access_key_id=KEY,
        secret_access_key=SECRET,
        attributes={"rack": "r1"},
        runtime="simulated",
        metrics_publish_seconds=0.2,
        metrics_sample_seconds=0.05,
    )
    return msgspec.structs.replace(made, **members)


def a_host() -> simulated_host.SimulatedHost:
    facts = runtime.HostFacts(
        cpu_units=16384,
        memory_mib=16384,
        subnet="10.1.0.0/24",
        network_modes=("awsvpc", "bridge", "host", "none"),
        runtime_version="simulated",
        reserved_ports_tcp=(22,),
    )
    return simulated_host.SimulatedHost(facts)


@contextlib.asynccontextmanager
async def an_agent(
    plane: FakeControlPlane, data_dir: Path, host: simulated_host.SimulatedHost | None = None
) -> AsyncIterator[shell.Agent]:
    agent = shell.Agent(chosen(plane, data_dir), simulated.SimulatedRuntime(host or a_host(), clock.SystemClock()))
    await agent.start()
    try:
        yield agent
    finally:
        await agent.stop()


async def test_it_registers_connects_runs_and_reports(tmp_path: Path) -> None:
    async with FakeControlPlane() as plane, an_agent(plane, tmp_path) as agent:
        name, body = plane.calls[0]
        assert name == "RegisterContainerInstance" and agent.container_instance_arn == INSTANCE
        attributes = {each["name"]: each.get("value") for each in body["attributes"]}
        assert attributes["rack"] == "r1" and attributes["roadstead.subnet"] == "10.1.0.0/24"
        assert attributes["ecs.os-type"] == "linux" and "ecs.capability.task-eni" in attributes
        resources = {
            each["name"]: each.get("integerValue", each.get("stringSetValue")) for each in body["totalResources"]
        }
        assert resources == {"CPU": 16384, "MEMORY": 16384, "PORTS": ["22"], "PORTS_UDP": []}
        await plane.payload(a_task(1, container(sim={"CPU_PERCENT": 400})), message_id="m1")
        await plane.until(lambda: plane.states(arn_of(1)) == ["RUNNING"])
        assert plane.agent_messages == [
            messages.AckRequest(cluster="default", container_instance=INSTANCE, message_id="m1")
        ]
        await plane.send(messages.HeartbeatMessage(message_id="h", healthy=True))
        await plane.until(lambda: messages.HeartbeatAckRequest(message_id="h") in plane.agent_messages)

        def published() -> list[telemetry.ContainerMetric]:
            return [
                each
                for frame in plane.telemetry
                if isinstance(frame, telemetry.PublishMetricsRequest)
                for metric in frame.task_metrics
                for each in metric.container_metrics
            ]

        await plane.until(published)
        cpu = published()[0].cpu_stats_set
        assert cpu is not None and cpu.sum / cpu.sample_count == pytest.approx(100 * 4 / 16, rel=0.05)
        await plane.payload(a_task(1, desired_status="STOPPED"))
        await plane.until(lambda: plane.states(arn_of(1)) == ["RUNNING", "STOPPED"])
        credentials = [each["sendCredentials"] for each in plane.connects if "sendCredentials" in each]
        assert credentials == ["true"]


async def test_submits_are_not_serialised_and_kept_in_order_by_task(tmp_path: Path) -> None:
    async with FakeControlPlane() as plane, an_agent(plane, tmp_path):
        plane.seconds_a_call = 0.05
        wanted = [a_task(n, container(cpu=10, sim={"EXIT_AFTER_SECONDS": 0})) for n in range(40)]
        for each in wanted:
            await plane.payload(each)
        await plane.until(lambda: all(plane.states(each.arn) == ["RUNNING", "STOPPED"] for each in wanted))
        assert 8 <= plane.in_flight_max <= 16


async def test_state_changes_are_sent_until_they_arrive_unless_refused_for_good(tmp_path: Path) -> None:
    async with FakeControlPlane() as plane, an_agent(plane, tmp_path):
        plane.failures = [(500, "ServerException"), (400, "InvalidParameterException")]
        await plane.payload(a_task(1))
        await plane.until(lambda: len(plane.calls) == 4)
        assert [name for name, _ in plane.calls[2:]] == [
            "SubmitTaskStateChange:ServerException",
            "SubmitTaskStateChange:InvalidParameterException",
        ]
        await plane.payload(a_task(1, desired_status="STOPPED"))
        await plane.until(lambda: plane.states(arn_of(1)) == ["STOPPED"])


async def test_a_lost_connection_comes_back_and_doubles_nothing(tmp_path: Path) -> None:
    async with FakeControlPlane() as plane, an_agent(plane, tmp_path):
        await plane.payload(a_task(1))
        await plane.until(lambda: plane.states(arn_of(1)) == ["RUNNING"])
        await plane.hang_up()
        await plane.payload(a_task(1), message_id="again")
        await plane.until(lambda: len(plane.agent_messages) == 2)
        assert plane.states(arn_of(1)) == ["RUNNING"]
        assert [each["sendCredentials"] for each in plane.connects if "sendCredentials" in each] == ["true", "false"]


async def test_an_inactive_instance_waits_and_the_refusal_is_understood(tmp_path: Path) -> None:
    async with FakeControlPlane() as plane:
        plane.refuse_with = refusals.Refusal(refusals.INACTIVE_INSTANCE, "deregistered")
        async with an_agent(plane, tmp_path) as agent:
            await plane.until(lambda: len(plane.connects) == 2)
            await asyncio.sleep(0.6)
            assert len(plane.connects) == 2, "an hour for each socket"
            assert not agent.is_connected


async def test_a_restarted_agent_adopts_what_runs_and_tells_what_ended(tmp_path: Path) -> None:
    host = a_host()
    async with FakeControlPlane() as plane:
        async with an_agent(plane, tmp_path, host):
            await plane.payload(a_task(0), a_task(1, container(sim={"EXIT_AFTER_SECONDS": 0.3, "EXIT_CODE": 5})))
            await plane.until(lambda: all(plane.states(arn_of(n)) == ["RUNNING"] for n in (0, 1)))
        before = {each.container_id: each.pid for each in host.inventory().containers}
        await asyncio.sleep(0.4)
        async with an_agent(plane, tmp_path, host) as agent:
            await plane.until(lambda: plane.states(arn_of(1)) == ["RUNNING", "STOPPED"])
            last = plane.calls[-1][1]["containers"][0]
            assert last["exitCode"] == 5
            again = [body for name, body in plane.calls if name == "RegisterContainerInstance"][1]
            assert again["containerInstanceArn"] == INSTANCE == agent.container_instance_arn
            assert "rack" not in {each["name"] for each in again["attributes"]}
            (running,) = host.inventory().containers
            assert running.pid == before[running.container_id]
            await plane.payload(a_task(1), a_task(0))
            await plane.until(lambda: len(plane.agent_messages) == 2)
            assert len(host.inventory().containers) == 1, "a late payload starts nothing anew"
            assert plane.states(arn_of(0)) == ["RUNNING"]


async def test_a_cluster_or_a_refusal_that_cannot_be_is_said_at_once(tmp_path: Path) -> None:
    async with FakeControlPlane() as plane:
        async with an_agent(plane, tmp_path):
            with pytest.raises(errors.HostProblem, match="another agent"):
                await shell.Agent(chosen(plane, tmp_path), main.make_runtime(chosen(plane, tmp_path))).start()
        other = chosen(plane, tmp_path, cluster="other")
        with pytest.raises(errors.HostProblem, match="belongs to an instance of the cluster 'default'"):
            await shell.Agent(other, main.make_runtime(other)).start()


async def test_it_waits_for_a_control_plane_that_is_not_there_yet(tmp_path: Path) -> None:
    async with FakeControlPlane() as plane:
        url, wanted = plane.url, chosen(plane, tmp_path)
        plane._http.close()
        agent = shell.Agent(wanted, simulated.SimulatedRuntime(a_host(), clock.SystemClock()))
        starting = asyncio.create_task(agent.start())
        await asyncio.sleep(0.1)
        assert not starting.done()
        port = int(url.rpartition(":")[2])
        plane._http = await asyncio.start_server(plane._serve_http, "127.0.0.1", port)
        await asyncio.wait_for(starting, 5)
        await agent.stop()


async def test_a_full_disk_stops_the_agent_before_it_says_yes(tmp_path: Path) -> None:
    async with FakeControlPlane() as plane, an_agent(plane, tmp_path) as agent:
        agent._storage._db.execute("PRAGMA max_page_count=1")
        await plane.payload(a_task(1, container(environment={}), volumes=(tasks.Volume(name="x" * 100_000),)))
        with pytest.raises(errors.HostProblem, match="can't write"):
            await asyncio.wait_for(agent.wait(), 5)
        assert plane.agent_messages == []
