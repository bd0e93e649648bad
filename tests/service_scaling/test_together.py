"""All kinds of scaling on one service under any load: what always holds (behaviour.md 1.1-1.5)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scaling_world import World

from roadstead.model import alarms, record, scaling, tables
from roadstead.signals import metrics

DIMENSIONS = (("ClusterName", "default"), ("ServiceName", "web"))
CPU = metrics.metric("AWS/ECS", "CPUUtilization", DIMENSIONS)
MEMORY = metrics.metric("AWS/ECS", "MemoryUtilization", DIMENSIONS)
OUT_COOLDOWN, IN_COOLDOWN, STEP_COOLDOWN = 120, 180, 150

percents = st.none() | st.integers(0, 120).map(float)
spells = st.tuples(st.integers(1, 20), percents, percents, percents, st.sampled_from([None] * 6 + [0, 3, 25]))
"""So many minutes of CPU, memory, the user's own metric; sometimes a user sets the count first."""


def made(disable_scale_in: bool) -> World:
    """Two target tracking policies, a step policy in both directions, and a schedule."""
    world = World(minimum=2, maximum=20)
    for name, kind in (("cpu", "CPU"), ("memory", "Memory")):
        configuration = {
            "TargetValue": 50,
            "PredefinedMetricSpecification": {"PredefinedMetricType": f"ECSServiceAverage{kind}Utilization"},
            "ScaleOutCooldown": OUT_COOLDOWN,
            "ScaleInCooldown": IN_COOLDOWN,
            "DisableScaleIn": disable_scale_in and name == "memory",
        }
        world.ask(
            "PutScalingPolicy",
            PolicyName=name,
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=configuration,
        )
    steps = [
        {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 20, "ScalingAdjustment": 10},
        {"MetricIntervalLowerBound": 20, "ScalingAdjustment": 40},
        {"MetricIntervalLowerBound": -30, "MetricIntervalUpperBound": 0, "ScalingAdjustment": -10},
        {"MetricIntervalUpperBound": -30, "ScalingAdjustment": -50},
    ]
    configuration = {"AdjustmentType": "PercentChangeInCapacity", "StepAdjustments": steps, "Cooldown": STEP_COOLDOWN}
    arn = world.ask(
        "PutScalingPolicy", PolicyName="step", PolicyType="StepScaling", StepScalingPolicyConfiguration=configuration
    )["PolicyARN"]
    world.put_alarm("step-high", arn, Threshold=70)
    world.put_alarm("step-low", arn, Threshold=30, ComparisonOperator="LessThanThreshold")
    for name, schedule, low, high in (("small", "rate(29 minutes)", 1, 4), ("large", "rate(11 minutes)", 5, 30)):
        bounds = {"MinCapacity": low, "MaxCapacity": high}
        world.ask("PutScheduledAction", ScheduledActionName=name, Schedule=schedule, ScalableTargetAction=bounds)
    return world


def cooldown_seconds(policy: str, direction: str) -> int:
    if policy == "step":
        return STEP_COOLDOWN
    return OUT_COOLDOWN if direction == "out" else IN_COOLDOWN


