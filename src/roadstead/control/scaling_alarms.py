"""Puts back the alarms of target tracking policies that somebody has deleted (behaviour.md 1.3.2).

In: a scaling policy and which of its alarms there are. Out: the missing ones, as PutScalingPolicy made them. An alarm
that was edited stays edited: AWS advises against it, and lets users do it. See docs/decisions/0020.
"""

from __future__ import annotations

from collections.abc import Iterable

from roadstead.control import alarm_lookup, alarms_history, controller, scaling_alarm_pair
from roadstead.model import alarms, scaling, tables
from roadstead.state import plan, store
from roadstead.state import view as views


def reconcile(view: views.View, key: str, now: float) -> plan.Plan:
    """Make the alarms that the policy at `key` should have and has not, each with an item of its history."""
    policy = view.get(scaling.ScalingPolicy, key)
    if policy is None or all(alarm_lookup.find(view, name) is not None for name in policy.alarm_names):
        return plan.NOTHING
    draft = plan.Draft(view)
    for alarm in scaling_alarm_pair.alarms_of(view.scope, policy, now):
        if alarm_lookup.find(view, alarm.name) is None:
            draft.put(alarm)
            item = alarms_history.configuration_update(view.ids.uuid(), alarm, "Create", view.scope, now)
            alarms_history.add(draft, item)
    return draft.plan()


def _keys(change: store.Change, view: views.View) -> Iterable[str]:
    """The policy whose alarm is gone. A policy is made together with its alarms."""
    if change.after is not None or not isinstance(change.before, alarms.MetricAlarm):
        return ()
    return [policy.key for policy in view.find(tables.SCALING_POLICIES, "by_alarm", change.key)]


def _all_keys(view: views.View) -> Iterable[str]:
    return [policy.key for policy in view.find(tables.SCALING_POLICIES, "owning_alarms", "all")]


CONTROLLER = controller.Controller(name="scaling_alarms", reconcile=reconcile, keys=_keys, all_keys=_all_keys)
"""Keyed by the scaling policy."""
