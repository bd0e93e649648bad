"""Why is a task waiting, where it is, or stopped?"""

from __future__ import annotations

from roadstead.api.explain import reasons
from roadstead.model import container_instances, tasks
from roadstead.state import view as views

FAILURE_EXIT_CODES = {
    137: "ended by SIGKILL (after stopTimeout, or by the kernel)",
    139: "crashed with a segmentation fault",
    143: "ended by SIGTERM",
    126: "its command can't be executed",
    127: "its command was not found",
}


def explain(view: views.View, task: tasks.Task, now: float) -> reasons.Answer:
    """The reasons of a task's present state. `now` is used for ages only."""
    status = task.observed.last_status
    if not task.is_live:
        headline, found = _stopped(task, now)
    elif task.desired.status == "STOPPED":
        headline, found = _stopping(task, now)
    elif status == "RUNNING":
        headline, found = _running(view, task, now)
    else:
        headline, found = _waiting(view, task, now)
    return reasons.Answer(
        kind="task", id=task.task_id, cluster=task.cluster, state=status, headline=headline, reasons=tuple(found)
    )


def _needs(task: tasks.Task) -> reasons.Reason:
    needed = task.spec.resources
    text = f"needs {needed.cpu_units:,} CPU units, {needed.memory_mib:,} MiB"
    if needed.host_ports:
        text += ", " + ", ".join(f"port {port.port}/{port.protocol}" for port in needed.host_ports)
    return reasons.Reason(
        code="NEEDS", text=text, counts={"cpuUnits": needed.cpu_units, "memoryMiB": needed.memory_mib}
    )


def _placed(view: views.View, task: tasks.Task) -> list[reasons.Reason]:
    instance_id = task.desired.container_instance
    if instance_id is None:
        return []
    why = task.desired.placement_reason
    text = f"placed on instance {instance_id}"
    counts: dict[str, float] = {}
    if why is not None:
        text += f": {why.fitting} of {why.candidates} fitted, {why.decided_by} decided"
        counts = {"candidates": why.candidates, "fitting": why.fitting}
    return [reasons.Reason(code="PLACED", text=text, counts=counts)]


def _waiting(view: views.View, task: tasks.Task, now: float) -> tuple[str, list[reasons.Reason]]:
    waited = reasons.age(now - task.created_at)
    found = [_needs(task), *_placed(view, task)]
    instance_id = task.desired.container_instance
    if instance_id is None:
        return f"is {task.observed.last_status} for {waited}: no instance has taken it yet", found
    instance = view.get(container_instances.ContainerInstance, instance_id)
    if instance is None or not instance.session.connected:
        found.append(
            reasons.Reason(
                code="AGENT",
                text="the instance's agent is not connected; it gets the task when it is back (see `roadstead status`)",
            )
        )
        return f"is {task.observed.last_status} for {waited}: the agent of its instance is away", found
    if task.observed.pull_started_at is not None and task.observed.pull_stopped_at is None:
        found.append(
            reasons.Reason(
                code="PULLING",
                text=f"images are being pulled for {reasons.age(now - task.observed.pull_started_at)}: "
                + ", ".join(sorted({container.image for container in task.observed.containers})),
            )
        )
        return f"is {task.observed.last_status} for {waited}: its image is being pulled", found
    waits = [container.name for container in task.observed.containers if container.last_status == "PENDING"]
    found.append(
        reasons.Reason(
            code="STARTING",
            text=f"the agent starts it; not yet running: {', '.join(waits)}",
            counts={"containers": len(waits)},
        )
    )
    return f"is {task.observed.last_status} for {waited}: the agent of its instance is starting it", found


def _running(view: views.View, task: tasks.Task, now: float) -> tuple[str, list[reasons.Reason]]:
    since = task.observed.started_at if task.observed.started_at is not None else task.created_at
    found = [_needs(task), *_placed(view, task), *_containers(task)]
    if task.observed.started_at is not None:
        start = task.observed.started_at - task.created_at
        found.append(
            reasons.Reason(
                code="START_TIME", text=f"took {start:.2f} s from request to running", counts={"seconds": start}
            )
        )
    return f"is RUNNING for {reasons.age(now - since)}", found


def _stopping(task: tasks.Task, now: float) -> tuple[str, list[reasons.Reason]]:
    asked = task.desired.stopping_at if task.desired.stopping_at is not None else now
    found = [reasons.Reason(code=task.desired.stop_code or "", text=task.desired.stopped_reason or "asked to stop")]
    return f"is stopping for {reasons.age(now - asked)}", [*found, *_containers(task)]


def _stopped(task: tasks.Task, now: float) -> tuple[str, list[reasons.Reason]]:
    ended = task.observed.stopped_at if task.observed.stopped_at is not None else now
    reason = task.stopped_reason or "no reason was reported"
    found = [reasons.Reason(code=task.stop_code or "", text=reason), *_containers(task)]
    if task.observed.started_at is None:
        found.append(reasons.Reason(code="NEVER_RAN", text="it never reached RUNNING"))
    else:
        ran = ended - task.observed.started_at
        found.append(reasons.Reason(code="RAN", text=f"it ran for {reasons.age(ran)}", counts={"seconds": ran}))
    found.extend(_advice(task))
    return f"STOPPED {reasons.age(now - ended)} ago: {reason}", found


def _containers(task: tasks.Task) -> list[reasons.Reason]:
    found = []
    for container in task.observed.containers:
        text = f"container {container.name} ({container.image}): {container.last_status}"
        counts: dict[str, float] = {}
        if container.exit_code is not None:
            text += f", exit code {container.exit_code}"
            counts["exitCode"] = container.exit_code
            if container.exit_code in FAILURE_EXIT_CODES:
                text += f" ({FAILURE_EXIT_CODES[container.exit_code]})"
        if container.reason:
            text += f": {container.reason}"
        found.append(reasons.Reason(code="CONTAINER", text=text, counts=counts))
    return found


def _advice(task: tasks.Task) -> list[reasons.Reason]:
    said = " ".join([task.stopped_reason or "", *(container.reason or "" for container in task.observed.containers)])
    texts = []
    if "OutOfMemory" in said:
        texts.append("give the container more memory (`memory`), or find what it needs it for")
    if "CannotPull" in said:
        texts.append(
            "see `roadstead image list`; load or pack the image, or check its name and the registry's credentials"
        )
    if task.observed.started_at is not None or "CannotStart" in said:
        texts.append(f"read what it said: roadstead logs {task.task_id}")
    return [reasons.Reason(code="ADVICE", text=text) for text in texts]
