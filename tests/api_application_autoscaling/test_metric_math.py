"""Target tracking on metric math: what is taken, what the alarms watch, what is shown (behaviour.md 1.3.1, 1.3.2)."""

from __future__ import annotations

from typing import Any

import pytest

from roadstead.model import alarms, scaling


def stat(query_id: str, name: str, **more: Any) -> dict[str, Any]:
    dimensions = [{"Name": "QueueName", "Value": "my-queue"}]
    metric = {"MetricName": name, "Namespace": "AWS/SQS", "Dimensions": dimensions}
    return {"Id": query_id, "MetricStat": {"Metric": metric, "Stat": "Sum"}, "ReturnData": False, **more}


BACKLOG: list[dict[str, Any]] = [
    stat("m1", "ApproximateNumberOfMessagesVisible", Label="Get the queue size"),
    stat("m2", "RunningTaskCount"),
    {"Id": "e1", "Expression": "m1 / m2", "Label": "Backlog per task", "ReturnData": True},
]


def put(world: Any, queries: Any = BACKLOG, name: str = "backlog", **more: Any) -> Any:
    return world.on_web(
        "PutScalingPolicy",
        PolicyName=name,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 100.0,
            "CustomizedMetricSpecification": {"Metrics": queries},
            **more,
        },
    )


def refused(world: Any, *queries: dict[str, Any], **more: Any) -> str:
    customized = {"Metrics": list(queries), **more}
    code, text = world.refused(
        "PutScalingPolicy",
        PolicyName="p",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={"TargetValue": 1.0, "CustomizedMetricSpecification": customized},
    )
    assert code == "ValidationException"
    return str(text)


@pytest.mark.rule("1.3.2#metric math", "1.3.1#period")
def test_both_alarms_watch_the_metric_math(registered: Any) -> None:
    answer = put(registered)
    high, low = (registered.get(alarms.MetricAlarm, one["AlarmName"]).spec for one in answer["Alarms"])
    dimensions = (("QueueName", "my-queue"),)

    def of(name: str) -> alarms.MetricStat:
        return alarms.MetricStat(
            namespace="AWS/SQS", metric_name=name, dimensions=dimensions, statistic="Sum", period_seconds=60
        )

    queries = (
        alarms.MetricQuery(
            id="m1", stat=of("ApproximateNumberOfMessagesVisible"), label="Get the queue size", return_data=False
        ),
        alarms.MetricQuery(id="m2", stat=of("RunningTaskCount"), return_data=False),
        alarms.MetricQuery(id="e1", expression="m1 / m2", period_seconds=60, label="Backlog per task"),
    )
    assert high.metrics == low.metrics == queries
    for spec in (high, low):
        assert (spec.namespace, spec.metric_name, spec.statistic, spec.unit, spec.period_seconds) == (
            None, None, None, None, 60,
        )  # fmt: skip
    assert (high.comparison_operator, high.threshold, high.evaluation_periods) == ("GreaterThanThreshold", 100.0, 3)
    assert (low.comparison_operator, low.threshold, low.evaluation_periods) == ("LessThanThreshold", 90.0, 15)


def test_what_was_put_is_shown_and_kept_by_an_update(registered: Any) -> None:
    put(registered)
    put_again = {"TargetValue": 50.0, "DisableScaleIn": True}
    for wanted in ({"TargetValue": 100.0}, put_again):
        registered.on_web(
            "PutScalingPolicy",
            PolicyName="backlog",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=wanted,
        )
        (shown,) = registered.call("DescribeScalingPolicies", ServiceNamespace="ecs")["ScalingPolicies"]
        configuration = shown["TargetTrackingScalingPolicyConfiguration"]
        assert configuration["CustomizedMetricSpecification"] == {"Metrics": BACKLOG}
        assert configuration["TargetValue"] == wanted["TargetValue"]
        (name, *_) = (one["AlarmName"] for one in shown["Alarms"])
        assert [query.id for query in registered.get(alarms.MetricAlarm, name).spec.metrics] == ["m1", "m2", "e1"]


@pytest.mark.rule("1.3.1#metrics")
def test_return_data_is_true_where_it_is_not_given(registered: Any) -> None:
    alone = stat("m1", "Depth")
    del alone["ReturnData"]
    put(registered, [alone])
    (shown,) = registered.call("DescribeScalingPolicies", ServiceNamespace="ecs")["ScalingPolicies"]
    (query,) = shown["TargetTrackingScalingPolicyConfiguration"]["CustomizedMetricSpecification"]["Metrics"]
    assert query == {**alone, "ReturnData": True}


