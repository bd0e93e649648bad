"""Alarms on metric math: put, shown, evaluated (behaviour.md 2.5, 2.6.1)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cloudwatch_world import POLICY, START, World


def stat(query_id: str, metric: str, period: int = 60, **more: Any) -> dict[str, Any]:
    metric_stat = {"Metric": {"Namespace": "Test", "MetricName": metric}, "Period": period, "Stat": "Sum"}
    return {"Id": query_id, "MetricStat": metric_stat, "ReturnData": False, **more}


RATE = [
    {"Id": "rate", "Expression": "100 * errors / requests", "Label": "Error rate", "ReturnData": True},
    stat("errors", "Errors"),
    stat("requests", "Requests"),
]


def put(world: World, queries: Any = RATE, **more: Any) -> None:
    single = dict.fromkeys(("Namespace", "MetricName", "Statistic", "Period"))
    world.put_alarm("rate", **{**single, "Metrics": queries, "Threshold": 5.0, **more})


def put_refused(world: World, *queries: dict[str, Any], **more: Any) -> str:
    base = {"AlarmName": "a", "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold", "Threshold": 1.0}
    code, text = world.refused("PutMetricAlarm", **{**base, "Metrics": list(queries), **more})
    assert code == "ValidationError"
    return text


def measure(world: World, at: float, errors: float | None, requests: float | None) -> None:
    for metric, value in (("Errors", errors), ("Requests", requests)):
        if value is not None:
            world.measure(value, at, MetricName=metric)


def evaluated(world: World, minutes: int = 1) -> dict[str, Any]:
    """The alarm as it is shown after so many minutes."""
    for _ in range(minutes):
        world.now += 60
        world.settle()
    (shown,) = world.call("DescribeAlarms", AlarmNames=["rate"])["MetricAlarms"]
    return dict(shown)


def test_what_was_put_is_shown(world: World) -> None:
    dimensions = [{"Name": "B", "Value": "1"}, {"Name": "A", "Value": "2"}]
    metric = {"Namespace": "Test", "MetricName": "Load", "Dimensions": dimensions}
    queries = [
        {"Id": "e", "Expression": "FILL(m, 0)", "Period": 300, "Label": "", "ReturnData": True},
        {
            "Id": "m",
            "MetricStat": {"Metric": metric, "Period": 300, "Stat": "p99", "Unit": "Percent"},
            "ReturnData": False,
        },
    ]
    put(world, queries, TreatMissingData="breaching")
    (shown,) = world.call("DescribeAlarms")["MetricAlarms"]
    queries[1]["MetricStat"]["Metric"]["Dimensions"] = dimensions[::-1]  # type: ignore[index]
    assert shown["Metrics"] == queries
    assert not {"MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Period", "Unit"} & set(shown)
    assert (shown["Dimensions"], shown["TreatMissingData"]) == ([], "breaching")
    for_metric = world.call("DescribeAlarmsForMetric", **metric)["MetricAlarms"]
    assert for_metric == [], "AWS: alarms based on math expressions are not returned"
    (item,) = world.call("DescribeAlarmHistory", AlarmName="rate")["AlarmHistoryItems"]
    told = json.loads(item["HistoryData"])["createdAlarm"]
    assert [one["id"] for one in told["metrics"]] == ["e", "m"]
    assert (told["metrics"][1]["metricStat"]["stat"], told["metrics"][0]["period"]) == ("p99", 300)
    assert "metricName" not in told
    assert "period" not in told


def test_it_follows_the_rate_and_not_its_parts(world: World) -> None:
    put(world, EvaluationPeriods=2, AlarmActions=[POLICY])
    for minute in range(2):
        measure(world, START + 60 * minute, 400.0, 10_000.0)
    assert evaluated(world, 2)["StateValue"] == "OK", "four per cent"
    for minute in range(2, 4):
        measure(world, START + 60 * minute, 40.0, 400.0)
    shown = evaluated(world, 2)
    assert shown["StateValue"] == "ALARM", "ten per cent"
    assert shown["StateReason"].startswith("Threshold Crossed: 2 datapoints [10.0 (14/11/23 22:17:00), 10.0 (14/11/23")
    data = json.loads(shown["StateReasonData"])
    assert data["evaluatedDatapoints"][0] == {"timestamp": "2023-11-14T22:17:00.000+0000", "value": 10.0}
    assert (data["period"], data["recentDatapoints"]) == (60, [10.0, 10.0])
    assert "statistic" not in data
    seen = world.alarm("rate").observed
    assert (seen.newest_value, seen.newest_value_at, seen.actions_at) == (10.0, START + 180, world.now)


def test_a_division_by_zero_and_a_missing_value_are_no_data(world: World) -> None:
    put(world, EvaluationPeriods=1)
    measure(world, START, 3.0, 0.0)
    assert evaluated(world)["StateValue"] == "INSUFFICIENT_DATA"
    measure(world, START + 60, 3.0, None)
    assert evaluated(world)["StateValue"] == "INSUFFICIENT_DATA"
    measure(world, START + 120, None, 10.0)
    assert evaluated(world)["StateValue"] == "OK", "no error in ten requests"
    filled = [{"Id": "e", "Expression": "FILL(m, 100)"}, stat("m", "Errors")]
    put(world, filled, EvaluationPeriods=1)
    assert evaluated(world, 5)["StateValue"] == "ALARM", "what is filled counts"


def test_high_resolution_math_is_looked_at_every_ten_seconds(world: World) -> None:
    put(world, [{"Id": "e", "Expression": "m * 2"}, stat("m", "Load", 20)], EvaluationPeriods=1)
    world.measure(3.0, START, StorageResolution=1)
    world.now = START + 20
    world.settle()
    assert world.alarm("rate").observed.state == "ALARM"


def test_one_metric_may_stand_alone_and_any_alarm_becomes_the_other_kind(world: World) -> None:
    put(world, [stat("m", "Load", ReturnData=True)], EvaluationPeriods=1)
    world.measure(6.0, START)
    assert evaluated(world)["StateValue"] == "ALARM"
    world.put_alarm("rate")
    shown = evaluated(world, 0)
    assert (shown["MetricName"], shown["Period"], "Metrics" in shown) == ("Load", 60, False)


def test_lists_of_metrics_that_cannot_be_watched_are_refused(world: World) -> None:
    m1, e1 = stat("m1", "Load"), {"Id": "e1", "Expression": "m1 * 2"}
    one = "Exactly one element of the metrics list should return data."
    assert put_refused(world, {**m1, "ReturnData": True}, e1) == one
    assert put_refused(world, m1) == one
    assert put_refused(world, m1, m1, e1) == "The values for parameter id in Metrics are not unique."
    assert put_refused(world, m1, {"Id": "e1", "Expression": "NONE(m1)"}) == (
        "Error in expression 'e1': Function 'NONE' not found"
    )
    assert put_refused(world, {"Id": "e1", "Expression": "SUM(SEARCH('Load', 'Sum', 60))"}) == (
        "SEARCH is not supported on Metric Alarms."
    )
    assert put_refused(world, m1, {"Id": "e1", "Expression": "METRICS()"}) == (
        "Metrics expression that return multi time series are only allowed for MetricsInsights expression "
        "with an ORDER BY clause"
    )
    many = [stat(f"m{number}", f"Load{number}") for number in range(11)]
    total = {"Id": "e1", "Expression": "SUM(METRICS())"}
    assert (
        put_refused(world, *many, total) == "Alarms on math expressions cannot contain more than 10 individual metrics"
    )
    put(world, [*many[:10], total])
    steps = [{"Id": f"s{number}", "Expression": "m1", "ReturnData": False} for number in range(19)]
    assert "at most 20" in put_refused(world, m1, e1, *steps)
    put(world, [m1, e1, *steps[:18]])


def test_periods_of_math_alarms_are_those_of_alarms(world: World) -> None:
    def period(*seconds: int, **more: Any) -> str:
        queries = [stat(f"m{number}", "Load", each) for number, each in enumerate(seconds)]
        return put_refused(world, *queries, {"Id": "e1", "Expression": "SUM(METRICS())"}, **more)

    assert period(5) == "Period must be 10, 20, 30 or a multiple of 60"
    assert "Metrics.member.1.MetricStat.Period must be" in period(45)
    assert "same period here, not 60, 300" in period(60, 300)
    assert "more than a day" in period(60, EvaluationPeriods=1441)


@pytest.mark.parametrize(
    "member",
    [
        {"Namespace": "Test"},
        {"MetricName": "Load"},
        {"Dimensions": [{"Name": "A", "Value": "1"}]},
        {"Period": 60},
        {"Unit": "Count"},
        {"Statistic": "Sum"},
        {"ExtendedStatistic": "p99"},
        {"EvaluateLowSampleCountPercentile": "ignore"},
    ],
)
def test_metrics_and_one_metric_exclude_each_other(world: World, member: dict[str, Any]) -> None:
    (name,) = member
    assert put_refused(world, *RATE, **member) == (
        f"The parameters Metrics and {name} are mutually exclusive and you have specified both."
    )


def test_bad_queries_are_refused(world: World) -> None:
    both = {**stat("m1", "Load"), "Expression": "1"}
    assert "Metrics.member.1.Expression and Metrics.member.1.MetricStat are mutually" in put_refused(world, both)
    assert "Metrics.member.1.Id is not matching" in put_refused(world, stat("M", "Load"))
    assert "is required" in put_refused(world, {"Id": "m1"})
    twice = stat("m1", "Load", ReturnData=True)
    twice["MetricStat"]["Metric"]["Dimensions"] = [{"Name": "A", "Value": "1"}, {"Name": "A", "Value": "2"}]
    assert put_refused(world, twice) == "No Metric may specify the same dimension twice."
