"""A run's policies as AWS CLI commands and as Terraform, for AWS as well as for Roadstead."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from typing import Any

from roadstead.lab import options, policies, results, spans

SOMEBODYS = ("my-cluster", "my-service")
"""Cluster and service where nobody has said which they are."""
NO_MONITORING = "hashicorp/terraform-provider-aws issue 48669"
OWN_NAMESPACE = "AWS/ECS"
DIMENSION = "ecs:service:DesiredCount"
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_ATTRIBUTE = re.compile(r" +\w+ = .+")
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


def aws_cli(one: results.Run, service: tuple[str, str] | None = None) -> str:
    """Commands for a shell; `service` is cluster and name. A fixed count is an update of the service."""
    cluster_name, service_name = service or SOMEBODYS
    lines = [f"CLUSTER={cluster_name}", f"SERVICE={service_name}", ""]
    if one.fixed is not None:
        return "\n".join(
            [
                *lines,
                f'aws ecs update-service --cluster "$CLUSTER" --service "$SERVICE" --desired-count {one.fixed}',
                "",
            ]
        )
    monitoring = _monitoring(one)
    if monitoring:
        lines += ['aws ecs update-service --cluster "$CLUSTER" --service "$SERVICE" \\', f"    {monitoring}"]
        lines += ['aws ecs wait services-stable --cluster "$CLUSTER" --services "$SERVICE"']
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


def removal(now: results.Run, then: results.Run) -> str:
    """Commands that end what scales a service now and isn't part of what is to scale it then; after `aws_cli`'s."""
    lines: list[str] = []
    for listed, field, verb, option in (
        ("Policies", "PolicyName", "delete-scaling-policy", "policy-name"),
        ("ScheduledActions", "ScheduledActionName", "delete-scheduled-action", "scheduled-action-name"),
    ):
        kept = {one[field] for one in then.given.get(listed, [])}
        for one in now.given[listed]:
            if one[field] not in kept:
                lines += _command(verb, f"--{option} {shlex.quote(one[field])}")
    left = {one["Key"] for one in now.given.get("Tags", [])} - {one["Key"] for one in then.given.get("Tags", [])}
    if left:
        lines += [
            "aws application-autoscaling untag-resource \\",
            f"    --tag-keys {shlex.join(sorted(left))} \\",
            '    --resource-arn "$(aws application-autoscaling describe-scalable-targets --service-namespace ecs \\',
            '        --resource-ids "service/$CLUSTER/$SERVICE" \\',
            "        --query 'ScalableTargets[0].ScalableTargetARN' --output text)\"",
        ]
    return "".join(f"{line}\n" for line in lines)


def _monitoring(one: results.Run) -> str:
    """The option of `update-service` that asks for 20-second metrics: every task must have them before a policy may use
    them (behaviour.md 1.3.6). Empty where none does."""
    names = policies.high_resolution(one.given["Policies"], one.given["Alarms"])
    configuration = {"metricNames": names, "resolutionSeconds": policies.HIGH_RESOLUTION_SECONDS}
    return _option("monitoring", {"metricConfigurations": [configuration]}) if names else ""


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
    is_own = alarm.get("Namespace") == OWN_NAMESPACE
    for name, value in alarm.items():
        if name == "AlarmActions":
            options.append("--alarm-actions " + " ".join(f'"${_variable(one)}"' for one in value))
        elif name == "Dimensions" and is_own:
            continue
        elif isinstance(value, bool):
            options.append(f"--{'' if value else 'no-'}{_dashed(name)}")
        else:
            options.append(_option(name, value))
    if is_own:
        options.append('--dimensions "Name=ClusterName,Value=$CLUSTER" "Name=ServiceName,Value=$SERVICE"')
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


def terraform(one: results.Run, service: tuple[str, str] | None = None) -> str:
    """HCL for HashiCorp's AWS provider; `service` is cluster and name. A fixed count is an attribute of the service."""
    cluster_name, service_name = service or SOMEBODYS
    if one.fixed is not None:
        return f'# in resource "aws_ecs_service":\ndesired_count = {one.fixed}\n'
    monitoring = _monitoring(one)
    lines = []
    if monitoring:
        lines = [
            f"# First, as HashiCorp's provider has no word for 20-second metrics yet ({NO_MONITORING}):",
            f"# aws ecs update-service --cluster {cluster_name} --service {service_name} {monitoring}",
            "",
        ]
    lines += [
        'resource "aws_appautoscaling_target" "service" {',
        '  service_namespace = "ecs"',
        f'  resource_id = "service/{cluster_name}/{service_name}"',
        f'  scalable_dimension = "{DIMENSION}"',
        f"  min_capacity = {one.min_capacity}",
        f"  max_capacity = {one.max_capacity}",
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
        lines += _alarm_resource(alarm, {"ClusterName": cluster_name, "ServiceName": service_name})
    return "\n".join(_formatted(lines)) + "\n"


def _formatted(lines: list[str]) -> list[str]:
    """As `terraform fmt` has it: the equals signs of attributes that follow one another stand below each other."""
    formatted: list[str] = []
    for is_attribute, group in itertools.groupby(lines, lambda line: _ATTRIBUTE.fullmatch(line) is not None):
        if not is_attribute:
            formatted += group
            continue
        pairs = [line.split(" = ", 1) for line in group]
        width = max(len(name) for name, _ in pairs)
        formatted += [f"{name:<{width}} = {value}" for name, value in pairs]
    return formatted


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


def _alarm_resource(alarm: dict[str, Any], own: dict[str, str]) -> list[str]:
    actions = ", ".join(f"aws_appautoscaling_policy.{_label(name)}.arn" for name in alarm["AlarmActions"])
    special = ("AlarmActions", "Dimensions", "Metrics", "Tags")
    body = {name: value for name, value in alarm.items() if name not in special}
    lines = ["", f'resource "aws_cloudwatch_metric_alarm" "{_label(alarm["AlarmName"])}" {{', *_body(body, 1)]
    lines += _dimensions(alarm, own, 1)
    for query in alarm.get("Metrics", ()):
        lines += _metric_query(query, own)
    if alarm.get("Tags"):
        lines.append(_map("tags", {one["Key"]: one["Value"] for one in alarm["Tags"]}, 1))
    return [*lines, f"  alarm_actions = [{actions}]", "}"]


def _metric_query(query: dict[str, Any], own: dict[str, str]) -> list[str]:
    """A query of an alarm on metric math: Terraform has metric and statistic in one block."""
    stat = query.get("MetricStat")
    lines = ["  metric_query {", *_body({name: one for name, one in query.items() if name != "MetricStat"}, 2)]
    if stat is not None:
        metric = stat["Metric"]
        plain = {name: one for name, one in {**metric, **stat}.items() if name not in ("Metric", "Dimensions")}
        lines += ["    metric {", *_body(plain, 3)]
        lines += _dimensions(metric, own, 3)
        lines.append("    }")
    return [*lines, "  }"]


def _dimensions(metric: dict[str, Any], own: dict[str, str], depth: int) -> list[str]:
    """As a metric or an alarm has them; a metric of ECS is always that of the service, `own`, as it is in the lab."""
    is_own = metric.get("Namespace") == OWN_NAMESPACE
    named = own if is_own else {one["Name"]: one["Value"] for one in metric.get("Dimensions", [])}
    return [_map("dimensions", named, depth)] if named else []


def _map(name: str, given: dict[str, str], depth: int) -> str:
    pairs = ", ".join(f"{_text(key)} = {_text(value)}" for key, value in given.items())
    return f"{'  ' * depth}{name} = {{ {pairs} }}"


def _body(given: dict[str, Any], depth: int, dimensions: str = "dimensions") -> list[str]:
    """Attributes and blocks; predictive scaling's metrics call a dimension's block otherwise than the others."""
    space = "  " * depth
    lines = []
    for name, value in given.items():
        word = dimensions if name == "Dimensions" else _BLOCKS.get(name) or _snake(name)
        below = "dimension" if name == "MetricDataQueries" else dimensions
        if name in _MOMENTS and not isinstance(value, str):
            value = spans.show_iso(float(value))
        is_blocks = isinstance(value, list) and value and all(isinstance(one, dict) for one in value)
        if not is_blocks and not isinstance(value, dict):
            lines.append(f"{space}{word} = {_text(value)}")
            continue
        for block in value if is_blocks else [value]:
            lines += [f"{space}{word} {{", *_body(block, depth + 1, below), f"{space}}}"]
    return lines


def _text(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
    return json.dumps(value, ensure_ascii=False)


def _label(name: str) -> str:
    made = re.sub(r"\W", "_", name)
    return made if made[:1].isalpha() else f"_{made}"
