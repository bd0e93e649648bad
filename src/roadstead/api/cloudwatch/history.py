"""DescribeAlarmHistory (behaviour.md 2.6): what happened to alarms, those that are gone included, for 30 days."""

from __future__ import annotations

from typing import Any

from roadstead.api import operation, pages
from roadstead.api.cloudwatch import common
from roadstead.model import alarms, tables
from roadstead.state import view as views

RECORDS_DEFAULT = 100
"""Items on a page where MaxRecords is not given."""


def describe_alarm_history(call: operation.Call, view: views.View) -> operation.Reply:
    """DescribeAlarmHistory: of one alarm or all, of the given types (metric alarms where none are), newest first
    unless ScanBy says otherwise; StartDate and EndDate both count in.
    """
    params = call.params
    types = frozenset(params.AlarmTypes or ("MetricAlarm",))
    group = ("all",) if params.AlarmName is None else ("alarm", params.AlarmName)
    start = params.StartDate if params.StartDate is not None else call.now - alarms.HISTORY_RETENTION_SECONDS
    end = params.EndDate if params.EndDate is not None else call.now
    ascending = params.ScanBy == "TimestampAscending"
    # A token goes on to where "now" was when the listing began at the latest, so the default bounds are no part of it.
    asked = (params.AlarmName, sorted(types), params.HistoryItemType, params.StartDate, params.EndDate, ascending)
    found, token = pages.read(
        view,
        tables.ALARM_HISTORY,
        "by_alarm" if ascending else "newest_first",
        group,
        query=f"DescribeAlarmHistory {asked}",
        token=params.NextToken,
        limit=params.MaxRecords or RECORDS_DEFAULT,
        refusal=common.invalid_token(),
        first_after=(start,) if ascending else (-end,),
        matches=lambda item: item.alarm_type in types and params.HistoryItemType in (None, item.type),
        ends=lambda item: item.timestamp > end if ascending else item.timestamp < start,
    )
    shown = [_present(item) for item in found]
    return operation.Reply(output=common.given(AlarmHistoryItems=shown, NextToken=token))


def _present(item: alarms.AlarmHistoryItem) -> dict[str, Any]:
    return {
        "AlarmName": item.alarm_name,
        "AlarmType": item.alarm_type,
        "Timestamp": item.timestamp,
        "HistoryItemType": item.type,
        "HistorySummary": item.summary,
        "HistoryData": item.data,
    }
