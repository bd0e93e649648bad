"""The Query protocol's answers: an output as XML, led by its shape."""

from __future__ import annotations

import datetime
import math
import re
from typing import Any
from xml.sax import saxutils

import msgspec

from roadstead.wire import services

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def text(value: str) -> str:
    """The text, escaped; characters that XML 1.0 can't hold become U+FFFD, and a carriage return its reference."""
    return saxutils.escape(_NOT_XML.sub("\ufffd", value), {"\r": "&#xD;"})


def result(service: services.Service, operation: services.Operation, output: dict[str, Any], request_id: str) -> bytes:
    """The whole answer of an operation."""
    parts: list[str] = []
    if operation.output is not None:
        wrapper = operation.output.result_wrapper or f"{operation.name}Result"
        parts.append(f"<{wrapper}>")
        _members(service, service.shapes[operation.output.shape], output, parts)
        parts.append(f"</{wrapper}>")
    name = f"{operation.name}Response"
    namespace = service.metadata.xml_namespace or ""
    return (
        f'<{name} xmlns="{namespace}">{"".join(parts)}'
        f"<ResponseMetadata><RequestId>{text(request_id)}</RequestId></ResponseMetadata></{name}>"
    ).encode()


def _members(service: services.Service, shape: services.Shape, value: dict[str, Any], parts: list[str]) -> None:
    for name, ref in shape.members.items():
        inner = value.get(name)
        if inner is not None:
            _element(service, ref, inner, ref.location_name or name, parts)


def _element(service: services.Service, ref: services.Ref, value: Any, name: str, parts: list[str]) -> None:
    shape = service.shapes[ref.shape]
    flattened = shape.flattened or bool(ref.flattened)
    match shape.type:
        case "structure":
            parts.append(f"<{name}>")
            _members(service, shape, value, parts)
            parts.append(f"</{name}>")
        case "list":
            assert shape.member is not None
            inner = shape.member.location_name or (name if flattened else "member")
            if not flattened:
                parts.append(f"<{name}>")
            for item in value:
                _element(service, shape.member, item, inner, parts)
            if not flattened:
                parts.append(f"</{name}>")
        case "map":
            assert shape.key is not None and shape.value is not None
            if not flattened:
                parts.append(f"<{name}>")
            entry = name if flattened else "entry"
            for key, item in value.items():
                parts.append(f"<{entry}>")
                _element(service, shape.key, key, shape.key.location_name or "key", parts)
                _element(service, shape.value, item, shape.value.location_name or "value", parts)
                parts.append(f"</{entry}>")
            if not flattened:
                parts.append(f"</{name}>")
        case _:
            parts.append(f"<{name}>{scalar(shape.type, value)}</{name}>")


def scalar(kind: str, value: Any) -> str:
    """A single value as XML's text."""
    match kind:
        case "boolean":
            return "true" if value else "false"
        case "timestamp":
            return moment(value)
        case "float" | "double":
            return number(float(value))
        case "blob":
            return str(msgspec.to_builtins(value))
        case "integer" | "long":
            return str(int(value))
    return text(value)


def number(value: float) -> str:
    """A double; the three that have no digits in AWS's words."""
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def moment(seconds: float) -> str:
    """Epoch seconds as ISO 8601 in UTC, with microseconds only where there are any."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat().replace("+00:00", "Z")
