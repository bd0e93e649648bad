"""GetMetricData with expressions (behaviour.md 2.4, 2.5)."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from cloudwatch_world import START, World

HOUR = 3600


def stat(query_id: str, metric: str, **more: Any) -> dict[str, Any]:
    metric_stat = {"Metric": {"Namespace": "Test", "MetricName": metric}, "Period": 60, "Stat": "Sum"}
    return {"Id": query_id, "MetricStat": metric_stat, **more}


def expression(query_id: str, text: str, **more: Any) -> dict[str, Any]:
    return {"Id": query_id, "Expression": text, **more}


def read(world: World, *queries: dict[str, Any], **more: Any) -> Any:
    return world.call(
        "GetMetricData",
        **{"MetricDataQueries": list(queries), "StartTime": START, "EndTime": START + 300, **more},
    )


def told(answer: Any) -> list[tuple[str, str, list[float], str]]:
    return [(one["Id"], one["Label"], one["Values"], one["StatusCode"]) for one in answer["MetricDataResults"]]


@pytest.fixture
def measured(world: World) -> World:
    """Requests of five minutes, and errors in some of them."""
    world.now = START + 300
    for minute in range(5):
        world.measure(100.0 * (minute + 1), START + 60 * minute, MetricName="Requests")
    world.measure(2.0, START, MetricName="Errors")
    world.measure(30.0, START + 120, MetricName="Errors")
    return world


def test_an_error_rate(measured: World) -> None:
    answer = read(
        measured,
        stat("errors", "Errors", ReturnData=False),
        stat("requests", "Requests", ReturnData=False),
        expression("rate", "100 * errors / requests", Label="Error rate"),
    )
    assert told(answer) == [("rate", "Error rate", [0.0, 0.0, 10.0, 0.0, 2.0], "Complete")]
    (found,) = answer["MetricDataResults"]
    assert found["Timestamps"][0] == datetime.datetime.fromtimestamp(START + 240, datetime.UTC)
    assert "NextToken" not in answer


def test_the_order_of_queries_and_of_points_is_the_callers(measured: World) -> None:
    queries = (expression("b", "a + 1"), expression("a", "FILL(e, 0)", ReturnData=False), stat("e", "Errors"))
    assert told(read(measured, *queries, ScanBy="TimestampAscending")) == [
        ("b", "b", [3.0, 1.0, 31.0, 1.0, 1.0], "Complete"),
        ("e", "Errors", [2.0, 30.0], "Complete"),
    ]


def test_each_series_of_an_array_is_a_result(measured: World) -> None:
    queries = (
        stat("errors", "Errors", ReturnData=False),
        stat("requests", "Requests", Label="All", ReturnData=False),
        expression("e", "SORT(METRICS(), SUM, DESC) / 10", Label="tenth of"),
    )
    assert told(read(measured, *queries, ScanBy="TimestampAscending")) == [
        ("e", "tenth of All", [10.0, 20.0, 30.0, 40.0, 50.0], "Complete"),
        ("e", "tenth of Errors", [0.2, 3.0], "Complete"),
    ]


def test_search_finds_metrics_by_what_they_are(world: World) -> None:
    for host in ("a", "b"):
        world.measure(1.0, START, Dimensions=[{"Name": "Host", "Value": host}])
    world.measure(100.0, START)
    text = "SEARCH('{Test,Host} MetricName=\"Load\"', 'Sum', 60)"
    assert told(read(world, expression("e", text))) == [("e", "a", [1.0], "Complete"), ("e", "b", [1.0], "Complete")]
    assert told(read(world, expression("e", f"SUM({text})"))) == [("e", "e", [2.0], "Complete")]
    assert told(read(world, expression("e", text.replace("Host", "Nobody")))) == []


def test_what_a_search_leaves_out_is_told(world: World) -> None:
    for begin in range(0, 510, 30):
        data = [
            {"MetricName": "Load", "Value": 1.0, "Dimensions": [{"Name": "Host", "Value": f"h{number}"}]}
            for number in range(begin, begin + 30)
        ]
        world.call("PutMetricData", Namespace="Test", MetricData=data)
    answer = read(world, expression("e", "SUM(SEARCH('{Test,Host}', 'Sum', 60))"))
    assert told(answer)[0][2] == [500.0]
    assert answer["Messages"] == [{"Code": "MaxMetricsExceeded", "Value": "Maximum number of allowed metrics exceeded"}]


def test_what_does_not_fit_is_partial_and_has_no_token(measured: World) -> None:
    queries = (expression("x", "r * 2"), stat("r", "Requests"), expression("y", "r * 3"))
    answer = read(measured, *queries, MaxDatapoints=7)
    assert told(answer) == [
        ("x", "x", [1000.0, 800.0, 600.0, 400.0, 200.0], "Complete"),
        ("r", "Requests", [500.0, 400.0], "PartialData"),
        ("y", "y", [], "PartialData"),
    ]
    assert "NextToken" not in answer, "AWS: NextToken is not returned if you are performing a math expression"


def test_an_expression_alone_has_the_period_it_asks_for(world: World) -> None:
    (found,) = read(world, expression("e", "TIME_SERIES(7)", Period=120))["MetricDataResults"]
    assert found["Values"] == [7.0, 7.0, 7.0]
    assert told(read(world, expression("e", "TIME_SERIES(7)"))) == [("e", "e", [7.0] * 5, "Complete")]


def test_bad_expressions_are_refused(world: World) -> None:
    def refused(*queries: dict[str, Any], **more: Any) -> str:
        base = {"StartTime": START, "EndTime": START + 300, "MetricDataQueries": list(queries)}
        code, text = world.refused("GetMetricData", **base, **more)
        assert code == "ValidationError"
        return text

    m1 = stat("m1", "Load")
    assert refused(m1, expression("e1", "m1 +")) == "Error in expression 'e1': Invalid syntax: unexpected end"
    assert refused(m1, expression("e1", "NONE(m1)")) == "Error in expression 'e1': Function 'NONE' not found"
    assert refused(m1, expression("e1", "m2")) == "Error in expression 'e1': Undefined variable 'm2'"
    assert "not a scalar" in refused(m1, expression("e1", "AVG(m1)"))
    assert "refers to itself" in refused(expression("e1", "e2 + 1"), expression("e2", "e1"))
    assert "Metrics Insights" in refused(expression("e1", "SELECT AVG(Load) FROM Test"))
    assert "Contributor Insights" in refused(expression("e1", "INSIGHT_RULE_METRIC('r', 'Sum')"))
    assert refused({**m1, "Expression": "m1"}) == (
        "The parameters MetricDataQueries.member.1.Expression and MetricDataQueries.member.1.MetricStat are mutually "
        "exclusive and you have specified both."
    )
    assert "must be that of" in refused({**m1, "Period": 300})
    assert "Period must be 1, 5" in refused(expression("e1", "TIME_SERIES(1)", Period=61))
    assert "not 300" in refused(m1, expression("e1", "m1", Period=300))
    base = {"StartTime": START, "EndTime": START + HOUR, "MetricDataQueries": [m1, expression("e1", "m1")]}
    assert world.refusal_code("GetMetricData", **base, NextToken="x") == "InvalidNextToken"
    long = {**base, "StartTime": START - 101_000 * 60, "MetricDataQueries": [expression("e1", "TIME_SERIES(1)")]}
    assert "100800 periods" in world.refused("GetMetricData", **long)[1]
