"""A store, the alarm controller in the real stepper, and a time that the test moves."""

from __future__ import annotations

import collections
from typing import Any

import msgspec

from roadstead.base import scope
from roadstead.control import alarms as controller
from roadstead.engine import stepper
from roadstead.model import alarms, tables
from roadstead.signals import metrics, series
from roadstead.state import plan, store

START = 1_700_000_040.0
"""On the full minute, and on the full 20 s."""
POLICY = (
    "arn:aws:autoscaling:us-east-1:123456789012:scalingPolicy:1-2-3:"
    "resource/ecs/service/default/web:policyName/cpu:createdBy/4-5-6"
)
LOAD = metrics.metric("Test", "Load")


class World:
    """Alarms under a time of their own."""

    def __init__(self) -> None:
        self.now = START
        self._seeds = 0
        self.problems: list[stepper.Problem] = []
        self.writes = 0
        self.looks: collections.Counter[str] = collections.Counter()
        self._begin(store.Store(scope.Scope(), self._seed))

    def _seed(self) -> int:
        self._seeds += 1
        return self._seeds

    def _begin(self, subject: store.Store) -> None:
        self.store = subject
        self.stepper = stepper.Stepper(subject, [controller.CONTROLLER], self.problems.append, self._count, checks=True)
        subject.watch(self.stepper.note)
        self.stepper.start(self.now)

    def _count(self, _controller: str, key: str, commit: store.Commit | None) -> None:
        self.looks[key] += 1
        self.writes += commit is not None

    def restart(self) -> None:
        """Forget all that is no record and no datum."""
        fresh = store.Store(scope.Scope(), self._seed, series.SeriesStore())
        fresh.signals.load(list(self.store.signals.dump()))
        old = self.store.view()
        draft = plan.Draft(fresh.view())
        for alarm in old.find(tables.ALARMS, "listing", "all"):
            draft.put(alarm)
        for item in old.find(tables.ALARM_HISTORY, "by_alarm", "all"):
            draft.put(item)
        fresh.commit(draft.plan(), self.now)
        self._begin(fresh)
        self.settle()

    def settle(self) -> None:
        """Run until nothing is to be done at this moment."""
        for _ in range(1000):
            if not self.stepper.step(self.now):
                break
        else:
            raise AssertionError("the controller does not come to rest")
        assert self.problems == []

    def run(self, until: float) -> None:
        """Let time pass, from one moment at which a key wakes to the next."""
        self.settle()
        while (wake_at := self.stepper.next_wake()) is not None and wake_at <= until:
            self.now = max(self.now, wake_at)
            self.settle()
        self.now = until
        self.settle()

    def put(self, name: str = "high", **more: Any) -> None:
        """An alarm as PutMetricAlarm writes it: above 50 on 3 of 3 minutes unless said otherwise."""
        spec = alarms.AlarmSpec(
            **{
                "namespace": "Test",
                "metric_name": "Load",
                "statistic": "Average",
                "period_seconds": 60,
                "evaluation_periods": 3,
                "threshold": 50.0,
                "comparison_operator": "GreaterThanThreshold",
                **more,
            }
        )
        draft = plan.Draft(self.store.view())
        found = draft.get(alarms.MetricAlarm, name)
        if found is None:
            observed = alarms.AlarmObserved(state_updated_at=self.now, state_transitioned_at=self.now)
            draft.put(
                alarms.MetricAlarm(
                    name=name, created_at=self.now, spec=spec, spec_updated_at=self.now, observed=observed
                )
            )
        else:
            draft.put(msgspec.structs.replace(found, spec=spec, spec_updated_at=self.now))
        self.store.commit(draft.plan(), self.now)

    def force(self, state: Any, *, reason_data: str | None = None, name: str = "high") -> None:
        """As SetAlarmState writes it."""
        found = self.alarm(name)
        seen = found.observed
        changes: dict[str, Any] = {"state": state, "reason": "testing", "reason_data": reason_data}
        changes |= {"forced_at": self.now, "state_updated_at": self.now}
        if state != seen.state:
            changes |= {"state_transitioned_at": self.now, "actions_at": None}
        draft = plan.Draft(self.store.view())
        draft.put(msgspec.structs.replace(found, observed=msgspec.structs.replace(seen, **changes)))
        self.store.commit(draft.plan(), self.now)
        self.settle()

    def measure(self, value: float, at: float, *, resolution: int = 60, unit: str = "None") -> None:
        """One sample; that of the period which starts at `at`."""
        datum = metrics.Datum(
            metric=LOAD, timestamp=at, values=(value,), unit=unit, storage_resolution_seconds=resolution
        )
        self.store.commit(plan.Plan(data=(datum,)), self.now)

    def alarm(self, name: str = "high") -> alarms.MetricAlarm:
        found = self.store.view().get(alarms.MetricAlarm, name)
        assert found is not None
        return found

    def state(self, name: str = "high") -> str:
        return self.alarm(name).observed.state

    def history(self, name: str = "high") -> list[alarms.AlarmHistoryItem]:
        """Oldest first."""
        return list(self.store.view().find(tables.ALARM_HISTORY, "by_alarm", "alarm", name))
