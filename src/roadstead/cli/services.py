"""`service ls` and `service status`: counts, the metric against its target, scaling decisions, deployments."""

from __future__ import annotations

import datetime
import re
import time
from typing import Any

import rich.text

from roadstead.cli import context, failures, output
from roadstead.cli import scaling as scaling_words

COLUMNS_SHOWN = 16
"""Minutes of history in the sparklines."""
ACTIVITIES_SHOWN_MAX = 5
EVENTS_SHOWN_MAX = 3
OWN_ALARM = re.compile(r"TargetTracking-\S+-(Alarm(?:High|Low))-[0-9a-f-]{36}")
METRICS = {
    "ECSServiceAverageCPUUtilization": ("CPUUtilization", "CPU"),
    "ECSServiceAverageCPUUtilizationHighResolution": ("CPUUtilization", "CPU"),
    "ECSServiceAverageMemoryUtilization": ("MemoryUtilization", "memory"),
    "ECSServiceAverageMemoryUtilizationHighResolution": ("MemoryUtilization", "memory"),
}


def mood(service: dict[str, Any]) -> str:
    """One word: `steady`, `changing`, `failing`, or the service's status where it is not ACTIVE."""
    if service["status"] != "ACTIVE":
        return str(service["status"])
    deployments = service["deployments"]
    if any(deployment.get("rolloutState") == "FAILED" for deployment in deployments):
        return "failing"
    if deployments and deployments[0].get("failedTasks") and service["runningCount"] < service["desiredCount"]:
        return "failing"
    same = service["runningCount"] == service["desiredCount"] and not service["pendingCount"]
    return "steady" if same and len(deployments) == 1 else "changing"


def listed(on: context.Context, cluster: str) -> list[dict[str, Any]]:
    """DescribeServices of all services of a cluster."""
    arns = list(on.client.pages("ecs", "ListServices", "serviceArns", cluster=cluster))
    found: list[dict[str, Any]] = []
    for start in range(0, len(arns), 10):
        found.extend(on.ecs("DescribeServices", cluster=cluster, services=arns[start : start + 10])["services"])
    return found


def show_list(on: context.Context, cluster: str) -> None:
    """Print a line for each service, worst first."""
    order = {"failing": 0, "changing": 1, "DRAINING": 1, "steady": 2}
    found = sorted(listed(on, cluster), key=lambda one: (order.get(mood(one), 3), one["serviceName"]))
    if on.out.as_json:
        on.out.json(found)
        return
    table = on.out.table(
        *("NAME", "STATE", "DESIRED", "RUNNING", "PENDING", "REVISION", "LAST EVENT"),
        right=("DESIRED", "RUNNING", "PENDING"),
        prose=("LAST EVENT",),
        drop=("REVISION", "PENDING", "LAST EVENT"),
    )
    for service in found:
        events = service.get("events", [])
        table.add_row(
            service["serviceName"],
            on.out.state(mood(service)),
            str(service["desiredCount"]),
            str(service["runningCount"]),
            str(service["pendingCount"]),
            str(service["taskDefinition"]).rsplit("/", 1)[-1],
            rich.text.Text(events[0]["message"].partition(") ")[2] if events else ""),
        )
    on.out.line(f"cluster {cluster}, {output.count(len(found), 'service')}")
    if found:
        on.out.show(table)


def described(on: context.Context, cluster: str, name: str) -> dict[str, Any]:
    """DescribeServices of one service. Raises Failure where there is none of that name."""
    answer = on.ecs("DescribeServices", cluster=cluster, services=[name])
    if not answer["services"]:
        raise failures.Failure(f"cluster {cluster} has no service {name}", "See: roadstead service ls")
    found: dict[str, Any] = answer["services"][0]
    return found


def scaling_of(on: context.Context, cluster: str, name: str) -> dict[str, Any]:
    """Scalable target, policies, alarms (by name), scheduled actions and newest activities of a service."""
    return scaling_words.read(on.client, cluster, name)


def metric_history(
    on: context.Context, cluster: str, name: str, metric: str, period_seconds: int = 60, columns: int = COLUMNS_SHOWN
) -> list[float | None]:
    """The service's average of a utilization metric, one value a period, oldest first; None where there are no data."""
    end = int(time.time()) // period_seconds * period_seconds + period_seconds
    start = end - columns * period_seconds
    answer = on.client.call(
        "cloudwatch",
        "GetMetricStatistics",
        Namespace="AWS/ECS",
        MetricName=metric,
        Dimensions=[{"Name": "ClusterName", "Value": cluster}, {"Name": "ServiceName", "Value": name}],
        StartTime=start,
        EndTime=end,
        Period=period_seconds,
        Statistics=["Average"],
    )
    values = {int(point["Timestamp"]): float(point["Average"]) for point in answer.get("Datapoints", [])}
    return [values.get(at) for at in range(start, end, period_seconds)]


