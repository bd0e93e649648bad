"""PutMetricData over HTTP, moto's server beside it: signed, in the protocol that boto3 speaks, durable on our side."""

from __future__ import annotations

import time
from typing import Any

from bench import figures, load, servers

RUNS = 3
CONNECTIONS = 16
SECONDS = 2.0
FIGURES = (
    figures.Figure("10", f"PutMetricData of 10 data, {CONNECTIONS} connections", "data/s", peer_name="moto 10"),
    figures.Figure("10 core", "  the same for each CPU second of the server", "data/s", figures.least(50_000)),
    figures.Figure("1000", f"PutMetricData of 1,000 data, {CONNECTIONS} connections", "data/s", peer_name="moto 1000"),
    figures.Figure("1000 core", "  the same for each CPU second of the server", "data/s", figures.least(50_000)),
    figures.Figure("get", "GetMetricData of 1,000 points, 1 connection", "requests/s", peer_name="moto get"),
)


def run(quick: bool) -> dict[str, float]:
    """Measure once."""
    found: dict[str, float] = {}
    seconds = 0.2 if quick else SECONDS
    with servers.temporary() as directory, servers.moto() as peer, servers.ours(directory / "data") as own:
        sides = [("", own)] if peer is None else [("moto ", peer), ("", own)]
        for label, server in sides:  # first: moto's reads look at all that was ever put
            _fill(server)
            found[f"{label}get"] = load.measure(server.address, [_get(server)], 1, seconds).rate
        for size in (10, 1000):
            for label, server in sides:
                requests = [_put(server, size, number) for number in range(10)]
                load.measure(server.address, requests, 1, 0.1)
                cpu = servers.cpu_seconds(server.pid)
                began = time.perf_counter()
                done = load.measure(server.address, requests, CONNECTIONS, seconds)
                took = time.perf_counter() - began
                cpu = servers.cpu_seconds(server.pid) - cpu
                found[f"{label}{size}"] = done.rate * size
                found[f"{label}{size} core"] = done.rate * took * size / max(cpu, 0.01)
    return found


def _datum(number: int) -> dict[str, Any]:
    return {
        "MetricName": f"Metric{number % 20}",
        "Value": float(number),
        "Unit": "Milliseconds",
        "Timestamp": time.time() - number % 60,
        "Dimensions": [{"Name": "Host", "Value": f"host-{number % 50}"}, {"Name": "Zone", "Value": "a"}],
    }


def _put(server: servers.Server, size: int, number: int) -> bytes:
    data = [_datum(number * size + one) for one in range(size)]
    return server.request("cloudwatch", "PutMetricData", Namespace="Bench", MetricData=data)


def _fill(server: servers.Server) -> None:
    now = time.time()
    data = [{"MetricName": "Load", "Value": 1.0 + age, "Timestamp": now - 60 * age} for age in range(1000)]
    server.client("cloudwatch").put_metric_data(Namespace="Filled", MetricData=data)


def _get(server: servers.Server) -> bytes:
    now = time.time()
    stat = {"Metric": {"Namespace": "Filled", "MetricName": "Load"}, "Period": 60, "Stat": "Average"}
    return server.request(
        "cloudwatch",
        "GetMetricData",
        MetricDataQueries=[{"Id": "m", "MetricStat": stat}],
        StartTime=now - 61_000,
        EndTime=now,
    )
