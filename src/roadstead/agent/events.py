"""What the agent's machines are told: outcomes of runtime verbs, exits, messages, time."""

from __future__ import annotations

import msgspec

from roadstead.acs import messages
from roadstead.agent import api, records, runtime


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Root of all events."""


class Admitted(Event, frozen=True, kw_only=True):
    """The instance has room for the task: it may begin."""


class StopWanted(Event, frozen=True, kw_only=True):
    """The control plane wants the task stopped."""


class InterfacesAttached(Event, frozen=True, kw_only=True):
    """The task's interfaces are known; the payload's own are taken from it."""

    message: messages.AttachTaskNetworkInterfacesMessage


class SandboxMade(Event, frozen=True, kw_only=True):
    task_id: str


class SandboxFailed(Event, frozen=True, kw_only=True):
    task_id: str
    name: str
    message: str


class Pulled(Event, frozen=True, kw_only=True):
    container_id: str
    image: runtime.PulledImage


class Created(Event, frozen=True, kw_only=True):
    container_id: str


class Started(Event, frozen=True, kw_only=True):
    container_id: str
    container: runtime.StartedContainer


class VerbFailed(Event, frozen=True, kw_only=True):
    """A pull, create or start failed; `name` is ECS's error name."""

    container_id: str
    name: str
    message: str


class Exited(Event, frozen=True, kw_only=True):
    container_id: str
    exit: runtime.ContainerExit


class HealthChecked(Event, frozen=True, kw_only=True):
    """A health check ended with an exit code; None = it took too long or could not run, as `message` says."""

    container_id: str
    exit_code: int | None
    message: str = ""


class CleanedUp(Event, frozen=True, kw_only=True):
    """The task's containers and sandbox are removed; or not, as `problem` says."""

    task_id: str
    problem: str = ""


class Submitted(Event, frozen=True, kw_only=True):
    """A state change arrived, or was refused for good (then sending it again won't help either)."""

    change: api.TaskStateChange


class Found(Event, frozen=True, kw_only=True):
    """A part of `Adopted`: what the runtime holds of one container, None = nothing."""

    container_id: str
    container: runtime.FoundContainer | None


class Adopted(Event, frozen=True, kw_only=True):
    """After a restart of the agent: what the runtime holds of a task. No verb is on its way any more."""

    sandbox: bool
    containers: tuple[runtime.FoundContainer, ...]


class Tick(Event, frozen=True, kw_only=True):
    """The moment of a `WakeAt` has come."""

    task_arn: str


class MessageReceived(Event, frozen=True, kw_only=True):
    """A message of the control plane on the ACS socket."""

    message: messages.ServerMessage


class Restored(Event, frozen=True, kw_only=True):
    """The agent starts: what it had saved, and what the runtime holds."""

    tasks: tuple[records.TaskState, ...]
    ended: tuple[tuple[str, float], ...]
    """ARN and moment of tasks that are over, so that a late payload doesn't start them anew."""
    timeline: int
    inventory: runtime.Inventory


ContainerEvent = Pulled | Created | Started | VerbFailed | Exited | HealthChecked | Found
TaskEvent = (
    ContainerEvent
    | Admitted
    | StopWanted
    | InterfacesAttached
    | SandboxMade
    | SandboxFailed
    | CleanedUp
    | Submitted
    | Adopted
    | Tick
)
AgentEvent = TaskEvent | MessageReceived | Restored
