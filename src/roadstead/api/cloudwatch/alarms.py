"""Alarms: put, describe, delete, set their state, switch their actions (behaviour.md 2.6)."""

from __future__ import annotations

from typing import Any

import msgspec

from roadstead.api import operation
from roadstead.api.cloudwatch import alarm_spec, common, metric_queries, tags
from roadstead.base import errors
from roadstead.control import alarms_history
from roadstead.model import alarms, tables
from roadstead.signals import alarm_reasons
from roadstead.state import plan
from roadstead.state import view as views

ALARMS_MAX = 100_000
"""Alarms of an account."""
RECORDS_DEFAULT = 50
"""Alarms on a page of DescribeAlarms where MaxRecords is not given; alarms that are named all come at once."""
NAMES_MAX = 100
"""Alarms that one call may name."""
METRIC_ALARM = "MetricAlarm"


def put_metric_alarm(call: operation.Call, view: views.View) -> operation.Reply:
    """PutMetricAlarm: a new alarm in INSUFFICIENT_DATA, or a whole new configuration for the one of that name, which
    keeps its state (and, as at AWS, its tags).
    """
    params, now = call.params, call.now
    if not params.AlarmName.isprintable():
        raise common.validation("AlarmName must not have control characters.")
    spec = alarm_spec.spec_of(params, view.scope)
    wanted_tags = tags.tags_of(params.Tags)
    found = view.get(alarms.MetricAlarm, params.AlarmName)
    draft = plan.Draft(view)
    if found is not None:
        alarm = msgspec.structs.replace(found, spec=spec, spec_updated_at=now)
    else:
        if view.size(tables.ALARMS, "listing", "all") >= ALARMS_MAX:
            raise errors.Refusal("LimitExceeded", f"The maximum of {ALARMS_MAX} alarms is reached.")
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
    draft.put(alarm)
    kind: Any = "Create" if found is None else "Update"
    alarms_history.add(draft, alarms_history.configuration_update(view.ids.uuid(), alarm, kind, view.scope, now))
    return operation.Reply(plan=draft.plan())


def describe_alarms(call: operation.Call, view: views.View) -> operation.Reply:
    """DescribeAlarms: by name; all, or those that are named, or begin with a prefix, are in a state, have an action."""
    params = call.params
    if params.AlarmNames and params.AlarmNamePrefix is not None:
        raise common.validation("AlarmNames and AlarmNamePrefix can not be specified together.")
    types = params.AlarmTypes or [METRIC_ALARM]
    if METRIC_ALARM not in types:
        return operation.Reply(output={"MetricAlarms": [], "CompositeAlarms": []})
    if params.AlarmNames:
        found, token = _named(params, view)
    else:
        found, token = _listed(params, view)
    shown = [present_alarm(view, alarm) for alarm in found]
    return operation.Reply(output=common.given(MetricAlarms=shown, CompositeAlarms=[], NextToken=token))


def _matches(params: Any, alarm: alarms.MetricAlarm) -> bool:
    if params.StateValue is not None and alarm.observed.state != params.StateValue:
        return False
    if params.ActionPrefix is None:
        return True
    spec = alarm.spec
    actions = (*spec.alarm_actions, *spec.ok_actions, *spec.insufficient_data_actions)
    return any(action.startswith(params.ActionPrefix) for action in actions)


def _query(params: Any) -> str:
    names = sorted(set(params.AlarmNames or ()))
    return f"DescribeAlarms {(names, params.AlarmNamePrefix, params.StateValue, params.ActionPrefix)}"


def _named(params: Any, view: views.View) -> tuple[list[alarms.MetricAlarm], str | None]:
    query = _query(params)
    after = common.read_position(query, params.NextToken) if params.NextToken is not None else ""
    candidates = (view.get(alarms.MetricAlarm, name) for name in sorted(set(params.AlarmNames)) if name > after)
    found = [alarm for alarm in candidates if alarm is not None and _matches(params, alarm)]
    limit = params.MaxRecords or NAMES_MAX
    if len(found) <= limit:
        return found, None
    return found[:limit], common.make_position(query, found[limit - 1].name)


def _listed(params: Any, view: views.View) -> tuple[list[alarms.MetricAlarm], str | None]:
    prefix = params.AlarmNamePrefix or ""
    return common.read_page(
        view,
        tables.ALARMS,
        "listing",
        ("all",) if params.StateValue is None else (params.StateValue,),
        query=_query(params),
        token=params.NextToken,
        limit=params.MaxRecords or RECORDS_DEFAULT,
        first_after=(prefix,) if prefix else None,
        matches=lambda alarm: _matches(params, alarm),
        ends=lambda alarm: not alarm.name.startswith(prefix),
    )


