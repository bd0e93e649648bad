"""A small rtnetlink client: interfaces, addresses, routes. A socket stays in the network namespace it was made in.

Several requests go to the kernel in one system call, and answers are read together: a veth pair with its addresses and
route takes about half a millisecond.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Sequence

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_NEWROUTE, RTM_GETROUTE = 20, 24, 26
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
NLMSG_ERROR, NLMSG_DONE = 2, 3
IFF_UP = 1
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO, IFLA_NET_NS_FD = 1, 3, 4, 10, 18, 28
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST = 1, 2, 4
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_TABLE = 1, 4, 5, 15
RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST = 254, 3, 0, 1
RECEIVE_BYTES = 64 * 1024
RECEIVE_SECONDS_MAX = 10.0
INTERFACE_NAME_CHARACTERS_MAX = 15

_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BBHiII")


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + b"\0" * (-length % 4)


def _name(name: str) -> bytes:
    assert 0 < len(name) <= INTERFACE_NAME_CHARACTERS_MAX, name
    return attribute(IFLA_IFNAME, name.encode() + b"\0")


def _mac(address: str) -> bytes:
    return attribute(IFLA_ADDRESS, bytes.fromhex(address.replace(":", "")))


def _link(index: int = 0, *, up: bool = False) -> bytes:
    return _LINK.pack(0, 0, 0, index, IFF_UP if up else 0, IFF_UP if up else 0)


class Request:
    """A message to be sent; `what` is for errors."""

    def __init__(self, kind: int, flags: int, body: bytes, what: str, accept: Sequence[int] = ()) -> None:
        self.kind, self.flags, self.body, self.what, self.accept = kind, flags, body, what, tuple(accept)


def add_bridge(name: str, mac_address: str) -> Request:
    """Create a bridge that is up; one that exists is left as it is."""
    info = attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, b"bridge"))
    body = _link(up=True) + _name(name) + _mac(mac_address) + info
    return Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, f"create bridge {name}", (errno.EEXIST,))


def add_veth(name: str, master: int, peer_namespace: int, peer_name: str, peer_mac: str | None, mtu: int) -> Request:
    """Create a veth pair: our end up and on the bridge with index `master`, the peer in the other namespace."""
    peer = _link() + _name(peer_name) + attribute(IFLA_NET_NS_FD, struct.pack("=I", peer_namespace))
    peer += attribute(IFLA_MTU, struct.pack("=I", mtu))
    if peer_mac is not None:
        peer += _mac(peer_mac)
    data = attribute(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, peer))
    info = attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, b"veth\0") + data)
    body = _link(up=True) + _name(name) + attribute(IFLA_MASTER, struct.pack("=I", master))
    body += attribute(IFLA_MTU, struct.pack("=I", mtu)) + info
    return Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body, f"create veth {name}")


def delete_link(name: str) -> Request:
    return Request(RTM_DELLINK, 0, _link() + _name(name), f"delete interface {name}", (errno.ENODEV,))


def set_up(index: int) -> Request:
    return Request(RTM_SETLINK, 0, _link(index, up=True), f"bring up interface {index}")


def add_address(index: int, address: str, prefix_length: int) -> Request:
    """Give an interface an IPv4 address."""
    packed = socket.inet_aton(address)
    number = int.from_bytes(packed, "big") | (1 << (32 - prefix_length)) - 1
    body = struct.pack("=BBBBI", socket.AF_INET, prefix_length, 0, 0, index)
    body += attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)
    body += attribute(IFA_BROADCAST, number.to_bytes(4, "big"))
    return Request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body, f"add address {address}", (errno.EEXIST,))


def add_default_route(gateway: str) -> Request:
    body = struct.pack(
        "=BBBBBBBBI", socket.AF_INET, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST, 0
    )
    body += attribute(RTA_GATEWAY, socket.inet_aton(gateway))
    return Request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body, f"add default route by {gateway}")


class Netlink:
    """A route socket of the network namespace in which it was made. Not for several threads at once."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._socket.settimeout(RECEIVE_SECONDS_MAX)
        self._sequence = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, *requests: Request) -> None:
        """Send all in one go, in order. Raises OSError, naming the first request that the kernel refused."""
        first = self._sequence + 1
        message = b""
        for request in requests:
            self._sequence += 1
            flags = NLM_F_REQUEST | NLM_F_ACK | request.flags
            message += _HEADER.pack(_HEADER.size + len(request.body), request.kind, flags, self._sequence, 0)
            message += request.body
        self._socket.send(message)
        waiting = set(range(first, self._sequence + 1))
        failure: OSError | None = None
        while waiting:
            for kind, sequence, body in self._receive():
                if kind != NLMSG_ERROR or sequence not in waiting:
                    continue
                waiting.discard(sequence)
                number = -struct.unpack_from("=i", body)[0]
                request = requests[sequence - first]
                if number and number not in request.accept and failure is None:
                    failure = OSError(number, f"can't {request.what}: {os.strerror(number)}")
        if failure is not None:
            raise failure

    def index_of(self, name: str) -> int | None:
        """Index of an interface in this process's namespace of now; None where there is none."""
        try:
            return socket.if_nametoindex(name)
        except OSError:
            return None

    def links(self) -> list[str]:
        """Names of all interfaces."""
        found = []
        for body in self._dump(RTM_GETLINK, _link()):
            name = _attributes(body[_LINK.size :]).get(IFLA_IFNAME)
            if name:
                found.append(name.rstrip(b"\0").decode())
        return found

    def routes(self) -> list[tuple[str, int, int]]:
        """(destination, prefix length, interface index) of all IPv4 routes but the default ones."""
        found = []
        for body in self._dump(RTM_GETROUTE, struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)):
            prefix = body[1]
            attributes = _attributes(body[12:])
            if RTA_DST in attributes and RTA_OIF in attributes:
                index = int(struct.unpack("=i", attributes[RTA_OIF])[0])
                found.append((socket.inet_ntoa(attributes[RTA_DST]), prefix, index))
        return found

    def _dump(self, kind: int, body: bytes) -> list[bytes]:
        self._sequence += 1
        header = _HEADER.pack(_HEADER.size + len(body), kind, NLM_F_REQUEST | NLM_F_DUMP, self._sequence, 0)
        self._socket.send(header + body)
        found: list[bytes] = []
        while True:
            for answer, sequence, payload in self._receive():
                if sequence != self._sequence:
                    continue
                if answer == NLMSG_DONE:
                    return found
                if answer == NLMSG_ERROR:
                    number = -struct.unpack_from("=i", payload)[0]
                    raise OSError(number, os.strerror(number))
                found.append(payload)

    def _receive(self) -> list[tuple[int, int, bytes]]:
        data = self._socket.recv(RECEIVE_BYTES)
        found, place = [], 0
        while place + _HEADER.size <= len(data):
            length, kind, _, sequence, _ = _HEADER.unpack_from(data, place)
            found.append((kind, sequence, data[place + _HEADER.size : place + length]))
            place += length + -length % 4
        return found


def _attributes(data: bytes) -> dict[int, bytes]:
    found, place = {}, 0
    while place + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, place)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[place + 4 : place + length]
        place += length + -length % 4
    return found
