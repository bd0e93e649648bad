"""Alarms: put metric ones; delete, set the state, switch the actions of any (behaviour.md 2.6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from roadstead.api import operation
from roadstead.api.cloudwatch import alarm_spec, common, tags
from roadstead.base import errors
from roadstead.control import alarm_lookup, alarms_history
from roadstead.model import alarms, tables
from roadstead.signals import alarm_reasons
from roadstead.state import plan
from roadstead.state import view as views

BODY_BYTES_MAX = 120 * 1024
"""One PutMetricAlarm: "a maximum uncompressed payload of 120 KB" (API_PutMetricAlarm)."""
ALARMS_MAX = 100_000
"""Alarms of an account."""
COMPOSITES_DELETED_MAX = 1
"""Composite alarms among those of one DeleteAlarms."""


def put_metric_alarm(call: operation.Call, view: views.View) -> operation.Reply:
    """PutMetricAlarm: a new alarm in INSUFFICIENT_DATA, or a whole new configuration for the one of that name, which
    keeps its state (and, as at AWS, its tags).
    """
    params, now = call.params, call.now
    if not params.AlarmName.isprintable():
        raise common.validation("AlarmName must not have control characters.")
    spec = alarm_spec.spec_of(params, view.scope)
    wanted_tags = tags.tags_of(params.Tags)
    if view.get(alarms.CompositeAlarm, params.AlarmName) is not None:
        raise name_taken(params.AlarmName, "composite")
    found = view.get(alarms.MetricAlarm, params.AlarmName)
    if found is not None:
        alarm = msgspec.structs.replace(found, spec=spec, spec_updated_at=now)
    else:
        check_room(view)
        alarm = alarms.MetricAlarm(
            name=params.AlarmName,
            created_at=now,
            spec=spec,
            spec_updated_at=now,
            observed=alarms.AlarmObserved(
                reason=alarm_reasons.INITIAL, state_updated_at=now, state_transitioned_at=now
            ),
            tags=wanted_tags,
        )
    return put(view, alarm, "Create" if found is None else "Update", now)


def put(view: views.View, alarm: alarms.AnyAlarm, kind: Literal["Create", "Update"], now: float) -> operation.Reply:
    """The reply that writes an alarm as it was configured, and that into its history."""
    draft = plan.Draft(view)
    draft.put(alarm)
    alarms_history.add(draft, alarms_history.configuration_update(view.ids.uuid(), alarm, kind, view.scope, now))
    return operation.Reply(plan=draft.plan())


def delete_alarms(call: operation.Call, view: views.View) -> operation.Reply:
    """DeleteAlarms: those of the names that exist, together; ResourceNotFound where none of them does. None at all
    where a composite alarm depends on one of them, or where two are composite alarms (API_DeleteAlarms).
    """
    names = dict.fromkeys(call.params.AlarmNames)
    _check_names(names)
    found = [alarm for name in names if (alarm := alarm_lookup.find(view, name)) is not None]
    if names and not found:
        raise not_found(next(iter(names)))
    if sum(isinstance(alarm, alarms.CompositeAlarm) for alarm in found) > COMPOSITES_DELETED_MAX:
        raise common.validation("At most one composite alarm can be deleted in one call.")
    _check_independent(view, found)
    draft = plan.Draft(view)
    for alarm in found:
        draft.remove(alarm)
        alarms_history.add(
            draft, alarms_history.configuration_update(view.ids.uuid(), alarm, "Delete", view.scope, call.now)
        )
    return operation.Reply(plan=draft.plan())


def _check_independent(view: views.View, found: Sequence[alarms.AnyAlarm]) -> None:
    """Refuse to delete alarms that composite alarms depend on; one that goes with them in this call doesn't count,
    unless it depends on itself: an alarm of a cycle can't be deleted.
    """
    going = {alarm.name for alarm in found}
    needed = [
        alarm.name
        for alarm in found
        if any(
            above.name not in going or above.name == alarm.name for above in alarm_lookup.dependents(view, alarm.name)
        )
    ]
    if needed:
        them = "it" if len(needed) == 1 else "them"
        raise common.validation(
            f"Cannot delete {','.join(needed)} as there are composite alarm(s) depending on {them}."
        )


def set_alarm_state(call: operation.Call, view: views.View) -> operation.Reply:
    """SetAlarmState: another state and reason, of a metric alarm until the next evaluation, of a composite one until
    an alarm of its rule changes. The controllers run the actions, where the state is another one than before.
    """
    params, now = call.params, call.now
    alarm = alarm_lookup.find(view, params.AlarmName)
    if alarm is None:
        raise not_found(params.AlarmName)
    if params.StateReasonData is not None:
        try:
            msgspec.json.decode(params.StateReasonData)
        except msgspec.DecodeError:
            raise errors.Refusal("InvalidFormat", "StateReasonData was not syntactically valid JSON.") from None
    before = alarm.observed
    changes = before.state != params.StateValue
    told: dict[str, Any] = {
        "state": params.StateValue,
        "reason": params.StateReason,
        "reason_data": params.StateReasonData,
        "state_updated_at": now,
        "state_transitioned_at": now if changes else before.state_transitioned_at,
    }
    draft = plan.Draft(view)
    if isinstance(alarm, alarms.CompositeAlarm):
        told["forced_over"] = alarm_lookup.children_of(view, alarm.spec)
        if changes:
            told |= {"actions_pending": True, "suppression": None}
    else:
        told["forced_at"] = now
        if changes:
            told["actions_at"] = None
    after = msgspec.structs.replace(before, **told)
    draft.put(msgspec.structs.replace(alarm, observed=after))
    if changes:
        alarms_history.add(draft, alarms_history.state_update(view.ids.uuid(), alarm.name, before, after))
    return operation.Reply(plan=draft.plan())


def enable_alarm_actions(call: operation.Call, view: views.View) -> operation.Reply:
    """EnableAlarmActions; names that no alarm has are passed over, as AWS documents no error for them."""
    return _switch_actions(call, view, enabled=True)


def disable_alarm_actions(call: operation.Call, view: views.View) -> operation.Reply:
    """DisableAlarmActions; as EnableAlarmActions."""
    return _switch_actions(call, view, enabled=False)


def _switch_actions(call: operation.Call, view: views.View, *, enabled: bool) -> operation.Reply:
    draft = plan.Draft(view)
    names = dict.fromkeys(call.params.AlarmNames)
    _check_names(names)
    for name in names:
        alarm = alarm_lookup.find(view, name)
        if alarm is None or alarm.spec.actions_enabled is enabled:
            continue
        spec = msgspec.structs.replace(alarm.spec, actions_enabled=enabled)
        alarm = msgspec.structs.replace(alarm, spec=spec, spec_updated_at=call.now)
        draft.put(alarm)
        alarms_history.add(
            draft, alarms_history.configuration_update(view.ids.uuid(), alarm, "Update", view.scope, call.now)
        )
    return operation.Reply(plan=draft.plan())


def _check_names(names: dict[str, None]) -> None:
    if len(names) > common.NAMES_MAX:
        raise common.validation(f"AlarmNames can have at most {common.NAMES_MAX} names.")


def check_room(view: views.View) -> None:
    """Refuse one more alarm where there are ALARMS_MAX."""
    count = view.size(tables.ALARMS, "listing", "all") + view.size(tables.COMPOSITE_ALARMS, "listing", "all")
    if count >= ALARMS_MAX:
        raise errors.Refusal("LimitExceeded", f"The maximum of {ALARMS_MAX} alarms is reached.")


def name_taken(name: str, kind: str) -> errors.Refusal:
    """ValidationError: an alarm of the other type has that name."""
    return common.validation(f"The alarm name {name} is already in use by a {kind} alarm.")


def not_found(name: str) -> errors.Refusal:
    """ResourceNotFound, for an alarm."""
    return errors.Refusal("ResourceNotFound", f"Unknown alarm: {name}", status=404)