def describe_alarms_for_metric(call: operation.Call, view: views.View) -> operation.Reply:
    """DescribeAlarmsForMetric: all alarms on a metric, or those of them with a statistic, a period, a unit."""
    params = call.params
    if params.Statistic is not None and params.ExtendedStatistic is not None:
        raise common.validation("Statistic and ExtendedStatistic can not be specified together.")
    metric = common.metric_of(params.Namespace, params.MetricName, params.Dimensions)
    names = [part for pair in metric.dimensions for part in pair]
    shown = [
        present_alarm(view, alarm)
        for alarm in view.find(tables.ALARMS, "by_metric", metric.namespace, metric.name, *names)
        if params.Statistic in (None, alarm.spec.statistic)
        and params.ExtendedStatistic in (None, alarm.spec.extended_statistic)
        and params.Period in (None, alarm.spec.period_seconds)
        and params.Unit in (None, alarm.spec.unit)
    ]
    return operation.Reply(output={"MetricAlarms": shown})


def delete_alarms(call: operation.Call, view: views.View) -> operation.Reply:
    """DeleteAlarms: those of the names that exist, together; ResourceNotFound where none of them does."""
    draft = plan.Draft(view)
    names = dict.fromkeys(call.params.AlarmNames)
    _check_names(names)
    gone = 0
    for name in names:
        alarm = view.get(alarms.MetricAlarm, name)
        if alarm is None:
            continue
        gone += 1
        draft.remove(alarm)
        alarms_history.add(
            draft, alarms_history.configuration_update(view.ids.uuid(), alarm, "Delete", view.scope, call.now)
        )
    if names and not gone:
        raise not_found(next(iter(names)))
    return operation.Reply(plan=draft.plan())


def set_alarm_state(call: operation.Call, view: views.View) -> operation.Reply:
    """SetAlarmState: another state and reason until the next evaluation. `control.alarms` runs the actions, where
    the state is another one than before.
    """
    params, now = call.params, call.now
    alarm = view.get(alarms.MetricAlarm, params.AlarmName)
    if alarm is None:
        raise not_found(params.AlarmName)
    if params.StateReasonData is not None:
        try:
            msgspec.json.decode(params.StateReasonData)
        except msgspec.DecodeError:
            raise errors.Refusal("InvalidFormat", "StateReasonData was not syntactically valid JSON.") from None
    before = alarm.observed
    changes = before.state != params.StateValue
    after = msgspec.structs.replace(
        before,
        state=params.StateValue,
        reason=params.StateReason,
        reason_data=params.StateReasonData,
        state_updated_at=now,
        state_transitioned_at=now if changes else before.state_transitioned_at,
        forced_at=now,
        actions_at=None if changes else before.actions_at,
    )
    draft = plan.Draft(view)
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
        alarm = view.get(alarms.MetricAlarm, name)
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
    if len(names) > NAMES_MAX:
        raise common.validation(f"AlarmNames can have at most {NAMES_MAX} names.")


def not_found(name: str) -> errors.Refusal:
    """ResourceNotFound, for an alarm."""
    return errors.Refusal("ResourceNotFound", f"Unknown alarm: {name}", status=404)


def present_alarm(view: views.View, alarm: alarms.MetricAlarm) -> dict[str, Any]:
    """An alarm as DescribeAlarms shows it."""
    spec, seen = alarm.spec, alarm.observed
    return common.given(
        AlarmName=alarm.name,
        AlarmArn=alarms_history.alarm_arn(view.scope, alarm.name),
        AlarmDescription=spec.description,
        AlarmConfigurationUpdatedTimestamp=alarm.spec_updated_at,
        ActionsEnabled=spec.actions_enabled,
        OKActions=list(spec.ok_actions),
        AlarmActions=list(spec.alarm_actions),
        InsufficientDataActions=list(spec.insufficient_data_actions),
        StateValue=seen.state,
        StateReason=seen.reason,
        StateReasonData=seen.reason_data,
        StateUpdatedTimestamp=seen.state_updated_at,
        StateTransitionedTimestamp=seen.state_transitioned_at,
        MetricName=spec.metric_name,
        Namespace=spec.namespace,
        Statistic=spec.statistic,
        ExtendedStatistic=spec.extended_statistic,
        Dimensions=common.present_dimensions(spec.dimensions),
        Period=spec.period_seconds if not spec.metrics else None,
        Metrics=[metric_queries.present_query(query) for query in spec.metrics] or None,
        Unit=spec.unit,
        EvaluationPeriods=spec.evaluation_periods,
        DatapointsToAlarm=spec.datapoints_to_alarm,
        Threshold=spec.threshold,
        ComparisonOperator=spec.comparison_operator,
        TreatMissingData=spec.treat_missing_data,
        EvaluateLowSampleCountPercentile=spec.evaluate_low_sample_count_percentile,
    )
