"""A service that sleeps at zero tasks: a metric of the user's own wakes it, its CPU can not (behaviour.md 1.3.3, 2.7).

The whole way in virtual time, with real records, agents and containers' stand-ins: 0 → 1 → n → 0.
"""

from __future__ import annotations

from typing import Any

import pytest

from roadstead.app import controllers
from roadstead.model import scaling, scaling_names, services, tables
from roadstead.sim import world as worlds

TARGET = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/default/web",
    "ScalableDimension": "ecs:service:DesiredCount",
}
BACKLOG = {"Namespace": "Jobs", "MetricName": "BacklogPerTask", "Statistic": "Average"}
CPU = {"PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}}


class Sleeper:
    """A service of no task, scaled from 0 to 10; `backlog` is what waits, shared by the tasks that there are."""

    def __init__(self, **tags: str) -> None:
        self.world = worlds.World(5, controllers.all_controllers())
        self.world.call("ecs", "CreateCluster", clusterName="default")
        self.world.add_host(cpu_units=4096, memory_mib=8192)
        container = {"name": "app", "image": "busybox", "cpu": 256, "memory": 128}
        self.world.call("ecs", "RegisterTaskDefinition", family="web", containerDefinitions=[container])
        self.world.call("ecs", "CreateService", serviceName="web", taskDefinition="web", desiredCount=0)
        self.world.run_for(60)
        named = {f"roadstead:{name.replace('_', '-')}": value for name, value in tags.items()}
        self.scale("RegisterScalableTarget", MinCapacity=0, MaxCapacity=10, Tags=named)

    def scale(self, operation: str, **params: Any) -> Any:
        return self.world.call("application-autoscaling", operation, **TARGET, **params)

    def track(self, name: str, target: float, **metric: Any) -> None:
        tracking = {"TargetValue": target, "ScaleOutCooldown": 60, "ScaleInCooldown": 60, **metric}
        self.scale(
            "PutScalingPolicy",
            PolicyName=name,
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=tracking,
        )

    def minutes(self, count: int, backlog: float) -> list[int]:
        """The tasks running at the end of each minute."""
        found = []
        for _ in range(count):
            share = backlog / max(1, self.running)
            datum = {"MetricName": "BacklogPerTask", "Value": share, "Timestamp": self.world.now}
            self.world.call("cloudwatch", "PutMetricData", Namespace="Jobs", MetricData=[datum])
            self.world.run_for(60)
            found.append(self.running)
        return found

    @property
    def running(self) -> int:
        return self.world.view().tally(tables.TASKS, "counts", "service", "default", "web")[0]

    @property
    def desired(self) -> int:
        found = self.world.view().get(services.Service, "default/web")
        assert found is not None
        return found.spec.desired_count

    @property
    def changes(self) -> list[tuple[int | None, int | None]]:
        key = scaling_names.service_target_key("default", "web")
        told: list[scaling.ScalingActivity] = list(
            self.world.view().find(tables.SCALING_ACTIVITIES, "newest_first", key)
        )
        return [(one.from_count, one.to_count) for one in reversed(told) if not one.not_scaled]


@pytest.mark.rule("1.3.3#zero", "1.3.5#zeros")
def test_1_3_3_a_service_wakes_works_and_sleeps_again() -> None:
    subject = Sleeper()
    subject.track("backlog", 100.0, CustomizedMetricSpecification=BACKLOG)
    assert subject.minutes(5, 0.0) == [0] * 5
    assert subject.minutes(2, 600.0)[-1] == 1
    assert max(subject.minutes(10, 600.0)) == 6
    assert subject.minutes(20, 0.0)[-1] == 0
    assert subject.changes == [(0, 1), (1, 6), (6, 0)]


def test_2_7_cpu_alone_never_wakes_it() -> None:
    subject = Sleeper()
    subject.track("cpu", 50.0, **CPU)
    assert subject.minutes(30, 600.0) == [0] * 30
    assert subject.changes == []


def test_a_crash_on_the_way_changes_nothing() -> None:
    subject = Sleeper()
    subject.track("backlog", 100.0, CustomizedMetricSpecification=BACKLOG)
    subject.minutes(2, 0.0)
    subject.world.crash_control_plane(5.0)
    subject.world.run_for(30)
    assert subject.desired == 0
    subject.minutes(2, 600.0)
    subject.world.crash_control_plane(5.0)
    subject.world.run_for(30)
    subject.minutes(10, 600.0)
    assert subject.changes[:2] == [(0, 1), (1, 6)]


def test_with_an_idle_time_the_last_task_waits_for_more_work() -> None:
    subject = Sleeper(scale_to_zero_after_seconds="1200", scale_in_datapoints="3")
    subject.track("backlog", 100.0, CustomizedMetricSpecification=BACKLOG)
    subject.minutes(8, 600.0)
    idle = subject.minutes(40, 0.0)
    assert idle[10:20] == [1] * 10
    assert idle[-1] == 0
    assert subject.changes[-2:] == [(6, 1), (1, 0)]
