"""A bin: everything measured of one series within one stored period, and how bins are merged, bounded and packed.

A bin keeps count, sum, minimum, maximum and, where the data came as values, how often each value was seen
(behaviour.md 2.2, 2.3). Bounds: an open bin keeps up to DISTINCT_VALUES_MAX distinct values. Beyond that the values
are grouped by ratio (`compact`): each group is replaced by its weighted mean, so counts and sums stay exact, the
extremes stay exact, and a percentile is off by at most the group's width. The width starts at 1 % and doubles until
the groups fit the bound. Packed bins of one minute and more keep up to PACKED_DISTINCT_VALUES_MAX groups.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec

DISTINCT_VALUES_MAX = 1200
"""Distinct values that an open bin keeps exactly: eight full PutMetricData data of 150 values."""
PACKED_DISTINCT_VALUES_MAX = 64
"""Distinct values (groups) that a packed bin of a minute or more keeps."""
GROUP_WIDTH_RATIO = 0.01
"""The narrowest group of `compact`: values within 1 % of each other."""


class Bin:
    """Count, sum, extremes and, where known, the distribution of some samples.

    `known` says whether percentiles can be had. Where they can, `spread` maps value to count, or is None while
    all samples are equal (then minimum and count say it all).
    """

    __slots__ = ("count", "known", "maximum", "minimum", "spread", "total")

    def __init__(self, count: float, total: float, minimum: float, maximum: float, known: bool) -> None:
        self.count = count
        self.total = total
        self.minimum = minimum
        self.maximum = maximum
        self.known = known
        self.spread: dict[float, float] | None = None

    def add(self, value: float, count: float) -> None:
        """Take in `count` samples of `value`."""
        if self.spread is not None or value != self.minimum:
            self._spread_in(value, count)
        self.count += count
        self.total += value * count
        if value < self.minimum:
            self.minimum = value
        if value > self.maximum:
            self.maximum = value

    def _spread_in(self, value: float, count: float) -> None:
        if not self.known:
            return
        spread = self.spread
        if spread is None:
            if value == self.minimum:
                return
            spread = self.spread = {self.minimum: self.count}
        if value < 0.0 or self.minimum < 0.0:
            # No extended statistic exists once a value is negative (behaviour.md 2.3), so nothing is kept for it.
            self.known, self.spread = False, None
            return
        spread[value] = spread.get(value, 0.0) + count
        if len(spread) > DISTINCT_VALUES_MAX:
            self.spread = compact(spread, DISTINCT_VALUES_MAX // 2)

    def merge(self, other: Bin, *, with_spread: bool = True) -> None:
        """Take in all samples of `other`; without `with_spread` the distribution is given up (and is not paid for)."""
        if not (self.known and other.known and with_spread):
            self.known, self.spread = False, None
        elif other.spread is not None:
            if self.spread is None:
                self.spread = {self.minimum: self.count}
            for value, count in other.spread.items():
                self._spread_in(value, count)
        else:
            self._spread_in(other.minimum, other.count)
        self.count += other.count
        self.total += other.total
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)

    def copy(self, *, with_spread: bool = True) -> Bin:
        """A bin of its own with the same samples; without `with_spread` their distribution is given up."""
        twin = Bin(self.count, self.total, self.minimum, self.maximum, self.known and with_spread)
        if with_spread and self.spread is not None:
            twin.spread = dict(self.spread)
        return twin

    def distribution(self) -> list[tuple[float, float]] | None:
        """(value, count) by ascending value, or None where it is not known or a value is negative."""
        if not self.known or self.minimum < 0.0:
            return None
        if self.spread is None:
            return [(self.minimum, self.count)]
        return sorted(self.spread.items())


def of_value(value: float, count: float) -> Bin:
    """A bin of `count` equal samples."""
    return Bin(count, value * count, value, value, True)


def of_statistics(count: float, total: float, minimum: float, maximum: float) -> Bin:
    """A bin of samples aggregated elsewhere: the distribution is known only of one sample, or of equal ones."""
    equal = minimum == maximum and math.isclose(total, minimum * count, rel_tol=1e-9, abs_tol=1e-12)
    if count == 1.0 and minimum != maximum:
        # One sample has one value, whatever extremes came with it: SampleCount = 1 keeps percentiles (2.2).
        return Bin(count, total, total, total, True)
    return Bin(count, total, minimum, maximum, equal)


def compact(spread: dict[float, float], limit: int) -> dict[float, float]:
    """At most `limit` (5 or more) values in place of many: non-negative values near each other become their mean.

    The counts' sum and the weighted sum stay the same; least and greatest value stay as they are.
    """
    if len(spread) <= limit:
        return spread
    values = sorted(spread)
    low, high = values[0], values[-1]
    ends = {low: spread[low], high: spread[high]}
    inner = values[1:-1]
    width = GROUP_WIDTH_RATIO
    while True:
        grouped = _grouped(inner, spread, math.log1p(width))
        if len(grouped) + 2 <= limit:
            for value, count in ends.items():
                grouped[value] = grouped.get(value, 0.0) + count
            return grouped
        width *= 2.0


def _grouped(values: list[float], spread: dict[float, float], log_width: float) -> dict[float, float]:
    sums: dict[int, list[float]] = {}
    for value in values:
        place = math.floor(math.log(value) / log_width) if value > 0.0 else -(1 << 60)
        count = spread[value]
        group = sums.get(place)
        if group is None:
            sums[place] = [count, value * count, value, value]
        else:
            group[0] += count
            group[1] += value * count
            group[3] = value
    grouped: dict[float, float] = {}
    for count, weighted, low, high in sums.values():
        mean = min(max(weighted / count, low), high) if count else low
        grouped[mean] = grouped.get(mean, 0.0) + count
    return grouped


Packed = list[float | list[float]]
_decoder = msgspec.msgpack.Decoder(list[list[Any]])
_encoder = msgspec.msgpack.Encoder()


def _whole(count: float) -> float:
    return int(count) if count == int(count) else count  # a small integer takes one byte, a float nine


def pack(bins: Iterable[tuple[int, Bin]], distinct_values_max: int | None) -> bytes:
    """Bins, each with its place in its block, in msgpack: [place, count, value] where all samples are equal,
    [place, count, sum, minimum, maximum] where the distribution is not known, else with [value, count, …] after it.
    """
    rows: list[Packed] = []
    for place, each in bins:
        count = _whole(each.count)
        if each.known and each.spread is None and each.total == each.minimum * each.count:
            rows.append([place, count, each.minimum])
            continue
        row: Packed = [place, count, each.total, each.minimum, each.maximum]
        if each.known:
            spread = each.spread if each.spread is not None else {each.minimum: each.count}
            if distinct_values_max is not None:
                spread = compact(spread, distinct_values_max)
            flat: list[float] = []
            for value, times in spread.items():
                flat.append(value)
                flat.append(_whole(times))
            row.append(flat)
        rows.append(row)
    return _encoder.encode(rows)


def unpack(packed: bytes) -> list[tuple[int, Bin]]:
    """The bins of `pack`, each with its place. Raises msgspec.MsgspecError where the bytes are no such thing."""
    try:
        return [(row[0], _unpack_row(*row[1:])) for row in _decoder.decode(packed)]
    except (TypeError, ValueError, IndexError) as problem:
        raise msgspec.ValidationError(f"not a packed bin: {problem}") from problem


def _unpack_row(
    count: float,
    total: float,
    minimum: float | None = None,
    maximum: float | None = None,
    flat: list[float] | None = None,
) -> Bin:
    if minimum is None or maximum is None:
        return of_value(float(total), float(count))
    wide = Bin(float(count), float(total), float(minimum), float(maximum), flat is not None)
    if flat is not None and len(flat) != 2:
        if not flat:
            raise ValueError("a distribution without values")
        wide.spread = dict(zip(map(float, flat[::2]), map(float, flat[1::2]), strict=True))
    return wide
