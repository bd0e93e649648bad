"""PutCompositeAlarm: checked, and made into the alarm (behaviour.md 2.6.5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from roadstead.api import operation
from roadstead.api.cloudwatch import alarms as alarm_operations
from roadstead.api.cloudwatch import common, tags
from roadstead.base import arn, errors
from roadstead.base import scope as scopes
from roadstead.control import alarm_lookup, alarms_history
from roadstead.model import alarms, tables
from roadstead.signals import alarm_reasons, alarm_rule
from roadstead.state import view as views

PARENTS_MAX = 150
"""Composite alarms in whose rules one alarm may stand (API_PutCompositeAlarm)."""
ACTION_SERVICES = ("sns", "lambda", "ssm", "ssm-incidents", "aiops")
"""Whose actions a composite alarm may have: topics, functions, OpsItems, incidents, investigations."""


def put_composite_alarm(call: operation.Call, view: views.View) -> operation.Reply:
    """PutCompositeAlarm: a new alarm in INSUFFICIENT_DATA, or a whole new configuration for the one of that name, which
    keeps its state and its tags. `control.composite_alarms` evaluates it at once.
    """
    params, now = call.params, call.now
    name = params.AlarmName
    if not name.isprintable():
        raise common.validation("AlarmName must not have control characters.")
    if view.get(alarms.MetricAlarm, name) is not None:
        raise alarm_operations.name_taken(name, "metric")
    found = view.get(alarms.CompositeAlarm, name)
    spec = _spec_of(params, view)
    _check_parents(view, spec, found)
    wanted_tags = tags.tags_of(params.Tags)
    if found is not None:
        observed = msgspec.structs.replace(found.observed, forced_over=None)
        alarm = msgspec.structs.replace(found, spec=spec, spec_updated_at=now, observed=observed)
    else:
        alarm_operations.check_room(view)
        alarm = alarms.CompositeAlarm(
            name=name,
            created_at=now,
            spec=spec,
            spec_updated_at=now,
            observed=alarms.CompositeObserved(
                reason=alarm_reasons.INITIAL, state_updated_at=now, state_transitioned_at=now
            ),
            tags=wanted_tags,
        )
    return alarm_operations.put(view, alarm, "Create" if found is None else "Update", now)


def _spec_of(params: Any, view: views.View) -> alarms.CompositeAlarmSpec:
    """The spec that the parameters describe. Raises Refusal (ValidationError) where they don't."""
    children = _children_of(params.AlarmRule, view)
    suppressor = params.ActionsSuppressor
    return alarms.CompositeAlarmSpec(
        rule=params.AlarmRule,
        children=children,
        suppressor=suppressor,
        suppressor_name=_suppressor_name(params, view),
        wait_seconds=_period(params, "ActionsSuppressorWaitPeriod"),
        extension_seconds=_period(params, "ActionsSuppressorExtensionPeriod"),
        description=params.AlarmDescription,
        actions_enabled=params.ActionsEnabled is not False,
        ok_actions=_actions(params.OKActions, view.scope),
        alarm_actions=_actions(params.AlarmActions, view.scope),
        insufficient_data_actions=_actions(params.InsufficientDataActions, view.scope),
    )


def _children_of(text: str, view: views.View) -> tuple[str, ...]:
    """The names of the alarms in a rule, all of which must exist; ARNs of another region or account name none."""
    try:
        refs = alarm_rule.refs(alarm_rule.parse(text))
    except alarm_rule.RuleError as problem:
        raise common.validation(problem.text) from None
    named = {ref: _name_of(ref, view) for ref in refs}
    names = dict.fromkeys(name for name in named.values() if name is not None)
    if len(names) > alarm_rule.CHILDREN_MAX:
        raise common.validation(f"AlarmRule can name at most {alarm_rule.CHILDREN_MAX} alarms, not {len(names)}.")
    unknown = [name or ref for ref, name in named.items() if name is None or alarm_lookup.find(view, name) is None]
    if unknown:
        listed = ", ".join(unknown)
        raise common.validation(
            f"Could not save the composite alarm as alarms [{listed}] in the alarm rule do not exist"
        )
    return tuple(names)


def _name_of(ref: str, view: views.View) -> str | None:
    """The name that a name or an ARN stands for; None where it is the ARN of no alarm, or of one that is elsewhere."""
    if arn.parse(ref) is None:
        return ref
    name = alarm_rule.name_of(ref)
    return name if ref == alarms_history.alarm_arn(view.scope, name) else None


def _suppressor_name(params: Any, view: views.View) -> str | None:
    given = params.ActionsSuppressor
    if given is None:
        return None
    name = _name_of(given, view)
    if name is None or alarm_lookup.find(view, name) is None:
        raise common.validation(f"Could not save the composite alarm as the actions suppressor {given} does not exist")
    return name


def _period(params: Any, name: str) -> int:
    """A period of suppression, in seconds: given exactly where there is a suppressor."""
    value: int | None = getattr(params, name)
    if params.ActionsSuppressor is None:
        if value is not None:
            raise common.validation(f"{name} can only be specified with ActionsSuppressor.")
        return 0
    if value is None:
        raise common.validation(f"{name} must be specified with ActionsSuppressor.")
    if value < 0:
        raise common.validation(f"{name} must not be negative.")
    return value


def _check_parents(view: views.View, spec: alarms.CompositeAlarmSpec, before: alarms.CompositeAlarm | None) -> None:
    known = before.spec.children if before is not None else ()
    for name in spec.children:
        if name not in known and view.size(tables.COMPOSITE_ALARMS, "by_child", name) >= PARENTS_MAX:
            raise errors.Refusal(
                "LimitExceeded", f"The alarm {name} is in the rules of {PARENTS_MAX} composite alarms already."
            )


def _actions(given: Sequence[str] | None, scope: scopes.Scope) -> tuple[str, ...]:
    """The actions: those of composite alarms only, which Auto Scaling's and EC2's are not."""
    for action in given or ():
        parsed = arn.parse(action)
        if parsed is None:
            raise common.validation(f"Invalid arn syntax: {action}")
        if parsed.service not in ACTION_SERVICES:
            raise common.validation(
                f"Composite alarms can not have the action {action}: only SNS topics, Lambda functions, Systems "
                "Manager OpsItems and incidents, and investigations."
            )
        if parsed.region not in ("", scope.region):
            raise common.validation(f"Invalid region {parsed.region} specified. Only {scope.region} is supported.")
    return tuple(given or ())
