"""What the agent remembers of a task, and saves: all that a restarted agent can't ask the runtime for."""

from __future__ import annotations

import hashlib

import msgspec

from roadstead.acs import tasks as acs_tasks
from roadstead.acs import telemetry
from roadstead.agent import api, lifecycle, runtime

CONTAINER_ID_DIGITS = 32


class HealthState(msgspec.Struct, kw_only=True):
    """Where a container's health check stands. Moments in epoch seconds."""

    status: telemetry.HealthStatus = "UNKNOWN"
    since: float = 0.0
    message: str = ""
    failures: int = 0
    """In a row, the grace of the start period excepted."""
    grace_over: bool = False
    """A success ends the start period early."""
    next_check_at: float | None = None
    checking: bool = False


class ContainerState(msgspec.Struct, kw_only=True):
    """One container's life. `sent` is what the control plane was told; `verb` is awaited from the runtime."""

    name: str
    container_id: str
    status: lifecycle.ContainerStatus = "NONE"
    verb: lifecycle.Verb | None = None
    sent: lifecycle.SentStatus = "NONE"
    created: bool = False
    """The runtime may hold something of it that must be removed."""
    remake: bool = False
    """It was made but not started, and the runtime no longer holds it: to be made again."""
    image_digest: str = ""
    stop_signal: int = 15
    started_at: float | None = None
    """First start."""
    last_started_at: float | None = None
    restart_count: int = 0
    exit_code: int | None = None
    finished_at: float | None = None
    reason: str = ""
    bindings: tuple[runtime.PortBinding, ...] = ()
    early_exit: runtime.ContainerExit | None = None
    """An exit that was told before the outcome of the start."""
    kill_at: float | None = None
    """Set once the stop signal was sent: when SIGKILL is due."""
    kills: int = 0
    health: HealthState = msgspec.field(default_factory=HealthState)


class TaskState(msgspec.Struct, kw_only=True):
    """One task's life, from the payload that brought it. Moments in epoch seconds."""

    task: acs_tasks.Task
    desired: acs_tasks.DesiredStatus = "RUNNING"
    received_at: float = 0.0
    status: lifecycle.TaskStatus = "NONE"
    sent: lifecycle.SentStatus = "NONE"
    submitting: api.TaskStateChange | None = None
    """On its way; the outcome is awaited."""
    attachments_sent: bool = False
    containers: list[ContainerState] = msgspec.field(default_factory=list)
    interfaces: tuple[acs_tasks.ElasticNetworkInterface, ...] = ()
    sandbox: lifecycle.SandboxStatus = "NONE"
    sandbox_asked: bool = False
    """The runtime may hold something of it that must be removed, also where an agent was killed while it was made."""
    running_at: float | None = None
    """When all essential containers had been started."""
    stopping: bool = False
    reason: str = ""
    """Why the task as a whole can't run; empty where a container's own reason says it."""
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    execution_stopped_at: float | None = None
    cleaning: bool = False
    cleanup_at: float | None = None
    """When a failed clean-up is tried again."""
    cleanup_attempts: int = 0

    @property
    def task_id(self) -> str:
        return task_id_of(self.task.arn)


def task_id_of(task_arn: str) -> str:
    """The last part of a task's ARN: what the runtime calls the task."""
    return task_arn.rpartition("/")[2]


def container_id_of(task_arn: str, name: str) -> str:
    """A container's id, always the same: an agent killed between making and saving finds it again."""
    return hashlib.sha256(f"{task_arn}\n{name}".encode()).hexdigest()[:CONTAINER_ID_DIGITS]


def new_task(task: acs_tasks.Task, now: float) -> TaskState:
    """The first state of a task as it was received."""
    return TaskState(
        task=task,
        desired=task.desired_status,
        received_at=now,
        interfaces=task.elastic_network_interfaces,
        containers=[
            ContainerState(name=each.name, container_id=container_id_of(task.arn, each.name))
            for each in task.containers
        ],
    )
