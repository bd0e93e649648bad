"""Rules of behaviour.md 1.1-1.3, 1.5 and 1.8 that no story tells on the way, over the wire's own bytes."""

from __future__ import annotations

from typing import Any

import botocore.session
import msgspec
import pytest
from scaling_world import IDENTITY, KEY, World
from tests import store_worlds

from roadstead.api import operation
from roadstead.api.application_autoscaling import policies, targets
from roadstead.base import errors
from roadstead.model import alarms, scaling, services
from roadstead.signals import metrics
from roadstead.state import plan, store
from roadstead.wire import requests

CPU = "ECSServiceAverageCPUUtilization"
MEMORY = "ECSServiceAverageMemoryUtilization"
INVALID = "ValidationException"


def track(world: World, specification: dict[str, Any], name: str = "p", **more: Any) -> list[alarms.MetricAlarm]:
    """PutScalingPolicy; the policy's alarms."""
    answer = world.ask(
        "PutScalingPolicy",
        PolicyName=name,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={"TargetValue": 50, **specification, **more},
    )
    return [world.get(alarms.MetricAlarm, one["AlarmName"]) for one in answer["Alarms"]]


def predefined(name: str) -> dict[str, Any]:
    return {"PredefinedMetricSpecification": {"PredefinedMetricType": name}}


def refusal(world: World, name: str, **params: Any) -> tuple[str, str]:
    """Code and text of the refusal of a call that names the service only where the parameters do."""
    with pytest.raises(errors.Refusal) as caught:
        world.call("application-autoscaling", name, **params)
    return caught.value.code, caught.value.message


# ------------------------------------------------------------------------------- 1.1 scalable targets


@pytest.mark.rule("1.1#2")
def test_1_1_2_resource_ids_have_1_to_1600_characters(world: World) -> None:
    bounds = {"MinCapacity": 1, "MaxCapacity": 2}
    for wrong, text in (("", "greater than or equal to 1"), ("s" * 1601, "less than or equal to 1600")):
        code, said = world.refused("RegisterScalableTarget", ResourceId=wrong, **bounds)
        assert code == INVALID
        assert said.startswith("1 validation error detected: Value '")
        assert said.endswith(f"' at 'resourceId' failed to satisfy constraint: Member must have length {text}")
    assert world.refused("RegisterScalableTarget", ResourceId="s" * 1600, **bounds)[1].startswith("Unsupported")


@pytest.mark.rule("1.1#2", "1.1.2#bad enumeration")
def test_1_1_2_namespaces_and_dimensions_are_closed_lists(world: World) -> None:
    model = botocore.session.get_session().get_service_model("application-autoscaling")
    known = {name: ", ".join(model.shape_for(name).enum) for name in ("ServiceNamespace", "ScalableDimension")}
    code, said = world.refused("RegisterScalableTarget", ServiceNamespace="ecz", MinCapacity=1, MaxCapacity=2)
    one = (
        "Value 'ecz' at 'serviceNamespace' failed to satisfy constraint: Member must satisfy enum value set: "
        f"[{known['ServiceNamespace']}]"
    )
    assert (code, said) == (INVALID, f"1 validation error detected: {one}")
    code, said = world.refused("RegisterScalableTarget", ServiceNamespace="ecz", ScalableDimension="a:b")
    other = (
        "Value 'a:b' at 'scalableDimension' failed to satisfy constraint: Member must satisfy enum value set: "
        f"[{known['ScalableDimension']}]"
    )
    assert (code, said) == (INVALID, f"2 validation errors detected: {one}; {other}")
    assert len(model.shape_for("ScalableDimension").enum) == 24


@pytest.mark.rule("1.1#5", "1.7#registration", "1.7#bounds cause")
def test_1_1_5_registering_moves_the_count_inside_without_bounds_in_the_request(world: World) -> None:
    world.ask("RegisterScalableTarget", MinCapacity=3, MaxCapacity=20)
    assert (world.desired, world.told) == (10, [])
    for outside, inside, cause in (
        (1, 3, "minimum capacity was set to 3"),
        (30, 20, "maximum capacity was set to 20"),
    ):
        world.set_desired(outside)
        assert world.desired == outside
        world.now += 60
        world.ask("RegisterScalableTarget")
        assert world.desired == inside
        newest = world.told[0]
        assert (newest.description, newest.cause) == (f"Setting desired count to {inside}.", cause)
    assert len(world.told) == 2, "and no activity of its own for the bounds"


@pytest.mark.rule("1.1#5")
def test_1_1_5_a_new_target_moves_the_count_inside_and_one_of_a_service_that_ends_does_not() -> None:
    assert World(desired=1, minimum=4, maximum=8).desired == 4
    world = World(desired=5, minimum=1, maximum=8)
    world.put(msgspec.structs.replace(world.service, status="DRAINING"))
    world.ask("RegisterScalableTarget", MinCapacity=6)
    assert (world.desired, world.told) == (5, [])


