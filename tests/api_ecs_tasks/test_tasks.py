"""StopTask, DescribeTasks, ListTasks, and what agents' reports make of a task (behaviour.md 5.9; C3-C7)."""

from __future__ import annotations

import time
from typing import Any

import botocore.session
import botocore.waiter
import msgspec
import pytest
from ecs_world import World, id_of
from tests import store_worlds

from roadstead.model import tasks as task_records


def running(name: str = "app", **more: Any) -> dict[str, Any]:
    return {"containerName": name, "runtimeId": f"rt-{name}", "status": "RUNNING", **more}


def stopped(name: str = "app", **more: Any) -> dict[str, Any]:
    return {"containerName": name, "runtimeId": f"rt-{name}", "status": "STOPPED", **more}


def test_a_task_runs_with_its_host_port_and_stops_when_asked(world: World) -> None:
    instance = world.join()
    arn = world.run()
    binding = {"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 32768, "protocol": "tcp"}
    world.now += 1
    world.report(arn, "RUNNING", running(networkBindings=[binding], imageDigest="sha256:x"), pullStartedAt=1000.2)
    task = world.describe(arn)
    assert task["lastStatus"] == "RUNNING" and task["startedAt"].timestamp() == 1001
    assert task["pullStartedAt"].timestamp() == pytest.approx(1000.2)
    container = task["containers"][0]
    assert container["networkBindings"] == [binding]
    assert (container["runtimeId"], container["imageDigest"], container["lastStatus"]) == (
        "rt-app",
        "sha256:x",
        "RUNNING",
    )
    shown = world.call("DescribeContainerInstances", containerInstances=[instance])["containerInstances"][0]
    ports = next(one for one in shown["remainingResources"] if one["name"] == "PORTS")
    assert ports["stringSetValue"] == ["22", "51678", "32768"]
    assert (shown["runningTasksCount"], shown["pendingTasksCount"]) == (1, 0)
    world.now += 1
    answer = world.call("StopTask", task=arn, reason="enough")["task"]
    assert (answer["desiredStatus"], answer["lastStatus"], answer["stopCode"]) == (
        "STOPPED",
        "RUNNING",
        "UserInitiated",
    )
    assert answer["stoppingAt"].timestamp() == 1002 and "stoppedAt" not in answer
    world.now += 5
    world.report(arn, "STOPPED", stopped(exitCode=137), executionStoppedAt=1006.5)
    task = world.describe(arn)
    assert (task["lastStatus"], task["stoppedReason"], task["stopCode"]) == ("STOPPED", "enough", "UserInitiated")
    assert task["containers"][0]["exitCode"] == 137
    assert task["stoppedAt"].timestamp() == 1007 and task["executionStoppedAt"].timestamp() == 1006.5
    assert task["version"] == 4


def test_reports_may_come_again_late_and_in_part(world: World) -> None:
    world.join()
    containers = [
        {"name": "app", "image": "i", "memory": 64},
        {"name": "side", "image": "i", "memory": 64, "essential": False},
    ]
    world.define("two", containerDefinitions=containers)
    arn = world.run("two")
    world.report(arn, "PENDING", running("side"))
    assert [one["lastStatus"] for one in world.describe(arn)["containers"]] == ["PENDING", "RUNNING"]
    world.report(arn, "RUNNING", running("app"))
    before = world.store.revision
    world.report(arn, "RUNNING", running("app"))
    world.report(arn, "PENDING", running("side"))
    assert world.store.revision == before, "a report that says nothing new writes nothing"
    world.report(arn, "RUNNING", stopped("side", exitCode=0))
    task = world.describe(arn)
    assert task["lastStatus"] == "RUNNING"
    assert [one["lastStatus"] for one in task["containers"]] == ["RUNNING", "STOPPED"]
    world.report(arn, "RUNNING", running("side"))
    assert world.describe(arn)["containers"][1]["lastStatus"] == "STOPPED", "without a restart policy it only climbs"
    world.report(arn, "STOPPED", stopped("app", exitCode=3))
    world.report(arn, "RUNNING", running("app"))
    task = world.describe(arn)
    assert (task["lastStatus"], task["desiredStatus"]) == ("STOPPED", "STOPPED")
    assert (task["stopCode"], task["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert task["containers"][0]["exitCode"] == 3


PULL = "CannotPullContainerError: no such image"
START = "CannotStartContainerError: no such file"
LOADING = "UnrecogniedTaskError: Error loading task - x"
KILLED = "OutOfMemoryError: Container killed due to memory usage"
EXITED = "Essential container in task exited"


@pytest.mark.parametrize(
    ("first", "change", "reason", "code", "text"),
    [
        (None, {"reason": PULL}, None, "TaskFailedToStart", PULL),
        (None, {"reason": START, "exitCode": 127}, None, "TaskFailedToStart", START),
        (None, {}, LOADING, "TaskFailedToStart", LOADING),
        (None, {"exitCode": 1}, None, "EssentialContainerExited", EXITED),
        (None, {}, None, "TaskFailedToStart", "Task failed to start"),
        ("RUNNING", {"exitCode": 0}, None, "EssentialContainerExited", EXITED),
        ("RUNNING", {"exitCode": 137, "reason": KILLED}, None, "EssentialContainerExited", EXITED),
    ],
)
def test_why_a_task_stopped(
    world: World, first: str | None, change: dict[str, Any], reason: str | None, code: str, text: str
) -> None:
    world.join()
    arn = world.run()
    if first:
        world.report(arn, first, running())
    world.report(arn, "STOPPED", stopped(**change), **({"reason": reason} if reason else {}))
    task = world.describe(arn)
    assert (task["stopCode"], task["stoppedReason"]) == (code, text)
    assert task["containers"][0].get("reason") == change.get("reason")
    assert world.call("ListTasks")["taskArns"] == []
    assert world.call("ListTasks", desiredStatus="STOPPED")["taskArns"] == [arn]


def test_a_container_restarts_in_place_under_its_policy_only(world: World) -> None:
    world.join()
    container = {"name": "app", "image": "i", "memory": 64, "restartPolicy": {"enabled": True}}
    world.define("again", containerDefinitions=[container])
    arn = world.run("again")
    world.report(arn, "RUNNING", running())
    world.report(arn, "RUNNING", stopped(exitCode=1))
    world.report(arn, "RUNNING", running(runtimeId="rt-2"))
    shown = world.describe(arn)["containers"][0]
    assert (shown["lastStatus"], shown["runtimeId"]) == ("RUNNING", "rt-2") and "exitCode" not in shown


def test_a_task_that_no_agent_has_stops_at_once(world: World) -> None:
    instance = world.join()
    arn = world.run()
    world.call("DeregisterContainerInstance", containerInstance=instance, force=True)
    task = world.describe(arn)
    assert (task["lastStatus"], task["stoppedReason"]) == (
        "STOPPED",
        "Container instance deregistration forced by user.",
    )
    waiting = msgspec.structs.replace(
        world.task(arn),
        task_id="f" * 32,
        desired=task_records.TaskDesired(),
        observed=task_records.TaskObserved(),
    )
    world.put(waiting)
    shown = world.call("StopTask", task="f" * 32)["task"]
    assert (shown["lastStatus"], shown["stoppedReason"]) == ("STOPPED", "Task stopped by user")


def test_stopping_twice_keeps_the_first_reason(world: World) -> None:
    world.join()
    arn = world.run()
    world.call("StopTask", task=id_of(arn), reason="first")
    world.call("StopTask", task=arn, reason="second")
    assert world.describe(arn)["stoppedReason"] == "first"
    assert world.refused("StopTask", task="0" * 32) == (
        "InvalidParameterException",
        "The referenced task was not found.",
    )


def test_describe_says_what_is_missing(world: World) -> None:
    world.join()
    arn = world.run()
    world.call("CreateCluster", clusterName="other")
    answer = world.call("DescribeTasks", tasks=[arn, "nothing"])
    assert [one["taskArn"] for one in answer["tasks"]] == [arn]
    assert answer["failures"] == [
        {"arn": "arn:aws:ecs:us-east-1:123456789012:task/default/nothing", "reason": "MISSING"}
    ]
    assert world.call("DescribeTasks", cluster="other", tasks=[arn])["failures"] == [{"arn": arn, "reason": "MISSING"}]
    assert world.refused("DescribeTasks", tasks=[])[0] == "InvalidParameterException"
    assert world.refused("DescribeTasks", tasks=["x"] * 101)[0] == "InvalidParameterException"
    assert world.refused("DescribeTasks", tasks=[arn.replace("123456789012", "999999999999")])[0] == (
        "InvalidParameterException"
    )


def test_unknown_reports_are_refused_so_that_agents_drop_them(world: World) -> None:
    assert world.refused("SubmitTaskStateChange", task="0" * 32, status="RUNNING")[0] == "InvalidParameterException"
    world.join()
    arn = world.run()
    assert world.refused("SubmitTaskStateChange", task=arn, status="FLYING")[0] == "InvalidParameterException"
    bad = [{"containerName": "app", "status": "FLYING"}]
    assert world.refused("SubmitTaskStateChange", task=arn, containers=bad)[0] == "InvalidParameterException"
    attachment = [{"attachmentArn": "arn:aws:ecs:us-east-1:1:attachment/default/x", "status": "ATTACHED"}]
    assert world.refused("SubmitAttachmentStateChanges", attachments=attachment)[0] == "InvalidParameterException"


def test_old_agents_report_containers_alone(world: World) -> None:
    world.join()
    arn = world.run()
    answer = world.call(
        "SubmitContainerStateChange",
        cluster="default",
        task=arn,
        containerName="app",
        runtimeId="rt",
        status="RUNNING",
        networkBindings=[{"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 8080, "protocol": "tcp"}],
    )
    assert answer == {"acknowledgment": "ACK"}
    container = world.describe(arn)["containers"][0]
    assert container["lastStatus"] == "RUNNING" and container["networkBindings"][0]["hostPort"] == 8080


def test_every_filter_of_list_tasks(world: World) -> None:
    one, two = world.join(), world.join()
    world.define("db")
    web = world.run("web", startedBy="ann")
    db = world.run("db", startedBy="bob")
    world.call("CreateService", serviceName="site", taskDefinition="web", desiredCount=1)
    own = world.service_task("site", two)
    all_of_them = set(world.call("ListTasks")["taskArns"])
    assert all_of_them == {web, db, own}
    assert set(world.call("ListTasks", family="web")["taskArns"]) == {web, own}
    assert world.call("ListTasks", startedBy="ann")["taskArns"] == [web]
    assert world.call("ListTasks", serviceName="site")["taskArns"] == [own]
    assert world.call("ListTasks", serviceName="site", family="db")["taskArns"] == []
    by_instance = {arn: set(world.call("ListTasks", containerInstance=arn)["taskArns"]) for arn in (one, two)}
    assert by_instance[one] | by_instance[two] == all_of_them and own in by_instance[two]
    assert set(world.call("ListTasks", launchType="EC2")["taskArns"]) == all_of_them
    assert world.call("ListTasks", launchType="FARGATE")["taskArns"] == []
    assert world.call("ListTasks", desiredStatus="PENDING")["taskArns"] == []
    assert world.call("ListTasks", containerInstance="nothing")["taskArns"] == []
    assert world.refused("ListTasks", serviceName="nothing") == ("ServiceNotFoundException", "Service not found.")
    assert world.refused("ListTasks", daemonName="x")[0] == "Unsupported"


def test_pages_hold_each_task_once_and_stay_fast(world: World) -> None:
    instance = world.join()
    arns = [world.run(startedBy="x" if number % 2 else "y") for number in range(7)]
    assert instance
    seen: list[str] = []
    token = None
    while True:
        page = world.call("ListTasks", maxResults=3, **({"nextToken": token} if token else {}))
        seen += page["taskArns"]
        token = page.get("nextToken")
        if token is None:
            break
    assert sorted(seen) == sorted(arns) and len(seen) == 7
    first = world.call("ListTasks", maxResults=3)["nextToken"]
    assert world.refused("ListTasks", family="web", nextToken=first)[0] == "InvalidParameterException"
    assert world.refused("ListTasks", nextToken="nonsense")[0] == "InvalidParameterException"
    assert world.refused("ListTasks", maxResults=101)[0] == "InvalidParameterException"
    pattern = world.task(arns[0])
    world.put(*(msgspec.structs.replace(pattern, task_id=f"{number:032x}") for number in range(20_000)))
    spent = []
    for _ in range(5):
        began = time.perf_counter()
        world.call("ListTasks", nextToken=world.call("ListTasks")["nextToken"])
        spent.append((time.perf_counter() - began) / 2)
    assert min(spent) < 0.01, "a page costs as little among many tasks (bench measures how little)"


@pytest.mark.parametrize(("name", "moves"), [("TasksRunning", ["RUNNING"]), ("TasksStopped", ["RUNNING", "STOPPED"])])
def test_botocores_waiters_see_what_they_wait_for(world: World, name: str, moves: list[str]) -> None:
    loader = botocore.session.get_session().get_component("data_loader")
    config = botocore.waiter.WaiterModel(loader.load_service_model("ecs", "waiters-2")).get_waiter(name)
    assert store_worlds.model("ecs").operation_model(config.operation).name == "DescribeTasks"
    world.join()
    arn = world.run()

    def outcome() -> str | None:
        answer = world.call("DescribeTasks", tasks=[arn])
        return next((one.state for one in config.acceptors if one.matcher_func(answer)), None)

    for status in moves:
        assert outcome() is None
        world.report(arn, status, running() if status == "RUNNING" else stopped(exitCode=0))
    assert outcome() == "success"
