"""The Query protocol: `MetricData.member.1.Dimensions.member.2.Name=…` into plain values, led by the shapes."""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from typing import Any
from urllib import parse as urls

from roadstead.base import errors
from roadstead.wire import services

FIELDS_MAX = 200_000
"""How many parameters one request may have."""

_INTEGER = re.compile(r"[+-]?\d{1,19}\Z", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d{1,400}(\.\d{0,400})?|\.\d{1,400})([eE][+-]?\d{1,5})?\Z", re.ASCII)
_INDEX = re.compile(r"[1-9]\d{0,8}\Z", re.ASCII)
_ACTION = re.compile(r"(?:^|&)(Action|Version)=([^&]*)")


def malformed(text: str) -> errors.Refusal:
    """A parameter can't be read as its type."""
    return errors.Refusal("MalformedInput", text)


def action(query: str, form: bytes) -> tuple[str | None, str | None]:
    """The `Action` and `Version` in a query string or a form; None where absent. Never raises."""
    found: dict[str, str] = {}
    for text in (query, form.decode("utf-8", "replace")):
        for name, value in _ACTION.findall(text):
            found.setdefault(name, urls.unquote_plus(value))
    return found.get("Action") or None, found.get("Version") or None


def parse(service: services.Service, shape_name: str, query: str, form: bytes) -> dict[str, Any]:
    """The input of an operation as plain values, of the types of its shapes. Raises Refusal."""
    try:
        text = form.decode("utf-8")
        pairs = [
            pair
            for part in (query, text)
            if part
            for pair in urls.parse_qsl(part, keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
        ]
    except ValueError:  # not UTF-8, or too many fields
        raise errors.Refusal("MalformedQueryString", "The query string contains a syntax error.") from None
    root: dict[Any, Any] = {}
    for name, value in pairs:
        _insert(service, service.shapes[shape_name], root, name.split("."), value)
    made: dict[str, Any] = _finish(service, shape_name, root, "")
    return made


def _insert(
    service: services.Service, shape: services.Shape, node: dict[Any, Any], parts: list[str], value: str
) -> None:
    """Put one parameter in its place in the tree; a name that the shapes don't know is ignored, as AWS ignores it."""
    position = 0
    while True:
        step = _step(shape, parts, position)
        if step is None:
            return
        key, ref, position = step
        shape = service.shapes[ref.shape]
        at_end = position == len(parts)
        if shape.type in ("structure", "list", "map"):
            inner = node.setdefault(key, {})
            if at_end:
                return  # `Names=` is an empty list
            node = inner
            continue
        if at_end:
            node.setdefault(key, value)
        return


def _step(shape: services.Shape, parts: list[str], position: int) -> tuple[Any, services.Ref, int] | None:
    """One step down the shapes: the key in the tree, the shape that it leads to, and the next part's position."""
    part = parts[position]
    if shape.type == "structure":
        for name, ref in _candidates(shape, part):
            if (ref.location_name or name) == part:
                return name, ref, position + 1
        return None
    if shape.type == "list":
        assert shape.member is not None
        if not shape.flattened:
            if part != (shape.member.location_name or "member") or position + 1 == len(parts):
                return None
            position += 1
        return _indexed(parts, position, shape.member)
    assert shape.key is not None and shape.value is not None
    if not shape.flattened:
        if part != "entry":
            return None
        position += 1
    if position + 2 > len(parts) or not _INDEX.match(parts[position]):
        return None
    index, side = int(parts[position]), parts[position + 1]
    if side == (shape.key.location_name or "key"):
        return (index, "key"), shape.key, position + 2
    if side == (shape.value.location_name or "value"):
        return (index, "value"), shape.value, position + 2
    return None


def _candidates(shape: services.Shape, part: str) -> list[tuple[str, services.Ref]]:
    direct = shape.members.get(part)
    if direct is not None and direct.location_name in (None, part):
        return [(part, direct)]
    return list(shape.members.items())


def _indexed(parts: list[str], position: int, ref: services.Ref) -> tuple[Any, services.Ref, int] | None:
    return (int(parts[position]), ref, position + 1) if _INDEX.match(parts[position]) else None


def _finish(service: services.Service, shape_name: str, node: Any, path: str) -> Any:
    """The tree's texts as values of their types."""
    shape = service.shapes[shape_name]
    match shape.type:
        case "structure":
            return {
                name: _finish(service, shape.members[name].shape, inner, f"{path}.{name}" if path else name)
                for name, inner in node.items()
            }
        case "list":
            assert shape.member is not None
            item = shape.member.shape
            return [_finish(service, item, node[index], f"{path}.member.{index}") for index in sorted(node)]
        case "map":
            assert shape.key is not None and shape.value is not None
            made = {}
            for index in sorted({index for index, _ in node}):
                if (index, "key") not in node:
                    raise malformed(f"{path}.entry.{index} has no key")
                inner = node.get((index, "value"))
                key = node[index, "key"]
                made[key] = None if inner is None else _finish(service, shape.value.shape, inner, f"{path}.{key}")
            return made
    return _scalar(shape.type, node, path)


def _scalar(kind: str, text: str, path: str) -> Any:
    match kind:
        case "integer" | "long":
            if _INTEGER.match(text):
                return int(text)
        case "float" | "double":
            if _NUMBER.match(text) or text in ("NaN", "Infinity", "-Infinity"):
                return float(text)
        case "boolean":
            if text in ("true", "false"):
                return text == "true"
        case "timestamp":
            return _moment(text, path)
        case "blob":
            try:
                return base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                raise malformed(f"{path} is not valid base64") from None
        case _:
            return text
    raise malformed(f"{text[:64]!r} is not a valid value for {path}, which is of the type {kind}")


def _moment(text: str, path: str) -> float:
    """ISO 8601, UTC where no zone is named; or seconds since the epoch."""
    if _NUMBER.match(text):
        return float(text)
    try:
        moment = datetime.datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return moment.timestamp()
    except (ValueError, OverflowError):
        raise malformed(f"timestamp must follow ISO8601: {path}") from None
