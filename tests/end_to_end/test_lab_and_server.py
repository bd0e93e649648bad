"""The policy lab beside a running server: what it proposes can be applied, and what a service had can be tried."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import time
from typing import Any

import pytest
from tests.end_to_end import installations, storms

from roadstead import lab
from roadstead.lab import apply, policies, results, scenario, search, traffic

pytestmark = pytest.mark.slow

SCENARIO = scenario.parse(
    """name: Short
duration: 20m
warm_up: 10m
traffic:
- constant: {rate: 60}
service: {requests_per_second: 50, cpu_seconds_per_request: 0.02}
objective: {utilization_percent: 85}
tasks: {min: 2, max: 9}
"""
)
WEEK = scenario.parse(
    """name: A week
duration: 7d
traffic:
- diurnal: {low: 60, high: 600}
service: {requests_per_second: 50, cpu_seconds_per_request: 0.02}
objective: {utilization_percent: 85}
"""
)


def proposals() -> list[policies.Candidate]:
    """One of each kind that --recommend may print, but for that which needs a load balancer."""
    every = search.families(WEEK, traffic.make(WEEK, 1))
    return [one.candidate(60) for one in every if not one.name(60).startswith("requests")]


def test_the_commands_do_on_a_server_what_they_say(simulated: installations.Installation) -> None:
    ecs = simulated.client("ecs")
    storms.define(ecs, "awsvpc")
    ecs.create_service(serviceName="web", **storms.placed("awsvpc"), desiredCount=1)
    scaling, cloudwatch = simulated.client("application-autoscaling"), simulated.client("cloudwatch")
    found: results.Result = lab.simulate(SCENARIO, proposals())
    assert [one.name for one in found.runs] == ["cpu60-60s", "cpu60-20s", "cpu60-steps", "cpu60-floor", "cpu60-ahead"]
    for one in found.runs:
        run_commands(simulated, apply.aws_cli(one))
        target = scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"][0]
        assert (target["MinCapacity"], target["MaxCapacity"]) == (2, 9)
        kept = scaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
        by_name = {each["PolicyName"]: each for each in kept}
        for policy in one.given["Policies"]:
            kind = next(key for key in policy if key.endswith("PolicyConfiguration"))
            assert by_name[policy["PolicyName"]][kind].items() >= policy[kind].items()
        for alarm in one.given["Alarms"]:
            made = cloudwatch.describe_alarms(AlarmNames=[alarm["AlarmName"]])["MetricAlarms"][0]
            assert made["AlarmActions"] == [by_name["rescue"]["PolicyARN"]]
            assert made["Dimensions"] == [
                {"Name": "ClusterName", "Value": "default"}, {"Name": "ServiceName", "Value": "web"},
            ]  # fmt: skip
        for action in one.given["ScheduledActions"]:
            names = [action["ScheduledActionName"]]
            done = scaling.describe_scheduled_actions(ServiceNamespace="ecs", ScheduledActionNames=names)
            assert done["ScheduledActions"][0]["Schedule"] == action["Schedule"]
        for name in by_name:
            scaling.delete_scaling_policy(PolicyName=name, **{key: target[key] for key in policies.IDENTITY})


def run_commands(one: installations.Installation, text: str) -> None:
    """As a user would, in a shell."""
    text = text.replace("CLUSTER=my-cluster", "CLUSTER=default").replace("SERVICE=my-service", "SERVICE=web")
    script = f'eval "$(roadstead env)"\n{text}'
    done = subprocess.run(
        ["bash", "-eu", "-c", script], env=one.environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_a_service_is_tried_on_what_it_had(simulated: installations.Installation, tmp_path: pathlib.Path) -> None:
    ecs = simulated.client("ecs")
    storms.define(ecs, "awsvpc")
    ecs.create_service(serviceName="web", **storms.placed("awsvpc"), desiredCount=1)
    minute = int(time.time()) // 60 * 60
    data: list[dict[str, Any]] = [
        {"MetricName": "Hits", "Value": 60.0 * (60 - at), "Timestamp": minute - 60 * at} for at in range(1, 61)
    ]
    simulated.client("cloudwatch").put_metric_data(Namespace="My/App", MetricData=data)
    kept = tmp_path / "kept.csv"
    more = ("--from-metric", "My/App/Hits", "--since", "1h", "--save-trace", str(kept), "--fixed", "2", "--json", "-")
    sets = ("service={requests_per_second: 50, cpu_seconds_per_request: 0.02}", "objective.utilization_percent=85")
    told = json.loads(simulated.output("simulate", *more, *(word for one in sets for word in ("--set", one))))
    assert (told["steps"], told["begin"]) == (60, minute - 3600)
    assert kept.read_text().splitlines()[1:3] == [f"{minute - 3600},0", f"{minute - 3540},1"]
    refused = simulated.roadstead("simulate", "--from-service", "web", "--since", "1h")
    assert refused.returncode == 2 and re.search(r"CPUUtilization\[.*ServiceName=web\] has no data", refused.stderr)
