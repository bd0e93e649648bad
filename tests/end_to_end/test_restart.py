"""Ctrl-C ends control plane and agent and nothing else: the next `roadstead up` goes on with the same containers."""

from __future__ import annotations

import os
import signal
import time

import pytest
from tests.end_to_end import installations, storms

pytestmark = [pytest.mark.real, pytest.mark.slow]

WAITER = {"Delay": 1, "MaxAttempts": 40}


def ctrl_c(one: installations.Installation) -> int:
    """As a terminal sends it: to the whole group of processes. The exit status."""
    assert one.up is not None
    os.killpg(one.up.process.pid, signal.SIGINT)
    return one.stop(signal.SIGCONT)


def test_ctrl_c_leaves_containers_and_the_next_start_adopts_them(real: installations.Installation) -> None:
    ecs = real.client("ecs")
    storms.define(ecs, "awsvpc", "i=0; while :; do echo line $i; i=$((i+1)); sleep 0.2; done")
    storms.define(ecs, "bridge", "exec httpd -f -p 80 -h /", portMappings=[{"containerPort": 80}])
    for mode in ("awsvpc", "bridge"):
        ecs.create_service(serviceName=mode, **storms.placed(mode), desiredCount=2)
    ecs.get_waiter("services_stable").wait(services=["awsvpc", "bridge"], WaiterConfig=WAITER)
    instance = ecs.list_container_instances()["containerInstanceArns"]
    before_tasks = {arn for mode in ("awsvpc", "bridge") for arn in ecs.list_tasks(serviceName=mode)["taskArns"]}
    addresses = {arn: address_of(real, arn) for arn in before_tasks}
    before = real.containers()
    assert len(before) == 4

    assert ctrl_c(real) == 0
    assert real.containers() == before
    time.sleep(1.0)
    assert real.containers() == before
    assert not (real.data_dir / "server.json").exists()
    refused = real.roadstead("ps")
    assert refused.returncode == 4 and "roadstead up" in refused.stderr

    real.start()
    ecs = real.client("ecs")
    assert ecs.list_container_instances()["containerInstanceArns"] == instance
    ecs.get_waiter("services_stable").wait(services=["awsvpc", "bridge"], WaiterConfig=WAITER)
    assert real.containers() == before
    found = ecs.describe_tasks(tasks=list(before_tasks))["tasks"]
    assert {task["lastStatus"] for task in found} == {"RUNNING"}
    assert {arn: address_of(real, arn) for arn in before_tasks} == addresses
    ecs.update_service(service="awsvpc", desiredCount=0)
    ecs.get_waiter("services_stable").wait(services=["awsvpc"], WaiterConfig=WAITER)
    installations.eventually(lambda: len(real.containers()) == 2)


def address_of(one: installations.Installation, arn: str) -> object:
    """Where a task can be reached."""
    task = one.client("ecs").describe_tasks(tasks=[arn])["tasks"][0]
    details = {each["name"]: each["value"] for one in task["attachments"] for each in one["details"]}
    return details.get("privateIPv4Address") or task["containers"][0]["networkBindings"]


def test_what_ended_while_nobody_looked_is_told_and_replaced(real: installations.Installation) -> None:
    ecs = real.client("ecs")
    storms.define(ecs, "none")
    ecs.create_service(serviceName="one", **storms.placed("none"), desiredCount=2)
    ecs.get_waiter("services_stable").wait(services=["one"], WaiterConfig=WAITER)
    victim, survivor = ecs.list_tasks(serviceName="one")["taskArns"]
    kept = real.container_of(survivor.rsplit("/", 1)[-1])
    killed = real.container_of(victim.rsplit("/", 1)[-1])
    assert real.stop() == 0
    os.kill(killed[0], signal.SIGKILL)
    real.start()
    ecs = real.client("ecs")
    ecs.get_waiter("tasks_stopped").wait(tasks=[victim], WaiterConfig=WAITER)
    task = ecs.describe_tasks(tasks=[victim])["tasks"][0]
    assert (task["stopCode"], task["containers"][0]["exitCode"]) == ("EssentialContainerExited", 137)
    installations.eventually(lambda: len(real.containers()) == 2)
    assert kept in real.containers().values()
    ecs.get_waiter("services_stable").wait(services=["one"], WaiterConfig=WAITER)


@pytest.mark.parametrize("after_seconds", [0.05, 0.3, 0.6])
def test_an_end_in_the_midst_of_starts_fails_no_task(real: installations.Installation, after_seconds: float) -> None:
    ecs = real.client("ecs")
    storms.define(ecs, "awsvpc")
    arns = []
    for _ in range(2):
        arns += [task["taskArn"] for task in ecs.run_task(**storms.placed("awsvpc"), count=10)["tasks"]]
    time.sleep(after_seconds)
    assert real.stop() == 0
    before = real.containers()
    log = (real.data_dir / "log" / "agent.log").read_text()
    assert "Traceback" not in log, log[-3_000:]
    real.start()
    ecs = real.client("ecs")
    ecs.get_waiter("tasks_running").wait(tasks=arns, WaiterConfig=WAITER)
    assert before.items() <= real.containers().items()
    assert len(real.containers()) == 20


def test_a_second_server_on_the_same_directory_is_refused(real: installations.Installation) -> None:
    refused = real.roadstead("up", "--port", "0")
    assert refused.returncode == 1
    assert "in use" in refused.stderr and "Traceback" not in refused.stderr
    assert real.client("ecs").list_clusters()["clusterArns"]
