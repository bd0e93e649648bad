"""Predictive scaling over a store, a story a rule (behaviour.md 1.6, 1.1.11, 1.2)."""

from __future__ import annotations

import math
from typing import Any

import pytest
import scaling_world
from predictive_stories import CPU, DAY, HOUR, START, changes, daily, flat, forecast, make, measure, put, track

from roadstead.api.application_autoscaling import operations
from roadstead.model import predictive, scaling
from roadstead.signals import metrics
from roadstead.state import plan

# ---------------------------------------------------------------------------------------------- the forecast


@pytest.mark.rule("1.6#history")
def test_less_than_24_hours_of_data_give_no_forecast_yet() -> None:
    world = make(hours=23)
    put(world)
    assert forecast(world).newest is None and forecast(world).history.known == 23
    assert "PredictedCapacity" not in world.ask_targets()


def test_the_24th_hour_of_data_brings_the_first_forecast_at_once() -> None:
    world = make(hours=23)
    put(world)
    measure(world, flat, START, START + HOUR)
    world.run(START + HOUR)
    newest = forecast(world).newest
    assert newest is not None and newest.asked_at == START + HOUR and newest.history_hours == 24


@pytest.mark.rule("1.6#history")
def test_a_forecast_has_48_hours_from_the_present_one_on() -> None:
    world = make(at=START + 1800, hours=72)
    put(world)
    newest = forecast(world).newest
    assert newest is not None and newest.begin == START and len(newest.load) == 48


@pytest.mark.rule("1.6#history")
def test_at_most_14_days_of_history_count() -> None:
    world = make(load=lambda moment: 6000.0 if moment < START - 14 * DAY else 600.0, hours=20 * 24)
    put(world)
    newest = forecast(world).newest
    assert newest is not None and newest.history_hours == 14 * 24
    assert newest.load == pytest.approx([600.0] * 48, rel=0.01)


def test_the_load_is_what_all_tasks_use_together() -> None:
    """Ten tasks at 60 % and six at 100 % are the same load."""
    world = scaling_world.World(start=START)
    measure(world, flat, START - 48 * HOUR, START - 24 * HOUR, tasks=10)
    measure(world, flat, START - 24 * HOUR, START, tasks=6)
    put(world)
    assert forecast(world).history.load == pytest.approx([600.0] * 48)


def test_20_second_metrics_give_the_same_load() -> None:
    world = scaling_world.World(start=START)
    measure(world, flat, START - 48 * HOUR, START - HOUR)
    data = [
        metrics.Datum(
            metric=CPU,
            timestamp=START - HOUR + second,
            values=(60.0,),
            counts=(10.0,),
            unit="Percent",
            storage_resolution_seconds=1,
        )
        for second in range(0, HOUR, 20)
    ]
    world.store.commit(plan.Plan(data=tuple(data)), world.now)
    put(world)
    assert forecast(world).history.load == pytest.approx([600.0] * 48)


@pytest.mark.rule("1.6#history")
def test_a_forecast_is_made_anew_every_six_hours() -> None:
    world = make()
    put(world)
    made = []
    for hour in range(1, 14):
        measure(world, flat, START + (hour - 1) * HOUR, START + hour * HOUR)
        world.run(START + hour * HOUR)
        newest = forecast(world).newest
        assert newest is not None
        made.append((newest.asked_at - START) / HOUR)
    assert sorted(set(made)) == [0, 6, 12]


def test_data_points_that_came_late_are_in_the_next_days_forecast() -> None:
    world = make(hours=48)
    put(world)
    assert forecast(world).history.known == 48
    measure(world, flat, START - 96 * HOUR, START - 48 * HOUR)
    world.run(START + 25 * HOUR)
    assert forecast(world).history.known == 96


