"""What a task makes of its share: the formulas of queueing theory, and what must always hold."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadstead.lab import scenario, service_model


@pytest.mark.parametrize("load", [0.3, 0.9, 1.4])
def test_one_at_a_time_is_m_m_1_k(load: float) -> None:
    """P(drop) = (1-ρ)ρ^K / (1-ρ^(K+1)), with K = 1 served and 10 waiting."""
    found = service_model.solve(load, 1, 10, 50.0)
    assert found.dropped == pytest.approx((1 - load) * load**11 / (1 - load**12))
    assert found.served == pytest.approx(load * (1 - found.dropped))


def test_without_a_queue_it_is_erlang_b() -> None:
    """Erlang's own table: 10 servers, 7 erlang: 7.9 % are lost."""
    assert service_model.solve(0.7, 10, 0, 50.0).dropped == pytest.approx(0.0787, abs=0.0002)


def test_latency_is_service_alone_when_idle_and_a_whole_queue_when_full() -> None:
    assert service_model.solve(0.05, 8, 100, 50.0).latency_p99_seconds == pytest.approx(8 / 50)
    assert service_model.solve(3.0, 8, 100, 50.0).latency_p99_seconds == pytest.approx(8 / 50 + 100 / 50, abs=0.05)


@given(st.floats(0.0, 20.0), st.integers(1, 50), st.integers(0, 500))
def test_never_more_is_served_than_came_or_can_be(load: float, concurrency: int, queue: int) -> None:
    found = service_model.solve(load, concurrency, queue, 50.0)
    assert 0.0 <= found.dropped < 1.0
    assert 0.0 <= found.served <= min(load, 1.0) + 1e-9
    assert concurrency / 50.0 <= found.latency_p99_seconds <= (concurrency + queue + 1) / 50.0


def test_more_traffic_is_never_better() -> None:
    model = service_model.Model(scenario.Service(requests_per_second=50.0, cpu_seconds_per_request=0.02))
    found = [model.state(rate, 10) for rate in range(0, 1500, 10)]
    for before, after in itertools.pairwise(found):
        assert after.dropped >= before.dropped
        assert after.latency_p99_seconds >= before.latency_p99_seconds
        assert after.served >= before.served - 1e-9


def test_without_tasks_everything_is_dropped() -> None:
    model = service_model.Model(scenario.Service(requests_per_second=50.0, cpu_seconds_per_request=0.02))
    nobody = model.state(10.0, 0)
    assert (nobody.dropped, nobody.utilization) == (1.0, math.inf)
    assert model.state(0.0, 0).dropped == 0.0


def test_cpu_by_what_is_served() -> None:
    service = scenario.Service(
        requests_per_second=50.0, cpu_seconds_per_request=0.01, cpu_units=512, cpu_percent_idle=4.0
    )
    work = service_model.work_of(service, service_model.Model(service))
    assert work.cpu_cores(0.0, 4) == pytest.approx(0.02)
    assert work.cpu_cores(100.0, 4) == pytest.approx(0.02 + 25 * 0.01)
    assert work.cpu_cores(100_000.0, 4) == pytest.approx(0.02 + 50 * 0.01, abs=0.001)
    assert work.cpu_cores(100.0, 0) == 0.0
