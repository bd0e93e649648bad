"""Anything that may happen to a scaled service, in any order: what always holds (behaviour.md 1.1-1.5, 1.7).

The production store and controllers of alarms and of all kinds of scaling run under operations as users
call them, metrics, deployments, tasks that don't start, and restarts. Each commit is checked at the moment at which it
is made, against what this file remembers by itself.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from scaling_world import KEY, World

from roadstead.control import predictive_scaling, scheduled_scaling, service_scaling, service_scaling_predictive
from roadstead.model import alarms, scaling, services, tables
from roadstead.signals import metrics
from roadstead.state import plan, store

DIMENSIONS = (("ClusterName", "default"), ("ServiceName", "web"))
CPU = metrics.metric("AWS/ECS", "CPUUtilization", DIMENSIONS)
MEMORY = metrics.metric("AWS/ECS", "MemoryUtilization", DIMENSIONS)
TRACKED = {"cpu": "CPU", "memory": "Memory"}
STEPPED = ("step-a", "step-b")
STEPS = [
    {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 20, "ScalingAdjustment": 10},
    {"MetricIntervalLowerBound": 20, "ScalingAdjustment": 40},
    {"MetricIntervalLowerBound": -30, "MetricIntervalUpperBound": 0, "ScalingAdjustment": -10},
    {"MetricIntervalUpperBound": -30, "ScalingAdjustment": -50},
]
EXACT = [
    {"MetricIntervalLowerBound": 0, "ScalingAdjustment": 9},
    {"MetricIntervalUpperBound": 0, "ScalingAdjustment": 3},
]

EVALUATED_SECONDS = 20.0
"""So long after the full minute every alarm was evaluated, and answered."""

percents = st.none() | st.integers(0, 120).map(float)
mostly = st.sampled_from([True, True, False])
cooldowns = st.sampled_from([0, 60, 150, 300])
counts = st.integers(0, 25)


def _forecast_of(name: str) -> dict[str, Any]:
    """The metric of that name, as predictive scaling's specifications take it."""
    metric = {"Namespace": "Shop", "MetricName": name}
    return {"MetricDataQueries": [{"Id": "m", "MetricStat": {"Metric": metric, "Stat": "Average"}}]}


class WatchedWorld(World):
    """A world in which each commit is looked at."""

    watcher: Watcher | None = None
    failure: AssertionError | None = None

    def begin(self, subject: store.Store) -> None:
        super().begin(subject)
        subject.watch(self._look)

    def _look(self, commit: store.Commit) -> None:
        """What fails here is kept: the stepper would take it for a decision that failed, and try again."""
        if self.watcher is not None and self.failure is None:
            try:
                self.watcher.look(commit, self.store.view())
            except AssertionError as failure:
                self.failure = failure

    def settle(self) -> None:
        super().settle()
        if self.failure is not None:
            raise self.failure


