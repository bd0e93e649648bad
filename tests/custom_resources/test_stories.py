"""Custom resources in virtual time: registered, scaled by all kinds of policies, away, refusing (behaviour.md 1)."""

from __future__ import annotations

import custom_world
import pytest

from roadstead.api.explain import target as target_reasons

AAS = custom_world.AAS
URL = custom_world.URL
AT_HALF_PAST = {
    "ScheduledActionName": "day",
    "Schedule": "cron(30 0 * * ? *)",
    "ScalableTargetAction": {"MinCapacity": 8},
}


@pytest.mark.rule("1.1#5")
def test_1_1_5_registering_reads_the_endpoint_and_moves_it_inside_the_bounds() -> None:
    subject = custom_world.CustomWorld(capacity=1, minimum=2)
    subject.register()
    assert subject.endpoint.patches == [2]
    subject.world.run_for(60)
    assert (subject.endpoint.actual, subject.resource.observed.actual_capacity) == (2, 2)
    (done,) = subject.told
    assert (done.status, done.cause) == ("Successful", "minimum capacity was set to 2")


def test_1_1_9_the_role_is_that_of_custom_resources() -> None:
    subject = custom_world.CustomWorld()
    subject.register()
    (shown,) = subject.world.call(AAS, "DescribeScalableTargets", ServiceNamespace="custom-resource")["ScalableTargets"]
    assert shown["RoleARN"].endswith(
        "role/aws-service-role/custom-resource.application-autoscaling.amazonaws.com/"
        "AWSServiceRoleForApplicationAutoScaling_CustomResource"
    )


def test_an_endpoint_inside_the_bounds_is_left_alone() -> None:
    subject = custom_world.CustomWorld(capacity=4)
    subject.register()
    subject.world.run_for(600)
    assert subject.endpoint.patches == []
    assert subject.told == []


def test_1_7_target_tracking_scales_it_and_says_so_as_aws_does() -> None:
    subject = custom_world.CustomWorld(capacity=4)
    subject.register()
    made = subject.track()
    high = made["Alarms"][0]["AlarmName"]
    assert high.startswith(f"TargetTracking-{URL}-AlarmHigh-")
    subject.minutes(6, 280.0)
    assert subject.endpoint.patches == [6]
    of_resource = {"ServiceNamespace": "custom-resource", "ResourceId": URL}
    (done,) = subject.world.call(AAS, "DescribeScalingActivities", **of_resource)["ScalingActivities"]
    assert done["Description"] == "Setting desired capacity to 6."
    assert done["Cause"] == f"monitor alarm {high} in state ALARM triggered policy backlog"
    assert done["StatusCode"] == "Successful"
    assert done["StatusMessage"] == (
        "Successfully set desired capacity to 6. Change successfully fulfilled by custom-resource."
    )
    subject.minutes(40, 60.0)
    assert subject.endpoint.patches[-1] == 2


def test_1_4_a_step_policy_invoked_by_the_users_own_alarm_scales_it() -> None:
    subject = custom_world.CustomWorld(capacity=3)
    subject.register()
    steps = {
        "AdjustmentType": "ChangeInCapacity",
        "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 2}],
        "Cooldown": 600,
    }
    policy = {"PolicyName": "steps", "PolicyType": "StepScaling", "StepScalingPolicyConfiguration": steps}
    arn = subject.ask("PutScalingPolicy", **policy)["PolicyARN"]
    subject.world.call(
        "cloudwatch",
        "PutMetricAlarm",
        AlarmName="full",
        **custom_world.BACKLOG,
        Period=60,
        EvaluationPeriods=1,
        Threshold=50,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[arn],
    )
    subject.minutes(4, 280.0)
    assert subject.endpoint.patches == [5]
    assert subject.told[0].cause == "monitor alarm full in state ALARM triggered policy steps"


def test_1_5_a_scheduled_action_scales_it() -> None:
    subject = custom_world.CustomWorld(capacity=3)
    subject.register()
    subject.ask("PutScheduledAction", **AT_HALF_PAST)
    subject.world.run_for(1900)
    assert subject.endpoint.patches == [8]
    assert [one.status for one in subject.told] == ["Successful", "Successful"]


