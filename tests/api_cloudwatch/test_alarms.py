"""Alarms as clients see them: PutMetricAlarm, DescribeAlarms, DeleteAlarms, SetAlarmState, history, tags (2.6)."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from cloudwatch_world import POLICY, START, World

from roadstead.api import pages
from roadstead.signals import metrics

ARN = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:high"


def moment(at: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at, datetime.UTC)


def described(world: World, **params: Any) -> list[str]:
    return [alarm["AlarmName"] for alarm in world.call("DescribeAlarms", **params)["MetricAlarms"]]


def history(world: World, **params: Any) -> list[tuple[str, str]]:
    items = world.call("DescribeAlarmHistory", **params)["AlarmHistoryItems"]
    return [(item["HistoryItemType"], item["HistorySummary"]) for item in items]


def put_refused(world: World, **change: Any) -> str:
    """The text with which a changed configuration is refused, always a ValidationError."""
    wanted = {
        "AlarmName": "bad", "Namespace": "Test", "MetricName": "Load", "Statistic": "Average", "Period": 60,
        "EvaluationPeriods": 3, "Threshold": 50.0, "ComparisonOperator": "GreaterThanThreshold", **change,
    }  # fmt: skip
    code, text = world.refused("PutMetricAlarm", **{key: value for key, value in wanted.items() if value is not None})
    assert code == "ValidationError"
    return text


# -- PutMetricAlarm, DescribeAlarms


def test_an_alarm_is_shown_as_it_was_put(world: World) -> None:
    world.put_alarm(
        Dimensions=[{"Name": "B", "Value": "2"}, {"Name": "A", "Value": "1"}],
        AlarmDescription="too much",
        DatapointsToAlarm=2,
        TreatMissingData="breaching",
        Unit="Percent",
        AlarmActions=[POLICY],
    )
    (shown,) = world.call("DescribeAlarms")["MetricAlarms"]
    assert shown == {
        "AlarmName": "high",
        "AlarmArn": ARN,
        "AlarmDescription": "too much",
        "AlarmConfigurationUpdatedTimestamp": moment(START),
        "ActionsEnabled": True,
        "OKActions": [],
        "AlarmActions": [POLICY],
        "InsufficientDataActions": [],
        "StateValue": "INSUFFICIENT_DATA",
        "StateReason": "Unchecked: Initial alarm creation",
        "StateUpdatedTimestamp": moment(START),
        "StateTransitionedTimestamp": moment(START),
        "MetricName": "Load",
        "Namespace": "Test",
        "Statistic": "Average",
        "Dimensions": [{"Name": "A", "Value": "1"}, {"Name": "B", "Value": "2"}],
        "Period": 60,
        "Unit": "Percent",
        "EvaluationPeriods": 3,
        "DatapointsToAlarm": 2,
        "Threshold": 50.0,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "breaching",
    }


def test_an_alarm_on_a_percentile(world: World) -> None:
    world.put_alarm(Statistic=None, ExtendedStatistic="p99", EvaluateLowSampleCountPercentile="ignore")
    (shown,) = world.call("DescribeAlarms")["MetricAlarms"]
    assert (shown["ExtendedStatistic"], shown["EvaluateLowSampleCountPercentile"]) == ("p99", "ignore")
    assert "Statistic" not in shown


def test_an_update_replaces_the_configuration_and_keeps_the_state(world: World) -> None:
    world.put_alarm(AlarmDescription="first", Tags=[{"Key": "a", "Value": "1"}])
    for age in (1, 2, 3):
        world.measure(80.0, START - 60 * age)
    world.settle()
    world.now = START + 5
    world.put_alarm(Threshold=60.0, Tags=[{"Key": "b", "Value": "2"}])
    (shown,) = world.call("DescribeAlarms")["MetricAlarms"]
    assert "AlarmDescription" not in shown
    assert (shown["StateValue"], shown["Threshold"]) == ("ALARM", 60.0)
    assert shown["StateUpdatedTimestamp"] == moment(START)
    assert shown["AlarmConfigurationUpdatedTimestamp"] == moment(START + 5)
    assert world.call("ListTagsForResource", ResourceARN=ARN)["Tags"] == [{"Key": "a", "Value": "1"}]
    world.put_alarm(Threshold=90.0)
    world.settle()
    assert world.alarm().observed.state == "OK"  # evaluated at once, with the new threshold


@pytest.mark.parametrize(
    "change",
    [
        {"Namespace": None},
        {"MetricName": None},
        {"Statistic": None},
        {"ExtendedStatistic": "p90"},
        {"Statistic": None, "ExtendedStatistic": "p101"},
        {"Statistic": None, "ExtendedStatistic": "Average"},
        {"Threshold": None},
        {"ComparisonOperator": None},
        {"ComparisonOperator": "LessThanLowerThreshold"},
        {"Period": None},
        {"EvaluationPeriods": None},
        {"DatapointsToAlarm": 4},
        {"TreatMissingData": "never"},
        {"EvaluateLowSampleCountPercentile": "maybe"},
        {"Dimensions": [{"Name": "A", "Value": "1"}, {"Name": "A", "Value": "2"}]},
        {"AlarmName": "a\nb"},
        {"Tags": [{"Key": "aws:x", "Value": "1"}]},
        {"Tags": [{"Key": "x", "Value": "1"}, {"Key": "x", "Value": "2"}]},
        {"Tags": [{"Key": f"x{number}", "Value": "1"} for number in range(51)]},
    ],
    ids=str,
)
def test_configurations_that_make_no_sense_are_refused(world: World, change: dict[str, Any]) -> None:
    put_refused(world, **change)


@pytest.mark.parametrize("threshold", [float("nan"), float("inf")])
def test_thresholds_are_finite(world: World, threshold: float) -> None:
    put_refused(world, Threshold=threshold)


def test_periods_and_windows_have_their_limits(world: World) -> None:
    for period in (1, 5, 15, 61):
        assert put_refused(world, Period=period) == "Period must be 10, 20, 30 or a multiple of 60"
    assert put_refused(world, Period=60, EvaluationPeriods=1441).startswith(
        "Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400)"
    )
    assert put_refused(world, Period=3600, EvaluationPeriods=169).startswith(
        "Metrics cannot be checked across more than a week (EvaluationPeriods * Period must be <= 604800)"
    )
    for period, periods in ((10, 1), (20, 3), (30, 1), (60, 1440), (3600, 168), (604_800, 1)):
        world.put_alarm(f"{period}", Period=period, EvaluationPeriods=periods)
    assert len(described(world)) == 6


def test_actions_must_be_ones_that_can_be_run(world: World) -> None:
    assert put_refused(world, AlarmActions=["foo"]) == "Invalid arn syntax: foo"
    sns = "arn:aws:sns:us-east-1:123456789012:topic"
    assert sns in put_refused(world, OKActions=[sns])
    group = "arn:aws:autoscaling:us-east-1:123456789012:scalingPolicy:1:autoScalingGroupName/g:policyName/p"
    assert group in put_refused(world, InsufficientDataActions=[group])
    elsewhere = POLICY.replace("us-east-1", "eu-west-1")
    assert put_refused(world, AlarmActions=[elsewhere]) == (
        "Invalid region eu-west-1 specified. Only us-east-1 is supported."
    )
    put_refused(world, AlarmActions=[POLICY.replace("123456789012", "210987654321")])
    put_refused(world, AlarmActions=[POLICY] * 6)
    world.put_alarm(AlarmActions=[POLICY.partition(":createdBy")[0]], OKActions=[POLICY])


def test_what_is_not_served_is_refused_by_name(world: World) -> None:
    base = {"AlarmName": "a", "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold", "Threshold": 1.0}
    math = [{"Id": "e", "Expression": "m", "AccountId": "123456789012"}]
    assert world.refused("PutMetricAlarm", **base, Metrics=math) == ("Unsupported", "Metrics.AccountId")
    assert world.refused("PutMetricAlarm", **base, ThresholdMetricId="e") == ("Unsupported", "ThresholdMetricId")
    contributor = {"AlarmName": "a", "AlarmContributorId": "b"}
    assert world.refused("DescribeAlarmHistory", **contributor) == ("Unsupported", "AlarmContributorId")


def test_no_alarm_has_contributors(world: World) -> None:
    world.put_alarm()
    assert world.call("DescribeAlarmContributors", AlarmName="high") == {"AlarmContributors": []}
    assert world.refused("DescribeAlarmContributors", AlarmName="low") == (
        "ResourceNotFoundException",
        "Unknown alarm: low",
    )
    assert world.refusal_code("DescribeAlarmContributors", AlarmName="high", NextToken="x") == "InvalidNextToken"


def test_alarms_are_found_by_name_prefix_state_and_action(world: World) -> None:
    for name in ("web-low", "api", "web-high"):
        world.put_alarm(name, AlarmActions=[POLICY] if name == "web-high" else None)
    world.call("SetAlarmState", AlarmName="api", StateValue="ALARM", StateReason="test")
    assert described(world) == ["api", "web-high", "web-low"]
    assert described(world, AlarmNames=["web-low", "nothing", "api", "api"]) == ["api", "web-low"]
    assert described(world, AlarmNamePrefix="web-") == ["web-high", "web-low"]
    assert described(world, AlarmNamePrefix="web-l") == ["web-low"]
    assert described(world, AlarmNamePrefix="api") == ["api"]
    assert described(world, AlarmNamePrefix="zoo") == []
    assert described(world, StateValue="ALARM") == ["api"]
    assert described(world, StateValue="INSUFFICIENT_DATA", AlarmNamePrefix="web-l") == ["web-low"]
    assert described(world, AlarmNames=["api", "web-low"], StateValue="ALARM") == ["api"]
    assert described(world, ActionPrefix="arn:aws:autoscaling:") == ["web-high"]
    assert described(world, ActionPrefix="arn:aws:sns:") == []
    assert described(world, AlarmTypes=["MetricAlarm", "CompositeAlarm"]) == ["api", "web-high", "web-low"]
    assert described(world, AlarmTypes=["CompositeAlarm"]) == []
    assert world.refusal_code("DescribeAlarms", AlarmNames=["a"], AlarmNamePrefix="b") == "ValidationError"


@pytest.mark.parametrize("params", [{}, {"AlarmNamePrefix": "a"}, {"StateValue": "INSUFFICIENT_DATA"}], ids=str)
def test_pages_of_alarms_together_are_all_of_them(world: World, params: dict[str, Any]) -> None:
    names = [f"a{number:03}" for number in range(60)]
    for name in names:
        world.put_alarm(name)
    assert described(world, **params) == names[:50]
    assert described(world, AlarmNames=names) == names  # named ones come at once
    for extra in (params, {"AlarmNames": names}):
        found: list[str] = []
        token: dict[str, str] = {}
        for _ in range(4):
            answer = world.call("DescribeAlarms", **extra, MaxRecords=20, **token)
            found += [alarm["AlarmName"] for alarm in answer["MetricAlarms"]]
            if "NextToken" not in answer:
                break
            token = {"NextToken": answer["NextToken"]}
        assert found == names
    for bad in (token["NextToken"], "nonsense"):
        assert world.refusal_code("DescribeAlarms", AlarmNamePrefix="x", NextToken=bad) == "InvalidNextToken"


def test_alarms_are_found_by_their_metric(world: World) -> None:
    host, zone = {"Name": "Host", "Value": "a"}, {"Name": "Zone", "Value": "z"}
    world.put_alarm("plain")
    world.put_alarm("both", Dimensions=[zone, host])
    world.put_alarm("fine", Dimensions=[host, zone], Period=20)
    world.put_alarm("sum", Dimensions=[host, zone], Statistic="Sum", Unit="Count")
    world.put_alarm("p90", Dimensions=[host, zone], Statistic=None, ExtendedStatistic="p90")

    def found(**params: Any) -> list[str]:
        answer = world.call("DescribeAlarmsForMetric", Namespace="Test", MetricName="Load", **params)
        return [alarm["AlarmName"] for alarm in answer["MetricAlarms"]]

    assert found() == ["plain"]
    assert found(Dimensions=[host, zone]) == ["both", "fine", "p90", "sum"]
    assert found(Dimensions=[host]) == []
    assert found(Dimensions=[host, zone], Period=60) == ["both", "p90", "sum"]
    assert found(Dimensions=[host, zone], Statistic="Average") == ["both", "fine"]
    assert found(Dimensions=[host, zone], ExtendedStatistic="p90") == ["p90"]
    assert found(Dimensions=[host, zone], Unit="Count") == ["sum"]
    world.put_alarm("plain", MetricName="Other")
    assert found() == []


def test_a_filter_that_fits_few_looks_at_a_bounded_number_a_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "SCAN_MAX", 3)
    for number in range(10):
        world.put_alarm(f"a{number}", AlarmActions=[POLICY] if number in (1, 8) else None)
    found: list[list[str]] = []
    token: dict[str, str] = {}
    while True:
        answer = world.call("DescribeAlarms", ActionPrefix="arn:", **token)
        found.append([alarm["AlarmName"] for alarm in answer["MetricAlarms"]])
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    assert found == [["a1"], [], ["a8"], []]


# -- DeleteAlarms


def test_alarms_that_exist_are_deleted_and_their_history_stays(world: World) -> None:
    for name in ("a", "b", "c"):
        world.put_alarm(name)
    world.now = START + 5
    world.call("DeleteAlarms", AlarmNames=["a", "nothing", "b"])
    assert described(world) == ["c"]
    assert history(world, AlarmName="a") == [
        ("ConfigurationUpdate", 'Alarm "a" deleted'),
        ("ConfigurationUpdate", 'Alarm "a" created'),
    ]
    code, text = world.refused("DeleteAlarms", AlarmNames=["nothing"])
    assert (code, "nothing" in text) == ("ResourceNotFound", True)
    code, _ = world.refused("DeleteAlarms", AlarmNames=[f"n{number}" for number in range(101)])
    assert code == "ValidationError"


# -- SetAlarmState


def test_a_state_can_be_set_until_the_next_evaluation(world: World) -> None:
    world.put_alarm(AlarmActions=[POLICY])
    for age in (1, 2, 3):
        world.measure(20.0, START - 60 * age)
    world.settle()
    world.now = START + 30
    data = json.dumps({"recentDatapoints": [91.5]})
    world.call("SetAlarmState", AlarmName="high", StateValue="ALARM", StateReason="drill", StateReasonData=data)
    world.settle()
    (shown,) = world.call("DescribeAlarms")["MetricAlarms"]
    assert (shown["StateValue"], shown["StateReason"], shown["StateReasonData"]) == ("ALARM", "drill", data)
    assert shown["StateTransitionedTimestamp"] == moment(START + 30)
    seen = world.alarm().observed
    assert (seen.actions_at, seen.newest_value) == (START + 30, 91.5)
    world.now = START + 60
    world.stepper.next_wake()
    world.settle()
    assert world.alarm().observed.state == "OK"
    assert history(world, AlarmName="high", HistoryItemType="StateUpdate") == [
        ("StateUpdate", "Alarm updated from ALARM to OK"),
        ("StateUpdate", "Alarm updated from OK to ALARM"),
        ("StateUpdate", "Alarm updated from INSUFFICIENT_DATA to OK"),
    ]


def test_setting_the_same_state_is_no_transition(world: World) -> None:
    world.put_alarm()
    world.now = START + 5
    world.call("SetAlarmState", AlarmName="high", StateValue="INSUFFICIENT_DATA", StateReason="drill")
    (shown,) = world.call("DescribeAlarms")["MetricAlarms"]
    assert (shown["StateReason"], shown["StateTransitionedTimestamp"]) == ("drill", moment(START))
    assert history(world, HistoryItemType="StateUpdate") == []


def test_setting_the_same_state_runs_no_actions(world: World) -> None:
    world.put_alarm(AlarmActions=[POLICY])
    world.call("SetAlarmState", AlarmName="high", StateValue="ALARM", StateReason="drill")
    world.settle()
    world.now = START + 5
    world.call("SetAlarmState", AlarmName="high", StateValue="ALARM", StateReason="drill again")
    world.settle()
    assert world.alarm().observed.actions_at == START
    assert [kind for kind, _ in history(world)].count("Action") == 1


def test_states_of_no_alarm_and_data_of_no_json_are_refused(world: World) -> None:
    wanted = {"AlarmName": "high", "StateValue": "OK", "StateReason": "drill"}
    assert world.refusal_code("SetAlarmState", **wanted) == "ResourceNotFound"
    world.put_alarm()
    assert world.refusal_code("SetAlarmState", **wanted, StateReasonData="{") == "InvalidFormat"
    assert world.refusal_code("SetAlarmState", **{**wanted, "StateValue": "FINE"}) == "ValidationError"


# -- DescribeAlarmHistory


def a_day(world: World) -> None:
    """Created at START, to ALARM at +60, OK at +120, updated at +180; another alarm at +240."""
    world.put_alarm(AlarmActions=[POLICY])
    for offset, state in ((60, "ALARM"), (120, "OK")):
        world.now = START + offset
        world.call("SetAlarmState", AlarmName="high", StateValue=state, StateReason="drill")
        world.settle()
    world.now = START + 180
    world.put_alarm(Threshold=1.0, AlarmActions=[POLICY])
    world.now = START + 240
    world.put_alarm("other")
    world.now = START + 300


CREATED = ("ConfigurationUpdate", 'Alarm "high" created')
TO_ALARM = ("StateUpdate", "Alarm updated from INSUFFICIENT_DATA to ALARM")
ACTION = ("Action", f"Successfully executed action {POLICY}")
TO_OK = ("StateUpdate", "Alarm updated from ALARM to OK")
UPDATED = ("ConfigurationUpdate", 'Alarm "high" updated')
OTHER = ("ConfigurationUpdate", 'Alarm "other" created')
WHOLE = [OTHER, UPDATED, TO_OK, ACTION, TO_ALARM, CREATED]


def test_history_is_told_newest_first_and_can_be_filtered(world: World) -> None:
    a_day(world)
    assert history(world) == WHOLE
    assert history(world, ScanBy="TimestampAscending") == WHOLE[::-1]
    assert history(world, AlarmName="high") == WHOLE[1:]
    assert history(world, AlarmName="nothing") == []
    assert history(world, HistoryItemType="Action") == [ACTION]
    assert history(world, StartDate=START + 120) == [OTHER, UPDATED, TO_OK]
    assert history(world, EndDate=START + 60) == [ACTION, TO_ALARM, CREATED]
    within = {"StartDate": START + 60, "EndDate": START + 120}
    assert history(world, **within) == [TO_OK, ACTION, TO_ALARM]
    assert history(world, **within, ScanBy="TimestampAscending") == [TO_ALARM, ACTION, TO_OK]
    assert history(world, AlarmTypes=["CompositeAlarm"]) == []
    assert history(world, AlarmTypes=["MetricAlarm"]) == WHOLE


@pytest.mark.parametrize("scan_by", ["TimestampAscending", "TimestampDescending"])
def test_pages_of_history_together_are_the_whole(world: World, scan_by: str) -> None:
    a_day(world)
    found: list[tuple[str, str]] = []
    token: dict[str, str] = {}
    for _ in range(3):
        answer = world.call("DescribeAlarmHistory", ScanBy=scan_by, MaxRecords=2, **token)
        found += [(item["HistoryItemType"], item["HistorySummary"]) for item in answer["AlarmHistoryItems"]]
        token = {"NextToken": answer["NextToken"]} if "NextToken" in answer else {}
    assert token == {}
    assert found == (WHOLE if scan_by == "TimestampDescending" else WHOLE[::-1])
    assert world.refusal_code("DescribeAlarmHistory", NextToken="nonsense") == "InvalidNextToken"


def test_the_history_holds_the_configuration(world: World) -> None:
    world.put_alarm(AlarmDescription="too much")
    (item,) = world.call("DescribeAlarmHistory")["AlarmHistoryItems"]
    data = json.loads(item["HistoryData"])
    assert (data["version"], data["type"]) == ("1.0", "Create")
    assert data["createdAlarm"]["alarmArn"] == ARN
    assert data["createdAlarm"]["alarmDescription"] == "too much"
    assert (item["AlarmType"], item["Timestamp"]) == ("MetricAlarm", moment(START))


def test_history_data_of_large_alarms_fit(world: World) -> None:
    long = POLICY.replace("policyName/cpu", "policyName/" + "x" * 800)
    dimensions = [{"Name": f"{number:0255}", "Value": "v" * 1000} for number in range(30)]
    world.put_alarm("small", AlarmActions=[long] * 5, AlarmDescription="d" * 1000)
    world.put_alarm("large", AlarmActions=[long] * 5, AlarmDescription="d" * 1000, Dimensions=dimensions)
    for name in ("small", "large"):
        (item,) = world.call("DescribeAlarmHistory", AlarmName=name)["AlarmHistoryItems"]
        assert len(item["HistoryData"]) <= 4095
        assert json.loads(item["HistoryData"])["createdAlarm"]["alarmName"] == name
    stored = world.alarm("large").spec
    assert metrics.metric("Test", "Load", stored.dimensions).dimensions == stored.dimensions


# -- actions on and off, tags


def test_actions_can_be_switched(world: World) -> None:
    world.put_alarm()
    world.call("DisableAlarmActions", AlarmNames=["high", "nothing"])
    assert world.call("DescribeAlarms")["MetricAlarms"][0]["ActionsEnabled"] is False
    revision = world.store.revision
    world.call("DisableAlarmActions", AlarmNames=["high"])
    assert world.store.revision == revision
    world.call("EnableAlarmActions", AlarmNames=["high"])
    assert world.call("DescribeAlarms")["MetricAlarms"][0]["ActionsEnabled"] is True
    assert sorted(history(world)) == sorted([UPDATED, UPDATED, CREATED])


def test_alarms_have_tags(world: World) -> None:
    world.put_alarm(Tags=[{"Key": "team", "Value": "web"}])
    world.call("TagResource", ResourceARN=ARN, Tags=[{"Key": "team", "Value": "api"}, {"Key": "stage", "Value": "x"}])
    tags = {tag["Key"]: tag["Value"] for tag in world.call("ListTagsForResource", ResourceARN=ARN)["Tags"]}
    assert tags == {"team": "api", "stage": "x"}
    world.call("UntagResource", ResourceARN=ARN, TagKeys=["team", "nothing"])
    assert world.call("ListTagsForResource", ResourceARN=ARN)["Tags"] == [{"Key": "stage", "Value": "x"}]
    unknown = ARN.replace("high", "nothing")
    assert world.refusal_code("ListTagsForResource", ResourceARN=unknown) == "ResourceNotFoundException"
    assert world.refusal_code("ListTagsForResource", ResourceARN=f"{ARN}".replace("alarm:", "dashboard/")) == (
        "InvalidParameterValue"
    )
