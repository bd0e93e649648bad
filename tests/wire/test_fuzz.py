"""Whatever comes in, what goes out is a call or a refusal that can be sent; nothing else is ever raised."""

from __future__ import annotations

import gzip
import json
from typing import Any
from urllib import parse as urls

import cbor2
import hypothesis
import msgspec
import pytest
from hypothesis import strategies

from roadstead.base import errors
from roadstead.wire import requests, responses, services, values

pytestmark = pytest.mark.slow  # thorough: `make check` leaves it to `make test`

SERVICES = services.Services()
SETTINGS = hypothesis.settings(max_examples=250, deadline=None, derandomize=True, database=None)

HEADERS: list[dict[str, str]] = [
    {"x-amz-target": "AmazonEC2ContainerServiceV20141113.RegisterTaskDefinition"},
    {"x-amz-target": "AmazonEC2ContainerServiceV20141113.ListClusters", "content-encoding": "gzip"},
    {"x-amz-target": "AnyScaleFrontendService.PutScalingPolicy"},
    {"x-amz-target": "GraniteServiceVersion20100801.PutMetricData", "content-type": "application/x-amz-json-1.0"},
    {"x-amz-target": "x"},
    {"content-type": "application/x-www-form-urlencoded"},
    {"content-type": "application/x-amz-json-1.1"},
    {"smithy-protocol": "rpc-v2-cbor", "content-type": "application/cbor"},
    {},
]
PATHS = [
    "/",
    "",
    "/x",
    "/service/GraniteServiceVersion20100801/operation/PutMetricData",
    "/service/GraniteServiceVersion20100801/operation/GetMetricStatistics",
    "/service/x/operation/y",
]
NAMES = strategies.sampled_from(
    ["family", "containerDefinitions", "name", "cpu", "environment", "value", "maxResults", "tags", "key", "PolicyName",
     "TargetTrackingScalingPolicyConfiguration", "TargetValue", "MetricData", "MetricName", "Timestamp", "Value",
     "Dimensions", "StartTime", "EndTime", "Period", "Statistics", "hookDetails"]
) | strategies.text(max_size=5)  # fmt: skip
SCALARS = (
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.floats()
    | strategies.text(max_size=8)
    | strategies.sampled_from(["NaN", "Infinity", 10**400, -(2**63), 2**63, 1e308, "\x00"])
)
TREES = strategies.recursive(
    SCALARS, lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(NAMES, inner, max_size=5)
)
JSON_BODIES = TREES.map(lambda tree: json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass"))
CBOR_TREES = strategies.recursive(
    SCALARS | strategies.binary(max_size=8) | strategies.datetimes(timezones=strategies.timezones()),
    lambda inner: (
        strategies.lists(inner, max_size=3)
        | strategies.dictionaries(NAMES | strategies.integers(), inner, max_size=5)
        | strategies.tuples(strategies.integers(0, 300), inner).map(lambda pair: cbor2.CBORTag(*pair))
    ),
)


def cbor_of(tree: Any) -> bytes:
    try:
        return cbor2.dumps(tree, datetime_as_timestamp=True)
    except (cbor2.CBORError, ValueError, UnicodeError):
        return b"\xa0"


def answered(request: requests.Request) -> None:
    target = requests.detect(SERVICES, request)
    try:
        call = requests.parse(SERVICES, request, "id")
    except errors.Refusal as refusal:
        sent = responses.refuse(SERVICES, target, refusal, "id")
        assert 400 <= sent.status < 500
        assert ("x-amzn-RequestId", "id") in sent.headers
        assert sent.body
        return
    assert (call.service, call.protocol) == (target.service, target.protocol)


@SETTINGS
@hypothesis.given(
    strategies.sampled_from(["GET", "POST", "PUT"]),
    strategies.sampled_from(PATHS),
    strategies.sampled_from(HEADERS),
    strategies.binary(max_size=60) | JSON_BODIES | CBOR_TREES.map(cbor_of),
    strategies.text(max_size=20) | strategies.just("Action=PutMetricData&Version=2010-08-01"),
)
def test_any_bytes_anywhere(method: str, path: str, headers: dict[str, str], body: bytes, query: str) -> None:
    if headers.get("content-encoding") == "gzip" and len(body) % 2:
        body = gzip.compress(body)
    answered(requests.Request(method=method, path=path, headers=headers, body=body, query=query))


@SETTINGS
@hypothesis.given(strategies.sampled_from(HEADERS[:4:2] + HEADERS[3:4]), JSON_BODIES)
def test_any_json(headers: dict[str, str], body: bytes) -> None:
    answered(requests.Request(method="POST", path="/", headers=headers, body=body))


@SETTINGS
@hypothesis.given(strategies.sampled_from(PATHS[3:]), CBOR_TREES.map(cbor_of) | strategies.binary(max_size=40))
def test_any_cbor(path: str, body: bytes) -> None:
    answered(requests.Request(method="POST", path=path, headers=HEADERS[7], body=body))


KEYS = strategies.lists(
    strategies.sampled_from(["MetricData", "member", "1", "0", "2", "-1", "Dimensions", "Value", "Tags", "", "é"]),
    max_size=7,
).map(".".join)


@SETTINGS
@hypothesis.given(
    strategies.sampled_from(["PutMetricData", "PutMetricAlarm", "GetMetricData", "é", ""]),
    strategies.lists(strategies.tuples(KEYS, strategies.text(max_size=8)), max_size=6),
    strategies.binary(max_size=10),
)
def test_any_form(action: str, pairs: list[tuple[str, str]], tail: bytes) -> None:
    pairs = [(name, value.encode("utf-8", "replace").decode()) for name, value in pairs]
    body = urls.urlencode([("Action", action), ("Version", "2010-08-01"), *pairs]).encode() + tail
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answered(requests.Request(method="POST", path="/", headers=headers, body=body))


def test_deep_and_long_bodies_are_refused_or_read() -> None:
    path = PATHS[3]
    for body in (
        b"\x81" * 100_000,
        b"\xd8\x1c" * 50_000,
        b"\xa1\x61a" * 100_000,
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
    ):
        answered(requests.Request(method="POST", path=path, headers=HEADERS[7], body=body))
    form = b"Action=PutMetricData&Version=2010-08-01&" + b"a." * 1_000_000 + b"=1"
    answered(requests.Request(method="POST", path="/", headers=HEADERS[5], body=form))
    many = b"Action=PutMetricData&Version=2010-08-01" + b"&a=1" * 300_000
    answered(requests.Request(method="POST", path="/", headers=HEADERS[5], body=many))


@SETTINGS
@hypothesis.given(TREES)
def test_what_the_quick_decoder_accepts_the_precise_reader_accepts_as_the_same(tree: Any) -> None:
    service = SERVICES.service("ecs")
    shape = "RegisterTaskDefinitionRequest"
    body = {"family": "f", "containerDefinitions": [], **(tree if isinstance(tree, dict) else {"tags": tree})}
    decoder, holds = requests._decoder(service, shape)
    try:
        quick = decoder.decode(json.dumps(body).encode())
    except (msgspec.MsgspecError, ValueError):
        return
    assert holds is not None
    if holds(quick):
        reader = values.Reader(service)
        assert reader.read(shape, msgspec.json.decode(json.dumps(body))) == quick
        assert reader.violations == []
