"""Scheduled actions: from PutScheduledAction to bounds, counts and activities (behaviour.md 1.5, 1.7)."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scaling_world import KEY, START, World

from roadstead.control.schedules import actions as schedules
from roadstead.model import scaling

HOUR, DAY = 3600, 86_400
MIDNIGHT = 1_700_006_400.0
"""2023-11-15T00:00:00Z, a Wednesday: 106 minutes after START."""


def put(world: World, name: str, schedule: str, low: int | None = None, high: int | None = None, **more: Any) -> None:
    bounds = {key: value for key, value in (("MinCapacity", low), ("MaxCapacity", high)) if value is not None}
    world.ask("PutScheduledAction", ScheduledActionName=name, Schedule=schedule, ScalableTargetAction=bounds, **more)


def utc(moment: float) -> str:
    return f"{datetime.datetime.fromtimestamp(moment, datetime.UTC):%Y-%m-%dT%H:%M:%S}"


def action(world: World, name: str) -> scaling.ScheduledAction:
    found: scaling.ScheduledAction = world.get(scaling.ScheduledAction, f"{KEY}|{name}")
    return found


def bounds(world: World) -> tuple[int, int]:
    return world.target.min_capacity, world.target.max_capacity


def runs(world: World) -> list[str]:
    """Names of the actions that ran, oldest first."""
    causes = [one.cause for one in reversed(world.told) if one.cause.startswith("scheduled action name ")]
    return [cause.split()[3] for cause in causes]


@pytest.mark.rule(
    "1.5#run",
    "1.5#at",
    "1.5#listed",
    "1.7#two activities",
    "1.7#bounds description",
    "1.7#schedule cause",
    "1.7#bounds cause",
    "1.7#bounds done",
)
def test_an_action_sets_the_bounds_and_moves_the_count_inside_with_two_activities(world: World) -> None:
    """The two activities of AWS's CLI reference, word for word (behaviour.md 1.7)."""
    world.follows = False
    put(world, "up", f"at({utc(MIDNIGHT)})", 20, 30)
    world.run(MIDNIGHT - 1)
    assert (bounds(world), world.desired, world.told) == ((1, 100), 10, [])
    world.run(MIDNIGHT)
    assert (bounds(world), world.desired) == ((20, 30), 20)
    capacity, ran = world.told
    assert ran.description == "Setting min capacity to 20 and max capacity to 30"
    assert ran.cause == "scheduled action name up was triggered"
    assert ran.status_message == "Successfully set min capacity to 20 and max capacity to 30"
    assert (ran.status, ran.started_at, ran.ended_at) == ("Successful", MIDNIGHT, None)
    assert capacity.description == "Setting desired count to 20."
    assert capacity.cause == "minimum capacity was set to 20"
    assert capacity.status == "InProgress"
    assert (capacity.started_at, capacity.number) > (ran.started_at, ran.number), "listed before it, as it is newer"
    world.set_running(20)
    world.settle()
    assert world.told[0].status_message == "Successfully set desired count to 20. Change successfully fulfilled by ecs."
    world.run(MIDNIGHT + 30 * DAY)
    assert runs(world) == ["up"], "one-time actions run once, and stay listed"
    assert action(world, "up").last_due_at == MIDNIGHT


@pytest.mark.parametrize(
    ("low", "high", "expected", "count", "cause"),
    [
        (12, None, (12, 100), 12, "minimum capacity was set to 12"),
        (None, 4, (1, 4), 4, "maximum capacity was set to 4"),
        (5, 20, (5, 20), 10, None),
        (None, 50, (1, 50), 10, None),
        (10, 10, (10, 10), 10, None),
        (0, 0, (0, 0), 0, "maximum capacity was set to 0"),
    ],
)
@pytest.mark.rule("1.5#run", "1.7#bounds cause")
def test_either_bound_may_be_missing_and_a_count_inside_stays(
    world: World, low: int | None, high: int | None, expected: tuple[int, int], count: int, cause: str | None
) -> None:
    put(world, "a", "rate(1 hour)", low, high)
    world.run(START + HOUR)
    assert (bounds(world), world.desired) == (expected, count)
    assert [one.cause for one in world.told[:-1]] == ([cause] if cause else [])
    given = [f"{name} capacity to {value}" for name, value in (("min", low), ("max", high)) if value is not None]
    assert world.told[-1].description == f"Setting {' and '.join(given)}"


