"""AWS's two published tables, the laws that hold for any alarm, when alarms are evaluated, and what they say."""

from __future__ import annotations

import itertools
import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadstead.signals import alarm_evaluation as alarms
from roadstead.signals import alarm_reasons as reasons
from roadstead.signals import metrics, series

NOW = 1_700_000_040.0
COLUMNS: tuple[alarms.Missing, ...] = ("missing", "ignore", "breaching", "notBreaching")


def rule(needed: int | None = 3, periods: int = 3, **changes: Any) -> alarms.Rule:
    given: dict[str, Any] = {
        "period_seconds": 60,
        "evaluation_periods": periods,
        "datapoints_to_alarm": needed,
        "comparison": "GreaterThanThreshold",
        "threshold": 50.0,
    }
    return alarms.Rule(**(given | changes))


def points(picture: str) -> tuple[alarms.Datapoint | None, ...]:
    """`0`, `X`, `-` with the newest at the right, as AWS draws them."""
    values = {"X": 60.0, "0": 40.0}
    drawn = reversed(picture.replace(" ", ""))
    return tuple(
        alarms.Datapoint(NOW - 60.0 * age, values[sign]) if sign in values else None
        for age, sign in enumerate(drawn, start=1)
    )


@pytest.mark.parametrize("before", get_args(alarms.State))
@pytest.mark.parametrize(
    ("picture", "needed", "outcomes"),
    [
        ("0 - X - X", 3, "OK OK OK OK"),
        ("0 - - - -", 3, "OK OK OK OK"),
        ("- - - - -", 3, "INSUFFICIENT_DATA keep ALARM OK"),
        ("0 X X - X", 3, "ALARM ALARM ALARM ALARM"),
        ("- - X - -", 3, "ALARM keep ALARM OK"),
        ("0 - X - X", 2, "ALARM ALARM ALARM ALARM"),
        ("0 0 X 0 X", 2, "ALARM ALARM ALARM ALARM"),
        ("0 - X - -", 2, "OK OK ALARM OK"),
        ("- - - - 0", 2, "OK OK ALARM OK"),
        ("- - - X -", 2, "ALARM keep ALARM OK"),
    ],
)
def test_the_published_tables(picture: str, needed: int, outcomes: str, before: alarms.State) -> None:
    for treat_missing, outcome in zip(COLUMNS, outcomes.split(), strict=True):
        verdict = alarms.evaluate(rule(needed, treat_missing=treat_missing), points(picture), before)
        assert verdict.state == (before if outcome == "keep" else outcome), treat_missing


@pytest.mark.parametrize("picture", ["- - - - X", "- - - X -"])
def test_no_premature_alarm_before_the_oldest_breach_is_m_periods_old(picture: str) -> None:
    verdict = alarms.evaluate(rule(), points(picture), "OK")
    assert (verdict.state, verdict.kept_because) == ("OK", "missing_data")


def test_dynamodb_always_ignores() -> None:
    assert alarms.treatment("breaching", "AWS/DynamoDB") == "ignore"
    assert alarms.treatment("breaching", "AWS/ECS") == "breaching"
    assert alarms.treatment("missing", None) == "missing"


@pytest.mark.parametrize(
    ("comparison", "below", "at", "above"),
    [
        ("GreaterThanOrEqualToThreshold", False, True, True),
        ("GreaterThanThreshold", False, False, True),
        ("LessThanThreshold", True, False, False),
        ("LessThanOrEqualToThreshold", True, True, False),
    ],
)
def test_the_value_is_the_left_operand(comparison: alarms.Comparison, below: bool, at: bool, above: bool) -> None:
    assert [alarms.breaches(comparison, value, 5.0) for value in (4.0, 5.0, 6.0)] == [below, at, above]


def test_a_percentile_of_few_samples_keeps_the_state_when_asked_to() -> None:
    few = tuple(alarms.Datapoint(NOW - 60.0 * age, 60.0, 999.0) for age in (1, 2, 3))
    enough = (alarms.Datapoint(NOW - 60.0, 60.0, 1000.0), *few[1:])
    careful = rule(percentile=99.0, ignores_few_samples=True)
    assert alarms.evaluate(careful, few, "OK").state == "OK"
    assert alarms.evaluate(careful, few, "OK").kept_because == "few_samples"
    assert alarms.evaluate(careful, enough, "OK").state == "ALARM"
    assert alarms.evaluate(rule(percentile=99.0), few, "OK").state == "ALARM"


# -- laws

picture = st.lists(st.sampled_from("0X-"), min_size=0, max_size=9).map("".join)
numbers = st.integers(1, 6).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n)))
states = st.sampled_from(get_args(alarms.State))


@given(picture, numbers, st.sampled_from(COLUMNS), states, st.integers(0, 8))
def test_one_more_breach_never_ends_an_alarm(
    drawn: str, m_of_n: tuple[int, int], treat_missing: alarms.Missing, before: alarms.State, place: int
) -> None:
    """Where a real OK point breaches instead, an ALARM stays an ALARM."""
    if place >= len(drawn) or drawn[place] != "0":
        return
    worse = drawn[:place] + "X" + drawn[place + 1 :]
    chosen = rule(*m_of_n, treat_missing=treat_missing)
    if alarms.evaluate(chosen, points(drawn), before).state == "ALARM":
        kept = alarms.evaluate(chosen, points(worse), "ALARM")
        assert kept.state == "ALARM"


