"""What PutMetricData and GetMetricData cost from request to answer, without HTTP, signature and disk.

Run: `python bench/bench_cloudwatch.py` (about ten seconds). On one core; figures are printed, none is asserted. The
bar for PutMetricData is 50,000 data/s on one core, all in all.
"""

from __future__ import annotations

import time
from typing import Any
from urllib import parse as urls

import botocore.serialize
import botocore.session
import msgspec

from roadstead.api import operation
from roadstead.api.cloudwatch import operations
from roadstead.base import scope
from roadstead.state import plan, store
from roadstead.wire import acceptance, requests, responses, services

NOW = 1_700_000_040.0
SERVICES = services.Services()
MODEL = botocore.session.get_session().get_service_model("cloudwatch")
TABLE = {one.name: one for one in operations.OPERATIONS}
CHECKERS = {name: acceptance.compile_checker(SERVICES, "cloudwatch", name, one.accepts) for name, one in TABLE.items()}
PROTOCOLS = ("json", "smithy-rpc-v2-cbor", "query")


def request_of(protocol: str, name: str, params: dict[str, Any]) -> requests.Request:
    """The request as botocore sends it."""
    made = botocore.serialize.create_serializer(protocol).serialize_to_request(params, MODEL.operation_model(name))
    body = made["body"]
    if isinstance(body, dict):
        body = urls.urlencode(body).encode()
    headers = {key.lower(): value for key, value in made["headers"].items()}
    headers["authorization"] = "AWS4-HMAC-SHA256 Credential=A/20240101/us-east-1/monitoring/aws4_request"
    return requests.Request(method="POST", path=made["url_path"], headers=headers, body=body)


class World:
    """A store and the way of a request to it."""

    def __init__(self) -> None:
        self._seeds = 0
        self.store = store.Store(scope.Scope(), self._seed)

    def _seed(self) -> int:
        self._seeds += 1
        return self._seeds

    def answer(self, request: requests.Request) -> responses.Response:
        call = requests.parse(SERVICES, request, "request-1")
        assert not CHECKERS[call.operation](call.params)
        asked = operation.Call(params=call.params, now=NOW, request_id="request-1")

        def decide(view: store.StoreView) -> tuple[plan.Plan, dict[str, Any]]:
            reply = TABLE[call.operation].decide(asked, view)
            return reply.plan, reply.output

        commit, output = self.store.transact(decide, NOW)
        if commit is not None:
            msgspec.msgpack.encode(commit.entry.data)  # what the journal's thread would do
        return responses.serialize(SERVICES, call, output)


def bench_put(protocol: str, count: int) -> None:
    world = World()
    data = [
        {
            "MetricName": f"Metric{number % 20}",
            "Value": float(number),
            "Unit": "Milliseconds",
            "Timestamp": NOW - number % 60,
            "Dimensions": [{"Name": "Host", "Value": f"host-{number % 50}"}, {"Name": "Zone", "Value": "a"}],
        }
        for number in range(count)
    ]
    request = request_of(protocol, "PutMetricData", {"Namespace": "Bench", "MetricData": data})
    rounds = max(3, 30_000 // count)
    world.answer(request)
    began = time.process_time()
    for _ in range(rounds):
        world.answer(request)
    took = time.process_time() - began
    per = took / rounds / count * 1e6
    print(f"PutMetricData of {count:4d} in {protocol:<20} {per:7.2f} us a datum  {1e6 / per:10,.0f} data/s")


def bench_get(protocol: str) -> None:
    world = World()
    for minute in range(1000):
        datum = {"MetricName": "Load", "Value": float(minute), "Timestamp": NOW - 60 * minute}
        world.answer(request_of("json", "PutMetricData", {"Namespace": "Bench", "MetricData": [datum]}))
    stat = {"Metric": {"Namespace": "Bench", "MetricName": "Load"}, "Period": 60, "Stat": "Average"}
    params = {
        "MetricDataQueries": [{"Id": "m", "MetricStat": stat}],
        "StartTime": NOW - 60_000,
        "EndTime": NOW + 60,
    }
    request = request_of(protocol, "GetMetricData", params)
    world.answer(request)
    began = time.process_time()
    for _ in range(100):
        world.answer(request)
    print(f"GetMetricData of 1,000 points in {protocol:<20} {(time.process_time() - began) * 10:7.2f} ms")


if __name__ == "__main__":
    for each in PROTOCOLS:
        for size in (1, 10, 1000):
            bench_put(each, size)
    for each in PROTOCOLS:
        bench_get(each)
