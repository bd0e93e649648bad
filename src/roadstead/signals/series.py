"""The store of all time series: `put` data in, read `statistics` out, `expire` what is old, `dump` and `load` it all.

Everything lives in memory; what the data are bounded by:

- each series holds at most the bins of `retention.GRAINS` (behaviour.md 2.1), because a datum outside
  [now - 455 days, now + FUTURE_SECONDS_MAX + a minute] is not taken, and `expire` merges and drops what has aged;
- each bin holds at most `bins.DISTINCT_VALUES_MAX` distinct values;
- at most `series_max` series exist.

A read gives the same whether or not `expire` has run in time. Durability is the caller's: journal the data and put
them again, from a `dump` on.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from roadstead.signals import (
    alarm_evaluation,
    bins,
    listing,
    metrics,
    percentiles,
    recent,
    retention,
    shelves,
)

SERIES_MAX = 1_000_000
"""Series (metric and unit) that a store holds, unless told otherwise."""
CLOCK_SKEW_SECONDS = 60
"""How much further into the future than PutMetricData's two hours a datum may lie: clocks differ a little."""
DUMP_CHUNK_BYTES = 256 * 1024
"""About how large a chunk of `dump` gets."""
DUMP_VERSION = 1


class Point(msgspec.Struct, frozen=True, gc=False):
    """The statistics of one period. `timestamp` is the period's start; statistics that don't exist are left out."""

    timestamp: float
    values: dict[str, float]


class SeriesView(Protocol):
    """What decisions and API reads may ask of the series; `SeriesStore` says what each gives."""

    def statistics(
        self,
        metric: metrics.Metric,
        unit: str | None,
        start: float,
        end: float,
        period_seconds: int,
        statistics: Sequence[str],
        now: float,
    ) -> list[Point]: ...

    def window(
        self, metric: metrics.Metric, unit: str | None, statistic: str, span: alarm_evaluation.Window, now: float
    ) -> recent.Points: ...

    @property
    def room(self) -> int: ...

    def units(self, metric: metrics.Metric) -> list[str]: ...

    def last_timestamp(self, metric: metrics.Metric) -> float | None: ...

    def list_metrics(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        dimensions: Sequence[listing.DimensionFilter] = (),
        now: float,
        recently_active: bool = False,
        after: metrics.Metric | None = None,
        limit: int = 500,
    ) -> list[metrics.Metric]: ...


class _Series:
    """One metric in one unit: a shelf per grain, made when first needed."""

    __slots__ = ("due_at", "owner", "shelves", "unit")

    def __init__(self, owner: _Owner, unit: str) -> None:
        self.owner = owner
        self.unit = unit
        self.shelves: list[shelves.Shelf | None] = [None] * len(retention.GRAINS)
        self.due_at: float = float("inf")


class _Owner:
    """One metric: its series by unit, its newest datum, and what alarms have read of it lately."""

    __slots__ = ("is_listed", "last", "metric", "read_until", "recents", "units")

    def __init__(self, metric: metrics.Metric) -> None:
        self.metric = metric
        self.units: dict[str, _Series] = {}
        self.last = 0.0
        self.is_listed = False
        self.read_until = float("-inf")
        """Where the newest window ends that was read: data before it come late."""
        self.recents: dict[tuple[str | None, str, int], recent.Recent] = {}

    def series(self, unit: str | None) -> list[_Series]:
        """Those of one unit, or of all where none is named."""
        if unit is None:
            return list(self.units.values())
        return [self.units[unit]] if unit in self.units else []

    def forget(self, start: int, end: int) -> None:
        """What lies in [start, end) has changed."""
        for one in self.recents.values():
            if start < one.frontier:
                one.forget(start, end)

    def keep(self, kind: tuple[str | None, str, int]) -> recent.Recent:
        """What is kept of a statistic (its unit, name and period); where there is no room, the longest unread goes."""
        one = self.recents.get(kind)
        if one is None:
            if len(self.recents) >= recent.KINDS_MAX:
                del self.recents[min(self.recents, key=lambda other: self.recents[other].read_at)]
            one = self.recents[kind] = recent.Recent(kind[2])
        return one

    def let_go(self, unread_since: float) -> None:
        """Let go what nobody has read since a moment."""
        for kind in [kind for kind, one in self.recents.items() if one.read_at < unread_since]:
            del self.recents[kind]


