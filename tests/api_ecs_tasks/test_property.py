"""Whatever users ask and agents report, in any order: the invariants hold after every commit."""

from __future__ import annotations

from typing import Any

import ecs_world
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadstead.base import errors
from roadstead.control.sessions import connection
from roadstead.model import invariants, tables
from roadstead.model import tasks as task_records

pytestmark = pytest.mark.slow  # thorough: `make check` leaves it to `make test`

PICK = st.integers(0, 2)
REPORTED = st.builds(
    lambda name, status, **more: {"containerName": name, "status": status, **{k: v for k, v in more.items() if v}},
    st.sampled_from(["app", "side", "nobody"]),
    st.sampled_from(["PENDING", "RUNNING", "STOPPED"]),
    runtimeId=st.sampled_from(["", "r1", "r2"]),
    exitCode=st.sampled_from([None, 1, 137]),
    reason=st.sampled_from(["", "CannotPullContainerError: x", "OutOfMemoryError: y"]),
    networkBindings=st.sampled_from([[], [{"containerPort": 80, "hostPort": 32768, "protocol": "tcp"}]]),
)
REPORTS = st.tuples(
    st.just("report"),
    PICK,
    st.sampled_from(["PENDING", "RUNNING", "STOPPED"]),
    st.lists(REPORTED, max_size=2),
    st.sampled_from(["", "ResourceInitializationError: z"]),
)
STEPS = st.one_of(
    st.tuples(st.just("run"), st.sampled_from(["web", "two", "vpc"]), st.integers(1, 3)),
    st.tuples(st.just("stop"), PICK),
    REPORTS,
    REPORTS,
    REPORTS,
    st.tuples(st.just("join")),
    st.tuples(st.just("leave"), PICK, st.booleans()),
    st.tuples(st.just("state"), PICK, st.sampled_from(["ACTIVE", "DRAINING"])),
    st.tuples(st.just("connect"), PICK),
    st.tuples(st.just("disconnect"), PICK),
    st.tuples(st.just("wait"), st.integers(1, 100)),
)


class Play:
    """A world that users and agents do as they like with."""

    def __init__(self) -> None:
        self.world = ecs_world.ready()
        containers = [
            {"name": "app", "image": "i", "memory": 700, "restartPolicy": {"enabled": True}},
            {"name": "side", "image": "i", "memory": 64, "essential": False},
        ]
        ports = [{"name": "app", "image": "i", "memory": 64, "portMappings": [{"containerPort": 80, "hostPort": 80}]}]
        self.world.define("two", containerDefinitions=containers)
        self.world.define("vpc", networkMode="awsvpc")
        self.world.define("port", containerDefinitions=ports)
        self.world.store.watch(lambda commit: invariants.check_commit(commit, self.world.store.view()))
        self.tasks: list[str] = []
        self.instances = [self.world.join()]

    def step(self, kind: str, *rest: Any) -> None:
        """One thing that happens; refusals are answers like others."""
        try:
            getattr(self, kind)(*rest)
        except errors.Refusal as refusal:
            assert refusal.status == 400, refusal

    def run(self, family: str, count: int) -> None:
        vpc = {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"]}}} if family == "vpc" else {}
        answer = self.world.call("RunTask", taskDefinition=family, count=count, **vpc)
        self.tasks += [task["taskArn"] for task in answer["tasks"]]
        assert len(answer["tasks"]) == count or answer["failures"]

    def stop(self, which: int) -> None:
        if self.tasks:
            self.world.call("StopTask", task=self.tasks[which % len(self.tasks)])

    def report(self, which: int, status: str, containers: list[dict[str, Any]], reason: str) -> None:
        if not self.tasks:
            return
        arn = self.tasks[which % len(self.tasks)]
        wanted = {"task": arn, "status": status, "containers": containers, "reason": reason}
        self.world.call("SubmitTaskStateChange", **wanted)
        before = self.world.store.revision
        self.world.call("SubmitTaskStateChange", **wanted)
        repeated = self.world.store.revision == before
        assert repeated or len(containers) > 1, "the same report again changes nothing"

    def join(self) -> None:
        if len(self.instances) < 4:
            self.instances.append(self.world.join())

    def _instance(self, which: int) -> str:
        return self.instances[which % len(self.instances)]

    def leave(self, which: int, force: bool) -> None:
        self.world.call("DeregisterContainerInstance", containerInstance=self._instance(which), force=force)

    def state(self, which: int, status: str) -> None:
        self.world.call("UpdateContainerInstancesState", containerInstances=[self._instance(which)], status=status)

    def connect(self, which: int) -> None:
        if self.world.instance(self._instance(which)).status != "INACTIVE":
            self.world.connect(self._instance(which))

    def disconnect(self, which: int) -> None:
        instance_id, now = ecs_world.id_of(self._instance(which)), self.world.now
        self.world.store.transact(lambda view: (connection.end(view, instance_id, now), None), now)

    def wait(self, seconds: int) -> None:
        self.world.now += seconds


@settings(max_examples=120, deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_the_invariants_hold_whatever_users_and_agents_do(steps: list[tuple[Any, ...]]) -> None:
    play = Play()
    play.run("two", 1)
    for step in steps:
        play.step(*step)
    view = play.world.store.view()
    invariants.check_tallies(view)
    for arn in play.tasks:
        shown = play.world.describe(arn)
        task = play.world.task(arn)
        assert isinstance(task, task_records.Task)
        if shown["lastStatus"] == "STOPPED":
            assert shown["desiredStatus"] == "STOPPED" and shown["stoppedReason"] and shown["stopCode"]
            assert shown["stoppedAt"] >= shown["createdAt"] and "stoppingAt" in shown
        else:
            assert "stoppedAt" not in shown
    for arn in play.instances:
        shown = play.world.call("DescribeContainerInstances", containerInstances=[arn])["containerInstances"][0]
        remaining = {one["name"]: one["integerValue"] for one in shown["remainingResources"]}
        assert 0 <= remaining["CPU"] <= 2048 and 0 <= remaining["MEMORY"] <= 4096
        live = view.size(tables.TASKS, "live_by_instance", ecs_world.id_of(arn))
        assert shown["runningTasksCount"] + shown["pendingTasksCount"] == live
