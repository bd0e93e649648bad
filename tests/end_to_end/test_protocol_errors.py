"""Everything that a client can get wrong, sent to a real server: each gets the error that AWS gives, none a 500, and
the server's log never has a traceback.
"""

from __future__ import annotations

import functools
import json
import pathlib
import random
import re
import time
from collections.abc import Iterator
from typing import Any

import botocore.awsrequest
import botocore.credentials
import botocore.exceptions
import botocore.session
import pytest
from botocore import auth as botocore_auth
from tests.end_to_end import callers, conftest, installations

pytestmark = pytest.mark.slow

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
FUZZ_REQUESTS = 600
FUZZ_SECONDS_MAX = 15.0
SERVED = {
    "ecs": ["CreateCluster", "RegisterTaskDefinition", "RunTask", "CreateService", "UpdateService", "DescribeTasks"],
    "application-autoscaling": ["RegisterScalableTarget", "PutScalingPolicy", "DescribeScalingActivities"],
    "cloudwatch": ["PutMetricData", "GetMetricData", "PutMetricAlarm", "DescribeAlarms", "GetMetricStatistics"],
}


@pytest.fixture(scope="module")
def server() -> Iterator[installations.Installation]:
    """One for all of these tests: none of them may harm it."""
    with conftest.installed("--ephemeral", runtime="simulated") as one:
        one.client("ecs").register_task_definition(
            family="known", containerDefinitions=[{"name": "main", "image": "box", "memory": 16}]
        )
        yield one


@pytest.fixture
def caller(server: installations.Installation) -> Iterator[callers.Caller]:
    """Afterwards the server lives and its log has nothing of a bug."""
    one = callers.Caller(server)
    yield one
    assert one.call("ecs", "ListClusters", {}).status == 200
    log = (server.data_dir / "log" / "server.log").read_text()
    assert "Traceback" not in log and "ERROR" not in log and "CRITICAL" not in log, log[-4_000:]


def check_refused(answer: callers.Answer, code: str, status: int = 400) -> None:
    assert (answer.status, answer.code) == (status, code), answer.body
    assert answer.message and "Traceback" not in answer.message
    assert UUID.match(answer.headers["x-amzn-requestid"])


@pytest.mark.parametrize("service", list(SERVED))
def test_what_is_unknown_or_malformed(caller: callers.Caller, service: str) -> None:
    operation = SERVED[service][0]
    check_refused(caller.call(service, "NoSuchThing", {}), "UnknownOperationException")
    for body in (b"{", b"\xff\x00", b"[" * 100_000, b"[]", b'"text"', b"{}{}", b"nul", b"\x00" * 100):
        check_refused(caller.call(service, operation, body), "SerializationException")


def test_an_unknown_service(caller: callers.Caller) -> None:
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "Nobody_20200101.ListThings"}
    check_refused(caller.send(headers=caller.sign(headers, b"{}"), body=b"{}"), "UnknownOperationException", 404)
    answer = caller.send(headers=caller.sign({}, b"Action=ListUsers&Version=2010-05-08", signing_name="iam"))
    assert 400 <= answer.status < 500


