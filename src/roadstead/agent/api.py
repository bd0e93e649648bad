"""The ECS API calls that an agent makes: their requests and replies (agent-protocol.md 2). AWS JSON 1.1."""

from __future__ import annotations

from typing import Literal

import msgspec

from roadstead.acs import values

SERVICE = "ecs"
TARGET_PREFIX = "AmazonEC2ContainerServiceV20141113"
REASON_CHARACTERS_MAX = 1024


class Attribute(values.WireValue, frozen=True, kw_only=True):
    name: str
    value: str | None = None


class Resource(values.WireValue, frozen=True, kw_only=True):
    """CPU in units, MEMORY in MiB (INTEGER); PORTS and PORTS_UDP as decimal texts (STRINGSET)."""

    name: str
    type: Literal["INTEGER", "STRINGSET"]
    integer_value: int | None = None
    string_set_value: tuple[str, ...] | None = None


class RegisterContainerInstance(values.WireValue, frozen=True, kw_only=True):
    cluster: str
    client_token: str = ""
    container_instance_arn: str = ""
    """Given to register again under the kept ARN."""
    attributes: tuple[Attribute, ...] = ()
    total_resources: tuple[Resource, ...] = ()
    version_info: dict[str, str] = msgspec.field(default_factory=dict)


class ContainerInstance(values.WireValue, frozen=True, kw_only=True):
    container_instance_arn: str
    ec2_instance_id: str = ""
    status: str = ""
    attributes: tuple[Attribute, ...] = ()


class RegisterContainerInstanceReply(values.WireValue, frozen=True, kw_only=True):
    container_instance: ContainerInstance


class DiscoverPollEndpoint(values.WireValue, frozen=True, kw_only=True):
    container_instance: str
    cluster: str
    zone_id: str = ""


class DiscoverPollEndpointReply(values.WireValue, frozen=True, kw_only=True):
    endpoint: str
    telemetry_endpoint: str


class NetworkBinding(values.WireValue, frozen=True, kw_only=True):
    bind_ip: str = msgspec.field(name="bindIP")
    container_port: int
    host_port: int
    protocol: Literal["tcp", "udp"]


class ContainerStateChange(values.WireValue, frozen=True, kw_only=True):
    container_name: str
    status: Literal["RUNNING", "STOPPED"]
    runtime_id: str = ""
    exit_code: int | None = None
    reason: str = ""
    image_digest: str = ""
    network_bindings: tuple[NetworkBinding, ...] = ()


class AttachmentStateChange(values.WireValue, frozen=True, kw_only=True):
    attachment_arn: str
    status: Literal["ATTACHED"]


class TaskStateChange(values.WireValue, frozen=True, kw_only=True):
    """SubmitTaskStateChange. Containers are deltas: those changed since the last one. Moments in epoch seconds."""

    cluster: str
    task: str
    status: Literal["PENDING", "RUNNING", "STOPPED"]
    reason: str = ""
    containers: tuple[ContainerStateChange, ...] = ()
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    execution_stopped_at: float | None = None


class AttachmentStateChanges(values.WireValue, frozen=True, kw_only=True):
    """SubmitAttachmentStateChanges."""

    cluster: str
    attachments: tuple[AttachmentStateChange, ...]


OPERATIONS: dict[type, str] = {
    RegisterContainerInstance: "RegisterContainerInstance",
    DiscoverPollEndpoint: "DiscoverPollEndpoint",
    TaskStateChange: "SubmitTaskStateChange",
    AttachmentStateChanges: "SubmitAttachmentStateChanges",
}