class Watch:
    """Checks each new activity against all that came before it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen: set[str] = set()
        self.newest_out: dict[str, tuple[float, int]] = {}
        self.newest_in: dict[str, float] = {}

    def look(self) -> None:
        fresh = [one for one in reversed(self.world.told) if one.activity_id not in self.seen]
        for activity in fresh:
            self.seen.add(activity.activity_id)
            if activity.to_count is None or activity.from_count is None:
                continue
            numbers = activity.numbers
            assert numbers.min_capacity is not None
            assert numbers.max_capacity is not None
            assert numbers.min_capacity <= activity.to_count <= numbers.max_capacity
            if activity.policy_name is not None:
                self._policy(activity, activity.policy_name, activity.from_count, activity.to_count)

    def _policy(self, activity: scaling.ScalingActivity, name: str, before: int, after: int) -> None:
        assert before != after
        now = activity.started_at
        if after > before:
            at, reached = self.newest_out.get(name, (-1e9, 0))
            if now < at + cooldown_seconds(name, "out") and before >= reached:
                assert after > reached, "within the cooldown only more than it added already"
            self.newest_out[name] = (now, after)
            self.newest_in.clear()
            return
        at = self.newest_in.get(name, -1e9)
        assert now >= at + cooldown_seconds(name, "in"), "no scale-in within the cooldown"
        self.newest_in[name] = now
        self.newest_out.clear()
        if name != "step":
            for alarm in self._low_alarms():
                assert alarm.observed.state == "ALARM", "no target tracking scale-in while one of them objects"

    def _low_alarms(self) -> list[alarms.MetricAlarm]:
        policies = self.world.store.view().find(tables.SCALING_POLICIES, "by_namespace", "ecs")
        return [self.world.get(alarms.MetricAlarm, one.alarm_low) for one in policies if one.alarm_low]


@settings(max_examples=40, deadline=None)
@given(st.lists(spells, min_size=2, max_size=9), st.booleans(), st.sampled_from([None, None, 7, 23]))
@pytest.mark.rule("1.2#8", "1.2#13", "1.3.4#in", "1.3.4#out")
def test_any_load_keeps_bounds_cooldowns_and_the_vote(
    loads: list[tuple[Any, ...]], disable_scale_in: bool, restarts_each: int | None
) -> None:
    world = made(disable_scale_in)
    watch = Watch(world)
    each_minute = [(*values, set_by_user if n == 0 else None) for m, *values, set_by_user in loads for n in range(m)]
    for number, (cpu, memory, own, set_by_user) in enumerate(each_minute):
        world.pass_minute()
        for metric, value in ((CPU, cpu), (MEMORY, memory)):
            if value is not None:
                world.measure(value, metric, "Percent")
        if own is not None:
            world.measure(own)
        if set_by_user is not None:
            world.set_desired(set_by_user)
        world.answer()
        if restarts_each is not None and number % restarts_each == 0:
            revision = world.desired
            world.restart()
            assert world.desired == revision, "a restart decides nothing"
        watch.look()


def test_all_kinds_take_part() -> None:
    """The generator above is worth its time only where each of them acts."""
    world = made(disable_scale_in=True)
    for number in range(60):
        world.pass_minute()
        busy = number % 30 < 8
        world.measure(90.0 if busy else 5.0, CPU, "Percent")
        world.measure(40.0, MEMORY, "Percent")
        world.measure(95.0 if number % 20 < 3 else 20.0 if number % 20 > 15 else 50.0)
        world.answer()
    moved = {(one.policy_name, (one.to_count or 0) > (one.from_count or 0)) for one in world.told if one.to_count}
    assert {("cpu", True), ("cpu", False), ("step", True), ("step", False), (None, True), (None, False)} <= moved


def test_policies_written_by_an_earlier_version_are_read() -> None:
    """Records outlive versions: a target tracking policy from before there were others."""
    old = (
        b'{"namespace":"ecs","resource_id":"service/default/web","dimension":"ecs:service:DesiredCount",'
        b'"policy_name":"cpu","policy_id":"1","created_at":5.0,"target_tracking":{"target_value":50.0,'
        b'"predefined_metric":"ECSServiceAverageCPUUtilization"},"created_by_id":"2","alarm_high":"h","alarm_low":"l"}'
    )
    policy = msgspec.json.decode(old, type=scaling.ScalingPolicy)
    assert (policy.tracking.target_value, policy.step_scaling, policy.alarm_low) == (50.0, None, "l")
    assert isinstance(policy, record.Record)
    observed = msgspec.json.decode(b'{"state_updated_at":1.0,"state_transitioned_at":1.0}', type=alarms.AlarmObserved)
    assert observed.window is None
    assert isinstance(observed, record.Value)
