"""SIGKILL for the server in a storm of writes, for the agent while it starts tasks, and for containers: nothing that
was acknowledged is lost, nothing is doubled, everything converges.
"""

from __future__ import annotations

import datetime
import os
import pathlib
import random
import signal
import time
from typing import Any

import pytest
from tests.end_to_end import installations, storms

from roadstead.agent.oci import paths as oci_paths

pytestmark = [pytest.mark.real, pytest.mark.slow]

MODES = ("host", "none", "bridge", "awsvpc")
CONVERGED_SECONDS_MAX = 45.0


def ids(arns: list[str]) -> set[str]:
    return {arn.rsplit("/", 1)[-1] for arn in arns}


def tasks_of(ecs: Any, **filters: str) -> list[dict[str, Any]]:
    """DescribeTasks of all that are to run."""
    pages = ecs.get_paginator("list_tasks").paginate(desiredStatus="RUNNING", **filters)
    arns = [arn for page in pages for arn in page["taskArns"]]
    found: list[dict[str, Any]] = []
    for start in range(0, len(arns), 100):
        found += ecs.describe_tasks(tasks=arns[start : start + 100])["tasks"]
    return found


def is_converged(one: installations.Installation, ecs: Any) -> bool:
    """Every task that is to run runs, and the host has just as many containers."""
    found = tasks_of(ecs)
    return {task["lastStatus"] for task in found} <= {"RUNNING"} and len(one.containers()) == len(found)


def check_acknowledged(one: installations.Installation, kept: storms.Acknowledged, began: float) -> None:
    ecs, cloudwatch = one.client("ecs"), one.client("cloudwatch")
    for start in range(0, len(kept.tasks), 100):
        found = ecs.describe_tasks(tasks=kept.tasks[start : start + 100])
        assert not found["failures"]
        assert {task["lastStatus"] for task in found["tasks"]} <= {"RUNNING"}
    for arn in kept.services:
        service = ecs.describe_services(services=[arn])["services"][0]
        assert service["status"] == "ACTIVE"
        assert (service["runningCount"], service["pendingCount"]) == (service["desiredCount"], 0), service
    pages = ecs.get_paginator("list_task_definitions").paginate()
    known = {arn for page in pages for arn in page["taskDefinitionArns"]}
    assert set(kept.definitions) <= known
    assert len(set(kept.definitions)) == len(kept.definitions), "one revision was given to two"
    points = cloudwatch.get_metric_statistics(
        Namespace=storms.METRIC_SPACE,
        MetricName="Writes",
        StartTime=datetime.datetime.fromtimestamp(began - 120, datetime.UTC),
        EndTime=datetime.datetime.fromtimestamp(time.time() + 120, datetime.UTC),
        Period=60,
        Statistics=["SampleCount"],
    )["Datapoints"]
    assert kept.data <= sum(point["SampleCount"] for point in points) <= kept.data_sent


@pytest.mark.timeout(280)
def test_a_server_killed_in_a_storm_of_writes_loses_and_doubles_nothing(real: installations.Installation) -> None:
    began, kept, chance = time.time(), storms.Acknowledged(), random.Random(204)
    for number, mode in enumerate(MODES):
        storms.define(real.client("ecs"), mode)
        storm = storms.Storm(real, kept, mode, number)
        storm.start()
        storm.kill(chance.uniform(0.15, 1.2))
        before = real.containers()
        real.start()
        ecs = real.client("ecs")
        installations.eventually(lambda: is_converged(real, ecs), CONVERGED_SECONDS_MAX)  # noqa: B023
        after = real.containers()
        assert before.items() <= after.items(), "every container that ran is adopted, none was started anew"
    print(f"acknowledged: {len(kept.tasks)} tasks, {len(kept.services)} services, {len(kept.definitions)} revisions")
    assert len(kept.tasks) >= len(MODES) and kept.definitions and kept.services and kept.data
    installations.eventually(lambda: settled(real, kept), CONVERGED_SECONDS_MAX)
    check_acknowledged(real, kept, began)
    instances = real.client("ecs").list_container_instances()["containerInstanceArns"]
    assert len(instances) == 1


def settled(one: installations.Installation, kept: storms.Acknowledged) -> bool:
    ecs = one.client("ecs")
    found = [ecs.describe_services(services=[arn])["services"][0] for arn in kept.services]
    return all(service["runningCount"] == service["desiredCount"] for service in found) and is_converged(one, ecs)


@pytest.mark.parametrize(("mode", "seed"), [("awsvpc", 1), ("bridge", 2)])
def test_an_agent_killed_during_starts_ends_with_exactly_what_was_asked_for(
    real: installations.Installation, mode: str, seed: int
) -> None:
    ecs, chance = real.client("ecs"), random.Random(seed)
    ports = [{"containerPort": 80}] if mode == "bridge" else []
    storms.define(ecs, mode, portMappings=ports)
    arns: list[str] = []
    for _ in range(2):
        arns += [task["taskArn"] for task in ecs.run_task(**storms.placed(mode), count=10)["tasks"]]
    for _ in range(2):
        time.sleep(chance.uniform(0.02, 0.25))
        before = real.containers()
        os.kill(real.agent_pid, signal.SIGKILL)
        assert real.up is not None
        real.up.wait_for("agent connected")
        assert before.items() <= real.containers().items()
    installations.eventually(lambda: is_converged(real, ecs), CONVERGED_SECONDS_MAX)
    found = ecs.describe_tasks(tasks=arns)["tasks"]
    assert [task["lastStatus"] for task in found] == ["RUNNING"] * 20
    assert len(real.containers()) == 20
    check_host_has(real, 20)
    if mode == "bridge":
        given = [binding["hostPort"] for task in found for binding in task["containers"][0]["networkBindings"]]
        assert len(set(given)) == 20
    for arn in arns:
        ecs.stop_task(task=arn)
    installations.eventually(lambda: not real.containers(), CONVERGED_SECONDS_MAX)
    installations.eventually(lambda: links_of(real) == 0)


