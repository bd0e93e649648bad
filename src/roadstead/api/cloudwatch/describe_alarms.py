"""DescribeAlarms and DescribeAlarmsForMetric (behaviour.md 2.6): metric and composite alarms, in pages over both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from roadstead.api import operation, pages
from roadstead.api.cloudwatch import common, metric_queries
from roadstead.base import errors, pagination
from roadstead.control import alarm_lookup, alarms_history, composite_reasons
from roadstead.model import alarms, tables
from roadstead.state import view as views

RECORDS_DEFAULT = 50
"""Alarms on a page where MaxRecords is not given; alarms that are named all come at once."""
METRIC_ALARM = "MetricAlarm"
_TABLES: dict[str, tables.Table[Any]] = {"CompositeAlarm": tables.COMPOSITE_ALARMS, METRIC_ALARM: tables.ALARMS}
"""In the order in which they are listed."""
_FILTERS = ("AlarmNames", "AlarmNamePrefix", "AlarmTypes", "StateValue", "ActionPrefix")
_RELATIVES = ("ChildrenOfAlarmName", "ParentsOfAlarmName")

A = TypeVar("A", bound=alarms.AnyAlarm)


def describe_alarms(call: operation.Call, view: views.View) -> operation.Reply:
    """DescribeAlarms: by name; all of the given types (of metric alarms where none are), or those of them that begin
    with a prefix, are in a state, have an action; or the children or the parents of an alarm.
    """
    params = call.params
    for name in _RELATIVES:
        if getattr(params, name) is not None:
            _check_alone(params, name)
    if params.ChildrenOfAlarmName is not None:
        return _children(params, view)
    if params.ParentsOfAlarmName is not None:
        return _parents(params, view)
    if params.AlarmNames and params.AlarmNamePrefix is not None:
        raise common.validation("AlarmNames and AlarmNamePrefix can not be specified together.")
    types = params.AlarmTypes or [METRIC_ALARM]
    kinds = [kind for kind in _TABLES if kind in types]
    found, token = _named(params, view, kinds) if params.AlarmNames else _listed(params, view, kinds)
    shown = [_present(view, alarm) for alarm in found]
    return _reply(found, shown, token)


def _reply(found: Sequence[alarms.AnyAlarm], shown: Sequence[dict[str, Any]], token: str | None) -> operation.Reply:
    """Those that were found as they are shown, each with those of its type."""
    pairs = list(zip(found, shown, strict=True))
    output = common.given(
        MetricAlarms=[one for alarm, one in pairs if isinstance(alarm, alarms.MetricAlarm)],
        CompositeAlarms=[one for alarm, one in pairs if isinstance(alarm, alarms.CompositeAlarm)],
        NextToken=token,
    )
    return operation.Reply(output=output)


def _matches(params: Any, alarm: alarms.AnyAlarm) -> bool:
    if params.StateValue is not None and alarm.observed.state != params.StateValue:
        return False
    if params.ActionPrefix is None:
        return True
    return any(action.startswith(params.ActionPrefix) for action in alarm.spec.every_action)


def _query(params: Any, kind: str) -> str:
    names = sorted(set(params.AlarmNames or ()))
    asked = (kind, sorted(params.AlarmTypes or ()), names, params.AlarmNamePrefix, params.StateValue)
    return f"DescribeAlarms {(*asked, params.ActionPrefix)}"


def _named(params: Any, view: views.View, kinds: Sequence[str]) -> tuple[list[alarms.AnyAlarm], str | None]:
    types = {_TABLES[kind].record_type for kind in kinds}
    candidates = (alarm_lookup.find(view, name) for name in sorted(set(params.AlarmNames)))
    found = [alarm for alarm in candidates if alarm is not None and type(alarm) in types and _matches(params, alarm)]
    return _page(found, _query(params, "names"), params.NextToken, params.MaxRecords or common.NAMES_MAX)


def _page(found: Sequence[A], query: str, token: str | None, limit: int) -> tuple[list[A], str | None]:
    """A page of alarms that are sorted by name."""
    after = common.read_position(query, token) if token is not None else ""
    left = [alarm for alarm in found if alarm.name > after]
    if len(left) <= limit:
        return left, None
    return left[:limit], common.make_position(query, left[limit - 1].name)


def _listed(params: Any, view: views.View, kinds: Sequence[str]) -> tuple[list[alarms.AnyAlarm], str | None]:
    """One page: of the first type as far as there are any, then of the next."""
    limit = params.MaxRecords or RECORDS_DEFAULT
    prefix = params.AlarmNamePrefix or ""
    first: tables.Order | None = (prefix,) if prefix else None
    token = params.NextToken
    found: list[alarms.AnyAlarm] = []
    for place, kind in enumerate(kinds):
        query = _query(params, kind)
        is_last = place == len(kinds) - 1
        if token is not None and not is_last and pagination.read_token(query, token) is None:
            continue  # it goes on behind this type
        if len(found) == limit:
            return found, pages.make_token(query, first or ())
        some, left = pages.read(
            view,
            _TABLES[kind],
            "listing",
            ("all",) if params.StateValue is None else (params.StateValue,),
            query=query,
            token=token,
            limit=limit - len(found),
            refusal=common.invalid_token(),
            first_after=first,
            matches=lambda alarm: _matches(params, alarm),
            ends=lambda alarm: not alarm.name.startswith(prefix),
        )
        found.extend(some)
        token = None
        if left is not None:
            return found, left
    return found, None


def _check_alone(params: Any, name: str) -> None:
    others = [other for other in (*_FILTERS, *_RELATIVES) if other != name and getattr(params, other) not in (None, [])]
    if others:
        raise common.validation(f"{name} can not be specified together with {', '.join(others)}.")


def _children(params: Any, view: views.View) -> operation.Reply:
    """The alarms in a composite alarm's rule: name, ARN and state only. None where there is no such alarm."""
    parent = view.get(alarms.CompositeAlarm, params.ChildrenOfAlarmName)
    names = sorted(parent.spec.children) if parent is not None else []
    children = [alarm for name in names if (alarm := alarm_lookup.find(view, name)) is not None]
    query = f"DescribeAlarms children {params.ChildrenOfAlarmName}"
    found, token = _page(children, query, params.NextToken, params.MaxRecords or RECORDS_DEFAULT)
    shown = [
        {
            **_present_name(view, alarm),
            "StateValue": alarm.observed.state,
            "StateUpdatedTimestamp": alarm.observed.state_updated_at,
        }
        for alarm in found
    ]
    return _reply(found, shown, token)


