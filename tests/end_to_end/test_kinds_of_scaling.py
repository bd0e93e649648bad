"""All kinds of scaling on one service of real containers, by boto3 as users wire them (issue 3, done when 3).

Each kind in turn asks for another count; the desired count, the containers that really run and the scaling activities
must follow. Conditions are waited for, generously: nothing here depends on how long anything takes.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.end_to_end import installations

from roadstead.cli.demo import load

pytestmark = [pytest.mark.real, pytest.mark.slow]

TEST_SECONDS_MAX = 600
FOLLOWS_SECONDS_MAX = 180
"""How long a kind may take until the count follows: three data points of 20 s, and a busy machine."""
CLUSTER, SERVICE = "default", "web"
RESOURCE = {
    "ServiceNamespace": "ecs",
    "ResourceId": f"service/{CLUSTER}/{SERVICE}",
    "ScalableDimension": "ecs:service:DesiredCount",
}
HIGH_RESOLUTION = {"metricConfigurations": [{"metricNames": ["CPUUtilization"], "resolutionSeconds": 20}]}
QUEUE = {"Namespace": "Shop", "MetricName": "OrdersWaiting"}
CPU_SECONDS_PER_REQUEST = 0.02
REQUESTS_PER_SECOND = 40.0
"""More than five tasks of 128 CPU units get to serve: each is at its limit."""


class Stage:
    """A service `web` on an installation, and what is seen of it."""

    def __init__(self, one: installations.Installation) -> None:
        self.installation = one
        self.ecs = one.client("ecs")
        self.scaling = one.client("application-autoscaling")
        self.cloudwatch = one.client("cloudwatch")

    def make_service(self) -> None:
        """One task of the example `web`, measured every 20 s."""
        web = installations.REPOSITORY / "examples" / "web"
        packed = [str(web / "pack")]
        subprocess.run(packed, env=self.installation.environment, check=True, capture_output=True, timeout=60)
        definition = json.loads((web / "task-definition.json").read_text())
        self.ecs.register_task_definition(**definition)
        self.ecs.create_service(serviceName=SERVICE, taskDefinition="web", desiredCount=1, monitoring=HIGH_RESOLUTION)
        self.ecs.get_waiter("services_stable").wait(services=[SERVICE], WaiterConfig={"Delay": 1, "MaxAttempts": 60})

    def is_deployed(self) -> bool:
        (service,) = self.ecs.describe_services(services=[SERVICE])["services"]
        return [one["rolloutState"] for one in service["deployments"]] == ["COMPLETED"]

    def bounds(self, low: int, high: int, *, scales_in: bool) -> None:
        suspended = {"DynamicScalingInSuspended": not scales_in}
        self.scaling.register_scalable_target(**RESOURCE, MinCapacity=low, MaxCapacity=high, SuspendedState=suspended)

    def put_policy(self, name: str, kind: str, **configuration: Any) -> str:
        """The policy's ARN."""
        arn: str = self.scaling.put_scaling_policy(
            **RESOURCE, PolicyName=name, PolicyType=kind, **{f"{kind}PolicyConfiguration": configuration}
        )["PolicyARN"]
        return arn

    def changes(self) -> list[dict[str, Any]]:
        """Activities that changed the count, newest first."""
        found = self.scaling.describe_scaling_activities(**RESOURCE)["ScalingActivities"]
        return [one for one in found if one["Description"].startswith("Setting desired count to ")]

    def counts(self) -> tuple[int, int, int]:
        """Desired, running as the service says, and containers that really run on this machine."""
        (service,) = self.ecs.describe_services(services=[SERVICE])["services"]
        return service["desiredCount"], service["runningCount"], len(self.installation.containers())

    def follows(self, count: int, cause: str) -> dict[str, Any]:
        """Wait until so many containers run, and the newest change says that this was the cause, and is fulfilled."""

        def is_there() -> dict[str, Any] | None:
            newest = self.changes()[0] if self.changes() else None
            if newest is None or cause not in newest["Cause"] or newest["StatusCode"] != "Successful":
                return None
            return newest if self.counts() == (count, count, count) else None

        try:
            found: dict[str, Any] = installations.eventually(is_there, FOLLOWS_SECONDS_MAX)
        except AssertionError as late:
            why = self.installation.output("explain", "service", SERVICE)
            raise AssertionError(
                f"not {count} by {cause!r}, but {self.counts()}: {self.changes()[:3]}\n{why}"
            ) from late
        assert found["Description"] == f"Setting desired count to {count}."
        assert found["StatusMessage"] == (
            f"Successfully set desired count to {count}. Change successfully fulfilled by ecs."
        )
        return found

    def addresses(self) -> tuple[str, ...]:
        """Where the service's tasks answer."""
        arns = self.ecs.list_tasks(serviceName=SERVICE, desiredStatus="RUNNING")["taskArns"]
        tasks = self.ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
        bindings = [bound for one in tasks for box in one["containers"] for bound in box.get("networkBindings", [])]
        return tuple(f"127.0.0.1:{one['hostPort']}" for one in bindings)


