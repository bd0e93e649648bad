"""Readings become statistic sets: percent of the whole host, MiB, at most ten tasks a message."""

from __future__ import annotations

from typing import Any

import pytest
from stage import a_task, container

from roadstead.acs import tasks, telemetry
from roadstead.agent import records, runtime, stats
from roadstead.base import ids


def reading(container_id: str, at: float, cpu: float, mib: int = 10, rx: int = 0) -> runtime.Usage:
    return runtime.Usage(
        container_id=container_id, read_at=at, cpu_seconds_total=cpu, memory_bytes=mib << 20, network_rx_bytes=rx
    )


def running(*numbers: int, **members: Any) -> list[tuple[tasks.Task, list[records.ContainerState]]]:
    found = []
    for number in numbers:
        state = records.new_task(a_task(number, container(**members)), 0.0)
        state.containers[0].container_id = f"c{number}"
        found.append((state.task, state.containers))
    return found


def test_percent_of_the_whole_host_and_mib() -> None:
    sampler = stats.Sampler(cores=4)
    for step, (cpu, mib, rx) in enumerate([(10, 10, 0), (12, 20, 100), (22, 30, 150), (22, 40, 150), (32, 50, 400)]):
        sampler.add([reading("c1", 1000 + 5 * step, cpu, mib, rx)])
    (metric,) = sampler.publish(running(1))
    assert (metric.task_definition_family, metric.task_definition_version) == ("web", "3")
    (found,) = metric.container_metrics
    # 2, 10, 0 and 10 core-seconds in 5 s of a host with 4 cores
    assert found.cpu_stats_set == telemetry.StatsSet(min=0, max=50, sum=110, sample_count=4)
    assert found.memory_stats_set == telemetry.StatsSet(min=20, max=50, sum=140, sample_count=4)
    assert found.network_stats_set is not None and found.network_stats_set.rx_bytes is not None
    assert found.network_stats_set.rx_bytes.sum == 400
    assert found.restart_stats_set is None


def test_a_publication_begins_anew_but_keeps_the_last_reading() -> None:
    sampler = stats.Sampler(cores=1)
    sampler.add([reading("c1", 0, 0)])
    assert sampler.publish(running(1)) == [], "one reading is no rate"
    sampler.add([reading("c1", 5, 5)])
    assert sampler.publish(running(1))[0].container_metrics[0].cpu_stats_set == telemetry.StatsSet(
        min=100, max=100, sum=100, sample_count=1
    )
    assert sampler.publish(running(1)) == []
    assert sampler.publish([]) == []
    sampler.add([reading("c1", 10, 10)])
    assert sampler.publish(running(1)) == [], "it was forgotten when it no longer ran"


def test_a_restarted_container_or_a_clock_that_was_set_is_a_new_beginning() -> None:
    sampler = stats.Sampler(cores=1)
    for at, cpu in ((0, 100), (5, 1), (10, 2), (9, 3)):
        sampler.add([reading("c1", at, cpu)])
    policy = tasks.RestartPolicy(enabled=True)
    ((_, (state,)),) = alive = running(1, restart_policy=policy)
    state.restart_count = 2
    (found,) = sampler.publish(alive)[0].container_metrics
    assert found.cpu_stats_set is not None and found.cpu_stats_set.sample_count == 1
    assert found.cpu_stats_set.sum == pytest.approx(20)
    assert found.restart_stats_set == telemetry.RestartStatsSet(restart_count=2)


def test_without_a_connection_the_oldest_readings_go() -> None:
    sampler = stats.Sampler(cores=1)
    for step in range(stats.SAMPLES_MAX + 50):
        sampler.add([reading("c1", step, 0)])
    (found,) = sampler.publish(running(1))[0].container_metrics
    assert found.cpu_stats_set is not None and found.cpu_stats_set.sample_count == stats.SAMPLES_MAX


def test_ten_tasks_a_message_fin_on_the_last_and_idle_alone() -> None:
    sampler = stats.Sampler(cores=1)
    numbers = range(1, 24)
    for at in (0, 5):
        sampler.add([reading(f"c{number}", at, at) for number in numbers])
    metrics = sampler.publish(running(*numbers))
    made = stats.metrics_requests(metrics, "default", "arn:i", False, 5.0, ids.Ids(1))
    assert [len(each.task_metrics) for each in made] == [10, 10, 3]
    assert [each.metadata.fin for each in made] == [False, False, True]
    assert len({each.metadata.message_id for each in made}) == 1
    (idle,) = stats.metrics_requests([], "default", "arn:i", True, 5.0, ids.Ids(1))
    assert idle.metadata.idle and idle.metadata.fin and idle.task_metrics == ()
    assert stats.metrics_requests([], "default", "arn:i", False, 5.0, ids.Ids(1)) == [], "it runs, without a rate yet"
    assert stats.health_requests([], "default", "arn:i", 5.0, ids.Ids(1)) == []
    health = [telemetry.TaskHealth(task_arn=str(number)) for number in numbers]
    assert [each.metadata.fin for each in stats.health_requests(health, "d", "i", 5.0, ids.Ids(1))] == [
        False,
        False,
        True,
    ]
