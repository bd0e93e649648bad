"""botocore's own serializers and parsers as the oracle: every operation, every protocol of its service, both ways."""

from __future__ import annotations

import datetime
import re
from typing import Any
from urllib import parse as urls

import botocore.awsrequest
import botocore.loaders
import botocore.model
import botocore.parsers
import botocore.serialize
import hypothesis
import msgspec
import pytest
from hypothesis import strategies

from roadstead.base import errors
from roadstead.wire import requests, responses, services

SERVICES = services.Services()
LOADER = botocore.loaders.Loader()
MODELS = {
    served.name: botocore.model.ServiceModel(LOADER.load_service_model(served.name, "service-2"), served.name)
    for served in services.SERVED
}
BOTOCORE_NAMES = {
    requests.Protocol.JSON10: "json",
    requests.Protocol.JSON11: "json",
    requests.Protocol.QUERY: "query",
    requests.Protocol.CBOR: "smithy-rpc-v2-cbor",
}
CASES = [
    (served.name, operation, protocol)
    for served in services.SERVED
    for operation in MODELS[served.name].operation_names
    for protocol in requests.Protocol
    if protocol in served.protocols
    and (protocol is not requests.Protocol.JSON10 or served.name == "cloudwatch")
    and (protocol is not requests.Protocol.JSON11 or served.name != "cloudwatch")
]
ALGORITHM = "AWS4-HMAC-SHA256"
QUICK = hypothesis.settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)


# ---- generated values: as clients take them, moments as datetimes

