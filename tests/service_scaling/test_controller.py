"""Service auto scaling over a store: alarms ask, the desired count follows, activities tell (behaviour.md 1.1-1.7)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from scaling_world import KEY, ServiceWorld

from roadstead.base import scope
from roadstead.control import service_scaling
from roadstead.control import service_scaling_activities as activities
from roadstead.model import alarms, record, scaling, scaling_names, services
from roadstead.state import plan, store

PASSES_MAX = 5


class World(ServiceWorld):
    """A service `web` with a scalable target 1..10 and one policy at 50 %, and a clock that the test moves."""

    def __init__(self, *, desired: int = 4, running: int | None = None, minimum: int = 1, maximum: int = 10) -> None:
        super().__init__(10_000.0, desired=desired)
        self.put(
            scaling.ScalableTarget(
                namespace="ecs",
                resource_id="service/default/web",
                dimension="ecs:service:DesiredCount",
                target_id="t",
                created_at=0.0,
                min_capacity=minimum,
                max_capacity=maximum,
                role_arn="role",
            ),
        )
        self.add_policy("cpu")
        self.set_running(desired if running is None else running)

    def add_policy(self, name: str, **more: Any) -> None:
        policy = scaling.ScalingPolicy(
            namespace="ecs",
            resource_id="service/default/web",
            dimension="ecs:service:DesiredCount",
            policy_name=name,
            policy_id=f"{name}-id",
            created_at=0.0,
            created_by_id=f"{name}-by",
            target_tracking=scaling.TargetTracking(target_value=50.0, predefined_metric=name, **more),
            alarm_high=f"{name}-high",
            alarm_low=None if more.get("disable_scale_in") else f"{name}-low",
        )
        self.put(policy)
        for alarm in (policy.alarm_high, policy.alarm_low):
            if alarm is not None:
                self._put_alarm(policy, alarm)

    def _put_alarm(self, policy: scaling.ScalingPolicy, name: str) -> None:
        self.put(
            alarms.MetricAlarm(
                name=name,
                created_at=0.0,
                spec=alarms.AlarmSpec(
                    namespace="AWS/ECS",
                    metric_name="CPUUtilization",
                    period_seconds=60,
                    evaluation_periods=3,
                    threshold=50.0,
                    comparison_operator="GreaterThanThreshold",
                    alarm_actions=(scaling_names.alarm_action(scope.Scope(), policy),),
                ),
                spec_updated_at=0.0,
                observed=alarms.AlarmObserved(state="OK", state_updated_at=0.0, state_transitioned_at=0.0),
            )
        )

    def alarm(self, name: str, value: float | None, measured_at: float | None = None) -> None:
        """The alarm is in ALARM, and its actions are due now."""
        at = self.now if measured_at is None else measured_at
        self._observe(name, state="ALARM", newest_value=value, newest_value_at=at, actions_at=self.now)

    def quiet(self, name: str) -> None:
        """The alarm is OK again."""
        self._observe(name, state="OK", actions_at=None)

    def _observe(self, name: str, **changes: Any) -> None:
        found = self.get(alarms.MetricAlarm, name)
        self.put(msgspec.structs.replace(found, observed=msgspec.structs.replace(found.observed, **changes)))

    def settle(self) -> float | None:
        """Run the controller until it rests; its wake-up time."""
        for _ in range(PASSES_MAX):
            wanted = service_scaling.reconcile(self.store.view(), KEY, self.now)
            if wanted.is_empty:
                return wanted.wake_at
            self.store.commit(wanted, self.now)
        raise AssertionError("it does not come to rest")

    @property
    def desired(self) -> int:
        assert self.service.spec.desired_count == self.service.primary.desired_count
        return self.service.spec.desired_count

    @property
    def memory(self) -> scaling.PolicyMemory:
        found: scaling.ScalingPolicy = self.get(scaling.ScalingPolicy, f"{KEY}|cpu")
        return found.memory


@pytest.mark.rule("1.7#InProgress", "1.7#capacity description", "1.7#policy cause", "1.7#in progress")
def test_a_high_alarm_raises_the_desired_count_and_the_activity_says_why() -> None:
    world = World()
    world.alarm("cpu-high", 80.0)
    wake_at = world.settle()
    assert world.desired == 7
    (activity,) = world.told
    assert activity.description == "Setting desired count to 7."
    assert activity.cause == "monitor alarm cpu-high in state ALARM triggered policy cpu"
    assert (activity.status, activity.ended_at) == ("InProgress", None)
    assert activity.status_message == "Successfully set desired count to 7. Waiting for change to be fulfilled by ecs."
    assert (activity.from_count, activity.to_count, activity.policy_name) == (4, 7, "cpu")
    assert activity.numbers.formula == "ceil(4 × 80 / 50) = 7"
    assert wake_at == world.now + activities.FULFILMENT_SECONDS_MAX
    assert (world.memory.out_at, world.memory.out_from, world.memory.out_to) == (world.now, 4, 7)


@pytest.mark.rule("1.7#Successful", "1.7#capacity done")
def test_an_activity_is_successful_when_the_tasks_run() -> None:
    world = World()
    world.alarm("cpu-high", 80.0)
    world.settle()
    world.now += 20
    world.set_running(6)
    world.settle()
    assert world.told[0].status == "InProgress"
    world.now += 20
    world.set_running(7)
    assert world.settle() is None
    activity = world.told[0]
    assert (activity.status, activity.ended_at) == ("Successful", world.now)
    assert activity.status_message == "Successfully set desired count to 7. Change successfully fulfilled by ecs."


@pytest.mark.rule("1.7#Unfulfilled")
def test_an_activity_that_is_not_fulfilled_in_time_ends_unfulfilled() -> None:
    world = World()
    world.alarm("cpu-high", 80.0)
    wake_at = world.settle()
    assert wake_at is not None
    world.now = wake_at - 1
    world.settle()
    assert world.told[0].status == "InProgress"
    world.now = wake_at
    assert world.settle() is None
    assert (world.told[0].status, world.told[0].ended_at) == ("Unfulfilled", wake_at)


@pytest.mark.rule("1.7#Overridden", "1.1#6")
def test_a_newer_change_overrides_an_activity() -> None:
    world = World()
    world.alarm("cpu-high", 80.0)
    world.settle()
    world.now += 60
    world.alarm("cpu-high", 95.0)
    world.settle()
    assert world.desired == 8
    assert [one.status for one in world.told] == ["InProgress", "Overridden"]
    world.now += 10
    world.put(services.with_desired_count(world.service, 3, world.now))  # UpdateService
    world.settle()
    assert [one.status for one in world.told] == ["Overridden", "Overridden"]
    assert world.desired == 3, "what a user sets stays until an alarm asks (behaviour.md 1.1.6)"


def test_each_action_of_an_alarm_is_answered_once() -> None:
    world = World()
    world.alarm("cpu-high", 80.0)
    world.settle()
    world.set_running(7)
    world.settle()
    revision = world.store.revision
    world.now += 400
    world.settle()
    assert world.store.revision == revision, "the alarm lasts, but its action was not repeated"
    world.alarm("cpu-high", 60.0)
    world.settle()
    assert world.desired == 9


@pytest.mark.rule("1.3.4#example", "1.3.4#silence")
def test_the_scale_out_cooldown_lets_only_more_through() -> None:
    """behaviour.md 1.3.4's example, told by the alarm's repeats."""
    world = World()
    start = world.now
    for after, running, value, desired in ((0, 4, 80.0, 7), (60, 4, 80.0, 7), (120, 5, 90.0, 9), (430, 9, 60.0, 10)):
        world.now = start + after
        world.set_running(running)
        world.alarm("cpu-high", value)
        world.settle()
        assert world.desired == desired, after
    assert [one.to_count for one in world.told] == [10, 9, 7], "an ignored evaluation writes no activity"


def test_a_value_measured_before_a_change_is_counted_with_the_tasks_of_then() -> None:
    world = World()
    world.alarm("cpu-high", 80.0)
    world.settle()
    world.now += 10
    world.set_running(7)
    world.settle()
    assert world.told[0].status == "Successful"
    world.now += 400
    world.alarm("cpu-high", 100.0, measured_at=10_009.0)
    world.settle()
    assert (world.desired, world.told[0].numbers.formula) == (8, "ceil(4 × 100 / 50) = 8"), "not ceil(7 × 100 / 50)"
    world.set_running(8)
    world.settle()
    world.now += 400
    world.alarm("cpu-high", 60.0, measured_at=world.now - 60)
    world.settle()
    assert (world.desired, world.told[0].numbers.formula) == (10, "ceil(8 × 60 / 50) = 10")


@pytest.mark.rule("1.3.4#in", "1.3.4#silence")
def test_a_low_alarm_lowers_the_desired_count_and_starts_the_cooldown() -> None:
    world = World(desired=10)
    world.alarm("cpu-low", 20.0)
    world.settle()
    assert world.desired == 4
    world.set_running(4)
    world.now += 60
    world.alarm("cpu-low", 20.0)
    world.settle()
    assert world.desired == 4, "300 s of cooldown"
    assert len(world.told) == 1
    world.now += 240
    world.alarm("cpu-low", 20.0)
    world.settle()
    assert world.desired == 2


@pytest.mark.rule("1.3.4#ended")
def test_a_scale_out_ends_the_scale_in_cooldown() -> None:
    world = World(desired=10)
    world.alarm("cpu-low", 20.0)
    world.settle()
    world.set_running(4)
    world.quiet("cpu-low")
    world.now += 60
    world.alarm("cpu-high", 80.0)
    world.settle()
    assert (world.desired, world.memory.in_at) == (7, None)


@pytest.mark.rule("1.2#8", "1.2#9", "1.3.1#disable scale in")
def test_scaling_in_needs_every_policy_that_may() -> None:
    world = World(desired=10)
    world.add_policy("memory")
    world.add_policy("requests", disable_scale_in=True)
    world.alarm("cpu-low", 20.0)
    world.settle()
    assert (world.desired, world.told) == (10, [])
    world.now += 30
    world.alarm("memory-low", 30.0)
    world.settle()
    assert world.desired == 6, "the larger of 4 and 6"
    assert world.told[0].policy_name == "memory"


@pytest.mark.rule("1.7#not scaled", "1.7#AlreadyAtMaxCapacity")
def test_at_the_bounds_the_reason_is_told_once() -> None:
    world = World(desired=10)
    for _ in range(3):
        world.alarm("cpu-high", 90.0)
        world.settle()
        world.now += 60
    (activity,) = world.told
    assert activity.description == "Attempting to scale due to alarm triggered"
    assert (activity.status, activity.ended_at) == ("Failed", None)
    assert activity.not_scaled == (scaling.NotScaledReason(code="AlreadyAtMaxCapacity", max_capacity=10),)
    assert activity.numbers.proposed == 18
    world.quiet("cpu-high")
    world.alarm("cpu-low", 44.9)
    world.settle()
    assert world.desired == 9
    world.now += 400
    world.put(services.with_desired_count(world.service, 10, world.now))
    world.quiet("cpu-low")
    world.alarm("cpu-high", 90.0)
    world.settle()
    assert [one.status for one in world.told] == ["Failed", "Overridden", "Failed"], "told again after a change"


@pytest.mark.rule("1.2#11", "1.7#TargetServicePutResourceAsUnscalable")
def test_a_deployment_blocks_scaling_in_only() -> None:
    world = World(desired=6)
    rolling = msgspec.structs.replace(world.service.primary, rollout_state="IN_PROGRESS")
    world.put(msgspec.structs.replace(world.service, deployments=(rolling,)))
    world.alarm("cpu-low", 20.0)
    world.settle()
    assert world.desired == 6
    assert world.told[0].not_scaled == (scaling.NotScaledReason(code="TargetServicePutResourceAsUnscalable"),)
    world.quiet("cpu-low")
    world.now += 60
    world.alarm("cpu-high", 60.0)
    world.settle()
    assert world.desired == 8


@pytest.mark.parametrize(
    ("desired", "minimum", "maximum", "expected", "cause"),
    [(1, 3, 10, 3, "minimum capacity was set to 3"), (9, 1, 5, 5, "maximum capacity was set to 5")],
)
@pytest.mark.rule("1.1#5", "1.3.4#policies only", "1.7#registration", "1.7#bounds cause")
def test_registering_a_target_moves_the_count_inside_its_bounds(
    desired: int, minimum: int, maximum: int, expected: int, cause: str
) -> None:
    world = World(desired=desired, minimum=minimum, maximum=maximum)
    world.settle()
    assert world.desired == desired, "only a registration enforces"
    target = world.get(scaling.ScalableTarget, KEY)
    world.put(msgspec.structs.replace(target, enforce_bounds_at=world.now))
    world.settle()
    assert world.desired == expected
    assert world.get(scaling.ScalableTarget, KEY).enforce_bounds_at is None
    (activity,) = world.told
    assert (activity.description, activity.cause) == (f"Setting desired count to {expected}.", cause)
    assert activity.policy_name is None
    assert world.memory == scaling.PolicyMemory(), "cooldowns belong to policies only"


@pytest.mark.rule("1.1.1#silence", "1.1.1#resume")
def test_a_suspended_direction_writes_no_activity_and_resumes_with_the_next_repeat() -> None:
    world = World()
    target = world.get(scaling.ScalableTarget, KEY)
    world.put(msgspec.structs.replace(target, suspended=scaling.SuspendedState(dynamic_scaling_out=True)))
    world.alarm("cpu-high", 80.0)
    world.settle()
    assert (world.desired, world.told) == (4, [])
    world.put(target)
    world.now += 60
    world.alarm("cpu-high", 80.0)
    world.settle()
    assert world.desired == 7


def test_an_alarm_whose_action_a_user_took_away_asks_for_nothing() -> None:
    world = World()
    found = world.get(alarms.MetricAlarm, "cpu-high")
    world.put(msgspec.structs.replace(found, spec=msgspec.structs.replace(found.spec, alarm_actions=())))
    world.alarm("cpu-high", 80.0)
    revision = world.store.revision
    world.settle()
    assert world.store.revision == revision


def test_a_service_that_is_being_deleted_is_left_alone() -> None:
    world = World()
    world.alarm("cpu-high", 80.0)
    world.settle()
    world.put(msgspec.structs.replace(world.service, status="DRAINING"))
    world.now += 60
    world.alarm("cpu-high", 95.0)
    world.settle()
    assert world.desired == 7
    assert world.told[0].status == "Unfulfilled"


def test_the_activities_of_a_target_that_is_gone_end() -> None:
    world = World()
    world.alarm("cpu-high", 80.0)
    world.settle()
    draft = plan.Draft(world.store.view())
    draft.remove(world.get(scaling.ScalableTarget, KEY))
    world.store.commit(draft.plan(), world.now)
    world.settle()
    assert world.told[0].status == "Unfulfilled"


def test_which_changes_concern_which_target() -> None:
    world = World()
    seen: list[str] = []

    def note(commit: store.Commit) -> None:
        view = world.store.view()
        for change in commit.changes:
            seen.extend(service_scaling.CONTROLLER.keys(change, view))

    world.store.watch(note)
    world.alarm("cpu-high", 80.0)
    assert seen == [KEY]
    seen.clear()
    world.quiet("cpu-high")
    assert seen == [], "an alarm that is OK asks for nothing"
    world.alarm("cpu-high", 80.0)
    seen.clear()
    world.set_running(5)
    assert seen == [], "tasks matter only while an activity waits for them"
    world.settle()
    seen.clear()
    world.set_running(6)
    assert seen == [KEY]
    seen.clear()
    world.put(msgspec.structs.replace(world.service, tags=(record.Tag(key="a"),)))
    assert seen == [KEY]
    assert list(service_scaling.CONTROLLER.all_keys(world.store.view())) == [KEY]
