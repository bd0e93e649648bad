"""`roadstead explain service` and `service status`: what they say of policies, scheduled actions and decisions."""

from __future__ import annotations

from typing import Any

import msgspec
from scaling_world import World

from roadstead.api.explain import reasons, service
from roadstead.cli import scaling
from roadstead.signals import metrics


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
    assert cooldown.text == "no scale-out: its cooldown runs for another 299 s, only more than 13 is let through"
    assert alarm.text.startswith("alarm mine ALARM 1 of 1: Threshold Crossed: 1 datapoint [75.0 ")
    assert (cooldown.code, cooldown.counts) == ("COOLDOWN", {"seconds": 299.0})
    (decisions,) = (one for one in explained(world) if one.code == "DECISIONS")
    assert decisions.reasons[0].text == (
        "1 s ago, 10 → 13, Successful: policy out, alarm mine: Load 75, threshold 50: "
        "75 - 50 = 25 is in [20, +inf): 10 + 30 % = 13; cooldown runs for another 299 s"
    )
    assert decisions.reasons[0].counts["threshold"] == 50.0


def test_of_many_data_points_explain_tells_the_newest() -> None:
    many = (
        "Threshold Crossed: 2 datapoints [0.5 (22/11/26 16:24:40), 1e-05 (22/11/26 16:24:20)] were less than 1 [a, b]."
    )
    said = "Threshold Crossed: 2 datapoints [0.5 (22/11/26 16:24:40), …] were less than 1 [a, b]."
    assert reasons.newest_datapoint(many) == said
    one = "Threshold Crossed: 1 datapoint [75.0 (14/11/23 22:14:00)] was greater than the threshold (50.0)."
    assert reasons.newest_datapoint(one) == one


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


# -- each decision in a line, and why there is none


CPU = metrics.metric("AWS/ECS", "CPUUtilization", (("ClusterName", "default"), ("ServiceName", "web")))
MEMORY = metrics.metric("AWS/ECS", "MemoryUtilization", (("ClusterName", "default"), ("ServiceName", "web")))


def track(world: World, name: str = "CPU", **more: Any) -> None:
    metric = {"PredefinedMetricType": f"ECSServiceAverage{name}Utilization"}
    world.ask(
        "PutScalingPolicy",
        PolicyName=name.lower(),
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={"TargetValue": 50, "PredefinedMetricSpecification": metric, **more},
    )


def minutes(world: World, count: int, cpu: float, memory: float | None = None) -> None:
    for _ in range(count):
        world.pass_minute()
        world.measure(cpu, CPU, "Percent")
        if memory is not None:
            world.measure(memory, MEMORY, "Percent")
        world.answer()


def decided(world: World) -> list[str]:
    (found,) = (one for one in explained(world) if one.code == "DECISIONS")
    return [one.text for one in found.reasons]


def obstacles(world: World, name: str = "cpu") -> list[str]:
    """What stands in a policy's way."""
    (found,) = (one for one in explained(world) if one.code == "POLICY" and one.text.startswith(f"policy {name}:"))
    return [one.text for one in found.reasons if one.text.startswith(("no ", "cooldown "))]


def test_a_decision_tells_metric_target_what_was_computed_what_bounded_it_and_the_cooldown() -> None:
    world = World(desired=10, maximum=15)
    track(world)
    minutes(world, 3, 60.0)
    assert decided(world) == [
        "1 s ago, 10 → 12, Successful: policy cpu, AlarmHigh: ECSServiceAverageCPUUtilization 60, target 50: "
        "ceil(10 × 60 / 50) = 12; cooldown runs for another 299 s"
    ]
    minutes(world, 6, 95.0)
    refused, bounded, first = decided(world)
    assert refused == (
        "1 s ago, not scaled: AlreadyAtMaxCapacity: policy cpu, AlarmHigh: ECSServiceAverageCPUUtilization 95, "
        "target 50: ceil(15 × 95 / 50) = 29, bounded to 15 by the maximum"
    )
    assert bounded.startswith("5 min ago, 12 → 15, Successful: policy cpu, AlarmHigh: ")
    assert bounded.endswith(": ceil(12 × 95 / 50) = 23, bounded to 15 by the maximum")
    assert first.endswith("ceil(10 × 60 / 50) = 12"), "its cooldown is over: the newest change began another"


def test_decisions_of_schedules_and_bounds_tell_their_cause(world: World) -> None:
    bounds = {"MinCapacity": 20, "MaxCapacity": 30}
    world.ask("PutScheduledAction", ScheduledActionName="up", Schedule="rate(1 hour)", ScalableTargetAction=bounds)
    bounds = {"MinCapacity": 40}
    world.ask("PutScheduledAction", ScheduledActionName="wrong", Schedule="rate(2 hours)", ScalableTargetAction=bounds)
    world.run(world.now + 2 * 3600)
    assert decided(world)[:2] == [
        "0 s ago, Setting min capacity to 40, Failed: scheduled action name wrong was triggered: Failed to set min "
        "capacity to 40. Reason: The maximum capacity, 30, would be less than the minimum capacity, 40.",
        "0 s ago, Setting min capacity to 20 and max capacity to 30, Successful: "
        "scheduled action name up was triggered",
    ]
    world.set_desired(5)
    world.ask("RegisterScalableTarget")
    assert decided(world)[0] == "0 s ago, 5 → 20, Successful: minimum capacity was set to 20"


