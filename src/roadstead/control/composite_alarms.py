"""Evaluates composite alarms, writes their state, and holds their actions back while they are suppressed (2.6.5).

In: a composite alarm, the states of the alarms in its rule and of its suppressor, the time. Out: its observed state
and items of its history. It is looked at when one of those alarms changes state, when its configuration does, and when
a period of its suppression is over; nothing is polled.

A composite alarm that depends on itself, over whichever others, keeps the state that it has: "evaluation stops if
CloudWatch detects a cycle" (API_PutCompositeAlarm). So the work is bounded whatever the rules say. It goes on when the
cycle is broken, which only a new rule does.

Actions run once for each state. How a suppressor holds them back (CloudWatch's user guide, "Suppressing composite
alarm actions"): as long as it is in ALARM; for WaitPeriod after each change of state, so that it can get there; for
ExtensionPeriod after it has left ALARM. What then is still to run are the actions of the state of that moment.
This server can notify nobody: an action that runs is told in the history, as one that failed, with that reason.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from roadstead.control import alarm_lookup, alarms_history, composite_reasons, controller
from roadstead.model import alarms, tables
from roadstead.signals import alarm_rule
from roadstead.state import plan, store
from roadstead.state import view as views

NO_TRANSPORT = "This server does not deliver alarm actions."


def reconcile(view: views.View, key: str, now: float) -> plan.Plan:
    """Evaluate the composite alarm called `key`, and run its actions if they are due and nothing suppresses them."""
    alarm = view.get(alarms.CompositeAlarm, key)
    if alarm is None:
        return plan.NOTHING
    seen = alarm.observed
    after = _suppressed(view, alarm.spec, _evaluated(view, alarm, now), now)
    runs = after.actions_pending and after.suppression is None
    if runs:
        after = msgspec.structs.replace(after, actions_pending=False)
    draft = plan.Draft(view)
    draft.put(msgspec.structs.replace(alarm, observed=after))
    if after.state != seen.state:
        alarms_history.add(draft, alarms_history.state_update(view.ids.uuid(), alarm.name, seen, after))
    if runs and alarm.spec.actions_enabled:
        for action in alarm.spec.actions_of(after.state):
            item = alarms_history.action(view.ids.uuid(), alarm.name, action, after, NO_TRANSPORT, now)
            alarms_history.add(draft, item)
    return draft.plan(after.suppression.until if after.suppression is not None else None)


# -- evaluating


def _evaluated(view: views.View, alarm: alarms.CompositeAlarm, now: float) -> alarms.CompositeObserved:
    """The alarm's state by its rule, unless SetAlarmState set it and no child has changed since."""
    seen, spec = alarm.observed, alarm.spec
    if seen.forced_over is not None and seen.forced_over == alarm_lookup.children_of(view, spec):
        return seen
    children = {name: alarm_lookup.find(view, name) for name in spec.children}
    state = _verdict(spec.rule, children)
    if state == seen.state:
        return msgspec.structs.replace(seen, evaluated_spec_at=alarm.spec_updated_at, forced_over=None)
    if _depends_on_itself(view, alarm):
        return seen
    known = [child for child in children.values() if child is not None]
    reason = composite_reasons.of(view.scope, alarm, state, known)
    return msgspec.structs.replace(
        seen,
        state=state,
        reason=alarms_history.cut(reason.text, composite_reasons.CHARACTERS_MAX),
        reason_data=reason.data,
        state_updated_at=now,
        state_transitioned_at=now,
        evaluated_spec_at=alarm.spec_updated_at,
        forced_over=None,
        actions_pending=True,
        suppression=None,
    )


def _verdict(text: str, children: dict[str, alarms.AnyAlarm | None]) -> alarms.AlarmState:
    """ALARM where the rule holds. An alarm that is gone (a policy may take its own away) counts as one without data."""

    def state_of(name: str) -> alarms.AlarmState:
        child = children[name]
        return child.observed.state if child is not None else "INSUFFICIENT_DATA"

    return "ALARM" if alarm_rule.evaluate(alarm_rule.parse(text), state_of) else "OK"


