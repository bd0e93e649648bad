"""The items of an alarm's history: what changed, in the words and the JSON of DescribeAlarmHistory.

Used by whoever writes an alarm: `control.alarms`, `control.composite_alarms`, and the operations that put, set and
delete one. Item ids are given by the caller (`view.ids.uuid()`); nothing is looked up here.
"""

from __future__ import annotations

import datetime
from typing import Any, Literal

import msgspec

from roadstead.base import scope as scopes
from roadstead.model import alarms, tables
from roadstead.state import plan

DATA_CHARACTERS_MAX = 4095
SUMMARY_CHARACTERS_MAX = 255
"""The longest HistoryData and HistorySummary (AWS's model)."""

ITEMS_MAX = 2_000
"""Items of one alarm: one that flaps for days must not fill the memory. `control.retention` drops those of old age."""

_LONG_MEMBERS = ("alarmDescription", "dimensions", "metrics", "alarmRule")
"""What is left out of a configuration that does not fit otherwise."""

# Items of one moment in the order in which they came about: an alarm that is deleted may be put back at once.
_DELETION, _CONFIGURATION, _STATE, _ACTION = 0, 1, 2, 3


def add(draft: plan.Draft, item: alarms.AlarmHistoryItem) -> None:
    """Write an item, and drop the alarm's oldest one where it has ITEMS_MAX already."""
    group = ("alarm", item.alarm_name)
    if draft.view.size(tables.ALARM_HISTORY, "by_alarm", *group) >= ITEMS_MAX:
        oldest = draft.view.first(tables.ALARM_HISTORY, "by_alarm", *group)
        if oldest is not None:
            draft.remove(oldest)
    draft.put(item)


def alarm_arn(scope: scopes.Scope, name: str) -> str:
    """The ARN of the alarm called `name`."""
    return scope.arn("cloudwatch", f"alarm:{name}")


def cut(text: str, characters_max: int) -> str:
    """The text, or as much of it as fits with `...` behind it."""
    return text if len(text) <= characters_max else text[: characters_max - 3] + "..."