def test_where_nothing_happens_it_says_why_not() -> None:
    world = World(desired=10, minimum=2, maximum=20)
    track(world)
    track(world, "Memory", DisableScaleIn=True)
    assert obstacles(world) == [
        "no scale-out: its high alarm has insufficient data",
        "no scale-in: its low alarm has insufficient data",
    ]
    assert obstacles(world, "memory")[1] == "no scale-in: DisableScaleIn is set"
    at_rest = ["no scale-out: its high alarm is OK", "no scale-in: its low alarm is OK"]
    minutes(world, 3, 48.0)
    assert obstacles(world) == at_rest
    minutes(world, 3, 60.0)
    cooling = "no scale-out: its cooldown runs for another 299 s, only more than 12 is let through"
    assert obstacles(world) == [cooling, at_rest[1]]
    minutes(world, 1, 49.0)
    assert obstacles(world) == ["cooldown runs for another 239 s", *at_rest], "also where nothing is asked for"
    world.ask("RegisterScalableTarget", SuspendedState={"DynamicScalingOutSuspended": True})
    minutes(world, 3, 90.0)
    assert "no scale-out: dynamic scaling out is suspended" in obstacles(world)
    (bounds,) = (one.text for one in explained(world) if one.code == "BOUNDS")
    assert bounds == "scalable target: min 2, max 20; suspended: scaling out"


def test_why_it_does_not_scale_in() -> None:
    world = World(desired=10, minimum=2, maximum=20)
    track(world)
    track(world, "Memory")
    minutes(world, 16, 30.0, 46.0)
    assert obstacles(world)[1] == "no scale-in: policy memory objects: its low alarm is OK"
    rolling = msgspec.structs.replace(world.service.primary, rollout_state="IN_PROGRESS")
    world.put(msgspec.structs.replace(world.service, deployments=(rolling,)))
    minutes(world, 16, 30.0, 30.0)
    assert obstacles(world)[1] == "no scale-in: a deployment is in progress"
    assert decided(world)[0].split(": ")[1] == "TargetServicePutResourceAsUnscalable"
    done = msgspec.structs.replace(world.service.primary, rollout_state="COMPLETED")
    world.put(msgspec.structs.replace(world.service, deployments=(done,)))
    minutes(world, 1, 30.0, 30.0)
    assert world.desired == 6
    assert decided(world)[0].endswith("ceil(10 × 30 / 50) = 6; cooldown runs for another 299 s")
    assert sorted(obstacles(world, name)[1] for name in ("cpu", "memory")) == [
        "no scale-in: its cooldown runs for another 299 s",
        "no scale-in: policy cpu objects: its cooldown runs for another 299 s",
    ]
    minutes(world, 20, 1.0, 1.0)
    assert world.desired == 2
    assert obstacles(world)[-1] == "no scale-in: the desired count is at the minimum, 2"


def test_why_a_step_policy_does_nothing(world: World) -> None:
    steps = {
        "AdjustmentType": "ChangeInCapacity",
        "StepAdjustments": [{"MetricIntervalLowerBound": 10, "ScalingAdjustment": 2}],
    }
    put = {"PolicyType": "StepScaling", "StepScalingPolicyConfiguration": steps}
    arn = world.ask("PutScalingPolicy", PolicyName="out", **put)["PolicyARN"]
    world.put_alarm("mine", arn)
    nothing = "no scaling: no alarm is in a state that invokes it, but "
    assert obstacles(world, "out") == [f"{nothing}INSUFFICIENT_DATA"]
    world.minute(20)
    assert obstacles(world, "out") == [f"{nothing}OK"]
    world.minute(55)
    assert obstacles(world, "out") == ["no scaling: no step is for 55, +5 from the threshold of mine"]
    world.ask("RegisterScalableTarget", MaxCapacity=10)
    world.minute(70)
    assert obstacles(world, "out") == ["no scale-out: the desired count is at the maximum, 10"]
    world.call("cloudwatch", "DisableAlarmActions", AlarmNames=["mine"])
    assert obstacles(world, "out") == ["no scaling: the actions of mine are disabled"]
    world.call("cloudwatch", "EnableAlarmActions", AlarmNames=["mine"])
    world.ask("PutScalingPolicy", PolicyName="idle", **put)
    assert obstacles(world, "idle") == ["no alarm has this policy as its action: PutMetricAlarm with its ARN makes one"]
    world.put_alarm("silent", arn, MetricName="Silence")
    force = {"AlarmName": "silent", "StateValue": "ALARM", "StateReason": "test"}
    world.call("cloudwatch", "SetAlarmState", **force)
    assert obstacles(world, "out") == [
        "no scale-out: the desired count is at the maximum, 10",
        "no scaling: silent has no data to choose a step by",
    ]
