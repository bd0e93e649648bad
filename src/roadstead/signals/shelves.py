"""One series (a metric in one unit) at one grain: recent bins as objects, older ones packed in blocks of bytes.

A block is opened (unpacked) again when late data fall into it, and packed again by `SeriesStore.expire`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from roadstead.signals import bins, retention


class Shelf:
    """The bins of one series at one grain, by the moment (epoch seconds) at which each bin starts."""

    __slots__ = ("_oldest_packed", "bins", "grain", "opened", "packed")

    def __init__(self, grain: retention.Grain) -> None:
        self.grain = grain
        self.bins: dict[int, bins.Bin] = {}
        self.opened: set[int] = set()  # starts of the blocks whose bins are in `bins`
        self.packed: dict[int, bytes] = {}  # block start -> bins
        self._oldest_packed: int | None = None  # None: to be looked up anew

    def is_open(self, key: int) -> bool:
        """Whether the block of the bin at `key` is writable."""
        return key - key % self.grain.block_seconds in self.opened

    def open_block(self, key: int) -> int | None:
        """Make the block of the bin at `key` writable. Returns the moment it wants packing, None if it was open."""
        block = key - key % self.grain.block_seconds
        if block in self.opened:
            return None
        self.opened.add(block)
        if block in self.packed:
            packed = self._take_packed(block)
            step = self.grain.step_seconds
            for place, each in bins.unpack(packed):
                self.bins[block + place * step] = each
        return block + self.grain.block_seconds + self.grain.pack_after_seconds

    def put_packed(self, block: int, packed: bytes) -> None:
        """Keep a block that is packed."""
        self.packed[block] = packed
        if self._oldest_packed is not None and block < self._oldest_packed:
            self._oldest_packed = block

    def _take_packed(self, block: int) -> bytes:
        if block == self._oldest_packed:
            self._oldest_packed = None
        return self.packed.pop(block)

    def _find_oldest_packed(self) -> int | None:
        if self._oldest_packed is None:
            self._oldest_packed = min(self.packed, default=None)
        return self._oldest_packed

    def merge(self, key: int, samples: bins.Bin) -> None:
        """Take `samples` into the bin at `key`, whose block is open."""
        present = self.bins.get(key)
        if present is None:
            self.bins[key] = samples.copy()
        else:
            present.merge(samples)

    def window(self, start: int, end: float, *, with_spread: bool = True) -> Iterator[tuple[int, bins.Bin]]:
        """The bins that start in [start, end), in no order; the caller must not change them.

        Without `with_spread` their distributions may be missing, which is faster.
        """
        if self.bins:
            yield from self._open_window(start, end)
        step = self.grain.step_seconds
        for block in self._packed_within(start, end):
            for place, each in bins.unpack(self.packed[block], with_spread=with_spread):
                key = block + place * step
                if start <= key < end:
                    yield key, each

    def _packed_within(self, start: int, end: float) -> list[int]:
        """The packed blocks that reach into [start, end); asked for by name where those are fewer than all."""
        block_seconds = self.grain.block_seconds
        first = start - start % block_seconds
        if (end - first) / block_seconds > len(self.packed):
            return [block for block in self.packed if first <= block < end]
        return [block for block in range(first, math.ceil(end), block_seconds) if block in self.packed]

    def _open_window(self, start: int, end: float) -> Iterator[tuple[int, bins.Bin]]:
        step = self.grain.step_seconds
        first = -(-start // step) * step
        if (end - first) / step > len(self.bins):
            for key, each in self.bins.items():
                if start <= key < end:
                    yield key, each
            return
        for key in filter(self.bins.__contains__, range(first, math.ceil(end), step)):
            yield key, self.bins[key]

    def due_at(self) -> float | None:
        """When this shelf next has a block to pack or to hand on; None while it is empty."""
        grain = self.grain
        moments: list[int] = []
        if self.opened:
            moments.append(min(self.opened) + grain.block_seconds + grain.pack_after_seconds)
        oldest = self._find_oldest_packed()
        if oldest is not None:
            moments.append(oldest + grain.block_seconds + grain.keep_seconds)
        return min(moments, default=None)

    def take_expired(self, now: float) -> tuple[int, list[tuple[int, bins.Bin]]] | None:
        """Remove the oldest packed block if its time at this grain is over and give its start and its bins; None if
        there is none.
        """
        block = self._find_oldest_packed()
        if block is None or block + self.grain.block_seconds + self.grain.keep_seconds > now:
            return None
        step = self.grain.step_seconds
        return block, [(block + place * step, each) for place, each in bins.unpack(self._take_packed(block))]

    def pack_oldest(self, now: float) -> int | None:
        """Pack the oldest open block if it is old enough, and give its start; None if there was none."""
        block = min(self.opened, default=None)
        if block is None or block + self.grain.block_seconds + self.grain.pack_after_seconds > now:
            return None
        taken = [(place, self.bins.pop(key)) for place, key in self._present(block)]
        self.opened.remove(block)
        if taken:
            self.put_packed(block, bins.pack(taken, self.grain.packed_distinct_values_max))
        return block

    def image(self) -> Iterator[tuple[int, bytes]]:
        """Every block as (start, bytes), without changing anything and without loss."""
        yield from self.packed.items()
        for block in sorted(self.opened):
            present = [(place, self.bins[key]) for place, key in self._present(block)]
            if present:
                yield block, bins.pack(present, None)

    def _present(self, block: int) -> list[tuple[int, int]]:
        """Place and key of each bin of an open block, in order."""
        step, end = self.grain.step_seconds, block + self.grain.block_seconds
        places = self.grain.block_seconds // step
        if places <= len(self.bins):
            return [(place, key) for place, key in enumerate(range(block, end, step)) if key in self.bins]
        return [((key - block) // step, key) for key in sorted(key for key in self.bins if block <= key < end)]

    @property
    def is_empty(self) -> bool:
        """Whether nothing lies here."""
        return not self.bins and not self.packed