@given(picture, numbers, states)
def test_full_data_need_no_treatment(drawn: str, m_of_n: tuple[int, int], before: alarms.State) -> None:
    full = points(drawn.replace("-", "0").ljust(8, "X"))
    verdicts = {
        alarms.evaluate(rule(*m_of_n, treat_missing=column), full, before).state
        for column in COLUMNS
    }  # fmt: skip
    newest = [point.value for point in full[: m_of_n[1]] if point is not None]
    assert verdicts == {"ALARM" if sum(value > 50 for value in newest) >= m_of_n[0] else "OK"}


@given(picture, numbers, st.sampled_from(COLUMNS), states)
def test_a_verdict_is_settled_or_says_why_it_is_kept(
    drawn: str, m_of_n: tuple[int, int], treat_missing: alarms.Missing, before: alarms.State
) -> None:
    chosen = rule(*m_of_n, treat_missing=treat_missing)
    verdict = alarms.evaluate(chosen, points(drawn), before)
    again = alarms.evaluate(chosen, points(drawn), verdict.state)
    assert again.state == verdict.state
    assert len(verdict.used) + verdict.filled <= m_of_n[1]
    assert 0 <= verdict.breaching <= len(verdict.used)
    if verdict.kept_because:
        assert verdict.state == before
    else:
        others = {alarms.evaluate(chosen, points(drawn), state).state for state in get_args(alarms.State)}
        assert others == {verdict.state}, "without a reason to keep it, the state before does not matter"
        assert reasons.describe(chosen, verdict).startswith(("Threshold Crossed: ", "Insufficient Data: "))
    if treat_missing in ("breaching", "notBreaching"):
        assert verdict.state != "INSUFFICIENT_DATA"


@given(picture, numbers)
def test_breaching_is_the_strictest_treatment(drawn: str, m_of_n: tuple[int, int]) -> None:
    def state(treat_missing: alarms.Missing) -> str:
        return alarms.evaluate(rule(*m_of_n, treat_missing=treat_missing), points(drawn), "OK").state

    if state("notBreaching") == "ALARM":
        assert state("missing") == state("ignore") == state("breaching") == "ALARM"


# -- when


@pytest.mark.parametrize(
    ("period", "periods", "expected"),
    [(10, 3, 10), (20, 30, 10), (30, 1, 10), (60, 3, 60), (300, 1, 60), (86400, 1, 60), (3600, 25, 3600)],
)
def test_how_often(period: int, periods: int, expected: int) -> None:
    assert alarms.evaluation_interval(period, periods) == expected
    following = alarms.next_evaluation_at(period, periods, NOW + 0.5)
    assert following % expected == 0
    assert 0 < following - (NOW + 0.5) <= expected
    assert alarms.next_evaluation_at(period, periods, following) == following + expected


def test_the_window_of_a_longer_period_slides_by_a_minute() -> None:
    five = rule(1, 1, period_seconds=300)
    assert alarms.window(five, NOW + 59.9).starts == (NOW - 300, NOW - 600, NOW - 900)
    assert alarms.window(five, NOW + 60).starts == (NOW - 240, NOW - 540, NOW - 840)


def test_the_window_of_a_fine_period_lies_on_its_division_of_the_minute() -> None:
    span = alarms.window(rule(3, 3, period_seconds=20), NOW + 39)
    assert (span.start, span.end, span.starts[0]) == (NOW - 80, NOW + 20, NOW)


def test_the_window_of_more_than_a_day_ends_at_the_full_hour() -> None:
    span = alarms.window(rule(1, 25, period_seconds=3600), NOW)
    assert span.end % 3600 == 0
    assert 0 <= NOW - span.end < 3600


def test_a_long_fine_window_reads_no_further_back_than_fine_data_live() -> None:
    span = alarms.window(rule(1, 2000, period_seconds=10), NOW)
    assert span.start == NOW - 3 * 3600
    assert len(span.starts) == 2002


def test_window_and_series_fit_together() -> None:
    store = series.SeriesStore()
    subject = metrics.metric("N", "m")
    for age in (1, 2, 4):
        store.put(metrics.Datum(metric=subject, timestamp=NOW - 60 * age, values=(float(age),)), NOW)
    span = alarms.window(rule(), NOW + 12)
    read = store.statistics(subject, None, span.start, span.end, 60, ("Average", "SampleCount"), NOW + 12)
    found = alarms.datapoints(span, [(p.timestamp, p.values["Average"], p.values["SampleCount"]) for p in read])
    assert [point and point.value for point in found] == [1.0, 2.0, None, 4.0, None]


# -- words


