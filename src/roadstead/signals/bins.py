"""A bin: everything measured of one series within one stored period, and how bins are merged, bounded and packed.

A bin keeps count, sum, minimum, maximum and, where the data came as values, how often each value was seen
(behaviour.md 2.2, 2.3). Bounds: an open bin keeps up to DISTINCT_VALUES_MAX distinct values. Beyond that the values
are grouped by ratio (`compact`): each group is replaced by its weighted mean, so counts and sums stay exact, the
extremes stay exact, and a percentile is off by at most the group's width. The width starts at 1 % and doubles until
the groups fit the bound. Packed bins of one minute and more keep up to PACKED_DISTINCT_VALUES_MAX groups.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Iterator, Sequence

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
        elif self.spread is not None or other.spread is not None or self.minimum != other.minimum:
            self._merge_spread(other)
        self.count += other.count
        self.total += other.total
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)

    def _merge_spread(self, other: Bin) -> None:
        if self.minimum < 0.0 or other.minimum < 0.0:
            self.known, self.spread = False, None
            return
        spread = self.spread if self.spread is not None else {self.minimum: self.count}
        if other.spread is None:
            spread[other.minimum] = spread.get(other.minimum, 0.0) + other.count
        else:
            for value, count in other.spread.items():
                spread[value] = spread.get(value, 0.0) + count
        self.spread = spread if len(spread) <= DISTINCT_VALUES_MAX else compact(spread, DISTINCT_VALUES_MAX // 2)

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


def of_values(values: Sequence[float], counts: Sequence[float]) -> Bin | None:
    """A bin of values, each seen as often as `counts` says (empty: once); None where there is no sample at all."""
    if len(values) == 1:
        value, count = values[0], counts[0] if counts else 1.0
        return Bin(count, value * count, value, value, True) if count > 0.0 else None
    given = counts or (1.0,) * len(values)
    spread = dict(zip(values, given, strict=True))
    if len(spread) < len(values) or min(given, default=0.0) <= 0.0:
        spread = {}
        for value, count in zip(values, given, strict=True):
            if count > 0.0:
                spread[value] = spread.get(value, 0.0) + count
        if not spread:
            return None
    total = sum(map(operator.mul, spread.keys(), spread.values()))
    made = Bin(sum(spread.values()), total, min(spread), max(spread), True)
    if made.minimum < 0.0:
        made.known = len(spread) == 1
    elif len(spread) > 1:
        made.spread = spread if len(spread) <= DISTINCT_VALUES_MAX else compact(spread, DISTINCT_VALUES_MAX // 2)
    return made


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


_Rows = list[list[float]]
_encoder = msgspec.msgpack.Encoder()
_full_decoder = msgspec.msgpack.Decoder(tuple[_Rows, _Rows])
_plain_decoder = msgspec.msgpack.Decoder(tuple[_Rows, msgspec.Raw])  # skips over the distributions


def _whole(count: float) -> float:
    whole = int(count)
    return whole if whole == count else count  # a small integer takes one byte, a float nine


def pack(bins: Iterable[tuple[int, Bin]], distinct_values_max: int | None) -> bytes:
    """Bins, each with its place in its block, as msgpack of two lists: rows and distributions.

    A row is [place, count, value] where all samples are equal, [place, count, sum, minimum, maximum] where the
    distribution is not known, the same with 1 after it where it is: then the next of the distributions,
    [value, count, value, count, …], is its own. With `distinct_values_max` distributions are compacted to that.
    """
    rows: _Rows = []
    distributions: _Rows = []
    for place, each in bins:
        count = _whole(each.count)
        if each.known and each.spread is None and each.total == each.minimum * each.count:
            rows.append([place, count, each.minimum])
            continue
        row = [place, count, each.total, each.minimum, each.maximum]
        if each.known:
            row.append(1)
            spread = each.spread if each.spread is not None else {each.minimum: each.count}
            if distinct_values_max is not None:
                spread = compact(spread, distinct_values_max)
            flat: list[float] = []
            for value, times in spread.items():
                flat.append(value)
                flat.append(_whole(times))
            distributions.append(flat)
        rows.append(row)
    return _encoder.encode((rows, distributions))


def unpack(packed: bytes, *, with_spread: bool = True) -> list[tuple[int, Bin]]:
    """The bins of `pack`, each with its place; without `with_spread` as if distributions were not known (faster).

    Raises msgspec.MsgspecError where the bytes are no packed bins.
    """
    try:
        if with_spread:
            rows, distributions = _full_decoder.decode(packed)
            remaining = iter(distributions)
            return [(int(row[0]), _unpack_row(row, remaining)) for row in rows]
        return [
            (int(row[0]), Bin(row[1], row[2], row[3], row[4], False) if len(row) > 3 else of_value(row[2], row[1]))
            for row in _plain_decoder.decode(packed)[0]
        ]
    except (ValueError, IndexError, StopIteration) as problem:
        raise msgspec.ValidationError(f"not packed bins: {problem}") from problem


def _unpack_row(row: list[float], distributions: Iterator[list[float]]) -> Bin:
    if len(row) == 3:
        return of_value(row[2], row[1])
    wide = Bin(row[1], row[2], row[3], row[4], len(row) > 5)
    if wide.known:
        flat = next(distributions)
        if not flat or len(flat) % 2:
            raise ValueError("a distribution of no pairs")
        if len(flat) > 2:
            wide.spread = dict(zip(flat[::2], flat[1::2], strict=True))
    return wide