def _depends_on_itself(view: views.View, alarm: alarms.CompositeAlarm) -> bool:
    """Whether one of the composite alarms below it has it in its rule. Each is looked at once."""
    waiting, known = list(alarm.spec.children), set(alarm.spec.children)
    while waiting:
        name = waiting.pop()
        if name == alarm.name:
            return True
        below = view.get(alarms.CompositeAlarm, name)
        if below is not None:
            new = [child for child in below.spec.children if child not in known]
            known.update(new)
            waiting.extend(new)
    return False


# -- suppression


def _suppressed(
    view: views.View, spec: alarms.CompositeAlarmSpec, seen: alarms.CompositeObserved, now: float
) -> alarms.CompositeObserved:
    """With what suppresses the actions now. A period that another suppressor began is discarded."""
    found = _suppression(view, spec, seen)
    if found is not None and found.until is not None and found.until <= now:
        found = None
    return msgspec.structs.replace(seen, suppression=found)


def _suppression(
    view: views.View, spec: alarms.CompositeAlarmSpec, seen: alarms.CompositeObserved
) -> alarms.Suppression | None:
    name = spec.suppressor_name
    if name is None:
        return None
    suppressor = alarm_lookup.find(view, name)
    if suppressor is not None and suppressor.observed.state == "ALARM":
        return alarms.Suppression(by="Alarm", suppressor=name)
    last = seen.suppression
    if last is not None and last.suppressor == name:
        if last.by != "Alarm":
            return last
        left_at = suppressor.observed.state_transitioned_at if suppressor is not None else seen.state_transitioned_at
        return alarms.Suppression(by="ExtensionPeriod", suppressor=name, until=left_at + spec.extension_seconds)
    if not seen.actions_pending:
        return None
    return alarms.Suppression(by="WaitPeriod", suppressor=name, until=seen.state_transitioned_at + spec.wait_seconds)


# -- for the engine


def _keys(change: store.Change, view: views.View) -> Iterable[str]:
    """The composite alarms that a change concerns: itself, and those that go by its state."""
    if change.table not in (tables.ALARMS.name, tables.COMPOSITE_ALARMS.name):
        return ()
    before, after = change.before, change.after
    concerned: dict[str, None] = {}
    if change.table == tables.COMPOSITE_ALARMS.name:
        concerned[change.key] = None
        if _rule(before) != _rule(after):
            concerned.update(dict.fromkeys(_all_above(view, change.key)))
    if _state(before) != _state(after):
        concerned.update(dict.fromkeys(above.name for above in alarm_lookup.dependents(view, change.key)))
    return concerned


def _rule(one: object) -> str | None:
    return one.spec.rule if isinstance(one, alarms.CompositeAlarm) else None


def _state(one: object) -> alarms.AlarmState | None:
    return one.observed.state if isinstance(one, alarms.MetricAlarm | alarms.CompositeAlarm) else None


def _all_above(view: views.View, name: str) -> Iterable[str]:
    """All that depend on a composite alarm, over whichever others: its new rule may have broken their cycle."""
    known: dict[str, None] = {name: None}
    waiting = [name]
    while waiting:
        for above in view.find(tables.COMPOSITE_ALARMS, "by_child", waiting.pop()):
            if above.name not in known:
                known[above.name] = None
                waiting.append(above.name)
    return known


def _all_keys(view: views.View) -> Iterable[str]:
    return [alarm.name for alarm in view.find(tables.COMPOSITE_ALARMS, "listing", "all")]


CONTROLLER = controller.Controller(
    name="composite_alarms",
    reconcile=reconcile,
    keys=_keys,
    all_keys=_all_keys,
    tables=(tables.ALARMS, tables.COMPOSITE_ALARMS),
)
"""Keyed by the composite alarm's name."""
