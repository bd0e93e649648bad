"""Address translation by nftables, in this process through libnftables: outgoing masquerade, published ports.

One table for each instance. Published ports are elements of two maps, so that adding one is one small transaction, and
the rules never change. Ports are reached from outside, from the host by any of its addresses (127.0.0.1 too), and from
containers by the host's addresses.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence

import msgspec

from roadstead.base import errors


class Forward(msgspec.Struct, frozen=True, kw_only=True):
    """One published port."""

    protocol: str
    host_port: int
    address: str
    container_port: int


class NatProblem(Exception):
    """nftables refused; the text is its own."""


class Nat:
    """The instance's table. Not for several threads at once."""

    def __init__(self, table: str) -> None:
        self.table = table
        self._library = _load()
        self._context = self._library.nft_ctx_new(0)
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def close(self) -> None:
        if self._context:
            self._library.nft_ctx_free(self._context)
            self._context = None

    def rebuild(self, bridges: Sequence[tuple[str, str]], forwards: Iterable[Forward]) -> None:
        """Make the whole table anew in one transaction. `bridges` are (name, subnet)."""
        self.ask(ruleset(self.table, bridges, forwards))

    def add(self, forwards: Sequence[Forward]) -> None:
        self.ask("".join(f"add element ip {self.table} {_element(each)}\n" for each in forwards))

    def remove(self, forwards: Sequence[Forward]) -> None:
        """Those that are gone already are no error."""
        for each in forwards:
            try:
                self.ask(f"delete element ip {self.table} {each.protocol}_ports {{ {each.host_port} }}\n")
            except NatProblem:
                continue

    def delete(self) -> None:
        # "add" first, so that deleting is no error where there is none.
        self.ask(f"add table ip {self.table}\ndelete table ip {self.table}\n")

    def listing(self) -> str:
        """The table as text, for people and tests; empty where there is none."""
        try:
            return self.ask(f"list table ip {self.table}\n")
        except NatProblem:
            return ""

    def ask(self, commands: str) -> str:
        """Run nft commands in one transaction; returns what they print. Raises NatProblem."""
        if not commands:
            return ""
        result = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        output = self._library.nft_ctx_get_output_buffer(self._context) or b""
        error = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if result != 0:
            raise NatProblem(error.decode(errors="replace").strip() or "nftables refused without a word")
        return bytes(output).decode(errors="replace")


def works() -> bool:
    """Whether this process may ask nftables anything. Changes nothing."""
    table = Nat("roadstead_probe")
    try:
        table.ask("list tables\n")
    except NatProblem:
        return False
    finally:
        table.close()
    return True


def ruleset(table: str, bridges: Sequence[tuple[str, str]], forwards: Iterable[Forward]) -> str:
    """The table's text. Pure."""
    each_protocol = []
    given = list(forwards)
    for protocol in ("tcp", "udp"):
        elements = ", ".join(_pair(each) for each in given if each.protocol == protocol)
        listed = f"elements = {{ {elements} }}\n" if elements else ""
        each_protocol.append(f"map {protocol}_ports {{\ntype inet_service : ipv4_addr . inet_service\n{listed}}}\n")
    translate = "".join(
        f"fib daddr type local meta l4proto {protocol} dnat ip to {protocol} dport map @{protocol}_ports\n"
        for protocol in ("tcp", "udp")
    )
    masquerade = "".join(
        # Out to elsewhere; to a published port of the same bridge; and from 127.0.0.1, which no container could answer.
        f"ip saddr {subnet} oifname != {name} masquerade\n"
        f"ip saddr {subnet} oifname {name} ct status dnat masquerade\n"
        f"ip saddr 127.0.0.0/8 oifname {name} masquerade\n"
        for name, subnet in bridges
    )
    return (
        f"add table ip {table}\ndelete table ip {table}\n"
        f"table ip {table} {{\n{''.join(each_protocol)}"
        f"chain prerouting {{\ntype nat hook prerouting priority -100\n{translate}}}\n"
        f"chain output {{\ntype nat hook output priority -100\n{translate}}}\n"
        f"chain postrouting {{\ntype nat hook postrouting priority 100\n{masquerade}}}\n"
        "}\n"
    )


def _pair(forward: Forward) -> str:
    return f"{forward.host_port} : {forward.address} . {forward.container_port}"


def _element(forward: Forward) -> str:
    return f"{forward.protocol}_ports {{ {_pair(forward)} }}"


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libnftables.so.1", use_errno=True)
    except OSError as problem:
        raise errors.HostProblem(
            "addresses can't be translated",
            f"libnftables is missing ({problem})",
            "Install it: apt-get install nftables",
        ) from problem
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    for name in ("nft_ctx_free", "nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
        getattr(library, name).restype = ctypes.c_char_p
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library
