"""What a client sends, and what the wire makes of it."""

from __future__ import annotations

import gzip
import json
from typing import Any
from urllib import parse as urls

import msgspec
import pytest

from roadstead.base import errors
from roadstead.wire import requests, services

SERVICES = services.Services()


def ecs(operation: str, body: Any) -> requests.Request:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {
        "x-amz-target": f"AmazonEC2ContainerServiceV20141113.{operation}",
        "content-type": "application/x-amz-json-1.1",
    }
    return requests.Request(method="POST", path="/", headers=headers, body=raw)


def aas(operation: str, body: Any) -> requests.Request:
    headers = {"x-amz-target": f"AnyScaleFrontendService.{operation}", "content-type": "application/x-amz-json-1.1"}
    return requests.Request(method="POST", path="/", headers=headers, body=json.dumps(body).encode())


def form(version: str, **params: str) -> requests.Request:
    body = urls.urlencode({"Version": version, **{name.replace("_", "."): value for name, value in params.items()}})
    headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    return requests.Request(method="POST", path="/", headers=headers, body=body.encode())


def cloudwatch(**params: str) -> requests.Request:
    return form("2010-08-01", **params)


def refused(request: requests.Request) -> errors.Refusal:
    with pytest.raises(errors.Refusal) as caught:
        requests.parse(SERVICES, request, "id")
    return caught.value


def test_a_call_has_typed_parameters_and_none_for_what_is_absent() -> None:
    call = requests.parse(SERVICES, ecs("RunTask", {"taskDefinition": "web:3", "count": 2, "tags": None}), "r-1")
    assert (call.service, call.operation, call.protocol, call.request_id) == (
        "ecs",
        "RunTask",
        requests.Protocol.JSON11,
        "r-1",
    )
    assert call.params.taskDefinition == "web:3"
    assert call.params.count == 2
    assert call.params.cluster is None
    assert call.params.tags is None


def test_members_that_the_model_does_not_have_are_ignored() -> None:
    call = requests.parse(SERVICES, ecs("RunTask", {"taskDefinition": "web", "futureMember": {"a": [1]}}), "id")
    assert not hasattr(call.params, "futureMember")


def test_an_operation_without_input_and_one_with_an_empty_body() -> None:
    assert requests.parse(SERVICES, ecs("ListClusters", b""), "id").params.maxResults is None
    assert requests.parse(SERVICES, form("2011-06-15", Action="GetCallerIdentity"), "id").service == "sts"


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (ecs("Nope", {}), "UnknownOperationException", "Nope"),
        (ecs("RunTask", b"{"), "SerializationException", "JSON"),
        (ecs("RunTask", b"\xff"), "SerializationException", "JSON"),
        (ecs("RunTask", []), "SerializationException", "Start of list found where not expected"),
        (ecs("RunTask", b"[" * 200_000), "SerializationException", ""),
        (ecs("RunTask", b'{"future":' * 200_000), "SerializationException", ""),
        (
            ecs("RunTask", {"taskDefinition": 3}),
            "SerializationException",
            "NUMBER_VALUE can not be converted to a String",
        ),
        (ecs("RunTask", {"taskDefinition": "a", "count": "1"}), "SerializationException", "STRING_VALUE"),
        (ecs("RunTask", {"taskDefinition": "a", "count": 2**31}), "SerializationException", "out of range"),
        (ecs("DescribeTasks", {"tasks": "a"}), "SerializationException", "Expected list or null"),
        (ecs("DescribeTasks", {}), "InvalidParameterException", "Tasks cannot be empty."),
        (ecs("RegisterTaskDefinition", {"containerDefinitions": []}), "ClientException", "Family can not be blank."),
        (ecs("RunTask", {"taskDefinition": "a", "launchType": "MOON"}), "InvalidParameterException", "'launchType'"),
    ],
)
def test_ecs_refuses(request_: requests.Request, code: str, text: str) -> None:
    refusal = refused(request_)
    assert refusal.code == code
    assert text in refusal.message


def test_application_auto_scaling_counts_its_validation_errors() -> None:
    refusal = refused(aas("RegisterScalableTarget", {"ServiceNamespace": "moon", "ScalableDimension": "x"}))
    assert refusal.code == "ValidationException"
    assert refusal.message.startswith(
        "3 validation errors detected: Value 'moon' at 'serviceNamespace' failed to satisfy constraint: "
        "Member must satisfy enum value set: ["
    )
    assert "Value null at 'resourceId' failed to satisfy constraint: Member must not be null" in refusal.message


def test_cloudwatch_metrics_refuse_in_their_own_words() -> None:
    refusal = refused(cloudwatch(Action="PutMetricData", MetricData_member_1_MetricName="m"))
    assert (refusal.code, refusal.message) == ("MissingParameter", "The parameter Namespace is required.")
    refusal = refused(
        cloudwatch(
            Action="PutMetricData", Namespace="n", MetricData_member_1_MetricName="m", MetricData_member_1_Unit="GB"
        )
    )
    assert refusal.code == "InvalidParameterValue"
    assert refusal.message.startswith("The parameter MetricData.member.1.Unit must be a value in the set [ Seconds,")


def test_cloudwatch_alarms_refuse_in_the_general_words() -> None:
    refusal = refused(
        cloudwatch(
            Action="PutMetricAlarm",
            AlarmName="a",
            EvaluationPeriods="1",
            ComparisonOperator="GreaterThanThreshold",
            Unit="GB",
        )
    )
    assert refusal.code == "ValidationError"
    assert refusal.message.startswith("1 validation error detected: Value 'GB' at 'unit' failed to satisfy constraint:")