class _Image(msgspec.Struct, frozen=True, array_like=True):
    metric: metrics.Metric
    unit: str
    last: float
    blocks: list[tuple[int, int, bytes]]  # grain, block start, bins


class _Chunk(msgspec.Struct, frozen=True, array_like=True):
    version: int
    images: list[_Image]


_chunk_decoder = msgspec.msgpack.Decoder(_Chunk)


class SeriesStore:
    """All series of one control plane. Not safe for threads."""

    def __init__(self, *, series_max: int = SERIES_MAX) -> None:
        self._series_max = series_max
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._owners: dict[metrics.Metric, _Owner] = {}
        self._index = listing.MetricIndex()
        self._due: list[tuple[float, int, _Series]] = []
        self._unlist: list[tuple[float, int, _Owner]] = []
        self._count = 0  # breaks ties in the heaps
        self._series_count = 0
        self._writes = 0
        self._late: dict[metrics.Metric, None] = {}

    @property
    def series_count(self) -> int:
        """How many series (metric and unit) there are."""
        return self._series_count

    @property
    def room(self) -> int:
        """How many more series can be kept; `put` drops the data of others."""
        return self._series_max - self._series_count

    # -- writing

    def put(self, datum: metrics.Datum, now: float) -> bool:
        """Take in a datum, late and out of order as it may be.

        False where it is not kept: older than all retention, more than two hours ahead, without samples, or of a
        new series while the store is full.
        """
        timestamp = datum.timestamp
        place = retention.grain_for(now - timestamp, datum.storage_resolution_seconds)
        if place is None or timestamp - now > retention.FUTURE_SECONDS_MAX + CLOCK_SKEW_SECONDS:
            return False
        owner = self._owners.get(datum.metric)
        series = owner.units.get(datum.unit) if owner is not None else None
        shelf = series.shelves[place] if series is not None else None
        if owner is not None and shelf is not None:
            key = int(timestamp)
            key -= key % shelf.grain.step_seconds
            samples = shelf.bins.get(key)
            if samples is None:
                if not shelf.is_open(key):
                    return self._put_slow(datum, place)
                fresh = _samples_of(datum)
                if fresh is None:
                    return False
                shelf.bins[key] = fresh
            elif len(datum.values) == 1 and not datum.counts:
                samples.add(datum.values[0], 1.0)
            else:
                return self._put_slow(datum, place)
            self._written(owner, key)
            if not owner.is_listed:
                self._note_last(owner, timestamp)
            elif timestamp > owner.last:
                owner.last = timestamp
            return True
        return self._put_slow(datum, place)

    def _put_slow(self, datum: metrics.Datum, place: int) -> bool:
        fresh = _samples_of(datum)
        if fresh is None:
            return False
        owner = self._owners.get(datum.metric)
        series = owner.units.get(datum.unit) if owner is not None else None
        if owner is None or series is None:
            if self._series_count >= self._series_max:
                return False
            owner, series = self._new_series(datum.metric, datum.unit)
        shelf = series.shelves[place]
        if shelf is None:
            shelf = series.shelves[place] = shelves.Shelf(retention.GRAINS[place])
        key = int(datum.timestamp)
        key -= key % shelf.grain.step_seconds
        due_at = shelf.open_block(key)
        if due_at is not None:
            self._plan(series, due_at)
        present = shelf.bins.get(key)
        if present is None:
            shelf.bins[key] = fresh
        else:
            present.merge(fresh)
        self._written(owner, key)
        self._note_last(owner, datum.timestamp)
        return True

    def _written(self, owner: _Owner, key: int) -> None:
        """A datum was taken in at `key`."""
        self._writes += 1
        if key < owner.read_until:
            self._late[owner.metric] = None
            owner.forget(key, key + 1)  # nothing is kept of what wasn't read

    def _new_series(self, metric: metrics.Metric, unit: str) -> tuple[_Owner, _Series]:
        owner = self._owners.get(metric)
        if owner is None:
            owner = self._owners[metric] = _Owner(metric)
            self._late[metric] = None
        series = owner.units[unit] = _Series(owner, unit)
        self._series_count += 1
        return owner, series

    def _note_last(self, owner: _Owner, timestamp: float) -> None:
        owner.last = max(owner.last, timestamp)
        if not owner.is_listed:
            owner.is_listed = True
            self._index.add(owner.metric)
            self._count += 1
            heapq.heappush(self._unlist, (owner.last + retention.LISTED_SECONDS, self._count, owner))

    def _plan(self, series: _Series, due_at: float) -> None:
        if due_at < series.due_at:
            series.due_at = due_at
            self._count += 1
            heapq.heappush(self._due, (due_at, self._count, series))

    def take_late(self) -> tuple[metrics.Metric, ...]:
        """The metrics of which data came, since this was asked last, for a period that `window` had read, or for the
        first time at all: whoever counts on what it read should read it again.
        """
        if not self._late:
            return ()
        late = tuple(self._late)
        self._late.clear()
        return late

    # -- ageing

    def next_expiry_at(self) -> float | None:
        """When `expire` next has something to do; None while there is nothing."""
        moments = [heap[0][0] for heap in (self._due, self._unlist) if heap]
        return min(moments, default=None)

    def expire(self, now: float, budget: int) -> bool:
        """Do up to `budget` steps (each about 0.1 ms) of packing, merging and dropping; whether more are due now."""
        for _ in range(budget):
            if self._due and self._due[0][0] <= now:
                self._age_one(now)
            elif self._unlist and self._unlist[0][0] <= now:
                self._unlist_one(now)
            else:
                return False
        due_at = self.next_expiry_at()
        return due_at is not None and due_at <= now

    def _age_one(self, now: float) -> None:
        due_at, _, series = heapq.heappop(self._due)
        if due_at != series.due_at:
            return  # planned anew since
        for place, shelf in enumerate(series.shelves):
            if shelf is None:
                continue
            block = shelf.pack_oldest(now)
            if block is None:
                expired = shelf.take_expired(now)
                if expired is None:
                    continue
                block, aged = expired
                self._hand_on(series, place + 1, aged)
            series.owner.forget(block, block + shelf.grain.block_seconds)
            break
        series.owner.let_go(now - recent.UNREAD_SECONDS_MAX)
        self._writes += 1
        self._replan(series)

    def _hand_on(self, series: _Series, place: int, aged: list[tuple[int, bins.Bin]]) -> None:
        if place == len(retention.GRAINS):
            return  # at the end of all retention
        shelf = series.shelves[place]
        if shelf is None:
            shelf = series.shelves[place] = shelves.Shelf(retention.GRAINS[place])
        for key, samples in aged:
            key -= key % shelf.grain.step_seconds
            shelf.open_block(key)
            shelf.merge(key, samples)

    def _replan(self, series: _Series) -> None:
        moments: list[float] = []
        for place, shelf in enumerate(series.shelves):
            if shelf is None:
                continue
            due_at = shelf.due_at()
            if due_at is None:
                series.shelves[place] = None
            else:
                moments.append(due_at)
        series.due_at = float("inf")
        if moments:
            self._plan(series, min(moments))
            return
        owner = series.owner
        del owner.units[series.unit]
        self._series_count -= 1
        if not owner.units:
            del self._owners[owner.metric]
            if owner.is_listed:
                owner.is_listed = False
                self._index.remove(owner.metric)

    def _unlist_one(self, now: float) -> None:
        _, _, owner = heapq.heappop(self._unlist)
        if not owner.is_listed:
            return
        if owner.last + retention.LISTED_SECONDS > now:
            self._count += 1
            heapq.heappush(self._unlist, (owner.last + retention.LISTED_SECONDS, self._count, owner))
        else:
            owner.is_listed = False
            self._index.remove(owner.metric)

    # -- reading

    def units(self, metric: metrics.Metric) -> list[str]:
        """The units in which data of this metric are kept, in order."""
        owner = self._owners.get(metric)
        return sorted(owner.units) if owner is not None else []

    def last_timestamp(self, metric: metrics.Metric) -> float | None:
        """The newest timestamp ever put for this metric; None where nothing is kept of it."""
        owner = self._owners.get(metric)
        return owner.last if owner is not None else None

    def statistics(
        self,
        metric: metrics.Metric,
        unit: str | None,
        start: float,
        end: float,
        period_seconds: int,
        statistics: Sequence[str],
        now: float,
    ) -> list[Point]:
        """The statistics (names as in `percentiles.parse`) of each period with data, by time (behaviour.md 2.4).

        `start` is inclusive and rounded down, `end` exclusive; periods follow each other from the rounded start.
        Without `unit` the data of all units are taken together, as an alarm without a unit does; one stream per
        unit is one call per each of `units()`. A period that the age of `start` does not allow gives nothing.
        Raises ValueError for a statistic or a period (not positive) that does not exist.
        """
        if period_seconds <= 0:
            raise ValueError(f"a period of {period_seconds} s does not exist")
        wanted = [(name, percentiles.parse(name)) for name in statistics]
        owner = self._owners.get(metric)
        for name, statistic in wanted:
            if statistic is None:
                raise ValueError(f"the statistic {name!r} does not exist")
        if owner is None or not retention.period_is_readable(period_seconds, start, now):
            return []
        first, until = retention.round_range(start, end, period_seconds, now)
        is_extended = any(statistic is not None and statistic.is_extended for _, statistic in wanted)
        periods = _collect(owner.series(unit), first, until, period_seconds, now, is_extended)
        points: list[Point] = []
        for number in sorted(periods):
            samples = periods[number]
            values: dict[str, float] = {}
            for name, statistic in wanted:
                value = percentiles.compute(statistic, samples) if statistic is not None else None
                if value is not None:
                    values[name] = value
            if values:
                points.append(Point(float(first + number * period_seconds), values))
        return points

    def window(
        self, metric: metrics.Metric, unit: str | None, statistic: str, span: alarm_evaluation.Window, now: float
    ) -> recent.Points:
        """What `statistics` gives of a statistic and its count of samples in each period of a window, newest first.

        The window is one of `alarm_evaluation.window` at `now`. Of a window that is kept (`recent.is_kept`) the same
        tuple as the last time, where nothing in it has changed. Raises ValueError for a statistic that does not exist.
        """
        owner = self._owners.get(metric)
        if owner is None:
            return (None,) * span.count
        if span.end > owner.read_until:
            owner.read_until = span.end
        kept = owner.recents.get((unit, statistic, span.period_seconds))
        found = kept.window(span, now) if kept is not None else None
        return found if found is not None else self._window_anew(owner, unit, statistic, span, now)

    def _window_anew(
        self, owner: _Owner, unit: str | None, statistic: str, span: alarm_evaluation.Window, now: float
    ) -> recent.Points:
        period = span.period_seconds
        wanted = percentiles.parse(statistic)
        if wanted is None:
            raise ValueError(f"the statistic {statistic!r} does not exist")
        if not retention.period_is_readable(period, span.start, now):
            return (None,) * span.count
        kept = owner.keep((unit, statistic, period)) if recent.is_kept(span) else None
        first = kept.begin(span) if kept is not None else int(span.start)
        periods = _collect(owner.series(unit), first, span.end, period, now, wanted.is_extended)
        if kept is None:
            return recent.points(span, wanted, periods)
        kept.learn(first, span, wanted, periods)
        found = kept.window(span, now)
        assert found is not None, "what was just learnt is known"
        return found

    def list_metrics(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        dimensions: Sequence[listing.DimensionFilter] = (),
        now: float,
        recently_active: bool = False,
        after: metrics.Metric | None = None,
        limit: int = 500,
    ) -> list[metrics.Metric]:
        """Up to `limit` metrics past `after`, ordered by namespace, name, dimensions.

        A metric fits when it has all of `dimensions` (it may have more). Metrics without data for two weeks are
        not listed (behaviour.md 2.1), with `recently_active` those without for three hours neither.
        """
        since = now - (retention.RECENTLY_ACTIVE_SECONDS if recently_active else retention.LISTED_SECONDS)
        found: list[metrics.Metric] = []
        if limit <= 0:
            return found
        for metric in self._index.find(namespace, name, dimensions, after):
            if self._owners[metric].last > since:
                found.append(metric)
                if len(found) == limit:
                    break
        return found

    # -- durability

    def dump(self) -> Iterator[bytes]:
        """Everything, as chunks for `load`. Raises RuntimeError where the store changes before the last is taken."""
        writes = self._writes
        images: list[_Image] = []
        size = 0
        for owner in self._owners.values():
            for series in owner.units.values():
                for image, image_bytes in _images_of(series):
                    images.append(image)
                    size += image_bytes
                    if size >= DUMP_CHUNK_BYTES:
                        yield msgspec.msgpack.encode(_Chunk(DUMP_VERSION, images))
                        images, size = [], 0
                        if self._writes != writes:
                            raise RuntimeError("the series changed during their dump")
        if images:
            yield msgspec.msgpack.encode(_Chunk(DUMP_VERSION, images))

    def load(self, chunks: Iterable[bytes]) -> None:
        """Replace everything by what `dump` gave. Raises msgspec.MsgspecError where a chunk is not of its kind."""
        self.clear()
        for encoded in chunks:
            chunk = _chunk_decoder.decode(encoded)
            if chunk.version != DUMP_VERSION:
                raise msgspec.ValidationError(f"a dump of version {chunk.version}, but this reads {DUMP_VERSION}")
            for image in chunk.images:
                self._load_image(image)

    def _load_image(self, image: _Image) -> None:
        if not image.blocks:
            raise msgspec.ValidationError("an image without blocks")
        owner = self._owners.get(image.metric)
        series = owner.units.get(image.unit) if owner is not None else None
        if owner is None or series is None:
            owner, series = self._new_series(image.metric, image.unit)
        for place, block, packed in image.blocks:
            if not 0 <= place < len(retention.GRAINS):
                raise msgspec.ValidationError(f"a block of grain {place}, but there are {len(retention.GRAINS)}")
            shelf = series.shelves[place]
            if shelf is None:
                shelf = series.shelves[place] = shelves.Shelf(retention.GRAINS[place])
            shelf.put_packed(block, packed)
        self._replan(series)
        self._note_last(owner, image.last)


