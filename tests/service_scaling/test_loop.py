"""The loop closed, without containers: load → metric → alarm → policy → count → load a task (behaviour.md 1.3)."""

from __future__ import annotations

from typing import Any

import pytest
from scaling_world import START, ServiceWorld

from roadstead.api.application_autoscaling import operations
from roadstead.control import alarms as alarm_control
from roadstead.control import service_scaling
from roadstead.model import scaling, services
from roadstead.signals import metrics
from roadstead.state import plan

METRIC = metrics.metric("AWS/ECS", "CPUUtilization", (("ClusterName", "default"), ("ServiceName", "web")))
SAMPLE_SECONDS = 20


class World(ServiceWorld):
    """A service whose tasks share a load: 100 is what one task can do."""

    def __init__(self, resolution: Any = 60, scale_in_datapoints: int | None = None) -> None:
        self.load = 0.0
        self.resolution = resolution
        fine = services.MetricConfiguration(metric_names=("CPUUtilization",), resolution_seconds=resolution)
        super().__init__(
            START,
            desired=2,
            operations=operations.operations(scale_in_datapoints),
            controllers=[alarm_control.CONTROLLER, service_scaling.CONTROLLER],
            monitoring=services.Monitoring(metric_configurations=(fine,)),
        )
        self.set_running(2)

    def track(self, metric: str, **more: Any) -> None:
        """A target of 1 to 10 tasks, and a policy at 50 %."""
        self.ask("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10)
        configuration = {"TargetValue": 50, "PredefinedMetricSpecification": {"PredefinedMetricType": metric}, **more}
        self.ask(
            "PutScalingPolicy",
            PolicyName="cpu",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=configuration,
        )

    @property
    def scaled(self) -> list[scaling.ScalingActivity]:
        """Activities that changed something, oldest first."""
        return [one for one in self.told if not one.not_scaled][::-1]

    def measure(self, timestamp: float, percent: float) -> None:
        """A data point of the service's CPU utilization."""
        datum = metrics.Datum(
            metric=METRIC,
            timestamp=timestamp,
            values=(percent,),
            unit="Percent",
            storage_resolution_seconds=1 if self.resolution == 20 else 60,
        )
        self.store.commit(plan.Plan(data=(datum,)), self.now)

    def run_under(self, seconds: float, load: float) -> None:
        """Time passes under that load: every 20 s a measurement; tasks start and stop at once."""
        until = self.now + seconds
        while self.now < until:
            running = self.running
            if running:
                self.measure(self.now, min(100.0, load / running))
            self.now += SAMPLE_SECONDS
            self.settle()
            self.set_running(self.desired)
            self.settle()

    def run_late(self, seconds: float, load: float) -> list[int]:
        """The same, but a measurement tells of the 20 s before it, and comes 7 s into them; desired counts in turn."""
        seen, before, until = [self.desired], min(100.0, load / self.running), self.now + seconds
        while self.now < until:
            at_present = min(100.0, load / self.running)
            self.measure(self.now + 7, (13 * before + 7 * at_present) / 20)
            before = at_present
            self.now += SAMPLE_SECONDS
            self.settle()
            self.now += 1
            self.set_running(self.desired)
            self.settle()
            self.now -= 1
            if self.desired != seen[-1]:
                seen.append(self.desired)
        return seen

    def until_changed(self, load: float, seconds_max: float) -> float:
        """Run under that load until the desired count changes; how long it took."""
        before, began = self.desired, self.now
        while self.desired == before:
            assert self.now < began + seconds_max, f"still {before} after {seconds_max} s"
            self.run_under(20, load)
        return self.now - began


def test_load_scales_a_service_out_and_in_again_at_aws_pace() -> None:
    world = World()
    world.track("ECSServiceAverageCPUUtilization")
    world.run_under(600, load=80)
    assert world.desired == 2, "40 % is not below 45"
    waited = world.until_changed(load=180, seconds_max=600)
    assert 120 <= waited <= 300, "three minutes of 90 %"
    assert world.desired == 4
    world.run_under(900, load=180)
    assert world.desired == 4, "45 % is neither above 50 nor below 45"
    waited = world.until_changed(load=60, seconds_max=1500)
    assert 14 * 60 <= waited <= 17 * 60, "fifteen minutes of 15 %"
    assert world.desired == 2
    world.run_under(3600, load=60)
    assert (world.desired, world.running) == (2, 2), "30 % needs two of two"
    assert [(one.to_count, one.status) for one in world.scaled] == [(4, "Successful"), (2, "Successful")]


@pytest.mark.rule("1.3.6#period")
def test_high_resolution_metrics_scale_out_within_two_minutes() -> None:
    world = World(resolution=20, scale_in_datapoints=3)
    world.track("ECSServiceAverageCPUUtilizationHighResolution", ScaleOutCooldown=60, ScaleInCooldown=30)
    world.run_under(300, load=90)
    assert world.desired == 2
    waited = world.until_changed(load=200, seconds_max=200)
    assert waited <= 100
    world.run_under(600, load=400)
    assert world.desired == 8
    world.run_under(300, load=20)
    assert world.desired == 1, "within five minutes, the low alarm waiting for three data points"
    assert world.scaled[-1].to_count == 1


@pytest.mark.parametrize(("resolution", "kind"), [(20, "HighResolution"), (60, "")])
def test_late_measurements_and_short_cooldowns_do_not_make_it_swing(resolution: int, kind: str) -> None:
    """What was measured with two tasks isn't counted for four (behaviour.md 1.3.3: value and count belong together)."""
    world = World(resolution=resolution, scale_in_datapoints=3)
    world.track(f"ECSServiceAverageCPUUtilization{kind}", ScaleOutCooldown=20, ScaleInCooldown=20)
    assert world.run_late(900, load=320) == [2, 4, 7]
    assert world.run_late(900, load=330) == [7]
    assert world.run_late(900, load=100) == [7, 2]


def test_the_service_stops_at_its_maximum_and_says_so() -> None:
    world = World()
    world.track("ECSServiceAverageCPUUtilization")
    world.run_under(3600, load=5000)
    assert (world.desired, world.running) == (10, 10)
    assert world.told[0].not_scaled == (scaling.NotScaledReason(code="AlreadyAtMaxCapacity", max_capacity=10),)
    assert len(world.told) < 10, "a reason that lasts is told once"


@pytest.mark.parametrize("later_seconds", [0, 20, 40])
@pytest.mark.rule("1.3.5#missing")
def test_silence_is_not_low_load(later_seconds: int) -> None:
    world = World()
    world.track("ECSServiceAverageCPUUtilization")
    world.run_under(300 + later_seconds, load=180)
    assert (world.desired, world.running) == (4, 4)
    for _ in range(90):
        world.now += SAMPLE_SECONDS
        world.settle()
    assert world.desired == 4, "no data point, no scaling (behaviour.md 1.3.5)"
    world.run_under(1200, load=40)
    assert world.desired == 1, "a real low value does scale in"


BACKLOG = {
    "Metrics": [
        {
            "Id": "m1",
            "MetricStat": {"Metric": {"Namespace": "Queue", "MetricName": "Visible"}, "Stat": "Sum"},
            "ReturnData": False,
        },
        {
            "Id": "m2",
            "MetricStat": {
                "Metric": {"Namespace": "ECS/ContainerInsights", "MetricName": "Running"},
                "Stat": "Average",
            },
            "ReturnData": False,
        },
        {"Id": "e1", "Expression": "m1 / m2", "Label": "Backlog per task"},
    ]
}


def run_queue(world: World, minutes: int, visible: float) -> None:
    """Time passes with that many messages in a queue; once a minute they and the tasks are counted."""
    for _ in range(minutes):
        for namespace, name, value in (
            ("Queue", "Visible", visible),
            ("ECS/ContainerInsights", "Running", float(world.running)),
        ):
            datum = metrics.Datum(metric=metrics.metric(namespace, name), timestamp=world.now, values=(value,))
            world.store.commit(plan.Plan(data=(datum,)), world.now)
        world.now += 60
        world.settle()
        world.set_running(world.desired)
        world.settle()


def test_backlog_per_task_by_metric_math_scales_out_and_in() -> None:
    """AWS's example of metric math (application-auto-scaling-target-tracking-metric-math): messages a task."""
    world = World()
    world.ask("RegisterScalableTarget", MinCapacity=1, MaxCapacity=20)
    configuration = {"TargetValue": 100, "CustomizedMetricSpecification": BACKLOG, "ScaleInCooldown": 0}
    world.ask(
        "PutScalingPolicy",
        PolicyName="backlog",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=configuration,
    )
    run_queue(world, 10, visible=190)
    assert world.desired == 2, "95 messages a task are neither above 100 nor below 90"
    run_queue(world, 5, visible=900)
    assert world.desired == 9, "450 a task, for three minutes"
    run_queue(world, 14, visible=240)
    assert world.desired == 9, "not below 90 for fifteen minutes yet"
    run_queue(world, 3, visible=240)
    assert world.desired == 3
    run_queue(world, 20, visible=290)
    assert world.desired == 3
    assert [(one.to_count, one.status) for one in world.scaled] == [(9, "Successful"), (3, "Successful")]
    assert world.scaled[0].numbers.metric_value == 450.0
