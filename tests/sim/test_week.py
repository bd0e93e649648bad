"""A golden week of one service on which all kinds of scaling act together (behaviour.md 1.2-1.5; issue 3, done when 3).

Run with ROADSTEAD_REWRITE_GOLDEN=1 to write it anew, then read what changed.
"""

from __future__ import annotations

from typing import Any

import pytest
from sim_worlds import compare_golden, scaled_service

from roadstead.app import controllers
from roadstead.control import forecasting
from roadstead.model import scaling, scaling_names, tables
from roadstead.sim import load, traffic, world

HOUR, DAY = 3600.0, 86_400.0
WORK = traffic.Work(cpu_seconds_per_request=0.01, requests_per_second_max=25.0, memory_mib=64.0)
"""A task of 256 units serves 25 requests a second at 100 %, so 15 at the target of 60 %."""
IDENTITY = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/default/web",
    "ScalableDimension": "ecs:service:DesiredCount",
}
STEPS = [
    {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 8, "ScalingAdjustment": 25},
    {"MetricIntervalLowerBound": 8, "ScalingAdjustment": 100},
]


def put_surge_policy(subject: world.World) -> None:
    """A step policy, wired as users do: one minute at 90 % asks for a quarter more, at 98 % for twice as many."""
    configuration = {"AdjustmentType": "PercentChangeInCapacity", "StepAdjustments": STEPS, "Cooldown": 120}
    arn = subject.call(
        "application-autoscaling",
        "PutScalingPolicy",
        **IDENTITY,
        PolicyName="surge",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration=configuration,
    )["PolicyARN"]
    subject.call(
        "cloudwatch",
        "PutMetricAlarm",
        AlarmName="cpu-surge",
        Namespace="AWS/ECS",
        MetricName="CPUUtilization",
        Dimensions=[{"Name": "ClusterName", "Value": "default"}, {"Name": "ServiceName", "Value": "web"}],
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=90,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        AlarmActions=[arn],
    )


def put_schedule(subject: world.World) -> None:
    """Work days begin at six in Berlin; a weekend, of four tasks at most, on Friday at six; a sale is on Thursday."""
    for name, schedule, low, high in (
        ("work-days", "cron(0 6 ? * MON-FRI *)", 3, 20),
        ("weekend", "cron(0 18 ? * FRI *)", 1, 4),
        ("sale", "at(2026-01-08T19:00:00)", 12, None),
        ("sale-over", "at(2026-01-08T22:00:00)", 3, None),
    ):
        bounds: dict[str, Any] = {"MinCapacity": low}
        if high is not None:
            bounds["MaxCapacity"] = high
        subject.call(
            "application-autoscaling",
            "PutScheduledAction",
            **IDENTITY,
            ScheduledActionName=name,
            Schedule=schedule,
            Timezone="Europe/Berlin",
            ScalableTargetAction=bounds,
        )


def put_forecast(subject: world.World) -> None:
    """A predictive policy: it has a forecast as soon as there are 24 hours of data, and acts from then on."""
    pair = {"PredefinedMetricPairSpecification": {"PredefinedMetricType": "ECSServiceCPUUtilization"}}
    subject.call(
        "application-autoscaling",
        "PutScalingPolicy",
        **IDENTITY,
        PolicyName="foresee",
        PolicyType="PredictiveScaling",
        PredictiveScalingPolicyConfiguration={
            "MetricSpecifications": [{"TargetValue": 60.0, **pair}],
            "Mode": "ForecastAndScale",
        },
    )


def week_of_traffic(begin: float) -> traffic.Traffic:
    """Days swing between one task's worth and six's; a flash crowd on Tuesday, the sale's on Thursday."""
    days = traffic.Noise(beneath=traffic.Diurnal(low=12.0, high=90.0), part=0.02)
    crowd = traffic.Spike(beneath=days, begin=begin + DAY + 20 * HOUR, seconds=1200, factor=3.0)
    return traffic.Spike(beneath=crowd, begin=begin + 3 * DAY + 18.25 * HOUR, seconds=2 * HOUR, factor=2.5)


def told(text: str) -> str:
    """The transcript without what each change is followed by: that it was fulfilled."""
    return "".join(line for line in text.splitlines(keepends=True) if "-> Successful:" not in line)


@pytest.mark.slow
def test_all_kinds_of_scaling_share_a_service_for_a_week() -> None:
    subject = world.World(1, (*controllers.all_controllers(), forecasting.CONTROLLER))
    subject.call("ecs", "CreateCluster", clusterName="default")
    begin = subject.now
    subject.add_crowd(3, cpu_units=4096, memory_mib=8192)
    scaled_service(subject, high_resolution=False)
    put_surge_policy(subject)
    put_schedule(subject)
    put_forecast(subject)
    subject.transcript.leave_out = frozenset({"ContainerInstance", "MetricAlarm", "ServiceEvent", "Task"})
    subject.put_load(load.ServiceLoad(service="web", requests=week_of_traffic(begin), work=WORK))
    subject.run_until(begin + 7 * DAY)
    key = scaling_names.service_target_key("default", "web")
    changes = [one for one in subject.view().find(tables.SCALING_ACTIVITIES, "newest_first", key) if one.to_count]
    assert {kind(one) for one in changes} == {
        *("cpu out", "cpu in", "surge out", "bounds out", "bounds in", "foresee out"),
    }
    assert min(one.started_at for one in changes if one.policy_name == "foresee") >= begin + DAY
    for one in changes:
        assert one.numbers.min_capacity is not None and one.numbers.max_capacity is not None
        assert one.to_count is not None
        assert one.numbers.min_capacity <= one.to_count <= one.numbers.max_capacity
        assert one.status in ("Successful", "Overridden")
    compare_golden("week-of-all-kinds.txt", told(subject.transcript.text()))


def kind(activity: scaling.ScalingActivity) -> str:
    """What changed the count, and which way."""
    way = "out" if (activity.to_count or 0) > (activity.from_count or 0) else "in"
    return f"{activity.policy_name or 'bounds'} {way}"
