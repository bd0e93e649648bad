"""What reading, checking and answering a request costs, in microseconds: medians of many short runs."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import cbor2

from bench import figures
from roadstead.wire import acceptance, requests, responses, services, sigv4

RUNS = 1
ROUNDS = 60
CALLS_PER_RUN = 100
NOW = 1767323045.0
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


def microseconds(work: Callable[[], Any]) -> float:
    """The median cost of one call."""
    work()
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(CALLS_PER_RUN):
            work()
        taken.append((time.perf_counter() - began) / CALLS_PER_RUN)
    return statistics.median(taken) * 1e6


def task_definition() -> bytes:
    """A RegisterTaskDefinition of about 4 kB."""
    container = {
        "image": "registry.example.com/team/web:1.2.3",
        "cpu": 128,
        "memory": 256,
        "essential": True,
        "command": ["httpd", "-f", "-p", "80", "-h", "/srv/www"],
        "environment": [{"name": f"SETTING_{number}", "value": "value " * 4} for number in range(12)],
        "portMappings": [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}],
        "mountPoints": [{"sourceVolume": "data", "containerPath": "/data", "readOnly": True}],
    }
    body = {
        "family": "web",
        "networkMode": "bridge",
        "containerDefinitions": [{"name": f"c{number}", **container} for number in range(4)],
        "volumes": [{"name": "data", "host": {"sourcePath": "/srv/data"}}],
    }
    return json.dumps(body).encode()


def signed(target: str, body: bytes) -> requests.Request:
    headers = {
        "host": "127.0.0.1:4566",
        "x-amz-target": target,
        "content-type": "application/x-amz-json-1.1",
        "user-agent": "bench",
    }
    bare = requests.Request(method="POST", path="/", headers=headers, body=body)
    extra = sigv4.sign(bare, access_key_id="AKID", secret=SECRET, region="us-east-1", service="ecs", now=NOW)
    return requests.Request(method="POST", path="/", headers={**headers, **extra}, body=body)


def metric_data(data: int) -> requests.Request:
    datum = {
        "MetricName": "Requests",
        "Timestamp": cbor2.CBORTag(1, NOW),
        "Value": 12.5,
        "Unit": "Count",
        "Dimensions": [{"Name": "Service", "Value": "web"}, {"Name": "Cluster", "Value": "default"}],
    }
    return requests.Request(
        method="POST",
        path="/service/GraniteServiceVersion20100801/operation/PutMetricData",
        headers={"smithy-protocol": "rpc-v2-cbor", "content-type": "application/cbor"},
        body=cbor2.dumps({"Namespace": "bench", "MetricData": [datum] * data}),
    )


FIGURES = (
    figures.Figure("load", "load ECS's model, once", "µs"),
    figures.Figure("parse register", "RegisterTaskDefinition of 3 kB: parse and validate", "µs"),
    figures.Figure("parse list", "ListClusters: parse", "µs"),
    figures.Figure("verify small", "SigV4 verify, 2 bytes", "µs"),
    figures.Figure("verify register", "SigV4 verify, 3 kB", "µs"),
    figures.Figure("accept register", "RegisterTaskDefinition: are all its parameters supported", "µs"),
    figures.Figure("parse put", "PutMetricData, CBOR, 10 data: parse", "µs"),
    figures.Figure("serialize", "three tasks: serialize to JSON", "µs"),
)


def run(quick: bool) -> dict[str, float]:
    """Measure once; it is quick anyway."""
    began = time.perf_counter()
    known = services.Services()
    known.service("ecs")
    found = {"load": (time.perf_counter() - began) * 1e6}
    body = task_definition()
    register = signed("AmazonEC2ContainerServiceV20141113.RegisterTaskDefinition", body)
    small = signed("AmazonEC2ContainerServiceV20141113.ListClusters", b"{}")
    keys = sigv4.SigningKeys()
    unsupported = acceptance.compile_checker(known, "ecs", "RegisterTaskDefinition", {"family"})
    containers = "name image cpu memory essential command environment portMappings mountPoints"
    listed = {"family", "networkMode", "volumes.name", "volumes.host"}
    listed |= {f"containerDefinitions.{name}" for name in containers.split()}
    accepted = acceptance.compile_checker(known, "ecs", "RegisterTaskDefinition", listed)
    call = requests.parse(known, register, "id")
    assert accepted(call.params) == [] and unsupported(call.params) != []
    output = {"tasks": [{"taskArn": "arn:aws:ecs:us-east-1:123456789012:task/default/1", "lastStatus": "RUNNING"}] * 3}
    put = metric_data(10)
    works: tuple[tuple[str, Callable[[], Any]], ...] = (
        ("parse register", lambda: requests.parse(known, register, "id")),
        ("parse list", lambda: requests.parse(known, small, "id")),
        ("verify small", lambda: sigv4.verify(small, lambda _: SECRET, NOW, keys)),
        ("verify register", lambda: sigv4.verify(register, lambda _: SECRET, NOW, keys)),
        ("accept register", lambda: accepted(call.params)),
        ("parse put", lambda: requests.parse(known, put, "id")),
        ("serialize", lambda: responses.serialize(known, call, output)),
    )
    return {**found, **{name: microseconds(work) for name, work in works}}
