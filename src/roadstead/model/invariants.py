"""What must hold after every commit, whoever made it: run in tests and in the simulator.

    store.watch(lambda commit: invariants.check_commit(commit, store.view()))

Each `check_*` takes a commit and the view after it, looks only at what the commit touched, and raises `Broken` with
what it found. `check_tallies` recounts everything and is for small worlds.

The upper bound of a service is stated for starts, not for states: its desired count may be lowered in a commit of its
own, and then more tasks run for a moment than maximumPercent allows. But no commit starts a task beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

from roadstead.model import (
    alarms,
    container_instances,
    custom_resources,
    lifecycle,
    record,
    scaling,
    scaling_names,
    services,
    tables,
    tasks,
)

R = TypeVar("R", bound=record.Record)

ACTIVITY_OPEN = frozenset({"Pending", "InProgress"})


class Broken(AssertionError):
    """An invariant does not hold: a bug of ours."""


class Change(Protocol):
    """`state.store.Change`."""

    @property
    def table(self) -> str: ...

    @property
    def key(self) -> str: ...

    @property
    def before(self) -> record.Record | None: ...

    @property
    def after(self) -> record.Record | None: ...


class Commit(Protocol):
    """`state.store.Commit`."""

    @property
    def changes(self) -> Iterable[Any]: ...


class View(Protocol):
    """`state.view.View`, as far as it is needed here."""

    def get(self, record_type: type[R], key: str) -> R | None: ...

    def find(self, table: tables.Table[R], index: str, *group: str) -> Iterator[R]: ...

    def size(self, table: tables.Table[R], index: str, *group: str) -> int: ...

    def tally(self, table: tables.Table[R], name: str, *group: str) -> tuple[int, ...]: ...


def check_commit(commit: Commit, view: View) -> None:
    """All checks that look at one commit."""
    for check in COMMIT_CHECKS:
        check(commit, view)


def _hold(condition: bool, text: str) -> None:
    if not condition:
        raise Broken(text)


def _pairs(commit: Commit, kind: type[R]) -> Iterator[tuple[R | None, R | None]]:
    for change in commit.changes:
        before, after = change.before, change.after
        if isinstance(before, kind) or isinstance(after, kind):
            yield (before if isinstance(before, kind) else None, after if isinstance(after, kind) else None)


# ---------------------------------------------------------------------------------------------- tasks


def check_task_climbs(commit: Commit, view: View) -> None:
    """Statuses only climb; a task asked to stop is never wanted again; what is stopped stays stopped."""
    for before, after in _pairs(commit, tasks.Task):
        if before is None or after is None:
            continue
        was, now = before.observed.last_status, after.observed.last_status
        _hold(lifecycle.task_may_move(was, now), f"task {after.task_id} went from {was} to {now}")
        _hold(
            not (before.desired.status == "STOPPED" and after.desired.status == "RUNNING"),
            f"task {after.task_id} was to stop and is wanted again",
        )
        _hold(before.version <= after.version, f"the version of task {after.task_id} went down")
        _hold(before.spec == after.spec, f"the specification of task {after.task_id} changed")
        for name in ("started_at", "stopped_at"):
            first = getattr(before.observed, name)
            _hold(
                first is None or first == getattr(after.observed, name), f"{name} of task {after.task_id} was rewritten"
            )


def check_container_moves(commit: Commit, view: View) -> None:
    """Containers move as their table says, and keep their ids."""
    for before, after in _pairs(commit, tasks.Task):
        if before is None or after is None:
            continue
        was = {one.container_id: one for one in before.observed.containers}
        now = {one.container_id: one for one in after.observed.containers}
        _hold(set(was) == set(now), f"the containers of task {after.task_id} changed their ids")
        for container_id, one in was.items():
            move = (one.last_status, now[container_id].last_status)
            _hold(
                move[0] == move[1] or move in lifecycle.CONTAINER_MOVES,
                f"container {one.name} of task {after.task_id} went from {move[0]} to {move[1]}",
            )


def check_one_instance_for_ever(commit: Commit, view: View) -> None:
    """A task is on one instance, in one zone, with one address, from its placement on."""
    for before, after in _pairs(commit, tasks.Task):
        if before is None or after is None or before.desired.container_instance is None:
            continue
        _hold(
            before.desired.container_instance == after.desired.container_instance,
            f"task {after.task_id} moved to another instance",
        )
        was, now = before.desired.network_interface, after.desired.network_interface
        _hold(
            (was is None) == (now is None) and (was is None or now is None or was.ipv4_address == now.ipv4_address),
            f"task {after.task_id} got another address",
        )


def _newly_placed(commit: Commit) -> Iterator[tuple[tasks.Task, str]]:
    for before, after in _pairs(commit, tasks.Task):
        if after is None or not after.is_live or after.desired.container_instance is None:
            continue
        if before is None or before.desired.container_instance is None:
            yield after, after.desired.container_instance


def check_placed_within_resources(commit: Commit, view: View) -> None:
    """No task is put on an instance that it overfills, or that doesn't accept tasks."""
    for task, instance_id in _newly_placed(commit):
        instance = view.get(container_instances.ContainerInstance, instance_id)
        _hold(instance is not None, f"task {task.task_id} was put on an instance that isn't there")
        assert instance is not None
        cpu, memory, _ = view.tally(tables.TASKS, "usage", instance_id)
        wanted, capacity = task.spec.resources, instance.capacity
        _hold(
            (not wanted.cpu_units or cpu <= capacity.cpu_units)
            and (not wanted.memory_mib or memory <= capacity.memory_mib),
            f"instance {instance_id} is over its resources: {cpu} of {capacity.cpu_units} CPU units, "
            f"{memory} of {capacity.memory_mib} MiB",
        )
        _hold(instance.accepts_tasks, f"task {task.task_id} was put on {instance_id}, which accepts none")
        _hold(instance.cluster == task.cluster, f"task {task.task_id} was put into another cluster")


