"""Pure parts: cgroup layouts, the specification, users, capabilities, subnets, log lines."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadstead.agent import runtime
from roadstead.agent.images import records as images
from roadstead.agent.oci import capabilities, cgroups, etcfiles, logs, nat, seccomp, spec, subnets, syscalls, users

V1 = """\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime shared:5 - cgroup cgroup rw,xattr,name=systemd
"""
HYBRID = V1 + "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def layout_of(text: str) -> cgroups.Layout:
    found = cgroups.parse_layout(text)
    assert found is not None
    return found


def test_the_three_layouts_are_told_apart() -> None:
    assert layout_of(V1).kind == "v1"
    assert layout_of(HYBRID).kind == "hybrid"
    assert layout_of(HYBRID).unified == "/sys/fs/cgroup/unified"
    assert layout_of(V2).kind == "v2"
    assert cgroups.parse_layout("27 1 254:0 / / rw - ext4 /dev/vda rw\n") is None
    assert layout_of(V1).mounts["cpuacct"] == "/sys/fs/cgroup/cpu,cpuacct"
    assert cgroups.missing_controllers(layout_of(V1), "") == []
    assert cgroups.missing_controllers(layout_of(V2), "cpu io") == ["memory", "pids"]


@pytest.mark.parametrize("text", [V1, HYBRID])
def test_a_tasks_limits_on_version_1(text: str) -> None:
    found = cgroups.task_settings(layout_of(text), "/roadstead/i/t", 0.5, 1000)
    assert found == [
        (Path("/sys/fs/cgroup/cpu,cpuacct/roadstead/i/t/cpu.cfs_period_us"), "100000"),
        (Path("/sys/fs/cgroup/cpu,cpuacct/roadstead/i/t/cpu.cfs_quota_us"), "50000"),
        (Path("/sys/fs/cgroup/memory/roadstead/i/t/memory.limit_in_bytes"), "1000"),
    ]


def test_a_tasks_limits_on_version_2() -> None:
    found = cgroups.task_settings(layout_of(V2), "/roadstead/i/t", 0.001, 1000)
    assert found == [
        (Path("/sys/fs/cgroup/roadstead/i/t/cpu.max"), "1000 100000"),
        (Path("/sys/fs/cgroup/roadstead/i/t/memory.max"), "1000"),
    ]
    assert cgroups.task_settings(layout_of(V2), "/x", None, None) == []


def test_usage_is_read_alike(tmp_path: Path) -> None:
    files = {
        "cpuacct.usage": "2500000000",
        "memory.usage_in_bytes": "1000",
        "cpu.stat": "usage_usec 2500000\nuser_usec 1\n",
        "memory.current": "1000",
        "memory.stat": "cache 5\ninactive_file 300\ntotal_inactive_file 300\n",
        "memory.events": "oom 1\noom_kill 2\n",
        "memory.oom_control": "oom_kill_disable 0\noom_kill 2\n",
    }
    (tmp_path / "c").mkdir()
    for name, text in files.items():
        (tmp_path / "c" / name).write_text(text)
    root = str(tmp_path)
    for layout in (
        cgroups.Layout(kind="v2", mounts={"": root}),
        cgroups.Layout(kind="v1", mounts={"cpuacct": root, "memory": root, "cpu": root}),
    ):
        reading = cgroups.read_usage(layout, "/c")
        assert reading == cgroups.Reading(cpu_seconds_total=2.5, memory_bytes=700)
        assert cgroups.was_oom_killed(layout, "/c")
        assert cgroups.read_usage(layout, "/gone") is None


def place(**members: Any) -> spec.Surroundings:
    given: dict[str, Any] = {
        "root": "/b/root",
        "cgroup": "/roadstead/i/t/c",
        "network_mode": "awsvpc",
        "network_namespace": "/ns/task-t",
        "hostname": "h",
        "etc": "/b/etc",
        "cgroups_version_2": False,
        "swap_accounting": True,
        "hard_limits": {},
        "may_raise_limits": False,
        "oom_score_now": 0,
        "host_capabilities": frozenset(capabilities.NAMES),
        "capabilities": capabilities.DEFAULT,
        **members,
    }
    return spec.Surroundings(**given)


def wanted(**members: Any) -> runtime.ContainerSpec:
    given: dict[str, Any] = {
        "container_id": "c",
        "task_id": "t",
        "name": "n",
        "image": "i",
        "command": ("x",),
        **members,
    }
    return runtime.ContainerSpec(**given)


def built(members: dict[str, Any], **surroundings: Any) -> dict[str, Any]:
    config = spec.build(
        wanted(**members), images.ImageConfig(), users.Identity(uid=0, gid=0), place(**surroundings)
    ).config
    msgspec.json.encode(config)
    return config


def test_cgroup_layout_decides_about_the_cgroup_namespace() -> None:
    kinds = [each["type"] for each in built({}, cgroups_version_2=True)["linux"]["namespaces"]]
    assert kinds == ["pid", "ipc", "uts", "mount", "network", "cgroup"]
    assert "cgroup" not in [each["type"] for each in built({})["linux"]["namespaces"]]
    for layout in (True, False):
        assert built({}, cgroups_version_2=layout)["linux"]["cgroupsPath"] == "/roadstead/i/t/c"


def test_network_modes_decide_about_the_network_namespace() -> None:
    assert {"type": "network", "path": "/ns/task-t"} in built({})["linux"]["namespaces"]
    alone = built({}, network_mode="none", network_namespace=None)["linux"]["namespaces"]
    assert {"type": "network"} in alone
    shared = built({}, network_mode="host", network_namespace=None)["linux"]["namespaces"]
    assert "network" not in [each["type"] for each in shared]
    with pytest.raises(spec.UnfitSpec, match=r"net\.\*"):
        built({"sysctls": {"net.core.somaxconn": "1"}}, network_mode="host", network_namespace=None)


def test_resources_are_passed_on() -> None:
    members = {"memory_bytes_max": 100, "memory_bytes_reserved": 50, "cpu_shares": 0}
    resources = built(members)["linux"]["resources"]
    assert resources["memory"] == {"limit": 100, "swap": 200, "reservation": 50}
    assert resources["cpu"] == {"shares": 2}
    assert resources["pids"] == {"limit": cgroups.PIDS_MAX}
    assert "swap" not in built(members, swap_accounting=False)["linux"]["resources"]["memory"]


def test_entry_point_and_command_merge_as_dockers() -> None:
    image = images.ImageConfig(entry_point=("e",), command=("c",))
    cases: list[tuple[dict[str, Any], tuple[str, ...]]] = [
        ({"command": None}, ("e", "c")),
        ({"command": ("x", "y")}, ("e", "x", "y")),
        ({"command": None, "entry_point": ("o",)}, ("o",)),
        ({"command": ("x",), "entry_point": ("o",)}, ("o", "x")),
    ]
    for members, expected in cases:
        assert spec.merge_arguments(wanted(**members), image) == expected
    with pytest.raises(spec.UnfitSpec, match="no command specified"):
        spec.merge_arguments(wanted(command=None), images.ImageConfig())


def test_environment_is_merged() -> None:
    image = images.ImageConfig(environment=("PATH=/p", "A=image", "E="))
    merged = spec.merge_environment(wanted(environment={"A": "task", "X": "a=b"}), image, "host", "/home/me")
    assert merged == ("PATH=/p", "HOSTNAME=host", "A=task", "E=", "X=a=b", "HOME=/home/me")


@given(soft=st.integers(-1, 2**40), hard=st.integers(-1, 2**40), most=st.integers(1, 2**20), may=st.booleans())
def test_ulimits_are_never_above_the_hosts(soft: int, hard: int, most: int, may: bool) -> None:
    endless = 2**64 - 1
    if (endless if soft < 0 else soft) > (endless if hard < 0 else hard):
        return
    limits, notes = spec.clamp_ulimits([runtime.Ulimit(name="nofile", soft=soft, hard=hard)], {"nofile": most}, may)
    assert limits[0]["soft"] <= limits[0]["hard"]
    if not may:
        assert limits[0]["hard"] <= most
        assert bool(notes) == (hard < 0 or hard > most)
    else:
        assert notes == []


def test_users_are_looked_up() -> None:
    passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:5:6:W:/www:/bin/sh\n"
    group = "root:x:0:\nextra:x:7:web,other\nwheel:x:8:web\n"
    assert users.resolve("", passwd, group) == users.Identity(uid=0, gid=0, additional_gids=(0,), home="/root")
    assert users.resolve("web", passwd, group) == users.Identity(uid=5, gid=6, additional_gids=(6, 7, 8), home="/www")
    assert users.resolve("web:extra", passwd, group).gid == 7
    assert users.resolve("9", passwd, group) == users.Identity(uid=9, gid=0, additional_gids=(0,))
    assert users.resolve("9:10", "", "") == users.Identity(uid=9, gid=10, additional_gids=(10,))
    for bad in ("nobody", "web:nothing", "99999999999"):
        with pytest.raises(users.UnknownUser):
            users.resolve(bad, passwd, group)


def test_capabilities_combine() -> None:
    everything = frozenset(capabilities.NAMES)
    assert len(capabilities.DEFAULT) == 14
    assert capabilities.resolve((), (), False, everything) == capabilities.DEFAULT
    assert capabilities.resolve((), ("ALL",), False, everything) == frozenset()
    assert capabilities.resolve(("ALL",), ("cap_mknod",), False, everything) == everything - {"MKNOD"}
    assert capabilities.resolve(("SYS_TIME",), ("KILL",), False, everything) == (
        capabilities.DEFAULT | {"SYS_TIME"}
    ) - {"KILL"}
    with pytest.raises(capabilities.UnknownCapability, match="can't give capability SYS_TIME"):
        capabilities.resolve(("SYS_TIME",), (), False, capabilities.DEFAULT)


def test_the_filter_follows_the_capabilities() -> None:
    plain, rules = seccomp.select(capabilities.DEFAULT, "x86_64")
    mighty, fewer = seccomp.select(frozenset({"SYS_ADMIN"}), "x86_64")
    assert "mount" not in plain
    assert "arch_prctl" in plain
    assert {"mount", "clone", "setns"} <= set(mighty)
    assert "clone3" in [name for rule in rules for name in rule["names"]]
    assert "clone3" not in [name for rule in fewer for name in rule["names"]]
    for risky in (
        "keyctl",
        "add_key",
        "userfaultfd",
        "kexec_load",
        "init_module",
        "swapon",
        "pivot_root",
        "bpf",
        "io_uring_setup",
    ):
        assert risky not in plain


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 32)), max_size=20), st.integers(0, 2**28))
def test_subnets_never_collide_with_routes(routes: list[tuple[int, int]], start: int) -> None:
    given_routes = [(str(ipaddress.IPv4Address(address)), prefix) for address, prefix in routes]
    try:
        pair = subnets.choose(given_routes, start)
    except subnets.NoSubnet:
        return
    first, second = (ipaddress.IPv4Network(each) for each in pair)
    assert not first.overlaps(second)
    for address, prefix in given_routes:
        route = ipaddress.IPv4Network((address, prefix), strict=False)
        assert not first.overlaps(route)
        assert not second.overlaps(route)


def test_addresses_go_round() -> None:
    assert subnets.next_address("10.0.0.0/29", set(), None) == "10.0.0.2"
    assert subnets.next_address("10.0.0.0/29", {"10.0.0.3"}, "10.0.0.2") == "10.0.0.4"
    assert subnets.next_address("10.0.0.0/29", set(), "10.0.0.6") == "10.0.0.2"
    assert subnets.next_address("10.0.0.0/30", {"10.0.0.2"}, None) is None
    assert subnets.mac_of("10.1.2.3") == "02:42:0a:01:02:03"


def test_log_lines_are_put_together() -> None:
    parser = logs.Parser()
    data = (
        b"2026-11-22T12:00:00.500000000+00:00 stdout F one\n2026-11-22T13:00:01.25+01:00 stderr P tw\n"
        b"2026-11-22T12:00:02+00:00 stdout F mid\n2026-11-22T12:00:02+00:00 stderr F o\nbroken\n2026"
    )
    found = [*parser.feed(data[:70]), *parser.feed(data[70:])]
    assert [(line.stream, line.text) for line in found] == [("stdout", "one"), ("stdout", "mid"), ("stderr", "two")]
    assert found[0].written_at - int(found[0].written_at) == 0.5
    assert found[2].written_at - found[0].written_at == 0.75


async def test_logs_are_followed_across_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    path.write_text("2026-11-22T12:00:00+00:00 stdout F one\n")
    logs.keep_one_older(path)
    steps = iter(["append", "rotate", "end"])

    def ended() -> bool:
        match next(steps):
            case "append":
                with path.open("a") as file:
                    file.write("2026-11-22T12:00:01+00:00 stdout F two\n")
            case "rotate":
                fresh = tmp_path / "fresh"
                fresh.write_text("2026-11-22T12:00:02+00:00 stdout F three\n")
                fresh.replace(path)
            case _:
                return True
        return False

    assert [line.text async for line in logs.follow(path, ended)] == ["one", "two", "three"]
    logs.keep_one_older(path)
    assert [line.text for line in logs.read(path)] == ["one", "two", "three"]


def test_logs_are_pruned_by_age_and_number(tmp_path: Path) -> None:
    for name in ("living", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "web.log").write_text("")
    moment = (tmp_path / "old").stat().st_mtime
    logs.prune(tmp_path, {"living"}, moment + 60)
    assert (tmp_path / "old").exists()
    logs.prune(tmp_path, {"living"}, moment + logs.RETENTION_SECONDS + 60)
    assert [path.name for path in tmp_path.iterdir()] == ["living"]


def test_resolvers_of_the_host_are_fit_for_containers() -> None:
    text = "nameserver 127.0.0.53\nnameserver 10.0.0.1 # x\nsearch a b\noptions ndots:2\n"
    assert etcfiles.resolv_conf(text, (), (), True) == "nameserver 10.0.0.1\nsearch a b\noptions ndots:2\n"
    assert "127.0.0.53" in etcfiles.resolv_conf(text, (), (), False)
    assert etcfiles.resolv_conf("", (), (), True).startswith("nameserver 1.1.1.1")
    assert etcfiles.resolv_conf(text, ("9.9.9.9",), ("z",), True).startswith("nameserver 9.9.9.9\nsearch z\n")


def test_the_rules_are_one_transaction() -> None:
    forward = nat.Forward(protocol="tcp", host_port=80, address="10.0.0.2", container_port=8080)
    text = nat.ruleset("t", [("br", "10.0.0.0/24")], [forward])
    assert text.startswith("add table ip t\ndelete table ip t\n")
    assert "elements = { 80 : 10.0.0.2 . 8080 }" in text
    assert text.count("dnat ip to udp dport map @udp_ports") == 2


def test_the_names_of_mounts_may_have_blanks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_bytes(b"1 0 0:1 / /a\\040b/run rw - tmpfs x rw\n2 1 0:2 / /a\\040b/run/ns rw - nsfs x rw\n")
    real = open
    monkeypatch.setattr("builtins.open", lambda path, mode: real(table, mode))
    assert syscalls.is_mount_point("/a b/run")
    assert not syscalls.is_mount_point("/a")
    assert syscalls.mount_points_below("/a b") == ["/a b/run", "/a b/run/ns"]


@pytest.mark.parametrize(
    ("said", "number"), [("", 15), ("SIGQUIT", 3), ("quit", 3), ("2", 2), ("0", 15), ("999", 15), ("bogus", 15)]
)
def test_an_images_stop_signal_is_a_name_or_a_number(said: str, number: int) -> None:
    assert images.ImageConfig(stop_signal=said).stop_signal_number == number
