"""From an HTTP request to a call: which operation of which service, with typed and validated parameters.

    target = requests.detect(services, request)             # never raises
    call = requests.parse(services, request, request_id)    # raises Refusal, and nothing else, whatever the bytes

A refusal is worded for the service and spelled for the protocol by `responses.refuse`, which takes the target (or the
call). Codes of the JSON protocols are used throughout; `responses` translates them for Query clients.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Any

import cbor2
import msgspec

from roadstead.base import errors
from roadstead.wire import constraints, query, services, shapes, values
from roadstead.wire.protocols import Protocol as Protocol

BODY_BYTES_MAX = 10 * 1024 * 1024
"""The longest body, both as it comes and after gzip is undone."""
CBOR_DEPTH_MAX = 64
"""How deep arrays and maps may nest in CBOR; the deepest input of the models has about ten levels."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP request as the shell read it.

    `path` and `query` are raw: still percent-encoded, the query without its question mark. `headers` has lower-case
    names; a header that came several times is joined with ",". `body` is as it came, gzip not undone.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    query: str = ""
    body: bytes = b""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a request is for, as far as can be told: `service` and `operation` are None where they can't."""

    protocol: Protocol
    service: str | None = None
    operation: str | None = None


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request understood.

    `service` is botocore's name (`ecs`, `application-autoscaling`, `cloudwatch`, `sts`, `autoscaling`); `params` is a
    Struct made from the operation's input shape: `params.taskDefinition` and so on, exactly the wire's names, an absent
    member is None, lists are lists, maps dicts, moments floats (epoch seconds), blobs bytes, structures Structs again.
    An operation without input has an empty Struct.
    """

    service: str
    operation: str
    params: Any
    protocol: Protocol
    request_id: str


class _NoInput(msgspec.Struct, frozen=True):
    """The parameters of an operation that has none."""


_CBOR_PATH = re.compile(r"/service/([^/]+)/operation/([^/]+)/?\Z")
_SCOPE = re.compile(
    r"Credential(?:=|%3[Dd])[^,&\s]*?(?:/|%2[Ff])(\d{8})(?:/|%2[Ff])([^,/&%\s]+)(?:/|%2[Ff])([^,/&%\s]+)"
)


def detect(known: services.Services, request: Request) -> Target:
    """The protocol, service and operation that a request names. Reads no JSON or CBOR and never raises."""
    headers = request.headers
    target = headers.get("x-amz-target")
    content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if target is not None:
        prefix, _, operation = target.partition(".")
        protocol = Protocol.JSON10 if content_type == "application/x-amz-json-1.0" else Protocol.JSON11
        return Target(protocol=protocol, service=known.by_target_prefix(prefix), operation=operation or None)
    path = _CBOR_PATH.match(request.path)
    if path is not None or headers.get("smithy-protocol") == "rpc-v2-cbor" or content_type == "application/cbor":
        service = known.by_target_prefix(path.group(1)) if path is not None else None
        return Target(protocol=Protocol.CBOR, service=service, operation=path.group(2) if path is not None else None)
    signing_name = signed_service(request)
    service = known.by_signing_name(signing_name) if signing_name is not None else None
    if content_type.startswith("application/x-amz-json"):
        protocol = Protocol.JSON10 if content_type.endswith("1.0") else Protocol.JSON11
        return Target(protocol=protocol, service=service)
    action, version = query.action(request.query, request.body if _is_form(content_type) else b"")
    if service is None and version is not None:
        service = known.by_api_version(version)
    if action is None and service is not None and not known.speaks(service, Protocol.QUERY):
        return Target(protocol=Protocol.JSON11, service=service)
    return Target(protocol=Protocol.QUERY, service=service, operation=action)


def _is_form(content_type: str) -> bool:
    return content_type in ("application/x-www-form-urlencoded", "")


def signed_service(request: Request) -> str | None:
    """The signing name in the credential scope of the header or the query, unverified; None without one."""
    found = _SCOPE.search(request.headers.get("authorization", "")) or _SCOPE.search(request.query)
    return found.group(3) if found else None


def parse(known: services.Services, request: Request, request_id: str, target: Target | None = None) -> Call:
    """The call that a request makes. Raises Refusal, and nothing else. `target`: what `detect` said, where asked."""
    if target is None:
        target = detect(known, request)
    if len(request.body) > BODY_BYTES_MAX:
        raise too_large(BODY_BYTES_MAX)
    service, operation = _operation(known, request, target)
    params: Any
    if operation.input is None:
        params = _NoInput()
    else:
        body = inflate(request)
        try:
            match target.protocol:
                case Protocol.JSON10 | Protocol.JSON11:
                    params = _from_json(service, operation, operation.input.shape, body)
                case Protocol.CBOR:
                    params = _from_cbor(service, operation, operation.input.shape, body)
                case Protocol.QUERY:
                    form = body if request.method == "POST" else b""
                    raw = query.parse(service, operation.input.shape, request.query, form)
                    params = _from_values(service, operation, operation.input.shape, raw)
        except RecursionError:
            raise values.serialization_error("The body nests too deeply") from None
    return Call(
        service=service.name, operation=operation.name, params=params, protocol=target.protocol, request_id=request_id
    )


def _operation(
    known: services.Services, request: Request, target: Target
) -> tuple[services.Service, services.Operation]:
    """The operation asked for. Raises Refusal where there is none, or not in this protocol, or not in this way."""
    allowed = request.method == "POST" or (request.method == "GET" and target.protocol is Protocol.QUERY)
    at_root = target.protocol is Protocol.CBOR or request.path in ("/", "")
    if target.service is None or not allowed or not at_root:
        raise errors.Refusal(
            "UnknownOperationException", "The requested operation or service is not known.", status=404
        )
    service = known.service(target.service)
    operation = service.operations.get(target.operation) if target.operation is not None else None
    if operation is None or not known.speaks(target.service, target.protocol):
        if target.protocol is not Protocol.QUERY:
            raise errors.Refusal("UnknownOperationException", f"Unknown operation: {target.operation}")
        if target.operation is None:
            raise errors.Refusal("MissingAction", "The request is missing an Action parameter.")
        text = f"Could not find operation {target.operation} for version {service.metadata.api_version}"
        raise errors.Refusal("UnknownOperationException", text)
    return service, operation


def too_large(bytes_max: int) -> errors.Refusal:
    """The refusal of a body that is longer than `bytes_max`."""
    return errors.Refusal("RequestEntityTooLargeException", f"The body is larger than {bytes_max} bytes.", status=413)


def inflate(request: Request) -> bytes:
    """The body with gzip undone. Raises Refusal where it is none, or more than BODY_BYTES_MAX."""
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return request.body
    if encoding != "gzip":
        raise errors.Refusal(
            "UnsupportedMediaTypeException", f"Content-Encoding {encoding!r} is not known.", status=415
        )
    inflater = zlib.decompressobj(wbits=31)
    try:
        body = inflater.decompress(request.body, BODY_BYTES_MAX + 1)
    except zlib.error:
        raise values.serialization_error("The body is not valid gzip") from None
    if len(body) > BODY_BYTES_MAX:
        raise too_large(BODY_BYTES_MAX)
    if not inflater.eof or inflater.unused_data:
        raise values.serialization_error("The body is not valid gzip")
    return body


_BAD_TEXT = (msgspec.MsgspecError, UnicodeError, ValueError, OverflowError)


def _from_json(service: services.Service, operation: services.Operation, shape: str, body: bytes) -> Any:
    if not body:
        body = b"{}"
    decoder, holds = _decoder(service, shape)
    try:
        made = decoder.decode(body)
        if holds is None or holds(made):
            return made
    except _BAD_TEXT:
        pass  # read again below, to say precisely what is wrong, or to accept what only `values` can
    try:
        raw = msgspec.json.decode(body)
    except _BAD_TEXT:
        raise values.serialization_error("The body is not valid JSON") from None
    return _read(service, operation, shape, raw)


def _decoder(service: services.Service, shape: str) -> tuple[msgspec.json.Decoder[Any], shapes.UnionCheck | None]:
    key = ("decoder", shape)
    found: tuple[msgspec.json.Decoder[Any], shapes.UnionCheck | None] | None = service.derived.get(key)
    if found is None:
        decoder = msgspec.json.Decoder(shapes.struct_type(service, shape))
        found = service.derived[key] = (decoder, shapes.union_check(service, shape))
    return found


def _plain_moment(value: object, _immutable: bool) -> object:
    return value


_CBOR_TAGS: Any = {1: _plain_moment}


def _from_cbor(service: services.Service, operation: services.Operation, shape: str, body: bytes) -> Any:
    try:
        raw = cbor2.loads(body, semantic_decoders=_CBOR_TAGS, max_depth=CBOR_DEPTH_MAX) if body else {}
    except RecursionError:
        raise
    except Exception:  # cbor2's tags build many kinds of values, each with errors of its own
        raise values.serialization_error("The body is not valid CBOR") from None
    return _from_values(service, operation, shape, raw)


def _from_values(service: services.Service, operation: services.Operation, shape: str, raw: Any) -> Any:
    """Plain values as the input's type: quickly where msgspec takes them, else precisely."""
    holds = shapes.union_check(service, shape)
    try:
        made = msgspec.convert(raw, shapes.struct_type(service, shape))
        if holds is None or holds(made):
            return made
    except _BAD_TEXT:
        pass
    return _read(service, operation, shape, raw)


def _read(service: services.Service, operation: services.Operation, shape: str, raw: Any) -> Any:
    reader = values.Reader(service)
    made = reader.read(shape, raw)
    if reader.violations:
        raise constraints.refusal(service.name, operation.name, reader.violations)
    return made