def check_ports_and_addresses(commit: Commit, view: View) -> None:
    """Fixed host ports and awsvpc addresses are held once on an instance."""
    for task, instance_id in _newly_placed(commit):
        for port in task.spec.resources.host_ports:
            held = view.size(tables.TASKS, "host_ports", instance_id, f"{port.port}/{port.protocol}")
            _hold(held == 1, f"port {port.port}/{port.protocol} of {instance_id} is held by {held} tasks")
        interface = task.desired.network_interface
        if interface is not None:
            held = view.size(tables.TASKS, "addresses", instance_id, interface.ipv4_address)
            _hold(held == 1, f"address {interface.ipv4_address} of {instance_id} is held by {held} tasks")


# ---------------------------------------------------------------------------------------------- services


def _is_active(task: tasks.Task) -> bool:
    """RUNNING or on the way there, and wanted: what counts against maximumPercent."""
    status = task.observed.last_status
    return task.desired.status == "RUNNING" and (status == "RUNNING" or status in lifecycle.TASK_STARTING)


def _is_serving(task: tasks.Task) -> bool:
    return (
        task.desired.status == "RUNNING"
        and task.observed.last_status == "RUNNING"
        and task.observed.health_status != "UNHEALTHY"
    )


def _service_of(view: View, task: tasks.Task) -> services.Service | None:
    if task.spec.service is None:
        return None
    return view.get(services.Service, services.service_key(task.cluster, task.spec.service))


def check_starts_within_maximum(commit: Commit, view: View) -> None:
    """After a commit that starts tasks of a service, its RUNNING and starting tasks are within maximumPercent."""
    concerned = {
        after.spec.service: after
        for before, after in _pairs(commit, tasks.Task)
        if before is None and after is not None and after.spec.service is not None
    }
    for name, task in concerned.items():
        service = _service_of(view, task)
        _hold(
            service is not None and service.status == "ACTIVE", f"a task of service {name} began, which is not ACTIVE"
        )
        assert service is not None
        percent = service.spec.deployment_configuration.effective_maximum_percent
        upper = service.spec.desired_count * percent // 100
        live = view.find(tables.TASKS, "live_by_service", service.cluster, service.name)
        active = sum(_is_active(one) for one in live)
        _hold(active <= upper, f"service {name} has {active} tasks, {upper} are allowed")


def check_stops_within_minimum(commit: Commit, view: View) -> None:
    """A commit in which the scheduler stops serving tasks leaves as many serving as minimumHealthyPercent says."""
    concerned = {
        after.spec.service: after
        for before, after in _pairs(commit, tasks.Task)
        if before is not None
        and after is not None
        and _is_serving(before)
        and after.desired.status == "STOPPED"
        and after.desired.stop_code == "ServiceSchedulerInitiated"
    }
    for name, task in concerned.items():
        service = _service_of(view, task)
        if service is None or service.status != "ACTIVE":
            continue
        percent = service.spec.deployment_configuration.effective_minimum_healthy_percent
        lower = math.ceil(service.spec.desired_count * percent / 100)
        live = view.find(tables.TASKS, "live_by_service", service.cluster, service.name)
        serving = sum(_is_serving(one) for one in live)
        _hold(serving >= lower, f"service {name} was left with {serving} serving tasks, {lower} must stay")


