"""Addresses for awsvpc tasks: each instance hands them out of its own subnet (behaviour.md 5.9 PROVISIONING)."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Container

from roadstead.base import ids as base_ids
from roadstead.model import tables, tasks
from roadstead.state import view as views

PROBES_MAX = 65_536
"""Addresses looked at before a subnet counts as full: all of a /16."""


class Subnet:
    """The addresses of an IPv4 subnet that tasks may have: not the network's, not the gateway's, not the broadcast."""

    def __init__(self, text: str) -> None:
        """Raises ValueError where the text is no IPv4 network."""
        network = ipaddress.IPv4Network(text)
        base = int(network.network_address)
        self.prefix_length = network.prefixlen
        self.gateway = str(ipaddress.IPv4Address(base + 1))
        self.size = max(0, network.num_addresses - 3)
        self._first = base + 2

    def address(self, number: int) -> str:
        """The `number`th of them, from 0."""
        value = self._first + number
        return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"


@functools.lru_cache(maxsize=4096)
def subnet(text: str) -> Subnet | None:
    """The subnet written as `10.0.1.0/24`; None where it is not one."""
    try:
        return Subnet(text)
    except ValueError:
        return None


def free_address(
    view: views.View, instance_id: str, pool: Subnet, taken: Container[str], ids: base_ids.Ids
) -> str | None:
    """An address that no live task of the instance has, nor is in `taken`; None where none is left.

    The search begins anywhere in the subnet, so that an address is not soon used again by another task.
    """
    if pool.size == 0:
        return None
    start = ids.below(pool.size)
    for step in range(min(pool.size, PROBES_MAX)):
        address = pool.address((start + step) % pool.size)
        if address not in taken and not view.size(tables.TASKS, "addresses", instance_id, address):
            return address
    return None


def interface(address: str, pool: Subnet, ids: base_ids.Ids) -> tasks.NetworkInterface:
    """A network interface for a task, with a locally administered MAC address."""
    digits = ids.hex(10)
    return tasks.NetworkInterface(
        attachment_id=ids.uuid(),
        network_interface_id=f"eni-{ids.hex(17)}",
        mac_address=":".join(("02", *(digits[at : at + 2] for at in range(0, 10, 2)))),
        ipv4_address=address,
        prefix_length=pool.prefix_length,
        gateway=pool.gateway,
    )
