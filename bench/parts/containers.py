"""Real containers, end to end: from an API call on a running control plane to a process, by `roadstead up`.

What is timed is what a user sees: from before RunTask is sent until DescribeTasks says RUNNING. Each container has a
root file system of its own, a network namespace on the bridge, the default seccomp filter, limits and a log.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench import figures, servers
from roadstead.cli import client

RUNS = 3
SINGLES = 15
KILLS = 8
MANY = 100
POLL_SECONDS = 0.002
"""How often the state is asked for: what is measured is late by half of it, and a call."""
WAIT_SECONDS_MAX = 60.0
COMMAND = ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"]

FIGURES = (
    figures.Figure("run", "RunTask sent → DescribeTasks says RUNNING, idle node", "ms", figures.most(60)),
    figures.Figure("run agent", "  the same by the records: createdAt → startedAt", "ms"),
    figures.Figure("stop", "  StopTask sent → STOPPED", "ms"),
    figures.Figure("many", f"service 0 → {MANY} tasks RUNNING", "s", figures.most(2.5)),
    figures.Figure("many cpu", "  CPU of control plane and agent for it", "s"),
    figures.Figure("kill", "a killed container's task replaced and RUNNING", "ms", figures.most(150)),
    figures.Figure("memory", "agent's growth and monitors, per running task (PSS)", "MiB", figures.most(1.0)),
    figures.Figure("memory monitor", "  of it the monitor", "MiB"),
    figures.Figure("agent memory", "agent with no task", "MiB"),
)


class Node:
    """A running control plane with one instance."""

    def __init__(self, server: servers.Server) -> None:
        self.data_dir = server.data_dir
        self.server_pid = server.pid
        self._client = client.Client(client.find_access(server.data_dir, None))

    def ecs(self, operation: str, **params: Any) -> dict[str, Any]:
        return self._client.call("ecs", operation, **params)

    @property
    def agent_pid(self) -> int:
        for pid in _children(self.server_pid):
            if b"roadstead.app.agent" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        raise RuntimeError("the agent does not run")

    def until(self, condition: Callable[[], bool], what: str, pause_seconds: float = POLL_SECONDS) -> None:
        """Ask until it is so."""
        ends_at = time.monotonic() + WAIT_SECONDS_MAX
        while not condition():
            if time.monotonic() > ends_at:
                raise RuntimeError(f"not within {WAIT_SECONDS_MAX:.0f} s: {what}")
            time.sleep(pause_seconds)

    def describe(self, arn: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ecs("DescribeTasks", tasks=[arn])["tasks"][0]
        return found

    def await_task(self, arn: str, status: str) -> dict[str, Any]:
        """The task once it has that status. Raises RuntimeError where it stops instead."""
        found: dict[str, Any] = {}

        def has() -> bool:
            nonlocal found
            found = self.describe(arn)
            if found["lastStatus"] == "STOPPED" != status:
                raise RuntimeError(f"the task stopped: {found.get('stoppedReason')} {found['containers']}")
            return bool(found["lastStatus"] == status)

        self.until(has, f"the task is {status}")
        return found

    def running(self, service: str) -> int:
        count: int = self.ecs("DescribeServices", services=[service])["services"][0]["runningCount"]
        return count


def _children(pid: int) -> list[int]:
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        found += [int(one) for one in (task / "children").read_text().split()]
    return found


@contextlib.contextmanager
def node() -> Iterator[Node]:
    """`roadstead up` in a directory of its own with the image `bench`; nothing is left of it."""
    with servers.temporary() as directory:
        data_dir = directory / "data"
        try:
            _pack(data_dir, directory / "image")
            with servers.ours(data_dir, "up") as server:
                made = Node(server)
                made.until(lambda: is_connected(made), "the instance is connected", 0.05)
                yield made
        finally:
            down = servers.command("down", data_dir, "--remove")
            done = subprocess.run(down, capture_output=True, env=servers.environment(), check=False)
            if done.returncode != 0:
                raise RuntimeError(f"containers could not be removed: {done.stderr.decode(errors='replace')[-1_000:]}")


def is_connected(made: Node) -> bool:
    arns = made.ecs("ListContainerInstances")["containerInstanceArns"]
    if not arns:
        return False
    found = made.ecs("DescribeContainerInstances", containerInstances=arns)["containerInstances"]
    return any(one["agentConnected"] for one in found)


def _pack(data_dir: pathlib.Path, root: pathlib.Path) -> None:
    """The image `bench`: busybox alone."""
    busybox = shutil.which("busybox")
    if busybox is None or os.geteuid() != 0:
        raise RuntimeError("real containers need root and busybox-static (`make setup`)")
    (root / "bin").mkdir(parents=True)
    shutil.copy(busybox, root / "bin" / "busybox")
    for applet in ("sh", "sleep"):
        (root / "bin" / applet).symlink_to("busybox")
    pack = [*servers.command("image", data_dir)[:-2], "pack", str(root), "--tag", "bench"]
    environment = {**servers.environment(), "ROADSTEAD_DATA_DIR": str(data_dir)}
    done = subprocess.run(pack, capture_output=True, env=environment, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the image could not be packed: {done.stderr.decode(errors='replace')[-1_000:]}")


def run(quick: bool) -> dict[str, float]:
    """Measure once, in a fresh data directory."""
    with node() as made:
        container = {"name": "app", "image": "bench", "memory": 16, "essential": True, "command": COMMAND}
        made.ecs("RegisterTaskDefinition", family="bench", containerDefinitions=[container])
        _one(made)  # compiles the filter, fills caches
        found = _singles(made, 2 if quick else SINGLES)
        found["kill"] = _kills(made, 2 if quick else KILLS)
        return {**found, **_many(made, 5 if quick else MANY)}


def _one(made: Node) -> tuple[float, float, float]:
    """(to RUNNING, to RUNNING by the records, to STOPPED) of one task, in ms."""
    began = time.perf_counter()
    arn = made.ecs("RunTask", taskDefinition="bench")["tasks"][0]["taskArn"]
    made.await_task(arn, "RUNNING")
    took = time.perf_counter() - began
    task = made.describe(arn)
    began = time.perf_counter()
    made.ecs("StopTask", task=arn)
    made.await_task(arn, "STOPPED")
    return took * 1e3, (task["startedAt"] - task["createdAt"]) * 1e3, (time.perf_counter() - began) * 1e3


def _singles(made: Node, count: int) -> dict[str, float]:
    taken = []
    for _ in range(count):
        taken.append(_one(made))
        time.sleep(0.1)  # what is left to clean up is not the next one's
    columns = [statistics.median(column) for column in zip(*taken, strict=True)]
    return dict(zip(("run", "run agent", "stop"), columns, strict=True))


def _kills(made: Node, count: int) -> float:
    """Median time from SIGKILL for a container's process until another task of its service runs, in ms."""
    made.ecs("CreateService", serviceName="kept", taskDefinition="bench", desiredCount=2)
    made.until(lambda: made.running("kept") == 2, "two tasks run", 0.02)
    taken = []
    for _ in range(count):
        time.sleep(0.2)
        before = set(made.ecs("ListTasks", serviceName="kept")["taskArns"])
        began = time.perf_counter()
        os.kill(_process_of(next(iter(before))), signal.SIGKILL)
        made.until(lambda before=before: _is_replaced(made, before), "the task is replaced")  # type: ignore[misc]
        taken.append((time.perf_counter() - began) * 1e3)
    made.ecs("DeleteService", service="kept", force=True)
    made.until(lambda: not _has_processes(made), "the service's containers ended", 0.05)
    return statistics.median(taken)


