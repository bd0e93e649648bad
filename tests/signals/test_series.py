"""The store of series: what was put is read back per period, whatever its order, unit, age and grain."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadstead.signals import metrics, retention, series

NOW = 1_700_000_040.0  # a whole minute (and second 0 of it)
CPU = metrics.metric("AWS/ECS", "CPUUtilization", [("ServiceName", "web"), ("ClusterName", "c")])
DAY = 86400


def datum(timestamp: float, *values: float, resolution: int = 60, unit: str = "Percent") -> metrics.Datum:
    return metrics.Datum(
        metric=CPU, timestamp=timestamp, values=values, unit=unit, storage_resolution_seconds=resolution
    )


def read(
    store: series.SeriesStore,
    start: float,
    end: float,
    period: int,
    *names: str,
    unit: str | None = None,
    now: float = NOW,
) -> list[tuple[float, dict[str, float]]]:
    points = store.statistics(CPU, unit, start, end, period, names or ("Sum",), now)
    return [(point.timestamp, point.values) for point in points]


def settle(store: series.SeriesStore, now: float) -> None:
    for _ in range(10_000):
        if not store.expire(now, 50):
            return
    raise AssertionError("expire never came to an end")


def test_dimensions_have_no_order() -> None:
    assert metrics.metric("N", "m", [("b", "2"), ("a", "1")]) == metrics.metric("N", "m", [("a", "1"), ("b", "2")])
    assert metrics.from_text(metrics.to_text(CPU)) == CPU
    assert metrics.from_text("no metric") is None


def test_data_are_journaled_and_come_back() -> None:
    batch = [datum(NOW, 1.5), metrics.Datum(metric=CPU, timestamp=NOW, statistics=metrics.StatisticSet(2, 3, 1, 2))]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(batch), type=list[metrics.Datum]) == batch


def test_the_five_statistics_of_a_period_carry_its_start() -> None:
    store = series.SeriesStore()
    for second, value in ((-60, 1.0), (-41, 2.0), (-1, 6.0)):
        assert store.put(datum(NOW + second, value), NOW)
    names = ("SampleCount", "Sum", "Average", "Minimum", "Maximum")
    expected = {"SampleCount": 3.0, "Sum": 9.0, "Average": 3.0, "Minimum": 1.0, "Maximum": 6.0}
    assert read(store, NOW - 60, NOW, 60, *names) == [(NOW - 60, expected)]


def test_start_is_inclusive_end_exclusive_and_empty_periods_are_left_out() -> None:
    store = series.SeriesStore()
    for minute in (-4, -3, -1, 0):
        store.put(datum(NOW + 60 * minute, float(minute)), NOW)
    assert [t - NOW for t, _ in read(store, NOW - 240, NOW, 60)] == [-240.0, -180.0, -60.0]


def test_periods_follow_each_other_from_the_start_rounded_to_its_minute() -> None:
    store = series.SeriesStore()
    base = NOW - NOW % 3600
    for minute in range(-30, 0):
        store.put(datum(base + 60 * minute, 1.0), base)
    points = read(store, base - 20 * 60 + 40, base, 300, now=base)  # 40 seconds into a minute
    assert points == [(base - 20 * 60 + 300 * n, {"Sum": 5.0}) for n in range(4)]
    shifted = read(store, base - 13 * 60, base - 60, 300, now=base)
    assert shifted == [(base - 780, {"Sum": 5.0}), (base - 480, {"Sum": 5.0}), (base - 180, {"Sum": 2.0})]


def test_below_a_minute_the_read_moves_to_the_period_as_in_aws_s_example() -> None:
    store = series.SeriesStore()
    asked_at = 1_699_974_000.0 + 7 * 60 + 17  # 15:07:17
    for second in range(400):
        store.put(datum(asked_at - second, 1.0, resolution=1), asked_at)
    points = read(store, asked_at - 300, asked_at, 5, now=asked_at)
    assert points[0][0] == asked_at - 302
    assert points[-1][0] == asked_at - 7
    assert all(values == {"Sum": 5.0} for _, values in points)


def test_standard_data_have_no_periods_below_a_minute() -> None:
    store = series.SeriesStore()
    store.put(datum(NOW - 30, 1.0), NOW)
    assert read(store, NOW - 60, NOW, 20) == []
    assert read(store, NOW - 60, NOW, 60) == [(NOW - 60, {"Sum": 1.0})]


@pytest.mark.parametrize(
    ("age_days", "period", "has_points"),
    [(0.1, 20, True), (0.2, 20, False), (0.2, 60, True), (0.1, 90, False), (14.9, 60, True), (15.1, 60, False),
     (15.1, 300, True), (63.1, 300, False), (63.1, 3600, True), (1, 7, False)],
)  # fmt: skip
def test_the_age_of_the_start_decides_which_periods_have_points(age_days: float, period: int, has_points: bool) -> None:
    assert retention.period_is_readable(period, NOW - age_days * DAY, NOW) is has_points
    store = series.SeriesStore()
    store.put(datum(NOW - 10, 1.0, resolution=1), NOW)
    assert bool(read(store, NOW - age_days * DAY, NOW, period)) is has_points


def test_units_are_kept_apart_and_read_together_without_one() -> None:
    store = series.SeriesStore()
    store.put(datum(NOW - 60, 1.0, unit="Percent"), NOW)
    store.put(datum(NOW - 60, 5.0, unit="None"), NOW)
    assert store.units(CPU) == ["None", "Percent"]
    assert read(store, NOW - 60, NOW, 60, unit="Percent") == [(NOW - 60, {"Sum": 1.0})]
    assert read(store, NOW - 60, NOW, 60, unit="Bytes") == []
    assert read(store, NOW - 60, NOW, 60) == [(NOW - 60, {"Sum": 6.0})]
    assert read(store, NOW - 60, NOW, 60, unit="None") == [(NOW - 60, {"Sum": 5.0})], "a read changes nothing"


def test_statistic_sets_have_no_percentiles_but_of_one_or_of_equal_samples() -> None:
    def p50(*sets: metrics.StatisticSet) -> float | None:
        store = series.SeriesStore()
        for each in sets:
            store.put(metrics.Datum(metric=CPU, timestamp=NOW - 60, statistics=each), NOW)
        points = read(store, NOW - 60, NOW, 60, "p50", "Sum")
        return points[0][1].get("p50")

    assert p50(metrics.StatisticSet(3, 6, 1, 3)) is None
    assert p50(metrics.StatisticSet(1, 4, 4, 4)) == 4.0
    assert p50(metrics.StatisticSet(3, 12, 4, 4)) == 4.0
    assert p50(metrics.StatisticSet(3, 12, 4, 4), metrics.StatisticSet(1, 8, 8, 8)) == 4.0
    assert p50(metrics.StatisticSet(3, 12, 4, 4), metrics.StatisticSet(3, 6, 1, 3)) is None
    assert p50(metrics.StatisticSet(3, 7, 4, 4)) is None, "its own figures contradict each other"


def test_values_with_counts_keep_their_distribution() -> None:
    store = series.SeriesStore()
    store.put(metrics.Datum(metric=CPU, timestamp=NOW - 60, values=(1.0, 2.0), counts=(3.0, 1.0)), NOW)
    points = read(store, NOW - 60, NOW, 60, "p50", "p100", "SampleCount")
    assert points == [(NOW - 60, {"p50": 1.0, "p100": 2.0, "SampleCount": 4.0})]


def test_negative_values_have_no_extended_statistics() -> None:
    store = series.SeriesStore()
    store.put(datum(NOW - 60, 1.0, -1.0), NOW)
    assert read(store, NOW - 60, NOW, 60, "p50", "Minimum") == [(NOW - 60, {"Minimum": -1.0})]
    assert read(store, NOW - 60, NOW, 60, "p50") == []


def test_what_is_too_old_too_far_ahead_or_empty_is_not_kept() -> None:
    store = series.SeriesStore(series_max=1)
    assert not store.put(datum(NOW - 456 * DAY, 1.0), NOW)
    assert not store.put(datum(NOW + 7200 + 120, 1.0), NOW)
    assert not store.put(datum(NOW), NOW)
    assert store.series_count == 0
    assert store.put(datum(NOW + 7200, 1.0), NOW)
    assert not store.put(datum(NOW, 1.0, unit="Count"), NOW), "the store is full"


def test_ageing_moves_data_through_the_grains_and_at_last_away() -> None:
    store = series.SeriesStore()
    start = NOW - NOW % 3600
    for second in range(0, 3600, 20):
        store.put(datum(start + second, float(second % 7 + 1), resolution=1), start + second)
    whole = read(store, start, start + 3600, 3600, "Sum", "SampleCount", "Minimum", "Maximum", now=start + 3600)
    for days in (0.2, 1, 15.5, 16, 40, 64, 70, 200, 454):
        now = start + days * DAY
        settle(store, now)
        aged = read(store, start, start + 3600, 3600, "Sum", "SampleCount", "Minimum", "Maximum", now=now)
        assert aged == whole, f"after {days} days"
    settle(store, start + 470 * DAY)
    assert store.series_count == 0
    assert store.units(CPU) == []
    assert store.next_expiry_at() is None


def test_reads_do_not_depend_on_whether_ageing_has_run() -> None:
    lazy, tidy = series.SeriesStore(), series.SeriesStore()
    start = NOW - NOW % DAY
    for minute in range(0, 20 * 24 * 60, 7):
        now = start + minute * 60
        for store in (lazy, tidy):
            store.put(datum(now, float(minute % 11)), now)
        tidy.expire(now, 10)
    now = start + 20 * DAY
    settle(tidy, now)
    for begin, period in ((start, 300), (now - 14 * DAY, 60), (start + 3600, 3600), (now - 3600, 60)):
        assert read(lazy, begin, now, period, now=now) == read(tidy, begin, now, period, now=now) != []


def test_late_data_reach_a_packed_block() -> None:
    store = series.SeriesStore()
    for minute in range(120):
        store.put(datum(NOW + minute * 60, 1.0), NOW + minute * 60)
    later = NOW + 10 * 3600
    settle(store, later)
    assert store.put(datum(NOW + 60, 41.0), later)
    assert read(store, NOW, NOW + 120, 60, now=later) == [(NOW, {"Sum": 1.0}), (NOW + 60, {"Sum": 42.0})]
    settle(store, later)
    assert read(store, NOW, NOW + 120, 60, now=later) == [(NOW, {"Sum": 1.0}), (NOW + 60, {"Sum": 42.0})]


def test_percentiles_stay_close_when_old_bins_are_packed() -> None:
    store = series.SeriesStore()
    values = [20.0 + (i * 37 % 400) / 8 for i in range(400)]  # 20 to 70 percent
    for value in values:
        store.put(datum(NOW, value), NOW)
    names = ("p10", "p50", "p99", "p100", "p0", "Average")
    exact = read(store, NOW, NOW + 60, 60, *names)[0][1]
    later = NOW + 6 * 3600
    settle(store, later)
    packed = read(store, NOW, NOW + 60, 60, *names, now=later)[0][1]
    for name in names:
        assert math.isclose(packed[name], exact[name], rel_tol=0.04), name
    assert (packed["p0"], packed["p100"], packed["Average"]) == (exact["p0"], exact["p100"], exact["Average"])


def test_listing_is_ordered_filtered_and_paged() -> None:
    store = series.SeriesStore()
    wanted = []
    for cluster in ("a", "b"):
        for service in ("s1", "s2", "s3"):
            for name in ("CPUUtilization", "MemoryUtilization"):
                each = metrics.metric("AWS/ECS", name, [("ClusterName", cluster), ("ServiceName", service)])
                store.put(metrics.Datum(metric=each, timestamp=NOW, values=(1.0,)), NOW)
                wanted.append(each)
    other = metrics.metric("Own", "CPUUtilization")
    store.put(metrics.Datum(metric=other, timestamp=NOW, values=(1.0,)), NOW)
    everything = sorted([*wanted, other])
    assert store.list_metrics(now=NOW) == everything
    paged: list[metrics.Metric] = []
    while page := store.list_metrics(now=NOW, after=paged[-1] if paged else None, limit=5):
        paged += page
    assert paged == everything
    cpu = [each for each in everything if each.name == "CPUUtilization"]
    assert store.list_metrics(name="CPUUtilization", now=NOW) == cpu
    assert store.list_metrics(name="CPUUtilization", now=NOW, after=cpu[3], limit=9) == cpu[4:]
    assert store.list_metrics(namespace="Own", now=NOW) == [other]
    in_b = [each for each in everything if ("ClusterName", "b") in each.dimensions]
    assert store.list_metrics(dimensions=[("ClusterName", "b")], now=NOW) == in_b
    assert store.list_metrics(dimensions=[("ClusterName", "b"), ("ServiceName", None)], now=NOW) == in_b
    assert store.list_metrics(namespace="AWS/ECS", dimensions=[("Other", None)], now=NOW) == []
    assert store.list_metrics(dimensions=[("ClusterName", "z")], now=NOW) == []
    assert store.list_metrics(now=NOW, limit=0) == []


def test_a_metric_without_data_for_two_weeks_is_not_listed_until_it_has_data_again() -> None:
    store = series.SeriesStore()
    store.put(datum(NOW, 1.0), NOW)
    assert store.list_metrics(now=NOW + 3 * 3600 - 1, recently_active=True) == [CPU]
    assert store.list_metrics(now=NOW + 3 * 3600, recently_active=True) == []
    later = NOW + 14 * DAY
    assert store.list_metrics(now=later - 1) == [CPU]
    assert store.list_metrics(now=later) == []
    settle(store, later)
    assert store.list_metrics(now=NOW) == [], "it left the index"
    assert store.last_timestamp(CPU) == NOW, "its data are still there"
    store.put(datum(later, 1.0), later)
    assert store.list_metrics(now=later) == [CPU]


def test_a_dump_loads_into_the_same_store() -> None:
    store = series.SeriesStore()
    for minute in range(0, 10 * 24 * 60, 3):
        now = NOW + minute * 60
        store.put(datum(now, float(minute % 13), 2.0), now)
        store.put(datum(now, 3.0, resolution=1, unit="None"), now)
        store.expire(now, 4)
    now = NOW + 10 * DAY
    chunks = list(store.dump())
    twin = series.SeriesStore()
    twin.put(metrics.Datum(metric=metrics.metric("Old", "m"), timestamp=NOW, values=(1.0,)), NOW)
    twin.load(chunks)
    assert twin.list_metrics(now=now) == [CPU]
    for begin, period in ((NOW, 60), (now - 3600, 60), (now - 3600, 20)):
        names = ("Sum", "p90", "SampleCount")
        assert read(twin, begin, now, period, *names, now=now) == read(store, begin, now, period, *names, now=now) != []
    for each in (store, twin):
        each.put(datum(now - 60, 5.0), now)
        settle(each, now + 20 * DAY)
    late = now + 20 * DAY
    assert read(twin, NOW, late, 300, now=late) == read(store, NOW, late, 300, now=late) != []


def test_a_dump_of_a_changing_store_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "DUMP_CHUNK_BYTES", 1)
    store = series.SeriesStore()
    store.put(datum(NOW, 1.0), NOW)
    store.put(datum(NOW, 1.0, unit="None"), NOW)
    chunks = store.dump()
    next(chunks)
    store.put(datum(NOW, 1.0), NOW)
    with pytest.raises(RuntimeError):
        next(chunks)


def test_a_broken_dump_is_refused() -> None:
    store = series.SeriesStore()
    with pytest.raises(msgspec.MsgspecError):
        store.load([b"nonsense"])
    with pytest.raises(msgspec.MsgspecError):
        store.load([msgspec.msgpack.encode([99, []])])


def test_clear_forgets_everything() -> None:
    store = series.SeriesStore()
    store.put(datum(NOW, 1.0), NOW)
    store.clear()
    assert (store.series_count, store.list_metrics(now=NOW), store.next_expiry_at()) == (0, [], None)


def test_unknown_statistics_and_periods_are_our_callers_mistake() -> None:
    store = series.SeriesStore()
    with pytest.raises(ValueError, match="p101"):
        read(store, NOW, NOW + 60, 60, "p101")
    with pytest.raises(ValueError, match="period"):
        read(store, NOW, NOW + 60, 0)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 20 * DAY), st.integers(-3, 50), st.sampled_from([1, 60])), min_size=1, max_size=80
    ),
    st.lists(st.integers(0, 80), max_size=5),
    st.sampled_from([60, 120, 300, 900, 3600]),
)
def test_whatever_the_order_and_the_ageing_nothing_is_lost_or_doubled(
    samples: list[tuple[int, int, int]], pauses: list[int], period: int
) -> None:
    """Data from twenty days, put in any order, with ageing in between, give what a naive table gives."""
    start = 1_700_006_400 - 1_700_006_400 % DAY
    now = float(start + 20 * DAY)
    store = series.SeriesStore()
    for number, (second, value, resolution) in enumerate(samples):
        store.put(datum(float(start + second), float(value), resolution=resolution), now)
        if number in pauses:
            settle(store, now)
    begin = start if period >= 300 else int(now - 15 * DAY)
    naive: dict[float, float] = {}
    for second, value, _ in samples:
        if start + second >= begin:
            key = float(begin + (start + second - begin) // period * period)
            naive[key] = naive.get(key, 0.0) + value
    read_back = read(store, begin, now + 60, period, now=now)
    assert {moment: values["Sum"] for moment, values in read_back} == naive


def test_decisions_read_through_a_view() -> None:
    store = series.SeriesStore()
    store.put(datum(NOW - 60, 2.0), NOW)
    view: series.SeriesView = store
    assert view.statistics(CPU, None, NOW - 60, NOW, 60, ("Average",), NOW) == [
        series.Point(NOW - 60, {"Average": 2.0})
    ]
    assert (view.units(CPU), view.last_timestamp(CPU), view.list_metrics(now=NOW)) == (["Percent"], NOW - 60, [CPU])