@pytest.mark.rule("1.5#time zone")
def test_day_and_night_in_a_zone_over_the_end_of_summer_time() -> None:
    """Nine to five in Berlin: at 07:00 UTC in summer, at 08:00 in winter; clocks change on 2023-10-29."""
    begin = datetime.datetime(2023, 10, 28, tzinfo=datetime.UTC).timestamp()
    world = World(start=begin)
    put(world, "day", "cron(0 9 * * ? *)", 20, 30, Timezone="Europe/Berlin")
    put(world, "night", "cron(0 17 * * ? *)", 2, 5, Timezone="Europe/Berlin")
    found = []
    for hour in range(1, 49):
        world.run(begin + hour * HOUR)
        found.append(world.desired)
    changes = [hour for hour, (one, after) in enumerate(itertools.pairwise(found), start=2) if one != after]
    assert changes == [7, 15, 24 + 8, 24 + 16]
    assert runs(world) == ["day", "night", "day", "night"]


@pytest.mark.rule("1.5#start", "1.5#end")
def test_a_start_runs_at_once_and_an_end_ends_without_going_back(world: World) -> None:
    """StartTime: run then, and as it recurs; EndTime: no more runs, no reverting (AAS-CRON)."""
    start, end = MIDNIGHT + 600, MIDNIGHT + 3 * HOUR
    put(world, "a", "cron(0 * * * ? *)", 15, StartTime=start, EndTime=end)
    found = []
    for minute in range(0, 6 * 60, 10):
        world.run(MIDNIGHT + 60 * minute)
        last = action(world, "a").last_due_at
        if last is not None and last not in found:
            found.append(last)
    assert [(one - MIDNIGHT) / 60 for one in found] == [10, 60, 120, 180]
    assert bounds(world) == (15, 100)


@pytest.mark.rule("1.5#rate", "1.5#first rate")
def test_a_rate_counts_from_its_start_or_from_its_creation(world: World) -> None:
    put(world, "from-now", "rate(30 minutes)", 2)
    put(world, "from-start", "rate(1 hour)", 3, StartTime=START + 1000)
    assert schedules.next_due(action(world, "from-now"), START) == START + 1800
    assert schedules.next_due(action(world, "from-start"), START) == START + 1000
    world.run(START + 3 * HOUR)
    assert runs(world).count("from-now") == 6
    assert runs(world).count("from-start") == 3


