"""`roadstead explain service` and `service status`: what they say of step policies and of scheduled actions."""

from __future__ import annotations

from typing import Any

from scaling_world import World

from roadstead.api.explain import reasons, service
from roadstead.cli import scaling


def explained(world: World) -> list[reasons.Reason]:
    return list(service.explain(world.store.view(), world.service, world.now).reasons)


def policy_of(world: World) -> reasons.Reason:
    (found,) = (one for one in explained(world) if one.code == "POLICY")
    return found


def test_a_step_policy_is_explained_with_its_steps_alarms_and_cooldown(world: World) -> None:
    steps: list[dict[str, Any]] = [
        {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 20, "ScalingAdjustment": 10},
        {"MetricIntervalLowerBound": 20, "ScalingAdjustment": 30},
    ]
    configuration = {"AdjustmentType": "PercentChangeInCapacity", "StepAdjustments": steps}
    arn = world.ask(
        "PutScalingPolicy", PolicyName="out", PolicyType="StepScaling", StepScalingPolicyConfiguration=configuration
    )["PolicyARN"]
    policy = policy_of(world)
    assert policy.text == "policy out: PercentChangeInCapacity of the average: 0..20: +10 %, 20..+inf: +30 %"
    assert [one.code for one in policy.reasons] == ["ALARM_MISSING"]
    world.put_alarm("mine", arn)
    world.minute(75)
    alarm, cooldown = policy_of(world).reasons
    assert alarm.text.startswith("alarm mine ALARM 1 of 1: Threshold Crossed: 1 datapoint [75.0 ")
    assert (cooldown.code, cooldown.counts) == ("COOLDOWN", {"seconds": 299.0})
    (decisions,) = (one for one in explained(world) if one.code == "DECISIONS")
    assert decisions.reasons[0].text.endswith("75 - 50 = 25 is in [20, +inf): 10 + 30 % = 13")
    assert decisions.reasons[0].counts["threshold"] == 50.0


def test_scheduled_actions_are_explained_with_when_they_are_due(world: World) -> None:
    bounds = {"MinCapacity": 2, "MaxCapacity": 20}
    world.ask("PutScheduledAction", ScheduledActionName="a", Schedule="rate(1 hour)", ScalableTargetAction=bounds)
    moment = {"Schedule": "at(2023-11-15T09:00:00)", "Timezone": "Asia/Tokyo"}
    world.ask("PutScheduledAction", ScheduledActionName="b", **moment, ScalableTargetAction={"MaxCapacity": 30})
    world.run(world.now + 3 * 3600)
    told = [one for one in explained(world) if one.code == "SCHEDULE"]
    assert [one.text for one in told] == [
        "scheduled action a: rate(1 hour): min 2, max 20; due in 60 min, last due 0 s ago",
        "scheduled action b: at(2023-11-15T09:00:00) Asia/Tokyo: max 30; not due again, last due 74 min ago",
    ]
    assert told[0].counts == {"min": 2.0, "max": 20.0, "dueInSeconds": 3600.0}
    world.ask("RegisterScalableTarget", SuspendedState={"ScheduledScalingSuspended": True})
    assert "; suspended" in next(one.text for one in explained(world) if one.code == "SCHEDULE")


class _Api:
    """`cli.client.Client`, as far as it is needed, over the world's operations."""

    def __init__(self, world: World) -> None:
        self.call = world.call

    def pages(self, service: str, operation: str, member: str, /, **params: Any) -> Any:
        answer = self.call(service, operation, **params)
        assert "NextToken" not in answer
        return answer[member]


def test_service_status_has_a_line_for_each_policy_and_scheduled_action(world: World) -> None:
    api: Any = _Api(world)
    step: dict[str, Any] = {"AdjustmentType": "ChangeInCapacity"}
    step |= {"StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}]}
    put = {"PolicyType": "StepScaling", "StepScalingPolicyConfiguration": step}
    arn = world.ask("PutScalingPolicy", PolicyName="mine", **put)["PolicyARN"]
    world.ask("PutScalingPolicy", PolicyName="unused", **put)
    for number in range(12):
        world.put_alarm(f"alarm-{number:02}", arn, EvaluationPeriods=3, DatapointsToAlarm=2)
    metric = {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}
    configuration = {"TargetValue": 50, "PredefinedMetricSpecification": metric}
    world.ask(
        "PutScalingPolicy",
        PolicyName="cpu",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=configuration,
    )
    when = {"Schedule": "cron(0 9 * * ? *)", "Timezone": "Asia/Tokyo", "StartTime": 1_800_000_000}
    world.ask("PutScheduledAction", ScheduledActionName="day", **when, ScalableTargetAction={"MinCapacity": 3})
    found = scaling.read(api, "default", "web")
    cpu, mine, unused, day = scaling.lines(found)
    waiting = "INSUFFICIENT_DATA"
    assert cpu == (
        f"Scaling  cpu (target tracking)   high alarm {waiting} (3 × 60 s needed)   "
        f"low alarm {waiting} (15 × 60 s needed)"
    )
    assert mine.startswith(f"Scaling  mine (steps)   alarm alarm-00 {waiting} (2 × 60 s needed)   alarm alarm-01")
    assert mine.endswith("   and 2 more")
    assert unused == "Scaling  unused (steps)   no alarm invokes it"
    assert day == "Schedule day   cron(0 9 * * ? *)   Asia/Tokyo   min 3   from 2027-01-15T08:00Z"
    world.ask("DeregisterScalableTarget")
    assert list(scaling.lines(scaling.read(api, "default", "web"))) == []


def test_an_alarm_on_metric_math_has_its_period_in_its_queries() -> None:
    alarm = {"StateValue": "OK", "EvaluationPeriods": 3, "Metrics": [{"MetricStat": {"Period": 60}}, {"Period": 300}]}
    policy = {"PolicyName": "p", "PolicyType": "TargetTrackingScaling", "Alarms": [{"AlarmName": "x-AlarmHigh-1"}]}
    (line,) = scaling.lines({"policies": [policy], "alarms": {"x-AlarmHigh-1": alarm}, "scheduled": []})
    assert line == "Scaling  p (target tracking)   high alarm OK (3 × 300 s needed)"