def test_the_error_is_how_far_yesterday_was_from_its_forecast() -> None:
    steady = make(hours=72)
    put(steady)
    newest = forecast(steady).newest
    assert newest is not None and newest.error_percent == pytest.approx(0.0, abs=0.5)
    doubled = make(load=lambda moment: 1200.0 if moment >= START - DAY else 600.0, hours=72)
    put(doubled)
    newest = forecast(doubled).newest
    assert newest is not None and newest.error_percent == pytest.approx(50.0, abs=1.0)


def test_a_policy_that_is_deleted_takes_its_forecast_with_it() -> None:
    world = make()
    put(world)
    world.ask("DeleteScalingPolicy", PolicyName="foresee")
    assert world.get(predictive.Forecast, f"{scaling_world.KEY}|foresee") is None


def test_other_metrics_begin_the_forecast_anew() -> None:
    world = make()
    put(world)
    pair = {"PredefinedMetricPairSpecification": {"PredefinedMetricType": "ECSServiceMemoryUtilization"}}
    put(world, metrics=pair)
    assert forecast(world).newest is None and forecast(world).history.known == 0


# ---------------------------------------------------------------------------------------------- acting


@pytest.mark.rule("1.6#mode")
def test_forecast_only_never_scales_and_is_the_default() -> None:
    world = make(desired=4)
    put(world, Mode=None)
    world.run(START + 6 * HOUR)
    assert world.desired == 4 and world.told == []
    assert world.ask_targets()["PredictedCapacity"] == 10


@pytest.mark.rule("1.6#mode", "1.6#act")
def test_the_first_forecast_scales_out_for_the_present_hour() -> None:
    world = make(desired=4, at=START + 1800)
    put(world)
    assert world.desired == 10
    told = world.told[0]
    assert told.cause == "capacity 10 predicted for 2023-11-29T00:00Z triggered policy foresee"
    assert told.description == "Setting desired count to 10." and told.policy_name == "foresee"
    assert told.numbers.formula == "ceil(600 / 60) = 10"


@pytest.mark.rule("1.6#buffer", "1.6#act")
def test_the_next_hours_capacity_is_there_scheduling_buffer_time_before_it() -> None:
    world = make(load=daily, hours=14 * 24, desired=1)
    put(world, SchedulingBufferTime=600)
    newest = forecast(world).newest
    assert newest is not None
    for hour in range(8, 12):
        expected = math.ceil(newest.load[hour] / 60)
        world.run(START + hour * HOUR - 601)
        assert world.desired < expected
        world.run(START + hour * HOUR - 600)
        assert world.desired == expected


@pytest.mark.rule("1.6#buffer")
def test_the_buffer_is_five_minutes_where_none_is_given() -> None:
    world = make(load=daily, hours=14 * 24, desired=1)
    put(world)
    world.run(START + 10 * HOUR - 301)
    before = world.desired
    world.run(START + 10 * HOUR - 300)
    assert world.desired > before


@pytest.mark.rule("1.6#act")
def test_predictive_scaling_never_scales_in() -> None:
    world = make(load=daily, hours=14 * 24, desired=30)
    put(world)
    world.run(START + DAY)
    assert world.desired == 30 and changes(world) == []


def test_what_is_done_for_an_hour_is_done_once() -> None:
    """Who lowers the count within the hour is left alone until the next one."""
    world = make(desired=4)
    put(world)
    world.set_desired(5)
    world.run(START + HOUR - 301)
    assert world.desired == 5
    world.run(START + HOUR - 300)
    assert world.desired == 10


@pytest.mark.rule("1.6#breach")
def test_honor_max_capacity_clamps_to_the_bounds() -> None:
    world = make(desired=2, maximum=7)
    put(world)
    assert world.desired == 7 and world.target.max_capacity == 7
    world = make(desired=2, minimum=2, maximum=50)
    put(world, target=600.0)
    assert world.desired == 2


def test_less_than_there_is_is_left_alone_even_below_the_minimum() -> None:
    """A count that was set below the minimum stays until something is invoked (behaviour.md 1.1.6)."""
    world = make(desired=12, minimum=12)
    world.set_desired(11)
    put(world)
    assert world.desired == 11


