"""What the agent's machines ask of their shell. Outcomes come back as `events`."""

from __future__ import annotations

import msgspec

from roadstead.acs import messages
from roadstead.agent import api, runtime


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """Root of all instructions."""


class CreateSandbox(Instruction, frozen=True, kw_only=True):
    """→ SandboxMade or SandboxFailed."""

    spec: runtime.SandboxSpec


class Pull(Instruction, frozen=True, kw_only=True):
    """→ Pulled or VerbFailed."""

    container_id: str
    image: str


class Create(Instruction, frozen=True, kw_only=True):
    """→ Created or VerbFailed. `directories` are made first where they don't exist."""

    spec: runtime.ContainerSpec
    directories: tuple[str, ...] = ()


class Start(Instruction, frozen=True, kw_only=True):
    """→ Started or VerbFailed."""

    container_id: str


class Signal(Instruction, frozen=True, kw_only=True):
    """No outcome but, in time, Exited."""

    container_id: str
    signal: int


class CheckHealth(Instruction, frozen=True, kw_only=True):
    """Run a command in the container → HealthChecked."""

    container_id: str
    command: tuple[str, ...]
    timeout_seconds: float


class CleanUp(Instruction, frozen=True, kw_only=True):
    """Remove containers, then the sandbox, then directories → CleanedUp."""

    task_id: str
    container_ids: tuple[str, ...]
    directories: tuple[str, ...] = ()


class Submit(Instruction, frozen=True, kw_only=True):
    """Send a task's state change until it arrives → Submitted. A task never has two on their way."""

    change: api.TaskStateChange


class SubmitAttachments(Instruction, frozen=True, kw_only=True):
    """Send until it arrives; no outcome."""

    changes: api.AttachmentStateChanges


class Send(Instruction, frozen=True, kw_only=True):
    """A message on the ACS socket; lost where there is none (the control plane will ask again)."""

    message: messages.AgentMessage


class WakeAt(Instruction, frozen=True, kw_only=True):
    """→ Tick for this task, not before `at` (epoch seconds). A later WakeAt of the task takes this one's place."""

    task_arn: str
    at: float


TaskInstruction = (
    CreateSandbox | Pull | Create | Start | Signal | CheckHealth | CleanUp | Submit | SubmitAttachments | WakeAt
)
AnyInstruction = TaskInstruction | Send