def _samples_of(datum: metrics.Datum) -> bins.Bin | None:
    given = datum.statistics
    if given is not None:
        if given.sample_count <= 0.0:
            return None
        return bins.of_statistics(given.sample_count, given.sum, given.minimum, given.maximum)
    return bins.of_values(datum.values, datum.counts)


def _collect(
    chosen: list[_Series], start: int, end: float, period_seconds: int, now: float, is_extended: bool
) -> dict[int, bins.Bin]:
    """The bins of a read, by the number of the period from `start` on."""
    oldest = now - retention.KEEP_SECONDS_MAX
    periods: dict[int, bins.Bin] = {}
    own: set[int] = set()  # periods whose bin was made here and may be changed
    for series in chosen:
        for shelf in series.shelves[:1] if period_seconds < retention.MINUTE else series.shelves:
            if shelf is None:
                continue
            for key, samples in shelf.window(start, end, with_spread=is_extended):
                if key < oldest:
                    continue
                number = (key - start) // period_seconds
                present = periods.get(number)
                if present is None:
                    periods[number] = samples
                    continue
                if number not in own:
                    own.add(number)
                    present = periods[number] = present.copy(with_spread=is_extended)
                present.merge(samples, with_spread=is_extended)
    return periods


def _images_of(series: _Series) -> Iterator[tuple[_Image, int]]:
    """A series in images of about DUMP_CHUNK_BYTES, each with its size."""
    owner = series.owner
    blocks: list[tuple[int, int, bytes]] = []
    size = 100  # about what the metric's name takes
    for place, shelf in enumerate(series.shelves):
        if shelf is None:
            continue
        for block, packed in shelf.image():
            blocks.append((place, block, packed))
            size += len(packed) + 10
            if size >= DUMP_CHUNK_BYTES:
                yield _Image(owner.metric, series.unit, owner.last, blocks), size
                blocks, size = [], 100
    if blocks:
        yield _Image(owner.metric, series.unit, owner.last, blocks), size