@pytest.mark.parametrize(
    ("service", "operation", "params", "code"),
    [
        # wrong types
        ("ecs", "ListClusters", {"maxResults": "many"}, "SerializationException"),
        ("ecs", "RunTask", {"taskDefinition": 7}, "SerializationException"),
        ("ecs", "RegisterTaskDefinition", {"family": "x", "containerDefinitions": {}}, "SerializationException"),
        ("application-autoscaling", "RegisterScalableTarget", {"MinCapacity": "one"}, "SerializationException"),
        ("cloudwatch", "PutMetricData", {"Namespace": ["x"], "MetricData": []}, "SerializationException"),
        # missing members
        ("ecs", "DescribeTasks", {}, "InvalidParameterException"),
        ("ecs", "RunTask", {}, "InvalidParameterException"),
        ("ecs", "RegisterTaskDefinition", {"family": "x"}, "ClientException"),
        ("application-autoscaling", "DescribeScalableTargets", {}, "ValidationException"),
        ("application-autoscaling", "RegisterScalableTarget", {"ServiceNamespace": "ecs"}, "ValidationException"),
        # constraints
        ("application-autoscaling", "DescribeScalableTargets", {"ServiceNamespace": "nonsense"}, "ValidationException"),
        ("ecs", "RunTask", {"taskDefinition": "known", "count": 11}, "InvalidParameterException"),
        ("ecs", "CreateCluster", {"clusterName": "a b/c"}, "InvalidParameterException"),
        ("ecs", "ListTasks", {"desiredStatus": "SOMETIMES"}, "InvalidParameterException"),
        ("ecs", "ListClusters", {"nextToken": "made up"}, "InvalidParameterException"),
        # what is not supported, and what does not exist
        ("ecs", "CreateCluster", {"capacityProviders": ["x"]}, "InvalidParameterException"),
        ("ecs", "DescribeServices", {"cluster": "nowhere", "services": ["x"]}, "ClusterNotFoundException"),
        ("ecs", "UpdateService", {"service": "nothing", "desiredCount": 1}, "ServiceNotFoundException"),
    ],
)
def test_wrong_types_missing_members_and_violated_constraints(
    caller: callers.Caller, service: str, operation: str, params: dict[str, Any], code: str
) -> None:
    check_refused(caller.call(service, operation, params), code)


