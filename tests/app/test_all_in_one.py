"""Server and agent together: the agent is kept running, ends with the server, and never runs twice."""

from __future__ import annotations

import asyncio
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from roadstead.agent import settings as agent_settings
from roadstead.app import agent, all_in_one, events, settings
from roadstead.base import errors
from roadstead.journals import lock
from roadstead.model import clusters, tables
from roadstead.state import plan, store

pytestmark = pytest.mark.slow  # thorough: `make check` leaves it to `make test`

WAIT_SECONDS = 20.0


class Events:
    """Collects what was told, and waits for more."""

    def __init__(self) -> None:
        self.all: list[events.Event] = []
        self._news = asyncio.Event()

    def __call__(self, event: events.Event) -> None:
        self.all.append(event)
        self._news.set()

    async def wait_for(self, kind: events.Kind, count: int = 1) -> events.Event:
        async with asyncio.timeout(WAIT_SECONDS):
            while len(found := [event for event in self.all if event.kind == kind]) < count:
                self._news.clear()
                await self._news.wait()
        return found[-1]


def chosen(path: pathlib.Path, **values: object) -> settings.Settings:
    return settings.Settings(port=0, data_dir=path / "data", runtime="simulated", **values)  # type: ignore[arg-type]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_the_local_instance_joins_its_cluster_which_is_made(tmp_path: pathlib.Path) -> None:
    told = Events()
    async with all_in_one.AllInOne(chosen(tmp_path, cluster="mine"), told) as one:
        await told.wait_for("agent connected")
        look = one.server.store.view()
        assert look.get(clusters.Cluster, "mine") is not None
        found = list(look.find(tables.CONTAINER_INSTANCES, "by_cluster", "mine"))
        assert [(instance.status, instance.session.connected) for instance in found] == [("ACTIVE", True)]
        assert one.supervisor is not None and one.supervisor.pid is not None
        pid = one.supervisor.pid
    assert not is_alive(pid)
    assert [event.kind for event in told.all][-2:] == ["agent disconnected", "stopped"] or told.all[
        -1
    ].kind == "stopped"


async def test_a_killed_agent_comes_back_as_the_same_instance(tmp_path: pathlib.Path) -> None:
    told = Events()
    async with all_in_one.AllInOne(chosen(tmp_path), told) as one:
        await told.wait_for("agent connected")
        assert one.supervisor is not None and one.supervisor.pid is not None
        first = one.supervisor.pid
        os.kill(first, signal.SIGKILL)
        ended = await told.wait_for("agent ended")
        assert "killed by signal 9" in ended.text
        await told.wait_for("agent connected", 2)
        assert one.supervisor.pid != first
        found = list(one.server.store.view().find(tables.CONTAINER_INSTANCES, "by_cluster", "default"))
        assert len(found) == 1


def put_cluster(subject: store.Store, name: str) -> None:
    draft = plan.Draft(subject.view())
    draft.put(clusters.Cluster(name=name, created_at=0.0))
    subject.commit(draft.plan(), 0.0)


async def test_a_reset_wipes_all_but_the_machine_which_comes_back(tmp_path: pathlib.Path) -> None:
    told = Events()
    async with all_in_one.AllInOne(chosen(tmp_path, ephemeral=True), told) as one:
        await told.wait_for("agent connected")
        before = next(one.server.store.view().find(tables.CONTAINER_INSTANCES, "by_cluster", "default"))
        put_cluster(one.server.store, "another")
        await one.server._reset()
        await one.server._reset()  # at once again, while the agent is on its way back
        look = one.server.store.view()
        assert look.get(clusters.Cluster, "default") is not None
        assert look.get(clusters.Cluster, "another") is None
        await told.wait_for("agent connected", 2)
        after = next(one.server.store.view().find(tables.CONTAINER_INSTANCES, "by_cluster", "default"))
        assert after.instance_id == before.instance_id and after.status == "ACTIVE"
        assert after.session.timeline > before.session.timeline, "the agent takes no manifest twice"


SERVE = """
import asyncio, pathlib, sys
from roadstead.app import all_in_one, settings
chosen = settings.Settings(port=0, data_dir=pathlib.Path(sys.argv[1]), runtime="simulated")
asyncio.run(all_in_one.run(chosen, lambda event: print(event.kind, event.facts.get("pid", ""), flush=True)))
"""


async def test_an_ephemeral_server_can_be_started_again_on_the_same_directory(tmp_path: pathlib.Path) -> None:
    """It remembers no instance, so that its agent must not come back as the one it was."""
    found = []
    for _ in range(2):
        heard = Events()
        async with all_in_one.AllInOne(chosen(tmp_path, ephemeral=True), heard):
            found.append((await heard.wait_for("agent connected")).facts["containerInstance"])
    assert found[0] != found[1]


def _read_until(process: subprocess.Popen[str], kind: str) -> list[str]:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(kind):
            return lines
        assert not line.startswith("problem"), lines
    raise AssertionError(f"it ended after {lines}")


def _await_end(pid: int) -> None:
    ends_at = time.monotonic() + WAIT_SECONDS
    while is_alive(pid) and time.monotonic() < ends_at:
        time.sleep(0.02)
    assert not is_alive(pid)


def test_the_agent_ends_with_a_killed_server_and_the_next_server_has_it_back(tmp_path: pathlib.Path) -> None:
    pids = []
    for number in (signal.SIGKILL, signal.SIGTERM):
        arguments = [sys.executable, "-c", SERVE, str(tmp_path / "data")]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        try:
            lines = _read_until(process, "agent connected")
            pids.append(int(next(line for line in lines if line.startswith("agent starting")).split()[-1]))
            process.send_signal(number)
            assert process.wait(WAIT_SECONDS) == (0 if number == signal.SIGTERM else -signal.SIGKILL)
        finally:
            process.kill()
            process.communicate()
        _await_end(pids[-1])
    assert len(set(pids)) == 2
    assert (tmp_path / "data" / "log" / "agent.log").exists()


def test_an_agent_that_cannot_run_here_says_why_and_is_not_started_for_ever(tmp_path: pathlib.Path) -> None:
    held = lock.DirectoryLock(tmp_path / "agent.lock", what="agent")
    made = agent_settings.Settings(server_url="http://127.0.0.1:1", data_dir=tmp_path, runtime="simulated")
    _, environment = agent.command(agent.Launch(settings=made))
    script = "import os, sys; from roadstead.app import agent; agent.PREDECESSOR_SECONDS_MAX = 0"
    script += "; sys.exit(agent.main(os.environ))"
    ended = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    held.release()
    assert ended.returncode == agent.HOST_PROBLEM_STATUS
    assert "another Roadstead agent" in ended.stderr and "Traceback" not in ended.stderr


async def test_a_host_problem_of_the_agent_reaches_the_user(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Events()
    says = [
        sys.executable,
        "-c",
        f"import sys; print('no crun', file=sys.stderr); sys.exit({agent.HOST_PROBLEM_STATUS})",
    ]
    monkeypatch.setattr(agent, "command", lambda launch: (says, dict(os.environ)))
    async with all_in_one.AllInOne(chosen(tmp_path), told):
        problem = await told.wait_for("problem")
    assert problem.text == "no crun"
    assert len([event for event in told.all if event.kind == "agent starting"]) == 1


async def test_what_can_not_start_leaves_nothing_behind(tmp_path: pathlib.Path) -> None:
    async with all_in_one.AllInOne(chosen(tmp_path)):
        with pytest.raises(errors.HostProblem, match="in use"):
            await all_in_one.AllInOne(chosen(tmp_path)).__aenter__()