def _is_replaced(made: Node, before: set[str]) -> bool:
    new = sorted(set(made.ecs("ListTasks", serviceName="kept")["taskArns"]) - before)
    return bool(new) and made.describe(new[0])["lastStatus"] == "RUNNING"


def _process_of(arn: str) -> int:
    """The first process of a task's only container, known by its cgroup."""
    mark = f"/{arn.rpartition('/')[2]}/"
    for folder in sorted(pathlib.Path("/proc").glob("[0-9]*"), key=lambda one: int(one.name)):
        with contextlib.suppress(OSError):
            if mark in (folder / "cgroup").read_text():
                return int(folder.name)
    raise RuntimeError(f"{arn} has no process")


def _has_processes(made: Node) -> bool:
    return bool(_monitors(made))


def _monitors(made: Node) -> list[int]:
    """The monitors of all containers of this data directory."""
    found = []
    mark = os.fsencode(made.data_dir)
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                if (folder / "comm").read_text() == "conmon\n" and mark in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
    return found


def _many(made: Node, count: int) -> dict[str, float]:
    time.sleep(1.0)
    made.ecs("CreateService", serviceName="many", taskDefinition="bench", desiredCount=0)
    agent = made.agent_pid
    idle_kib = servers.pss_kib(agent)
    cpu = servers.cpu_seconds(agent) + servers.cpu_seconds(made.server_pid)
    began = time.perf_counter()
    made.ecs("UpdateService", service="many", desiredCount=count)
    made.until(lambda: made.running("many") == count, f"{count} tasks run", 0.01)
    took = time.perf_counter() - began
    cpu = servers.cpu_seconds(agent) + servers.cpu_seconds(made.server_pid) - cpu
    time.sleep(1.0)
    monitors_kib = sum(servers.pss_kib(pid) for pid in _monitors(made))
    grown_kib = servers.pss_kib(agent) - idle_kib
    return {
        "many": took,
        "many cpu": cpu,
        "memory": (monitors_kib + grown_kib) / count / 1024,
        "memory monitor": monitors_kib / count / 1024,
        "agent memory": idle_kib / 1024,
    }
