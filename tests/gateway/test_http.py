"""The front door over real HTTP: who is let in, what is refused in which words, and that nothing is a bare 500."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import re
import socket
import time
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import pytest
from gateway_caller import Caller, Start

from roadstead.api import operation as operations
from roadstead.base import errors
from roadstead.state import plan, view

TARGET = "AmazonEC2ContainerServiceV20141113"
JSON = "application/x-amz-json-1.1"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


def client(caller: Caller, service: str, **values: Any) -> Any:
    pair = caller.server.keys
    assert pair is not None
    arguments = {
        "endpoint_url": caller.server.endpoint,
        "region_name": "us-east-1",
        "aws_access_key_id": pair.access_key_id,
        "aws_secret_access_key": pair.secret_access_key,
        "config": botocore.config.Config(retries={"total_max_attempts": 1}),
        **values,
    }
    return boto3.client(service, **arguments)


async def test_boto3_learns_who_it_is(caller: Caller) -> None:
    found = await asyncio.to_thread(lambda: client(caller, "sts").get_caller_identity())
    assert found["Arn"] == "arn:aws:iam::123456789012:root" and found["Account"] == "123456789012"
    assert UUID.match(found["ResponseMetadata"]["RequestId"])


async def test_boto3_writes_and_reads(caller: Caller) -> None:
    def use() -> tuple[Any, Any]:
        ecs = client(caller, "ecs")
        return ecs.create_cluster(clusterName="one"), ecs.list_clusters()

    made, listed = await asyncio.to_thread(use)
    assert made["cluster"]["status"] == "ACTIVE"
    assert listed["clusterArns"] == [made["cluster"]["clusterArn"]]


async def refusal_of(caller: Caller, service: str, method: str, values: dict[str, Any], **params: Any) -> Any:
    def use() -> Any:
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            getattr(client(caller, service, **values), method)(**params)
        return caught.value

    return await asyncio.to_thread(use)


async def test_a_wrong_secret_an_unknown_key_and_a_foreign_region_are_refused(caller: Caller) -> None:
    wrong = await refusal_of(caller, "ecs", "list_clusters", {"aws_secret_access_key": "wrong"})
    assert wrong.response["Error"]["Code"] == "InvalidSignatureException"
    unknown = await refusal_of(caller, "sts", "get_caller_identity", {"aws_access_key_id": "AKIAUNKNOWN"})
    assert unknown.response["Error"]["Code"] == "InvalidClientTokenId"
    assert unknown.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    foreign = await refusal_of(caller, "ecs", "list_clusters", {"region_name": "eu-west-1"})
    assert "--region eu-west-1" in str(foreign)


async def test_a_signature_for_another_service_is_refused(caller: Caller) -> None:
    headers = {"content-type": JSON, "x-amz-target": f"{TARGET}.ListClusters"}
    status, _, answer = await caller.send(headers=caller.sign(headers, b"{}", service="monitoring"), body=b"{}")
    assert status == 400 and b"correct service: 'ecs'" in answer


async def test_an_old_signature_is_refused(caller: Caller) -> None:
    headers = {"content-type": JSON, "x-amz-target": f"{TARGET}.ListClusters"}
    old = caller.sign(headers, b"{}", now=time.time() - 16 * 60)
    status, _, answer = await caller.send(headers=old, body=b"{}")
    assert status == 400 and b"Signature expired" in answer


async def test_without_a_signature_nobody_gets_in(caller: Caller) -> None:
    headers = {"content-type": JSON, "x-amz-target": f"{TARGET}.ListClusters"}
    status, found, answer = await caller.send(headers=headers, body=b"{}")
    assert status == 400 and json.loads(answer)["__type"] == "MissingAuthenticationTokenException"
    assert UUID.match(found["x-amzn-requestid"])


async def test_what_is_not_supported_is_refused_by_name(caller: Caller) -> None:
    parameter = await refusal_of(caller, "ecs", "create_cluster", {}, clusterName="x", capacityProviders=["p"])
    assert parameter.response["Error"]["Code"] == "InvalidParameterException"
    assert "does not support the parameter 'capacityProviders' of CreateCluster yet" in str(parameter)
    operation = await refusal_of(caller, "ecs", "create_daemon", {"region_name": "us-east-1"}, **_daemon())
    assert operation.response["Error"]["Code"] == "UnsupportedFeatureException"
    assert "CreateDaemon" in str(operation) and "docs/operations.md" in str(operation)
    status, answer = await caller.ecs("ListClusters")
    assert (status, answer["clusterArns"]) == (200, []), "nothing was made"


def _daemon() -> dict[str, Any]:
    return {"daemonName": "x", "daemonTaskDefinitionArn": "x", "capacityProviderArns": ["x"]}


@pytest.mark.parametrize(
    "headers, body, code",
    [
        ({"x-amz-target": f"{TARGET}.NoSuchThing"}, b"{}", "UnknownOperationException"),
        ({"x-amz-target": "Nobody.ListClusters"}, b"{}", "UnknownOperationException"),
        ({"x-amz-target": f"{TARGET}.ListClusters"}, b"{", "SerializationException"),
        ({"x-amz-target": f"{TARGET}.ListClusters"}, b'{"maxResults": "many"}', "SerializationException"),
        ({"x-amz-target": f"{TARGET}.ListClusters"}, b"\xff\x00", "SerializationException"),
        ({"x-amz-target": f"{TARGET}.ListClusters"}, b"[" * 100_000, "SerializationException"),
        ({"x-amz-target": f"{TARGET}.DescribeTasks"}, b"{}", "InvalidParameterException"),
    ],
)
async def test_a_request_that_makes_no_sense_gets_awss_error(
    caller: Caller, headers: dict[str, str], body: bytes, code: str
) -> None:
    headers = {"content-type": JSON, **headers}
    status, found, answer = await caller.send(headers=caller.sign(headers, body), body=body)
    assert 400 <= status < 500, answer
    assert json.loads(answer)["__type"] == code and UUID.match(found["x-amzn-requestid"])
    assert b"Traceback" not in answer


@pytest.mark.parametrize("method, path", [("PUT", "/"), ("DELETE", "/x"), ("GET", "/nothing"), ("POST", "/x?y=%zz")])
async def test_other_methods_and_paths_are_errors_of_the_callers(caller: Caller, method: str, path: str) -> None:
    signed = caller.sign({}, method=method, path=path)
    status, found, _ = await caller.send(method, path, signed)
    assert 400 <= status < 500 and UUID.match(found["x-amzn-requestid"])


async def test_a_body_over_the_limit_is_refused_and_its_sender_reads_why(caller: Caller) -> None:
    body = b" " * (10 * 1024 * 1024 + 1)
    headers = {"content-type": JSON, "x-amz-target": f"{TARGET}.ListClusters"}
    status, _, answer = await caller.send(headers=caller.sign(headers, body), body=body)
    assert status == 413 and b"larger than 10485760 bytes" in answer
    exact = body[:-3] + b"{}"
    status, _, answer = await caller.send(headers=caller.sign(headers, exact), body=exact)
    assert status == 200, answer[:200]


async def test_put_metric_data_is_limited_to_1_mb_as_it_is_sent(caller: Caller) -> None:
    data = b'{"Namespace": "n", "MetricData": [{"MetricName": "m", "Value": 1}]}'
    headers = {
        "content-type": "application/x-amz-json-1.0",
        "x-amz-target": "GraniteServiceVersion20100801.PutMetricData",
    }
    statuses: list[int] = []
    for body in (data.ljust(1024 * 1024), data.ljust(1024 * 1024 + 1), gzip.compress(data.ljust(1024 * 1024 + 1))):
        packed = {"content-encoding": "gzip"} if body.startswith(b"\x1f\x8b") else {}
        signed = caller.sign({**headers, **packed}, body, service="monitoring")
        status, _, answer = await caller.send(headers=signed, body=body)
        statuses.append(status)
        assert status == 200 or b"larger than 1048576 bytes" in answer
    assert statuses == [200, 413, 200]


async def test_put_metric_alarm_is_limited_to_120_kb_whatever_is_sent(caller: Caller) -> None:
    alarm = b'{"AlarmName": "a", "Namespace": "n", "MetricName": "m", "Statistic": "Sum", "Period": 60, ' + (
        b'"EvaluationPeriods": 1, "Threshold": 1, "ComparisonOperator": "GreaterThanThreshold"}'
    )
    headers = {
        "content-type": "application/x-amz-json-1.0",
        "x-amz-target": "GraniteServiceVersion20100801.PutMetricAlarm",
    }
    most, over = alarm.ljust(120 * 1024), alarm.ljust(120 * 1024 + 1)
    signed = caller.sign(headers, most, service="monitoring")
    assert (await caller.send(headers=signed, body=most))[0] == 200
    for body, packed in ((over, {}), (gzip.compress(over), {"content-encoding": "gzip"})):
        signed = caller.sign({**headers, **packed}, body, service="monitoring")
        status, _, answer = await caller.send(headers=signed, body=body)
        assert status == 413 and b"larger than 122880 bytes" in answer


async def test_a_chunked_body_over_the_limit_is_refused(caller: Caller) -> None:
    def send() -> bytes:
        host, port = caller.host.split(":")
        with socket.create_connection((host, int(port)), timeout=20) as one:
            one.sendall(f"POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: {TARGET}.ListClusters\r\n".encode())
            one.sendall(b"transfer-encoding: chunked\r\n\r\n")
            chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
            for _ in range(11):
                one.sendall(chunk)
            one.sendall(b"0\r\n\r\n")
            return one.recv(4096)

    answer = await asyncio.to_thread(send)
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_what_is_not_http_gets_an_error_and_the_server_goes_on(caller: Caller) -> None:
    def send() -> bytes:
        host, port = caller.host.split(":")
        with socket.create_connection((host, int(port)), timeout=20) as one:
            one.sendall(b"\x16\x03\x01 this is TLS, or worse\r\n\r\n")
            return one.recv(4096)

    assert (await asyncio.to_thread(send)).startswith(b"HTTP/1.1 400 ")
    assert (await caller.ecs("ListClusters"))[0] == 200


def break_operation(caller: Caller, error: BaseException) -> None:
    """Has ListClusters of a running server raise."""

    def decide(call: operations.Call, look: view.View) -> operations.Reply:
        raise error

    apis = caller.server.front._aws
    broken = operations.Operation(service="ecs", name="ListClusters", decide=decide, accepts=frozenset({"nextToken"}))
    apis._table["ecs", "ListClusters"] = broken
    apis._served.clear()


async def test_a_bug_of_ours_is_logged_with_the_request_id_and_shows_no_traceback(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    break_operation(caller, ZeroDivisionError("secret detail"))
    with caplog.at_level(logging.ERROR):
        status, answer = await caller.ecs("ListClusters")
    assert (status, answer["__type"]) == (500, "ServerException")
    assert "secret" not in answer["message"] and "Traceback" not in answer["message"]
    request_id = re.search(r"request id (\S+)\.", answer["message"])
    assert request_id is not None
    logged = [record for record in caplog.records if request_id.group(1) in record.getMessage()]
    assert logged and logged[0].exc_info is not None


async def test_a_write_that_the_disk_does_not_take_is_not_acknowledged_and_writes_stop(caller: Caller) -> None:
    def fail(entries: object) -> None:
        raise errors.HostProblem("The journal can't be written", "database or disk is full", "Make room.")

    assert (await caller.ecs("CreateCluster", clusterName="before"))[0] == 200
    caller.server.journal.append = fail  # type: ignore[method-assign]
    status, answer = await caller.ecs("CreateCluster", clusterName="lost")
    assert status == 503 and "disk is full" in answer["message"]
    status, answer = await caller.ecs("CreateCluster", clusterName="later")
    assert status == 503 and "disk is full" in answer["message"]
    assert (await caller.ecs("ListClusters"))[0] == 200, "reads go on"
    status, _, health = await caller.send("GET", "/_roadstead/health")
    assert (
        status == 200 and json.loads(health)["status"] == "read-only" and "disk is full" in json.loads(health)["reason"]
    )


async def test_when_too_much_waits_for_the_disk_callers_are_throttled(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(caller.server.committer), "is_full", True)
    status, answer = await caller.ecs("ListClusters")
    assert (status, answer["__type"]) == (400, "ThrottlingException")


async def test_a_person_sees_what_this_is(caller: Caller) -> None:
    status, found, page = await caller.send("GET", "/", {"accept": "text/html,application/xhtml+xml"})
    assert status == 200 and found["content-type"].startswith("text/html") and b"roadstead env" in page
    status, found, text = await caller.send("GET", "/", {"accept": "*/*"})
    assert status == 200 and found["content-type"].startswith("text/plain") and b"<html" not in text


async def test_health_says_how_it_is_without_a_signature(caller: Caller) -> None:
    await caller.ecs("CreateCluster", clusterName="x")
    status, _, answer = await caller.send("GET", "/_roadstead/health")
    health = json.loads(answer)
    assert (status, health["status"], health["revision"], health["durableRevision"]) == (200, "ok", 1, 1)
    assert health["version"] == caller.server.version


async def test_unknown_endpoints_of_ours_are_named(caller: Caller) -> None:
    status, _, answer = await caller.send("GET", "/_roadstead/nonsense")
    assert status == 404 and "health" in json.loads(answer)["message"]
    status, _, answer = await caller.send("PUT", "/_roadstead/health")
    assert status == 405


async def test_reset_exists_only_where_state_is_ephemeral(start: Start, tmp_path: Any) -> None:
    keeps = await start()
    status, _, answer = await keeps.send("POST", "/_roadstead/reset")
    assert status == 404 and "--ephemeral" in json.loads(answer)["message"]
    forgets = await start(ephemeral=True, data_dir=tmp_path / "other")
    called: list[str] = []
    forgets.server.on_reset(lambda: called.append("reset"))
    await forgets.ecs("CreateCluster", clusterName="x")
    before = time.perf_counter()
    status, _, answer = await forgets.send("POST", "/_roadstead/reset")
    assert status == 200 and time.perf_counter() - before < 1.0 and called == ["reset"]
    assert (await forgets.ecs("ListClusters"))[1]["clusterArns"] == []
    status, _, _ = await forgets.send("POST", "/_roadstead/reset", {"origin": "http://evil.example"})
    assert status == 403


async def test_with_auth_off_any_or_no_key_is_taken_but_no_web_page(start: Start) -> None:
    caller = await start(auth="off")
    headers = {"content-type": JSON, "x-amz-target": f"{TARGET}.ListClusters"}
    assert (await caller.send(headers=headers, body=b"{}"))[0] == 200
    found = await asyncio.to_thread(
        lambda: client(caller, "ecs", aws_access_key_id="test", aws_secret_access_key="test").list_clusters()
    )
    assert found["clusterArns"] == []
    page = {**headers, "origin": "http://evil.example"}
    assert (await caller.send(headers=page, body=b"{}"))[0] == 403
    own = {**headers, "origin": caller.server.endpoint}
    assert (await caller.send(headers=own, body=b"{}"))[0] == 200
    rebound = {**headers, "host": "evil.example:4566"}
    assert (await caller.send(headers=rebound, body=b"{}"))[0] == 403


async def test_a_connection_serves_many_requests(caller: Caller) -> None:
    def use() -> int:
        import http.client

        body = b"{}"
        headers = caller.sign({"content-type": JSON, "x-amz-target": f"{TARGET}.ListClusters"}, body)
        connection = http.client.HTTPConnection(caller.host, timeout=20)
        connection.connect()
        local = connection.sock.getsockname()
        for _ in range(5):
            connection.request("POST", "/", body=body, headers=headers)
            assert connection.getresponse().read()
            assert connection.sock.getsockname() == local
        connection.close()
        return 5

    assert await asyncio.to_thread(use) == 5


async def test_a_websocket_where_nothing_is_mounted_is_closed(caller: Caller) -> None:
    def send() -> bytes:
        host, port = caller.host.split(":")
        with socket.create_connection((host, int(port)), timeout=20) as one:
            one.sendall(
                b"GET /nothing HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
                b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            return one.recv(4096)

    assert (await asyncio.to_thread(send)).startswith(b"HTTP/1.1 403 ")


async def test_concurrent_writers_all_get_their_own_answer(caller: Caller) -> None:
    results = await asyncio.gather(*(caller.ecs("CreateCluster", clusterName=f"c{number}") for number in range(30)))
    assert [status for status, _ in results] == [200] * 30
    assert {answer["cluster"]["clusterName"] for _, answer in results} == {f"c{number}" for number in range(30)}


async def test_plans_and_answers_of_nothing_are_not_commits(caller: Caller) -> None:
    revision = caller.server.store.revision
    await caller.ecs("ListClusters")
    assert caller.server.store.revision == revision and plan.NOTHING.is_empty
