"""From an output, or a refusal, to an HTTP response in the caller's protocol.

    response = responses.serialize(services, call, output)
    response = responses.refuse(services, call_or_target, refusal, request_id)

Refusals carry the JSON protocols' codes (or a service's own error codes, by shape name or Query code); for Query
clients the common ones are translated here, with the HTTP status that Query services give them.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import cbor2
import msgspec

from roadstead.base import errors
from roadstead.wire import protocols, requests, services, xml


class Response(msgspec.Struct, frozen=True):
    """An HTTP response; `content-length` and `date` are the shell's."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Hint(Protocol):
    """What refusing needs to know of a request: a `requests.Call` or a `requests.Target`."""

    @property
    def protocol(self) -> protocols.Protocol: ...

    @property
    def service(self) -> str | None: ...


CONTENT_TYPES = {
    protocols.Protocol.JSON10: "application/x-amz-json-1.0",
    protocols.Protocol.JSON11: "application/x-amz-json-1.1",
    protocols.Protocol.QUERY: "text/xml",
    protocols.Protocol.CBOR: "application/cbor",
}

_QUERY_CODES = {
    "AccessDeniedException": ("AccessDenied", 403),
    "IncompleteSignatureException": ("IncompleteSignature", 400),
    "InternalServerException": ("InternalFailure", 500),
    "InvalidSignatureException": ("SignatureDoesNotMatch", 403),
    "MissingAuthenticationTokenException": ("MissingAuthenticationToken", 403),
    "RequestEntityTooLargeException": ("RequestEntityTooLarge", 413),
    "SerializationException": ("MalformedInput", 400),
    "ThrottlingException": ("Throttling", 400),
    "UnknownOperationException": ("InvalidAction", 400),
    "UnrecognizedClientException": ("InvalidClientTokenId", 403),
    "ValidationException": ("ValidationError", 400),
}
"""A common error of the JSON protocols → its code and status in the Query protocol."""


def serialize(known: services.Services, call: requests.Call, output: dict[str, Any]) -> Response:
    """The answer to a call: `output` in wire names, moments as epoch seconds, blobs as bytes; None is left out.

    The values are the caller's to get right; members that the model does not have are dropped by Query and CBOR and
    sent by JSON, so test outputs with botocore's parser.
    """
    match call.protocol:
        case protocols.Protocol.JSON10 | protocols.Protocol.JSON11:
            body = _json(output)
        case protocols.Protocol.QUERY:
            service = known.service(call.service)
            body = xml.result(service, service.operations[call.operation], output, call.request_id)
        case protocols.Protocol.CBOR:
            service = known.service(call.service)
            described = service.operations[call.operation].output
            body = b"" if described is None else cbor2.dumps(_structure_cbor(service, described.shape, output))
    return Response(200, _headers(call.protocol, call.request_id, with_body=bool(body)), body)


def _headers(protocol: protocols.Protocol, request_id: str, *, with_body: bool = True) -> list[tuple[str, str]]:
    headers = [("x-amzn-RequestId", request_id)]
    if with_body:
        headers.append(("content-type", CONTENT_TYPES[protocol]))
    if protocol is protocols.Protocol.CBOR:
        headers.append(("smithy-protocol", "rpc-v2-cbor"))
    return headers


# ---------------------------------------------------------------------------------------------- JSON


def _json(output: dict[str, Any]) -> bytes:
    body = msgspec.json.encode(output)
    # None, NaN and infinities all come out as `null`; most outputs have none, so look before walking.
    return msgspec.json.encode(_pruned(output)) if b"null" in body else body


def _pruned(value: Any) -> Any:
    """Without members that are None, and with AWS's words for numbers that JSON can't say."""
    match value:
        case dict():
            return {key: _pruned(inner) for key, inner in value.items() if inner is not None}
        case list() | tuple():
            return [_pruned(item) for item in value]
        case float() if not math.isfinite(value):
            return xml.number(value)
        case msgspec.Struct():
            return _pruned({name: getattr(value, name) for name in value.__struct_fields__})
    return value


# ---------------------------------------------------------------------------------------------- CBOR


def _structure_cbor(service: services.Service, shape_name: str, value: dict[str, Any]) -> dict[str, Any]:
    made = {}
    for name, ref in service.shapes[shape_name].members.items():
        inner = value.get(name)
        if inner is not None:
            made[ref.location_name or name] = _value_cbor(service, ref.shape, inner)
    return made