@pytest.mark.rule("1.2#12")
def test_scheduled_actions_ignore_cooldowns(world: World) -> None:
    """behaviour.md 1.2.12."""
    steps = [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 2}]
    configuration = {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": steps}
    arn = world.ask(
        "PutScalingPolicy", PolicyName="out", PolicyType="StepScaling", StepScalingPolicyConfiguration=configuration
    )["PolicyARN"]
    world.put_alarm("high", arn)
    put(world, "down", f"at({utc(START + 120)})", 1, 3)
    put(world, "up", f"at({utc(START + 180)})", 8, 20)
    assert [world.minute(90), world.minute(90), world.minute(90)] == [12, 3, 8]


@pytest.mark.rule("1.1.1#scheduled")
def test_suspended_actions_are_skipped_for_good(world: World) -> None:
    """behaviour.md 1.1.1."""
    put(world, "a", "rate(1 hour)", 20)
    world.ask("RegisterScalableTarget", SuspendedState={"ScheduledScalingSuspended": True})
    world.run(START + 2 * HOUR + 60)
    assert (world.desired, world.told) == (10, [])
    world.ask("RegisterScalableTarget", SuspendedState={"ScheduledScalingSuspended": False})
    world.restart()
    world.run(START + 3 * HOUR - 1)
    assert (world.desired, world.told) == (10, []), "what was due in the meantime does not run now"
    world.run(START + 3 * HOUR)
    assert world.desired == 20


@pytest.mark.rule("1.5#order")
def test_what_was_missed_while_the_server_was_down_is_made_up_for_once_in_order(world: World) -> None:
    """Each action's newest time only, in the order of those times; the count moves once, into the last bounds."""
    put(world, "evening", "cron(0 22 * * ? *)", 1, 2)
    put(world, "morning", "cron(0 8 * * ? *)", 20, 30)
    put(world, "once", f"at({utc(MIDNIGHT + 9 * HOUR)})", None, 25)
    world.restart(down_seconds=3 * DAY - (START - MIDNIGHT) + 10 * HOUR)
    assert runs(world) == ["once", "evening", "morning"]
    assert (bounds(world), world.desired) == ((20, 30), 20)
    assert [one.to_count for one in world.told if one.to_count is not None] == [20], "not down to 2 and up again"
    world.restart()
    assert len(runs(world)) == 3


def test_a_restart_in_between_runs_nothing_twice(world: World) -> None:
    put(world, "a", "rate(1 hour)", 3)
    for _ in range(8):
        world.run(world.now + 30 * 60)
        world.restart()
    assert len(runs(world)) == 4


@pytest.mark.rule("1.5#min above max", "1.7#Failed", "1.7#failed")
def test_what_would_make_the_minimum_exceed_the_maximum_fails(world: World) -> None:
    put(world, "a", "rate(1 hour)", 200)
    world.run(START + HOUR)
    (failed,) = world.told
    assert (failed.status, failed.description) == ("Failed", "Setting min capacity to 200")
    assert failed.status_message == (
        "Failed to set min capacity to 200. Reason: The maximum capacity, 100, would be less than the minimum "
        "capacity, 200."
    )
    assert (bounds(world), world.desired) == ((1, 100), 10)


@pytest.mark.rule("1.1.2#unscalable", "1.7#Failed")
def test_an_action_on_a_service_that_is_gone_fails(world: World) -> None:
    put(world, "a", "rate(1 hour)", 20)
    world.put(msgspec.structs.replace(world.service, status="INACTIVE"))
    world.run(START + HOUR)
    (failed,) = world.told
    assert failed.status == "Failed"
    assert failed.status_message is not None
    assert failed.status_message.startswith("Resource Id [service/default/web] is not scalable. Reason: ")
    assert bounds(world) == (1, 100)


@pytest.mark.rule("1.5#update")
def test_an_update_keeps_what_it_does_not_name_but_start_and_end(world: World) -> None:
    put(world, "a", "cron(0 9 * * ? *)", 2, 4, Timezone="Asia/Tokyo", StartTime=START + 60, EndTime=START + 30 * DAY)
    before = shown(world)[0]
    assert (before["StartTime"], before["EndTime"]) == (START + 60, START + 30 * DAY)
    world.now += 10
    world.ask("PutScheduledAction", ScheduledActionName="a")
    (after,) = shown(world)
    assert after == {name: value for name, value in before.items() if name not in ("StartTime", "EndTime")}
    world.ask("PutScheduledAction", ScheduledActionName="a", ScalableTargetAction={"MaxCapacity": 9}, Timezone="UTC")
    (after,) = shown(world)
    assert (after["ScalableTargetAction"], after["Timezone"]) == ({"MaxCapacity": 9}, "UTC")
    assert after["ScheduledActionARN"] == before["ScheduledActionARN"]
    assert after["CreationTime"] == START


def shown(world: World, **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.call(
        "application-autoscaling", "DescribeScheduledActions", ServiceNamespace="ecs", **more
    )["ScheduledActions"]
    return found


def test_actions_are_described_by_name_and_page(world: World) -> None:
    for name in ("c", "a", "b"):
        put(world, name, "rate(1 day)", 1)
    (found,) = shown(world, ScheduledActionNames=["b"])
    prefix, _, rest = found["ScheduledActionARN"].partition("scheduledAction:")
    assert prefix == "arn:aws:autoscaling:us-east-1:123456789012:"
    assert rest[36:] == ":resource/ecs/service/default/web:scheduledActionName/b"
    page = world.call("application-autoscaling", "DescribeScheduledActions", ServiceNamespace="ecs", MaxResults=2)
    rest = shown(world, MaxResults=2, NextToken=page["NextToken"])
    assert [one["ScheduledActionName"] for one in (*page["ScheduledActions"], *rest)] == ["a", "b", "c"]
    assert shown(world, ResourceId="service/default/other") == []


@pytest.mark.rule("1.1#13")
def test_deleting(world: World) -> None:
    put(world, "a", "rate(1 hour)", 20)
    put(world, "b", "rate(1 day)", 1)
    world.ask("DeleteScheduledAction", ScheduledActionName="a")
    code, text = world.refused("DeleteScheduledAction", ScheduledActionName="a")
    assert (code, text) == (
        "ObjectNotFoundException",
        "No scheduled action found for service namespace: ecs, resource ID: service/default/web, "
        "scalable dimension: ecs:service:DesiredCount: a",
    )
    world.run(START + 2 * HOUR)
    assert world.desired == 10
    world.ask("DeregisterScalableTarget")
    assert shown(world) == [], "its actions go with the target (behaviour.md 1.1.13)"
    assert world.refused("PutScheduledAction", ScheduledActionName="a", Schedule="rate(1 day)")[0] == (
        "ObjectNotFoundException"
    )


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"Schedule": None}, "Schedule is required"),
        ({"Schedule": "cron(0 0 * * *)"}, "Invalid schedule 'cron(0 0 * * *)': a cron expression has six fields"),
        ({"Timezone": "Mars"}, "Invalid schedule 'rate(1 hour)': Mars is no time zone"),
        ({"ScalableTargetAction": None}, "ScalableTargetAction must have"),
        ({"ScalableTargetAction": {}}, "ScalableTargetAction must have"),
        ({"ScalableTargetAction": {"MinCapacity": 2, "MaxCapacity": 1}}, "Maximum capacity cannot be less"),
        ({"ScalableTargetAction": {"MinCapacity": -1}}, "MinCapacity and MaxCapacity can not be less than 0"),
        ({"StartTime": START + 9, "EndTime": START + 9}, "EndTime must be later"),
        ({"EndTime": START - 9}, "The schedule 'rate(1 hour)' has no time in the future"),
        ({"Schedule": f"at({utc(START - 1)})"}, f"The schedule 'at({utc(START - 1)})' has no time in the future"),
        ({"Schedule": f"at({utc(START + 9)})", "StartTime": START + 10}, "The schedule 'at("),
        ({"ScheduledActionName": "a:b"}, "1 validation error detected: Value 'a:b' at 'scheduledActionName'"),
    ],
)
def test_what_an_action_may_not_be(world: World, more: dict[str, Any], text: str) -> None:
    known = {"ScheduledActionName": "a", "Schedule": "rate(1 hour)", "ScalableTargetAction": {"MinCapacity": 1}}
    params = {name: value for name, value in {**known, **more}.items() if value is not None}
    code, said = world.refused("PutScheduledAction", **params)
    assert (code, said[: len(text)]) == ("ValidationException", text)


