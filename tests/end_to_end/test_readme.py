"""What the README promises a newcomer, done as it says: with the AWS CLI, and the same with boto3."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.awsrequest import AWSRequest
from tests.end_to_end import installations

pytestmark = [pytest.mark.real, pytest.mark.slow]

FIRST = re.compile(r"<!-- snippet:first-service -->\s*```bash\n(.*?)```\s*<!-- /snippet -->(.*)", re.DOTALL)
BLOCK = re.compile(r"```bash\n(.*?)```", re.DOTALL)
SNIPPET_SECONDS_MAX = 120
SCALED_SECONDS_MAX = 150
RESOURCE = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/default/web",
    "ScalableDimension": "ecs:service:DesiredCount",
}


def snippets() -> tuple[str, str]:
    """The README's first service, and the load that comes after it."""
    found = FIRST.search((installations.REPOSITORY / "README.md").read_text())
    assert found is not None, "the README has lost its snippet"
    after = BLOCK.search(found[2])
    assert after is not None
    return found[1], after[1]


@contextlib.contextmanager
def bash(one: installations.Installation, script: str) -> Iterator[subprocess.Popen[str]]:
    """A new user's shell in the repository; it and all that it began end with the context."""
    environment = {
        **one.environment,
        "PATH": ":".join(
            part for part in one.environment["PATH"].split(":") if part != str(installations.PROGRAMS)
        ),  # the snippet sets it
    }
    process = subprocess.Popen(
        ["bash", "-eu", "-c", script],
        cwd=installations.REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.timeout(SNIPPET_SECONDS_MAX + SCALED_SECONDS_MAX + 60)
def test_a_newcomer_follows_the_readme_until_the_service_has_scaled_out(real: installations.Installation) -> None:
    first, load = snippets()
    with bash(real, first) as shell:
        said, _ = shell.communicate(timeout=SNIPPET_SECONDS_MAX)
        assert shell.returncode == 0, said
    assert "web:1" in said and "cpu50" in said and "RUNNING" in said, said
    ecs, scaling = real.client("ecs"), real.client("application-autoscaling")
    service = ecs.describe_services(services=["web"])["services"][0]
    assert (service["runningCount"], service["desiredCount"]) == (1, 1)
    policy = scaling.describe_scaling_policies(**RESOURCE)["ScalingPolicies"][0]
    assert policy["PolicyName"] == "cpu50" and len(policy["Alarms"]) == 2

    setting = "\n".join(first.splitlines()[:2])
    with bash(real, f"{setting}\n{load}\nwait") as shell:
        began = time.monotonic()

        def has_scaled_out() -> bool:
            assert shell.poll() is None, shell.communicate()[0]
            found = ecs.describe_services(services=["web"])["services"][0]
            return bool(found["desiredCount"] >= 2 and found["runningCount"] == found["desiredCount"])

        installations.eventually(has_scaled_out, SCALED_SECONDS_MAX)
        print(f"scaled out after {time.monotonic() - began:.0f} s of load")
    activity = scaling.describe_scaling_activities(ServiceNamespace="ecs")["ScalingActivities"][0]
    assert activity["StatusCode"] == "Successful" and "AlarmHigh" in activity["Cause"], activity
    why = real.output("explain", "service", "web")
    assert activity["Description"] in why or "AlarmHigh" in why, why
    listing = real.output("ps", "web")
    assert listing.count("RUNNING") >= 2, listing


def create_web(one: installations.Installation) -> Any:
    """The demo's service by boto3: its ARN."""
    web = installations.REPOSITORY / "examples" / "web"
    subprocess.run([str(web / "pack")], env=one.environment, check=True, capture_output=True, timeout=60)
    ecs, scaling = one.client("ecs"), one.client("application-autoscaling")
    ecs.register_task_definition(**json.loads((web / "task-definition.json").read_text()))
    made = ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=2)
    ecs.get_waiter("services_stable").wait(services=["web"], WaiterConfig={"Delay": 1, "MaxAttempts": 40})
    scaling.register_scalable_target(**RESOURCE, MinCapacity=1, MaxCapacity=6)
    policy = {
        "TargetValue": 50.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
    }
    scaling.put_scaling_policy(
        **RESOURCE,
        PolicyName="cpu50",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=policy,
    )
    return made["service"]["serviceArn"]


