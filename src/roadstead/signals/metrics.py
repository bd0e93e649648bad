"""A metric's identity and a datum of it (behaviour.md 2.1, 2.2).

Made by the API from PutMetricData and by `ecs_metrics` from telemetry; journaled in batches with msgspec.msgpack;
eaten by `series.SeriesStore.put`. Nothing is validated here: the API refuses what AWS refuses.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

STANDARD_RESOLUTION_SECONDS = 60
HIGH_RESOLUTION_SECONDS = 1

Dimensions = tuple[tuple[str, str], ...]


class Metric(msgspec.Struct, frozen=True, order=True, array_like=True, cache_hash=True, gc=False):
    """What tells one metric from another: every distinct set of dimensions is a metric of its own.

    `dimensions` are (name, value) pairs sorted by name; make metrics with `metric()`, which sorts them.
    """

    namespace: str
    name: str
    dimensions: Dimensions = ()


class StatisticSet(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Samples that the sender has already aggregated; their distribution is lost (behaviour.md 2.2)."""

    sample_count: float
    sum: float
    minimum: float
    maximum: float


class Datum(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """What was measured of one metric at one moment.

    Either `values`, with `counts` (how often each was seen; empty means once each), or `statistics`.
    `timestamp` is in epoch seconds; `storage_resolution_seconds` is 1 (high resolution) or 60.
    """

    metric: Metric
    timestamp: float
    values: tuple[float, ...] = ()
    counts: tuple[float, ...] = ()
    statistics: StatisticSet | None = None
    unit: str = "None"
    storage_resolution_seconds: int = STANDARD_RESOLUTION_SECONDS


def metric(namespace: str, name: str, dimensions: Iterable[tuple[str, str]] = ()) -> Metric:
    """The metric of these dimensions, given in any order."""
    return Metric(namespace, name, tuple(sorted(dimensions)))


def to_text(subject: Metric) -> str:
    """A metric as a short text (JSON), to stand in a continuation token or a record's key."""
    return msgspec.json.encode(subject).decode()


def from_text(text: str) -> Metric | None:
    """The metric that `to_text` wrote, or None where the text is none."""
    try:
        return msgspec.json.decode(text, type=Metric)
    except msgspec.MsgspecError:
        return None