def check_host_has(one: installations.Installation, count: int) -> None:
    """As many bundles, sandboxes, monitors and links as tasks; no rest of a start that was cut short."""
    paths = oci_paths.Paths(one.data_dir / "agent")
    assert len(list(paths.containers.iterdir())) == count
    assert len(list(paths.sandboxes.iterdir())) == count
    assert links_of(one) == count
    monitors = [words for words in installations.traces(one.data_dir) if "conmon" in words]
    assert len(monitors) == count


def links_of(one: installations.Installation) -> int:
    prefix = oci_paths.Paths(one.data_dir / "agent").veth_prefix
    return sum(link.name.startswith(prefix) for link in pathlib.Path("/sys/class/net").iterdir())


@pytest.mark.parametrize("mode", ["none", "host"])
def test_killed_containers_are_replaced_and_tell_137(real: installations.Installation, mode: str) -> None:
    ecs = real.client("ecs")
    storms.define(ecs, mode)
    ecs.create_service(serviceName="killed", **storms.placed(mode), desiredCount=3)
    ecs.get_waiter("services_stable").wait(services=["killed"], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    first = tasks_of(ecs, serviceName="killed")
    victims = first[:2]
    survivor = real.container_of(first[2]["taskArn"].rsplit("/", 1)[-1])
    for victim in victims:
        os.kill(real.container_of(victim["taskArn"].rsplit("/", 1)[-1])[0], signal.SIGKILL)

    def is_replaced() -> bool:
        found = tasks_of(ecs, serviceName="killed")
        arns = {task["taskArn"] for task in found if task["lastStatus"] == "RUNNING"}
        return len(arns) == 3 and not arns & {victim["taskArn"] for victim in victims}

    installations.eventually(is_replaced)
    assert survivor in real.containers().values()
    assert len(real.containers()) == 3
    for task in ecs.describe_tasks(tasks=[victim["taskArn"] for victim in victims])["tasks"]:
        assert (task["lastStatus"], task["stopCode"]) == ("STOPPED", "EssentialContainerExited")
        assert task["stoppedReason"] == "Essential container in task exited"
        assert task["containers"][0]["exitCode"] == 137
        assert task["containers"][0].get("reason") is None
        assert task["stoppingAt"] <= task["stoppedAt"]


def stopped(ecs: Any, arn: str) -> dict[str, Any]:
    """The task once it has stopped."""

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = ecs.describe_tasks(tasks=[arn])["tasks"][0]
        return found if found["lastStatus"] == "STOPPED" else None

    found: dict[str, Any] = installations.eventually(look)
    return found


def run_one(ecs: Any, mode: str) -> str:
    arn: str = ecs.run_task(**storms.placed(mode), count=1)["tasks"][0]["taskArn"]
    return arn


def running(ecs: Any, mode: str) -> str:
    arn = run_one(ecs, mode)
    ecs.get_waiter("tasks_running").wait(tasks=[arn], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    return arn


def test_out_of_memory_exit_codes_and_stops(real: installations.Installation) -> None:
    ecs = real.client("ecs")

    storms.define(ecs, "none", "exec tail /dev/zero")
    task = stopped(ecs, run_one(ecs, "none"))
    assert task["stopCode"] == "EssentialContainerExited"
    assert task["containers"][0]["exitCode"] == 137
    assert task["containers"][0]["reason"] == "OutOfMemoryError: Container killed due to memory usage"

    storms.define(ecs, "host", "exit 7")
    task = stopped(ecs, run_one(ecs, "host"))
    assert (task["stopCode"], task["containers"][0]["exitCode"]) == ("EssentialContainerExited", 7)

    storms.define(ecs, "bridge", "trap '' TERM; while :; do sleep 1; done", stopTimeout=3)
    deaf = running(ecs, "bridge")
    time.sleep(0.5)  # the shell has to set its trap
    asked_at = time.monotonic()
    ecs.stop_task(task=deaf, reason="enough")
    task = stopped(ecs, deaf)
    assert 2.5 <= time.monotonic() - asked_at <= 8
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")
    assert task["containers"][0]["exitCode"] == 137

    storms.define(ecs, "awsvpc", "trap 'exit 3' TERM; while :; do sleep 0.1; done", stopTimeout=20)
    polite = running(ecs, "awsvpc")
    time.sleep(0.5)
    asked_at = time.monotonic()
    ecs.stop_task(task=polite)
    task = stopped(ecs, polite)
    assert time.monotonic() - asked_at <= 5
    assert (task["stopCode"], task["containers"][0]["exitCode"]) == ("UserInitiated", 3)
    assert task["stoppedReason"] == "Task stopped by user"
    assert real.containers() == {}


def test_a_task_whose_image_is_missing_says_so(real: installations.Installation) -> None:
    ecs = real.client("ecs")
    storms.define(ecs, "none", image="127.0.0.1:1/nowhere:1")
    task = stopped(ecs, run_one(ecs, "none"))
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotPullContainerError")
    assert "exitCode" not in task["containers"][0]