@pytest.mark.rule("1.1#6")
def test_1_1_6_what_a_user_sets_outside_the_bounds_stays_until_a_policy_is_invoked() -> None:
    world = World(desired=5, minimum=3, maximum=8)
    track(world, predefined(CPU))
    for count in (1, 12):
        world.set_desired(count)
        for _ in range(30):
            assert world.minute() == count
    for _ in range(15):
        world.pass_minute()
        _measure(world, 10.0)
        world.answer()
    assert world.desired == 3, "12 tasks at 10 % need three"


@pytest.mark.rule("1.1.2#concurrent update")
def test_1_1_2_of_two_updates_at_once_none_is_lost(world: World) -> None:
    """AWS may refuse the second with ConcurrentUpdateException; here it is decided anew on what the first wrote."""
    wanted = {**IDENTITY, "MaxCapacity": 70}
    request = store_worlds.json_request("application-autoscaling", "RegisterScalableTarget", wanted)
    parsed = requests.parse(store_worlds.SERVICES, request, "r")
    call = operation.Call(params=parsed.params, now=world.now, request_id="r")
    served = world.table["application-autoscaling", "RegisterScalableTarget"]
    rivals = iter([{"MinCapacity": 4}])

    def decide(view: store.StoreView) -> tuple[plan.Plan, None]:
        wanted = served.decide(call, view).plan
        for rival in rivals:
            world.ask("RegisterScalableTarget", **rival)
        return wanted, None

    world.store.transact(decide, world.now)
    assert (world.target.min_capacity, world.target.max_capacity) == (4, 70)


# ------------------------------------------------------------------------------- 1.2, 1.3 policies


@pytest.mark.rule("1.2#2")
def test_1_2_2_policy_names_have_1_to_256_printable_characters(world: World) -> None:
    for wrong in ("", "p" * 257, "a\nb", "\t"):
        code, said = world.refused("PutScalingPolicy", PolicyName=wrong, PolicyType="StepScaling")
        assert (code, "at 'policyName' failed to satisfy constraint" in said) == (INVALID, True)
    track(world, predefined(CPU), name="p" * 256)
    assert world.get(scaling.ScalingPolicy, f"{KEY}|{'p' * 256}") is not None


@pytest.mark.rule("1.2#1")
def test_1_2_1_there_are_three_types_of_policies(world: World) -> None:
    code, said = world.refused("PutScalingPolicy", PolicyName="p", PolicyType="SimpleScaling")
    assert (code, said) == (
        INVALID,
        "1 validation error detected: Value 'SimpleScaling' at 'policyType' failed to satisfy constraint: "
        "Member must satisfy enum value set: [StepScaling, TargetTrackingScaling, PredictiveScaling]",
    )


@pytest.mark.rule("1.3.1#cpu", "1.3.1#memory", "1.3.1#cpu 20 s", "1.3.1#memory 20 s")
@pytest.mark.parametrize(
    ("name", "metric", "period_seconds", "low_periods"),
    [
        (CPU, "CPUUtilization", 60, 15),
        (MEMORY, "MemoryUtilization", 60, 15),
        (f"{CPU}HighResolution", "CPUUtilization", 20, 30),
        (f"{MEMORY}HighResolution", "MemoryUtilization", 20, 30),
    ],
)
def test_1_3_1_what_the_alarms_of_a_predefined_metric_watch(
    world: World, name: str, metric: str, period_seconds: int, low_periods: int
) -> None:
    both = services.MetricConfiguration(metric_names=("CPUUtilization", "MemoryUtilization"), resolution_seconds=20)
    fine = services.Monitoring(metric_configurations=(both,))
    service = world.service
    world.put(
        msgspec.structs.replace(
            service,
            spec=msgspec.structs.replace(service.spec, monitoring=fine),
            deployments=(msgspec.structs.replace(service.primary, monitoring=fine),),
        )
    )
    high, low = track(world, predefined(name))
    for alarm, periods in ((high, 3), (low, low_periods)):
        spec = alarm.spec
        assert (spec.namespace, spec.metric_name, spec.statistic, spec.unit) == (
            "AWS/ECS",
            metric,
            "Average",
            "Percent",
        )
        assert spec.dimensions == (("ClusterName", "default"), ("ServiceName", "web"))
        assert (spec.period_seconds, spec.evaluation_periods) == (period_seconds, periods)


@pytest.mark.rule("1.3.2#user")
def test_1_3_2_users_may_see_and_edit_the_alarms(world: World) -> None:
    """AWS advises against it, and what was edited is what is evaluated."""
    high, _ = track(world, predefined(CPU))
    (shown,) = world.call("cloudwatch", "DescribeAlarms", AlarmNames=[high.name])["MetricAlarms"]
    assert shown["EvaluationPeriods"] == 3
    kept = (
        "AlarmName",
        "AlarmActions",
        "Namespace",
        "MetricName",
        "Dimensions",
        "Statistic",
        "Period",
        "Threshold",
        "ComparisonOperator",
    )
    world.call("cloudwatch", "PutMetricAlarm", **{name: shown[name] for name in kept}, EvaluationPeriods=1)
    world.pass_minute()
    _measure(world, 60.0)
    world.answer()
    assert world.desired == 12, "after one minute in place of three"


