"""Stories of what a container may and may not do, and of what it finds around itself."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import pytest
from tests.agent_oci.rigs import Rig

from roadstead.agent import runtime
from roadstead.agent.oci import capabilities, host

pytestmark = pytest.mark.real


@pytest.mark.parametrize("engine", ["crun", "runc"], indirect=True)
async def test_by_default_dockers_capabilities_and_a_filter(rig: Rig) -> None:
    text = await rig.result("plain", "cat /proc/self/status; unshare -U true 2>/dev/null || echo refused")
    assert "Seccomp:\t2" in text
    assert "refused" in text
    mask = int(next(line for line in text.splitlines() if line.startswith("CapBnd:")).split()[1], 16)
    assert capabilities.parse_mask(mask) == capabilities.DEFAULT
    await rig.run(
        "tamper",
        "mount -t tmpfs x /tmp || echo x > /proc/sys/kernel/hostname || mknod /dev/sda b 8 0 && head -c 1 /dev/sda",
    )
    assert (await rig.exit_of("tamper")).exit_code != 0


async def test_capabilities_are_added_dropped_and_unconfined(rig: Rig) -> None:
    script = "grep -E 'CapEff|Seccomp:|NoNewPrivs' /proc/self/status"
    text = await rig.result(
        "less", script, capabilities_drop=("ALL",), capabilities_add=("NET_ADMIN",), no_new_privileges=True
    )
    mask = int(text.splitlines()[0].split()[1], 16)
    assert capabilities.parse_mask(mask) == {"NET_ADMIN"}
    assert "NoNewPrivs:\t1" in text
    assert "Seccomp:\t0" in await rig.result("free", script, seccomp_unconfined=True)
    all_of_it = await rig.result("king", script, privileged=True)
    assert capabilities.parse_mask(int(all_of_it.splitlines()[0].split()[1], 16)) == capabilities.host_set()
    with pytest.raises(runtime.RuntimeProblem, match="unknown capability FLY"):
        await rig.run("odd", "true", capabilities_add=("FLY",))


async def test_user_working_directory_and_environment(rig: Rig) -> None:
    text = await rig.result(
        "who", "id; pwd; env; cat /etc/hostname", user="web", working_directory="/new/place", environment={"A": "b c"}
    )
    assert "uid=1000(web) gid=1000(web) groups=1000(web),2000(extra)" in text
    assert "/new/place" in text
    for line in ("A=b c", "HOME=/www", "HOSTNAME=who", "PATH=/usr/local/sbin"):
        assert line in text
    assert "uid=77 gid=2000(extra)" in await rig.result("number", "id", user="77:extra")
    with pytest.raises(runtime.RuntimeProblem, match="unable to find user nobody"):
        await rig.run("nobody", "true", user="nobody")


async def test_a_read_only_root_has_writable_mounts(rig: Rig, tmp_path: Path) -> None:
    text = await rig.result(
        "ro",
        "touch /x 2>&1; touch /fixed/x 2>&1; touch /scratch/x && echo scratch ok; touch /data/x && echo data ok; "
        "df -k /scratch",
        read_only_root=True,
        tmpfs=(runtime.Tmpfs(target="/scratch", size_bytes=1 << 20),),
        mounts=(
            runtime.Mount(source=str(tmp_path), target="/data"),
            runtime.Mount(source=str(tmp_path), target="/fixed", read_only=True),
        ),
    )
    assert text.count("Read-only file system") == 2
    assert "scratch ok" in text
    assert "data ok" in text
    assert "1024" in text
    assert (tmp_path / "x").exists()


async def test_ulimits_above_the_hosts_are_lowered_with_a_note(rig: Rig) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = (
        runtime.Ulimit(name="nofile", soft=most + 5, hard=most + 10),
        runtime.Ulimit(name="core", soft=0, hard=0),
    )
    started = await rig.run("limits", "ulimit -n; ulimit -c", ulimits=wanted)
    await rig.exit_of("limits")
    if "SYS_RESOURCE" in capabilities.host_set():
        assert started.notes == ()
    else:
        assert started.notes == (f"ulimit nofile lowered from {most + 5}:{most + 10} to this host's hard limit {most}",)
        assert rig.output("limits").split() == [str(most), "0"]
    with pytest.raises(runtime.RuntimeProblem, match="invalid ulimit type"):
        await rig.run("odd", "true", ulimits=(runtime.Ulimit(name="wings", soft=1, hard=1),))


async def test_what_cant_start_says_so(rig: Rig) -> None:
    with pytest.raises(runtime.RuntimeProblem) as caught:
        await rig.run("missing", "", command=("/bin/nothing",))
    assert caught.value.name == "CannotStartContainerError"
    assert "/bin/nothing" in caught.value.message
    assert (await rig.runtime.inventory()).containers[0].status == "created"
    with pytest.raises(runtime.RuntimeProblem, match="no image unknown"):
        await rig.run("unknown", "", image="unknown")
    with pytest.raises(runtime.RuntimeProblem) as init:
        await rig.run("init", "true", init=True)
        raise runtime.RuntimeProblem("CannotCreateContainerError", "initProcessEnabled worked")
    assert "initProcessEnabled" in init.value.message
    for name in ("missing", "unknown", "init"):
        await rig.runtime.remove(name)
        await rig.runtime.remove_sandbox(f"task-{name}")
    assert await rig.runtime.inventory() == runtime.Inventory(sandboxes=(), containers=())


async def test_hosts_sysctls_and_shared_memory(rig: Rig) -> None:
    text = await rig.result(
        "odds",
        "cat /etc/hosts /proc/sys/net/core/somaxconn; df -k /dev/shm; cat /etc/resolv.conf",
        extra_hosts=(("db", "10.1.2.3"),),
        sysctls={"net.core.somaxconn": "777"},
        shm_bytes=2 << 20,
        dns_servers=("192.0.2.9",),
        dns_search=("corp.test",),
    )
    for expected in ("10.1.2.3\tdb", "777", "2048", "nameserver 192.0.2.9", "search corp.test"):
        assert expected in text


async def test_many_starts_at_once(rig: Rig) -> None:
    await asyncio.gather(*(rig.run(f"m{number}", "exit 0", mode="bridge") for number in range(24)))
    codes = [(await rig.exit_of(f"m{number}")).exit_code for number in range(24)]
    assert codes == [0] * 24
    addresses = {record.ipv4_address for record in rig.runtime._records.values()}
    assert len(addresses) == 24
    await asyncio.gather(*(rig.runtime.remove(f"m{number}") for number in range(24)))


def test_this_host_passes_its_own_check() -> None:
    findings = {each.name: each for each in host.check()}
    assert [each.name for each in findings.values() if not each.ok] == []
    assert findings["crun"].detail.startswith("crun ")
