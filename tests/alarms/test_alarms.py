"""Alarms over time: when they are evaluated, what is written, which actions run (behaviour.md 2.6.2-2.6.4)."""

from __future__ import annotations

import json

import msgspec
import pytest
from alarm_world import LOAD, POLICY, START, World
from hypothesis import given, settings
from hypothesis import strategies as st

from roadstead.control import alarm_watch, alarms_history
from roadstead.control import alarms as controller
from roadstead.model import alarms

TABLE = [
    # oldest first; M of N; missing, ignore, breaching, notBreaching (None: keep)
    ("0-X-X", 3, ("OK", "OK", "OK", "OK")),
    ("0----", 3, ("OK", "OK", "OK", "OK")),
    ("-----", 3, ("INSUFFICIENT_DATA", None, "ALARM", "OK")),
    ("0XX-X", 3, ("ALARM", "ALARM", "ALARM", "ALARM")),
    ("--X--", 3, ("ALARM", None, "ALARM", "OK")),
    ("0-X-X", 2, ("ALARM", "ALARM", "ALARM", "ALARM")),
    ("00X0X", 2, ("ALARM", "ALARM", "ALARM", "ALARM")),
    ("0-X--", 2, ("OK", "OK", "ALARM", "OK")),
    ("----0", 2, ("OK", "OK", "ALARM", "OK")),
    ("---X-", 2, ("ALARM", None, "ALARM", "OK")),
]
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")


@pytest.mark.parametrize("before", ["OK", "ALARM"])
@pytest.mark.parametrize("period", [20, 60])
@pytest.mark.parametrize(("points", "needed", "outcomes"), TABLE)
def test_the_published_tables_come_out(
    world: World, points: str, needed: int, outcomes: tuple[str | None, ...], period: int, before: str
) -> None:
    for age, point in enumerate(reversed(points), start=1):
        if point != "-":
            value = 80.0 if point == "X" else 20.0
            world.measure(value, START - age * period, resolution=1 if period < 60 else 60)
    world.now = START - 1
    for treatment in TREATMENTS:
        world.put_alarm(
            treatment,
            period_seconds=period,
            evaluation_periods=3,
            datapoints_to_alarm=needed,
            treat_missing_data=treatment,
        )
        world.force(before, name=treatment)
    world.run(START)
    assert [world.state(one) for one in TREATMENTS] == [outcome or before for outcome in outcomes]


def test_a_new_alarm_is_evaluated_at_once_with_data_from_before_it(world: World) -> None:
    for age in (1, 2, 3):
        world.measure(80.0, START - 60 * age)
    world.now = START + 30
    world.put_alarm()
    world.settle()
    seen = world.alarm().observed
    assert seen.state == "ALARM"
    assert seen.state_transitioned_at == seen.evaluated_at == START + 30
    assert seen.reason.startswith("Threshold Crossed: 3 datapoints [80.0 (14/11/23 22:13:00), ")
    assert seen.reason_data is not None
    assert msgspec.json.decode(seen.reason_data)["recentDatapoints"] == [80.0, 80.0, 80.0]


def test_another_configuration_of_the_same_moment_is_evaluated_too(world: World) -> None:
    for age in (1, 2, 3):
        world.measure(80.0, START - 60 * age)
    world.put_alarm()
    world.settle()
    world.put_alarm(threshold=90.0)
    world.settle()
    assert world.state() == "OK"


def test_an_alarm_without_data_keeps_its_first_reason(world: World) -> None:
    world.put_alarm()
    world.run(START + 600)
    assert world.alarm().observed.reason == "Unchecked: Initial alarm creation"
    assert world.writes == 0


def test_three_breaching_minutes_make_an_alarm_and_one_good_one_ends_it(world: World) -> None:
    world.put_alarm()
    for minute, value in enumerate([20.0, 80.0, 80.0, 80.0, 30.0]):
        world.run(START + 60 * minute + 59)
        world.measure(value, START + 60 * minute)
    world.run(START + 300)
    moves = [(item.timestamp - START, item.summary) for item in world.history()]
    assert moves == [
        (60.0, "Alarm updated from INSUFFICIENT_DATA to OK"),
        (240.0, "Alarm updated from OK to ALARM"),
        (300.0, "Alarm updated from ALARM to OK"),
    ]