@pytest.mark.parametrize(
    ("maximum", "buffer", "raised"), [(40, 10, 55), (40, 0, 50), (52, 10, 55), (55, 10, 55), (80, 10, 80)]
)
@pytest.mark.rule("1.6#breach")
def test_increase_max_capacity_raises_the_maximum_by_the_buffer_for_good(
    maximum: int, buffer: int, raised: int
) -> None:
    """AWS's example: a forecast of 50, a buffer of 10 %, a maximum of 40 give 55."""
    world = make(load=lambda _: 3000.0, desired=10, maximum=maximum)
    put(world, MaxCapacityBreachBehavior="IncreaseMaxCapacity", MaxCapacityBuffer=buffer)
    assert world.desired == 50 and world.target.max_capacity == raised
    bounds = [one for one in world.told if one.description.startswith("Setting max capacity")]
    assert [one.description for one in bounds] == ([f"Setting max capacity to {raised}"] if raised > maximum else [])
    world.ask("DeleteScalingPolicy", PolicyName="foresee")
    assert world.target.max_capacity == raised


@pytest.mark.rule("1.6#largest")
def test_of_several_policies_the_largest_capacity_counts() -> None:
    world = make(desired=2)
    put(world, "few", target=100.0, Mode="ForecastOnly")
    put(world, "many", target=50.0, Mode="ForecastOnly")
    for name, target in (("few", 100.0), ("many", 50.0)):
        put(world, name, target=target)
    assert changes(world)[-1][1] == 12


@pytest.mark.rule("1.1.1#predictive")
def test_suspended_scale_out_does_nothing_and_resuming_makes_up_for_the_present_hour() -> None:
    world = make(desired=4)
    world.ask("RegisterScalableTarget", SuspendedState={"DynamicScalingOutSuspended": True})
    put(world, MaxCapacityBreachBehavior="IncreaseMaxCapacity", MaxCapacityBuffer=10)
    world.run(START + 2 * HOUR + 60)
    assert world.desired == 4 and world.told == []
    world.ask("RegisterScalableTarget", SuspendedState={"DynamicScalingOutSuspended": False})
    assert world.desired == 10 and len(changes(world)) == 1


def test_a_restart_changes_nothing() -> None:
    def story(restarts: bool) -> tuple[list[tuple[int | None, int | None]], int]:
        world = make(load=daily, hours=14 * 24, desired=1)
        put(world)
        for half_hour in range(1, 30):
            world.run(START + half_hour * HOUR / 2)
            if restarts:
                world.restart()
        return changes(world), world.desired

    assert story(restarts=True) == story(restarts=False)


def test_hours_that_passed_while_no_server_ran_are_made_up_for_once() -> None:
    world = make(load=daily, hours=14 * 24, desired=1)
    put(world)
    world.run(START + 6 * HOUR)
    newest = forecast(world).newest
    assert newest is not None
    world.restart(down_seconds=7.5 * HOUR)
    assert newest.begin == START + 6 * HOUR
    assert world.desired == math.ceil(newest.load[7] / 60)
    assert len(changes(world)) == len(set(changes(world)))


def test_after_days_without_a_server_the_forecast_is_made_anew_from_what_there_is() -> None:
    world = make(desired=4)
    put(world, Mode="ForecastOnly")
    world.restart(down_seconds=3 * DAY)
    newest = forecast(world).newest
    assert newest is not None and newest.begin == START + 3 * DAY and newest.history_hours == 72


def test_reconcile_on_its_own_result_writes_nothing() -> None:
    world = make(load=daily, hours=14 * 24, desired=1)
    put(world)
    revision = world.store.revision
    world.stepper.start(world.now)
    world.settle()
    assert world.store.revision == revision


# ---------------------------------------------------------------------------------------------- with dynamic scaling


