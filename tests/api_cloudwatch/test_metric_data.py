"""Data in and out: PutMetricData, GetMetricStatistics, GetMetricData, ListMetrics (behaviour.md 2.1-2.4)."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from cloudwatch_world import START, World

from roadstead.signals import series

HOUR = 3600
DAY = 86_400


def moment(at: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at, datetime.UTC)


def put(world: World, *data: dict[str, Any], namespace: str = "Test") -> None:
    world.call("PutMetricData", Namespace=namespace, MetricData=list(data))


def put_refused(world: World, **datum: Any) -> tuple[str, str]:
    return world.refused("PutMetricData", Namespace="Test", MetricData=[{"MetricName": "Load", **datum}])


def statistics(world: World, *names: str, **more: Any) -> list[dict[str, Any]]:
    """Data points by time, of the hour before START and the ten minutes after it."""
    wanted = {
        "Namespace": "Test",
        "MetricName": "Load",
        "StartTime": START - HOUR,
        "EndTime": START + 600,
        "Period": 60,
        "Statistics": list(names),
        **more,
    }
    wanted = {key: value for key, value in wanted.items() if value not in (None, [])}
    answer = world.call("GetMetricStatistics", **wanted)
    assert answer["Label"] == wanted["MetricName"]
    return sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])


# -- PutMetricData


def test_data_that_cannot_be_kept_are_refused_and_those_of_known_metrics_are_taken(world: World) -> None:
    world.store.signals = series.SeriesStore(series_max=1)
    put(world, {"MetricName": "Load", "Value": 2.0})
    put(world, {"MetricName": "Load", "Value": 4.0})
    code, text = put_refused(world, Value=1.0, Unit="Percent")
    assert code == "LimitExceeded" and "1 new metrics, and only 0 more" in text
    assert world.store.signals.series_count == 1


def test_what_was_put_can_be_read_at_once(world: World) -> None:
    put(world, {"MetricName": "Load", "Value": 2.0}, {"MetricName": "Load", "Value": 4.0})
    assert statistics(world, "SampleCount", "Sum", "Average", "Minimum", "Maximum") == [
        {
            "Timestamp": moment(START),
            "Unit": "None",
            "SampleCount": 2.0,
            "Sum": 6.0,
            "Average": 3.0,
            "Minimum": 2.0,
            "Maximum": 4.0,
        }
    ]


def test_values_with_counts_keep_their_distribution(world: World) -> None:
    put(world, {"MetricName": "Load", "Values": [1.0, 100.0], "Counts": [99.0, 1.0]})
    (point,) = statistics(world, ExtendedStatistics=["p50", "p100"])
    assert point["ExtendedStatistics"] == {"p50": 1.0, "p100": 100.0}


def test_values_without_counts_count_once_each(world: World) -> None:
    put(world, {"MetricName": "Load", "Values": [1.0, 3.0]})
    assert statistics(world, "SampleCount", "Sum")[0]["SampleCount"] == 2.0


def test_a_statistic_set_is_taken_as_it_is(world: World) -> None:
    put(
        world,
        {"MetricName": "Load", "StatisticValues": {"SampleCount": 4, "Sum": 20, "Minimum": 1, "Maximum": 9}},
    )
    (point,) = statistics(world, "Average", "Maximum")
    assert (point["Average"], point["Maximum"]) == (5.0, 9.0)
    assert statistics(world, ExtendedStatistics=["p50"]) == []


def test_each_set_of_dimensions_is_a_metric_of_its_own_in_any_order(world: World) -> None:
    first, second = {"Name": "A", "Value": "1"}, {"Name": "B", "Value": "2"}
    put(world, {"MetricName": "Load", "Value": 1.0, "Dimensions": [first, second]})
    put(world, {"MetricName": "Load", "Value": 3.0, "Dimensions": [second, first]})
    assert statistics(world, "Sum", Dimensions=[second, first])[0]["Sum"] == 4.0
    assert statistics(world, "Sum", Dimensions=[first]) == statistics(world, "Sum") == []


def test_data_may_be_two_weeks_old_and_two_hours_early(world: World) -> None:
    for at in (START - 14 * DAY, START + 2 * HOUR):
        world.measure(1.0, at)
    code, text = put_refused(world, Value=1.0, Timestamp=START - 14 * DAY - 1)
    assert (code, "two weeks" in text) == ("InvalidParameterValue", True)
    code, text = put_refused(world, Value=1.0, Timestamp=START + 2 * HOUR + 1)
    assert (code, "MetricData.member.1.Timestamp" in text) == ("InvalidParameterValue", True)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 2.0**361, -(2.0**361)])
def test_numbers_out_of_range_are_refused(world: World, value: float) -> None:
    shape = {"SampleCount": 1.0, "Sum": 1.0, "Minimum": 1.0, "Maximum": 1.0}
    for datum in ({"Value": value}, {"Values": [1.0, value]}, {"StatisticValues": {**shape, "Sum": value}}):
        assert put_refused(world, **datum)[0] == "InvalidParameterValue"


def test_the_largest_numbers_are_taken(world: World) -> None:
    put(world, {"MetricName": "Load", "Values": [2.0**360, -(2.0**360)]})
    assert statistics(world, "Maximum")[0]["Maximum"] == 2.0**360


def test_value_values_and_statistics_exclude_each_other(world: World) -> None:
    shape = {"SampleCount": 1.0, "Sum": 1.0, "Minimum": 1.0, "Maximum": 1.0}
    assert put_refused(world, Value=1.5, Values=[1.0, 10.0]) == (
        "InvalidParameterCombination",
        "The parameters MetricData.member.1.Value and MetricData.member.1.Values are mutually exclusive "
        "and you have specified both.",
    )
    assert put_refused(world, Value=1.5, StatisticValues=shape)[0] == "InvalidParameterCombination"
    assert put_refused(world, Values=[1.5], StatisticValues=shape)[0] == "InvalidParameterCombination"
    assert put_refused(world, Value=1.5, Counts=[1.0])[0] == "InvalidParameterCombination"
    assert put_refused(world)[0] == "MissingParameter"


def test_values_and_counts_have_one_size_of_at_most_150(world: World) -> None:
    put(world, {"MetricName": "Load", "Values": [1.0] * 150})
    assert put_refused(world, Values=[1.0, 10.0], Counts=[2.0, 4.0, 5.0]) == (
        "InvalidParameterValue",
        "The parameters MetricData.member.1.Values and MetricData.member.1.Counts must be of the same size.",
    )
    assert put_refused(world, Values=[1.0] * 151)[0] == "InvalidParameterValue"
    assert put_refused(world, Values=[1.0], Counts=[-1.0])[0] == "InvalidParameterValue"
    assert put_refused(world, Values=[1.0], Counts=[0.0])[0] == "InvalidParameterValue"


def test_statistics_must_be_possible(world: World) -> None:
    shape = {"SampleCount": 1.0, "Sum": 1.0, "Minimum": 1.0, "Maximum": 1.0}
    for change in ({"SampleCount": 0.0}, {"SampleCount": -1.0}, {"Minimum": 2.0}):
        assert put_refused(world, StatisticValues={**shape, **change})[0] == "InvalidParameterValue"


def test_a_call_takes_a_thousand_data_or_none(world: World) -> None:
    datum = {"MetricName": "Load", "Value": 1.0}
    put(world, *[datum] * 1000)
    assert statistics(world, "SampleCount")[0]["SampleCount"] == 1000.0
    data = [datum] * 1001
    assert world.refused("PutMetricData", Namespace="Test", MetricData=data) == (
        "InvalidParameterValue",
        "The collection MetricData must not have a size greater than 1000.",
    )
    data = [datum, {"MetricName": "Load", "Value": float("nan")}]
    assert world.refused("PutMetricData", Namespace="Test", MetricData=data) == (
        "InvalidParameterValue",
        "The value NaN for parameter MetricData.member.2.Value is invalid.",
    )
    assert statistics(world, "SampleCount")[0]["SampleCount"] == 1000.0
    assert world.refusal_code("PutMetricData", Namespace="Test") == "MissingParameter"


def test_names_are_checked(world: World) -> None:
    datum = {"MetricName": "Load", "Value": 1.0}
    assert world.refused("PutMetricData", Namespace="AWS/ECS", MetricData=[datum]) == (
        "InvalidParameterValue",
        "The value AWS/ for parameter Namespace is invalid.",
    )
    for namespace in ("a*b", " ", "é"):
        assert world.refusal_code("PutMetricData", Namespace=namespace, MetricData=[datum]) == "InvalidParameterValue"
    for dimensions in (
        [{"Name": "é", "Value": "1"}],
        [{"Name": "A", "Value": " "}],
        [{"Name": ":A", "Value": "1"}],
        [{"Name": "A", "Value": "1"}, {"Name": "A", "Value": "2"}],
        [{"Name": f"A{number}", "Value": "1"} for number in range(31)],
    ):
        assert put_refused(world, Value=1.0, Dimensions=dimensions)[0] == "InvalidParameterValue"
    put(world, {**datum, "Dimensions": [{"Name": f"A{number}", "Value": "1"} for number in range(30)]})


def test_resolution_and_unit_are_checked(world: World) -> None:
    assert put_refused(world, Value=1.0, StorageResolution=30)[0] == "InvalidParameterValue"
    assert put_refused(world, Value=1.0, Unit="Furlongs")[0] == "InvalidParameterValue"


def test_entities_are_refused_by_name(world: World) -> None:
    entity = {"Entity": {"KeyAttributes": {"a": "b", "c": "d"}}, "MetricData": [{"MetricName": "L", "Value": 1.0}]}
    code, text = world.refused("PutMetricData", Namespace="Test", EntityMetricData=[entity])
    assert (code, text) == ("Unsupported", "EntityMetricData")


# -- GetMetricStatistics


def test_each_unit_is_a_stream_of_its_own(world: World) -> None:
    put(world, {"MetricName": "Load", "Value": 1.0, "Unit": "Seconds"}, {"MetricName": "Load", "Value": 2.0})
    found = {point["Unit"]: point["Sum"] for point in statistics(world, "Sum")}
    assert found == {"Seconds": 1.0, "None": 2.0}
    assert [point["Sum"] for point in statistics(world, "Sum", Unit="Seconds")] == [1.0]
    assert statistics(world, "Sum", Unit="Bytes") == []


def test_high_resolution_data_can_be_read_by_seconds(world: World) -> None:
    for second in range(60):
        world.measure(1.0, START - 60 + second, StorageResolution=1)
    fine = statistics(world, "Sum", Period=20, StartTime=START - 60)
    assert [(point["Timestamp"], point["Sum"]) for point in fine] == [
        (moment(START - 60), 20.0),
        (moment(START - 40), 20.0),
        (moment(START - 20), 20.0),
    ]
    assert statistics(world, "Sum", Period=60)[0]["Sum"] == 60.0


def test_the_start_is_rounded_down_and_missing_periods_are_left_out(world: World) -> None:
    world.measure(1.0, START)
    world.measure(2.0, START + 300)
    found = statistics(world, "Sum", StartTime=START + 59, EndTime=START + 301)
    assert [point["Timestamp"] for point in found] == [moment(START), moment(START + 300)]


def test_1440_points_are_the_limit(world: World) -> None:
    statistics(world, "Sum", StartTime=START - DAY, EndTime=START)
    wanted = {"Namespace": "Test", "MetricName": "Load", "Statistics": ["Sum"], "Period": 60}
    assert world.refused("GetMetricStatistics", **wanted, StartTime=START - 2 * DAY, EndTime=START) == (
        "InvalidParameterCombination",
        "You have requested up to 2,880 datapoints, which exceeds the limit of 1,440. You may reduce the datapoints "
        "requested by increasing Period, or decreasing the time range.",
    )


def test_bad_reads_are_refused(world: World) -> None:
    base = {"Namespace": "Test", "MetricName": "Load", "StartTime": START - 60, "EndTime": START, "Period": 60}

    def code(**more: Any) -> str:
        return world.refusal_code("GetMetricStatistics", **{"Statistics": ["Sum"], **base, **more})

    assert code(Period=61) == code(Period=15) == code(EndTime=START - 60) == "InvalidParameterValue"
    assert code(ExtendedStatistics=["p90"]) == "InvalidParameterCombination"
    assert world.refusal_code("GetMetricStatistics", **base) == "MissingParameter"
    assert world.refusal_code("GetMetricStatistics", **base, ExtendedStatistics=["p101"]) == "InvalidParameterValue"
    assert world.refusal_code("GetMetricStatistics", **base, ExtendedStatistics=["Sum"]) == "InvalidParameterValue"


# -- GetMetricData


def query(name: str = "m", metric: str = "Load", stat: str = "Sum", **more: Any) -> dict[str, Any]:
    return {
        "Id": name,
        "MetricStat": {"Metric": {"Namespace": "Test", "MetricName": metric}, "Period": 60, "Stat": stat},
        **more,
    }


def read(world: World, *queries: dict[str, Any], **more: Any) -> Any:
    return world.call(
        "GetMetricData",
        **{"MetricDataQueries": list(queries), "StartTime": START - HOUR, "EndTime": START + HOUR, **more},
    )


def test_points_come_newest_first_unless_asked_otherwise(world: World) -> None:
    for minute in range(3):
        world.measure(minute, START + 60 * minute)
    (found,) = read(world, query())["MetricDataResults"]
    assert found == {
        "Id": "m",
        "Label": "Load",
        "Timestamps": [moment(START + 120), moment(START + 60), moment(START)],
        "Values": [2.0, 1.0, 0.0],
        "StatusCode": "Complete",
    }
    (found,) = read(world, query(Label="mine"), ScanBy="TimestampAscending")["MetricDataResults"]
    assert (found["Label"], found["Values"]) == ("mine", [0.0, 1.0, 2.0])


def test_queries_are_answered_in_their_order_and_hidden_ones_not(world: World) -> None:
    world.measure(1.0, START)
    answer = read(world, query("b"), query("a", "Nothing"), query("c", ReturnData=False), query("d", stat="p99"))
    found = [(one["Id"], one["Values"], one["StatusCode"]) for one in answer["MetricDataResults"]]
    assert found == [("b", [1.0], "Complete"), ("a", [], "Complete"), ("d", [1.0], "Complete")]
    assert "NextToken" not in answer


@pytest.mark.parametrize("scan_by", ["TimestampAscending", "TimestampDescending"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 10])
def test_pages_together_are_the_whole(world: World, size: int, scan_by: str) -> None:
    for minute in range(4):
        world.measure(minute, START + 60 * minute)
        world.measure(10 + minute, START + 60 * minute, MetricName="Other")
    queries = [query("a"), query("none", "Nothing"), query("b", "Other")]
    whole = {one["Id"]: one["Values"] for one in read(world, *queries, ScanBy=scan_by)["MetricDataResults"]}
    told: dict[str, list[float]] = {}
    token: dict[str, str] = {}
    for _ in range(10):
        answer = read(world, *queries, ScanBy=scan_by, MaxDatapoints=size, **token)
        results = answer["MetricDataResults"]
        assert sum(len(one["Values"]) for one in results) <= size
        for one in results:
            told.setdefault(one["Id"], []).extend(one["Values"])
        if "NextToken" not in answer:
            assert {one["StatusCode"] for one in results} == {"Complete"}
            break
        assert results[-1]["StatusCode"] == "PartialData"
        token = {"NextToken": answer["NextToken"]}
    assert told == whole


def test_a_token_of_another_read_is_refused(world: World) -> None:
    for minute in range(2):
        world.measure(minute, START + 60 * minute)
    token = read(world, query(), MaxDatapoints=1)["NextToken"]
    base = {"StartTime": START - HOUR, "EndTime": START + HOUR}
    for queries, text in (([query(stat="Average")], token), ([query()], "nonsense")):
        code = world.refusal_code("GetMetricData", **base, MetricDataQueries=queries, NextToken=text)
        assert code == "InvalidNextToken"


def test_bad_queries_are_refused(world: World) -> None:
    def refused(*queries: dict[str, Any], **more: Any) -> tuple[str, str]:
        base: dict[str, Any] = {"StartTime": START - HOUR, "EndTime": START, "MetricDataQueries": list(queries)}
        return world.refused("GetMetricData", **{**base, **more})

    stat = query()["MetricStat"]
    for bad in (
        refused(query("M")),
        refused(query("a"), query("a")),
        refused({"Id": "m"}),
        refused(query(stat="p101")),
        refused({"Id": "m", "MetricStat": {**stat, "Period": 45}}),
        refused(query(ReturnData=False)),
        refused(query(Label="${MAX}")),
        refused(query(), EndTime=START - HOUR),
        refused(query(), MaxDatapoints=100_801),
        refused(query(), MaxDatapoints=0),
        refused(*[query(f"m{number}") for number in range(501)]),
    ):
        assert bad[0] == "ValidationError"
    code, text = refused(query(AccountId="123456789012"))
    assert (code, text) == ("Unsupported", "MetricDataQueries.AccountId")


# -- ListMetrics


def listed(world: World, **params: Any) -> list[tuple[str, str, dict[str, str]]]:
    found = world.call("ListMetrics", **params)["Metrics"]
    return [
        (one["Namespace"], one["MetricName"], {each["Name"]: each["Value"] for each in one["Dimensions"]})
        for one in found
    ]


def test_metrics_are_found_by_namespace_name_and_dimensions(world: World) -> None:
    put(world, {"MetricName": "Load", "Value": 1.0})
    put(world, {"MetricName": "Load", "Value": 1.0, "Dimensions": [{"Name": "Host", "Value": "a"}]})
    put(
        world,
        {
            "MetricName": "Load",
            "Value": 1.0,
            "Dimensions": [{"Name": "Host", "Value": "b"}, {"Name": "Zone", "Value": "z"}],
        },
    )
    put(world, {"MetricName": "Free", "Value": 1.0}, namespace="Other")
    hosts = [("Test", "Load", {"Host": "a"}), ("Test", "Load", {"Host": "b", "Zone": "z"})]
    assert listed(world) == [("Other", "Free", {}), ("Test", "Load", {}), *hosts]
    assert listed(world, Namespace="Other") == [("Other", "Free", {})]
    assert listed(world, MetricName="Load") == [("Test", "Load", {}), *hosts]
    assert listed(world, Dimensions=[{"Name": "Host"}]) == hosts
    assert listed(world, Dimensions=[{"Name": "Host", "Value": "b"}]) == hosts[1:]


def test_metrics_without_data_for_two_weeks_are_not_listed(world: World) -> None:
    world.measure(1.0, START)
    world.now = START + 3 * HOUR - 1
    assert len(listed(world, RecentlyActive="PT3H")) == 1
    world.now = START + 3 * HOUR + 1
    assert listed(world, RecentlyActive="PT3H") == []
    assert len(listed(world)) == 1
    world.now = START + 14 * DAY + 1
    assert listed(world) == []


def test_metrics_are_listed_in_pages_of_500(world: World) -> None:
    names = [f"m{number:04}" for number in range(1200)]
    put(world, *[{"MetricName": name, "Value": 1.0} for name in names[:1000]])
    put(world, *[{"MetricName": name, "Value": 1.0} for name in names[1000:]])
    found: list[str] = []
    sizes: list[int] = []
    token: dict[str, str] = {}
    while True:
        answer = world.call("ListMetrics", Namespace="Test", **token)
        sizes.append(len(answer["Metrics"]))
        found += [one["MetricName"] for one in answer["Metrics"]]
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    assert sizes == [500, 500, 200]
    assert found == names
    assert world.refusal_code("ListMetrics", **token) == "InvalidParameterValue"  # another listing's
