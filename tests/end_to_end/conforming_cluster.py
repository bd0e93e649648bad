"""A control plane alone and one agent that joined it: what the conformance list works with."""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.end_to_end import conforming_agents, installations

Make = Callable[[installations.Installation, str], conforming_agents.AgentUnderTest]
PORTS = range(20_000, 30_000)
"""Where nobody takes one by chance, as ports for outgoing connections and for containers: a server that comes back
needs the port it had."""
CONNECTED_SECONDS_MAX = 45.0
TASK_SECONDS_MAX = 60.0
"""Amazon's agent tries to pull a missing image for up to 20 s."""


class ControlPlane(installations.Installation):
    """`roadstead server`, always at the same address, on data that can be set back to what they were."""

    def __init__(self) -> None:
        super().__init__()
        self.options = ["--port", str(free_port())]

    def launch(self) -> installations.Started:
        return installations.Started([installations.ROADSTEAD, "server", "--json", *self.options], self.environment)

    def start(self) -> installations.Started:
        """Run it until it serves."""
        self.up = self.launch()
        self.up.wait_for("serving")
        return self.up

    @contextlib.contextmanager
    def set_back(self) -> Iterator[None]:
        """All that is written within is lost: afterwards the server runs on a copy of its data from before."""
        kept = self.data_dir.with_name(self.data_dir.name + "-kept")
        try:
            assert self.stop() == 0
            shutil.copytree(self.data_dir, kept)
            self.start()
            yield
            assert self.stop(signal.SIGKILL) == -signal.SIGKILL
            shutil.rmtree(self.data_dir)
            kept.rename(self.data_dir)
            self.start()
        finally:
            shutil.rmtree(kept, ignore_errors=True)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


class Joined:
    """One agent in a cluster of a server of its own; the image `image` is there."""

    def __init__(self, server: ControlPlane, make: Make, cluster: str) -> None:
        self.server = server
        self.cluster = cluster
        self.image = f"{cluster}:1"
        self.ecs = server.client("ecs")
        self.ecs.create_cluster(clusterName=cluster)
        self.agent = make(server, cluster)

    @property
    def instance(self) -> dict[str, Any]:
        """The one container instance of the cluster."""
        arns = self.ecs.list_container_instances(cluster=self.cluster)["containerInstanceArns"]
        (found,) = self.ecs.describe_container_instances(cluster=self.cluster, containerInstances=arns)[
            "containerInstances"
        ]
        assert isinstance(found, dict)
        return found

    def is_connected(self) -> bool:
        assert self.agent.pid
        arns = self.ecs.list_container_instances(cluster=self.cluster)["containerInstanceArns"]
        return bool(arns) and bool(self.instance["agentConnected"])

    def wait_connected(self) -> None:
        installations.eventually(self.is_connected, CONNECTED_SECONDS_MAX)

    def define(self, family: str, *containers: dict[str, Any]) -> str:
        """Register a bridge task definition; containers that name no image have the one that is there."""
        made = self.ecs.register_task_definition(
            family=family,
            networkMode="bridge",
            requiresCompatibilities=["EC2"],
            containerDefinitions=[{"image": self.image, "memory": 16, **one} for one in containers],
        )
        return str(made["taskDefinition"]["taskDefinitionArn"])

    def run(self, definition: str, count: int = 1) -> list[str]:
        answer = self.ecs.run_task(cluster=self.cluster, taskDefinition=definition, count=count)
        assert not answer["failures"], answer["failures"]
        return [task["taskArn"] for task in answer["tasks"]]

    def task(self, arn: str) -> dict[str, Any]:
        (found,) = self.ecs.describe_tasks(cluster=self.cluster, tasks=[arn])["tasks"]
        assert isinstance(found, dict)
        return found

    def wait(self, arn: str, status: str, seconds_max: float = TASK_SECONDS_MAX) -> dict[str, Any]:
        """The task once it has this last status, or an AssertionError that shows it."""
        return self.wait_until(arn, lambda task: task["lastStatus"] == status, seconds_max)

    def wait_until(
        self, arn: str, check: Callable[[dict[str, Any]], bool], seconds_max: float = TASK_SECONDS_MAX
    ) -> dict[str, Any]:
        ends_at = time.monotonic() + seconds_max
        while not check(task := self.task(arn)):
            assert time.monotonic() < ends_at, f"not within {seconds_max:g} s: {task}\n{self.agent.log()}"
            time.sleep(installations.POLL_SECONDS)
        return task

    def stop(self, *arns: str) -> None:
        """StopTask, and wait until all have stopped."""
        for arn in arns:
            self.ecs.stop_task(cluster=self.cluster, task=arn)
        for arn in arns:
            self.wait(arn, "STOPPED")

    def containers(self) -> dict[conforming_agents.Container, conforming_agents.Process]:
        return self.agent.containers()


@contextlib.contextmanager
def joined(make: Make, box: pathlib.Path, scratch: pathlib.Path) -> Iterator[Joined]:
    """A server and a connected agent. Both are removed whatever happens, and nothing may be left."""
    server = ControlPlane()
    with contextlib.ExitStack() as clean:
        clean.callback(server.remove)
        server.start()
        one = Joined(server, make, f"conformance-{secrets.token_hex(4)}")
        clean.callback(one.agent.remove)
        archive = scratch / "image.tar"
        conforming_agents.pack_archive(box, one.image, archive)
        one.agent.load_image(archive)
        one.agent.start()
        one.wait_connected()
        yield one


def cores_used(process: conforming_agents.Process) -> float:
    """How many cores a process and its children that have ended have kept busy since it began."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    ticks = sum(int(field) for field in fields[11:15])
    uptime_seconds = float(pathlib.Path("/proc/uptime").read_text().split()[0])
    rate = os.sysconf("SC_CLK_TCK")
    return (ticks / rate) / (uptime_seconds - process.born / rate)