def test_1_1_2_a_scheduled_action_fails_while_the_endpoint_is_away() -> None:
    subject = custom_world.CustomWorld(capacity=3)
    subject.register()
    subject.endpoint.is_away = True
    subject.ask("PutScheduledAction", **AT_HALF_PAST)
    subject.world.run_for(1900)
    (failed,) = subject.told
    assert failed.status == "Failed"
    assert failed.status_message is not None
    assert failed.status_message.startswith(f"Resource Id [{URL}] is not scalable. Reason: The endpoint did not answer")


def test_nothing_is_decided_while_the_endpoint_is_away_and_what_is_asked_waits_for_it() -> None:
    subject = custom_world.CustomWorld(capacity=4)
    subject.register()
    subject.track()
    subject.endpoint.is_away = True
    subject.minutes(10, 280.0)
    assert subject.told == []
    assert subject.resource.observed.failures > 5
    subject.endpoint.is_away = False
    subject.minutes(3, 280.0)
    assert subject.endpoint.patches == [6]
    assert subject.resource.observed.failures == 0


@pytest.mark.rule("1.7#Pending")
def test_a_capacity_is_told_until_the_endpoint_takes_it() -> None:
    subject = custom_world.CustomWorld(capacity=4)
    subject.register()
    subject.track()
    subject.endpoint.patch_status, subject.endpoint.message = 503, "busy"
    subject.minutes(4, 280.0)
    assert [one.status for one in subject.told] == ["Pending"]
    assert subject.resource.is_pending
    assert subject.resource.observed.problem == "HTTP status 503: busy"
    subject.endpoint.patch_status = 200
    subject.minutes(3, 280.0)
    assert subject.endpoint.patches == [6]
    assert subject.told[0].status == "Successful"


@pytest.mark.rule("1.7#Failed", "1.7#failed")
def test_a_refused_capacity_fails_with_what_the_endpoint_said_and_is_not_told_again() -> None:
    subject = custom_world.CustomWorld(capacity=4)
    subject.register()
    subject.track(ScaleOutCooldown=3600)
    subject.endpoint.patch_status, subject.endpoint.message = 400, "the quota is 5"
    subject.minutes(4, 280.0)
    subject.endpoint.patch_status = 200
    subject.minutes(10, 280.0)
    failed = subject.told[-1]
    assert failed.status == "Failed"
    assert failed.status_message == "Failed to set desired capacity to 6. Reason: the quota is 5"
    assert subject.endpoint.patches == []


def test_a_scaling_that_fails_at_the_endpoint_is_failed() -> None:
    subject = custom_world.CustomWorld(capacity=4)
    subject.endpoint.fails, subject.endpoint.message = True, "no machines left"
    subject.register()
    subject.track()
    subject.minutes(5, 280.0)
    assert subject.told[-1].status == "Failed"
    assert subject.told[-1].status_message == "Failed to set desired capacity to 6. Reason: no machines left"


@pytest.mark.rule("1.7#Unfulfilled")
def test_1_7_a_change_that_never_comes_is_unfulfilled_after_a_quarter_of_an_hour() -> None:
    subject = custom_world.CustomWorld(capacity=4)
    subject.register()
    subject.track(ScaleOutCooldown=7200)
    subject.endpoint.change_seconds = 3600.0
    subject.minutes(22, 280.0)
    assert subject.told[-1].status == "Unfulfilled"
    assert subject.told[-1].status_message == (
        "Successfully set desired capacity to 6. Change was not fulfilled by custom-resource: 4 running."
    )


def test_1_1_6_a_capacity_that_its_owner_sets_stays_until_the_target_is_registered_again() -> None:
    subject = custom_world.CustomWorld(capacity=4)
    subject.register()
    subject.endpoint.set_desired(30)
    subject.world.run_for(600)
    assert subject.endpoint.patches == []
    assert subject.resource.desired_capacity == 30
    subject.ask("RegisterScalableTarget")
    subject.world.run_for(60)
    assert subject.endpoint.patches == [20]


