"""The statistics of CloudWatch over one bin: the five plain ones and the extended ones (behaviour.md 2.3).

`parse` turns a name (`Average`, `p99`, `tm90`, `TM(10%:90%)`, `PR(:300)`, `IQM`) into a `Statistic`, `compute` takes
its value from a bin. AWS publishes the meaning of each, not the arithmetic; ours is:

- pNN: the samples sorted, linear interpolation between the two closest ranks at (n - 1) * NN / 100.
- borders in percent cut by rank: kept are the ranks r with floor(n * low) < r <= ceil(n * high), so a sample that a
  border cuts is kept whole and no range is empty.
- borders in absolute values: kept are low < value <= high.
- wm, WM: the samples outside count as the nearest kept one (percent) or as the border itself (absolute).
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from typing import Literal

import msgspec

from roadstead.signals import bins

Kind = Literal["SampleCount", "Sum", "Average", "Minimum", "Maximum", "p", "TM", "WM", "PR", "TC", "TS"]
Distribution = Sequence[tuple[float, float]]

PLAIN: tuple[Kind, ...] = ("SampleCount", "Sum", "Average", "Minimum", "Maximum")
DECIMALS_MAX = 10
"""Decimals that a percentile may have (behaviour.md 2.3)."""

_DECIMALS = rf"(?:\.\d{{1,{DECIMALS_MAX}}})?"
_NUMBER = rf"-?\d+{_DECIMALS}"
_SHORT = re.compile(rf"(p|tm|wm|tc|ts)(\d{{1,3}}{_DECIMALS})")
_RANGE = re.compile(rf"(TM|WM|PR|TC|TS)\(({_NUMBER}%?)?:({_NUMBER}%?)?\)")
_CALLED: dict[str, Kind] = {
    "p": "p", "tm": "TM", "wm": "WM", "tc": "TC", "ts": "TS", "TM": "TM", "WM": "WM", "PR": "PR", "TC": "TC", "TS": "TS"
}  # fmt: skip


class Statistic(msgspec.Struct, frozen=True):
    """A statistic that was asked for. `low` and `high` are its borders, in percent or in the metric's own unit."""

    kind: Kind
    low: float | None = None
    high: float | None = None
    is_percent: bool = True

    @property
    def is_extended(self) -> bool:
        """Whether it needs the distribution, and so does not exist for aggregated or negative samples."""
        return self.kind not in PLAIN


@functools.lru_cache(maxsize=1024)
def parse(name: str) -> Statistic | None:
    """The statistic called `name`, or None where CloudWatch has none of that name."""
    for kind in PLAIN:
        if name == kind:
            return Statistic(kind)
    if name == "IQM":
        return Statistic("TM", 25.0, 75.0)
    if short := _SHORT.fullmatch(name):
        percent = float(short[2])
        return Statistic(_CALLED[short[1]], None, percent) if percent <= 100.0 else None
    if ranged := _RANGE.fullmatch(name):
        return _parse_range(_CALLED[ranged[1]], ranged[2], ranged[3])
    return None


def _parse_range(kind: Kind, low_text: str | None, high_text: str | None) -> Statistic | None:
    texts = [text for text in (low_text, high_text) if text]
    are_percent = {text.endswith("%") for text in texts}
    if len(are_percent) != 1:
        return None  # no border at all, or one in percent and one not
    is_percent = are_percent.pop()
    low, high = (float(text.rstrip("%")) if text else None for text in (low_text, high_text))
    if low is not None and high is not None and low >= high:
        return None
    if is_percent and (kind == "PR" or any(not 0.0 <= border <= 100.0 for border in (low, high) if border is not None)):
        return None
    return Statistic(kind, low, high, is_percent)


def compute(statistic: Statistic, samples: bins.Bin) -> float | None:
    """The statistic's value over a bin; None where it does not exist (distribution unknown, nothing in the range)."""
    match statistic.kind:
        case "SampleCount":
            return samples.count
        case "Sum":
            return samples.total
        case "Average":
            return samples.total / samples.count if samples.count else None
        case "Minimum":
            return samples.minimum
        case "Maximum":
            return samples.maximum
        case _:
            distribution = samples.distribution()
            return extended(statistic, distribution) if distribution and samples.count > 0.0 else None


def extended(statistic: Statistic, distribution: Distribution) -> float | None:
    """An extended statistic over (value, count) pairs in ascending order of value."""
    if statistic.kind == "p":
        return percentile(distribution, statistic.high or 0.0)
    if statistic.is_percent:
        kept, below, above = _cut_by_rank(distribution, statistic.low, statistic.high)
    else:
        kept, below, above = _cut_by_value(distribution, statistic.low, statistic.high)
    count = sum(times for _, times in kept)
    total = sum(value * times for value, times in kept)
    match statistic.kind:
        case "TC":
            return count
        case "TS":
            return total
        case "PR":
            return 100.0 * count / sum(times for _, times in distribution)
        case "TM":
            return total / count if count else None
        case _:
            return _winsorized(statistic, kept, count, total, below, above)


def _winsorized(
    statistic: Statistic, kept: Distribution, count: float, total: float, below: float, above: float
) -> float | None:
    if statistic.is_percent:
        low, high = (kept[0][0], kept[-1][0]) if kept else (0.0, 0.0)
    else:
        low, high = statistic.low or 0.0, statistic.high or 0.0
    everything = count + below + above
    return (total + below * low + above * high) / everything if everything else None


def percentile(distribution: Distribution, percent: float) -> float:
    """The value below which `percent` of the samples lie, interpolated (behaviour.md 2.3).

    `distribution` is not empty, its counts are positive, its values ascend.
    """
    total = sum(times for _, times in distribution)
    position = max(0.0, round((total - 1.0) * percent / 100.0, 9))
    whole = math.floor(position)
    lower = upper = distribution[-1][0]
    seen = 0.0
    found = False
    for value, times in distribution:
        seen += times
        if not found and seen > whole:
            lower, found = value, True
        if seen > whole + 1:
            upper = value
            break
    return lower + (upper - lower) * (position - whole)


def _cut_by_rank(
    distribution: Distribution, low: float | None, high: float | None
) -> tuple[Distribution, float, float]:
    """The kept part, and how many samples lie below and above it."""
    total = sum(times for _, times in distribution)
    first = float(math.floor(round(total * (low or 0.0) / 100.0, 9)))
    last = min(total, math.ceil(round(total * (100.0 if high is None else high) / 100.0, 9)))
    kept: list[tuple[float, float]] = []
    seen = 0.0
    for value, times in distribution:
        inside = min(seen + times, last) - max(seen, first)
        if inside > 0.0:
            kept.append((value, inside))
        seen += times
    return kept, first, max(0.0, total - last)


def _cut_by_value(
    distribution: Distribution, low: float | None, high: float | None
) -> tuple[Distribution, float, float]:
    kept: list[tuple[float, float]] = []
    below = above = 0.0
    for value, times in distribution:
        if low is not None and value <= low:
            below += times
        elif high is not None and value > high:
            above += times
        else:
            kept.append((value, times))
    return kept, below, above


def significant_samples(percent: float) -> float:
    """How many samples a percentile needs to say something: 10 / (1 - p), or 10 / p below the median (2.3).

    0 < `percent` < 100; at the ends no number of samples is enough (infinity).
    """
    share = percent / 100.0
    rest = 1.0 - share if share >= 0.5 else share
    return round(10.0 / rest, 9) if rest > 0.0 else math.inf