@pytest.mark.rule("1.3.5#zeros")
@pytest.mark.parametrize("minimum", [0, 2])
def test_1_3_5_real_zeros_scale_in_to_the_minimum(minimum: int) -> None:
    world = World(desired=10, minimum=minimum)
    own = {"Namespace": "Test", "MetricName": "Load", "Statistic": "Average"}
    track(world, {"CustomizedMetricSpecification": own})
    assert [world.minute(0.0) for _ in range(15)][-1] == minimum
    assert world.told[0].numbers.formula == "ceil(10 × 0 / 50) = 0"


@pytest.mark.rule("1.3.5#missing")
def test_1_3_5_without_data_nothing_is_scaled_in_either_direction(world: World) -> None:
    """The low alarm has scaled in once, and would go on; then silence: both alarms have no data; nothing happens."""
    pair = track(world, predefined(CPU), ScaleInCooldown=0)
    while world.desired == 10:
        world.pass_minute()
        _measure(world, 30.0)
        world.answer()
    assert world.desired == 6
    for _ in range(40):
        world.minute()
    assert world.desired == 6
    assert {world.get(alarms.MetricAlarm, one.name).observed.state for one in pair} == {"INSUFFICIENT_DATA"}


def _measure(world: World, value: float, name: str = "CPUUtilization") -> None:
    dimensions = (("ClusterName", "default"), ("ServiceName", "web"))
    world.measure(value, metrics.metric("AWS/ECS", name, dimensions), "Percent")


# ------------------------------------------------------------------------------- 1.5 scheduled actions


@pytest.mark.rule("1.5#identity")
def test_1_5_names_of_scheduled_actions(world: World) -> None:
    wanted = {"Schedule": "rate(1 day)", "ScalableTargetAction": {"MinCapacity": 1}}
    for wrong in ("", "a" * 257, "a:b", "a/b", "a|b", " a", "a ", "a\x01b"):
        code, said = world.refused("PutScheduledAction", ScheduledActionName=wrong, **wanted)
        assert (code, "at 'scheduledActionName' failed to satisfy constraint" in said) == (INVALID, True), wrong
    for right in ("a b", "a" * 256, "é-ü"):
        world.ask("PutScheduledAction", ScheduledActionName=right, **wanted)


# ------------------------------------------------------------------------------- 1.8 quotas


@pytest.mark.rule("1.8#targets", "1.1.2#limit")
def test_1_8_scalable_targets_of_ecs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert targets.TARGETS_MAX == 3000
    monkeypatch.setattr(targets, "TARGETS_MAX", 2)
    world = World()
    for name in ("api", "jobs"):
        world.put(msgspec.structs.replace(world.service, name=name))
    bounds = {"MinCapacity": 1, "MaxCapacity": 2}
    world.ask("RegisterScalableTarget", ResourceId="service/default/api", **bounds)
    refused = world.refused("RegisterScalableTarget", ResourceId="service/default/jobs", **bounds)
    assert refused == ("LimitExceededException", "There can be at most 2 scalable targets.")
    world.ask("RegisterScalableTarget", MaxCapacity=3)
    world.ask("DeregisterScalableTarget")
    world.ask("RegisterScalableTarget", ResourceId="service/default/jobs", **bounds)


@pytest.mark.rule("1.8#policies", "1.1.2#limit")
def test_1_8_policies_of_a_target(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert policies.POLICIES_OF_TARGET_MAX == 50
    monkeypatch.setattr(policies, "POLICIES_OF_TARGET_MAX", 2)
    track(world, predefined(CPU), name="cpu")
    track(world, predefined(MEMORY), name="memory")
    steps = {
        "AdjustmentType": "ChangeInCapacity",
        "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
    }
    refused = world.refused(
        "PutScalingPolicy", PolicyName="third", PolicyType="StepScaling", StepScalingPolicyConfiguration=steps
    )
    assert refused == ("LimitExceededException", "A scalable target can have at most 2 scaling policies.")
    track(world, predefined(CPU), name="cpu", TargetValue=60)


# ------------------------------------------------------------------------------- 1.7 activities


@pytest.mark.rule("1.7#pages")
def test_1_7_pages_of_activities_have_1_to_50(world: World) -> None:
    for number in (0, 51):
        code, said = refusal(world, "DescribeScalingActivities", ServiceNamespace="ecs", MaxResults=number)
        assert (code, said) == (INVALID, "MaxResults must be between 1 and 50.")
    for number in range(52):
        world.now += 1
        world.ask("RegisterScalableTarget", MinCapacity=11 + number)
    listed = [
        world.call("application-autoscaling", "DescribeScalingActivities", ServiceNamespace="ecs", **more)
        for more in ({}, {"MaxResults": 50}, {"MaxResults": 1})
    ]
    assert [len(one["ScalingActivities"]) for one in listed] == [50, 50, 1]
    assert listed[2]["ScalingActivities"][0]["Cause"] == "minimum capacity was set to 62"
