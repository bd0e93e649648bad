"""Rolling updates, the circuit breaker and the start throttle (behaviour.md 5.2, 5.3, 5.7)."""

from __future__ import annotations

import pytest
from tests.control import fleet as fleets
from tests.control import worlds

from roadstead.control import deployments, observation
from roadstead.model import services, tasks

BREAKER = services.DeploymentCircuitBreaker(enable=True, rollback=True)
BREAKER_ALONE = services.DeploymentCircuitBreaker(enable=True, rollback=False)


def counts(world: fleets.Fleet) -> tuple[int, int]:
    """Tasks of the old and of the new revision that should run."""
    return len(world.live(revision=1)), len(world.live(revision=2))


@pytest.mark.parametrize(
    "desired, minimum, maximum, lower, upper",
    [
        (4, 50, 200, 2, 8),
        (2, 75, 100, 2, 2),
        (4, 100, 200, 4, 8),
        (3, 100, 125, 3, 3),
        (1, 0, 100, 0, 1),
        (10, 90, 110, 9, 11),
        (3, None, None, 3, 6),
        (0, 100, 200, 0, 0),
    ],
)
def test_bounds_round_up_below_and_down_above(
    desired: int, minimum: int | None, maximum: int | None, lower: int, upper: int
) -> None:
    found = deployments.bounds(worlds.service(desired=desired, minimum=minimum, maximum=maximum))
    assert (found.lower, found.upper) == (lower, upper)


# ------------------------------------------------------------------------------------------- rolling


def test_by_default_all_new_tasks_start_and_old_ones_stop_once_the_new_are_healthy() -> None:
    world = fleets.steady(worlds.service(desired=4)).update(2)
    assert counts(world) == (4, 4)
    world.run_all().advance(39)
    assert counts(world) == (4, 4)
    world.advance(2)
    assert counts(world) == (0, 4)
    assert world.service().primary.rollout_state == "IN_PROGRESS"  # the old ones still stop
    world.finish_stops()
    done = world.service()
    assert len(done.deployments) == 1
    assert done.primary.rollout_state == "COMPLETED"
    assert done.primary.rollout_state_reason == f"ECS deployment {done.primary.deployment_id} completed."
    assert world.events()[-2:] == [
        f"(deployment {done.primary.deployment_id}) deployment completed.",
        "has reached a steady state.",
    ]


@pytest.mark.parametrize(
    "desired, minimum, maximum, at_once",
    [(4, 50, 100, (2, 2)), (4, 50, 200, (2, 4)), (1, 0, 100, (0, 1)), (10, 90, 110, (9, 2))],
)
def test_what_an_update_does_at_once(desired: int, minimum: int, maximum: int, at_once: tuple[int, int]) -> None:
    world = fleets.steady(worlds.service(desired=desired, minimum=minimum, maximum=maximum)).update(2)
    assert counts(world) == at_once


@pytest.mark.parametrize("minimum, maximum", [(100, 200), (50, 100), (0, 100), (90, 110), (50, 200)])
def test_every_update_ends_with_all_tasks_new(minimum: int, maximum: int) -> None:
    world = fleets.steady(worlds.service(desired=10, minimum=minimum, maximum=maximum)).update(2)
    for _ in range(12):
        world.run_all().advance(41).finish_stops()
    assert counts(world) == (0, 10)
    assert world.service().primary.rollout_state == "COMPLETED"


@pytest.mark.parametrize("desired, minimum, maximum", [(2, 75, 100), (3, 100, 125)])
def test_an_update_that_may_neither_start_nor_stop_says_so(desired: int, minimum: int, maximum: int) -> None:
    world = fleets.steady(worlds.service(desired=desired, minimum=minimum, maximum=maximum)).update(2)
    assert counts(world) == (desired, 0)
    assert world.codes()[-1] == "SERVICE_DEPLOYMENT_BLOCKED"
    assert "was unable to stop or start tasks during a deployment because" in world.events()[-1]
    told = len(world.events())
    world.advance(600)
    assert len(world.events()) == told


def test_with_health_checks_healthy_means_healthy_not_forty_seconds() -> None:
    world = fleets.fleet(worlds.service(desired=2), health_check=True).run_all()
    world.health("HEALTHY", *world.live())
    world.update(2).run_all().advance(300)
    assert counts(world) == (2, 2)
    world.health("HEALTHY", *world.live(revision=2))
    assert counts(world) == (0, 2)