def test_the_history_tells_both_states_with_their_reasons(world: World) -> None:
    world.put_alarm()
    world.measure(20.0, START)
    world.run(START + 60)
    data = msgspec.json.decode(world.history()[0].data)
    assert data["version"] == "1.0"
    assert data["oldState"] == {
        "stateValue": "INSUFFICIENT_DATA",
        "stateReason": "Unchecked: Initial alarm creation",
    }
    assert data["newState"]["stateValue"] == "OK"
    assert data["newState"]["stateReasonData"]["recentDatapoints"] == [20.0]


def test_an_evaluation_that_finds_nothing_new_writes_nothing(world: World) -> None:
    world.put_alarm()
    for minute in range(60):
        world.measure(20.0 + minute / 10, START + 60 * minute)
    world.run(START + 60)
    written = world.writes
    world.run(START + 3600)
    assert world.writes == written == 1


def test_the_count_of_breaching_datapoints_is_read_anew(world: World) -> None:
    world.put_alarm()
    for minute, value in enumerate([20.0, 80.0, 80.0, 20.0]):
        world.measure(value, START + 60 * minute)
    counts = []
    for minute in range(1, 8):
        world.run(START + 60 * minute)
        counts.append(alarm_watch.breaching(world.store.view(), world.alarm(), world.now))
    assert counts == [0, 1, 2, 2, 2, 2, 1]


# -- sleeping


def test_an_alarm_at_rest_is_not_evaluated_before_it_could_change(world: World) -> None:
    world.put_alarm("three", evaluation_periods=3)
    world.put_alarm("of five", evaluation_periods=5, datapoints_to_alarm=3)
    for minute in range(60):
        world.measure(20.0 + minute / 10, START + 60 * minute)
    world.run(START + 60)
    world.looks.clear()
    world.run(START + 60 + 30 * 60)
    assert world.looks == {"three": 10, "of five": 10}


def test_what_comes_late_wakes_it_for_the_next_evaluation(world: World) -> None:
    world.put_alarm(evaluation_periods=3)
    for minute in range(3):
        world.measure(20.0, START + 60 * minute)
    world.run(START + 180)
    for minute in range(3):
        world.measure(1_000.0, START + 60 * minute + 30)
    assert world.stepper.next_wake() == START + 240
    world.measure(1_000.0, START + 180)
    world.run(START + 239)
    assert world.state() == "OK"
    world.run(START + 240)
    assert world.state() == "ALARM"


def test_the_first_data_of_a_metric_come_late_for_an_alarm_that_does_well_without(world: World) -> None:
    world.put_alarm(evaluation_periods=3, treat_missing_data="notBreaching")
    world.run(START + 60)
    world.measure(1_000.0, START)
    world.measure(1_000.0, START + 60)
    world.measure(1_000.0, START + 120)
    world.run(START + 180)
    assert world.state() == "ALARM"


def test_many_alarms_hear_of_late_data_at_their_own_moment(world: World) -> None:
    for number in range(2_001):
        world.put_alarm(f"alarm-{number}", namespace="Other")
    world.put_alarm(evaluation_periods=1)
    (wake_at,) = dict(controller.CONTROLLER.wakes(LOAD, world.store.view(), START + 120)).values()
    assert START + 120 < wake_at < START + 122, "its evaluation of this minute is still to come"
    (wake_at,) = dict(controller.CONTROLLER.wakes(LOAD, world.store.view(), START + 122)).values()
    assert START + 180 < wake_at < START + 182


def test_alarms_of_twenty_seconds_are_evaluated_every_ten(world: World) -> None:
    world.put_alarm(period_seconds=20, evaluation_periods=1)
    world.run(START + 21)
    world.measure(80.0, START + 19, resolution=1)  # delivered two seconds after its moment
    world.run(START + 30)
    seen = world.alarm().observed
    assert seen.state == "ALARM"
    assert seen.evaluated_at == START + 30


def test_a_late_sample_is_taken_up_by_the_next_evaluation(world: World) -> None:
    world.put_alarm(evaluation_periods=3)
    world.measure(20.0, START - 60)
    for minute in range(3):
        world.run(START + 60 * minute + 61.5)  # each arrives 1.5 s after its minute has been evaluated
        world.measure(80.0, START + 60 * minute + 59)
    assert world.state() != "ALARM"
    world.run(START + 240)
    assert world.state() == "ALARM"