def fit_reason_data(text: str, characters_max: int) -> str:
    """StateReasonData with so many of its newest data points that it fits."""
    if len(text) <= characters_max:
        return text
    data: dict[str, Any] = msgspec.json.decode(text)
    while len(text) > characters_max:
        evaluated = data.get("evaluatedDatapoints", [])
        data["evaluatedDatapoints"] = evaluated[: len(evaluated) // 2]
        if not evaluated:
            recent = data.get("recentDatapoints", [])
            if not recent:
                break
            data["recentDatapoints"] = recent[len(recent) - len(recent) // 2 :]
        text = msgspec.json.encode(data).decode()
    return text


def values_told(reason_data: str | None) -> tuple[float, ...]:
    """`recentDatapoints`, oldest first, in the StateReasonData that SetAlarmState was given; empty where it has none.

    AWS: an alarm with scaling actions needs it "to enable the policy to take the correct action".
    """
    if reason_data is None:
        return ()
    try:
        data = msgspec.json.decode(reason_data)
    except msgspec.DecodeError:
        return ()
    recent = data.get("recentDatapoints") if isinstance(data, dict) else None
    if not isinstance(recent, list) or not all(type(one) in (int, float) for one in recent):
        return ()
    return tuple(float(one) for one in recent)


def state_update(
    item_id: str, alarm_name: str, before: alarms.AnyObserved, after: alarms.AnyObserved
) -> alarms.AlarmHistoryItem:
    """`Alarm updated from OK to ALARM`, with both states' reasons."""
    old, new = _state(before), _state(after)
    bare_old = {name: value for name, value in old.items() if name != "stateReasonData"}
    bare_new = {name: value for name, value in new.items() if name != "stateReasonData"}
    data = _fitting(
        {"version": "1.0", "oldState": old, "newState": new},
        {"version": "1.0", "oldState": bare_old, "newState": new},
        {"version": "1.0", "oldState": bare_old, "newState": bare_new},
        {"version": "1.0", "newState": bare_new},
    )
    return alarms.AlarmHistoryItem(
        item_id=item_id,
        alarm_name=alarm_name,
        alarm_type=_type_of(after),
        timestamp=after.state_updated_at,
        number=_STATE,
        type="StateUpdate",
        summary=f"Alarm updated from {before.state} to {after.state}",
        data=data,
    )


def _state(observed: alarms.AnyObserved) -> dict[str, Any]:
    state: dict[str, Any] = {"stateValue": observed.state, "stateReason": observed.reason}
    if observed.reason_data is not None:
        try:
            state["stateReasonData"] = msgspec.json.decode(observed.reason_data)
        except msgspec.DecodeError:
            state["stateReasonData"] = observed.reason_data
    return state


def action(
    item_id: str, alarm_name: str, action_arn: str, observed: alarms.AnyObserved, error: str | None, now: float
) -> alarms.AlarmHistoryItem:
    """`Successfully executed action arn:…`, or `Failed to execute action arn:…` with the error: written once a state,
    not at each repeat."""
    data = {
        "version": "1.0",
        "actionState": "Succeeded" if error is None else "Failed",
        "stateUpdateTimestamp": int(observed.state_updated_at * 1000),
        "notificationResource": action_arn,
    }
    did = "Successfully executed" if error is None else "Failed to execute"
    return alarms.AlarmHistoryItem(
        item_id=item_id,
        alarm_name=alarm_name,
        alarm_type=_type_of(observed),
        timestamp=now,
        number=_ACTION,
        type="Action",
        summary=cut(f"{did} action {action_arn}", SUMMARY_CHARACTERS_MAX),
        data=_fitting(data if error is None else {**data, "error": error}),
    )


def _type_of(observed: alarms.AnyObserved) -> alarms.AlarmType:
    return "CompositeAlarm" if isinstance(observed, alarms.CompositeObserved) else "MetricAlarm"


def configuration_update(
    item_id: str,
    alarm: alarms.AnyAlarm,
    kind: Literal["Create", "Update", "Delete"],
    scope: scopes.Scope,
    now: float,
) -> alarms.AlarmHistoryItem:
    """`Alarm "web" created` (or updated, deleted), with its configuration."""
    member = {"Create": "createdAlarm", "Update": "updatedAlarm", "Delete": "deletedAlarm"}[kind]
    whole = _configuration(alarm, scope)
    short = {name: value for name, value in whole.items() if not name.lower().endswith("actions")}
    bare = {name: value for name, value in short.items() if name not in _LONG_MEMBERS}
    verb = {"Create": "created", "Update": "updated", "Delete": "deleted"}[kind]
    return alarms.AlarmHistoryItem(
        item_id=item_id,
        alarm_name=alarm.name,
        alarm_type=_type_of(alarm.observed),
        timestamp=now,
        number=_DELETION if kind == "Delete" else _CONFIGURATION,
        type="ConfigurationUpdate",
        summary=cut(f'Alarm "{alarm.name}" {verb}', SUMMARY_CHARACTERS_MAX),
        data=_fitting(*({"version": "1.0", "type": kind, member: each} for each in (whole, short, bare))),
    )


def _configuration(alarm: alarms.AnyAlarm, scope: scopes.Scope) -> dict[str, Any]:
    spec, seen = alarm.spec, alarm.observed
    members: dict[str, Any] = {
        "alarmName": alarm.name,
        "alarmArn": alarm_arn(scope, alarm.name),
        "alarmDescription": spec.description,
        "alarmConfigurationUpdatedTimestamp": moment(alarm.spec_updated_at),
        "actionsEnabled": spec.actions_enabled,
        "okactions": spec.ok_actions,
        "alarmActions": spec.alarm_actions,
        "insufficientDataActions": spec.insufficient_data_actions,
        "stateValue": seen.state,
        "stateReason": seen.reason,
        "stateUpdatedTimestamp": moment(seen.state_updated_at),
        **(_ruled(spec) if isinstance(spec, alarms.CompositeAlarmSpec) else _compared(spec)),
    }
    return {name: value for name, value in members.items() if value is not None}


def _ruled(spec: alarms.CompositeAlarmSpec) -> dict[str, Any]:
    """What a composite alarm goes by."""
    if spec.suppressor is None:
        return {"alarmRule": spec.rule}
    return {
        "alarmRule": spec.rule,
        "actionsSuppressor": spec.suppressor,
        "actionsSuppressorWaitPeriod": spec.wait_seconds,
        "actionsSuppressorExtensionPeriod": spec.extension_seconds,
    }


def _compared(spec: alarms.AlarmSpec) -> dict[str, Any]:
    """What a metric alarm compares."""
    return {
        **_watched(spec),
        "evaluationPeriods": spec.evaluation_periods,
        "datapointsToAlarm": spec.datapoints_to_alarm,
        "threshold": spec.threshold,
        "comparisonOperator": spec.comparison_operator,
        "treatMissingData": spec.treat_missing_data,
        "evaluateLowSampleCountPercentile": spec.evaluate_low_sample_count_percentile,
    }


def _watched(spec: alarms.AlarmSpec) -> dict[str, Any]:
    """The metric of an alarm, or its metric math."""
    if spec.metrics:
        return {"metrics": [_query(query) for query in spec.metrics]}
    return {
        "metricName": spec.metric_name,
        "namespace": spec.namespace,
        "statistic": spec.statistic,
        "extendedStatistic": spec.extended_statistic,
        "dimensions": _dimensions(spec.dimensions),
        "period": spec.period_seconds,
        "unit": spec.unit,
    }


def _dimensions(dimensions: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in dimensions]


def _query(query: alarms.MetricQuery) -> dict[str, Any]:
    stat = query.stat
    shown: dict[str, Any] = {"id": query.id, "label": query.label, "returnData": query.return_data}
    if stat is None:
        shown |= {"expression": query.expression, "period": query.period_seconds}
    else:
        metric = {
            "namespace": stat.namespace,
            "metricName": stat.metric_name,
            "dimensions": _dimensions(stat.dimensions),
        }
        shown["metricStat"] = {"metric": metric, "period": stat.period_seconds, "stat": stat.statistic}
        if stat.unit is not None:
            shown["metricStat"]["unit"] = stat.unit
    return {name: value for name, value in shown.items() if value is not None}


def moment(seconds: float) -> str:
    """A time as CloudWatch's JSON has it: `2022-07-22T15:57:45.394+0000`."""
    at = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}+0000"


def _fitting(*versions: dict[str, Any]) -> str:
    """The first of the versions, from the most to the least complete, that fits as JSON."""
    text = ""
    for version in versions:
        text = msgspec.json.encode(version).decode()
        if len(text) <= DATA_CHARACTERS_MAX:
            return text
    return text
