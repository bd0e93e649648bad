"""Each invariant lets the right commit pass and names the wrong one."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import pytest
from tests.control import worlds

from roadstead.model import alarms, invariants, record, scaling, services, tables, tasks
from roadstead.state import plan, store

ONE = worlds.instance("i1", cpu=512, memory=512, subnet="10.0.0.0/24")
OWNED = {"service": "web", "deployment_id": "ecs-svc/1"}
FACE = tasks.NetworkInterface(
    attachment_id="a",
    network_interface_id="eni-1",
    mac_address="02:00:00:00:00:01",
    ipv4_address="10.0.0.2",
    prefix_length=24,
    gateway="10.0.0.1",
)
METRIC_ALARM = alarms.MetricAlarm(
    name="busy",
    created_at=0.0,
    spec=alarms.AlarmSpec(
        period_seconds=60, evaluation_periods=1, threshold=1.0, comparison_operator="GreaterThanThreshold"
    ),
    spec_updated_at=0.0,
    observed=alarms.AlarmObserved(state_updated_at=0.0, state_transitioned_at=0.0),
)
COMPOSITE_ALARM = alarms.CompositeAlarm(
    name="busy",
    created_at=0.0,
    spec=alarms.CompositeAlarmSpec(rule="TRUE"),
    spec_updated_at=0.0,
    observed=alarms.CompositeObserved(state_updated_at=0.0, state_transitioned_at=0.0),
)


def world(*records: record.Record) -> store.Store:
    subject = worlds.new_store()
    worlds.put(subject, worlds.cluster(), ONE, *records)
    return subject


def task(task_id: str = "t1", **more: Any) -> tasks.Task:
    return worlds.task(task_id, more.pop("on", ONE), **more)


def owned(task_id: str, **more: Any) -> tasks.Task:
    return task(task_id, cpu=1, memory=1, spec=OWNED, **more)


def scheduler_stops(one: tasks.Task) -> tasks.Task:
    return tasks.request_stop(one, "ServiceSchedulerInitiated", "Scaling activity", worlds.NOW)


def with_observed(one: tasks.Task, **changes: Any) -> tasks.Task:
    return worlds.replace(one, observed=worlds.replace(one.observed, **changes))


def with_desired(one: tasks.Task, **changes: Any) -> tasks.Task:
    return worlds.replace(one, desired=worlds.replace(one.desired, **changes))


def with_container(status: Any, container_id: str = "c") -> tasks.Task:
    container = tasks.ObservedContainer(container_id=container_id, name="app", image="x", last_status=status)
    return task(containers=(container,))


WEB = worlds.service(desired=2, minimum=50, maximum=100)
SECOND = services.Deployment(
    deployment_id="ecs-svc/2",
    status="PRIMARY",
    task_definition="web:1",
    desired_count=1,
    created_at=worlds.NOW,
    updated_at=worlds.NOW,
)


def with_primary(**changes: Any) -> services.Service:
    return worlds.replace(WEB, deployments=(worlds.replace(WEB.primary, **changes),))


def activity(status: Any) -> scaling.ScalingActivity:
    return scaling.ScalingActivity(
        activity_id="a",
        namespace="ecs",
        resource_id="service/default/web",
        dimension="ecs:service:DesiredCount",
        started_at=worlds.NOW,
        status=status,
        description="d",
        cause="c",
    )


OF_WEB: dict[str, Any] = {
    "namespace": "ecs",
    "resource_id": "service/default/web",
    "dimension": "ecs:service:DesiredCount",
    "created_at": worlds.NOW,
}
TARGET = scaling.ScalableTarget(**OF_WEB, target_id="t", min_capacity=1, max_capacity=5, role_arn="role")
POLICY = scaling.ScalingPolicy(
    **OF_WEB,
    policy_name="p",
    policy_id="p-id",
    created_by_id="p-by",
    step_scaling=scaling.StepScaling(
        adjustment_type="ChangeInCapacity", steps=(scaling.StepAdjustment(lower_bound=0.0, adjustment=1),)
    ),
)
SCHEDULED = scaling.ScheduledAction(
    **OF_WEB,
    action_name="a",
    action_id="a-id",
    schedule="rate(1 day)",
    max_capacity=3,
    anchor_at=worlds.NOW,
    effective_at=worlds.NOW,
)


WRONG: list[tuple[str, tuple[record.Record, ...], tuple[record.Record, ...], str]] = [
    ("a task goes down the ladder", (task(),), (task(status="PENDING"),), "went from RUNNING to PENDING"),
    ("a stop is taken back", (task(desired="STOPPED"),), (task(),), "is wanted again"),
    ("a specification changes", (task(),), (task(group="other"),), "specification"),
    ("a version goes down", (worlds.replace(task(), version=2),), (task(),), "version"),
    (
        "a start is moved",
        (with_observed(task(), started_at=1.0),),
        (with_observed(task(), started_at=2.0),),
        "started_at",
    ),
    ("a container goes back", (with_container("RUNNING"),), (with_container("PENDING"),), "to PENDING"),
    ("a container changes its id", (with_container("RUNNING"),), (with_container("RUNNING", "d"),), "ids"),
    (
        "a task moves to another instance",
        (task(), worlds.instance("i2")),
        (with_desired(task(), container_instance="i2"),),
        "moved",
    ),
    (
        "a task gets another address",
        (task(interface=FACE),),
        (task(interface=worlds.replace(FACE, ipv4_address="10.0.0.9")),),
        "another address",
    ),
    ("too much CPU", (task("t0", cpu=400),), (task(cpu=200),), "600 of 512 CPU units"),
    ("too much memory", (task("t0", memory=400),), (task(memory=200),), "600 of 512 MiB"),
    ("an instance that isn't there", (), (task(on=worlds.instance("i9")),), "isn't there"),
    ("an instance that drains", (worlds.replace(ONE, status="DRAINING"),), (task(),), "accepts none"),
    ("a port twice", (task("t0", ports=(80,)),), (task(ports=(80,)),), "port 80/tcp"),
    ("an address twice", (task("t0", interface=FACE),), (task(interface=FACE),), "address 10.0.0.2"),
    (
        "more than maximumPercent",
        (WEB, owned("a"), owned("b")),
        (owned("c", status="PENDING"),),
        "has 3 tasks, 2 are allowed",
    ),
    ("a start for a service that drains", (worlds.replace(WEB, status="DRAINING"),), (owned("a"),), "not ACTIVE"),
    ("a start for no service", (), (owned("a"),), "not ACTIVE"),
    (
        "less than minimumHealthyPercent",
        (WEB, owned("a"), owned("b")),
        (scheduler_stops(owned("a")), scheduler_stops(owned("b"))),
        "left with 0 serving tasks, 1 must stay",
    ),
    ("two PRIMARY deployments", (WEB,), (worlds.replace(WEB, deployments=(WEB.primary, SECOND)),), "PRIMARY"),
    ("no deployment", (WEB,), (worlds.replace(WEB, deployments=()),), "deployments"),
    (
        "a deployment twice",
        (WEB,),
        (worlds.replace(WEB, deployments=(WEB.primary, worlds.replace(WEB.primary, status="ACTIVE"))),),
        "twice",
    ),
    ("a service comes back to life", (worlds.replace(WEB, status="DRAINING"),), (WEB,), "from DRAINING to ACTIVE"),
    (
        "a failed rollout completes",
        (with_primary(rollout_state="FAILED"),),
        (with_primary(rollout_state="COMPLETED"),),
        "from FAILED to COMPLETED",
    ),
    (
        "events are numbered anew",
        (worlds.replace(WEB, progress=services.ServiceProgress(next_event_number=5)),),
        (WEB,),
        "numbered anew",
    ),
    (
        "a target's bounds are the wrong way round",
        (TARGET,),
        (worlds.replace(TARGET, max_capacity=0),),
        "has the bounds 1 and 0",
    ),
    ("a policy is of no kind", (TARGET,), (worlds.replace(POLICY, step_scaling=None),), "is of 0 kinds"),
    ("a policy has no target", (), (POLICY,), "has no scalable target"),
    ("a scheduled action has no target", (), (SCHEDULED,), "has no scalable target"),
    ("two alarms of one name", (METRIC_ALARM,), (COMPOSITE_ALARM,), "two alarms have the name busy"),
    ("an outcome is rewritten", (activity("Failed"),), (activity("Successful"),), "from Failed to Successful"),
]


@pytest.mark.parametrize("before, after, words", [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_what_must_not_happen_is_named(
    before: tuple[record.Record, ...], after: tuple[record.Record, ...], words: str
) -> None:
    subject = world(*before)
    commit = worlds.put(subject, *after)
    with pytest.raises(invariants.Broken, match=words):
        invariants.check_commit(commit, subject.view())


RIGHT: list[tuple[str, tuple[record.Record, ...], tuple[record.Record, ...]]] = [
    ("a task skips rungs", (task(status="PENDING"),), (task(status="STOPPED"),)),
    ("a container restarts", (with_container("STOPPED"),), (with_container("RUNNING"),)),
    ("an instance is filled", (task("t0", cpu=256),), (task(cpu=256),)),
    ("the port of a stopped task is taken", (task("t0", ports=(80,), status="STOPPED"),), (task(ports=(80,)),)),
    (
        "a stopping task doesn't count",
        (WEB, owned("a"), owned("b", desired="STOPPED")),
        (owned("c", status="PENDING"),),
    ),
    (
        "the desired count is lowered while more run",
        (WEB, owned("a"), owned("b")),
        (worlds.replace(WEB, spec=worlds.replace(WEB.spec, desired_count=0)),),
    ),
    (
        "a user stops a service's last task",
        (WEB, owned("a")),
        (tasks.request_stop(owned("a"), "UserInitiated", "", 1.0),),
    ),
    (
        "an unhealthy task is stopped below the minimum",
        (WEB, owned("a", health_status="UNHEALTHY")),
        (scheduler_stops(owned("a", health_status="UNHEALTHY")),),
    ),
    (
        "a new service takes an old name",
        (worlds.replace(WEB, status="INACTIVE"),),
        (worlds.replace(WEB, created_at=worlds.NOW + 1),),
    ),
    (
        "a rollback",
        (with_primary(rollout_state="COMPLETED"),),
        (with_primary(rollout_state="IN_PROGRESS"),),
    ),
    ("an outcome comes", (activity("InProgress"),), (activity("Successful"),)),
    ("a target comes with all that is its", (), (TARGET, POLICY, SCHEDULED)),
]


@pytest.mark.parametrize("before, after", [case[1:] for case in RIGHT], ids=[case[0] for case in RIGHT])
def test_what_may_happen_passes(before: tuple[record.Record, ...], after: tuple[record.Record, ...]) -> None:
    subject = world(*before)
    invariants.check_commit(worlds.put(subject, *after), subject.view())


def test_a_target_takes_all_that_is_its_along() -> None:
    subject = world(TARGET, POLICY, SCHEDULED)
    draft = plan.Draft(subject.view())
    draft.remove(TARGET)
    draft.remove(POLICY)
    commit = subject.commit(draft.plan(), worlds.NOW)
    with pytest.raises(invariants.Broken, match="is gone, with 0 policies and 1 scheduled actions left"):
        invariants.check_commit(commit, subject.view())


def test_every_check_is_proved_to_fail_by_a_case_above() -> None:
    failed: set[Callable[..., None]] = set()
    for _, before, after, _ in WRONG:
        subject = world(*before)
        commit = worlds.put(subject, *after)
        for check in invariants.COMMIT_CHECKS:
            try:
                check(commit, subject.view())
            except invariants.Broken:
                failed.add(check)
    assert failed == set(invariants.COMMIT_CHECKS)
    named = {one for name, one in vars(invariants).items() if name.startswith("check_")}
    assert named - set(invariants.COMMIT_CHECKS) == {invariants.check_commit, invariants.check_tallies}
    assert all(isinstance(one, types.FunctionType) for one in named)


def test_a_wrong_tally_is_found() -> None:
    subject = world(task())
    invariants.check_tallies(subject.view())
    subject._rows[tasks.Task].tallies["usage"][("i1",)] = (1, 2, 3)
    with pytest.raises(invariants.Broken, match="usage"):
        invariants.check_tallies(subject.view())


def test_every_tally_of_the_tasks_is_recounted() -> None:
    view = world(owned("a", interface=FACE)).view()
    for name, tally in tables.TASKS.tallies.items():
        assert any(view.tally(tables.TASKS, name, *group) for group, _ in tally.amounts(owned("a")))