@pytest.mark.rule("1.8#actions", "1.1.2#limit")
def test_at_most_200_actions_of_a_target(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from roadstead.api.application_autoscaling import scheduled

    assert scheduled.ACTIONS_OF_TARGET_MAX == 200
    monkeypatch.setattr(scheduled, "ACTIONS_OF_TARGET_MAX", 2)
    put(world, "a", "rate(1 day)", 1)
    put(world, "b", "rate(1 day)", 1)
    put(world, "b", "rate(2 days)", 1)
    bounded = {"ScalableTargetAction": {"MinCapacity": 1}}
    refusal = world.refused("PutScheduledAction", ScheduledActionName="c", Schedule="rate(1 day)", **bounded)
    assert refusal == ("LimitExceededException", "A scalable target can have at most 2 scheduled actions.")


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["rate(7 minutes)", "rate(1 hour)", "cron(0/20 * * * ? *)", "cron(30 3 ? * THU *)"]),
            st.none() | st.integers(0, 40),
            st.none() | st.integers(0, 60),
        ).filter(lambda one: (one[1], one[2]) != (None, None) and (one[1] or 0) <= (60 if one[2] is None else one[2])),
        min_size=1,
        max_size=4,
    ),
    st.lists(st.integers(60, 6 * HOUR), min_size=1, max_size=6),
)
def test_the_bounds_are_those_of_the_newest_action_however_long_nothing_ran(
    wanted: list[tuple[str, int | None, int | None]], gaps: list[int]
) -> None:
    """A server that was down now and then ends where one that never was does, and the count is within the bounds."""
    worlds = World(), World()
    for world in worlds:
        for number, (schedule, low, high) in enumerate(wanted):
            put(world, f"a{number}", schedule, low, high)
    steady, broken = worlds
    for gap in gaps:
        steady.run(steady.now + gap)
        broken.restart(down_seconds=gap)
        assert broken.now == steady.now
        least, most = bounds(broken)
        assert least <= broken.desired <= most
        if all(low is not None and high is not None for _, low, high in wanted):
            assert bounds(broken) == bounds(steady)
