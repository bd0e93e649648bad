"""What container agents call: DiscoverPollEndpoint and Submit*StateChange (agent-protocol.md 2).

Reports are merged into the tasks' records by `control.observation`: they may be repeated, partial and late.
"""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from roadstead.api import operation
from roadstead.api.ecs import common, names
from roadstead.base import arn
from roadstead.control import observation
from roadstead.model import lifecycle, tables, task_definitions, tasks
from roadstead.state import plan
from roadstead.state import view as views

ACKNOWLEDGED = {"acknowledgment": "ACK"}
_BINDING_ACCEPTS = ("bindIP", "containerPort", "hostPort", "protocol")
_TASK_STATUSES = ("PENDING", "RUNNING", "STOPPED")
_ATTACHED = "ATTACHED"


def discover_poll_endpoint(call: operation.Call, view: views.View) -> operation.Reply:
    """Where the agent's websockets are: under the address by which it reached us. Agents keep the answer for 12 h."""
    common.cluster_name(view, call.params.cluster)
    return operation.Reply(output={"endpoint": f"{call.endpoint}/acs", "telemetryEndpoint": f"{call.endpoint}/tcs"})


def submit_task_state_change(call: operation.Call, view: views.View) -> operation.Reply:
    """SubmitTaskStateChange: a task's status, and those of its containers that changed."""
    params = call.params
    task = _reported_task(view, params.cluster, params.task)
    report = observation.TaskReport(
        status=_task_status(params.status),
        reason=params.reason or None,
        containers=tuple(_container_report(one, one.containerName, one.imageDigest) for one in params.containers or ()),
        pull_started_at=params.pullStartedAt,
        pull_stopped_at=params.pullStoppedAt,
        execution_stopped_at=params.executionStoppedAt,
        interface_attached=any(_is_attached(one) for one in params.attachments or ()),
    )
    return _observed(call, view, task, report)


def submit_container_state_change(call: operation.Call, view: views.View) -> operation.Reply:
    """SubmitContainerStateChange: one container's status, from old agents."""
    params = call.params
    task = _reported_task(view, params.cluster, params.task)
    report = observation.TaskReport(containers=(_container_report(params, params.containerName, None),))
    return _observed(call, view, task, report)


def submit_attachment_state_changes(call: operation.Call, view: views.View) -> operation.Reply:
    """SubmitAttachmentStateChanges: network interfaces that the agent has found."""
    draft = plan.Draft(view)
    cluster = common.cluster_name(view, call.params.cluster)
    for change in call.params.attachments:
        attachment_id = arn.resource_path(change.attachmentArn)[-1]
        task = view.first(tables.TASKS, "attachment", attachment_id)
        if task is None or task.cluster != cluster:
            raise common.invalid(f"The referenced attachment was not found: {change.attachmentArn}")
        if _is_attached(change):
            report = observation.TaskReport(interface_attached=True)
            draft.put(observation.observe(task, None, report, call.now))
    return operation.Reply(output=ACKNOWLEDGED, plan=draft.plan())


def _observed(
    call: operation.Call, view: views.View, task: tasks.Task, report: observation.TaskReport
) -> operation.Reply:
    definition = view.get(task_definitions.TaskDefinition, task.spec.task_definition)
    draft = plan.Draft(view)
    draft.put(observation.observe(task, definition, report, call.now))
    return operation.Reply(output=ACKNOWLEDGED, plan=draft.plan())


def _reported_task(view: views.View, cluster: str | None, text: str | None) -> tasks.Task:
    if not text:
        raise common.invalid("Task can not be blank.")
    task_id = names.id_in_cluster(view.scope, "task", common.cluster_name(view, cluster), text)
    task = view.get(tasks.Task, task_id) if task_id is not None else None
    if task is None:
        # An agent drops a report that is refused so, instead of repeating it for ever.
        raise common.invalid("The referenced task was not found.")
    return task


def _task_status(text: str | None) -> lifecycle.TaskStatus | None:
    if not text:
        return None
    if text not in _TASK_STATUSES:
        raise common.invalid(f"Invalid task status: {text}. An agent reports {', '.join(_TASK_STATUSES)}.")
    status: lifecycle.TaskStatus = msgspec.convert(text, lifecycle.TaskStatus)
    return status


def _container_report(change: Any, name: str | None, digest: str | None) -> observation.ContainerReport:
    """The report in a ContainerStateChange or a SubmitContainerStateChange, which share their members."""
    if not name:
        raise common.invalid("Container name can not be blank.")
    if change.status and change.status not in get_args(lifecycle.ContainerStatus):
        raise common.invalid(f"Invalid container status: {change.status}.")
    return observation.ContainerReport(
        name=name,
        status=change.status or None,
        runtime_id=change.runtimeId or None,
        image_digest=digest or None,
        exit_code=change.exitCode,
        reason=change.reason or None,
        network_bindings=tuple(
            tasks.NetworkBinding(
                bind_ip=one.bindIP or "0.0.0.0",
                container_port=one.containerPort or 0,
                host_port=one.hostPort or 0,
                protocol=one.protocol or "tcp",
            )
            for one in change.networkBindings or ()
        ),
    )


def _is_attached(change: Any) -> bool:
    if change.status != _ATTACHED:
        raise common.invalid(f"Invalid attachment status: {change.status}. An agent reports {_ATTACHED}.")
    return True


OPERATIONS: tuple[operation.Operation, ...] = (
    operation.Operation(
        service="ecs",
        name="DiscoverPollEndpoint",
        decide=discover_poll_endpoint,
        accepts=frozenset({"containerInstance", "cluster"}),
        note="The same endpoints for every instance.",
    ),
    operation.Operation(
        service="ecs",
        name="SubmitTaskStateChange",
        decide=submit_task_state_change,
        accepts=frozenset(
            {
                *("cluster", "task", "status", "reason", "pullStartedAt", "pullStoppedAt", "executionStoppedAt"),
                *("attachments.attachmentArn", "attachments.status"),
                *("containers.containerName", "containers.imageDigest", "containers.runtimeId"),
                *("containers.exitCode", "containers.reason", "containers.status"),
                *(f"containers.networkBindings.{member}" for member in _BINDING_ACCEPTS),
            }
        ),
    ),
    operation.Operation(
        service="ecs",
        name="SubmitContainerStateChange",
        decide=submit_container_state_change,
        accepts=frozenset(
            {
                *("cluster", "task", "containerName", "runtimeId", "status", "exitCode", "reason"),
                *(f"networkBindings.{member}" for member in _BINDING_ACCEPTS),
            }
        ),
    ),
    operation.Operation(
        service="ecs",
        name="SubmitAttachmentStateChanges",
        decide=submit_attachment_state_changes,
        accepts=frozenset({"cluster", "attachments"}),
    ),
)