def test_query_values_are_read_as_their_types() -> None:
    call = requests.parse(
        SERVICES,
        cloudwatch(
            Action="PutMetricData",
            Namespace="n",
            MetricData_member_10_MetricName="second",
            MetricData_member_2_MetricName="first",
            MetricData_member_2_Value="1.5e3",
            MetricData_member_2_Timestamp="2026-01-02T03:04:05.250Z",
            MetricData_member_2_Dimensions_member_1_Name="d",
            MetricData_member_2_Dimensions_member_1_Value="v",
            Future_member_1="ignored",
        ),
        "id",
    )
    first, second = call.params.MetricData
    assert (first.MetricName, first.Value, first.Timestamp) == ("first", 1500.0, 1767323045.25)
    assert (first.Dimensions[0].Name, second.MetricName) == ("d", "second")


def read(body: str) -> Any:
    """The parameters of a form, written by hand."""
    return requests.parse(SERVICES, msgspec.structs.replace(cloudwatch(), body=body.encode()), "id").params


def test_names_that_lead_nowhere_are_passed_over_and_the_first_of_two_counts() -> None:
    deep = ".".join(["member"] * 5000)
    params = read(
        "AlarmName=one&AlarmName=two&.AlarmName=x&=x&&AlarmName.member.1=x&Dimensions.member=x&Dimensions.1.Name=x"
        f"&Dimensions.member.0.Name=x&Dimensions.member.01.Name=x&Dimensions.member.1.Nope.Name=x&{deep}=x"
        "&Dimensions.member.1.Name=d&Dimensions.member.1.Value=a%2Bb+c%26&OKActions=&EvaluationPeriods=%31"
        "&ComparisonOperator=GreaterThanThreshold&Action=PutMetricAlarm&Version=2010-08-01&Action=ListMetrics"
        "&AlarmDescription=Action=DeleteAlarms"
    )
    (dimension,) = params.Dimensions
    assert (params.AlarmName, dimension.Name, dimension.Value) == ("one", "d", "a+b c&")
    assert (params.OKActions, params.EvaluationPeriods, params.AlarmDescription) == ([], 1, "Action=DeleteAlarms")


@pytest.mark.parametrize("body", ["Namespace=%ff", "%ff=x", "Namespace=" + "&" * 200_000])
def test_a_form_that_is_none(body: str) -> None:
    request = msgspec.structs.replace(cloudwatch(), body=f"Action=ListMetrics&Version=2010-08-01&{body}".encode())
    assert refused(request).code == "MalformedQueryString"


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"Action": "PutMetricAlarm", "Period": "abc"}, "MalformedInput"),
        ({"Action": "PutMetricAlarm", "Period": "1" * 5000}, "MalformedInput"),
        ({"Action": "PutMetricAlarm", "ActionsEnabled": "yes"}, "MalformedInput"),
        ({"Action": "GetMetricStatistics", "StartTime": "tomorrow"}, "MalformedInput"),
        ({"Action": "Nope"}, "UnknownOperationException"),
        ({}, "MissingAction"),
    ],
)
def test_query_refuses(params: dict[str, str], code: str) -> None:
    assert refused(cloudwatch(**params)).code == code


def test_a_query_call_may_come_in_the_query_string() -> None:
    request = requests.Request(
        method="GET", path="/", query="Action=ListMetrics&Version=2010-08-01&Namespace=AWS%2FECS", headers={}
    )
    call = requests.parse(SERVICES, request, "id")
    assert (call.operation, call.params.Namespace) == ("ListMetrics", "AWS/ECS")


def test_an_unknown_service_an_unfitting_protocol_and_a_wrong_path_are_unknown_operations() -> None:
    unknown = requests.Request(method="POST", path="/", headers={"x-amz-target": "DynamoDB_20120810.ListTables"})
    query_of_ecs = form("2014-11-13", Action="ListClusters")
    elsewhere = requests.Request(method="POST", path="/x", headers=ecs("ListClusters", {}).headers, body=b"{}")
    got = requests.Request(method="GET", path="/", headers=ecs("ListClusters", {}).headers)
    for request in (unknown, query_of_ecs, elsewhere, got):
        assert refused(request).code == "UnknownOperationException"


def test_bodies_are_bounded_before_and_after_gzip() -> None:
    whole = ecs("ListClusters", b" " * requests.BODY_BYTES_MAX + b"{}")
    assert (refused(whole).code, refused(whole).status) == ("RequestEntityTooLargeException", 413)
    packed = gzip.compress(whole.body)
    request = requests.Request(
        method="POST", path="/", headers={**whole.headers, "content-encoding": "gzip"}, body=packed
    )
    assert len(packed) < 100_000
    assert refused(request).status == 413


def test_gzip_is_undone_and_broken_gzip_refused() -> None:
    plain = ecs("RunTask", {"taskDefinition": "web"})
    headers = {**plain.headers, "content-encoding": "gzip"}
    packed = gzip.compress(plain.body)
    call = requests.parse(SERVICES, requests.Request(method="POST", path="/", headers=headers, body=packed), "id")
    assert call.params.taskDefinition == "web"
    for body in (packed[:-4], b"no gzip", packed + b"x"):
        request = requests.Request(method="POST", path="/", headers=headers, body=body)
        assert refused(request).code == "SerializationException"
    headers["content-encoding"] = "br"
    assert refused(requests.Request(method="POST", path="/", headers=headers, body=packed)).status == 415


def test_patterns_with_unicode_properties_hold_beyond_ascii() -> None:
    call = requests.parse(
        SERVICES, ecs("RunTask", {"taskDefinition": "w", "tags": [{"key": "équipe", "value": "日本 1"}]}), "id"
    )
    assert call.params.tags[0].key == "équipe"
    refusal = refused(ecs("RunTask", {"taskDefinition": "w", "tags": [{"key": "équipe!"}]}))
    assert "'tags.1.member.key'" in refusal.message
