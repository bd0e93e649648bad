"""Stories of one container: it starts, runs as asked, ends, and is found again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import textwrap
from pathlib import Path

import pytest
from tests.agent_oci.rigs import Rig, eventually, mounts_below

from roadstead.agent import runtime
from roadstead.agent.oci import cgroups, destroy, nat, netlink
from roadstead.agent.oci import paths as oci_paths
from roadstead.base import errors

pytestmark = pytest.mark.real


@pytest.mark.parametrize("engine", ["crun", "runc"], indirect=True)
async def test_a_container_runs_to_its_exit_code_and_its_words_are_kept(rig: Rig) -> None:
    started = await rig.run("one", "echo out; echo err >&2; exit 7")
    assert started.pid > 0
    ended = await rig.exit_of("one")
    assert (ended.exit_code, ended.oom_killed) == (7, False)
    assert ended.finished_at >= started.started_at - 1
    assert sorted(rig.output("one").split()) == ["err", "out"]
    found = (await rig.runtime.inventory()).containers
    assert [(each.container_id, each.status, each.exit_code) for each in found] == [("one", "exited", 7)]
    await rig.runtime.remove("one")
    await rig.runtime.remove("one")
    await rig.runtime.remove_sandbox("task-one")
    await rig.runtime.remove_sandbox("task-one")
    assert await rig.runtime.inventory() == runtime.Inventory(sandboxes=(), containers=())
    assert rig.output("one") != ""


async def test_stopping_is_term_and_then_kill(rig: Rig) -> None:
    await rig.run("polite", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done")
    await rig.run("stubborn", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    await eventually(lambda: "ready" in rig.output("polite") and "ready" in rig.output("stubborn"))
    await rig.runtime.signal("polite", signal.SIGTERM)
    assert (await rig.exit_of("polite")).exit_code == 3
    await rig.runtime.signal("stubborn", signal.SIGTERM)
    await asyncio.sleep(0.3)
    assert "stubborn" not in rig.exited
    await rig.runtime.signal("stubborn", signal.SIGKILL)
    assert (await rig.exit_of("stubborn")).exit_code == 137
    await rig.runtime.signal("stubborn", signal.SIGKILL)


async def test_the_kernel_killing_for_memory_is_told_apart(rig: Rig) -> None:
    await rig.run("eater", "dd if=/dev/zero of=/dev/null bs=200M count=1", memory_bytes_max=24 << 20)
    ended = await rig.exit_of("eater")
    assert ended.oom_killed
    assert ended.exit_code != 0


async def test_the_tasks_limit_holds_for_a_container_without_one(rig: Rig) -> None:
    sandbox = runtime.SandboxSpec(task_id="task-t", network_mode="none", memory_bytes_max=24 << 20, cpu_cores_max=0.25)
    await rig.run("t", "dd if=/dev/zero of=/dev/null bs=200M count=1", sandbox=sandbox)
    assert (await rig.exit_of("t")).oom_killed


async def test_a_task_quota_bounds_cpu(rig: Rig) -> None:
    sandbox = runtime.SandboxSpec(task_id="task-q", network_mode="none", cpu_cores_max=0.2)
    await rig.run("q", "while :; do :; done", sandbox=sandbox)
    first = (await rig.runtime.usage(["q"]))[0]
    await asyncio.sleep(1.0)
    second = (await rig.runtime.usage(["q"]))[0]
    cores = (second.cpu_seconds_total - first.cpu_seconds_total) / (second.read_at - first.read_at)
    assert cores < 0.35
    assert second.memory_bytes > 0
    await rig.runtime.remove("q")
    assert await rig.runtime.usage(["q"]) == []


async def test_a_restarted_agent_finds_what_runs_and_what_ended(data_dir: Path) -> None:
    first = Rig(data_dir, None)
    await first.open()
    await first.run("runs", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done", labels={"a": "b"})
    await first.run("ends", "echo ready; sleep 0.3; exit 9")
    await eventually(lambda: "ready" in first.output("runs"))
    pid = next(each.pid for each in (await first.runtime.inventory()).containers if each.container_id == "runs")
    await first.close()
    await asyncio.sleep(0.6)
    second = Rig(data_dir, None)
    await second.open()
    try:
        inventory = await second.runtime.inventory()
        found = {each.container_id: each for each in inventory.containers}
        assert (found["runs"].status, found["runs"].pid, found["runs"].labels) == ("running", pid, {"a": "b"})
        assert (found["ends"].status, found["ends"].exit_code) == ("exited", 9)
        assert {each.task_id for each in inventory.sandboxes} == {"task-runs", "task-ends"}
        await second.runtime.signal("runs", signal.SIGTERM)
        assert (await second.exit_of("runs")).exit_code == 5
    finally:
        await second.close()


async def test_two_agents_on_one_data_directory_are_refused(rig: Rig) -> None:
    with pytest.raises(errors.HostProblem, match="is in use"):
        await Rig(rig.data_dir, None).open()
    with pytest.raises(errors.HostProblem, match="is in use"):
        destroy.destroy(rig.data_dir)


def folders(path: str) -> list[Path]:
    return [each for each in Path(path).glob("*") if each.is_dir()]


def command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


CHILD = textwrap.dedent(
    """
    import asyncio, sys
    from roadstead.agent import runtime
    from roadstead.agent.oci.runtime import OciRuntime

    async def main():
        made = OciRuntime(sys.argv[1], "child")
        await made.open()
        for number in range(10_000):
            await made.create_sandbox(runtime.SandboxSpec(task_id=f"t{number}", network_mode="bridge"))
            spec = runtime.ContainerSpec(
                container_id=f"c{number}", task_id=f"t{number}", name="main", image="box",
                command=("/bin/sleep", "100"),
                ports=(runtime.PortMapping(container_port=80, host_port=0),),
            )
            await made.create(spec)
            await made.start(f"c{number}")
            print(f"c{number}", flush=True)

    asyncio.run(main())
    """
)


async def test_kill_9_at_any_point_of_a_start_loses_and_doubles_nothing(data_dir: Path) -> None:
    for delay in (0.0, 0.004, 0.009, 0.014, 0.021, 0.028):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, str(data_dir), stdout=asyncio.subprocess.PIPE
        )
        assert child.stdout is not None
        first = (await asyncio.wait_for(child.stdout.readline(), 30)).decode().strip()
        assert first == "c0"
        await asyncio.sleep(delay)
        child.kill()
        told = {first, *(await child.stdout.read()).decode().split()}
        await child.wait()
        rig = Rig(data_dir, None)
        await rig.open()
        try:
            found = {each.container_id: each for each in (await rig.runtime.inventory()).containers}
            assert {name for name in told if found[name].status == "running"} == told
            for each in found.values():
                assert each.status in ("running", "created"), each
                if each.status == "running":
                    assert each.pid is not None
                    assert b"sleep" in command_line(each.pid)
            running = {each.container_id for each in found.values() if each.status == "running"}
            ports = [binding.host_port for each in found.values() for binding in each.bindings]
            assert len(ports) == len(set(ports)) == len(running)
            for each in found.values():
                if each.status == "created":
                    await rig.runtime.start(each.container_id)
            for each in found.values():
                await rig.runtime.remove(each.container_id)
            for sandbox in (await rig.runtime.inventory()).sandboxes:
                await rig.runtime.remove_sandbox(sandbox.task_id)
            layout = cgroups.find_layout()
            assert layout is not None
            assert [left for root in layout.roots() for left in folders(root + rig.runtime.paths.cgroup)] == []
            assert rig.runtime.images.all_holders() == []
            for folder in (rig.runtime.paths.networks, rig.runtime.paths.exits, rig.runtime.paths.containers):
                assert list(folder.iterdir()) == []
        finally:
            await rig.close()


async def test_a_killed_monitor_ends_its_container(rig: Rig) -> None:
    started = await rig.run("orphan", "while :; do sleep 0.05; done")
    os.kill(int((rig.runtime.paths.bundle("orphan") / "monitor.pid").read_text()), signal.SIGKILL)
    assert (await rig.exit_of("orphan")).exit_code == 137
    await eventually(lambda: not Path(f"/proc/{started.pid}").exists())


async def test_nothing_is_left_after_destroy(data_dir: Path) -> None:
    rig = Rig(data_dir, None)
    await rig.open()
    for number in range(3):
        await rig.run(
            f"left{number}", "sleep 100", mode="bridge", ports=(runtime.PortMapping(container_port=80, host_port=0),)
        )
    await rig.runtime.create_sandbox(runtime.SandboxSpec(task_id="empty", network_mode="none"))
    await rig.close()
    assert mounts_below(data_dir) != []
    destroy.destroy(data_dir)
    destroy.destroy(data_dir)
    assert_no_traces(data_dir)

    def links_gone() -> bool:
        with netlink.Netlink() as route:
            return not [name for name in route.links() if rig.runtime.paths.instance_id in name]

    await eventually(links_gone)


def assert_no_traces(data_dir: Path) -> None:
    paths = oci_paths.Paths(data_dir)
    assert mounts_below(data_dir) == []
    layout = cgroups.find_layout()
    assert layout is not None
    assert [root for root in cgroups.every_root(layout) if Path(root + paths.cgroup).exists()] == []
    assert nat.Nat(paths.nft_table).listing() == ""
    marker = os.fsencode(str(data_dir))
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            text = path.read_bytes()
            assert not (marker in text and text.startswith((b"conmon", b"crun", b"runc"))), text
    assert list(data_dir.iterdir()) == []
