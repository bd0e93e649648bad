"""A service keeps its desired count (behaviour.md 5.1, 5.8, 5.10, 5.14)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.control import fleet as fleets
from tests.control import worlds

from roadstead.control import retention
from roadstead.control.services import scheduler
from roadstead.model import record, services, task_definitions, tasks


def test_a_new_service_starts_its_tasks_spread_over_the_zones() -> None:
    world = fleets.fleet(worlds.service(desired=4))
    live = world.live()
    assert len(live) == 4
    assert sorted(one.desired.availability_zone or "" for one in live) == ["a", "a", "b", "b"]
    assert {one.observed.last_status for one in live} == {"PENDING"}


def test_a_hundred_tasks_take_a_pass_or_two() -> None:
    world = fleets.fleet(worlds.service(desired=0))
    world.scale(100)
    assert len(world.live()) == 100
    assert world.passes <= 3  # the last one finds nothing to do


def test_tasks_say_who_started_them_and_for_whom() -> None:
    world = fleets.fleet(worlds.service(desired=1))
    (task,) = world.live()
    deployment_id = world.service().primary.deployment_id
    assert task.spec.group == "service:web"
    assert (task.spec.started_by, task.spec.deployment_id, task.spec.service) == (deployment_id, deployment_id, "web")
    assert task.spec.task_definition == "web:1"
    assert (task.spec.resources.cpu_units, task.spec.resources.memory_mib) == (256, 128)
    assert [one.name for one in task.observed.containers] == ["app"]
    assert world.events() == [f"has started 1 tasks: (task {task.task_id})."]


@pytest.mark.parametrize(
    "propagate, managed, wanted",
    [
        ("NONE", False, {}),
        ("SERVICE", False, {"from": "service"}),
        ("TASK_DEFINITION", False, {"from": "definition"}),
        ("SERVICE", True, {"from": "service", "aws:ecs:clusterName": "default", "aws:ecs:serviceName": "web"}),
    ],
)
def test_tags_are_propagated_at_creation(propagate: str, managed: bool, wanted: dict[str, str]) -> None:
    made = worlds.definition(tags=(record.Tag(key="from", value="definition"),))
    service = worlds.service(
        desired=1,
        tags=(record.Tag(key="from", value="service"),),
        spec={"propagate_tags": propagate, "enable_ecs_managed_tags": managed},
    )
    world = fleets.Fleet(worlds.instance(), made, service).settle()
    assert {one.key: one.value for one in world.live()[0].spec.tags} == wanted


def test_a_killed_task_is_replaced_at_once() -> None:
    world = fleets.steady(worlds.service(desired=3))
    killed = world.live()[0]
    world.kill(killed).settle()
    assert len(world.live()) == 3
    assert killed.task_id not in {one.task_id for one in world.live()}
    assert world.task(killed.task_id).accounting.stop_seen


def test_a_task_that_stops_leaves_room_for_its_replacement_at_once() -> None:
    world = fleets.steady(worlds.service(desired=1, minimum=0, maximum=100))
    (task,) = world.live()
    world.put(tasks.request_stop(task, "UserInitiated", "Task stopped by user", world.now))
    assert len(world.live()) == 1 and len(world.stopping()) == 1


def test_scale_in_stops_tasks_where_most_are_and_says_why() -> None:
    world = fleets.steady(worlds.service(desired=6))
    world.scale(2)
    stopped = world.stopping()
    assert len(stopped) == 4
    assert sorted(one.desired.availability_zone or "" for one in world.live()) == ["a", "b"]
    reason = f"Scaling activity initiated by (deployment {world.service().primary.deployment_id})"
    assert {(one.stop_code, one.stopped_reason) for one in stopped} == {("ServiceSchedulerInitiated", reason)}
    assert world.events()[-1].startswith("has stopped 4 running tasks: (task ")


def test_scale_in_first_takes_tasks_that_do_not_run_yet() -> None:
    world = fleets.steady(worlds.service(desired=2))
    running = {one.task_id for one in world.live()}
    world.scale(4)
    world.scale(2)
    assert {one.task_id for one in world.live()} == running


def test_scaling_leaves_the_deployment_completed() -> None:
    world = fleets.steady(worlds.service(desired=1))
    world.scale(3).run_all()
    assert world.service().primary.rollout_state == "COMPLETED"
    assert world.service().primary.desired_count == 3


def test_steady_state_is_told_once_and_again_after_six_hours() -> None:
    world = fleets.steady(worlds.service(desired=1))
    assert world.events().count("has reached a steady state.") == 1
    world.advance(scheduler.STEADY_EVENT_REPEAT_SECONDS - 100)
    assert world.events().count("has reached a steady state.") == 1
    world.advance(200)
    assert world.events().count("has reached a steady state.") == 2


def test_after_a_disturbance_steady_state_is_told_again() -> None:
    world = fleets.steady(worlds.service(desired=2))
    world.kill(world.live()[0]).settle()
    assert world.service().progress.steady_since is None
    world.run_all().advance(41)
    assert world.events().count("has reached a steady state.") == 2


def test_the_newest_hundred_events_are_kept() -> None:
    world = fleets.fleet(worlds.service(desired=1))
    for _ in range(120):
        world.run_all().kill(*world.live()).settle()
    events = world.events()
    assert len(events) == services.EVENTS_KEPT_MAX
    assert events[-1].startswith("has started 1 tasks")
    assert world.service().progress.next_event_number > 100


# ------------------------------------------------------------------------------------------- no room


def test_no_instance_at_all() -> None:
    world = fleets.fleet(worlds.service(desired=2), instances_count=0)
    assert world.events() == [
        "was unable to place a task because no container instance met all of its requirements. "
        "Reason: No Container Instances were found in your cluster."
    ]
    assert world.codes() == ["SERVICE_TASK_PLACEMENT_FAILURE"]
    assert world.live() == []


def test_what_finds_no_room_gets_no_record_but_a_reason_and_starts_when_there_is_room() -> None:
    world = fleets.fleet(worlds.service(desired=3), instances_count=1, cpu=512)
    failure = world.service().progress.placement_failure
    assert len(world.live()) == 2
    assert failure is not None
    assert (failure.instances_considered, failure.refused) == (1, {"RESOURCE:CPU": 1})
    assert (failure.closest_instance, failure.closest_reason) == ("i0", "RESOURCE:CPU")
    assert failure.needed.cpu_units == 256
    assert world.events()[-1].endswith(
        "The closest matching (container-instance i0) has insufficient CPU units available."
    )
    world.put(worlds.instance("i9", zone="c"))
    assert len(world.live()) == 3
    assert world.service().progress.placement_failure is None


def test_room_that_another_service_leaves_is_taken_at_once() -> None:
    world = fleets.fleet(worlds.service(desired=2), instances_count=1, cpu=512)
    world.put(worlds.service("second", desired=1, task_definition="web:2"))
    assert world.live("second") == []
    world.scale(1)
    assert world.live("second") == []  # what stops still holds its resources
    world.finish_stops()
    assert len(world.live("second")) == 1


def test_the_same_placement_failure_is_not_told_over_and_over() -> None:
    world = fleets.fleet(worlds.service(desired=1), instances_count=0)
    world.advance(scheduler.PLACEMENT_EVENT_REPEAT_SECONDS - 10)
    assert len(world.events()) == 1
    world.advance(scheduler.PLACEMENT_RETRY_SECONDS + 10)
    assert len(world.events()) == 2


def test_placement_constraints_and_host_ports_of_a_service_bind() -> None:
    distinct = (task_definitions.PlacementConstraint(type="distinctInstance"),)
    world = fleets.fleet(worlds.service(desired=3, spec={"placement_constraints": distinct}), instances_count=2)
    assert sorted(one.desired.container_instance or "" for one in world.live()) == ["i0", "i1"]
    failure = world.service().progress.placement_failure
    assert failure is not None and failure.refused == {"distinctInstance": 2}


# ------------------------------------------------------------------------------------------- health


def healthy_fleet(desired: int = 2, **more: Any) -> fleets.Fleet:
    world = fleets.fleet(worlds.service(desired=desired, **more), health_check=True).run_all()
    return world.health("HEALTHY", *world.live())


def test_an_unhealthy_task_is_stopped_when_its_replacement_is_healthy() -> None:
    world = healthy_fleet()
    sick = world.live()[0]
    world.health("UNHEALTHY", sick)
    assert len(world.live()) == 3 and not world.stopping()
    world.run_all()
    assert not world.stopping()
    world.health("HEALTHY", world.newest())
    assert [one.task_id for one in world.stopping()] == [sick.task_id]
    assert world.stopping()[0].stopped_reason == "Task failed container health checks"
    assert f"(task {sick.task_id}) failed container health checks." in world.events()


def test_when_the_replacement_is_unhealthy_too_either_is_stopped_and_the_next_one_tried() -> None:
    world = healthy_fleet()
    world.health("UNHEALTHY", world.live()[0]).run_all()
    world.health("UNHEALTHY", world.newest())
    assert len(world.stopping()) == 1
    assert len(world.live()) == 3
    assert sum(one.observed.last_status == "PENDING" for one in world.live()) == 1


def test_an_unhealthy_task_that_recovers_keeps_its_place() -> None:
    world = healthy_fleet()
    sick = world.live()[0]
    world.health("UNHEALTHY", sick)
    world.health("HEALTHY", sick)
    assert len(world.live()) == 2 and sick.task_id in {one.task_id for one in world.live()}


def test_without_room_for_a_replacement_unhealthy_tasks_are_stopped_one_at_a_time() -> None:
    world = healthy_fleet(desired=3, minimum=50, maximum=100)
    world.health("UNHEALTHY", *world.live()[:2])
    assert len(world.stopping()) == 1
    assert len(world.live()) == 3  # its replacement has begun; the other unhealthy one waits its turn
    world.finish_stops().run_all()
    assert not world.stopping()
    world.health("HEALTHY", world.newest())
    assert len(world.stopping()) == 1


def test_stopping_first_keeps_the_minimum() -> None:
    world = healthy_fleet(desired=2, minimum=100, maximum=100)
    world.health("UNHEALTHY", world.live()[0])
    assert len(world.live()) == 2 and not world.stopping()


# ------------------------------------------------------------------------------------------- instances


def test_tasks_on_a_draining_instance_are_replaced_and_then_stopped() -> None:
    world = fleets.steady(worlds.service(desired=2))
    leaving = [one for one in world.live() if one.desired.container_instance == "i0"]
    world.set_instance("i0", "DRAINING")
    assert len(world.live()) == 3 and not world.stopping()
    world.run_all().advance(41)
    assert [one.task_id for one in world.stopping()] == [one.task_id for one in leaving]
    assert {one.desired.container_instance for one in world.live()} == {"i1"}


def test_pending_tasks_on_a_draining_instance_are_stopped_at_once() -> None:
    world = fleets.fleet(worlds.service(desired=2))
    world.set_instance("i0", "DRAINING")
    assert [one.desired.container_instance for one in world.stopping()] == ["i0"]
    assert {one.desired.container_instance for one in world.live()} == {"i1"}


def test_draining_with_a_low_minimum_stops_first() -> None:
    world = fleets.steady(worlds.service(desired=2, minimum=50, maximum=100))
    world.set_instance("i0", "DRAINING")
    assert len(world.stopping()) == 1 and len(world.live()) == 2


def test_draining_with_100_and_100_percent_is_stuck() -> None:
    world = fleets.steady(worlds.service(desired=2, minimum=100, maximum=100))
    world.set_instance("i0", "DRAINING")
    assert not world.stopping() and len(world.live()) == 2
    assert world.codes()[-1] == "SERVICE_DEPLOYMENT_BLOCKED"
    world.set_instance("i0", "ACTIVE")
    assert world.service().progress.blocked_event_at is None


def test_tasks_of_a_deregistered_instance_are_stopped_and_replaced() -> None:
    world = fleets.steady(worlds.service(desired=2))
    lost = next(one for one in world.live() if one.desired.container_instance == "i0")
    world.set_instance("i0", "INACTIVE")
    gone = world.task(lost.task_id)
    assert gone.observed.last_status == "STOPPED"
    assert gone.stopped_reason == "Container instance deregistration forced by user"
    assert {one.desired.container_instance for one in world.live()} == {"i1"}
    assert len(world.live()) == 2
    assert world.service().primary.failed_tasks == 0


def test_a_lost_agent_changes_nothing() -> None:
    world = fleets.steady(worlds.service(desired=2))
    before = world.live()
    world.put(worlds.instance("i0", zone="a", connected=False, cpu=1_000_000, memory=1_000_000))
    assert world.live() == before


# ------------------------------------------------------------------------------------------- the end


def test_a_deleted_service_drains_and_becomes_inactive_and_is_forgotten_later() -> None:
    world = fleets.steady(worlds.service(desired=2))
    world.delete()
    assert world.live() == [] and world.service().status == "DRAINING"
    world.finish_stops()
    assert world.service().status == "INACTIVE"
    world.advance(retention.INACTIVE_SECONDS + 1)
    assert world.store.view().get(services.Service, "default/web") is None
    assert world.events() == []


def test_a_new_service_of_an_old_name_begins_its_events_anew() -> None:
    world = fleets.steady(worlds.service(desired=1))
    world.delete().finish_stops()
    world.put(worlds.service(desired=1, now=world.now))
    assert len(world.events()) == 1
    assert world.service().progress.next_event_number == 1


def test_a_task_that_is_stopped_before_it_was_placed_ends() -> None:
    world = fleets.fleet()
    waiting = worlds.task("waiting", None, group="family:job", status="PROVISIONING")
    world.put(waiting)
    world.put(tasks.request_stop(waiting, "UserInitiated", "enough", world.now))
    ended = world.task("waiting")
    assert (ended.observed.last_status, ended.stop_code, ended.stopped_reason) == ("STOPPED", "UserInitiated", "enough")


def test_stopped_tasks_are_kept_an_hour() -> None:
    world = fleets.fleet()
    world.put(worlds.task("old", worlds.instance("i0", zone="a"), group="family:job"))
    world.kill(world.task("old")).settle()
    world.advance(retention.STOPPED_TASK_SECONDS - 1)
    assert world.store.view().get(tasks.Task, "old") is not None
    world.advance(2)
    assert world.store.view().get(tasks.Task, "old") is None
