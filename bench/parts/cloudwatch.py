"""What PutMetricData and GetMetricData cost from request to answer, without HTTP, signature and disk; CPU time."""

from __future__ import annotations

import time
from typing import Any
from urllib import parse as urls

import botocore.serialize
import botocore.session
import msgspec

from bench import figures
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
RUNS = 3
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


def put(protocol: str, count: int, rounds: int) -> float:
    """Data a second."""
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
    world.answer(request)
    began = time.process_time()
    for _ in range(rounds):
        world.answer(request)
    return rounds * count / (time.process_time() - began)


def get(protocol: str, rounds: int) -> float:
    """Milliseconds for 1,000 points."""
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
    for _ in range(rounds):
        world.answer(request)
    return (time.process_time() - began) * 1e3 / rounds


SIZES = (10, 1000)
FIGURES = (
    *(
        figures.Figure(f"put {size} {protocol}", f"PutMetricData of {size} in {protocol}, operation alone", "data/s")
        for size in SIZES
        for protocol in PROTOCOLS
    ),
    *(
        figures.Figure(f"get {protocol}", f"GetMetricData of 1,000 points in {protocol}", "ms")
        for protocol in PROTOCOLS
    ),
)


def run(quick: bool) -> dict[str, float]:
    """Measure once."""
    found = {
        f"put {size} {protocol}": put(protocol, size, 3 if quick else max(3, 30_000 // size))
        for size in SIZES
        for protocol in PROTOCOLS
    }
    return {**found, **{f"get {protocol}": get(protocol, 3 if quick else 100) for protocol in PROTOCOLS}}