def test_target_tracking_scales_in_to_the_predicted_capacity_and_not_below() -> None:
    world = make(desired=30)
    put(world)
    track(world)
    for _ in range(20):
        world.minute(1.0)
    assert world.desired == 10
    scaled = next(one for one in world.told if one.to_count == 10)
    assert scaled.numbers.predicted == 10 and scaled.numbers.formula == "ceil(30 × 1 / 50) = 1, but 10 predicted"
    refused = world.told[0]
    assert [reason.code for reason in refused.not_scaled] == ["AlreadyAtDesiredCapacity"]
    assert refused.numbers.predicted == 10


def test_step_scaling_does_not_scale_in_below_the_predicted_capacity() -> None:
    world = make(desired=12)
    put(world)
    steps = {"AdjustmentType": "ChangeInCapacity", "Cooldown": 0}
    steps |= {"StepAdjustments": [{"MetricIntervalUpperBound": 0, "ScalingAdjustment": -5}]}
    answer = world.ask(
        "PutScalingPolicy", PolicyName="fewer", PolicyType="StepScaling", StepScalingPolicyConfiguration=steps
    )
    world.put_alarm("low", answer["PolicyARN"], ComparisonOperator="LessThanThreshold")
    counts = [world.minute(1.0) for _ in range(4)]
    assert counts[-1] == 10 and min(counts) == 10
    assert [reason.code for reason in world.told[0].not_scaled] == ["AlreadyAtDesiredCapacity"]


def test_forecast_only_holds_up_no_scale_in() -> None:
    world = make(desired=30)
    put(world, Mode="ForecastOnly")
    track(world)
    for _ in range(20):
        world.minute(1.0)
    assert world.desired == 1


def test_a_predictive_scale_out_ends_the_scale_in_cooldown_of_others() -> None:
    world = make(load=daily, hours=14 * 24, desired=3)
    track(world)
    policy = world.get(scaling.ScalingPolicy, f"{scaling_world.KEY}|track")
    world.put(policy.__class__(**{**_fields(policy), "memory": scaling.PolicyMemory(in_at=world.now)}))
    put(world)
    assert world.desired > 3
    assert world.get(scaling.ScalingPolicy, f"{scaling_world.KEY}|track").memory.in_at is None


def _fields(one: scaling.ScalingPolicy) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__struct_fields__}


# ---------------------------------------------------------------------------------------------- customized metrics


def custom(name: str, statistic: str = "Average") -> dict[str, Any]:
    metric = {"Namespace": "App", "MetricName": name}
    return {"MetricDataQueries": [{"Id": "m", "MetricStat": {"Metric": metric, "Stat": statistic}}]}


def publish(world: scaling_world.World, name: str, value: float, hours: int = 48, every_minutes: int = 1) -> None:
    data = tuple(
        metrics.Datum(metric=metrics.metric("App", name), timestamp=world.now - 60 * minute, values=(value,))
        for minute in range(every_minutes, hours * 60 + 1, every_minutes)
    )
    world.store.commit(plan.Plan(data=data), world.now)


