"""What a task's agent tells the control plane next: SubmitTaskStateChange (agent-protocol.md 2.3). Pure.

Level-triggered: the next change is what stands here and was not told yet. Rungs are told in order, so that a task that
ran and ended at once is told RUNNING first and STOPPED then; containers are deltas.
"""

from __future__ import annotations

from typing import Literal

from roadstead.agent import api, lifecycle, records


def next_change(state: records.TaskState, cluster: str) -> api.TaskStateChange | None:
    """The next change to send; None where the control plane knows all."""
    if state.sent == "STOPPED" or state.submitting is not None:
        return None
    ran = state.running_at is not None
    deltas = tuple(delta for each in state.containers if (delta := _delta(each, state.status)) is not None)
    status = _status(state, ran, deltas)
    if status is None:
        return None
    return api.TaskStateChange(
        cluster=cluster,
        task=state.task.arn,
        status=status,
        reason=state.reason[: api.REASON_CHARACTERS_MAX],
        containers=deltas,
        pull_started_at=state.pull_started_at,
        pull_stopped_at=state.pull_stopped_at,
        execution_stopped_at=state.execution_stopped_at if status == "STOPPED" else None,
    )


def sent(state: records.TaskState, change: api.TaskStateChange) -> None:
    """Remember that a change was told."""
    state.submitting = None
    if lifecycle.SENT_RANK[change.status] > lifecycle.SENT_RANK[state.sent]:
        state.sent = change.status
    told = {each.container_name: each.status for each in change.containers}
    for container in state.containers:
        status = told.get(container.name)
        if status is not None and lifecycle.SENT_RANK[status] > lifecycle.SENT_RANK[container.sent]:
            container.sent = status


def _status(
    state: records.TaskState, ran: bool, deltas: tuple[api.ContainerStateChange, ...]
) -> Literal["PENDING", "RUNNING", "STOPPED"] | None:
    if ran and lifecycle.SENT_RANK[state.sent] < lifecycle.SENT_RANK["RUNNING"]:
        return "RUNNING"
    unsent_starts = any(each.status == "RUNNING" for each in deltas)
    if state.status == "CLEANED" and not unsent_starts:
        return "STOPPED"
    if deltas:
        return "RUNNING" if ran else "PENDING"
    return None


def _delta(container: records.ContainerState, task: lifecycle.TaskStatus) -> api.ContainerStateChange | None:
    """The container's next rung that was not told.

    One that never ran is told STOPPED with its reason or its task; while a task cleans up, ends wait for its own.
    """
    if container.started_at is not None and container.sent == "NONE":
        return _change(container, "RUNNING")
    if container.status != "STOPPED" or container.sent == "STOPPED" or task == "ENDED":
        return None
    if task == "CLEANED" or container.started_at is not None or container.reason:
        return _change(container, "STOPPED")
    return None


def _change(container: records.ContainerState, status: Literal["RUNNING", "STOPPED"]) -> api.ContainerStateChange:
    stopped = status == "STOPPED"
    return api.ContainerStateChange(
        container_name=container.name,
        status=status,
        runtime_id=container.container_id if container.created else "",
        exit_code=container.exit_code if stopped else None,
        reason=container.reason if stopped else "",
        image_digest=container.image_digest,
        network_bindings=tuple(
            api.NetworkBinding(
                bind_ip=each.bind_ip,
                container_port=each.container_port,
                host_port=each.host_port,
                protocol=each.protocol,
            )
            for each in container.bindings
        ),
    )
