"""A run's policies as AWS CLI commands and as Terraform, for AWS as well as for Roadstead."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

from roadstead.lab import options, results, spans

CLUSTER = "my-cluster"
SERVICE = "my-service"
DIMENSION = "ecs:service:DesiredCount"
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BLOCKS = {
    "StepAdjustments": "step_adjustment",
    "MetricSpecifications": "metric_specification",
    "MetricDataQueries": "metric_data_query",
    "ScalableTargetAction": "scalable_target_action",
    "EvaluateLowSampleCountPercentile": "evaluate_low_sample_count_percentiles",
}
"""Terraform's words where they aren't AWS's own in another spelling."""
_MOMENTS = ("StartTime", "EndTime")
"""Of a scheduled action: Terraform wants them in RFC 3339, the AWS CLI prints them so or as numbers."""


# ---------------------------------------------------------------------------------------------- AWS CLI


def aws_cli(one: results.Run) -> str:
    """Commands for a shell. A fixed count is an update of the service."""
    lines = [f"CLUSTER={CLUSTER}", f"SERVICE={SERVICE}", ""]
    if one.fixed is not None:
        return "\n".join(
            [
                *lines,
                f'aws ecs update-service --cluster "$CLUSTER" --service "$SERVICE" --desired-count {one.fixed}',
                "",
            ]
        )
    lines += [
        *_command("register-scalable-target", f"--min-capacity {one.min_capacity} --max-capacity {one.max_capacity}"),
        *options.aws_cli(one.given.get("Tags", [])),
    ]
    used = {name for alarm in one.given["Alarms"] for name in alarm["AlarmActions"]}
    for policy in one.given["Policies"]:
        command = _policy_command(policy)
        if policy["PolicyName"] in used:
            command[0] = f"{_variable(policy['PolicyName'])}=$({command[0]}"
            command[-1] += " \\"
            command.append("    --query PolicyARN --output text)")
        lines += command
    for action in one.given["ScheduledActions"]:
        lines += _command("put-scheduled-action", *(_option(name, value) for name, value in action.items()))
    for alarm in one.given["Alarms"]:
        lines += _alarm_command(alarm)
    return "\n".join(lines) + "\n"


def _command(verb: str, *options: str) -> list[str]:
    return [
        f"aws application-autoscaling {verb} --service-namespace ecs \\",
        f'    --resource-id "service/$CLUSTER/$SERVICE" --scalable-dimension {DIMENSION} \\',
        *(f"    {option} \\" for option in options[:-1]),
        f"    {options[-1]}",
    ]


def _policy_command(policy: dict[str, Any]) -> list[str]:
    return _command("put-scaling-policy", *(_option(name, value) for name, value in policy.items()))


def _alarm_command(alarm: dict[str, Any]) -> list[str]:
    options = []
    for name, value in alarm.items():
        if name == "AlarmActions":
            options.append("--alarm-actions " + " ".join(f'"${_variable(one)}"' for one in value))
        elif name == "Dimensions" and alarm.get("Namespace") == "AWS/ECS":
            options.append('--dimensions "Name=ClusterName,Value=$CLUSTER" "Name=ServiceName,Value=$SERVICE"')
        elif isinstance(value, bool):
            options.append(f"--{'' if value else 'no-'}{_dashed(name)}")
        else:
            options.append(_option(name, value))
    return ["aws cloudwatch put-metric-alarm \\", *(f"    {one} \\" for one in options[:-1]), f"    {options[-1]}"]