def test_boto3_does_the_same_with_waiters_pages_and_typed_errors(real: installations.Installation) -> None:
    ecs, scaling = real.client("ecs"), real.client("application-autoscaling")
    arn = create_web(real)
    pages = ecs.get_paginator("list_tasks").paginate(serviceName="web", PaginationConfig={"PageSize": 1})
    each = [page["taskArns"] for page in pages]
    assert [len(page) for page in each] == [1, 1]
    arns = [page[0] for page in each]
    ecs.get_waiter("tasks_running").wait(tasks=arns, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    for described in ecs.describe_tasks(tasks=arns)["tasks"]:
        binding = described["containers"][0]["networkBindings"][0]
        assert (binding["containerPort"], described["lastStatus"]) == (8080, "RUNNING")
    targets = scaling.get_paginator("describe_scalable_targets").paginate(ServiceNamespace="ecs")
    assert [one["ResourceId"] for page in targets for one in page["ScalableTargets"]] == ["service/default/web"]

    ecs.update_service(service=arn, desiredCount=1)
    ecs.get_waiter("services_stable").wait(services=[arn], WaiterConfig={"Delay": 1, "MaxAttempts": 40})
    ecs.delete_service(service=arn, force=True)
    ecs.get_waiter("tasks_stopped").wait(tasks=arns, WaiterConfig={"Delay": 1, "MaxAttempts": 40})
    ecs.get_waiter("services_inactive").wait(services=[arn], WaiterConfig={"Delay": 1, "MaxAttempts": 40})
    scaling.deregister_scalable_target(**RESOURCE)

    with pytest.raises(ecs.exceptions.ClusterNotFoundException):
        ecs.list_tasks(cluster="nowhere")
    with pytest.raises(ecs.exceptions.ServiceNotFoundException):
        ecs.update_service(service="nothing", desiredCount=1)
    with pytest.raises(ecs.exceptions.InvalidParameterException):
        ecs.stop_task(task="0" * 32)
    with pytest.raises(ecs.exceptions.ClientException):
        ecs.describe_task_definition(taskDefinition="nothing:1")
    with pytest.raises(scaling.exceptions.ObjectNotFoundException):
        scaling.deregister_scalable_target(**RESOURCE)
    with pytest.raises(scaling.exceptions.ValidationException):
        scaling.register_scalable_target(**{**RESOURCE, "ServiceNamespace": "lambda"}, MinCapacity=1, MaxCapacity=2)


def test_cloudwatch_answers_boto3_and_raw_query_alike(simulated: installations.Installation) -> None:
    cloudwatch = simulated.client("cloudwatch")
    now = int(time.time()) // 60 * 60
    for number in range(3):
        cloudwatch.put_metric_data(
            Namespace="Shop", MetricData=[{"MetricName": "Orders", "Value": 2.0 + number, "Timestamp": now - 60}]
        )
    asked = {
        "Namespace": "Shop",
        "MetricName": "Orders",
        "StartTime": now - 600,
        "EndTime": now + 60,
        "Period": 60,
        "Statistics": ["Average", "SampleCount"],
    }
    point = cloudwatch.get_metric_statistics(**asked)["Datapoints"][0]
    assert (point["Average"], point["SampleCount"]) == (3.0, 3.0)
    cloudwatch.put_metric_alarm(
        AlarmName="many",
        Namespace="Shop",
        MetricName="Orders",
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
    )
    found = cloudwatch.get_paginator("describe_alarms").paginate(AlarmNames=["many"])
    assert [alarm["AlarmName"] for page in found for alarm in page["MetricAlarms"]] == ["many"]
    with pytest.raises(cloudwatch.exceptions.ResourceNotFound):
        cloudwatch.set_alarm_state(AlarmName="nothing", StateValue="OK", StateReason="a test")
    form = (
        "Action=GetMetricStatistics&Version=2010-08-01&Namespace=Shop&MetricName=Orders&Period=60"
        f"&StartTime={_iso(now - 600)}&EndTime={_iso(now + 60)}"
        "&Statistics.member.1=Average&Statistics.member.2=SampleCount"
    )
    status, body = raw_query(simulated, form)
    assert status == 200, body
    assert "<Average>3.0</Average>" in body and "<SampleCount>3.0</SampleCount>" in body
    assert "GetMetricStatisticsResponse" in body and "<RequestId>" in body
    status, body = raw_query(
        simulated, "Action=SetAlarmState&Version=2010-08-01&AlarmName=nothing&StateValue=OK&StateReason=x"
    )
    assert status == 404 and "<Code>ResourceNotFound</Code>" in body, body


def _iso(moment: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment)).replace(":", "%3A")


def raw_query(one: installations.Installation, form: str) -> tuple[int, str]:
    """CloudWatch's oldest protocol, as tools without an SDK speak it: status and XML."""
    session = one.client("sts")  # for its signer and its HTTP
    from botocore.auth import SigV4Auth
    from botocore.httpsession import URLLib3Session

    request = AWSRequest(
        method="POST",
        url=one.endpoint + "/",
        data=form,
        headers={"content-type": "application/x-www-form-urlencoded; charset=utf-8"},
    )
    SigV4Auth(session._request_signer._credentials, "monitoring", "us-east-1").add_auth(request)
    response = URLLib3Session().send(request.prepare())
    return response.status_code, response.text
