"""What the time series cost: putting data, journaling them, reading for alarms, ageing, memory. All on one core."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable

import msgspec

from bench import figures
from roadstead.signals import metrics, series

NOW = 1_700_000_040.0
RUNS = 1
DATA, DATA_QUICK = 100_000, 1_000
DAYS = 15


def timed(count: int, work: Callable[[], object]) -> float:
    """Run `work`, which does `count` things; what one of them took, in microseconds."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) / count * 1e6


def memory_mib() -> float:
    """The process's resident size."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def make(number: int, kinds: int, resolution: int = 60) -> metrics.Datum:
    subject = metrics.metric("Bench", "Latency", [("Host", f"host-{number % kinds}"), ("Zone", "a")])
    return metrics.Datum(
        metric=subject,
        timestamp=NOW - number % 180,
        values=(float(number * 7919 % 1009),),
        unit="Milliseconds",
        storage_resolution_seconds=resolution,
    )


FIGURES = (
    figures.Figure("put", "put one value, one of 100 series", "µs"),
    figures.Figure("encode", "encode a datum for the journal", "µs"),
    figures.Figure("decode", "decode a datum of the journal", "µs"),
    figures.Figure("fresh", "put the first value of a new metric", "µs"),
    figures.Figure("wide", "put 150 values at once", "µs"),
    figures.Figure("minute", "a minute of a service of 5 tasks, ageing included, over 15 days", "µs"),
    figures.Figure("memory", "memory of one such service after 15 days", "MiB"),
    figures.Figure("read", "read 1,000 points of 60 s (Average)", "µs"),
    figures.Figure("percentile", "read 1,440 points of 300 s (Average, p99)", "µs"),
    figures.Figure("load", "load the dump of one such service", "µs"),
)


def run(quick: bool) -> dict[str, float]:
    """Measure once."""
    return {**_age(1 if quick else DAYS), **_writes(DATA_QUICK if quick else DATA)}


def _put_all(data: list[metrics.Datum]) -> Callable[[], None]:
    store = series.SeriesStore()

    def work() -> None:
        for datum in data:
            store.put(datum, NOW)

    return work


def _writes(count: int) -> dict[str, float]:
    data = [make(number, 100) for number in range(count)]
    encoded = msgspec.msgpack.encode(data)
    decoder = msgspec.msgpack.Decoder(list[metrics.Datum])
    wide = [msgspec.structs.replace(make(n, 100), values=tuple(float(n + v) for v in range(150))) for n in range(200)]
    return {
        "put": timed(count, _put_all(data)),
        "encode": timed(count, lambda: msgspec.msgpack.encode(data)),
        "decode": timed(count, lambda: decoder.decode(encoded)),
        "fresh": timed(count // 2, _put_all([make(number, count // 2) for number in range(count // 2)])),
        "wide": timed(len(wide), _put_all(wide)),
    }


def _age(days: int) -> dict[str, float]:
    before = memory_mib()
    store = series.SeriesStore()
    minutes, kinds = days * 24 * 60, 10

    def live() -> None:
        for minute in range(minutes):
            at = NOW + minute * 60
            for number in range(kinds):
                subject = metrics.metric("Bench", "Load", [("Host", str(number))])
                values = tuple(20.0 + (minute * 7 + v * 13 + number) % 400 / 8 for v in range(15))
                store.put(metrics.Datum(metric=subject, timestamp=at, values=values), at)
            store.expire(at, 20)

    found = {"minute": timed(minutes * kinds, live), "memory": (memory_mib() - before) / kinds}
    now = NOW + minutes * 60
    subject = metrics.metric("Bench", "Load", [("Host", "1")])

    def read(seconds: float, period: int, *names: str) -> float:
        return timed(1, lambda: store.statistics(subject, None, now - seconds, now, period, names, now))

    found |= {"read": read(60_000, 60, "Average"), "percentile": read(432_000, 300, "Average", "p99")}
    chunks = list(store.dump())
    return {**found, "load": timed(kinds, lambda: series.SeriesStore().load(chunks))}