def test_windows_of_five_minutes_slide_by_a_minute(world: World) -> None:
    world.put_alarm(period_seconds=300, evaluation_periods=1, statistic="Sum", threshold=250.0)
    for minute in range(1, 4):
        world.measure(100.0, START + 60 * minute)
    world.run(START + 179)
    assert world.state() != "ALARM"
    world.run(START + 240)
    assert world.state() == "ALARM"  # minutes -1 to 3
    world.run(START + 420)
    assert world.state() == "OK"  # minutes 2 to 6 have two of them


def test_windows_of_more_than_a_day_are_evaluated_on_the_hour(world: World) -> None:
    world.put_alarm(period_seconds=3600, evaluation_periods=25, datapoints_to_alarm=1)
    world.settle()
    hour = START - START % 3600
    world.measure(80.0, START)
    world.run(hour + 3599)
    assert world.state() == "INSUFFICIENT_DATA"
    world.run(hour + 3600)
    assert world.state() == "ALARM"


def test_an_alarm_without_a_unit_takes_all_units_together(world: World) -> None:
    world.put_alarm("all", evaluation_periods=1, statistic="Sum", threshold=100.0)
    world.put_alarm("percent", evaluation_periods=1, statistic="Sum", threshold=100.0, unit="Percent")
    world.measure(60.0, START, unit="Percent")
    world.measure(60.0, START, unit="None")
    world.run(START + 60)
    assert (world.state("all"), world.state("percent")) == ("ALARM", "OK")


def test_percentiles_with_few_samples_can_be_left_out(world: World) -> None:
    for mode in ("evaluate", "ignore"):
        world.put_alarm(
            mode,
            evaluation_periods=1,
            statistic=None,
            extended_statistic="p90",
            evaluate_low_sample_count_percentile=mode,
        )
    for _ in range(99):  # p90 wants 100
        world.measure(80.0, START)
    world.run(START + 60)
    assert (world.state("evaluate"), world.state("ignore")) == ("ALARM", "INSUFFICIENT_DATA")
    for _ in range(100):
        world.measure(80.0, START + 60)
    world.run(START + 120)
    assert world.state("ignore") == "ALARM"


def test_dynamodb_ignores_missing_data(world: World) -> None:
    world.put_alarm(namespace="AWS/DynamoDB", treat_missing_data="breaching")
    world.run(START + 300)
    assert world.state() == "INSUFFICIENT_DATA"


# -- actions


def breach(world: World, minutes: int, value: float = 80.0, period: int = 60) -> None:
    for number in range(-3, minutes):
        world.measure(value + number, START + period * number, resolution=1 if period < 60 else 60)


def actions_of(world: World, seconds: int, step: int = 10) -> list[float]:
    """The moments, from START on, at which actions ran within so many seconds."""
    found: list[float] = []
    for offset in range(0, seconds + 1, step):
        world.run(START + offset)
        at = world.alarm().observed.actions_at
        if at is not None and (not found or at - START != found[-1]):
            found.append(at - START)
    return found


@pytest.mark.rule("1.4#repeat")
def test_scaling_actions_are_repeated_each_minute_with_the_newest_value(world: World) -> None:
    world.put_alarm(alarm_actions=(POLICY,))
    breach(world, 5)
    assert actions_of(world, 240) == [0, 60, 120, 180, 240]
    seen = world.alarm().observed
    assert (seen.newest_value, seen.newest_value_at) == (83.0, START + 180)
    assert [item.type for item in world.history()] == ["StateUpdate", "Action"]
    assert world.history()[1].summary == f"Successfully executed action {POLICY}"


@pytest.mark.parametrize(
    "action",
    [
        POLICY.replace("1-2-3", "9-9-9"),
        POLICY.replace("policyName/cpu", "policyName/cp"),
        POLICY.partition(":createdBy")[0] + "x",
    ],
)
def test_an_action_that_no_policy_has_fails_and_the_history_says_so(world: World, action: str) -> None:
    world.put_alarm(alarm_actions=(action,))
    breach(world, 5)
    world.run(START + 60)
    (item,) = (one for one in world.history() if one.type == "Action")
    assert item.summary == f"Failed to execute action {action}"
    assert json.loads(item.data)["error"] == "No scaling policy has this ARN."


