"""Stories of the four network modes: who reaches whom, by which port, and what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.agent_oci.rigs import Rig, eventually

from roadstead.agent import runtime
from roadstead.agent.images import store
from roadstead.agent.oci import destroy, subnets

pytestmark = pytest.mark.real

SERVE = "httpd -f -p 80 -h /www"


def awsvpc(rig: Rig, name: str, last: int) -> runtime.SandboxSpec:
    subnet = rig.facts.subnet
    assert subnet is not None
    address = f"{subnet.rsplit('.', 1)[0]}.{last}"
    return runtime.SandboxSpec(
        task_id=f"task-{name}",
        network_mode="awsvpc",
        network_interface=runtime.NetworkInterface(
            attachment_id=name,
            mac_address=f"0a:00:00:00:00:{last:02x}",
            ipv4_address=address,
            prefix_length=subnets.prefix_of(subnet),
            gateway=subnets.gateway_of(subnet),
            dns_servers=("192.0.2.53",),
        ),
    )


async def http_get(port: int, host: str = "127.0.0.1") -> str:
    reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 5)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    try:
        return (await asyncio.wait_for(reader.read(), 5)).decode()
    finally:
        writer.close()


async def answers(port: int, host: str = "127.0.0.1") -> bool:
    with contextlib.suppress(OSError, TimeoutError):
        return "hello from inside" in await http_get(port, host)
    return False


@contextlib.contextmanager
def host_listener() -> Iterator[tuple[socket.socket, int]]:
    with socket.create_server(("0.0.0.0", 0)) as server:
        server.settimeout(5)
        yield server, server.getsockname()[1]


async def test_awsvpc_tasks_have_their_addresses_and_reach_each_other(rig: Rig) -> None:
    server = awsvpc(rig, "server", 10)
    assert server.network_interface is not None
    await rig.run("server", SERVE, sandbox=server)
    address = server.network_interface.ipv4_address
    script = f"ping -c 1 -W 2 {address} >/dev/null && wget -q -O - http://{address}/; ip addr show eth0; cat /etc/hosts"
    text = await rig.result("client", script + " /etc/resolv.conf", sandbox=awsvpc(rig, "client", 11))
    assert "hello from inside" in text
    assert "0a:00:00:00:00:0b" in text
    assert f"inet {address.rsplit('.', 1)[0]}.11/24" in text
    assert "nameserver 192.0.2.53" in text
    assert f"{address.rsplit('.', 1)[0]}.11\tclient" in text


async def test_the_containers_of_an_awsvpc_task_share_its_loopback(rig: Rig) -> None:
    sandbox = awsvpc(rig, "pair", 20)
    await rig.run("pair-a", SERVE, sandbox=sandbox)
    await rig.run("pair-b", "wget -q -O - http://127.0.0.1/ || exit 1", sandbox=sandbox, name="second")
    assert (await rig.exit_of("pair-b")).exit_code == 0


async def test_awsvpc_and_bridge_reach_out_through_the_hosts_address(rig: Rig) -> None:
    outside = _address_of_default_route()
    with host_listener() as (server, port):
        for name, sandbox in (("vpc", awsvpc(rig, "vpc", 30)), ("bri", None)):
            await rig.run(name, f"echo hi | nc -w 3 {outside} {port}", sandbox=sandbox, mode="bridge")
            connection, peer = await asyncio.to_thread(server.accept)
            assert peer[0] != ""
            with connection:
                assert connection.recv(10) == b"hi\n"
            await rig.exit_of(name)


def _address_of_default_route() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


async def test_bridge_publishes_fixed_and_dynamic_ports(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        fixed = int(probe.getsockname()[1])
    mappings = (
        runtime.PortMapping(container_port=80, host_port=fixed),
        runtime.PortMapping(container_port=80, host_port=0),
        runtime.PortMapping(container_port=53, host_port=0, protocol="udp"),
    )
    started = await rig.run("web", SERVE, mode="bridge", ports=mappings)
    first, second, third = started.bindings
    assert (first.host_port, first.container_port, first.bind_ip) == (fixed, 80, "0.0.0.0")
    assert 49153 <= second.host_port <= 65535
    assert (third.container_port, third.protocol) == (53, "udp")
    for port in (first.host_port, second.host_port):
        await eventually(lambda port=port: answers(port))
        assert await answers(port, _address_of_default_route())
    outside = _address_of_default_route()
    text = await rig.result("peer", f"wget -q -O - http://{outside}:{fixed}/", mode="bridge")
    assert "hello" in text
    found = {each.container_id: each for each in (await rig.runtime.inventory()).containers}
    assert found["web"].bindings == started.bindings
    await rig.runtime.remove("web")
    assert not await answers(fixed)
    with socket.create_server(("0.0.0.0", fixed)):
        pass


async def test_a_container_reaches_its_own_published_port(rig: Rig) -> None:
    mapping = runtime.PortMapping(container_port=80, host_port=0)
    outside = _address_of_default_route()
    fetch = f"wget -q -O - http://{outside}:$port/"  # the server beside it may need a moment to listen
    script = (
        f"{SERVE} & read port < /shared/port; for i in 1 2 3 4 5 6 7 8 9; do {fetch} && exit; sleep 0.2; done; exit 1"
    )
    shared = rig.data_dir / "shared"
    shared.mkdir()
    os.mkfifo(shared / "port")
    mounts = (runtime.Mount(source=str(shared), target="/shared"),)
    started = await rig.run("self", script, mode="bridge", ports=(mapping,), mounts=mounts)
    await asyncio.to_thread((shared / "port").write_text, f"{started.bindings[0].host_port}\n")
    assert (await rig.exit_of("self")).exit_code == 0
    assert "hello" in rig.output("self")
    shutil.rmtree(shared)


async def test_a_taken_port_is_refused_in_dockers_words(rig: Rig) -> None:
    with host_listener() as (_, port):
        mapping = runtime.PortMapping(container_port=80, host_port=port)
        with pytest.raises(runtime.RuntimeProblem) as caught:
            await rig.run("late", SERVE, mode="bridge", ports=(mapping,))
    assert caught.value.name == "CannotStartContainerError"
    assert f"Bind for 0.0.0.0:{port} failed: port is already allocated" in caught.value.message
    await rig.runtime.start("late")  # the port is free now
    await eventually(lambda: answers(port))
    with pytest.raises(runtime.RuntimeProblem, match="port is already allocated"):
        await rig.run("later", SERVE, mode="bridge", ports=(mapping,))


async def test_ports_stay_with_an_adopted_container(data_dir: Path) -> None:
    first = Rig(data_dir, None)
    await first.open()
    mapping = runtime.PortMapping(container_port=80, host_port=0)
    started = await first.run("kept", SERVE, mode="bridge", ports=(mapping,))
    port = started.bindings[0].host_port
    await eventually(lambda: answers(port))
    await first.close()
    assert await answers(port)
    second = Rig(data_dir, None)
    await second.open()
    try:
        assert await answers(port)
        assert second.facts.subnet == first.facts.subnet
        same = runtime.PortMapping(container_port=80, host_port=port)
        with pytest.raises(runtime.RuntimeProblem, match="port is already allocated"):
            await second.run("thief", SERVE, mode="bridge", ports=(same,))
        another = await second.run("another", SERVE, mode="bridge", ports=(mapping,))
        assert another.bindings[0].host_port != port
        await eventually(lambda: answers(another.bindings[0].host_port))
        assert await answers(port)
    finally:
        await second.close()


async def test_host_mode_is_the_hosts_network_and_none_is_empty(rig: Rig) -> None:
    with host_listener() as (server, port):
        await rig.run("host", f"echo hi | nc -w 3 127.0.0.1 {port}; hostname", mode="host")
        connection, _ = await asyncio.to_thread(server.accept)
        connection.close()
    await rig.exit_of("host")
    assert socket.gethostname() in rig.output("host")
    assert "eth0" not in await rig.result("none", "ip addr", mode="none")


async def test_two_instances_do_not_collide(rig: Rig, busybox_tree: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="rs-test-"))
    other = Rig(folder, None)
    try:
        store.ImageStore(folder).pack(busybox_tree, "box")
        await other.open()
        assert other.facts.subnet != rig.facts.subnet
        mapping = runtime.PortMapping(container_port=80, host_port=0)
        one = await rig.run("a", SERVE, mode="bridge", ports=(mapping,))
        two = await other.run("a", SERVE, mode="bridge", ports=(mapping,))
        assert one.bindings[0].host_port != two.bindings[0].host_port
        await eventually(lambda: answers(one.bindings[0].host_port))
        await eventually(lambda: answers(two.bindings[0].host_port))
    finally:
        await other.close()
        destroy.destroy(folder)
        shutil.rmtree(folder)
    assert await answers(one.bindings[0].host_port)


async def test_an_ended_containers_port_is_free_and_had_again_when_it_runs_anew(rig: Rig) -> None:
    mapping = runtime.PortMapping(container_port=80, host_port=0)
    port = (await rig.run("again", SERVE, mode="bridge", ports=(mapping,))).bindings[0].host_port
    await eventually(lambda: answers(port))
    await rig.runtime.signal("again", signal.SIGKILL)
    await rig.exit_of("again")
    with socket.create_server(("0.0.0.0", port)):
        pass
    assert (await rig.runtime.start("again")).bindings[0].host_port == port
    await eventually(lambda: answers(port))
    await rig.runtime.signal("again", signal.SIGKILL)
    rig.exited.clear()
    await rig.exit_of("again")
    with socket.create_server(("0.0.0.0", port)):
        moved = (await rig.runtime.start("again")).bindings[0].host_port
    assert moved != port
    await eventually(lambda: answers(moved))
