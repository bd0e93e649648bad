"""What the time series cost: putting data, journaling them, reading for alarms, ageing, memory.

Run: `python bench/bench_signals.py` (about ten seconds). All on one core; figures are printed, none is asserted.
"""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable

import msgspec

from roadstead.signals import alarm_evaluation, metrics, series

NOW = 1_700_000_040.0
DATA = 100_000


def timed(label: str, count: int, work: Callable[[], object]) -> None:
    """Run `work`, which does `count` things, and print what one of them took."""
    began = time.perf_counter()
    work()
    took = time.perf_counter() - began
    print(f"{label:<66} {took / count * 1e6:9.2f} us  {count / took:12,.0f}/s")


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


def bench_writes() -> None:
    for resolution in (60, 1):
        store = series.SeriesStore()
        data = [make(number, 100, resolution) for number in range(DATA)]

        def put_all(target: series.SeriesStore = store, batch: list[metrics.Datum] = data) -> None:
            for datum in batch:
                target.put(datum, NOW)

        timed(f"put one value, 100 series, resolution {resolution} s", DATA, put_all)
    data = [make(number, 100) for number in range(DATA)]
    encoded = msgspec.msgpack.encode(data)
    timed(f"encode for the journal ({len(encoded) / DATA:.0f} bytes each)", DATA, lambda: msgspec.msgpack.encode(data))
    decoder = msgspec.msgpack.Decoder(list[metrics.Datum])
    timed("decode from the journal", DATA, lambda: decoder.decode(encoded))
    store = series.SeriesStore()

    def replay() -> None:
        for datum in decoder.decode(encoded):
            store.put(datum, NOW)

    timed("decode and put (replay)", DATA, replay)
    fresh = [make(number, DATA // 2) for number in range(DATA // 2)]
    other = series.SeriesStore()

    def put_fresh() -> None:
        for datum in fresh:
            other.put(datum, NOW)

    timed("put the first value of a new metric", len(fresh), put_fresh)
    wide = [msgspec.structs.replace(make(n, 100), values=tuple(float(n + v) for v in range(150))) for n in range(2000)]

    def put_wide() -> None:
        for datum in wide:
            store.put(datum, NOW)

    timed("put 150 values at once", len(wide), put_wide)


def bench_alarms() -> None:
    store = series.SeriesStore()
    alarms = 10_000
    subjects = [metrics.metric("Bench", "Load", [("Host", str(number))]) for number in range(alarms)]
    for subject in subjects:
        for age in range(1, 6):
            store.put(metrics.Datum(metric=subject, timestamp=NOW - 60 * age, values=(50.0,)), NOW)
    rule = alarm_evaluation.Rule(
        period_seconds=60, evaluation_periods=3, comparison="GreaterThanThreshold", threshold=60.0
    )

    def evaluate_all() -> None:
        for subject in subjects:
            span = alarm_evaluation.window(rule, NOW)
            read = store.statistics(subject, None, span.start, span.end, 60, ("Average", "SampleCount"), NOW)
            figures = [(point.timestamp, point.values["Average"], point.values["SampleCount"]) for point in read]
            alarm_evaluation.evaluate(rule, alarm_evaluation.datapoints(span, figures), "OK")

    timed("read and evaluate a standard alarm, 10,000 of them", alarms, evaluate_all)


def bench_age() -> None:
    before = memory_mib()
    store = series.SeriesStore()
    minutes = 15 * 24 * 60
    kinds = 10

    def live() -> None:
        for minute in range(minutes):
            at = NOW + minute * 60
            for number in range(kinds):
                subject = metrics.metric("Bench", "Load", [("Host", str(number))])
                values = tuple(20.0 + (minute * 7 + v * 13 + number) % 400 / 8 for v in range(15))
                store.put(metrics.Datum(metric=subject, timestamp=at, values=values), at)
            store.expire(at, 20)

    timed("a minute of one service of 5 tasks, ageing included, for 15 days", minutes * kinds, live)
    print(f"{'memory of one such service after 15 days':<66} {(memory_mib() - before) / kinds:9.2f} MiB")
    now = NOW + minutes * 60
    subject = metrics.metric("Bench", "Load", [("Host", "1")])
    names = ("Average", "p99")
    timed("read 1,000 points of 60 s (Average)", 1, lambda: store.statistics(
        subject, None, now - 60_000, now, 60, names[:1], now))  # fmt: skip
    timed("read 1,440 points of 300 s (Average, p99)", 1, lambda: store.statistics(
        subject, None, now - 432_000, now, 300, names, now))  # fmt: skip
    chunks: list[bytes] = []
    timed("dump all ten", 1, lambda: chunks.extend(store.dump()))
    print(f"{'size of the dump, a service':<66} {sum(map(len, chunks)) / kinds / 2**20:9.2f} MiB")
    twin = series.SeriesStore()
    timed("load all ten", 1, lambda: twin.load(chunks))


if __name__ == "__main__":
    bench_age()
    bench_writes()
    bench_alarms()
