"""Choosing subnets that collide with nothing this host reaches, and giving out their addresses. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable

CANDIDATES_MAX = 4096
POOL = ipaddress.IPv4Network("10.64.0.0/10")
"""Inside 10/8, away from its crowded beginning."""
BLOCK_PREFIX = 22
"""One block an instance: a /24 for awsvpc tasks, a /23 for containers in bridge mode."""


class NoSubnet(Exception):
    """Everything in the pool collides with a route of this host."""


def choose(routes: Iterable[tuple[str, int]], start: int) -> tuple[str, str]:
    """(awsvpc subnet, local subnet): the first free block at or after `start` (any number, spreads instances)."""
    taken = [_range(address, prefix) for address, prefix in routes if prefix]
    blocks = 1 << (BLOCK_PREFIX - POOL.prefixlen)
    for step in range(min(CANDIDATES_MAX, blocks)):
        number = (start + step) % blocks
        first = int(POOL.network_address) + number * (1 << (32 - BLOCK_PREFIX))
        last = first + (1 << (32 - BLOCK_PREFIX)) - 1
        if not any(start_of <= last and first <= end_of for start_of, end_of in taken):
            return f"{ipaddress.IPv4Address(first)}/24", f"{ipaddress.IPv4Address(first + 512)}/23"
    raise NoSubnet(f"no /{BLOCK_PREFIX} block in {POOL} is free of this host's routes")


def _range(address: str, prefix: int) -> tuple[int, int]:
    size = 1 << (32 - prefix)
    first = int(ipaddress.IPv4Address(address)) & ~(size - 1)
    return first, first + size - 1


def gateway_of(subnet: str) -> str:
    """The bridge's own address: the first one."""
    return str(ipaddress.IPv4Network(subnet).network_address + 1)


def prefix_of(subnet: str) -> int:
    return ipaddress.IPv4Network(subnet).prefixlen


def next_address(subnet: str, taken: Collection[str], after: str | None) -> str | None:
    """A free address, going round after the one given last, so that one just freed is not given again at once."""
    network = ipaddress.IPv4Network(subnet)
    first, last = int(network.network_address) + 2, int(network.broadcast_address) - 1
    start = int(ipaddress.IPv4Address(after)) + 1 if after else first
    for step in range(last - first + 1):
        address = str(ipaddress.IPv4Address(first + (start - first + step) % (last - first + 1)))
        if address not in taken:
            return address
    return None


def mac_of(address: str) -> str:
    """A locally administered MAC address, Docker's way: 02:42 and the IPv4 address."""
    return "02:42:" + ":".join(f"{part:02x}" for part in ipaddress.IPv4Address(address).packed)
