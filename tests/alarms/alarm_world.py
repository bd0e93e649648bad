"""A store, the alarm controller in the real stepper, and a time that the test moves."""

from __future__ import annotations

import collections
from typing import Any

import msgspec
from tests import store_worlds

from roadstead.control import alarms as controller
from roadstead.model import alarms, tables
from roadstead.signals import metrics
from roadstead.state import plan, store

START = 1_700_000_040.0
"""On the full minute, and on the full 20 s."""
POLICY = store_worlds.POLICY
LOAD = metrics.metric("Test", "Load")


class World(store_worlds.World):
    """Alarms under a time of their own."""

    def __init__(self) -> None:
        self.writes = 0
        self.looks: collections.Counter[str] = collections.Counter()
        super().__init__(START, controllers=[controller.CONTROLLER])
        self.put(store_worlds.POLICY_TARGET, store_worlds.POLICY_RECORD)
        self.writes = 0

    def looked(self, controller_name: str, key: str, commit: store.Commit | None) -> None:
        self.looks[key] += 1
        self.writes += commit is not None

    def restart(self) -> None:
        """Forget all that is no record and no datum."""
        view = self.store.view()
        kept = [*view.find(tables.ALARMS, "listing", "all"), *view.find(tables.ALARM_HISTORY, "by_alarm", "all")]
        self.restart_with([store_worlds.POLICY_TARGET, store_worlds.POLICY_RECORD, *kept])

    def put_alarm(self, name: str = "high", **more: Any) -> None:
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
        found = self.get(alarms.MetricAlarm, name)
        if found is None:
            observed = alarms.AlarmObserved(state_updated_at=self.now, state_transitioned_at=self.now)
            found = alarms.MetricAlarm(
                name=name, created_at=self.now, spec=spec, spec_updated_at=self.now, observed=observed
            )
        self.put(msgspec.structs.replace(found, spec=spec, spec_updated_at=self.now))

    def force(self, state: Any, *, reason_data: str | None = None, name: str = "high") -> None:
        """As SetAlarmState writes it."""
        found = self.alarm(name)
        seen = found.observed
        changes: dict[str, Any] = {"state": state, "reason": "testing", "reason_data": reason_data}
        changes |= {"forced_at": self.now, "state_updated_at": self.now}
        if state != seen.state:
            changes |= {"state_transitioned_at": self.now, "actions_at": None}
        self.put(msgspec.structs.replace(found, observed=msgspec.structs.replace(seen, **changes)))
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