def show_status(on: context.Context, cluster: str, name: str) -> None:
    """Print everything about one service that one wants to see at once."""
    service = described(on, cluster, name)
    scaling = scaling_of(on, cluster, name)
    if on.out.as_json:
        on.out.json({"service": service, **scaling})
        return
    target = scaling["target"]
    bounds = f"   min {target['MinCapacity']}, max {target['MaxCapacity']}" if target else ""
    revision = str(service["taskDefinition"]).rsplit("/", 1)[-1]
    headline = rich.text.Text.assemble(name, "  ", on.out.state(mood(service)))
    headline.append(
        f"   desired {service['desiredCount']}  running {service['runningCount']}  pending {service['pendingCount']}"
        f"{bounds}, {revision}, rolling"
    )
    on.out.line(headline)
    on.out.line()
    _show_metrics(on, cluster, name, scaling)
    if target:
        _show_scaling(on, scaling)
    _show_deployments(on, service)
    for event in service.get("events", [])[:EVENTS_SHOWN_MAX]:
        on.out.line(f"{clock(event['createdAt'])}  {event['message']}")


def _show_metrics(on: context.Context, cluster: str, name: str, scaling: dict[str, Any]) -> None:
    targets: dict[str, float] = {}
    for policy in scaling["policies"]:
        configuration = policy.get("TargetTrackingScalingPolicyConfiguration", {})
        predefined = configuration.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType", "")
        if predefined in METRICS:
            targets[METRICS[predefined][0]] = float(configuration["TargetValue"])
    for metric, label in (("CPUUtilization", "CPU"), ("MemoryUtilization", "memory")):
        history = metric_history(on, cluster, name, metric)
        newest = next((value for value in reversed(history) if value is not None), None)
        goal = targets.get(metric)
        if newest is None:
            on.out.line(f"{label:8} no data in the last {COLUMNS_SHOWN} minutes")
            continue
        top = max(100.0, *(value for value in history if value is not None))
        against = f"   target {goal:g} %, scale in below {goal * 0.9:g} %" if goal is not None else ""
        on.out.line(f"{label:8} {on.out.bars(history, top)}  {newest:.1f} %{against}")
    on.out.line(f"         last {COLUMNS_SHOWN} minutes, one column a minute")
    on.out.line()


def _show_scaling(on: context.Context, scaling: dict[str, Any]) -> None:
    for line in scaling_words.lines(scaling):
        on.out.line(line)
    if scaling["activities"]:
        on.out.line()
        table = on.out.table("TIME", "CHANGE", "WHY", prose=("CHANGE", "WHY"))
        for activity in scaling["activities"][:ACTIVITIES_SHOWN_MAX]:
            table.add_row(clock(activity["StartTime"]), change(activity), rich.text.Text(cause(activity)))
        on.out.show(table)
    on.out.line()


def cause(activity: dict[str, Any]) -> str:
    """An activity's cause, with the long names of target tracking's own alarms cut to `AlarmHigh` and `AlarmLow`."""
    return OWN_ALARM.sub(r"\1", str(activity["Cause"]))


def change(activity: dict[str, Any]) -> str:
    """What an activity did, in few words."""
    reasons = activity.get("NotScaledReasons", [])
    if reasons:
        return "not scaled: " + ", ".join(reason["Code"] for reason in reasons)
    return str(activity["Description"])


def _show_deployments(on: context.Context, service: dict[str, Any]) -> None:
    for deployment in service["deployments"]:
        state = deployment.get("rolloutState", deployment["status"])
        line = rich.text.Text.assemble(f"Deployment  {deployment['taskDefinition'].rsplit('/', 1)[-1]}  ")
        line.append_text(on.out.state(state))
        failed = deployment.get("failedTasks", 0)
        line.append(f"  {deployment['runningCount']} of {deployment['desiredCount']} running, {failed} failed")
        on.out.line(line)
    on.out.line()


def clock(moment: float) -> str:
    """The local time of day: `10:28:14`."""
    return datetime.datetime.fromtimestamp(float(moment)).astimezone().strftime("%H:%M:%S")
