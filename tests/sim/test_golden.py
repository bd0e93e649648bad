"""Simulated days, kept as golden files: how target tracking scales a service (behaviour.md 1.3, 2.6, 2.7; issue 2).

Run with ROADSTEAD_REWRITE_GOLDEN=1 to write them anew, then read what changed.
"""

from __future__ import annotations

import re

import pytest
from sim_chaos import Story
from sim_worlds import compare_golden, make_world, scaled_service

from roadstead.sim import load, traffic, world

HOUR = 3600.0
WORK = traffic.Work(cpu_seconds_per_request=0.01, requests_per_second_max=25.0, memory_mib=64.0)
"""A task of 256 units serves 25 requests a second at 100 %, so 15 at the target of 60 %."""


def a_world(*, high_resolution: bool) -> world.World:
    made = make_world(1)
    for zone in ("us-east-1a", "us-east-1b"):
        made.add_host(cpu_units=4096, memory_mib=8192, zone=zone)
    made.run_for(10.0)
    scaled_service(made, high_resolution=high_resolution)
    # Which of equal tasks is stopped follows from ids: a golden file that shows it changes with everything.
    made.transcript.leave_out = frozenset({"ContainerInstance", "ServiceEvent", "Task"})
    return made


def moves(text: str) -> list[tuple[float, int, int]]:
    """(seconds, desired before, desired after) of each change of the service's desired count."""
    found = re.findall(r"(\d+)d (\d\d):(\d\d):(\d\d\.\d+)  service web desired (\d+) -> (\d+)", text)
    return [
        (int(day) * 86_400 + int(hour) * 3600 + int(minute) * 60 + float(second), int(before), int(after))
        for day, hour, minute, second, before, after in found
    ]


@pytest.mark.slow
def test_a_day_of_traffic_scales_a_service_by_60_second_metrics() -> None:
    subject = a_world(high_resolution=False)
    swing = traffic.Noise(beneath=traffic.Diurnal(low=20.0, high=250.0), part=0.1)
    subject.put_load(load.ServiceLoad(service="web", requests=swing, work=WORK))
    subject.run_for(24 * HOUR)
    text = subject.transcript.text()
    found = moves(text)
    assert max(after for _, _, after in found) >= 17, "the peak needs 250 / 15 tasks"
    assert min(after for at, _, after in found if at > 20 * HOUR) <= 6, "and the night few of them"
    for at, before, after in found:
        assert at % 60 < 1, f"alarms of 60 s are evaluated on the minute, not at {at}"
        assert 1 <= after <= 20
        earlier = [one for one in found if at - 300 < one[0] < at]
        if after < before:
            assert not [one for one in earlier if one[2] < one[1]], "a scale-in within the cooldown of another"
    compare_golden("day-60s.txt", text)


def test_an_hour_of_traffic_scales_a_service_by_20_second_metrics() -> None:
    subject = a_world(high_resolution=True)
    begin = subject.now
    wave = traffic.Spike(beneath=traffic.Constant(rate=12.0), begin=begin + 600, seconds=1500, factor=10.0)
    subject.put_load(load.ServiceLoad(service="web", requests=wave, work=WORK))
    subject.run_for(HOUR)
    text = subject.transcript.text()
    outs = [one for one in moves(text) if one[2] > one[1]]
    spike = begin + 600 - world.START
    assert spike + 60 <= outs[0][0] <= spike + 100, "20-s metrics scale out within about 86 s of the load"
    assert max(after for _, _, after in moves(text)) >= 8, "120 requests a second need 8 tasks at 60 %"
    last = moves(text)[-1]
    assert last[2] == 1 and last[0] >= spike + 1500 + 29 * 20, "scale-in waits for thirty periods of 20 s"
    compare_golden("hour-20s.txt", text)


@pytest.mark.parametrize("seed", [3])
def test_the_same_seed_gives_the_same_transcript(seed: int) -> None:
    texts = []
    for one in (seed, seed, seed + 1):
        story = Story(one)
        story.run()
        texts.append(story.world.transcript.text())
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]
