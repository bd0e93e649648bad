"""Telemetry as data points: whose, how often, at which resolution (behaviour.md 2.7; C11)."""

from __future__ import annotations

import msgspec
import pytest
from ecs_world import World, id_of

from roadstead.acs import telemetry as acs
from roadstead.control.sessions import telemetry
from roadstead.model import services
from roadstead.signals import metrics


def sample(*tasks: tuple[str, float], fin: bool = True, at: float = 1000.0) -> acs.PublishMetricsRequest:
    """Tasks' CPU in percent of the host; each holds 16 MiB."""

    def task(arn: str, cpu: float) -> acs.TaskMetric:
        container = acs.ContainerMetric(
            container_name="app",
            cpu_stats_set=acs.StatsSet(min=cpu, max=cpu, sum=2 * cpu, sample_count=2),
            memory_stats_set=acs.StatsSet(min=16, max=16, sum=16, sample_count=1),
        )
        return acs.TaskMetric(task_arn=arn, container_metrics=(container,))

    return acs.PublishMetricsRequest(
        metadata=acs.MetricsMetadata(fin=fin), timestamp=at, task_metrics=tuple(task(*one) for one in tasks)
    )


def publish(world: World, stream: telemetry.Stream, request: acs.PublishMetricsRequest) -> list[metrics.Datum]:
    plan = stream.publish_metrics(request, world.store.view(), world.now)
    assert not plan.writes
    return list(plan.data)


def of_service(data: list[metrics.Datum], name: str = "CPUUtilization") -> list[metrics.Datum]:
    return [one for one in data if one.metric.name == name and len(one.metric.dimensions) == 2]


def of_cluster(data: list[metrics.Datum]) -> list[metrics.Datum]:
    return [one for one in data if one.metric.name == "CPUUtilization" and len(one.metric.dimensions) == 1]


@pytest.fixture
def site(world: World) -> World:
    world.call("CreateService", serviceName="site", taskDefinition="web", desiredCount=2)
    return world


def test_each_tasks_value_counts_for_its_service(site: World) -> None:
    arn = site.join()
    stream = telemetry.Stream(telemetry.Board(), id_of(arn))
    one, two = site.service_task("site", arn), site.service_task("site", arn)
    (datum,) = of_service(publish(site, stream, sample((one, 5.0), (two, 10.0))))
    assert datum.metric.dimensions == (("ClusterName", "default"), ("ServiceName", "site"))
    # 128 units of 2048: 5 % of the host are 80 % of what the task reserved.
    assert datum.values == (80.0, 160.0) and datum.unit == "Percent"
    assert (datum.timestamp, datum.storage_resolution_seconds) == (1000.0, 60)


def test_a_sample_in_several_frames_is_one_for_the_cluster(site: World) -> None:
    arn = site.join()
    stream = telemetry.Stream(telemetry.Board(), id_of(arn))
    one, two = site.service_task("site", arn), site.service_task("site", arn)
    assert of_cluster(publish(site, stream, sample((one, 5.0), fin=False))) == []
    (datum,) = of_cluster(publish(site, stream, sample((two, 10.0))))
    assert datum.values == (15.0,)
    site.now += 20
    (datum,) = of_cluster(publish(site, stream, sample((one, 2.0), at=1020.0)))
    assert datum.values == (2.0,), "the next sample begins anew"


def test_a_cluster_publishes_once_a_sample_however_many_instances_report(site: World) -> None:
    board = telemetry.Board()
    arns = [site.join(), site.join()]
    streams = [telemetry.Stream(board, id_of(arn)) for arn in arns]
    tasks = [site.service_task("site", arn) for arn in arns]
    first = publish(site, streams[0], sample((tasks[0], 10.0)))
    second = publish(site, streams[1], sample((tasks[1], 30.0)))
    assert [one.values for one in of_cluster(first + second)] == [(5.0,)]
    site.now += 20
    later = publish(site, streams[0], sample((tasks[0], 10.0), at=1020.0))
    assert [one.values for one in of_cluster(later)] == [(20.0,)], "both instances' newest samples count"
    board.forget("default", id_of(arns[1]))
    site.now += 20
    alone = publish(site, streams[0], sample((tasks[0], 10.0), at=1040.0))
    assert [one.values for one in of_cluster(alone)] == [(5.0,)]


def test_the_services_monitoring_sets_the_resolution(site: World) -> None:
    configuration = {"metricNames": ["CPUUtilization"], "resolutionSeconds": 20}
    site.call("UpdateService", service="site", monitoring={"metricConfigurations": [configuration]})
    arn = site.join()
    stream = telemetry.Stream(telemetry.Board(), id_of(arn))
    data = publish(site, stream, sample((site.service_task("site", arn), 5.0)))
    assert [one.storage_resolution_seconds for one in of_service(data)] == [1]
    assert [one.storage_resolution_seconds for one in of_service(data, "MemoryUtilization")] == [60]
    assert site.get(services.Service, "default/site").spec.monitoring.resolution_seconds("CPUUtilization") == 20


def test_only_what_runs_here_counts(site: World) -> None:
    here, there = site.join(), site.join()
    stream = telemetry.Stream(telemetry.Board(), id_of(here))
    elsewhere = site.service_task("site", there)
    pending = site.run()
    unknown = elsewhere[:-32] + "0" * 32
    assert publish(site, stream, sample((elsewhere, 5.0), (pending, 5.0), (unknown, 5.0))) == []
    site.call("DeregisterContainerInstance", containerInstance=here, force=True)
    assert publish(site, stream, sample((elsewhere, 5.0))) == []


def test_an_agent_whose_clock_is_wrong_is_given_ours(site: World) -> None:
    arn = site.join()
    stream = telemetry.Stream(telemetry.Board(), id_of(arn))
    task = site.service_task("site", arn)
    assert {one.timestamp for one in publish(site, stream, sample((task, 5.0), at=5.0))} == {1000.0}
    assert {one.timestamp for one in publish(site, stream, sample((task, 5.0), at=990.0))} == {990.0}


def test_a_task_that_was_not_sampled_gives_nothing(site: World) -> None:
    arn = site.join()
    stream = telemetry.Stream(telemetry.Board(), id_of(arn))
    request = sample((site.service_task("site", arn), 5.0))
    empty = acs.TaskMetric(
        task_arn=request.task_metrics[0].task_arn,
        container_metrics=(acs.ContainerMetric(container_name="app", cpu_stats_set=acs.StatsSet()),),
    )
    assert publish(site, stream, msgspec.structs.replace(request, task_metrics=(empty,))) == []