class Watcher:
    """Checks each activity against all that came before it, by memory of its own."""

    def __init__(self, desired: int) -> None:
        self.desired = desired
        self.newest_out: dict[str, tuple[float, int]] = {}
        """For each policy, when it last scaled out, and to how many."""
        self.newest_in: dict[str, float] = {}
        self.seen = 0

    def look(self, commit: store.Commit, view: store.StoreView) -> None:
        begun = [
            change.after
            for change in commit.changes
            if change.before is None and isinstance(change.after, scaling.ScalingActivity)
        ]
        for activity in sorted(begun, key=lambda one: one.number):
            self.seen += 1
            if activity.to_count is not None and activity.from_count is not None:
                self._change(activity, activity.from_count, activity.to_count, view)
            elif activity.not_scaled:
                assert activity.status == "Failed" and activity.ended_at is None
            elif activity.policy_name is None and activity.cause.startswith("scheduled action name "):
                target = view.get(scaling.ScalableTarget, KEY)
                assert target is not None and not target.suspended.scheduled_scaling
        for change in commit.changes:
            if isinstance(change.after, services.Service):
                assert change.after.spec.desired_count == self.desired, "every change of the count is told"

    def _change(self, activity: scaling.ScalingActivity, before: int, after: int, view: store.StoreView) -> None:
        assert before == self.desired, "each activity begins where the last one ended"
        assert before != after
        target = view.get(scaling.ScalableTarget, KEY)
        assert target is not None
        assert target.min_capacity <= after <= target.max_capacity
        self.desired = after
        if activity.policy_name is None:
            bound = min(max(before, target.min_capacity), target.max_capacity)
            assert after == bound, "bounds move the count to the next bound, no further"
            return
        policy = view.get(scaling.ScalingPolicy, f"{KEY}|{activity.policy_name}")
        assert policy is not None
        if after > before:
            assert not target.suspended.dynamic_scaling_out
            self._out(policy, activity.started_at, before, after)
        else:
            service = view.get(services.Service, "default/web")
            assert service is not None and service.primary.rollout_state != "IN_PROGRESS"
            assert not target.suspended.dynamic_scaling_in
            floor = service_scaling_predictive.floor(view, target, activity.started_at)
            assert after >= min(before, floor), "no policy scales in below what is predicted"
            self._in(policy, activity.started_at, view)

    def _out(self, policy: scaling.ScalingPolicy, now: float, before: int, after: int) -> None:
        if policy.predictive_scaling is not None:
            assert policy.predictive_scaling.mode == "ForecastAndScale"
            self.newest_in.clear()
            return
        at, reached = self.newest_out.get(policy.policy_name, (-1e12, 0))
        cooling = now < at + cooldown_seconds(policy)[0] - service_scaling.MOMENT_SECONDS
        if cooling and (before >= reached or policy.target_tracking is not None):
            assert after > reached, "within the cooldown only more than it added already"
        self.newest_out[policy.policy_name] = (now, after)
        self.newest_in.clear()

    def _in(self, policy: scaling.ScalingPolicy, now: float, view: store.StoreView) -> None:
        assert policy.predictive_scaling is None, "it never scales in"
        self._rested(policy, now)
        if policy.target_tracking is not None:
            for voter in view.find(tables.SCALING_POLICIES, "by_target", KEY):
                if voter.target_tracking is None or voter.alarm_low is None:
                    continue
                alarm = view.get(alarms.MetricAlarm, voter.alarm_low)
                assert alarm is not None and alarm.observed.state == "ALARM", f"{voter.policy_name} objects"
                self._rested(voter, now)
        self.newest_in[policy.policy_name] = now
        self.newest_out.clear()

    def _rested(self, policy: scaling.ScalingPolicy, now: float) -> None:
        at = self.newest_in.get(policy.policy_name, -1e12)
        assert now >= at + cooldown_seconds(policy)[1] - service_scaling.MOMENT_SECONDS, "its cooldown runs"


def cooldown_seconds(policy: scaling.ScalingPolicy) -> tuple[int, int]:
    """After scaling out, and after scaling in."""
    if policy.step_scaling is not None:
        return policy.step_scaling.cooldown_seconds, policy.step_scaling.cooldown_seconds
    return policy.tracking.scale_out_cooldown_seconds, policy.tracking.scale_in_cooldown_seconds