def _option(name: str, value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"--{_dashed(name)} {shlex.quote(text)}"


def _variable(name: str) -> str:
    return "POLICY_" + re.sub(r"\W", "_", name).upper()


def _snake(name: str) -> str:
    return _WORD.sub("_", name).lower()


def _dashed(name: str) -> str:
    return _snake(name).replace("_", "-")


# ---------------------------------------------------------------------------------------------- Terraform


def terraform(one: results.Run) -> str:
    """HCL for HashiCorp's AWS provider. A fixed count is an attribute of the service."""
    if one.fixed is not None:
        return f'# in resource "aws_ecs_service":\ndesired_count = {one.fixed}\n'
    lines = [
        'resource "aws_appautoscaling_target" "service" {',
        '  service_namespace  = "ecs"',
        f'  resource_id        = "service/{CLUSTER}/{SERVICE}"',
        f'  scalable_dimension = "{DIMENSION}"',
        f"  min_capacity       = {one.min_capacity}",
        f"  max_capacity       = {one.max_capacity}",
        *options.terraform(one.given.get("Tags", [])),
        "}",
    ]
    for policy in one.given["Policies"]:
        rest = {name: value for name, value in policy.items() if name != "PolicyName"}
        head = {"Name": policy["PolicyName"], **rest}
        lines += _resource("aws_appautoscaling_policy", policy["PolicyName"], head)
    for action in one.given["ScheduledActions"]:
        rest = {name: value for name, value in action.items() if name != "ScheduledActionName"}
        head = {"Name": action["ScheduledActionName"], **rest}
        lines += _resource("aws_appautoscaling_scheduled_action", action["ScheduledActionName"], head)
    for alarm in one.given["Alarms"]:
        lines += _alarm_resource(alarm)
    return "\n".join(lines) + "\n"


def _resource(kind: str, name: str, body: dict[str, Any]) -> list[str]:
    return [
        "",
        f'resource "{kind}" "{_label(name)}" {{',
        *(
            f"  {field} = aws_appautoscaling_target.service.{field}"
            for field in ("service_namespace", "resource_id", "scalable_dimension")
        ),
        *_body(body, 1),
        "}",
    ]


def _alarm_resource(alarm: dict[str, Any]) -> list[str]:
    actions = ", ".join(f"aws_appautoscaling_policy.{_label(name)}.arn" for name in alarm["AlarmActions"])
    special = ("AlarmActions", "Dimensions", "Metrics", "Tags")
    body = {name: value for name, value in alarm.items() if name not in special}
    lines = ["", f'resource "aws_cloudwatch_metric_alarm" "{_label(alarm["AlarmName"])}" {{', *_body(body, 1)]
    if alarm.get("Dimensions"):
        lines.append(_dimensions(alarm.get("Namespace"), alarm["Dimensions"], 1))
    for query in alarm.get("Metrics", ()):
        lines += _metric_query(query)
    if alarm.get("Tags"):
        lines.append(_map("tags", {one["Key"]: one["Value"] for one in alarm["Tags"]}, 1))
    return [*lines, f"  alarm_actions = [{actions}]", "}"]


def _metric_query(query: dict[str, Any]) -> list[str]:
    """A query of an alarm on metric math: Terraform has metric and statistic in one block."""
    stat = query.get("MetricStat")
    lines = ["  metric_query {", *_body({name: one for name, one in query.items() if name != "MetricStat"}, 2)]
    if stat is not None:
        metric = stat["Metric"]
        plain = {name: one for name, one in {**metric, **stat}.items() if name not in ("Metric", "Dimensions")}
        lines += ["    metric {", *_body(plain, 3)]
        if metric.get("Dimensions"):
            lines.append(_dimensions(metric.get("Namespace"), metric["Dimensions"], 3))
        lines.append("    }")
    return [*lines, "  }"]


def _dimensions(namespace: object, given: list[dict[str, str]], depth: int) -> str:
    """As an alarm has them; those of the service are the service's own."""
    own = {"ClusterName": CLUSTER, "ServiceName": SERVICE} if namespace == "AWS/ECS" else {}
    return _map("dimensions", {one["Name"]: own.get(one["Name"], one["Value"]) for one in given}, depth)


def _map(name: str, given: dict[str, str], depth: int) -> str:
    pairs = ", ".join(f"{_text(key)} = {_text(value)}" for key, value in given.items())
    return f"{'  ' * depth}{name} = {{ {pairs} }}"


def _body(given: dict[str, Any], depth: int) -> list[str]:
    space = "  " * depth
    lines = []
    for name, value in given.items():
        word = _BLOCKS.get(name) or _snake(name)
        blocks = value if isinstance(value, list) and value and all(isinstance(one, dict) for one in value) else None
        if isinstance(value, dict):
            blocks = [value]
        if name in _MOMENTS and not isinstance(value, str):
            value = spans.show_iso(float(value))
        if blocks is None:
            lines.append(f"{space}{word} = {_text(value)}")
            continue
        for block in blocks:
            lines += [f"{space}{word} {{", *_body(block, depth + 1), f"{space}}}"]
    return lines


def _text(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
    return json.dumps(value, ensure_ascii=False)


def _label(name: str) -> str:
    made = re.sub(r"\W", "_", name)
    return made if made[:1].isalpha() else f"_{made}"
