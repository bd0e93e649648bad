"""Custom resources while everything goes wrong: crashes, lost requests, lost answers. Afterwards all agree."""

from __future__ import annotations

import custom_world
import pytest

from roadstead.control import service_scaling_activities as activities
from roadstead.sim import faults

MINUTES_ROUGH = 60
MINUTES_CALM = 30


@pytest.mark.parametrize("seed", range(8))
def test_whatever_goes_wrong_the_endpoint_gets_what_was_decided(seed: int) -> None:
    subject = custom_world.CustomWorld(capacity=4, maximum=12, seed=seed)
    subject.register()
    subject.track(ScaleOutCooldown=60, ScaleInCooldown=60)
    subject.world.set_faults(faults.ROUGH)
    work = subject.world.chance.fork("work")
    for _ in range(MINUTES_ROUGH // 5):
        subject.rough_minutes(5, work.between(0.0, 1200.0))
        assert all(0 <= count <= 12 for count in subject.endpoint.patches)
    subject.world.calm()
    subject.world.run_for(300)
    subject.minutes(MINUTES_CALM, 300.0)
    resource = subject.resource
    assert not resource.is_pending
    assert resource.observed.failures == 0
    assert subject.endpoint.actual == subject.endpoint.desired == resource.desired_capacity == 6
    assert not [one for one in subject.told if one.status in activities.UNFINISHED]


def test_the_same_seed_tells_the_same_story() -> None:
    stories = []
    for _ in range(2):
        subject = custom_world.CustomWorld(seed=3)
        subject.register()
        subject.track()
        subject.world.set_faults(faults.ROUGH)
        subject.rough_minutes(20, 500.0)
        stories.append(subject.world.transcript.text())
    assert stories[0] == stories[1]