def _value_cbor(service: services.Service, shape_name: str, value: Any) -> Any:
    """A value in the types that cbor2 writes as RPC-v2-CBOR wants: moments under tag 1, doubles as doubles."""
    shape = service.shapes[shape_name]
    match shape.type:
        case "structure":
            return _structure_cbor(service, shape_name, value)
        case "list":
            assert shape.member is not None
            inner = shape.member.shape
            match service.shapes[inner].type:
                case "timestamp":
                    return [cbor2.CBORTag(1, float(item)) for item in value]
                case "float" | "double":
                    return [float(item) for item in value]
            return [_value_cbor(service, inner, item) for item in value]
        case "map":
            assert shape.value is not None
            inner = shape.value.shape
            return {key: _value_cbor(service, inner, item) for key, item in value.items() if item is not None}
        case "timestamp":
            return cbor2.CBORTag(1, float(value))
        case "float" | "double":
            return float(value)
    return value


# ---------------------------------------------------------------------------------------------- refusals


def refuse(known: services.Services, hint: Hint, refusal: errors.Refusal, request_id: str) -> Response:
    """The answer that refuses a request, such that botocore raises its typed exception for the code.

    `hint` is the call, or the target where there is no call yet. Works for any refusal, also of a request that could
    not be read; loads the service's model only for Query and for CloudWatch's other protocols.
    """
    if hint.protocol is protocols.Protocol.QUERY:
        return _refuse_query(known, hint, refusal, request_id)
    shape_name, query_code, status = refusal.code, None, refusal.status
    service = _model_of_errors(known, hint)
    if service is not None:
        shape_name = service.error_shape(refusal.code) or refusal.code
        query_code, _ = _query_code(service, refusal)
    members = {name: value for name, value in refusal.members.items() if value is not None}
    members["__type"] = shape_name
    members["message"] = refusal.message
    if service is not None and shape_name in service.shapes and "Message" in service.shapes[shape_name].members:
        members["Message"] = refusal.message
    headers = _headers(hint.protocol, request_id)
    headers.append(("x-amzn-ErrorType", shape_name))
    if query_code is not None:
        headers.append(("x-amzn-query-error", f"{query_code};{_fault(status)}"))
    if hint.protocol is protocols.Protocol.CBOR:
        return Response(status, headers, cbor2.dumps(members))
    return Response(status, headers, _json(members))


def _fault(status: int) -> str:
    return "Sender" if status < 500 else "Receiver"


def _model_of_errors(known: services.Services, hint: Hint) -> services.Service | None:
    """The service's model where its errors have names of their own in the Query protocol."""
    if hint.service is None or hint.service not in known or not known.speaks(hint.service, protocols.Protocol.QUERY):
        return None
    return known.service(hint.service)


def _query_code(service: services.Service | None, refusal: errors.Refusal) -> tuple[str, int]:
    """The code and the status that the Query protocol gives a refusal."""
    shape_name = service.error_shape(refusal.code) if service is not None else None
    if service is not None and shape_name is not None:
        trait = service.shapes[shape_name].error
        if trait is not None and trait.code:
            return trait.code, trait.http_status_code or refusal.status
        return shape_name, refusal.status
    return _QUERY_CODES.get(refusal.code, (refusal.code, refusal.status))


def _refuse_query(known: services.Services, hint: Hint, refusal: errors.Refusal, request_id: str) -> Response:
    service = _model_of_errors(known, hint)
    code, status = _query_code(service, refusal)
    namespace = service.metadata.xml_namespace if service is not None else None
    members = "".join(
        f"<{name}>{xml.text(str(value))}</{name}>" for name, value in refusal.members.items() if value is not None
    )
    body = (
        f'<ErrorResponse xmlns="{namespace or "http://webservices.amazon.com/AWSFault/2005-15-09"}"><Error>'
        f"<Type>{_fault(status)}</Type><Code>{xml.text(code)}</Code><Message>{xml.text(refusal.message)}</Message>"
        f"{members}</Error><RequestId>{xml.text(request_id)}</RequestId></ErrorResponse>"
    )
    return Response(status, _headers(hint.protocol, request_id), body.encode())