def test_a_customized_load_is_scaled_by_its_relation_to_the_scaling_metric() -> None:
    """9000 requests a minute went with 450 % of CPU in all: 0.05 % each. For 60 % a task that takes 8 tasks."""
    world = scaling_world.World(start=START, desired=2)
    measure(world, lambda _: 450.0, START - 48 * HOUR, START, tasks=5)
    publish(world, "Requests", 9000.0)
    scaled = {"PredefinedScalingMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}}
    put(world, metrics={"CustomizedLoadMetricSpecification": custom("Requests"), **scaled})
    newest = forecast(world).newest
    assert newest is not None and newest.relation == pytest.approx(0.05)
    assert world.desired == 8 and world.told[0].numbers.formula == "ceil(9000 × 0.05 / 60) = 8"


@pytest.mark.rule("1.6#policy")
def test_customized_load_scaling_and_capacity_metrics() -> None:
    """12,000 jobs, 300 for each of 40 workers: a target of 400 takes 30."""
    world = scaling_world.World(start=START, desired=2)
    publish(world, "Jobs", 12_000.0)
    publish(world, "JobsPerWorker", 300.0)
    publish(world, "Workers", 40.0)
    specification = {
        "CustomizedLoadMetricSpecification": custom("Jobs"),
        "CustomizedScalingMetricSpecification": custom("JobsPerWorker"),
        "CustomizedCapacityMetricSpecification": custom("Workers"),
    }
    put(world, target=400.0, metrics=specification)
    assert world.desired == 30


@pytest.mark.parametrize("every_minutes", [5, 60])
def test_a_customized_metric_may_have_a_data_point_every_five_minutes_or_one_an_hour(every_minutes: int) -> None:
    world = scaling_world.World(start=START, desired=2)
    for name, value in (("Jobs", 12_000.0), ("JobsPerWorker", 300.0), ("Workers", 40.0)):
        publish(world, name, value, every_minutes=every_minutes)
    specification = {
        "CustomizedLoadMetricSpecification": custom("Jobs"),
        "CustomizedScalingMetricSpecification": custom("JobsPerWorker"),
        "CustomizedCapacityMetricSpecification": custom("Workers"),
    }
    put(world, target=400.0, metrics=specification)
    assert world.desired == 30


def test_a_balancers_requests_are_a_load_and_what_each_task_gets_is_scaled_by() -> None:
    label = "app/lb/1/targetgroup/blue/2"
    world = scaling_world.World(start=START, desired=2)
    table = operations.operations(target_groups=lambda service: {"targetgroup/blue/2"})
    world.table |= {(one.service, one.name): one for one in table}
    requests = metrics.metric(
        "AWS/ApplicationELB", "RequestCount", [("LoadBalancer", "app/lb/1"), ("TargetGroup", "targetgroup/blue/2")]
    )
    data = [
        metrics.Datum(metric=requests, timestamp=START - second, values=(300.0,), unit="Count")
        for second in range(20, 48 * HOUR, 20)
    ]
    world.store.commit(plan.Plan(data=tuple(data)), world.now)
    pair = {"PredefinedMetricType": "ALBRequestCount", "ResourceLabel": label}
    put(world, target=100.0, metrics={"PredefinedMetricPairSpecification": pair})
    assert world.desired == 9  # 900 a minute
    (policy,) = world.call("application-autoscaling", "DescribeScalingPolicies", ServiceNamespace="ecs")[
        "ScalingPolicies"
    ]
    shown = policy["PredictiveScalingPolicyConfiguration"]["MetricSpecifications"][0]
    assert shown["PredefinedMetricPairSpecification"] == pair


def test_metric_math_and_search_are_a_load() -> None:
    world = scaling_world.World(start=START, desired=2)
    measure(world, flat, START - 48 * HOUR, START, tasks=10)
    publish(world, "A", 100.0)
    publish(world, "B", 200.0)
    search = "SUM(SEARCH('Namespace=\"App\"', 'Average', 60))"
    load = {"MetricDataQueries": [{"Id": "all", "Expression": search}]}
    scaled = {"PredefinedScalingMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}}
    put(world, metrics={"CustomizedLoadMetricSpecification": load, **scaled})
    newest = forecast(world).newest
    assert newest is not None and newest.load[0] == pytest.approx(300.0) and newest.relation == pytest.approx(2.0)
    assert world.desired == 10


def test_without_a_relation_there_is_no_forecast_and_it_is_said() -> None:
    world = scaling_world.World(start=START)
    publish(world, "Requests", 9000.0)
    scaled = {"PredefinedScalingMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}}
    put(world, metrics={"CustomizedLoadMetricSpecification": custom("Requests"), **scaled})
    found = forecast(world)
    assert found.newest is None and found.answer is not None and "relation" in (found.answer.problem or "")