MOMENTS = strategies.integers(0, 4_000_000_000).map(
    lambda seconds: datetime.datetime.fromtimestamp(seconds, datetime.UTC)
)
TEXT = strategies.text(strategies.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
CANDIDATES = (
    "a",
    "web-1",
    "Average",
    "p99.9",
    "123456789012",
    "arn:aws:iam::123456789012:role/name",
    "arn:aws:cloudwatch:us-east-1:123456789012:alarm:name",
    "arn:aws:kms:us-east-1:123456789012:key/0a-1b",
    "arn:aws:application-autoscaling:us-east-1:123456789012:scalable-target/0a1b",
    "default",
    "arn:aws:cloudwatch:us-east-1:123456789012:dataset/default",
    "ami-0123456789abcdef0",
    "abcdefghijklmnopqrstuvwxyz012345",
)
"""Values of which at least one matches each pattern of the models; filled up to a least length by repetition."""


def text(shape: Any) -> strategies.SearchStrategy[str]:
    if shape.enum:
        return strategies.sampled_from(shape.enum)
    low = int(shape.metadata.get("min", 0))
    high = int(min(shape.metadata.get("max", 10**6), low + 40))
    pattern = shape.metadata.get("pattern")
    if pattern is None:
        filler = strategies.just("é" * low)
        return strategies.tuples(TEXT, filler).map(lambda pair: (pair[0] + pair[1])[: max(low, high)])
    fitting = [
        value
        for candidate in CANDIDATES
        for value in (candidate, candidate * (low // len(candidate) + 1), candidate[0] * low)
        if low <= len(value) <= shape.metadata.get("max", 10**6) and matches(pattern, value)
    ]
    assert fitting, f"no candidate for the pattern {pattern} of {shape.name}"
    return strategies.sampled_from(fitting)


def matches(pattern: str, value: str) -> bool:
    """The pattern's meaning for plain ASCII values."""
    for java, python in (
        (r"\p{L}", "a-zA-Z"),
        (r"\p{N}", "0-9"),
        (r"\p{Print}+", r"[\x20-\x7e]+"),
        (r"\uD800\uDC00-\uDBFF\uDFFF", ""),
        (r"\u10000-\u10FFFF", ""),
    ):
        pattern = pattern.replace(java, python)
    pattern = re.sub(r"\\p\{\w+\}", "", pattern)
    return re.fullmatch(pattern, value) is not None


class How(msgspec.Struct, frozen=True):
    """Which values a protocol can say: infinities in doubles, structures and maps without members."""

    special: bool
    empty: bool


def values(shape: Any, how: How) -> strategies.SearchStrategy[Any]:
    """Values of a botocore shape that keep its constraints."""
    meta = shape.metadata
    match shape.type_name:
        case "structure":
            return structures(shape, how) if how.empty else structures(shape, how).filter(bool)
        case "list":
            low = int(meta.get("min", 0))
            return strategies.lists(
                values(shape.member, how), min_size=low, max_size=min(int(meta.get("max", 2)), low + 2)
            )
        case "map":
            low = int(meta.get("min", 0 if how.empty else 1))
            high = min(int(meta.get("max", 2)), low + 2)
            return strategies.dictionaries(
                values(shape.key, how), values(shape.value, how), min_size=low, max_size=high
            )
        case "integer" | "long":
            width = 31 if shape.type_name == "integer" else 53
            return strategies.integers(int(meta.get("min", -(2**width))), int(meta.get("max", 2**width - 1)))
        case "float" | "double":
            low_, high_ = meta.get("min"), meta.get("max")
            plain = strategies.floats(low_, high_, allow_nan=False, allow_infinity=False)
            if how.special and low_ is None and high_ is None:
                return plain | strategies.sampled_from([float("inf"), float("-inf")])
            return plain
        case "timestamp":
            return MOMENTS
        case "boolean":
            return strategies.booleans()
        case "blob":
            return strategies.binary(max_size=8)
    return text(shape)


def structures(shape: Any, how: How) -> strategies.SearchStrategy[dict[str, Any]]:
    if shape.is_document_type:
        return strategies.fixed_dictionaries({"any": strategies.integers(0, 9)})
    members = {
        name: strategies.deferred(lambda member=member: values(member, how))  # type: ignore[misc]
        for name, member in shape.members.items()
    }
    if shape.is_tagged_union:
        return strategies.one_of([strategies.fixed_dictionaries({name: members[name]}) for name in members])
    required = {name: members[name] for name in shape.required_members}
    optional = {name: member for name, member in members.items() if name not in required}
    return strategies.fixed_dictionaries(required, optional=optional)


# ---- both ways


def request_of(operation: Any, params: dict[str, Any], protocol: requests.Protocol) -> requests.Request:
    """The request as botocore sends it."""
    serializer = botocore.serialize.create_serializer(BOTOCORE_NAMES[protocol])
    made = serializer.serialize_to_request(params, operation)
    body = made["body"]
    if isinstance(body, dict):
        body = urls.urlencode(body)
    return requests.Request(
        method=made["method"],
        path=made["url_path"],
        headers={
            **{name.lower(): value for name, value in made["headers"].items()},
            "authorization": f"{ALGORITHM} Credential=A/20260102/r/{operation.service_model.signing_name}/aws4_request",
        },
        body=body.encode() if isinstance(body, str) else bytes(body),
    )


def plain(value: Any) -> Any:
    """What both sides are compared as: moments as epoch seconds, numbers as they are, without what is absent."""
    match value:
        case msgspec.Struct():
            return {
                name: plain(getattr(value, name))
                for name in value.__struct_fields__
                if getattr(value, name) is not None
            }
        case dict():
            return {key: plain(inner) for key, inner in value.items()}
        case list():
            return [plain(item) for item in value]
        case datetime.datetime():
            return value.timestamp()
        case bytes() | bytearray():
            return bytes(value)
    return value


@pytest.mark.parametrize(("service", "name", "protocol"), CASES)
def test_what_botocore_sends_is_read_as_it_was_meant(service: str, name: str, protocol: requests.Protocol) -> None:
    operation = MODELS[service].operation_model(name)
    shape = operation.input_shape
    how = How(special=True, empty=protocol is not requests.Protocol.QUERY)
    inputs = structures(shape, how) if shape is not None else strategies.just({})

    @QUICK
    @hypothesis.given(inputs)
    def holds(params: dict[str, Any]) -> None:
        call = requests.parse(SERVICES, request_of(operation, params, protocol), "id")
        assert (call.service, call.operation, call.protocol) == (service, name, protocol)
        assert plain(call.params) == plain(params)

    holds()


@pytest.mark.parametrize(("service", "name", "protocol"), CASES)
def test_what_we_answer_botocore_reads_as_it_was_meant(service: str, name: str, protocol: requests.Protocol) -> None:
    operation = MODELS[service].operation_model(name)
    shape = operation.output_shape
    is_json = protocol in (
        requests.Protocol.JSON10,
        requests.Protocol.JSON11,
    )  # botocore leaves "Infinity" a text there
    how = How(special=not is_json, empty=True)
    outputs = structures(shape, how) if shape is not None else strategies.just({})
    call = requests.Call(service=service, operation=name, params=None, protocol=protocol, request_id="r-1")

    @QUICK
    @hypothesis.given(outputs)
    def holds(output: dict[str, Any]) -> None:
        sent = responses.serialize(SERVICES, call, plain(output))
        parsed = read(sent, shape, protocol)
        assert parsed.pop("ResponseMetadata")["HTTPHeaders"]["x-amzn-requestid"] == "r-1"
        assert without_empty(plain(parsed)) == without_empty(plain(output))

    holds()


def read(sent: responses.Response, shape: Any, protocol: requests.Protocol) -> dict[str, Any]:
    parser = botocore.parsers.create_parser(BOTOCORE_NAMES[protocol])
    headers = botocore.awsrequest.HeadersDict(dict(sent.headers))
    found: dict[str, Any] = parser.parse({"body": sent.body, "headers": headers, "status_code": sent.status}, shape)
    return found


def without_empty(value: Any) -> Any:
    """XML has no way to tell an empty text, list or structure from each other, nor botocore's parser."""
    match value:
        case dict():
            kept = {key: without_empty(inner) for key, inner in value.items()}
            return {key: inner for key, inner in kept.items() if inner not in ("", [], {}, None, b"")}
        case list():
            return [without_empty(item) for item in value]
    return value


ERRORS = [
    (service, requests.Protocol.QUERY if service in ("sts", "autoscaling") else protocol, name)
    for service, protocol in (
        ("ecs", requests.Protocol.JSON11),
        ("application-autoscaling", requests.Protocol.JSON11),
        ("cloudwatch", requests.Protocol.JSON10),
        ("cloudwatch", requests.Protocol.CBOR),
        ("cloudwatch", requests.Protocol.QUERY),
        ("sts", requests.Protocol.QUERY),
        ("autoscaling", requests.Protocol.QUERY),
    )
    for name, shape in SERVICES.service(service).shapes.items()
    if shape.exception
]


@pytest.mark.parametrize(("service", "protocol", "name"), ERRORS)
def test_each_error_of_the_models_reaches_botocore_as_its_own(
    service: str, protocol: requests.Protocol, name: str
) -> None:
    model = MODELS[service]
    target = requests.Target(protocol=protocol, service=service, operation=None)
    refusal = errors.Refusal(name, 'no "such" <thing>')
    sent = responses.refuse(SERVICES, target, refusal, "r-1")
    parsed = read(sent, None, protocol)
    assert sent.status >= 400
    assert parsed["Error"]["Message"] == 'no "such" <thing>'
    assert parsed["ResponseMetadata"]["RequestId"] == "r-1"
    assert parsed["Error"]["Code"] == model.shape_for(name).error_code


def test_the_table_of_services_agrees_with_the_models() -> None:
    names = {
        "json": requests.Protocol.JSON11,
        "query": requests.Protocol.QUERY,
        "smithy-rpc-v2-cbor": requests.Protocol.CBOR,
    }
    for served in services.SERVED:
        model = MODELS[served.name]
        assert served.signing_name == model.signing_name
        assert served.api_version == model.metadata["apiVersion"]
        if "json" in model.metadata["protocols"] or "smithy-rpc-v2-cbor" in model.metadata["protocols"]:
            assert served.target_prefix == model.metadata["targetPrefix"]
        expected = {names[protocol] for protocol in model.metadata["protocols"]}
        assert served.protocols - {requests.Protocol.JSON10} == expected


def test_json_names_are_the_members_names() -> None:
    """JSON is encoded and decoded without a look at `locationName`; this holds while the models have none."""
    for name in ("ecs", "application-autoscaling", "cloudwatch"):
        for shape in SERVICES.service(name).shapes.values():
            for member, ref in shape.members.items():
                assert ref.location_name in (None, member)