def test_the_same_metric_math_is_tracked_once(registered: Any) -> None:
    put(registered)
    code, text = registered.refused(
        "PutScalingPolicy",
        PolicyName="other",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 5.0,
            "CustomizedMetricSpecification": {"Metrics": BACKLOG},
        },
    )
    assert (code, "given metric specification" in text) == ("ValidationException", True)
    put(registered, [*BACKLOG[:2], {**BACKLOG[2], "Expression": "m1 / m2 + 1"}], name="other")


@pytest.mark.rule("1.3.1#metrics")
def test_metric_math_that_no_alarm_can_watch_is_refused(registered: Any) -> None:
    m1, m2, e1 = BACKLOG
    assert refused(registered, m1, m2) == "Exactly one element of the metrics list should return data."
    assert refused(registered, m1, m2, {**m1, "Id": "m3", "ReturnData": True}, e1) == (
        "Exactly one element of the metrics list should return data."
    )
    assert refused(registered, m1, m1, m2, e1) == "The values for parameter id in Metrics are not unique."
    assert refused(registered, m1, e1) == "Error in expression 'e1': Undefined variable 'm2'"
    assert refused(registered, {"Id": "e1", "Expression": "SUM(SEARCH('x', 'Sum', 60))"}) == (
        "SEARCH is not supported on Metric Alarms."
    )
    assert refused(registered, m1, {"Id": "e1", "Expression": "AVG(m1)"}).startswith(
        "Error in expression 'e1': The result"
    )
    many = [stat(f"m{number}", f"n{number}") for number in range(11)]
    assert "more than 10" in refused(registered, *many, {"Id": "e1", "Expression": "SUM(METRICS())"})
    assert "50 KB" in refused(registered, *(stat(f"m{number}", "x" * 255) for number in range(400)))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"Id": "M1"}, "The metric query Id M1 is not valid"),
        ({"Expression": "1"}, "The metric query m1 must have either Expression or MetricStat, but not both."),
        ({"MetricStat": None}, "The metric query m1 must have either Expression or MetricStat, but not both."),
        ({"Label": "${MAX}"}, "This server does not support dynamic labels yet: the Label of m1 has '${'."),
        ({"MetricStat": {"Metric": {"MetricName": "x"}, "Stat": "Sum"}}, "The metric of the metric query m1 needs"),
        (
            {"MetricStat": {"Metric": {"MetricName": "x", "Namespace": "y"}, "Stat": "Most"}},
            "The Stat Most of the metric query m1 is not supported.",
        ),
    ],
)
@pytest.mark.rule("1.3.1#metrics")
def test_bad_queries_are_refused(registered: Any, change: dict[str, Any], text: str) -> None:
    query = {name: value for name, value in {**stat("m1", "x"), **change}.items() if value is not None}
    assert refused(registered, query).startswith(text)


def test_dimensions_stand_once(registered: Any) -> None:
    twice = stat("m1", "x", ReturnData=True)
    twice["MetricStat"]["Metric"]["Dimensions"] = [{"Name": "a", "Value": "1"}, {"Name": "a", "Value": "2"}]
    assert refused(registered, twice) == "The metric query m1 has a dimension more than once."


@pytest.mark.parametrize(
    "member",
    [
        {"MetricName": "x"},
        {"Namespace": "x"},
        {"Statistic": "Sum"},
        {"Unit": "Count"},
        {"Dimensions": [{"Name": "a", "Value": "1"}]},
    ],
)
def test_metrics_and_one_metric_exclude_each_other(registered: Any, member: dict[str, Any]) -> None:
    (name,) = member
    text = f"CustomizedMetricSpecification can not have both Metrics and {name}."
    assert refused(registered, *BACKLOG, **member) == text


def test_what_is_tracked_has_a_name() -> None:
    expression = alarms.MetricQuery(id="e1", expression="m1 / 2", period_seconds=60)
    part = alarms.MetricQuery(
        id="m1",
        stat=alarms.MetricStat(namespace="N", metric_name="Depth", statistic="Sum", period_seconds=60),
        return_data=False,
    )
    named = alarms.MetricQuery(id="e1", expression="m1 / 2", period_seconds=60, label="Half")
    alone = alarms.MetricQuery(id="m1", stat=part.stat)
    found = [scaling.TargetTracking(target_value=1.0, metrics=each).metric_name for each in (
        (part, expression), (part, named), (alone,),
    )]  # fmt: skip
    assert found == ["m1 / 2", "Half", "Depth"]
