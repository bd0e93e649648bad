"""`ps`: tasks, and why they wait or stopped. Also how verbs find a task by a part of its id."""

from __future__ import annotations

import time
from typing import Any

import rich.text

from roadstead.cli import context, failures, output

DESCRIBED_AT_ONCE = 100
"""DescribeTasks takes at most this many (docs: API_DescribeTasks)."""
SHORT_ID_DIGITS_MIN = 6
SEVERITY = {"STOPPED": 0, "DEPROVISIONING": 1, "STOPPING": 1, "DEACTIVATING": 1, "RUNNING": 3}


def described(on: context.Context, cluster: str, stopped: bool = False, **filters: str | None) -> list[dict[str, Any]]:
    """DescribeTasks of all tasks of a cluster that pass ListTasks' filters; with `stopped` the stopped ones as well."""
    found: list[dict[str, Any]] = []
    for wanted in ("RUNNING", "STOPPED"):
        if wanted == "STOPPED" and not stopped:
            # tasks that were asked to stop but have not ended yet still matter
            continue
        arns = list(on.client.pages("ecs", "ListTasks", "taskArns", cluster=cluster, desiredStatus=wanted, **filters))
        for start in range(0, len(arns), DESCRIBED_AT_ONCE):
            answer = on.ecs("DescribeTasks", cluster=cluster, tasks=arns[start : start + DESCRIBED_AT_ONCE])
            found.extend(answer["tasks"])
    return found


def task_id(task: dict[str, Any]) -> str:
    return str(task["taskArn"]).rsplit("/", 1)[-1]


def short_ids(ids: list[str]) -> dict[str, str]:
    """For each id its shortest beginning (six digits or more) that no other of them has."""
    digits = SHORT_ID_DIGITS_MIN
    while digits < 32 and len({one[:digits] for one in ids}) < len(set(ids)):
        digits += 1
    return {one: one[:digits] for one in ids}


def find(on: context.Context, cluster: str, beginning: str) -> dict[str, Any]:
    """The task whose id begins so (an ARN will do too). Raises Failure where none or several do."""
    wanted = beginning.rsplit("/", 1)[-1]
    if len(wanted) == 32:
        answer = on.ecs("DescribeTasks", cluster=cluster, tasks=[wanted])
        matches = answer["tasks"]
    else:
        matches = [task for task in described(on, cluster, stopped=True) if task_id(task).startswith(wanted)]
    if not matches:
        raise failures.Failure(
            f"no task of cluster {cluster} has an id that begins with {wanted}", "See: roadstead ps -a"
        )
    if len(matches) > 1:
        ids = ", ".join(sorted(task_id(task) for task in matches))
        raise failures.Failure(f"{len(matches)} tasks begin with {wanted}: {ids}", "Give more digits.", failures.USAGE)
    found: dict[str, Any] = matches[0]
    return found


def owner(task: dict[str, Any]) -> str:
    """`web:7`: the service (or, for a standalone task, its family) and the revision."""
    group = str(task.get("group", ""))
    family, _, revision = str(task["taskDefinitionArn"]).rsplit("/", 1)[-1].rpartition(":")
    name = group.removeprefix("service:") if group.startswith("service:") else family
    return f"{name}:{revision}"


def where(task: dict[str, Any]) -> str:
    """Where the task runs; for one that waits or stopped, why."""
    status = task["lastStatus"]
    if status == "STOPPED":
        reasons = [container["reason"] for container in task.get("containers", []) if container.get("reason")]
        codes = [f"exit {container['exitCode']}" for container in task.get("containers", []) if "exitCode" in container]
        said = reasons[0] if reasons else str(task.get("stoppedReason", ""))
        return ", ".join([said, *codes[:1]]) if said else ", ".join(codes[:1])
    instance = str(task.get("containerInstanceArn", "")).rsplit("/", 1)[-1][:8]
    if not instance:
        return "no instance yet"
    return " ".join([f"i-{instance}", *addresses(task)])


def addresses(task: dict[str, Any]) -> list[str]:
    """Where the task's ports can be reached: `10.64.0.5` in awsvpc mode, `:32768→80` for published ports."""
    found = []
    for attachment in task.get("attachments", []):
        for detail in attachment.get("details", []):
            if detail["name"] == "privateIPv4Address":
                found.append(str(detail["value"]))
    for container in task.get("containers", []):
        for binding in container.get("networkBindings", []):
            found.append(f":{binding['hostPort']}→{binding['containerPort']}")
    return found


def show(on: context.Context, cluster: str, service: str | None, stopped: bool, ids_only: bool) -> None:
    """Print the tasks: worst first, then newest first."""
    found = described(on, cluster, stopped, **({"serviceName": service} if service else {}))
    found.sort(key=lambda task: (SEVERITY.get(task["lastStatus"], 2), -float(task.get("createdAt", 0))))
    if on.out.as_json:
        on.out.json(found)
        return
    if ids_only:
        for task in found:
            on.out.line(task_id(task))
        return
    usage = on.client.local("usage", cluster=cluster).get("tasks", {})
    short = short_ids([task_id(task) for task in found])
    table = on.out.table(
        *("TASK", "SERVICE", "STATUS", "HEALTH", "CPU", "MEMORY", "WHERE", "AGE"),
        right=("CPU", "MEMORY", "AGE"),
        prose=("WHERE",),
        drop=("HEALTH", "MEMORY", "CPU", "AGE"),
    )
    now = time.time()
    for task in found:
        used = usage.get(task_id(task), {}) if task["lastStatus"] == "RUNNING" else {}
        health = str(task.get("healthStatus", "UNKNOWN"))
        table.add_row(
            short[task_id(task)],
            owner(task),
            on.out.state(task["lastStatus"]),
            "" if health == "UNKNOWN" else health.lower(),
            f"{used['cpuPercent']:.0f} %" if "cpuPercent" in used else "",
            f"{used['memoryMiB']:.0f} MiB" if "memoryMiB" in used else "",
            rich.text.Text(where(task)),
            output.age(now - float(task.get("stoppedAt", task.get("createdAt", now)))),
        )
    services = {task["group"] for task in found if str(task.get("group", "")).startswith("service:")}
    on.out.line(f"cluster {cluster}, {output.count(len(services), 'service')}, {output.count(len(found), 'task')}")
    if found:
        on.out.show(table)
    hint = "roadstead explain task ID   why it waits or stopped" + ("" if stopped else "   ·   -a stopped tasks too")
    on.out.remark("\n" + hint if found else hint.split("·")[-1].strip())
