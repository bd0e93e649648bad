"""Host ports: fixed ones are claimed, dynamic ones chosen. A claim is a bound socket, so nobody else on this host, and
no other instance, can take the port while the runtime lives.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

from roadstead.agent import runtime

DYNAMIC_FIRST = 49153
DYNAMIC_LAST = 65535
"""Docker's and ECS's range for dynamic ports."""
ANY_ADDRESS = "0.0.0.0"


class PortTaken(Exception):
    """As Docker says it."""


class PortClaims:
    """Ports of this instance's containers."""

    def __init__(self) -> None:
        self._claims: dict[tuple[str, int], tuple[str, socket.socket | None]] = {}
        self._bindings: dict[str, tuple[runtime.PortBinding, ...]] = {}
        self._next = DYNAMIC_FIRST

    def claim(
        self,
        container_id: str,
        mappings: Sequence[runtime.PortMapping],
        before: Sequence[runtime.PortBinding] = (),
    ) -> tuple[runtime.PortBinding, ...]:
        """All or none. `before` are the ports of an earlier run, had again where still free. Raises PortTaken."""
        bindings = []
        known = [each.host_port for each in before] if len(before) == len(mappings) else [0] * len(mappings)
        try:
            for mapping, earlier in zip(mappings, known, strict=True):
                port = self._claim_again(container_id, mapping, earlier)
                bindings.append(
                    runtime.PortBinding(
                        bind_ip=ANY_ADDRESS,
                        container_port=mapping.container_port,
                        host_port=port,
                        protocol=mapping.protocol,
                    )
                )
        except PortTaken:
            self.release(container_id)
            raise
        self._bindings[container_id] = tuple(bindings)
        return tuple(bindings)

    def held(self, container_id: str) -> tuple[runtime.PortBinding, ...]:
        """What this container holds."""
        return self._bindings.get(container_id, ())

    def adopt(self, container_id: str, bindings: Sequence[runtime.PortBinding]) -> None:
        """Take over what an earlier process gave; the port stays the container's whoever bound it meanwhile."""
        self._bindings[container_id] = tuple(bindings)
        for binding in bindings:
            try:
                claim: socket.socket | None = _bind(binding.protocol, binding.host_port)
            except OSError:
                claim = None
            self._claims[binding.protocol, binding.host_port] = (container_id, claim)

    def release(self, container_id: str) -> None:
        self._bindings.pop(container_id, None)
        for key in [key for key, (holder, _) in self._claims.items() if holder == container_id]:
            _, claim = self._claims.pop(key)
            if claim is not None:
                claim.close()

    def close(self) -> None:
        for _, claim in self._claims.values():
            if claim is not None:
                claim.close()
        self._claims.clear()
        self._bindings.clear()

    def _claim_again(self, container_id: str, mapping: runtime.PortMapping, earlier: int) -> int:
        if mapping.host_port == 0 and earlier:
            try:
                return self._claim_one(container_id, mapping.protocol, earlier)
            except PortTaken:
                pass
        return self._claim_one(container_id, mapping.protocol, mapping.host_port)

    def _claim_one(self, container_id: str, protocol: str, wanted: int) -> int:
        if wanted:
            if (protocol, wanted) in self._claims:
                raise PortTaken(f"Bind for {ANY_ADDRESS}:{wanted} failed: port is already allocated")
            try:
                self._claims[protocol, wanted] = (container_id, _bind(protocol, wanted))
            except OSError as problem:
                if problem.errno == errno.EADDRINUSE:
                    raise PortTaken(f"Bind for {ANY_ADDRESS}:{wanted} failed: port is already allocated") from None
                raise PortTaken(f"Bind for {ANY_ADDRESS}:{wanted} failed: {problem.strerror}") from None
            return wanted
        for _ in range(DYNAMIC_FIRST, DYNAMIC_LAST + 1):
            port = self._next
            self._next = DYNAMIC_FIRST if port == DYNAMIC_LAST else port + 1
            if (protocol, port) in self._claims:
                continue
            try:
                self._claims[protocol, port] = (container_id, _bind(protocol, port))
            except OSError:
                continue
            return port
        raise PortTaken("Bind for 0.0.0.0:0 failed: all ports are allocated")


def _bind(protocol: str, port: int) -> socket.socket:
    """Hold the port without answering on it: packets are translated before they would reach this socket."""
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    claim = socket.socket(socket.AF_INET, kind | socket.SOCK_CLOEXEC)
    try:
        claim.bind((ANY_ADDRESS, port))
    except OSError as problem:
        claim.close()
        if protocol != "tcp" or problem.errno != errno.EADDRINUSE:
            raise
        return _bind_beside_old_connections(port)
    return claim


def _bind_beside_old_connections(port: int) -> socket.socket:
    """Ended connections of an earlier server (TIME_WAIT) hold a port against a plain bind, but not against a server."""
    claim = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        claim.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        claim.bind((ANY_ADDRESS, port))
        claim.listen(1)
        claim.shutdown(socket.SHUT_RDWR)  # stop listening, stay bound
    except OSError:
        claim.close()
        raise
    return claim
