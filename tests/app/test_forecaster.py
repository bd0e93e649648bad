"""Forecasts are computed by another process, and written as if they had been computed here."""

from __future__ import annotations

import asyncio
import pathlib
import subprocess
import sys
from typing import Any

import boto3

from roadstead.app import forecaster, server, settings
from roadstead.base import clock, scope
from roadstead.control import forecasting
from roadstead.model import predictive, services
from roadstead.signals import ecs_metrics, metrics
from roadstead.state import plan, store

HOUR = 3600.0
NOW = 1_700_006_400.0
IDENTITY = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/default/web",
    "ScalableDimension": "ecs:service:DesiredCount",
}
FAILS = (sys.executable, "-c", "import sys; sys.stdin.readline()")


def asked(name: str = "p") -> predictive.Forecast:
    return predictive.Forecast(
        namespace="ecs",
        resource_id="service/default/web",
        dimension="ecs:service:DesiredCount",
        policy_name=name,
        policy_id="id",
        target_key="ecs|service/default/web|ecs:service:DesiredCount",
        metrics=predictive.PredictiveMetrics(pair=predictive.PredictiveMetric(predefined="ECSServiceCPUUtilization")),
        history=predictive.History(begun_at=NOW, begin=NOW - 48 * HOUR, load=tuple(float(n % 24) for n in range(48))),
        asked_at=NOW,
    )


def make(*forecasts: predictive.Forecast) -> store.Store:
    kept = store.Store(scope.Scope(), lambda: 1)
    draft = plan.Draft(kept.view())
    for one in forecasts:
        draft.put(one)
    kept.commit(draft.plan(), NOW)
    return kept


async def answers(
    kept: store.Store, *names: str, command: tuple[str, ...] = forecaster.WORKER
) -> list[predictive.Forecast]:
    """What stands in the records once all are answered; one of them is asked for only when it runs."""
    one = forecaster.Forecaster(kept, clock.SystemClock(), command)
    done = asyncio.Event()

    def note(_: store.Commit) -> None:
        if all(not found(kept, name).is_asked for name in names):
            done.set()

    kept.watch(note)
    one.start()
    await asyncio.wait_for(done.wait(), 60)
    await one.stop()
    return [found(kept, name) for name in names]


def found(kept: store.Store, name: str) -> predictive.Forecast:
    one = kept.view().get(predictive.Forecast, asked(name).key)
    assert one is not None
    return one


async def test_what_was_asked_before_the_start_is_answered_as_a_simulation_would() -> None:
    kept = make(asked("p"), asked("q"))
    for one in await answers(kept, "p", "q"):
        question = forecasting.question_of(asked())
        assert question is not None
        assert one.newest == forecasting.compute(question)


async def test_a_worker_that_dies_is_told_and_the_next_question_gets_a_new_one() -> None:
    kept = make(asked("p"), asked("q"))
    for one in await answers(kept, "p", "q", command=FAILS):
        assert one.newest is None
        assert one.answer is not None and "failed" in (one.answer.problem or "")


def client(one: server.Server, service: str) -> Any:
    assert one.keys is not None
    return boto3.client(
        service,
        endpoint_url=one.endpoint,
        region_name="us-east-1",
        aws_access_key_id=one.keys.access_key_id,
        aws_secret_access_key=one.keys.secret_access_key,
    )


def set_up(one: server.Server, policy: dict[str, Any]) -> None:
    """A service of one task with a predictive policy, as a user makes it."""
    ecs, scaling = client(one, "ecs"), client(one, "application-autoscaling")
    ecs.create_cluster(clusterName="default")
    ecs.register_task_definition(family="web", containerDefinitions=[{"name": "a", "image": "a", "memory": 8}])
    ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=1)
    scaling.register_scalable_target(**IDENTITY, MinCapacity=1, MaxCapacity=20)
    scaling.put_scaling_policy(
        **IDENTITY,
        PolicyName="foresee",
        PolicyType="PredictiveScaling",
        PredictiveScalingPolicyConfiguration=policy,
    )


async def test_a_server_forecasts_and_scales(tmp_path: pathlib.Path) -> None:
    one = server.Server(settings.Settings(port=0, data_dir=tmp_path / "data"))
    await one.start()
    scaled = asyncio.Event()

    def note(_: store.Commit) -> None:
        service = one.store.view().get(services.Service, services.service_key("default", "web"))
        if service is not None and service.spec.desired_count == 10:
            scaled.set()

    one.store.watch(note)
    now = clock.SystemClock().now()
    metric = ecs_metrics.metric("CPUUtilization", "default", "web")
    data = [
        metrics.Datum(metric=metric, timestamp=now - 60 * n, values=(60.0,), counts=(30.0,), unit="Percent")
        for n in range(1, 50 * 60)
    ]
    one.store.commit(plan.Plan(data=tuple(data)), now)
    pair = {"PredefinedMetricPairSpecification": {"PredefinedMetricType": "ECSServiceCPUUtilization"}}
    policy = {"Mode": "ForecastAndScale", "MetricSpecifications": [{"TargetValue": 60.0, **pair}]}
    await asyncio.to_thread(set_up, one, policy)
    await asyncio.wait_for(scaled.wait(), 60)
    asked = {"PolicyName": "foresee", "StartTime": now, "EndTime": now + 4 * HOUR}
    answer = await asyncio.to_thread(
        lambda: client(one, "application-autoscaling").get_predictive_scaling_forecast(**IDENTITY, **asked)
    )
    await one.stop()
    assert answer["CapacityForecast"]["Values"] == [10.0] * 4


def test_what_a_server_imports_has_no_libraries_for_forecasts_in_it() -> None:
    """They would double its start and its memory."""
    code = "import sys, roadstead.app.all_in_one, roadstead.cli.main; print({'numpy', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"
