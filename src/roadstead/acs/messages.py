"""The messages of the ACS websocket, both directions (agent-protocol.md 3). The frame's `type` is the class's name."""

from __future__ import annotations

from roadstead.acs import tasks, values


class HeartbeatMessage(values.WireValue, frozen=True, kw_only=True):
    """Server → agent, on ACS and on TCS (there without `messageId`)."""

    message_id: str = ""
    healthy: bool = False


class PayloadMessage(values.WireValue, frozen=True, kw_only=True):
    """Server → agent: tasks to run or to stop. `generated_at` in milliseconds since the epoch."""

    message_id: str
    cluster_arn: str
    container_instance_arn: str
    generated_at: int = 0
    seq_num: int = 0
    tasks: tuple[tasks.Task, ...] = ()


class IAMRoleCredentialsMessage(values.WireValue, frozen=True, kw_only=True):
    """Server → agent: new keys for a task."""

    message_id: str
    task_arn: str
    role_credentials: tasks.RoleCredentials
    task_cluster_arn: str = ""
    role_type: tasks.RoleType = "TaskApplication"


class TaskManifestMessage(values.WireValue, frozen=True, kw_only=True):
    """Server → agent: the full list of what shall run. `timeline` strictly grows for an instance."""

    message_id: str
    cluster_arn: str
    container_instance_arn: str
    generated_at: int = 0
    tasks: tuple[tasks.TaskIdentifier, ...] = ()
    timeline: int = 0


class TaskStopVerificationAck(values.WireValue, frozen=True, kw_only=True):
    """Server → agent: these of the candidates shall really stop. `message_id` is the manifest's."""

    message_id: str
    generated_at: int = 0
    stop_tasks: tuple[tasks.TaskIdentifier, ...] = ()


class AttachTaskNetworkInterfacesMessage(values.WireValue, frozen=True, kw_only=True):
    """Server → agent: interfaces for an awsvpc task."""

    message_id: str
    cluster_arn: str
    container_instance_arn: str
    task_arn: str
    generated_at: int = 0
    task_cluster_arn: str = ""
    wait_timeout_ms: int = 0
    elastic_network_interfaces: tuple[tasks.ElasticNetworkInterface, ...] = ()


class AttachInstanceNetworkInterfacesMessage(values.WireValue, frozen=True, kw_only=True):
    """Server → agent: interfaces for the instance itself."""

    message_id: str
    cluster_arn: str
    container_instance_arn: str
    generated_at: int = 0
    wait_timeout_ms: int = 0
    elastic_network_interfaces: tuple[tasks.ElasticNetworkInterface, ...] = ()


class ConfirmAttachmentMessage(values.WireValue, frozen=True, kw_only=True):
    """Server → agent: a volume attachment to watch for."""

    message_id: str
    cluster_arn: str
    container_instance_arn: str
    attachment: tasks.Attachment
    task_arn: str = ""
    task_cluster_arn: str = ""
    generated_at: int = 0
    wait_timeout_ms: int = 0


class UpdateInfo(values.WireValue, frozen=True, kw_only=True):
    location: str = ""
    signature: str = ""


class StageUpdateMessage(values.WireValue, frozen=True, kw_only=True):
    """Server → agent: fetch a new agent."""

    message_id: str
    cluster_arn: str = ""
    container_instance_arn: str = ""
    update_info: UpdateInfo | None = None


class PerformUpdateMessage(values.WireValue, frozen=True, kw_only=True):
    """Server → agent: become the staged agent."""

    message_id: str
    cluster_arn: str = ""
    container_instance_arn: str = ""
    update_info: UpdateInfo | None = None


class CloseMessage(values.WireValue, frozen=True, kw_only=True):
    """Server → agent: the connection is about to close."""

    message: str = ""


class ErrorMessage(values.WireValue, frozen=True, kw_only=True):
    """Either way: the last frame was not understood."""

    message: str = ""


class AckRequest(values.WireValue, frozen=True, kw_only=True):
    """Agent → server: payload, manifest or attachment accepted and saved."""

    cluster: str
    container_instance: str
    message_id: str


class NackRequest(values.WireValue, frozen=True, kw_only=True):
    """Agent → server: refused, with a reason."""

    cluster: str
    container_instance: str
    message_id: str
    reason: str = ""


class HeartbeatAckRequest(values.WireValue, frozen=True, kw_only=True):
    """Agent → server."""

    message_id: str


class IAMRoleCredentialsAckRequest(values.WireValue, frozen=True, kw_only=True):
    """Agent → server: one for each credential of a payload or message."""

    message_id: str
    credentials_id: str
    expiration: str = ""


class TaskStopVerificationMessage(values.WireValue, frozen=True, kw_only=True):
    """Agent → server: these run here but are not in the manifest. `message_id` is the manifest's."""

    message_id: str
    stop_candidates: tuple[tasks.TaskIdentifier, ...] = ()


ServerMessage = (
    HeartbeatMessage
    | PayloadMessage
    | IAMRoleCredentialsMessage
    | TaskManifestMessage
    | TaskStopVerificationAck
    | AttachTaskNetworkInterfacesMessage
    | AttachInstanceNetworkInterfacesMessage
    | ConfirmAttachmentMessage
    | StageUpdateMessage
    | PerformUpdateMessage
    | CloseMessage
    | ErrorMessage
)
AgentMessage = (
    AckRequest
    | NackRequest
    | HeartbeatAckRequest
    | IAMRoleCredentialsAckRequest
    | TaskStopVerificationMessage
    | ErrorMessage
)
