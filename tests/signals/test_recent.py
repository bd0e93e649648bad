"""Windows as alarms read them: kept from look to look, and always what a fresh read gives."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from roadstead.signals import alarm_evaluation as alarms
from roadstead.signals import metrics, recent, retention, series

NOW = 1_700_000_040.0
LOAD = metrics.metric("N", "Load", [("Host", "a")])


def rule(period_seconds: int, periods: int) -> alarms.Rule:
    return alarms.Rule(
        period_seconds=period_seconds, evaluation_periods=periods, comparison="GreaterThanThreshold", threshold=5.0
    )


def datum(timestamp: float, value: float, *, resolution: int = 1, unit: str = "None") -> metrics.Datum:
    return metrics.Datum(
        metric=LOAD, timestamp=timestamp, values=(value,), unit=unit, storage_resolution_seconds=resolution
    )


def afresh(
    store: series.SeriesStore, unit: str | None, statistic: str, span: alarms.Window, now: float
) -> recent.Points:
    """The window by the general read, which keeps nothing."""
    names = (statistic, "SampleCount")
    read = store.statistics(LOAD, unit, span.start, span.end, span.period_seconds, names, now)
    figures = [(p.timestamp, p.values[statistic], p.values["SampleCount"]) for p in read if statistic in p.values]
    return alarms.datapoints(span, figures)


_put = st.fixed_dictionaries(
    {
        "age": st.one_of(st.integers(-30, 90), st.integers(0, 4_000), st.integers(0, 16 * retention.DAY)),
        "eighths": st.integers(-4, 200),  # sums of these are exact in any order
        "resolution": st.sampled_from((1, 60)),
        "unit": st.sampled_from(("None", "Percent")),
    }
)
_look = st.fixed_dictionaries(
    {
        "period": st.sampled_from((10, 20, 60, 120, 300, 3600)),
        "periods": st.sampled_from((1, 3, 15, 30)),
        "statistic": st.sampled_from(("Average", "Sum", "Maximum", "p90", "tm50")),
        "unit": st.sampled_from((None, "None", "Percent")),
    }
)
_moves = st.lists(
    st.one_of(
        _put,
        _look,
        st.sampled_from((0.0, 3.5, 10.0, 20.0, 60.0, 301.0, 1_000.0, 4 * 3600.0)),  # time passes
        st.just("expire"),
    ),
    max_size=60,
)


@given(moves=_moves, looks=st.lists(_look, min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_what_is_kept_is_what_a_fresh_read_gives(moves: list[Any], looks: list[dict[str, Any]]) -> None:
    store = series.SeriesStore()
    now = NOW
    for move in moves:
        match move:
            case float():
                now += move
            case "expire":
                store.expire(now, 1_000)
            case {"age": age}:
                store.put(datum(now - age, move["eighths"] / 8, resolution=move["resolution"], unit=move["unit"]), now)
            case _:
                looks = [*looks[-3:], move]
        for look in looks:
            span = alarms.window(rule(look["period"], look["periods"]), now)
            kept = store.window(LOAD, look["unit"], look["statistic"], span, now)
            assert kept == afresh(store, look["unit"], look["statistic"], span, now)
            assert store.window(LOAD, look["unit"], look["statistic"], span, now) == kept


def test_an_unchanged_window_is_the_same_object_and_a_late_datum_makes_a_new_one() -> None:
    store = series.SeriesStore()
    for age in (20, 40, 60):
        store.put(datum(NOW - age, 1.0), NOW)
    span = alarms.window(rule(20, 3), NOW)
    first = store.window(LOAD, None, "Average", span, NOW)
    store.put(datum(NOW + 1, 9.0), NOW + 1)  # of the period that runs
    assert store.window(LOAD, None, "Average", alarms.window(rule(20, 3), NOW + 10), NOW + 10) is first
    store.put(datum(NOW - 20, 3.0), NOW + 11)
    late = store.window(LOAD, None, "Average", span, NOW + 12)
    assert [point and point.value for point in late] == [2.0, 1.0, 1.0, None, None]


def test_what_is_kept_is_bounded() -> None:
    store = series.SeriesStore()
    now = NOW
    store.put(datum(now, 1.0), now)
    for number in range(2 * recent.KINDS_MAX):
        store.window(LOAD, None, f"p{number + 1}", alarms.window(rule(20, 3), now + number), now + number)
    (owner,) = store._owners.values()
    assert len(owner.recents) == recent.KINDS_MAX
    assert (None, f"p{2 * recent.KINDS_MAX}", 20) in owner.recents
    for _ in range(500):
        now += 20
        store.put(datum(now, 1.0), now)
        store.window(LOAD, None, "Average", alarms.window(rule(20, 3), now), now)
    assert len(owner.recents[None, "Average", 20].points) <= 3 * (3 + alarms.EXTRA_DATAPOINTS)
    store.window(LOAD, None, "Sum", alarms.window(rule(60, 2 * recent.PERIODS_MAX), now), now)
    assert (None, "Sum", 60) not in owner.recents, "too long a window is read afresh"
    now += recent.UNREAD_SECONDS_MAX + 1
    store.put(datum(now, 1.0), now)
    store.expire(now, 1_000)
    assert not owner.recents, "nobody reads it any more"