class ScaledService(RuleBasedStateMachine):
    """The service `web`, and everything that users and load do to it."""

    def __init__(self) -> None:
        super().__init__()
        self.world = WatchedWorld(desired=6, minimum=2, maximum=20)
        self.watcher = self.world.watcher = Watcher(6)

    # -- load, and the world

    @rule(minutes=st.integers(1, 18), cpu=percents, memory=percents, own=percents)
    def load(self, minutes: int, cpu: float | None, memory: float | None, own: float | None) -> None:
        """So many minutes of CPU, memory and a metric of the user's own, each told before its alarms are evaluated."""
        for _ in range(minutes):
            self.world.run((self.world.now // 60 + 1) * 60 - 1)
            self.world.now += 1
            for metric, value, unit in ((CPU, cpu, "Percent"), (MEMORY, memory, "Percent")):
                if value is not None:
                    self.world.measure(value, metric, unit)
            if own is not None:
                self.world.measure(own)
            self.world.run(self.world.now + EVALUATED_SECONDS)

    @rule(minutes=st.integers(15, 20), value=st.integers(0, 44).map(float), own=percents)
    def silence(self, minutes: int, value: float, own: float | None) -> None:
        """Long enough for every low alarm."""
        self.load(minutes, value, value, own)

    @rule(minutes=st.integers(3, 6), value=st.integers(51, 120).map(float), own=percents)
    def rush(self, minutes: int, value: float, own: float | None) -> None:
        """Long enough for every high alarm."""
        self.load(minutes, value, value, own)

    @rule(value=st.integers(51, 120).map(float), count=st.integers(0, 5))
    def rush_that_a_user_undoes(self, value: float, count: int) -> None:
        self.rush(4, value, None)
        self.update_service(count)
        self.rush(2, value, None)

    @rule(going_on=st.booleans())
    def deploy(self, going_on: bool) -> None:
        state: Any = "IN_PROGRESS" if going_on else "COMPLETED"
        service = self.world.service
        rolled = msgspec.structs.replace(service.primary, rollout_state=state)
        self.world.put(msgspec.structs.replace(service, deployments=(rolled,)))
        self.world.answer()

    @rule(count=counts)
    def some_tasks_do_not_start(self, count: int) -> None:
        """From now on no task starts or stops, and so many run."""
        self.world.follows = False
        self.world.set_running(min(count, self.world.desired))
        self.world.answer()

    @rule()
    def tasks_follow_again(self) -> None:
        self.world.follows = True
        self.world.answer()

    @rule(down_seconds=st.sampled_from([0.0, 5.0, 4000.0]))
    def restart(self, down_seconds: float) -> None:
        before = self.world.desired
        self.world.restart(down_seconds)
        if not down_seconds:
            assert self.world.desired == before, "a restart decides nothing"
        self.world.answer()

    # -- what users do

    @rule(count=counts)
    def update_service(self, count: int) -> None:
        self.watcher.desired = count
        self.world.set_desired(count)
        self.world.answer()

    @rule(low=st.none() | st.integers(0, 8), high=st.none() | st.integers(8, 25))
    def register(self, low: int | None, high: int | None) -> None:
        given = {"MinCapacity": low, "MaxCapacity": high}
        wanted = {name: value for name, value in given.items() if value is not None}
        now = self.world.target
        if (low if low is not None else now.min_capacity) <= (high if high is not None else now.max_capacity):
            self.world.ask("RegisterScalableTarget", **wanted)
            assert self.world.target.min_capacity <= self.world.desired <= self.world.target.max_capacity

    @rule(out=mostly, inward=mostly, scheduled=mostly)
    def suspend(self, out: bool, inward: bool, scheduled: bool) -> None:
        suspended = {
            "DynamicScalingOutSuspended": out,
            "DynamicScalingInSuspended": inward,
            "ScheduledScalingSuspended": scheduled,
        }
        self.world.ask("RegisterScalableTarget", SuspendedState=suspended)

    @rule(name=st.sampled_from(sorted(TRACKED)), out=cooldowns, inward=cooldowns, disable=st.booleans())
    def put_tracking(self, name: str, out: int, inward: int, disable: bool) -> None:
        configuration = {
            "TargetValue": 50,
            "PredefinedMetricSpecification": {"PredefinedMetricType": f"ECSServiceAverage{TRACKED[name]}Utilization"},
            "ScaleOutCooldown": out,
            "ScaleInCooldown": inward,
            "DisableScaleIn": disable,
        }
        self.world.ask(
            "PutScalingPolicy",
            PolicyName=name,
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=configuration,
        )

    @rule(name=st.sampled_from(STEPPED), cooldown=cooldowns, exact=st.booleans(), aggregation=st.booleans())
    def put_steps(self, name: str, cooldown: int, exact: bool, aggregation: bool) -> None:
        configuration = {
            "AdjustmentType": "ExactCapacity" if exact else "PercentChangeInCapacity",
            "StepAdjustments": EXACT if exact else STEPS,
            "Cooldown": cooldown,
            "MetricAggregationType": "Maximum" if aggregation else "Average",
        }
        arn = self.world.ask(
            "PutScalingPolicy", PolicyName=name, PolicyType="StepScaling", StepScalingPolicyConfiguration=configuration
        )["PolicyARN"]
        self.world.put_alarm(f"{name}-high", arn, Threshold=70, EvaluationPeriods=2 if aggregation else 1)
        self.world.put_alarm(f"{name}-low", arn, Threshold=30, ComparisonOperator="LessThanThreshold")

    @rule(
        scales=mostly,
        each=st.sampled_from([30.0, 60.0, 200.0]),
        buffer_seconds=st.sampled_from([0, 300, 3600]),
        buffer_percent=st.none() | st.integers(0, 50),
    )
    def put_forecast(self, scales: bool, each: float, buffer_seconds: int, buffer_percent: int | None) -> None:
        """Orders are forecast, so many for each task; with a buffer in percent the maximum may be raised."""
        specification = {
            "TargetValue": each,
            "CustomizedLoadMetricSpecification": _forecast_of("Orders"),
            "CustomizedScalingMetricSpecification": _forecast_of("OrdersPerTask"),
            "CustomizedCapacityMetricSpecification": _forecast_of("Tasks"),
        }
        configuration: dict[str, Any] = {
            "MetricSpecifications": [specification],
            "Mode": "ForecastAndScale" if scales else "ForecastOnly",
            "SchedulingBufferTime": buffer_seconds,
        }
        if buffer_percent is not None:
            configuration |= {"MaxCapacityBreachBehavior": "IncreaseMaxCapacity", "MaxCapacityBuffer": buffer_percent}
        self.world.ask(
            "PutScalingPolicy",
            PolicyName="foresee",
            PolicyType="PredictiveScaling",
            PredictiveScalingPolicyConfiguration=configuration,
        )

    @rule(hours=st.integers(1, 7), orders=st.integers(0, 900).map(float))
    def hours_pass(self, hours: int, orders: float) -> None:
        """So many hours with that many orders in each; every other metric is silent."""
        for _ in range(hours):
            self.world.run((self.world.now // 3600 + 1) * 3600)
            self._take_orders(self.world.now - 3600, orders)
            self.world.answer()

    def _take_orders(self, hour: float, orders: float) -> None:
        """So many in each minute of an hour, told every two minutes."""
        data = tuple(
            metrics.Datum(metric=metrics.metric("Shop", name), timestamp=hour + 120 * place, values=(value,))
            for name, value in (("Orders", orders), ("OrdersPerTask", orders / 4), ("Tasks", 4.0))
            for place in range(30)
        )
        self.world.store.commit(plan.Plan(data=data), self.world.now)

    @precondition(lambda self: self.policies())
    @rule(data=st.data())
    def delete_policy(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([one.policy_name for one in self.policies()]))
        self.world.ask("DeleteScalingPolicy", PolicyName=name)
        self.watcher.newest_out.pop(name, None)
        self.watcher.newest_in.pop(name, None)
        if name in STEPPED:
            self.world.call("cloudwatch", "DeleteAlarms", AlarmNames=[f"{name}-high", f"{name}-low"])

    @rule(
        name=st.sampled_from("xy"),
        schedule=st.sampled_from(["rate(7 minutes)", "rate(1 hour)", "cron(0/20 * * * ? *)", "cron(30 23 * * ? *)"]),
        low=st.integers(0, 9),
        room=st.integers(0, 20),
    )
    def schedule(self, name: str, schedule: str, low: int, room: int) -> None:
        bounds = {"MinCapacity": low, "MaxCapacity": low + room}
        self.world.ask("PutScheduledAction", ScheduledActionName=name, Schedule=schedule, ScalableTargetAction=bounds)

    @precondition(lambda self: self.alarms())
    @rule(data=st.data(), value=st.integers(0, 150), state=st.sampled_from(["OK", "ALARM", "INSUFFICIENT_DATA"]))
    def set_alarm_state(self, data: st.DataObject, value: int, state: str) -> None:
        name = data.draw(st.sampled_from(self.alarms()))
        told = json.dumps({"recentDatapoints": [value]})
        force = {"AlarmName": name, "StateValue": state, "StateReason": "a test"}
        self.world.call("cloudwatch", "SetAlarmState", **force, StateReasonData=told)
        self.world.answer()

    @precondition(lambda self: self.alarms())
    @rule(data=st.data(), on=st.booleans())
    def switch_actions(self, data: st.DataObject, on: bool) -> None:
        name = data.draw(st.sampled_from(self.alarms()))
        self.world.call("cloudwatch", "EnableAlarmActions" if on else "DisableAlarmActions", AlarmNames=[name])
        self.world.answer()

    # -- what always holds

    @invariant()
    def deciding_again_decides_nothing(self) -> None:
        for one in (service_scaling, scheduled_scaling, predictive_scaling):
            assert one.reconcile(self.world.store.view(), KEY, self.world.now).is_empty

    @invariant()
    def the_count_is_what_was_told(self) -> None:
        assert self.world.desired == self.watcher.desired == self.world.service.primary.desired_count

    @invariant()
    def at_most_one_activity_is_unfinished_and_it_is_the_newest_change(self) -> None:
        changes = [one for one in self.world.told if one.to_count is not None]
        unfinished = [one for one in changes if one.status in ("Pending", "InProgress")]
        assert unfinished in ([], changes[:1])
        if unfinished:
            assert unfinished[0].to_count == self.world.desired

    def policies(self) -> list[scaling.ScalingPolicy]:
        return list(self.world.store.view().find(tables.SCALING_POLICIES, "by_target", KEY))

    def alarms(self) -> list[str]:
        return sorted(one.name for one in self.world.store.view().find(tables.ALARMS, "listing", "all"))


class BusyService(ScaledService):
    """The same, which has policies of each kind from the beginning: so that most steps find something to do."""

    def __init__(self) -> None:
        super().__init__()
        self.put_tracking("cpu", 60, 150, False)
        self.put_tracking("memory", 150, 60, False)
        self.put_steps("step-a", 150, False, False)
        hour = self.world.now // 3600 * 3600
        for age in range(1, 31):
            self._take_orders(hour - 3600 * age, 180.0 * (age % 5 + 1))
        self.put_forecast(True, 60.0, 300, None)
        self.schedule("x", "rate(1 hour)", 3, 15)


TestFromNothing = ScaledService.TestCase
TestFromNothing.settings = settings(max_examples=30, stateful_step_count=25)
TestBusy = pytest.mark.slow(BusyService.TestCase)
TestBusy.settings = settings(max_examples=60, stateful_step_count=30)


def test_the_machine_sees_each_kind_of_change() -> None:
    """It is worth its time only where each kind acts."""
    machine = BusyService()
    machine.load(4, 90.0, 40.0, 50.0)
    machine.load(16, 10.0, 10.0, 50.0)
    machine.load(3, 48.0, 48.0, 95.0)
    machine.load(3, 48.0, 48.0, 5.0)
    machine.update_service(1)
    machine.register(4, None)
    machine.restart(4000.0)
    machine.hours_pass(6, 60.0)
    told = {(one.policy_name, one.to_count > one.from_count) for one in machine.world.told if one.to_count is not None}
    assert {("cpu", True), ("step-a", True), ("step-a", False), (None, True)} <= told
    assert ("foresee", True) in told
    assert told & {("cpu", False), ("memory", False)}
    assert machine.watcher.seen >= 6
