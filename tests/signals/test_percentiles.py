"""Extended statistics against naive expansions: every sample written out, sorted, and cut by hand."""

from __future__ import annotations

import math
import statistics as textbook

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadstead.signals import bins, percentiles

counted = st.dictionaries(st.floats(0, 1000).map(lambda x: round(x, 3)), st.integers(1, 6), min_size=1, max_size=12)
percents = st.integers(0, 1000).map(lambda tenth: tenth / 10)


def over(name: str, *values: float) -> float | None:
    statistic = percentiles.parse(name)
    assert statistic is not None, name
    samples = bins.of_value(values[0], 1.0)
    for value in values[1:]:
        samples.add(value, 1.0)
    return percentiles.compute(statistic, samples)


def expand(spread: dict[float, int]) -> list[float]:
    return sorted(value for value, count in spread.items() for _ in range(count))


def distribution(spread: dict[float, int]) -> list[tuple[float, float]]:
    return [(value, float(count)) for value, count in sorted(spread.items())]


ONE_TO_TEN = tuple(float(n) for n in range(1, 11))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SampleCount", 10.0), ("Sum", 55.0), ("Average", 5.5), ("Minimum", 1.0), ("Maximum", 10.0),
        ("p0", 1.0), ("p50", 5.5), ("p90", 9.1), ("p100", 10.0), ("p99.9", 9.991),
        ("tm90", 5.0), ("TM(10%:90%)", 5.5), ("TM(20%:)", 6.5), ("TM(:2)", 1.5), ("TM(2:4)", 3.5), ("IQM", 5.5),
        ("wm90", 5.4), ("WM(10%:90%)", 5.5), ("WM(3:8)", 5.5), ("WM(:5)", 4.0),
        ("PR(:3)", 30.0), ("PR(3:5)", 20.0), ("PR(9:)", 10.0), ("PR(20:)", 0.0),
        ("tc90", 9.0), ("TC(2:5)", 3.0), ("ts90", 45.0), ("TS(2:5)", 12.0), ("TS(20:)", 0.0), ("TC(80%:)", 2.0),
    ],
)  # fmt: skip
def test_one_to_ten(name: str, expected: float) -> None:
    assert over(name, *ONE_TO_TEN) == pytest.approx(expected)


def test_a_single_sample_has_all_of_them() -> None:
    for name in ("p1", "p99", "tm90", "IQM", "wm99", "TM(10%:90%)"):
        assert over(name, 7.0) == 7.0, name
    assert over("tc90", 7.0) == 1.0


def test_equal_samples_are_not_trimmed_away() -> None:
    assert over("IQM", 5.0, 5.0, 5.0, 5.0) == 5.0


def test_nothing_in_the_range_is_no_trimmed_mean() -> None:
    assert over("TM(20:)", *ONE_TO_TEN) is None
    assert over("WM(20:)", *ONE_TO_TEN) == 20.0, "all samples count as the border"


@pytest.mark.parametrize(
    "name",
    ["", "average", "p", "p101", "p-1", "p99.12345678901", "P99", "tm", "TM()", "TM(:)", "TM(5:10%)", "TM(90%:10%)",
     "TM(-1%:5%)", "TM(0%:101%)", "PR(10%:20%)", "PR(5:5)", "iqm", "XX(1:2)", "pr50", "TM(1:2", "p99 "],
)  # fmt: skip
def test_what_is_no_statistic(name: str) -> None:
    assert percentiles.parse(name) is None


def test_ten_decimals_and_the_same_meaning_of_short_and_long() -> None:
    assert percentiles.parse("p99.1234567891") is not None
    assert percentiles.parse("tm90") == percentiles.parse("TM(:90%)")
    assert percentiles.parse("IQM") == percentiles.parse("TM(25%:75%)")


@given(counted, percents)
def test_percentiles_interpolate_between_the_closest_ranks(spread: dict[float, int], percent: float) -> None:
    everything = expand(spread)
    position = round((len(everything) - 1) * percent / 100, 9)
    low = math.floor(position)
    high = min(low + 1, len(everything) - 1)
    expected = everything[low] + (everything[high] - everything[low]) * (position - low)
    found = percentiles.percentile(distribution(spread), percent)
    assert found == pytest.approx(expected)
    assert everything[0] <= found <= everything[-1] or found == pytest.approx(expected)


@given(st.lists(st.floats(0, 100), min_size=2, max_size=30))
def test_the_median_is_the_textbook_s(values: list[float]) -> None:
    assert over("p50", *values) == pytest.approx(textbook.median(values))


@given(counted, percents, percents)
def test_borders_in_percent_keep_whole_samples(spread: dict[float, int], one: float, other: float) -> None:
    if one == other:
        return
    low, high = sorted((one, other))
    everything = expand(spread)
    n = len(everything)
    first, last = math.floor(round(n * low / 100, 9)), math.ceil(round(n * high / 100, 9))
    kept = everything[first:last]
    assert kept, "no range is empty"
    pulled = [min(max(value, kept[0]), kept[-1]) for value in everything]
    text = f"({low}%:{high}%)"
    assert over(f"TC{text}", *everything) == len(kept)
    assert over(f"TS{text}", *everything) == pytest.approx(sum(kept))
    assert over(f"TM{text}", *everything) == pytest.approx(sum(kept) / len(kept))
    assert over(f"WM{text}", *everything) == pytest.approx(sum(pulled) / n)


@given(counted, st.integers(0, 500), st.integers(1, 500))
def test_borders_in_values_are_open_below_and_closed_above(spread: dict[float, int], low: int, width: int) -> None:
    everything = expand(spread)
    kept = [value for value in everything if low < value <= low + width]
    text = f"({low}:{low + width})"
    assert over(f"TC{text}", *everything) == len(kept)
    assert over(f"TS{text}", *everything) == pytest.approx(sum(kept))
    assert over(f"PR{text}", *everything) == pytest.approx(100 * len(kept) / len(everything))
    mean = over(f"TM{text}", *everything)
    assert mean == pytest.approx(sum(kept) / len(kept)) if kept else mean is None
    clipped = sum(min(max(value, low), low + width) for value in everything) / len(everything)
    assert over(f"WM{text}", *everything) == pytest.approx(clipped)


@pytest.mark.parametrize(
    ("percent", "samples"), [(99.0, 1000.0), (90.0, 100.0), (50.0, 20.0), (10.0, 100.0), (25.0, 40.0)]
)
def test_how_many_samples_a_percentile_needs(percent: float, samples: float) -> None:
    assert percentiles.significant_samples(percent) == samples
    assert percentiles.significant_samples(100.0) == percentiles.significant_samples(0.0) == math.inf
