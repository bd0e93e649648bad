"""What is kept how long (behaviour.md 1.7, 5.9; CloudWatch's alarm history)."""

from __future__ import annotations

import pytest
from tests.control import fleet as fleets
from tests.control import worlds

from roadstead.control import retention
from roadstead.model import alarms, clusters, container_instances, record, scaling

DAY = 86_400.0


def activity(number: int = 0) -> scaling.ScalingActivity:
    return scaling.ScalingActivity(
        activity_id=f"a{number}",
        namespace="ecs",
        resource_id="service/default/web",
        dimension="ecs:service:DesiredCount",
        started_at=worlds.NOW,
        status="Successful",
        description="d",
        cause="c",
    )


def history() -> alarms.AlarmHistoryItem:
    return alarms.AlarmHistoryItem(
        item_id="h", alarm_name="cpu", timestamp=worlds.NOW, type="StateUpdate", summary="s", data="{}"
    )


@pytest.mark.parametrize(
    "one, days",
    [
        (activity(), 42.0),
        (history(), 30.0),
        (clusters.Cluster(name="old", status="INACTIVE", created_at=worlds.NOW), 1 / 24),
        (worlds.instance("gone", status="INACTIVE"), 1 / 24),
    ],
    ids=["a scaling activity: six weeks", "alarm history: 30 days", "an INACTIVE cluster", "an INACTIVE instance"],
)
@pytest.mark.rule("1.7#six weeks")
def test_each_kind_is_kept_its_time_and_then_forgotten(one: record.Record, days: float) -> None:
    world = fleets.fleet()
    world.put(one)
    world.advance(days * DAY - 1)
    assert world.store.view().get(type(one), one.key) is not None
    world.advance(2)
    assert world.store.view().get(type(one), one.key) is None


def test_after_a_restart_the_clock_goes_on() -> None:
    world = fleets.fleet()
    world.put(activity())
    world.advance(30 * DAY)
    world.stepper.start(world.now)  # all wakes are forgotten
    world.advance(12 * DAY + 1)
    assert world.store.view().get(scaling.ScalingActivity, "a0") is None


def test_a_long_backlog_is_removed_in_batches() -> None:
    world = fleets.fleet()
    world.put(*(activity(number) for number in range(retention.BATCH_MAX + 10)))
    later = worlds.NOW + 50 * DAY
    first = retention.reconcile(world.store.view(), "scaling_activities", later)
    assert len(first.writes) == retention.BATCH_MAX and first.wake_at == later
    world.store.commit(first, later)
    second = retention.reconcile(world.store.view(), "scaling_activities", later)
    assert len(second.writes) == 10 and second.wake_at is None


def test_what_is_in_use_is_not_forgotten() -> None:
    world = fleets.steady(worlds.service(desired=1)).advance(100 * DAY)
    assert len(world.live()) == 1
    assert world.store.view().get(container_instances.ContainerInstance, "i0") is not None
