"""Predictive scaling over the wire: what a policy may be, how it is shown, its forecast (behaviour.md 1.6)."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from roadstead.control import predictive_metrics
from roadstead.model import predictive, scaling
from roadstead.signals import metrics
from roadstead.state import plan

INVALID = "ValidationException"
HOUR = 3600.0
PAIR = {"PredefinedMetricPairSpecification": {"PredefinedMetricType": "ECSServiceCPUUtilization"}}
CONFIGURATION = "PredictiveScalingPolicyConfiguration"
RESOURCE = "service/default/web"
KEY = "ecs|service/default/web|ecs:service:DesiredCount|p"
LABEL = "app/lb/1234/targetgroup/tg/5678"


def wanted(specification: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"MetricSpecifications": [specification or {"TargetValue": 60.0, **PAIR}], **more}


def put(world: Any, configuration: dict[str, Any], name: str = "p") -> Any:
    return world.on_web(
        "PutScalingPolicy", PolicyName=name, PolicyType="PredictiveScaling", **{CONFIGURATION: configuration}
    )


def refused(world: Any, configuration: dict[str, Any] | None) -> tuple[str, str]:
    given = {} if configuration is None else {CONFIGURATION: configuration}
    found: tuple[str, str] = world.refused("PutScalingPolicy", PolicyName="p", PolicyType="PredictiveScaling", **given)
    return found


def shown(world: Any) -> dict[str, Any]:
    (found,) = world.call("DescribeScalingPolicies", ServiceNamespace="ecs")["ScalingPolicies"]
    return dict(found)


def one_metric(name: str = "m", **more: Any) -> dict[str, Any]:
    stat = {"Metric": {"Namespace": "App", "MetricName": "Jobs", "Dimensions": [{"Name": "q", "Value": "1"}]}}
    return {"MetricDataQueries": [{"Id": name, "MetricStat": {**stat, "Stat": "Sum"}, **more}]}


@pytest.mark.rule("1.6#policy", "1.6#mode", "1.2#1")
def test_a_policy_is_put_and_shown_with_its_defaults(registered: Any) -> None:
    answer = put(registered, wanted())
    assert answer["Alarms"] == []
    assert answer["PolicyARN"].endswith(":resource/ecs/service/default/web:policyName/p")
    found = shown(registered)
    assert found["PolicyType"] == "PredictiveScaling" and "Alarms" not in found
    assert found[CONFIGURATION] == {
        "MetricSpecifications": [{"TargetValue": 60.0, **PAIR}],
        "Mode": "ForecastOnly",
        "SchedulingBufferTime": 300,
        "MaxCapacityBreachBehavior": "HonorMaxCapacity",
    }


@pytest.mark.rule("1.6#policy", "1.6#breach")
def test_everything_that_is_given_is_shown_again(registered: Any) -> None:
    expression = [
        {"Id": "a", "MetricStat": {"Metric": {"Namespace": "N", "MetricName": "A"}, "Stat": "Average"}},
        {"Id": "b", "Expression": "a * 2", "Label": "twice"},
    ]
    expression[0]["ReturnData"] = False
    specification = {
        "TargetValue": 5.5,
        "CustomizedLoadMetricSpecification": one_metric(),
        "CustomizedScalingMetricSpecification": {"MetricDataQueries": expression},
        "CustomizedCapacityMetricSpecification": one_metric("c"),
    }
    more = {"MaxCapacityBreachBehavior": "IncreaseMaxCapacity", "MaxCapacityBuffer": 10}
    given = wanted(specification, Mode="ForecastAndScale", SchedulingBufferTime=3600, **more)
    put(registered, given)
    found = shown(registered)[CONFIGURATION]
    for role in ("Load", "Scaling", "Capacity"):
        for query in found["MetricSpecifications"][0][f"Customized{role}MetricSpecification"]["MetricDataQueries"]:
            if query["ReturnData"]:
                del query["ReturnData"]  # the default
            stat = query.get("MetricStat")
            if stat is not None and not stat["Metric"]["Dimensions"]:
                del stat["Metric"]["Dimensions"]
    assert found == given


@pytest.mark.rule("1.6#types")
def test_predefined_load_and_scaling_metrics_one_by_one(registered: Any) -> None:
    specification = {
        "TargetValue": 60.0,
        "PredefinedLoadMetricSpecification": {"PredefinedMetricType": "ECSServiceTotalMemoryUtilization"},
        "PredefinedScalingMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageMemoryUtilization"},
    }
    put(registered, wanted(specification))
    assert shown(registered)[CONFIGURATION]["MetricSpecifications"] == [specification]


LOAD = {"PredefinedLoadMetricSpecification": {"PredefinedMetricType": "ECSServiceTotalCPUUtilization"}}
SCALING = {"PredefinedScalingMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}}
MIXED_UP = {"PredefinedLoadMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}}
TWO = {"MetricDataQueries": [*one_metric("a")["MetricDataQueries"], *one_metric("b")["MetricDataQueries"]]}
ELEVEN = {"MetricDataQueries": [{"Id": f"e{n}", "Expression": "TIME_SERIES(1)"} for n in range(11)]}


@pytest.mark.parametrize(
    ("configuration", "text"),
    [
        (None, "PredictiveScalingPolicyConfiguration is required"),
        ({"MetricSpecifications": []}, "Exactly one metric specification"),
        ({"MetricSpecifications": [{"TargetValue": 6.0, **PAIR}] * 2}, "Exactly one metric specification"),
        (wanted({"TargetValue": 0.0, **PAIR}), "TargetValue must be greater than 0"),
        (wanted({"TargetValue": 60.0}), "Either PredefinedMetricPairSpecification, or a load metric"),
        (wanted({"TargetValue": 60.0, **PAIR, **LOAD, **SCALING}), "Either PredefinedMetricPairSpecification, or"),
        (wanted({"TargetValue": 60.0, **LOAD}), "A load metric and a scaling metric must be specified together."),
        (wanted({"TargetValue": 60.0, **SCALING}), "A load metric and a scaling metric must be specified together."),
        (
            wanted({"TargetValue": 60.0, **PAIR, "CustomizedCapacityMetricSpecification": one_metric()}),
            "PredefinedMetricPairSpecification can not be specified together with other metrics.",
        ),
        (
            wanted({"TargetValue": 60.0, **LOAD, **SCALING, "CustomizedCapacityMetricSpecification": one_metric()}),
            "CustomizedCapacityMetricSpecification can only be specified with CustomizedScalingMetricSpecification.",
        ),
        (
            wanted({"TargetValue": 60.0, **LOAD, "CustomizedLoadMetricSpecification": one_metric(), **SCALING}),
            "Only one of PredefinedLoadMetricSpecification and CustomizedLoadMetricSpecification",
        ),
        (
            wanted({"TargetValue": 60.0, **MIXED_UP, **SCALING}),
            "The predefined metric type ECSServiceAverageCPUUtilization can not be used in",
        ),
        (
            wanted({"TargetValue": 60.0, "CustomizedLoadMetricSpecification": {"MetricDataQueries": []}, **SCALING}),
            "CustomizedLoadMetricSpecification needs MetricDataQueries.",
        ),
        (
            wanted({"TargetValue": 60.0, "CustomizedLoadMetricSpecification": TWO, **SCALING}),
            "Exactly one element of MetricDataQueries should return data.",
        ),
        (
            wanted({"TargetValue": 60.0, "CustomizedLoadMetricSpecification": ELEVEN, **SCALING}),
            "A metric specification can have at most 10 metrics and expressions.",
        ),
        (wanted(MaxCapacityBuffer=10), "MaxCapacityBuffer can only be specified if"),
        (wanted(MaxCapacityBreachBehavior="IncreaseMaxCapacity"), "MaxCapacityBuffer must be specified if"),
        (
            wanted({"TargetValue": 60.0, "PredefinedMetricPairSpecification": {"PredefinedMetricType": "x"}}),
            "The predefined metric type x can not be used in PredefinedMetricPairSpecification: use one of "
            "ALBRequestCount, ECSServiceCPUUtilization, ECSServiceMemoryUtilization.",
        ),
    ],
)
@pytest.mark.rule("1.6#policy", "1.6#buffer", "1.6#breach")
def test_what_a_predictive_policy_may_not_be(registered: Any, configuration: Any, text: str) -> None:
    code, found = refused(registered, configuration)
    assert (code, found[: len(text)]) == (INVALID, text)


@pytest.mark.parametrize(
    "configuration",
    [
        wanted(SchedulingBufferTime=3601),
        wanted(Mode="Sometimes"),
        wanted(MaxCapacityBreachBehavior="Whatever"),
        wanted(MaxCapacityBreachBehavior="IncreaseMaxCapacity", MaxCapacityBuffer=101),
    ],
)
@pytest.mark.rule("1.6#types")
def test_what_the_model_does_not_allow_is_refused(registered: Any, configuration: Any) -> None:
    assert refused(registered, configuration)[0] == INVALID


@pytest.mark.parametrize(
    ("label", "text"),
    [
        (None, "Resource label should be specified for predefined metric type ALBRequestCount"),
        ("x", "Invalid resource label 'x' for predefined metric type ALBRequestCount"),
        (LABEL, f"Target group targetgroup/tg/5678 is not attached to resource {RESOURCE}"),
    ],
)
def test_a_balancers_metrics_need_a_balancer(registered: Any, label: str | None, text: str) -> None:
    named = {"PredefinedMetricType": "ALBRequestCount"} | ({"ResourceLabel": label} if label else {})
    given = wanted({"TargetValue": 60.0, "PredefinedMetricPairSpecification": named})
    assert refused(registered, given) == (INVALID, text)


@pytest.mark.rule("1.6#role")
def test_a_target_with_a_role_of_its_own_can_not_have_a_predictive_policy(registered: Any) -> None:
    role = "arn:aws:iam::000000000000:role/mine"
    registered.on_web("RegisterScalableTarget", RoleARN=role)
    code, text = refused(registered, wanted())
    assert code == INVALID and role in text
    (target,) = registered.call("DescribeScalableTargets", ServiceNamespace="ecs")["ScalableTargets"]
    registered.on_web("RegisterScalableTarget", RoleARN=target["RoleARN"])
    put(registered, wanted())
    assert registered.refused("RegisterScalableTarget", RoleARN=role)[0] == INVALID


def test_an_update_keeps_arn_and_creation_time_and_the_kind_may_be_left_out(registered: Any) -> None:
    before = put(registered, wanted())
    registered.now += 60
    after = registered.on_web("PutScalingPolicy", PolicyName="p", **{CONFIGURATION: wanted(Mode="ForecastAndScale")})
    assert after["PolicyARN"] == before["PolicyARN"]
    found = shown(registered)
    assert found["CreationTime"].timestamp() == 1_000.0 and found[CONFIGURATION]["Mode"] == "ForecastAndScale"


def test_only_ecs_services_are_scaled_by_prediction(world: Any) -> None:
    url = "http://127.0.0.1:8080/scalableTargetDimensions/workers"
    custom = {"ServiceNamespace": "custom-resource", "ResourceId": url}
    custom["ScalableDimension"] = "custom-resource:ResourceType:Property"
    world.call("RegisterScalableTarget", **custom, MinCapacity=1, MaxCapacity=2)
    code, text = world.refused(
        "PutScalingPolicy", **custom, PolicyName="p", PolicyType="PredictiveScaling", **{CONFIGURATION: wanted()}
    )
    dimension = custom["ScalableDimension"]
    assert (code, text) == (INVALID, f"PolicyType PredictiveScaling is not supported for {dimension}.")


def test_another_kinds_configuration_is_refused(registered: Any) -> None:
    code, text = registered.refused(
        "PutScalingPolicy", PolicyName="p", PolicyType="StepScaling", **{CONFIGURATION: wanted()}
    )
    assert (code, text) == (INVALID, f"{CONFIGURATION} can not be specified for StepScaling policies.")


def test_a_policy_is_deleted(registered: Any) -> None:
    put(registered, wanted())
    assert registered.on_web("DeleteScalingPolicy", PolicyName="p") == {}
    assert registered.call("DescribeScalingPolicies", ServiceNamespace="ecs")["ScalingPolicies"] == []


# ---------------------------------------------------------------------------------------------- the forecast


def ask(world: Any, start: float, end: float) -> Any:
    return world.on_web("GetPredictiveScalingForecast", PolicyName="p", StartTime=start, EndTime=end)


def foresee(world: Any, load: tuple[float, ...], begin: float) -> None:
    """A forecast, as if it had just been made."""
    policy = world.get(scaling.ScalingPolicy, KEY)
    newest = predictive.Prediction(asked_at=world.now, begin=begin, load=load, history_hours=24)
    world.put(
        predictive.Forecast(
            namespace="ecs",
            resource_id=RESOURCE,
            dimension="ecs:service:DesiredCount",
            policy_name="p",
            policy_id=policy.policy_id,
            target_key=policy.target_key,
            metrics=policy.predictive_scaling.metrics,
            history=predictive.History(begun_at=world.now, begin=begin),
            asked_at=world.now,
            answer=newest,
            newest=newest,
        )
    )


@pytest.fixture
def foreseen(registered: Any) -> Any:
    """A policy whose forecast has 48 hours from 36,000 on: 60, 120, 180 …"""
    registered.now = 10 * HOUR + 100
    put(registered, wanted())
    foresee(registered, tuple(60.0 * n for n in range(1, 49)), 10 * HOUR)
    return registered


@pytest.mark.rule("1.6#forecast")
def test_the_forecast_has_load_and_capacity_of_each_hour(foreseen: Any) -> None:
    found = ask(foreseen, 10 * HOUR, 13 * HOUR)
    (load,) = found["LoadForecast"]
    assert [moment.timestamp() for moment in load["Timestamps"]] == [10 * HOUR, 11 * HOUR, 12 * HOUR]
    assert load["Values"] == [60.0, 120.0, 180.0]
    assert load["MetricSpecification"] == {"TargetValue": 60.0, **PAIR}
    assert found["CapacityForecast"]["Values"] == [1.0, 2.0, 3.0]
    assert found["CapacityForecast"]["Timestamps"] == load["Timestamps"]
    assert found["UpdateTime"] == datetime.datetime.fromtimestamp(10 * HOUR + 100, datetime.UTC)


def test_start_is_inclusive_and_end_exclusive(foreseen: Any) -> None:
    found = ask(foreseen, 10 * HOUR + 1, 12 * HOUR)
    assert found["CapacityForecast"]["Values"] == [2.0]
    assert len(ask(foreseen, 0, 100 * HOUR)["CapacityForecast"]["Values"]) == 48


def test_hours_that_have_begun_stay_as_they_were_expected(foreseen: Any) -> None:
    data = tuple(
        metrics.Datum(
            metric=predictive_metrics.forecast_metric(name, RESOURCE, "p"), timestamp=10 * HOUR, values=(value,)
        )
        for name, value in (("LoadForecast", 66.0), ("CapacityForecast", 7.0))
    )
    foreseen.store.commit(plan.Plan(data=data), foreseen.now)
    found = ask(foreseen, 10 * HOUR, 12 * HOUR)
    assert found["LoadForecast"][0]["Values"] == [66.0, 120.0]
    assert found["CapacityForecast"]["Values"] == [7.0, 2.0]


def test_before_the_first_forecast_nothing_is_known(registered: Any) -> None:
    put(registered, wanted())
    found = ask(registered, 0, HOUR)
    assert found["LoadForecast"][0]["Values"] == [] and found["CapacityForecast"]["Values"] == []
    assert "UpdateTime" not in found


@pytest.mark.rule("1.1#11")
def test_predicted_capacity_stands_in_the_target(foreseen: Any) -> None:
    foreseen.now += HOUR
    (target,) = foreseen.call("DescribeScalableTargets", ServiceNamespace="ecs")["ScalableTargets"]
    assert target["PredictedCapacity"] == 2


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        (HOUR, HOUR, "EndTime must be after StartTime."),
        (0, 30 * 24 * HOUR + 1, "The time between StartTime and EndTime can be at most 30 days."),
        (-366 * 24 * HOUR, 0, "StartTime can be at most one year before the current time."),
    ],
)
@pytest.mark.rule("1.6#forecast")
def test_which_times_can_not_be_asked_for(registered: Any, start: float, end: float, text: str) -> None:
    put(registered, wanted())
    registered.now = 400 * 24 * HOUR
    base = registered.now if start >= 0 else registered.now - 1
    found = registered.refused(
        "GetPredictiveScalingForecast", PolicyName="p", StartTime=base + start, EndTime=base + end
    )
    assert found == (INVALID, text)


def test_only_predictive_policies_have_a_forecast(registered: Any) -> None:
    code, text = registered.refused("GetPredictiveScalingForecast", PolicyName="p", StartTime=0, EndTime=HOUR)
    assert (code, text) == (INVALID, f"No predictive scaling policy p found for {RESOURCE}.")