def test_cloudwatchs_own_words(server: installations.Installation, caller: callers.Caller) -> None:
    """boto3's newest protocol (RPC v2 CBOR or JSON 1.0) sees AWS's codes for CloudWatch."""
    cloudwatch = server.client("cloudwatch")
    alarm = {"AlarmName": "x", "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1, "Threshold": 1.0}
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        cloudwatch.put_metric_alarm(**alarm)
    assert caught.value.response["Error"]["Code"] in ("ValidationError", "MissingParameter"), caught.value.response
    with pytest.raises(cloudwatch.exceptions.InvalidParameterValueException):
        cloudwatch.put_metric_data(Namespace="AWS/ECS", MetricData=[{"MetricName": "x", "Value": 1.0}])


def test_a_body_over_ten_mebibytes(caller: callers.Caller) -> None:
    limit = 10 * 1024 * 1024
    answer = caller.call("ecs", "ListClusters", b" " * (limit + 1))
    assert answer.status == 413 and b"10485760" in answer.body
    assert caller.call("ecs", "ListClusters", b" " * (limit - 2) + b"{}").status == 200


def test_signatures(server: installations.Installation, caller: callers.Caller) -> None:
    prefix, content_type, _ = callers.TARGETS["ecs"]
    headers = {"content-type": content_type, "x-amz-target": f"{prefix}.ListClusters"}
    check_refused(caller.send(headers=headers, body=b"{}"), "MissingAuthenticationTokenException")
    good = caller.sign(headers, b"{}")
    check_refused(caller.send(headers=good, body=b'{"maxResults": 1}'), "InvalidSignatureException")
    spoiled = {**good, "authorization": good["authorization"][:-4] + "0000"}
    check_refused(caller.send(headers=spoiled, body=b"{}"), "InvalidSignatureException")
    for value in ("", "Basic eDp5", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=, SignedHeaders=, Signature="):
        answer = caller.send(headers={**good, "authorization": value}, body=b"{}")
        assert 400 <= answer.status < 404, (value, answer)
        assert answer.code in ("IncompleteSignatureException", "MissingAuthenticationTokenException"), answer
    for skew_seconds in (-16 * 60, 16 * 60):
        answer = caller.call("ecs", "ListClusters", {}, now=time.time() + skew_seconds)
        check_refused(answer, "InvalidSignatureException")
        assert "Signature expired" in answer.message or "Signature not yet current" in answer.message
    for skew_seconds in (-14 * 60, 14 * 60):
        assert caller.call("ecs", "ListClusters", {}, now=time.time() + skew_seconds).status == 200
    check_refused(caller.call("ecs", "ListClusters", {}, region="eu-west-1"), "InvalidSignatureException")
    check_refused(caller.call("ecs", "ListClusters", {}, signing_name="monitoring"), "InvalidSignatureException")
    unknown = {"aws_access_key_id": "AKIAUNKNOWNUNKNOWN00"}
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        server.client("ecs", **unknown).list_clusters()
    assert caught.value.response["Error"]["Code"] == "UnrecognizedClientException"


def test_presigned_requests(server: installations.Installation, caller: callers.Caller) -> None:
    url = server.client("sts").generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    path = url.removeprefix(server.endpoint)
    answer = caller.send("GET", path)
    assert answer.status == 200 and b"arn:aws:iam::123456789012:root" in answer.body
    answer = caller.send("GET", path[:-4] + "0000")
    assert answer.status == 403 and b"SignatureDoesNotMatch" in answer.body
    old = re.sub(r"X-Amz-Expires=60", "X-Amz-Expires=6000000", path)
    assert caller.send("GET", old).status in (400, 403)
    made = _presign(server, expires_seconds=1)
    time.sleep(2.1)
    answer = caller.send("GET", made)
    assert answer.status == 403 and b"expired" in answer.body.lower(), answer


def _presign(server: installations.Installation, expires_seconds: int) -> str:
    pair = botocore.credentials.Credentials(server.keys["access_key_id"], server.keys["secret_access_key"])
    request = botocore.awsrequest.AWSRequest(
        method="GET", url=f"{server.endpoint}/?Action=GetCallerIdentity&Version=2011-06-15"
    )
    botocore_auth.SigV4QueryAuth(pair, "sts", "us-east-1", expires=expires_seconds).add_auth(request)
    return str(request.prepare().url).removeprefix(server.endpoint)


def test_a_reset_wipes_an_ephemeral_server_and_only_that(
    server: installations.Installation, caller: callers.Caller
) -> None:
    ecs = server.client("ecs")
    ecs.create_cluster(clusterName="short-lived")
    began = time.monotonic()
    assert caller.send("POST", "/_roadstead/reset").status == 200
    assert time.monotonic() - began < 1.0
    names = [arn.rsplit("/", 1)[-1] for arn in ecs.list_clusters()["clusterArns"]]
    assert names == ["default"]
    assert server.up is not None
    server.up.wait_for("agent connected")
    assert len(ecs.list_container_instances()["containerInstanceArns"]) == 1
    foreign = caller.send("POST", "/_roadstead/reset", {"origin": "http://evil.example"})
    assert foreign.status == 403
    assert caller.send("GET", "/_roadstead/reset").status in (404, 405)
    with conftest.installed(runtime="simulated") as keeps:
        keeps.client("ecs").create_cluster(clusterName="kept")
        answer = callers.Caller(keeps).send("POST", "/_roadstead/reset")
        assert answer.status == 404 and b"--ephemeral" in answer.body
        assert len(keeps.client("ecs").list_clusters()["clusterArns"]) == 2


# ------------------------------------------------------------------------------------------ random bytes

WORDS = [
    *(
        b"GET",
        b"POST",
        b" / ",
        b" /?a=%zz&b ",
        b" //../.. ",
        b"HTTP/1.1",
        b"HTTP/9.9",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b":",
    ),
    *(
        b"content-length: 5",
        b"content-length: -1",
        b"content-length: 5, 6",
        b"transfer-encoding: chunked",
        b"5\r\nabcde",
    ),
    *(
        b"0\r\n\r\n",
        b"ffffffffffffffffffff\r\n",
        b"host: x",
        b"connection: upgrade",
        b"upgrade: websocket",
        b"\x00",
        b"{}",
    ),
    *(b"expect: 100-continue", b"x-amz-target: AmazonEC2ContainerServiceV20141113.RunTask", b"a" * 70_000, b"\xff\xfe"),
    *(b"smithy-protocol: rpc-v2-cbor", b" /service/X/operation/PutMetricData ", b" /_roadstead/explain ", b" /acs/ws "),
    *(b"content-type: application/x-www-form-urlencoded", b"Action=ListMetrics", b"authorization: AWS4-HMAC-SHA256 x"),
]


def spoil(chance: random.Random, data: bytes) -> bytes:
    """A few bytes changed, taken away, doubled."""
    spoiled = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(spoiled) + 1)
        match chance.randrange(4):
            case 0:
                spoiled[at:at] = chance.randbytes(chance.randint(1, 8))
            case 1:
                del spoiled[at : at + chance.randint(1, 20)]
            case 2:
                spoiled[at : at + 1] = chance.randbytes(1)
            case _:
                spoiled[at:at] = chance.choice(WORDS)
    return bytes(spoiled)


def check_is_no_fault(answer: bytes, sent: bytes) -> None:
    """Whatever was sent: silence, or HTTP that is no fault of the server's."""
    for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer):
        assert int(status) < 500, (sent, answer)
    assert b"Traceback" not in answer


