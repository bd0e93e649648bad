"""What goes out: answers without empty members, and refusals in the words of the caller's protocol."""

from __future__ import annotations

import json
import math

import cbor2
import pytest

from roadstead.base import errors
from roadstead.wire import requests, responses, services

SERVICES = services.Services()
P = requests.Protocol


def call(service: str, operation: str, protocol: P) -> requests.Call:
    return requests.Call(service=service, operation=operation, params=None, protocol=protocol, request_id="r-1")


def test_json_leaves_out_none_and_says_what_json_can_not() -> None:
    output = {"tasks": [{"taskArn": "a", "group": None, "note": "null"}], "failures": [], "ratio": math.inf, "no": None}
    sent = responses.serialize(SERVICES, call("ecs", "DescribeTasks", P.JSON11), output)
    assert json.loads(sent.body) == {"tasks": [{"taskArn": "a", "note": "null"}], "failures": [], "ratio": "Infinity"}
    assert dict(sent.headers) == {"x-amzn-RequestId": "r-1", "content-type": "application/x-amz-json-1.1"}
    assert sent.status == 200


def test_cbor_says_moments_under_their_tag_and_an_empty_answer_with_no_body() -> None:
    output = {"Datapoints": [{"Timestamp": 5.0, "Average": 1, "Unit": None}]}
    sent = responses.serialize(SERVICES, call("cloudwatch", "GetMetricStatistics", P.CBOR), output)
    assert b"\xc1" in sent.body
    assert ("smithy-protocol", "rpc-v2-cbor") in sent.headers
    assert cbor2.loads(sent.body)["Datapoints"][0]["Average"] == 1.0
    nothing = responses.serialize(SERVICES, call("cloudwatch", "PutMetricData", P.CBOR), {})
    assert nothing.body == b""
    assert "content-type" not in dict(nothing.headers)


def test_xml_survives_characters_that_it_can_not_hold() -> None:
    output = {"UserId": "a\x00<&>\r", "Account": "123456789012", "Arn": "arn"}
    sent = responses.serialize(SERVICES, call("sts", "GetCallerIdentity", P.QUERY), output)
    assert "<UserId>a\ufffd&lt;&amp;&gt;&#xD;</UserId>" in sent.body.decode()
    assert "<ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata>" in sent.body.decode()


@pytest.mark.parametrize(
    ("code", "query_code", "query_status"),
    [
        ("MissingAuthenticationTokenException", "MissingAuthenticationToken", 403),
        ("UnrecognizedClientException", "InvalidClientTokenId", 403),
        ("InvalidSignatureException", "SignatureDoesNotMatch", 403),
        ("UnknownOperationException", "InvalidAction", 400),
        ("InvalidParameterValue", "InvalidParameterValue", 400),
        ("MissingParameter", "MissingParameter", 400),
        ("ResourceNotFound", "ResourceNotFound", 404),
        ("Whatever", "Whatever", 400),
    ],
)
def test_refusals_speak_the_callers_protocol(code: str, query_code: str, query_status: int) -> None:
    refusal = errors.Refusal(code, "why <not>")
    asked = requests.Target(protocol=P.QUERY, service="cloudwatch")
    sent = responses.refuse(SERVICES, asked, refusal, "r-1")
    assert f"<Code>{query_code}</Code><Message>why &lt;not&gt;</Message>" in sent.body.decode()
    assert sent.status == query_status
    compatible = responses.refuse(SERVICES, requests.Target(protocol=P.CBOR, service="cloudwatch"), refusal, "r-1")
    assert dict(compatible.headers)["x-amzn-query-error"] == f"{query_code};Sender"
    plain = responses.refuse(SERVICES, requests.Target(protocol=P.JSON11, service="ecs"), refusal, "r-1")
    assert json.loads(plain.body) == {"__type": code, "message": "why <not>"}
    assert ("x-amzn-ErrorType", code) in plain.headers
    assert "x-amzn-query-error" not in dict(plain.headers)


def test_further_members_of_an_error_are_sent() -> None:
    refusal = errors.Refusal("ConflictException", "busy", members={"resourceIds": ["a"], "none": None})
    sent = responses.refuse(SERVICES, requests.Target(protocol=P.JSON11, service="ecs"), refusal, "r-1")
    assert json.loads(sent.body)["resourceIds"] == ["a"]
    assert "none" not in json.loads(sent.body)


def test_a_fault_of_ours_is_called_so() -> None:
    refusal = errors.Refusal("ServerException", "ours", status=500)
    asked = requests.Target(protocol=P.QUERY, service="sts")
    assert "<Type>Receiver</Type>" in responses.refuse(SERVICES, asked, refusal, "r").body.decode()
