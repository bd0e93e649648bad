"""Bins: merging in any order is adding one by one; bounded bins stay true to counts, sums and extremes."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadstead.signals import bins, percentiles

values = st.floats(-50, 1000).map(lambda x: round(x, 2))
samples = st.lists(st.tuples(values, st.integers(1, 5).map(float)), min_size=1, max_size=20)


def filled(given_samples: list[tuple[float, float]]) -> bins.Bin:
    made = bins.of_value(*given_samples[0])
    for value, count in given_samples[1:]:
        made.add(value, count)
    return made


def content(each: bins.Bin) -> tuple[object, ...]:
    total = pytest.approx(each.total, abs=1e-6)
    return (each.count, total, each.minimum, each.maximum, each.distribution())


@given(samples, samples)
def test_merging_two_bins_is_one_bin_of_all(one: list[tuple[float, float]], other: list[tuple[float, float]]) -> None:
    merged = filled(one)
    merged.merge(filled(other))
    assert content(merged) == content(filled(one + other))
    backwards = filled(other)
    backwards.merge(filled(one))
    assert content(backwards) == content(merged)


@given(samples, samples)
def test_a_copy_is_its_own(one: list[tuple[float, float]], other: list[tuple[float, float]]) -> None:
    made = filled(one)
    before = content(made)
    made.copy().merge(filled(other))
    assert content(made) == before


@given(st.lists(samples, max_size=5), st.booleans())
def test_what_is_packed_comes_back(given_bins: list[list[tuple[float, float]]], is_opaque: bool) -> None:
    made = [(place * 3, filled(each)) for place, each in enumerate(given_bins)]
    if is_opaque and made:
        made[0][1].merge(bins.of_statistics(2.0, 5.0, 1.0, 4.0))
    back = bins.unpack(bins.pack(made, None))
    assert [(place, content(each), each.known) for place, each in back] == [
        (place, content(each), each.known) for place, each in made
    ]


JUNK = [
    b"",
    b"x",
    *map(msgspec.msgpack.encode, ([[]], [[[1]], []], [[[0, 1, 2, 3, 4, 1]], []], [[[0, 1, 2, 3, 4, 1]], [[5]]])),
]


@given(st.lists(samples, min_size=1, max_size=5))
def test_plain_figures_can_be_read_without_the_distributions(given_bins: list[list[tuple[float, float]]]) -> None:
    packed = bins.pack([(place, filled(each)) for place, each in enumerate(given_bins)], None)
    full, plain = bins.unpack(packed), bins.unpack(packed, with_spread=False)
    assert [(place, *content(each)[:4]) for place, each in plain] == [(p, *content(each)[:4]) for p, each in full]


@pytest.mark.parametrize("junk", JUNK)
def test_other_bytes_are_refused(junk: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        bins.unpack(junk)


@settings(deadline=None)
@given(
    st.dictionaries(st.floats(0, 2.0**360), st.integers(1, 1000).map(float), min_size=1, max_size=300),
    st.integers(5, 64),
)
def test_compacting_keeps_counts_sums_and_extremes(spread: dict[float, float], limit: int) -> None:
    fewer = bins.compact(spread, limit)
    assert len(fewer) <= max(limit, 5)
    assert (min(fewer), max(fewer)) == (min(spread), max(spread))
    assert sum(fewer.values()) == sum(spread.values())
    weighted = sum(value * count for value, count in spread.items())
    assert sum(value * count for value, count in fewer.items()) == pytest.approx(weighted, rel=1e-9)


def test_a_bin_of_very_many_values_stays_bounded_and_close() -> None:
    made = bins.of_value(10.0, 1.0)
    many = [10.0 + n * 0.01 for n in range(20_000)]
    for value in many[1:]:
        made.add(value, 1.0)
    assert made.spread is not None
    assert len(made.spread) <= bins.DISTINCT_VALUES_MAX
    assert made.count == 20_000
    distribution = made.distribution()
    assert distribution is not None
    for percent in (1.0, 10.0, 50.0, 90.0, 99.0):
        exact = many[int((len(many) - 1) * percent / 100)]
        assert percentiles.percentile(distribution, percent) == pytest.approx(exact, rel=0.02)
