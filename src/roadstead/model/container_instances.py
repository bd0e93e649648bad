"""Container instances: the machines that tasks run on (behaviour.md 5.10, agent-protocol.md 2.1)."""

from __future__ import annotations

from typing import Literal

from roadstead.model import record

InstanceStatus = Literal["ACTIVE", "DRAINING", "INACTIVE"]


class Attribute(record.WireValue, frozen=True, kw_only=True):
    name: str
    value: str | None = None


class Resource(record.WireValue, frozen=True, kw_only=True):
    """A registered resource, as the agent sent it: CPU and MEMORY (INTEGER), PORTS and PORTS_UDP (STRINGSET)."""

    name: str
    type: str
    integer_value: int = 0
    string_set_value: tuple[str, ...] = ()


class VersionInfo(record.WireValue, frozen=True, kw_only=True):
    agent_version: str | None = None
    agent_hash: str | None = None
    docker_version: str | None = None


class InstanceCapacity(record.Value, frozen=True, kw_only=True):
    """The registered resources in a form made for placement."""

    cpu_units: int
    memory_mib: int
    reserved_ports_tcp: tuple[int, ...] = ()
    reserved_ports_udp: tuple[int, ...] = ()


class AgentSession(record.Value, frozen=True, kw_only=True):
    """What the gateway saw of the agent's connection. Written by the agent sessions only."""

    connected: bool = False
    changed_at: float | None = None
    """When `connected` last changed."""
    timeline: int = 0
    """Grows with each manifest and payload that was sent to this instance (agent-protocol.md, section 3)."""


class ContainerInstance(record.Record, frozen=True, kw_only=True):
    """`status` is the spec (API: register, drain, deregister); `session` is observed."""

    instance_id: str
    """32 hexadecimal digits: the last part of the ARN."""
    cluster: str
    ec2_instance_id: str
    status: InstanceStatus = "ACTIVE"
    status_reason: str | None = None
    registered_at: float
    client_token: str | None = None
    attributes: tuple[Attribute, ...] = ()
    registered_resources: tuple[Resource, ...] = ()
    capacity: InstanceCapacity
    version_info: VersionInfo = VersionInfo()
    tags: tuple[record.Tag, ...] = ()
    availability_zone: str
    subnet: str | None = None
    """The IPv4 subnet from which awsvpc tasks on it get addresses (attribute `roadstead.subnet`)."""
    version: int = 1
    session: AgentSession = AgentSession()
    draining_since: float | None = None
    inactive_at: float | None = None
    """When retention first saw it INACTIVE."""

    @property
    def key(self) -> str:
        return self.instance_id

    @property
    def accepts_tasks(self) -> bool:
        """Only ACTIVE and connected instances accept tasks (behaviour.md 5.10)."""
        return self.status == "ACTIVE" and self.session.connected

    def attribute(self, name: str) -> str | None:
        """The value of an attribute; "" where it has none; None where the instance lacks it."""
        for attribute in self.attributes:
            if attribute.name == name:
                return attribute.value or ""
        return None