def _parents(params: Any, view: views.View) -> operation.Reply:
    """The composite alarms in whose rules an alarm stands: name and ARN only."""
    parents = list(view.find(tables.COMPOSITE_ALARMS, "by_child", params.ParentsOfAlarmName))
    query = f"DescribeAlarms parents {params.ParentsOfAlarmName}"
    found, token = _page(parents, query, params.NextToken, params.MaxRecords or RECORDS_DEFAULT)
    return _reply(found, [_present_name(view, alarm) for alarm in found], token)


def describe_alarms_for_metric(call: operation.Call, view: views.View) -> operation.Reply:
    """DescribeAlarmsForMetric: all alarms on a metric, or those of them with a statistic, a period, a unit."""
    params = call.params
    if params.Statistic is not None and params.ExtendedStatistic is not None:
        raise common.validation("Statistic and ExtendedStatistic can not be specified together.")
    metric = common.metric_of(params.Namespace, params.MetricName, params.Dimensions)
    names = [part for pair in metric.dimensions for part in pair]
    shown = [
        _present_metric(view, alarm)
        for alarm in view.find(tables.ALARMS, "by_metric", metric.namespace, metric.name, *names)
        if params.Statistic in (None, alarm.spec.statistic)
        and params.ExtendedStatistic in (None, alarm.spec.extended_statistic)
        and params.Period in (None, alarm.spec.period_seconds)
        and params.Unit in (None, alarm.spec.unit)
    ]
    return operation.Reply(output={"MetricAlarms": shown})


def describe_alarm_contributors(call: operation.Call, view: views.View) -> operation.Reply:
    """DescribeAlarmContributors: none. They are the time series of an alarm on a Metrics Insights query, which watches
    many; the alarms that are served watch one.
    """
    name, token = call.params.AlarmName, call.params.NextToken
    if alarm_lookup.find(view, name) is None:
        raise errors.Refusal(
            "ResourceNotFoundException",
            f"Unknown alarm: {name}",
            status=404,
            members={"ResourceType": "alarm", "ResourceId": name},
        )
    if token is not None:
        raise common.invalid_token()
    return operation.Reply(output={"AlarmContributors": []})


def _present(view: views.View, alarm: alarms.AnyAlarm) -> dict[str, Any]:
    return _present_metric(view, alarm) if isinstance(alarm, alarms.MetricAlarm) else _present_composite(view, alarm)


def _present_name(view: views.View, alarm: alarms.AnyAlarm) -> dict[str, Any]:
    return {"AlarmName": alarm.name, "AlarmArn": alarms_history.alarm_arn(view.scope, alarm.name)}


def _present_shared(view: views.View, alarm: alarms.AnyAlarm) -> dict[str, Any]:
    """What both types show."""
    spec, seen = alarm.spec, alarm.observed
    return {
        **_present_name(view, alarm),
        "AlarmDescription": spec.description,
        "AlarmConfigurationUpdatedTimestamp": alarm.spec_updated_at,
        "ActionsEnabled": spec.actions_enabled,
        "OKActions": list(spec.ok_actions),
        "AlarmActions": list(spec.alarm_actions),
        "InsufficientDataActions": list(spec.insufficient_data_actions),
        "StateValue": seen.state,
        "StateReason": seen.reason,
        "StateReasonData": seen.reason_data,
        "StateUpdatedTimestamp": seen.state_updated_at,
        "StateTransitionedTimestamp": seen.state_transitioned_at,
    }


def _present_composite(view: views.View, alarm: alarms.CompositeAlarm) -> dict[str, Any]:
    """A composite alarm as DescribeAlarms shows it."""
    spec, suppression = alarm.spec, alarm.observed.suppression
    has_suppressor = spec.suppressor is not None
    return common.given(
        **_present_shared(view, alarm),
        AlarmRule=spec.rule,
        ActionsSuppressor=spec.suppressor,
        ActionsSuppressorWaitPeriod=spec.wait_seconds if has_suppressor else None,
        ActionsSuppressorExtensionPeriod=spec.extension_seconds if has_suppressor else None,
        ActionsSuppressedBy=suppression.by if suppression is not None else None,
        ActionsSuppressedReason=composite_reasons.suppressed(suppression) if suppression is not None else None,
    )


def _present_metric(view: views.View, alarm: alarms.MetricAlarm) -> dict[str, Any]:
    """A metric alarm as DescribeAlarms shows it."""
    spec = alarm.spec
    return common.given(
        **_present_shared(view, alarm),
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