def check_services(commit: Commit, view: View) -> None:
    """One PRIMARY deployment, in front; statuses and rollouts move as their tables say; event numbers grow."""
    for before, after in _pairs(commit, services.Service):
        if after is None:
            continue
        found = [one.status for one in after.deployments]
        _hold(
            bool(found) and found[0] == "PRIMARY" and found.count("PRIMARY") == 1,
            f"the deployments of service {after.name} are {found}",
        )
        ids = [one.deployment_id for one in after.deployments]
        _hold(len(set(ids)) == len(ids), f"service {after.name} has a deployment twice")
        if before is None or before.created_at != after.created_at:
            continue  # a new service may take the name of an INACTIVE one
        _hold(
            before.status == after.status or (before.status, after.status) in lifecycle.SERVICE_MOVES,
            f"service {after.name} went from {before.status} to {after.status}",
        )
        _hold(
            before.progress.next_event_number <= after.progress.next_event_number,
            f"the events of service {after.name} are numbered anew",
        )
        was = {one.deployment_id: one.rollout_state for one in before.deployments}
        for one in after.deployments:
            move = (was.get(one.deployment_id, one.rollout_state), one.rollout_state)
            _hold(
                move[0] == move[1] or move in lifecycle.ROLLOUT_MOVES,
                f"deployment {one.deployment_id} went from {move[0]} to {move[1]}",
            )


def check_activities(commit: Commit, view: View) -> None:
    """A scaling activity that has an outcome keeps it."""
    for before, after in _pairs(commit, scaling.ScalingActivity):
        if before is None or after is None or before.status in ACTIVITY_OPEN:
            continue
        _hold(
            before.status == after.status,
            f"scaling activity {after.activity_id} went from {before.status} to {after.status}",
        )


def check_scaling(commit: Commit, view: View) -> None:
    """A target's bounds are in order; a policy is of one kind; no policy or scheduled action is without a target, and
    no target of a custom resource without that.
    """
    for before, target in _pairs(commit, scaling.ScalableTarget):
        if before is not None and target is None:
            policies = view.size(tables.SCALING_POLICIES, "by_target", before.key)
            actions = view.size(tables.SCHEDULED_ACTIONS, "by_target", before.key)
            left = f"{policies} policies and {actions} scheduled actions left"
            _hold(policies == actions == 0, f"target {before.key} is gone, with {left}")
        if target is not None:
            _hold(
                0 <= target.min_capacity <= target.max_capacity,
                f"target {target.key} has the bounds {target.min_capacity} and {target.max_capacity}",
            )
            if target.namespace == scaling_names.CUSTOM_NAMESPACE:
                resource = view.get(custom_resources.CustomResource, target.resource_id)
                _hold(resource is not None, f"target {target.key} has no custom resource")
    for _, policy in _pairs(commit, scaling.ScalingPolicy):
        if policy is not None:
            given = (policy.target_tracking, policy.step_scaling, policy.predictive_scaling)
            kinds = sum(one is not None for one in given)
            _hold(kinds == 1, f"policy {policy.key} is of {kinds} kinds")
            _hold_target(view, policy.key, policy.target_key)
    for _, action in _pairs(commit, scaling.ScheduledAction):
        if action is not None:
            _hold_target(view, action.key, action.target_key)


def _hold_target(view: View, what: str, target_key: str) -> None:
    _hold(view.get(scaling.ScalableTarget, target_key) is not None, f"{what} has no scalable target")


def check_alarm_names(commit: Commit, view: View) -> None:
    """No alarm of one type has the name of one of the other: rules, actions and SetAlarmState go by the name."""
    kinds: tuple[type[alarms.MetricAlarm] | type[alarms.CompositeAlarm], ...] = (
        alarms.MetricAlarm,
        alarms.CompositeAlarm,
    )
    for kind, other in (kinds, kinds[::-1]):
        for _, alarm in _pairs(commit, kind):
            if alarm is not None:
                _hold(view.get(other, alarm.key) is None, f"two alarms have the name {alarm.key}")


COMMIT_CHECKS: tuple[Callable[[Commit, View], None], ...] = (
    check_task_climbs,
    check_container_moves,
    check_one_instance_for_ever,
    check_placed_within_resources,
    check_ports_and_addresses,
    check_starts_within_maximum,
    check_stops_within_minimum,
    check_services,
    check_activities,
    check_scaling,
    check_alarm_names,
)


# ---------------------------------------------------------------------------------------------- recounts


def check_tallies(view: View) -> None:
    """Every tally of the tasks equals what counting anew gives."""
    everyone = [
        task
        for cluster in view.find(tables.CLUSTERS, "all", "all")
        for status in ("RUNNING", "STOPPED")
        for task in view.find(tables.TASKS, "listing", cluster.name, status)
    ]
    for name, tally in tables.TASKS.tallies.items():
        sums: dict[tables.Group, tuple[int, ...]] = {}
        for task in everyone:
            for group, amounts in tally.amounts(task):
                old = sums.get(group, (0,) * tally.width)
                sums[group] = tuple(a + b for a, b in zip(old, amounts, strict=True))
        for group, wanted in sums.items():
            found = view.tally(tables.TASKS, name, *group)
            _hold(found == wanted, f"tally {name} of {group} says {found}, counting says {wanted}")
