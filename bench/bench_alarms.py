"""What 10,000 standard alarms cost each minute: the controller in the stepper, over a store.

Run: `python bench/bench_alarms.py` (about ten seconds). On one core; figures are printed, none is asserted. The bar is
5 % of one core: 3 s of each minute.
"""

from __future__ import annotations

import gc
import time

from roadstead.base import scope
from roadstead.control import alarms as controller
from roadstead.engine import stepper
from roadstead.model import alarms
from roadstead.signals import metrics
from roadstead.state import plan, store

START = 1_700_000_040.0
ALARMS = 10_000
ROUNDS = 3


class World:
    """A store full of alarms, each on a metric of its own."""

    def __init__(self) -> None:
        self._seeds = 0
        self.store = store.Store(scope.Scope(), self._seed)
        self.rows = 0
        self.stepper = stepper.Stepper(self.store, [controller.CONTROLLER], print)
        self.store.watch(self._note)
        draft = plan.Draft(self.store.view())
        for number in range(ALARMS):
            draft.put(an_alarm(number))
        self.store.commit(draft.plan(), START)
        self.stepper.start(START)

    def _seed(self) -> int:
        self._seeds += 1
        return self._seeds

    def _note(self, commit: store.Commit) -> None:
        self.rows += len(commit.entry.rows)
        self.stepper.note(commit)

    def measure(self, at: float, value: float) -> None:
        """Three samples of each metric for the minute that starts at `at`."""
        for number in range(ALARMS):
            for second in (5, 25, 45):
                datum = metrics.Datum(metric=subject(number), timestamp=at + second, values=(value,))
                self.store.signals.put(datum, at + 60)

    def round(self, label: str, until: float) -> float:
        """Evaluate all that is due up to `until`, and print what it took: CPU seconds, returned as well."""
        self.rows = 0
        looks = 0
        longest = 0.0
        began = time.process_time()
        wake_at: float | None = until - 60
        while wake_at is not None and wake_at < until:
            works = True
            while works:
                before = time.perf_counter()
                works = self.stepper.step(wake_at)
                longest = max(longest, time.perf_counter() - before)
                looks += works
            wake_at = self.stepper.next_wake()
        took = time.process_time() - began
        print(
            f"{label:<44} {took:6.2f} s CPU ({took / 60:5.1%} of a core)  {took / ALARMS * 1e6:6.1f} us an alarm  "
            f"{looks:6d} looks  {self.rows:6d} rows  longest step {longest * 1e3:5.1f} ms"
        )
        return took


def subject(number: int) -> metrics.Metric:
    return metrics.metric("Bench", "Load", [("Host", f"host-{number}")])


def an_alarm(number: int) -> alarms.MetricAlarm:
    metric = subject(number)
    return alarms.MetricAlarm(
        name=f"alarm-{number}",
        created_at=START - 600,
        spec_updated_at=START - 600,
        spec=alarms.AlarmSpec(
            namespace=metric.namespace,
            metric_name=metric.name,
            dimensions=metric.dimensions,
            statistic="Average",
            period_seconds=60,
            evaluation_periods=3,
            threshold=60.0,
            comparison_operator="GreaterThanThreshold",
        ),
        observed=alarms.AlarmObserved(state_updated_at=START - 600, state_transitioned_at=START - 600),
    )


def main() -> None:
    world = World()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)  # as the server does
    for age in range(5, 0, -1):
        world.measure(START - 60 * age, 50.0)
    world.round("first evaluation, each to OK", START + 60)
    for number in range(ROUNDS):
        world.measure(START + 60 * number, 50.0 + number)
        world.round("a quiet minute", START + 60 * (number + 2))
    for number in range(ROUNDS, ROUNDS + 3):
        world.measure(START + 60 * number, 80.0)
        label = "each to ALARM" if number == ROUNDS + 2 else "each with one more breaching"
        world.round(label, START + 60 * (number + 2))


if __name__ == "__main__":
    main()