@pytest.mark.parametrize("at", [159.9, 160.0, 160.02, 160.2, 165.0, 220.0])
def test_a_crash_of_the_control_plane_forgets_no_capacity(at: float) -> None:
    subject = custom_world.CustomWorld(capacity=4)
    subject.register()
    subject.track()
    subject.world.agenda.after(at, subject.world.crash_control_plane, 5.0)
    subject.minutes(8, 280.0)
    assert set(subject.endpoint.patches[:2]) == {6}  # twice at most, where the first answer was lost
    assert not subject.resource.is_pending


@pytest.mark.rule("1.1#13")
def test_1_1_13_deregistering_leaves_the_capacity_and_asks_no_more() -> None:
    subject = custom_world.CustomWorld(capacity=4)
    subject.register()
    subject.track()
    subject.ask("DeregisterScalableTarget")
    subject.minutes(10, 280.0)
    assert subject.endpoint.patches == []
    assert subject.world.call("cloudwatch", "DescribeAlarms").get("MetricAlarms", []) == []


@pytest.mark.parametrize(
    ("namespace", "resource", "dimension"),
    [
        ("dynamodb", "table/t", "dynamodb:table:ReadCapacityUnits"),
        ("ecs", URL, "ecs:service:DesiredCount"),
        ("custom-resource", URL, "ecs:service:DesiredCount"),
    ],
)
def test_1_1_2_other_namespaces_and_mixes_are_refused(namespace: str, resource: str, dimension: str) -> None:
    subject = custom_world.CustomWorld()
    mix = {"ServiceNamespace": namespace, "ResourceId": resource, "ScalableDimension": dimension}
    assert subject.refused("RegisterScalableTarget", **mix, MinCapacity=1, MaxCapacity=2) == (
        "ValidationException",
        "Unsupported service namespace, resource type or scalable dimension",
    )


@pytest.mark.parametrize(
    "resource",
    [
        "service/default/web",
        "ftp://h/scalableTargetDimensions/1",
        "https://h/scalableTargetDimensions/",
        "https://h/v1/1",
        "https://user@h/scalableTargetDimensions/1",
        "https://h/scalableTargetDimensions/1?x=1",
        "https://h/a b/scalableTargetDimensions/1",
        "https://h|x/scalableTargetDimensions/1",
    ],
)
def test_a_url_of_another_form_is_refused(resource: str) -> None:
    subject = custom_world.CustomWorld()
    code, text = subject.refused("RegisterScalableTarget", ResourceId=resource, MinCapacity=1, MaxCapacity=2)
    assert code == "ValidationException"
    assert text.startswith(f"Invalid resource ID '{resource}'")


@pytest.mark.parametrize("metric", ["ECSServiceAverageCPUUtilization", "ALBRequestCountPerTarget"])
def test_predefined_metrics_are_refused(metric: str) -> None:
    subject = custom_world.CustomWorld()
    subject.register()
    tracking = {"TargetValue": 1.0, "PredefinedMetricSpecification": {"PredefinedMetricType": metric}}
    policy = {"PolicyName": "p", "PolicyType": "TargetTrackingScaling"}
    assert subject.refused("PutScalingPolicy", **policy, TargetTrackingScalingPolicyConfiguration=tracking) == (
        "ValidationException",
        f"The predefined metric type {metric} is not supported for custom-resource:ResourceType:Property.",
    )


def _explained(subject: custom_world.CustomWorld) -> tuple[str, list[str]]:
    answer = target_reasons.explain(subject.world.view(), subject.target, subject.world.now, 3600.0)
    return answer.headline, [one.text for one in answer.reasons]


def test_its_state_is_explained() -> None:
    subject = custom_world.CustomWorld(capacity=4)
    subject.ask("RegisterScalableTarget", **subject.bounds)
    assert _explained(subject)[0] == "can't be scaled: The endpoint has not answered yet."
    subject.world.run_for(20)
    headline, texts = _explained(subject)
    assert headline == "is steady at 4"
    assert texts[0] == "the endpoint says desired 4, actual 4, Successful"
    subject.endpoint.is_away = True
    subject.world.run_for(60)
    headline, texts = _explained(subject)
    assert headline.startswith("can't be scaled: The endpoint did not answer")
    assert texts[1].endswith(": connection refused")