def test_of_several_updates_the_newest_wins_and_all_others_are_drained() -> None:
    world = fleets.steady(worlds.service(desired=2)).update(2).update(3)
    assert [one.status for one in world.service().deployments] == ["PRIMARY", "ACTIVE", "ACTIVE"]
    assert (len(world.live(revision=1)), len(world.live(revision=2))) == (2, 0)  # what had not run yet stops at once
    assert len(world.live(revision=3)) == 2
    world.run_all().advance(41).finish_stops()
    assert {one.spec.task_definition for one in world.live()} == {"web:3"}
    assert len(world.service().deployments) == 1


def test_tasks_that_just_began_are_not_all_stopped_by_the_next_update() -> None:
    world = fleets.fleet(worlds.service(desired=4)).run_all().update(2)
    assert counts(world) == (4, 4)


def test_scaling_during_an_update_moves_the_new_deployment() -> None:
    world = fleets.steady(worlds.service(desired=2)).update(2).run_all()
    world.scale(4)
    assert counts(world) == (2, 4)
    world.scale(1).run_all().advance(41)
    assert counts(world) == (0, 1)


def test_a_lost_old_task_is_replaced_by_its_own_revision_while_the_new_ones_are_not_ready() -> None:
    world = fleets.steady(worlds.service(desired=2)).update(2)
    world.kill(world.live(revision=1)[0]).settle()
    assert counts(world) == (2, 2)
    world.run_all().advance(41)
    world.kill(*world.live(revision=1)).settle()
    assert counts(world) == (0, 2)


def test_the_old_deployments_desired_count_falls_as_its_tasks_are_taken() -> None:
    world = fleets.steady(worlds.service(desired=4, minimum=50, maximum=100)).update(2)
    assert [one.desired_count for one in world.service().deployments] == [4, 2]


# ------------------------------------------------------------------------------------------- failures


def fail_starts(world: fleets.Fleet, *found: tasks.Task) -> fleets.Fleet:
    for task in found:
        reason = "CannotPullContainerError: not found"
        world.report(task, observation.TaskReport(status="STOPPED", reason=reason))
    return world


def pending(world: fleets.Fleet) -> list[tasks.Task]:
    return [one for one in world.live() if one.observed.last_status == "PENDING"]


def test_starts_that_keep_failing_are_tried_ever_more_rarely() -> None:
    world = fleets.fleet(worlds.service(desired=1))
    pauses = []
    for _ in range(12):
        fail_starts(world, *pending(world)).settle()
        failed_at = world.now
        while not pending(world):
            wake = world.stepper.next_wake()
            assert wake is not None
            world.advance(wake - world.now)
        pauses.append(world.now - failed_at)
    assert pauses == [0, 10, 20, 40, 80, 160, 320, 640, 1280, 1620, 1620, 1620]
    assert world.events().count("is unable to consistently start tasks successfully.") == 1
    assert world.service().primary.failed_tasks == 12


def test_tasks_that_were_started_together_and_failed_are_one_round() -> None:
    world = fleets.fleet(worlds.service(desired=5)).advance(1)
    for task in pending(world):
        fail_starts(world, task).settle()
        world.now += 0.01
    assert world.service().progress.throttle.failures == 1
    assert world.service().primary.failed_tasks == 5
    assert len(pending(world)) == 5


def test_a_task_that_runs_ends_the_throttle() -> None:
    world = fleets.fleet(worlds.service(desired=1))
    fail_starts(world, *pending(world)).settle()
    fail_starts(world, *pending(world)).advance(11)
    assert world.service().progress.throttle.failures == 2
    world.run_all()
    assert world.service().progress.throttle == services.StartThrottle()
    assert world.service().primary.failed_tasks == 0


def test_tasks_that_ran_and_tasks_that_were_asked_to_stop_throttle_nothing() -> None:
    world = fleets.fleet(worlds.service(desired=2))
    stopped, ran = pending(world)
    world.put(tasks.request_stop(stopped, "UserInitiated", "Task stopped by user", world.now)).finish_stops()
    world.run(ran).kill(ran).settle()
    assert world.service().progress.throttle.failures == 0
    assert world.service().primary.failed_tasks == 0
    assert len(world.live()) == 2


def test_an_update_resets_the_throttle() -> None:
    world = fleets.fleet(worlds.service(desired=1))
    for _ in range(2):
        fail_starts(world, *pending(world)).settle()
    assert not pending(world)
    world.update(2)
    assert len(pending(world)) == 1


