"""What `simulate` asks a running server for: recorded metrics, and how a service is set up."""

from __future__ import annotations

import time

from roadstead.cli import context, failures, scaling, services
from roadstead.lab import live, recorded, scenario

PAGES_MAX = 1_000
TASKS_LOOKED_AT = 100
"""Tasks whose start is looked at: as many as DescribeTasks takes."""


def read(
    on: context.Context, metric: recorded.Metric, since_seconds: float, service: scenario.Service
) -> scenario.Recorded:
    """A metric of the last so many seconds as traffic. Raises problems.Invalid, Failure."""
    period = recorded.period_seconds(since_seconds)
    end = int(time.time()) // period * period
    asked = {
        "MetricDataQueries": recorded.queries(metric, period),
        "StartTime": end - since_seconds // period * period,
        "EndTime": end,
        "ScanBy": "TimestampAscending",
    }
    found: dict[str, tuple[list[float], list[float]]] = {}
    token: str | None = None
    for _ in range(PAGES_MAX):
        answer = on.client.call("cloudwatch", "GetMetricData", **asked, NextToken=token)
        for one in answer["MetricDataResults"]:
            moments, values = found.setdefault(one["Id"], ([], []))
            moments += one["Timestamps"]
            values += one["Values"]
        token = answer.get("NextToken")
        if not token:
            break
    else:
        raise failures.Failure(f"{metric.title} has more than {PAGES_MAX} pages", "Name a shorter --since.")
    series = {name: recorded.Series(moments=moments, values=values) for name, (moments, values) in found.items()}
    return recorded.recording(metric, series, period, service)


def describe(on: context.Context, cluster: str, name: str) -> live.Described:
    """A service as it is set up now. Raises Failure where there is none of that name."""
    service = services.described(on, cluster, name)
    definition = on.ecs("DescribeTaskDefinition", taskDefinition=service["taskDefinition"])["taskDefinition"]
    arns = on.ecs("ListTasks", cluster=cluster, serviceName=name, maxResults=TASKS_LOOKED_AT)["taskArns"]
    tasks = on.ecs("DescribeTasks", cluster=cluster, tasks=arns)["tasks"] if arns else []
    found = scaling.read(on.client, cluster, name)
    tags: dict[str, str] = {}
    if found["target"] is not None:
        arn = found["target"]["ScalableTargetARN"]
        tags = on.client.call("application-autoscaling", "ListTagsForResource", ResourceARN=arn)["Tags"]
    return live.Described(
        cluster=cluster,
        service=service,
        task_definition=definition,
        tasks=tasks,
        target=found["target"],
        tags=tags,
        policies=found["policies"],
        scheduled=found["scheduled"],
        alarms=found["alarms"],
    )