def test_what_an_alarm_says() -> None:
    def says(picture: str, before: alarms.State = "OK", **changes: Any) -> str:
        chosen = rule(**changes)
        return reasons.describe(chosen, alarms.evaluate(chosen, points(picture), before))

    assert says("0 0 X X X") == (
        "Threshold Crossed: 3 out of the last 3 datapoints [60.0 (14/11/23 22:13:00), 60.0 (14/11/23 22:12:00), "
        "60.0 (14/11/23 22:11:00)] were greater than the threshold (50.0) "
        "(minimum 3 datapoints for OK -> ALARM transition)."
    )
    assert says("0 0 0 0 0", "ALARM", needed=1, periods=1) == (
        "Threshold Crossed: 1 out of the last 1 datapoints [40.0 (14/11/23 22:13:00)] was not greater than the "
        "threshold (50.0) (minimum 1 datapoint for ALARM -> OK transition)."
    )
    assert says("0 0 0 X X", needed=None, periods=2) == (
        "Threshold Crossed: 2 datapoints [60.0 (14/11/23 22:13:00), 60.0 (14/11/23 22:12:00)] "
        "were greater than the threshold (50.0)."
    )
    assert says("- - - - X", needed=1, treat_missing="notBreaching") == (
        "Threshold Crossed: 1 out of the last 3 datapoints [60.0 (14/11/23 22:13:00)] was greater than the threshold "
        "(50.0) and 2 missing datapoints were treated as [NonBreaching] "
        "(minimum 1 datapoint for OK -> ALARM transition)."
    )
    assert says("- - - - -", needed=1, periods=1, treat_missing="breaching") == (
        "Threshold Crossed: no datapoints were received for 1 period "
        "and 1 missing datapoint was treated as [Breaching]."
    )
    assert says("- - - - X", "ALARM", treat_missing="notBreaching") == (
        "Threshold Crossed: 2 missing datapoints were treated as [NonBreaching]."
    )
    assert says("- - - - -", periods=5) == "Insufficient Data: 5 datapoints were unknown."
    assert says("- - - - -", needed=1, periods=1) == "Insufficient Data: 1 datapoint was unknown."


def test_the_figures_behind_a_verdict() -> None:
    chosen = rule(2, 3)
    verdict = alarms.evaluate(chosen, points("0 - X - X"), "OK")
    span = alarms.window(chosen, NOW)
    data = json.loads(reasons.describe_data(chosen, verdict, span, statistic="Average", unit=None, now=NOW + 0.25))
    assert data == {
        "version": "1.0",
        "queryDate": "2023-11-14T22:14:00.250+0000",
        "startDate": "2023-11-14T22:09:00.000+0000",
        "statistic": "Average",
        "period": 60,
        "recentDatapoints": [40.0, 60.0, 60.0],
        "threshold": 50.0,
        "evaluatedDatapoints": [
            {"timestamp": "2023-11-14T22:13:00.000+0000", "sampleCount": 1.0, "value": 60.0},
            {"timestamp": "2023-11-14T22:12:00.000+0000"},
            {"timestamp": "2023-11-14T22:11:00.000+0000", "sampleCount": 1.0, "value": 60.0},
            {"timestamp": "2023-11-14T22:09:00.000+0000", "sampleCount": 1.0, "value": 40.0},
        ],
    }
    nothing = alarms.evaluate(chosen, points("-----"), "OK")
    empty = json.loads(reasons.describe_data(chosen, nothing, span, statistic="Sum", unit="Count", now=NOW))
    assert (empty["recentDatapoints"], "startDate" in empty, empty["unit"]) == ([], False, "Count")
    assert empty["evaluatedDatapoints"][0] == {"timestamp": "2023-11-14T22:13:00.000+0000"}


# -- how long nothing can change


@pytest.mark.parametrize("treatment", ["missing", "ignore", "breaching", "notBreaching"])
@pytest.mark.parametrize(("needed", "periods"), [(1, 1), (1, 2), (2, 2), (1, 3), (2, 3), (3, 3)])
def test_before_news_are_possible_nothing_that_comes_brings_any(treatment: str, needed: int, periods: int) -> None:
    """Every window, and after it everything that may come."""
    subject = rule(needed, periods, treat_missing=treatment)
    kinds = (None, alarms.Datapoint(0.0, 80.0), alarms.Datapoint(0.0, 20.0))
    longest = 0
    for window in itertools.product(kinds, repeat=subject.looked_at):
        moves = alarms.moves_until_news(subject, window, "OK")
        assert moves >= 1
        longest = max(longest, moves)
        if alarms.evaluate(subject, window, "OK").state != "OK":
            continue
        for count in range(1, moves):
            for fresh in itertools.product(kinds, repeat=count):
                assert alarms.evaluate(subject, (*fresh, *window), "OK").state == "OK"
    assert longest == needed, "as many breaching data points as are needed have to come at least"


@pytest.mark.parametrize("state", ["ALARM", "INSUFFICIENT_DATA"])
def test_alarms_that_are_not_at_rest_may_find_news_at_once(state: alarms.State) -> None:
    assert alarms.moves_until_news(rule(), (None,) * 5, state) == 1