def test_they_are_repeated_every_twenty_seconds_for_a_period_of_twenty(world: World) -> None:
    world.put_alarm(alarm_actions=(POLICY,), period_seconds=20)
    breach(world, 10, period=20)
    assert actions_of(world, 100) == [0, 20, 40, 60, 80, 100]
    assert world.alarm().observed.newest_value_at == START + 80


def test_other_fine_periods_repeat_each_minute(world: World) -> None:
    world.put_alarm(alarm_actions=(POLICY,), period_seconds=10)
    breach(world, 30, period=10)
    assert actions_of(world, 130) == [0, 60, 120]


def test_hourly_alarms_repeat_each_minute(world: World) -> None:
    world.put_alarm(alarm_actions=(POLICY,), period_seconds=3600, evaluation_periods=25, datapoints_to_alarm=1)
    world.measure(80.0, START - 7200)
    assert actions_of(world, 180) == [0, 60, 120, 180]


def test_no_actions_run_when_the_state_has_none_or_they_are_off(world: World) -> None:
    world.put_alarm("ok", alarm_actions=(POLICY,), comparison_operator="LessThanThreshold")
    world.put_alarm("off", alarm_actions=(POLICY,), actions_enabled=False)
    breach(world, 5)
    world.run(START + 240)
    assert world.state("off") == "ALARM"
    assert world.alarm("ok").observed.actions_at is world.alarm("off").observed.actions_at is None
    assert [item.type for item in world.history("off")] == ["StateUpdate"]


def test_actions_of_other_states_run_in_those(world: World) -> None:
    world.put_alarm(ok_actions=(POLICY,), comparison_operator="LessThanThreshold")
    breach(world, 2)
    assert actions_of(world, 60) == [0, 60]


def test_actions_switched_on_later_run_then(world: World) -> None:
    world.put_alarm(alarm_actions=(POLICY,), actions_enabled=False)
    breach(world, 5)
    world.run(START + 70)
    world.put_alarm(alarm_actions=(POLICY,))
    world.run(START + 130)
    assert world.alarm().observed.actions_at == START + 120
    assert [item.timestamp - START for item in world.history() if item.type == "Action"] == [70]


def test_actions_end_with_the_state(world: World) -> None:
    world.put_alarm(alarm_actions=(POLICY,))
    breach(world, 0)
    world.measure(20.0, START)
    world.run(START)
    assert world.alarm().observed.actions_at == START
    world.run(START + 60)
    seen = world.alarm().observed
    assert (seen.state, seen.actions_at, seen.newest_value) == ("OK", None, 20.0)


# -- SetAlarmState


def test_a_state_that_was_set_holds_until_the_next_evaluation(world: World) -> None:
    world.put_alarm(alarm_actions=(POLICY,))
    breach(world, 5, value=20.0)
    world.run(START + 30)
    world.force("ALARM")
    assert world.state() == "ALARM"
    world.run(START + 59)
    seen = world.alarm().observed
    assert (seen.state, seen.reason, seen.actions_at) == ("ALARM", "testing", START + 30)
    assert (seen.newest_value, seen.newest_value_at) == (19.0, START - 60)
    world.run(START + 60)
    seen = world.alarm().observed
    assert (seen.state, seen.forced_at, seen.actions_at) == ("OK", None, None)


def test_its_reason_data_say_what_the_policy_counts_with(world: World) -> None:
    world.put_alarm(alarm_actions=(POLICY,))
    world.run(START + 30)
    world.force("ALARM", reason_data='{"recentDatapoints":[10.0,97.5]}')
    seen = world.alarm().observed
    assert (seen.newest_value, seen.actions_at) == (97.5, START + 30)


def test_setting_the_state_it_has_runs_no_actions(world: World) -> None:
    world.put_alarm(alarm_actions=(POLICY,))
    breach(world, 5)
    world.run(START + 30)
    world.force("ALARM")
    assert world.alarm().observed.actions_at == START
    world.run(START + 60)
    seen = world.alarm().observed
    assert (seen.state, seen.forced_at, seen.actions_at) == ("ALARM", None, START + 60)


def test_the_next_evaluation_forgets_that_the_state_was_set(world: World) -> None:
    world.put_alarm()
    world.run(START + 30)
    world.force("INSUFFICIENT_DATA")
    assert world.alarm().observed.forced_at == START + 30
    world.run(START + 60)
    assert world.alarm().observed.forced_at is None