@contextlib.contextmanager
def meanwhile(act: Callable[[], None], every_seconds: float) -> Iterator[None]:
    """Do something again and again, until the end of the context."""
    ends = threading.Event()

    def run() -> None:
        while not ends.wait(every_seconds):
            act()

    act()
    doing = threading.Thread(target=run, daemon=True)
    doing.start()
    try:
        yield
    finally:
        ends.set()
        doing.join()


def step_scaling(stage: Stage) -> None:
    """A user's own metric every few seconds, an alarm of 10 s with the policy's ARN as its action: one task more."""
    arn = stage.put_policy(
        "surge",
        "StepScaling",
        AdjustmentType="ChangeInCapacity",
        StepAdjustments=[
            {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 100, "ScalingAdjustment": 1},
            {"MetricIntervalLowerBound": 100, "ScalingAdjustment": 3},
        ],
        Cooldown=TEST_SECONDS_MAX,
    )
    stage.cloudwatch.put_metric_alarm(
        AlarmName="orders-wait",
        **QUEUE,
        Statistic="Average",
        Period=10,
        EvaluationPeriods=1,
        Threshold=50,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[arn],
    )

    def wait_in_line(orders: float) -> None:
        stage.cloudwatch.put_metric_data(
            Namespace=QUEUE["Namespace"],
            MetricData=[{"MetricName": QUEUE["MetricName"], "Value": orders, "StorageResolution": 1}],
        )

    with meanwhile(lambda: wait_in_line(80.0), 2.0):
        done = stage.follows(2, "triggered policy surge")
    assert done["Cause"] == "monitor alarm orders-wait in state ALARM triggered policy surge"


def scheduled_action(stage: Stage) -> None:
    """A minute that begins in a few seconds needs three tasks."""
    due = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=4)
    stage.scaling.put_scheduled_action(
        **RESOURCE,
        ScheduledActionName="opening",
        Schedule=f"at({due:%Y-%m-%dT%H:%M:%S})",
        ScalableTargetAction={"MinCapacity": 3},
    )
    stage.follows(3, "minimum capacity was set to 3")
    told = stage.scaling.describe_scaling_activities(**RESOURCE)["ScalingActivities"]
    (ran,) = (one for one in told if one["Cause"] == "scheduled action name opening was triggered")
    assert (ran["StatusCode"], ran["Description"]) == ("Successful", "Setting min capacity to 3")
    (target,) = stage.scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (3, 5)


def customized(name: str) -> dict[str, Any]:
    """The metric of that name, as predictive scaling's specifications take it."""
    metric = {"Namespace": QUEUE["Namespace"], "MetricName": name}
    return {"MetricDataQueries": [{"Id": "m", "MetricStat": {"Metric": metric, "Stat": "Average"}}]}