def test_random_bytes_over_http(caller: callers.Caller) -> None:
    chance = random.Random(4566)
    ends_at = time.monotonic() + FUZZ_SECONDS_MAX
    plain = b'POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: A.B\r\ncontent-length: 14\r\n\r\n{"cluster": ""}'
    for number in range(FUZZ_REQUESTS):
        if time.monotonic() > ends_at:
            break
        match number % 3:
            case 0:
                sent = chance.randbytes(chance.randint(1, 400))
            case 1:
                sent = b"".join(chance.choice(WORDS) for _ in range(chance.randint(1, 14)))
            case _:
                sent = spoil(chance, plain)
        check_is_no_fault(caller.throw(sent), sent)
    assert number > 100, "the server is slower than it may be"


@pytest.mark.parametrize("service", list(SERVED))
def test_random_bodies_with_good_signatures(caller: callers.Caller, service: str) -> None:
    chance = random.Random(service)
    good = {
        "RunTask": {"taskDefinition": "x:1", "count": 2, "tags": [{"key": "a", "value": "b"}]},
        "PutMetricData": {"Namespace": "X", "MetricData": [{"MetricName": "m", "Value": 1.5, "Timestamp": 1.7e9}]},
        "RegisterScalableTarget": {"ServiceNamespace": "ecs", "ResourceId": "service/a/b", "MinCapacity": 1},
    }
    for _ in range(120):
        operation = chance.choice(SERVED[service])
        body = json.dumps(good.get(operation, {"cluster": "x", "maxResults": 5})).encode()
        answer = caller.call(service, operation, spoil(chance, body))
        assert answer.status < 500, (operation, body, answer)
        assert answer.status == 200 or answer.code, answer
        strange = {name: _value(chance, 0) for name in _members(service, operation)}
        answer = caller.call(service, operation, strange)
        assert answer.status < 500, (operation, strange, answer)


@functools.cache
def _members(service: str, operation: str) -> list[str]:
    shape = botocore.session.get_session().get_service_model(service).operation_model(operation).input_shape
    return list(shape.members)


def _value(chance: random.Random, depth: int) -> Any:
    """Any JSON there is."""
    plain: list[Any] = [None, True, -1, 0, 2**70, 1e308, "", "x" * 300, "arn:aws:ecs:::", "\u0000", "ü/:*", [], {}]
    if depth > 2 or chance.random() < 0.6:
        return chance.choice(plain)
    if chance.random() < 0.5:
        return [_value(chance, depth + 1) for _ in range(chance.randint(1, 3))]
    return {chance.choice(["name", "value", "key", "type", ""]): _value(chance, depth + 1) for _ in range(2)}


def test_keys_are_for_their_owner_alone(server: installations.Installation) -> None:
    mode = pathlib.Path(server.data_dir / "credentials.json").stat().st_mode
    assert mode & 0o777 == 0o600