# -- restarts


def test_an_evaluation_missed_while_nothing_ran_is_made_up_for_once(world: World) -> None:
    world.put_alarm(alarm_actions=(POLICY,))
    world.run(START)
    breach(world, 10)
    world.now = START + 400.5
    world.restart()
    seen = world.alarm().observed
    assert (seen.state, seen.evaluated_at, seen.actions_at) == ("ALARM", START + 400.5, START + 400.5)
    written = world.writes
    world.restart()
    world.run(START + 419)
    assert world.writes == written
    world.run(START + 420)
    assert world.alarm().observed.actions_at == START + 420


@settings(max_examples=30, deadline=None)
@given(
    values=st.lists(st.one_of(st.none(), st.floats(0, 100)), min_size=8, max_size=20),
    restarts=st.sets(st.integers(0, 19)),
    offset=st.floats(0, 59.9),
    period=st.sampled_from([20, 60]),
    missing=st.sampled_from(TREATMENTS),
)
def test_a_restart_at_any_point_changes_nothing(
    values: list[float | None], restarts: set[int], offset: float, period: int, missing: str
) -> None:
    worlds = (World(), World())
    for world in worlds:
        world.put_alarm(alarm_actions=(POLICY,), period_seconds=period, treat_missing_data=missing)
    for number, value in enumerate(values):
        for world in worlds:
            world.run(START + period * (number + 1) - 0.05)
            if value is not None:
                world.measure(value, START + period * number, resolution=1 if period < 60 else 60)
            world.run(START + period * (number + 1) + offset * period / 60)
            if world is worlds[1] and number in restarts:
                world.restart()
    plain, restarted = ([(i.timestamp, i.summary, i.data) for i in world.history()] for world in worlds)
    assert plain == restarted
    assert worlds[0].alarm() == worlds[1].alarm()


# -- bounds


def test_many_alarms_are_spread_over_the_seconds_after_the_minute(world: World) -> None:
    view = world.store.view()
    world.put_alarm("a")
    alarm = world.alarm("a")
    assert controller.reconcile(view, "a", START).wake_at == START + 60

    class Crowded:
        """The view of a store with 10,000 alarms."""

        scope, ids, signals, revision = view.scope, view.ids, view.signals, view.revision

        def get(self, _kind: object, key: str) -> alarms.MetricAlarm:
            named: alarms.MetricAlarm = msgspec.structs.replace(alarm, name=key)
            return named

        def size(self, *_: object) -> int:
            return 10_000

    wakes = [controller.reconcile(Crowded(), f"alarm-{n}", START).wake_at for n in range(500)]  # type: ignore[arg-type]
    offsets = sorted(wake - START - 60 for wake in wakes if wake is not None)
    assert len(offsets) == 500
    assert 0 <= offsets[0] < 0.2
    assert 4.8 < offsets[-1] < 5.0


def test_reasons_of_long_windows_fit(world: World) -> None:
    world.put_alarm(evaluation_periods=500)
    for age in range(1, 501):
        world.measure(80.0, START - 60 * age)
    world.settle()
    seen = world.alarm().observed
    assert seen.state == "ALARM"
    assert len(seen.reason) == 1023
    assert seen.reason_data is not None
    assert len(seen.reason_data) <= 4000
    told = msgspec.json.decode(seen.reason_data)
    assert told["recentDatapoints"]
    assert len(world.history()[0].data) <= 4095


def test_an_alarm_that_flaps_for_ever_keeps_a_bounded_history(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarms_history, "ITEMS_MAX", 10)
    world.put_alarm(evaluation_periods=1)
    for minute in range(30):
        world.measure(80.0 if minute % 2 else 20.0, START + 60 * minute)
    world.run(START + 1800)
    times = [item.timestamp - START for item in world.history()]
    assert times == [60.0 * minute for minute in range(21, 31)]


def test_values_told_are_read_only_where_all_are_numbers() -> None:
    assert alarms_history.values_told('{"recentDatapoints":[1,2.5]}') == (1.0, 2.5)
    wrong = ("[]", '["x"]', "[1,true]", "3")
    for text in (None, "no json", "[]", "{}", *(f'{{"recentDatapoints":{one}}}' for one in wrong)):
        assert alarms_history.values_told(text) == ()
