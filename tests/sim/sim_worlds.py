"""Worlds for stories, and the switch that writes golden files anew."""

from __future__ import annotations

import os
import pathlib
from typing import Any

from roadstead.app import controllers
from roadstead.sim import world

GOLDEN = pathlib.Path(__file__).parent / "golden"
REWRITE = "ROADSTEAD_REWRITE_GOLDEN"


def make_world(seed: int, **more: Any) -> world.World:
    """An empty world with the cluster `default`."""
    made = world.World(seed, controllers.all_controllers(), **more)
    made.call("ecs", "CreateCluster", clusterName="default")
    return made


def register(subject: world.World, family: str = "web", *, sim: dict[str, object] | None = None, **members: Any) -> str:
    """A task definition of one container, told by `sim` what to do on a simulated host."""
    environment = [{"name": f"ROADSTEAD_SIM_{name}", "value": str(value)} for name, value in (sim or {}).items()]
    container = {"name": "app", "image": "busybox", "cpu": 256, "memory": 128, "environment": environment}
    answer = subject.call(
        "ecs", "RegisterTaskDefinition", family=family, containerDefinitions=[{**container, **members}]
    )
    made = answer["taskDefinition"]
    return f"{made['family']}:{made['revision']}"


def compare_golden(name: str, text: str) -> None:
    """`text` is what the golden file says; with ROADSTEAD_REWRITE_GOLDEN=1 it becomes that."""
    path = GOLDEN / name
    if os.environ.get(REWRITE):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.exists(), f"{path} is missing: run with {REWRITE}=1 and read what it wrote"
    assert text == path.read_text(), (
        f"{name} differs: where that is meant, run with {REWRITE}=1 and read the difference"
    )


def scaled_service(subject: world.World, *, high_resolution: bool, minimum: int = 1, maximum: int = 20) -> None:
    """The service `web` of one task, scaled between bounds by target tracking at 60 % CPU."""
    register(subject)
    monitoring = {"metricConfigurations": [{"metricNames": ["CPUUtilization"], "resolutionSeconds": 20}]}
    more = {"monitoring": monitoring} if high_resolution else {}
    subject.call("ecs", "CreateService", serviceName="web", taskDefinition="web", desiredCount=minimum, **more)
    subject.converge(300.0)  # 20 s policies are refused before all tasks emit at 20 s
    target = {
        "ServiceNamespace": "ecs",
        "ResourceId": "service/default/web",
        "ScalableDimension": "ecs:service:DesiredCount",
    }
    subject.call(
        "application-autoscaling", "RegisterScalableTarget", **target, MinCapacity=minimum, MaxCapacity=maximum
    )
    suffix = "HighResolution" if high_resolution else ""
    specification = {"PredefinedMetricType": f"ECSServiceAverageCPUUtilization{suffix}"}
    tracking = {"TargetValue": 60.0, "PredefinedMetricSpecification": specification}
    subject.call(
        "application-autoscaling",
        "PutScalingPolicy",
        **target,
        PolicyName="cpu",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=tracking,
    )