def put_forecast(stage: Stage, mode: str) -> None:
    """300 orders for each task, forecast from the orders, and the orders and tasks of each hour."""
    specification = {
        "TargetValue": 300.0,
        "CustomizedLoadMetricSpecification": customized("Orders"),
        "CustomizedScalingMetricSpecification": customized("OrdersPerTask"),
        "CustomizedCapacityMetricSpecification": customized("Tasks"),
    }
    stage.put_policy("foresee", "PredictiveScaling", MetricSpecifications=[specification], Mode=mode)


def predictive_scaling(stage: Stage) -> None:
    """Two days of 1,200 orders a minute, told afterwards: four tasks are predicted, for the present hour, too."""
    hour = datetime.datetime.now(datetime.UTC).replace(minute=0, second=0, microsecond=0)
    for name, value in (("Orders", 1200.0), ("OrdersPerTask", 300.0), ("Tasks", 4.0)):
        points = [
            {"MetricName": name, "Value": value, "Timestamp": hour - datetime.timedelta(minutes=age)}
            for age in range(2, 48 * 60, 2)
        ]
        for some in (points[:1000], points[1000:]):
            stage.cloudwatch.put_metric_data(Namespace=QUEUE["Namespace"], MetricData=some)
    put_forecast(stage, "ForecastAndScale")
    done = stage.follows(4, "triggered policy foresee")
    assert done["Cause"].startswith("capacity 4 predicted for ")
    found = stage.scaling.get_predictive_scaling_forecast(
        **RESOURCE, PolicyName="foresee", StartTime=hour, EndTime=hour + datetime.timedelta(hours=2)
    )
    assert set(found["CapacityForecast"]["Values"]) == {4.0}, found


def target_tracking(stage: Stage, burn: load.Load) -> None:
    """Requests keep every task busy: as many tasks as there may be. No requests: as few, but for what is predicted."""
    installations.eventually(stage.is_deployed, FOLLOWS_SECONDS_MAX)  # else metrics of 20 s are refused
    stage.put_policy(
        "cpu",
        "TargetTrackingScaling",
        TargetValue=50.0,
        PredefinedMetricSpecification={"PredefinedMetricType": "ECSServiceAverageCPUUtilizationHighResolution"},
        ScaleOutCooldown=20,
        ScaleInCooldown=20,
    )
    with meanwhile(lambda: burn.aim(stage.addresses()), 1.0):
        out = stage.follows(5, "triggered policy cpu")
    burn.aim(())
    assert "-AlarmHigh-" in out["Cause"]
    stage.bounds(1, 5, scales_in=True)
    back = stage.follows(4, "triggered policy cpu")
    assert "-AlarmLow-" in back["Cause"]
    put_forecast(stage, "ForecastOnly")
    stage.follows(1, "triggered policy cpu")


@pytest.mark.timeout(TEST_SECONDS_MAX + 60)
@pytest.mark.parametrize("real", [("--scale-in-datapoints", "1")], indirect=True)
def test_each_kind_of_scaling_moves_real_containers(real: installations.Installation) -> None:
    stage = Stage(real)
    stage.make_service()
    stage.bounds(1, 5, scales_in=False)
    assert stage.counts() == (1, 1, 1)
    step_scaling(stage)
    scheduled_action(stage)
    predictive_scaling(stage)
    busybox = shutil.which("busybox")
    assert busybox is not None
    burn = load.Load(load.calibrate(busybox, CPU_SECONDS_PER_REQUEST, REQUESTS_PER_SECOND))
    burn.start()
    try:
        target_tracking(stage, burn)
    finally:
        burn.stop()
    why = real.output("explain", "service", SERVICE, "--since", "1h")
    for told in (
        "policy surge, alarm orders-wait: OrdersWaiting 80, threshold 50",
        "scheduled action name opening was triggered",
        "triggered policy foresee: ceil(1200",
        "policy cpu, AlarmHigh",
        "policy cpu, AlarmLow",
    ):
        assert told in " ".join(word for word in why.split() if word not in "│├──└"), why
