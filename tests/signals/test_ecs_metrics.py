"""What agents measure becomes AWS/ECS's utilization, by the formulas and examples of ECS's guide."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadstead.signals import ecs_metrics as ecs
from roadstead.signals import metrics, series

NOW = 1_700_000_040.0
HOST = 4096.0  # four cores


def usage(cpu_units: float = 0.0, memory_mib: float = 0.0, host: float = HOST) -> ecs.TaskUsage:
    return ecs.TaskUsage(cpu_percent_of_host=cpu_units / host * 100.0, memory_mib=memory_mib)


def containers_of(cpu_units: int = 512, memory_mib: int = 1024) -> ecs.Reservation:
    return ecs.reservation(None, None, [ecs.ContainerReservation(cpu_units=cpu_units, memory_mib=memory_mib)])


@pytest.mark.parametrize(("used", "percent"), [(2048.0, 400.0), (128.0, 25.0), (512.0, 100.0), (0.0, 0.0)])
def test_the_guide_s_cpu_examples(used: float, percent: float) -> None:
    assert ecs.cpu_utilization(usage(used), HOST, containers_of()) == pytest.approx(percent)


def test_the_guide_s_memory_example() -> None:
    assert ecs.memory_utilization(usage(memory_mib=512.0), containers_of()) == 50.0


def test_task_level_cpu_is_a_cap() -> None:
    capped = ecs.reservation(512, None, [ecs.ContainerReservation(cpu_units=128, memory_mib=64)])
    assert ecs.cpu_utilization(usage(600.0), HOST, capped) == 100.0
    assert ecs.cpu_utilization(usage(128.0), HOST, capped) == pytest.approx(25.0)


def test_the_soft_limit_counts_before_the_hard_one_and_the_task_s_own_before_both() -> None:
    containers = [
        ecs.ContainerReservation(cpu_units=256, memory_mib=1000, memory_reservation_mib=300),
        ecs.ContainerReservation(cpu_units=0, memory_mib=200),
    ]
    assert ecs.reservation(None, None, containers) == ecs.Reservation(
        cpu_units=258.0, memory_mib=500.0, is_cpu_capped=False
    )
    assert ecs.reservation(1024, 2048, containers) == ecs.Reservation(
        cpu_units=1024.0, memory_mib=2048.0, is_cpu_capped=True
    )


def test_a_service_s_average_is_its_use_over_cpu_units_times_tasks() -> None:
    """Over a minute of three samples from two instances of different size."""
    store = series.SeriesStore()
    used = {0: [100.0, 300.0], 20: [200.0, 200.0], 40: [512.0, 0.0]}
    for second, (first, other) in used.items():
        at = NOW + second
        sampled = ecs.service_data("c", "web", [(usage(first, 100.0), containers_of())], HOST, at)
        sampled += ecs.service_data("c", "web", [(usage(other, 300.0, 1024.0), containers_of())], 1024.0, at)
        for datum in sampled:
            assert store.put(datum, at)
    names = ("Average", "Minimum", "Maximum", "SampleCount")
    of = metrics.metric("AWS/ECS", "CPUUtilization", [("ServiceName", "web"), ("ClusterName", "c")])
    (point,) = store.statistics(of, "Percent", NOW, NOW + 60, 60, names, NOW + 60)
    total = sum(sum(pair) for pair in used.values())
    assert point.values["Average"] == pytest.approx(total * 100.0 / (512 * 6))
    assert point.values["Minimum"] == 0.0
    assert point.values["Maximum"] == pytest.approx(100.0)
    assert point.values["SampleCount"] == 6.0, "3 x tasks"
    memory = metrics.metric("AWS/ECS", "MemoryUtilization", of.dimensions)
    (point,) = store.statistics(memory, None, NOW, NOW + 60, 60, ("Average",), NOW + 60)
    assert point.values["Average"] == pytest.approx(200.0 / 1024 * 100)


def test_only_the_metrics_asked_for_are_readable_each_20_seconds() -> None:
    store = series.SeriesStore()
    asked = frozenset({"CPUUtilization"})
    for second in (0, 20, 40):
        for datum in ecs.service_data("c", "web", [(usage(256.0, 1.0), containers_of())], HOST, NOW + second, asked):
            store.put(datum, NOW + second)
    dimensions = [("ServiceName", "web"), ("ClusterName", "c")]
    cpu, memory = (metrics.metric("AWS/ECS", name, dimensions) for name in ("CPUUtilization", "MemoryUtilization"))
    read = store.statistics(cpu, None, NOW, NOW + 60, 20, ("Average",), NOW + 60)
    assert [point.timestamp for point in read] == [NOW, NOW + 20, NOW + 40]
    assert store.statistics(memory, None, NOW, NOW + 60, 20, ("Average",), NOW + 60) == []
    assert len(store.statistics(memory, None, NOW, NOW + 60, 60, ("Average",), NOW + 60)) == 1


def test_no_task_publishes_nothing() -> None:
    assert ecs.service_data("c", "web", [], HOST, NOW) == []
    idle = ecs.instance_usage([], HOST, NOW)
    assert ecs.cluster_data("c", [idle], [ecs.InstanceCapacity(cpu_units=HOST, memory_mib=1024)], NOW) == []


def test_without_reserved_memory_there_is_no_memory_metric() -> None:
    data = ecs.service_data("c", "web", [(usage(1.0, 5.0), containers_of(memory_mib=0))], HOST, NOW)
    assert [datum.metric.name for datum in data] == ["CPUUtilization"]


def test_a_cluster_s_use_is_measured_against_all_that_is_registered() -> None:
    capacities = [ecs.InstanceCapacity(cpu_units=4096, memory_mib=8000)] * 2
    usages = [
        ecs.instance_usage([usage(1024.0, 500.0), usage(1024.0, 500.0)], HOST, NOW),
        ecs.instance_usage([], HOST, NOW - 10),
        ecs.instance_usage([usage(4096.0, 8000.0)], HOST, NOW - 61),  # silent for too long
    ]
    cpu, memory = ecs.cluster_data("c", usages, capacities, NOW)
    assert cpu.metric == metrics.metric("AWS/ECS", "CPUUtilization", [("ClusterName", "c")])
    assert (cpu.values, memory.values) == ((25.0,), (6.25,))
    assert (cpu.timestamp, cpu.unit, cpu.storage_resolution_seconds) == (NOW, "Percent", 60)
    assert ecs.cluster_data("c", usages, [], NOW) == []


def test_equal_tasks_are_counted_together() -> None:
    data = ecs.service_data("c", "web", [(usage(256.0), containers_of())] * 3, HOST, NOW)
    assert (data[0].values, data[0].counts) == ((50.0,), (3.0,))


@given(st.lists(st.floats(0, 4096), min_size=1, max_size=400))
def test_no_task_is_lost_on_the_way(used: list[float]) -> None:
    data = [
        datum
        for datum in ecs.service_data("c", "web", [(usage(each), containers_of()) for each in used], HOST, NOW)
        if datum.metric.name == "CPUUtilization"
    ]
    assert all(len(datum.values) <= 150 for datum in data)
    assert sum(sum(datum.counts) or len(datum.values) for datum in data) == len(used)
    weighted = sum(v * c for d in data for v, c in zip(d.values, d.counts or (1.0,) * len(d.values), strict=True))
    assert weighted == pytest.approx(sum(used) * 100 / 512)
