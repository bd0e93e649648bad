"""Networks of tasks and containers: two bridges, network namespaces with a veth each, translation of addresses.

In: an address and a key (task or container). Out: a network namespace file that engines can join. Every method but
`open` and `forward` runs in the runtime's namespace thread, because namespace files are mounts.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from roadstead.agent.oci import nat, netlink, subnets, syscalls
from roadstead.agent.oci import paths as oci_paths
from roadstead.base import errors

PEER_NAME = "eth0"
LOOPBACK_INDEX = 1
MTU_DEFAULT = 1500
VETH_NAMES = 16**6
HOST_LOCK = Path("/run/roadstead.lock")
"""Taken while subnets are chosen: two instances that start at once must not choose the same."""


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """The one interface of a new namespace."""

    bridge: str
    address: str
    prefix_length: int
    gateway: str
    mac_address: str


class Network:
    """Bridges, namespaces and translation of one instance."""

    def __init__(self, paths: oci_paths.Paths) -> None:
        self._paths = paths
        self._route: netlink.Netlink | None = None
        self._nat: nat.Nat | None = None
        self._nat_lock = threading.Lock()
        self._bridge_index: dict[str, int] = {}
        self._bridges: list[tuple[str, str]] = []
        self._mtu = MTU_DEFAULT
        self._host_namespace = -1

    def open(self, chosen: tuple[str, str] | None, forwards: Iterable[nat.Forward]) -> tuple[str, str]:
        """Make bridges, forwarding and the table of translations. Returns (awsvpc subnet, local subnet).

        `chosen` are the subnets of earlier; they are kept. Raises HostProblem.
        """
        self._route = route = netlink.Netlink()
        self._host_namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._nat = nat.Nat(self._paths.nft_table)
        try:
            with _host_lock():
                pair = chosen or self._choose(route)
                names = (self._paths.bridge_awsvpc, self._paths.bridge_local)
                self._bridges = list(zip(names, pair, strict=True))
                self._mtu = _host_mtu()
                for name, subnet in self._bridges:
                    self._make_bridge(route, name, subnet)
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
            self._nat.rebuild(self._bridges, forwards)
        except OSError as problem:
            raise errors.HostProblem(
                "the bridges for containers could not be made",
                str(problem),
                "Run as root on a kernel with bridge, veth and nf_tables; `roadstead doctor` shows what is missing.",
            ) from problem
        except nat.NatProblem as problem:
            raise errors.HostProblem(
                "the rules of address translation could not be made",
                str(problem),
                "The kernel needs nf_tables with nat and fib (modprobe nft_nat nft_fib_ipv4 nft_masq).",
            ) from problem
        return pair

    def _choose(self, route: netlink.Netlink) -> tuple[str, str]:
        routes = [(address, prefix) for address, prefix, _ in route.routes()]
        try:
            return subnets.choose(routes, int(self._paths.instance_id, 16))
        except subnets.NoSubnet as problem:
            raise errors.HostProblem(
                "no subnet for containers", str(problem), "Remove unused instances: `roadstead down --remove`."
            ) from problem

    def _make_bridge(self, route: netlink.Netlink, name: str, subnet: str) -> None:
        gateway = subnets.gateway_of(subnet)
        route.send(netlink.add_bridge(name, subnets.mac_of(gateway)))
        index = route.index_of(name)
        assert index is not None
        self._bridge_index[name] = index
        route.send(netlink.add_address(index, gateway, subnets.prefix_of(subnet)), netlink.set_up(index))
        # Without it the kernel drops what 127.0.0.1 sends to a published port.
        Path(f"/proc/sys/net/ipv4/conf/{name}/route_localnet").write_text("1")

    def close(self) -> None:
        if self._route is not None:
            self._route.close()
            self._route = None
        if self._nat is not None:
            self._nat.close()
            self._nat = None
        if self._host_namespace >= 0:
            os.close(self._host_namespace)
            self._host_namespace = -1

    def create(self, key: str, interface: Interface | None) -> str | None:
        """Make a namespace with a loopback and, if given, one interface. Returns the host's end of the veth pair."""
        path = self._paths.network(key)
        path.touch()
        veth = self._veth_name() if interface is not None else None
        syscalls.unshare(syscalls.CLONE_NEWNET)
        try:
            with netlink.Netlink() as inside:
                thread = threading.get_native_id()
                syscalls.mount(f"/proc/self/task/{thread}/ns/net", str(path), "", syscalls.MS_BIND)
                requests = [netlink.set_up(LOOPBACK_INDEX)]
                if interface is not None and veth is not None:
                    self._connect(veth, interface, f"/proc/self/task/{thread}/ns/net")
                    index = socket.if_nametoindex(PEER_NAME)  # asks in the namespace this thread is in
                    requests += [
                        netlink.add_address(index, interface.address, interface.prefix_length),
                        netlink.set_up(index),
                        netlink.add_default_route(interface.gateway),
                    ]
                inside.send(*requests)
        except OSError:
            syscalls.setns(self._host_namespace, syscalls.CLONE_NEWNET)
            self.remove(key)
            raise
        syscalls.setns(self._host_namespace, syscalls.CLONE_NEWNET)
        if veth is not None:
            # Lets a container reach itself by a published port: the bridge sends the frame back where it came from.
            Path(f"/sys/class/net/{veth}/brport/hairpin_mode").write_text("1")
        return veth

    def _connect(self, veth: str, interface: Interface, namespace: str) -> None:
        """The route socket is the host's, whichever namespace this thread is in."""
        assert self._route is not None
        peer = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            master = self._bridge_index[interface.bridge]
            self._route.send(netlink.add_veth(veth, master, peer, PEER_NAME, interface.mac_address, self._mtu))
        finally:
            os.close(peer)

    def _veth_name(self) -> str:
        """Fresh each time: the kernel frees the old one's name only a while after its namespace is gone."""
        return f"{self._paths.veth_prefix}{int.from_bytes(os.urandom(3), 'big') % VETH_NAMES:06x}"

    def remove(self, key: str) -> None:
        """Let a namespace go; its veth goes with its last process. None is no error."""
        path = str(self._paths.network(key))
        if syscalls.is_namespace_file(path):
            syscalls.unmount(path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def exists(self, key: str) -> bool:
        return syscalls.is_namespace_file(str(self._paths.network(key)))

    def forward(self, forwards: Sequence[nat.Forward]) -> None:
        """Publish ports. Raises nat.NatProblem."""
        assert self._nat is not None
        with self._nat_lock:
            self._nat.add(forwards)

    def stop_forwarding(self, forwards: Sequence[nat.Forward]) -> None:
        assert self._nat is not None
        with self._nat_lock:
            self._nat.remove(forwards)


def read_counters(veth: str) -> tuple[int, int]:
    """(received, sent) bytes as the container sees them: the other way round at the host's end."""
    folder = Path("/sys/class/net") / veth / "statistics"
    try:
        return int((folder / "tx_bytes").read_text()), int((folder / "rx_bytes").read_text())
    except OSError:
        return 0, 0


def wipe(paths: oci_paths.Paths) -> None:
    """Remove an instance's bridges, veths and table, known by their names alone."""
    with netlink.Netlink() as route:
        ours = (paths.bridge_awsvpc, paths.bridge_local)
        for name in route.links():
            if name in ours or name.startswith(paths.veth_prefix):
                route.send(netlink.delete_link(name))
    with contextlib.suppress(nat.NatProblem):
        table = nat.Nat(paths.nft_table)
        table.delete()
        table.close()


def _host_mtu() -> int:
    """The smallest of the host's real interfaces: a tunnel's packets must not be cut."""
    sizes = [MTU_DEFAULT]
    for folder in Path("/sys/class/net").iterdir():
        if (folder / "device").exists():
            sizes.append(int((folder / "mtu").read_text()))
    return max(1280, min(sizes))


@contextlib.contextmanager
def _host_lock() -> Iterator[None]:
    descriptor = os.open(HOST_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