@pytest.mark.parametrize("desired, threshold", [(0, 3), (1, 3), (6, 3), (7, 4), (25, 13), (400, 200), (800, 200)])
def test_the_breakers_threshold_is_half_of_desired_within_bounds(desired: int, threshold: int) -> None:
    assert deployments.breaker_threshold(desired) == threshold


def fail_until_settled(world: fleets.Fleet, rounds: int, revision: int) -> None:
    for _ in range(rounds):
        fail_starts(world, *(one for one in pending(world) if one.spec.task_definition == f"web:{revision}"))
        world.advance(100)


def test_the_circuit_breaker_rolls_back_to_the_last_completed_deployment() -> None:
    world = fleets.steady(worlds.service(desired=2, breaker=BREAKER))
    good = world.service().primary.deployment_id
    world.update(2)
    bad = world.service().primary.deployment_id
    fail_until_settled(world, 3, revision=2)
    service = world.service()
    assert service.primary.deployment_id == good
    assert service.spec.task_definition == "web:1"
    assert counts(world) == (2, 0)
    assert "deployment failed: tasks failed to start." in world.events()
    assert f"rolling back to deployment {good}." in world.events()
    world.advance(41).finish_stops()
    assert [one.deployment_id for one in world.service().deployments] == [good]
    assert world.service().primary.rollout_state == "COMPLETED"
    assert bad not in {one.spec.deployment_id for one in world.live()}


def test_the_reasons_of_a_rollback_name_what_happened() -> None:
    world = fleets.steady(worlds.service(desired=4, breaker=BREAKER)).update(2)
    good = world.service().deployments[1].deployment_id
    back, failed = deployments.fail(world.service(), world.now).deployments
    assert (back.status, back.rollout_state) == ("PRIMARY", "IN_PROGRESS")
    assert back.rollout_state_reason == f"ECS deployment circuit breaker: rolling back to deploymentId {good}."
    assert (failed.status, failed.rollout_state) == ("ACTIVE", "FAILED")
    assert failed.rollout_state_reason == "ECS deployment circuit breaker: task failed to start."


def test_without_a_completed_deployment_the_failed_one_stalls() -> None:
    world = fleets.fleet(worlds.service(desired=2, breaker=BREAKER))
    fail_until_settled(world, 4, revision=1)
    assert world.service().primary.rollout_state == "FAILED"
    world.advance(4000)
    assert world.live() == []
    world.update(2)
    assert len(world.live()) == 2


def test_a_breaker_without_rollback_stops_starting_and_keeps_the_old_tasks() -> None:
    world = fleets.steady(worlds.service(desired=2, breaker=BREAKER_ALONE)).update(2)
    fail_until_settled(world, 3, revision=2)
    assert world.service().primary.rollout_state == "FAILED"
    assert counts(world) == (2, 0)
    world.kill(world.live()[0]).settle()
    assert counts(world) == (2, 0)  # the old revision holds the service
    world.scale(0)
    assert counts(world) == (0, 0)


def test_once_a_task_ran_only_health_failures_trip_the_breaker() -> None:
    world = fleets.fleet(worlds.service(desired=1, breaker=BREAKER), health_check=True).run_all()
    for _ in range(3):
        world.kill(*world.live()).settle()
        fail_starts(world, *pending(world)).settle()
        world.advance(1700).run_all()
    assert world.service().primary.rollout_state == "IN_PROGRESS"
    for _ in range(4):
        world.advance(1).run_all()
        world.health("UNHEALTHY", *world.live())
        world.finish_stops()
    assert world.service().primary.rollout_state == "FAILED"


def test_a_healthy_task_takes_the_breakers_count_back() -> None:
    world = fleets.fleet(worlds.service(desired=1, breaker=BREAKER), health_check=True)
    for _ in range(3):
        fail_starts(world, *pending(world)[:1]).settle()
        world.advance(50)
        if world.service().primary.breaker_failures == 2:
            world.run_all().advance(1).health("HEALTHY", *world.live())
            break
    assert world.service().primary.breaker_failures == 0
    assert world.service().primary.rollout_state == "COMPLETED"


def test_a_deployment_without_a_breaker_never_fails() -> None:
    world = fleets.fleet(worlds.service(desired=1))
    for _ in range(6):
        fail_starts(world, *pending(world)).advance(2000)
    assert world.service().primary.rollout_state == "IN_PROGRESS"
    assert len(pending(world)) == 1
