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
PARTS_MAX = 32
"""How many parts a name may have; the deepest shape of the models has about ten. Longer ones name nothing."""


def malformed(text: str) -> errors.Refusal:
    """A parameter can't be read as its type."""
    return errors.Refusal("MalformedInput", text)


def action(query: str, form: bytes) -> tuple[str | None, str | None]:
    """The `Action` and `Version` in a query string or a form; None where absent. Never raises."""
    parts = (query.encode("utf-8", "replace"), form)
    return _first(parts, b"Action="), _first(parts, b"Version=")


def _first(parts: tuple[bytes, ...], name: bytes) -> str | None:
    """The first value of a parameter, looked for without reading all the others."""
    for part in parts:
        at = part.find(name)
        while at > 0 and part[at - 1 : at] != b"&":
            at = part.find(name, at + 1)
        if at >= 0:
            end = part.find(b"&", at)
            value = part[at + len(name) : end if end >= 0 else len(part)]
            return urls.unquote_plus(value.decode("utf-8", "replace")) or None
    return None


def parse(service: services.Service, shape_name: str, query: str, form: bytes) -> dict[str, Any]:
    """The input of an operation as plain values, of the types of its shapes. Raises Refusal.

    A parameter that the shapes don't know is passed over, as AWS does; of one that comes twice the first counts.
    """
    tree = _Tree(_kind(service, shape_name))
    decoded: dict[str, str] = {}  # many values come again and again: timestamps above all
    try:
        parts = (query, form.decode("utf-8"))
        if sum(part.count("&") + 1 for part in parts) > FIELDS_MAX:
            raise ValueError(f"more than {FIELDS_MAX} fields")
        for part in parts:
            for pair in part.replace("+", " ").split("&"):
                name, _, value = pair.partition("=")
                if "%" in value:
                    value = decoded.get(value) or decoded.setdefault(value, urls.unquote(value, errors="strict"))
                tree.put(urls.unquote(name, errors="strict") if "%" in name else name, value)
    except ValueError:  # not UTF-8, or too many fields
        raise errors.Refusal("MalformedQueryString", "The query string contains a syntax error.") from None
    return tree.finish()


# -- the tree that the parameters' names make


class _Kind:
    """A shape as names are read by it: which parts may come next, and where each leads."""

    __slots__ = ("index_word", "is_compound", "item", "members", "sides", "type")

    def __init__(self, shape: services.Shape) -> None:
        self.type = shape.type
        self.is_compound = shape.type in ("structure", "list", "map")
        self.members: dict[str, tuple[str, _Kind]] = {}
        """Of a structure: wire name → the member's name and kind."""
        self.index_word: str | None = None
        """The part before the index of a list or a map; None where it is flattened."""
        self.item: _Kind | None = None
        """Of a list."""
        self.sides: dict[str, tuple[str, _Kind]] = {}
        """Of a map: wire name → `key` or `value`, and its kind."""


def _kind(service: services.Service, shape_name: str) -> _Kind:
    """The kind of a shape, made once a service."""
    found: _Kind | None = service.derived.get(("query", shape_name))
    if found is not None:
        return found
    shape = service.shapes[shape_name]
    made = service.derived["query", shape_name] = _Kind(shape)
    for name, ref in reversed(shape.members.items()):
        made.members[ref.location_name or name] = (name, _kind(service, ref.shape))
    if shape.member is not None:
        made.item = _kind(service, shape.member.shape)
        made.index_word = None if shape.flattened else shape.member.location_name or "member"
    if shape.key is not None and shape.value is not None:
        made.index_word = None if shape.flattened else "entry"
        for side, ref in (("key", shape.key), ("value", shape.value)):
            made.sides[ref.location_name or side] = (side, _kind(service, ref.shape))
    return made


class _Place:
    """What the beginning of a name leads to: a structure, list or map, or a point between the parts of one."""

    __slots__ = ("index", "kind", "name", "node", "word_seen")

    def __init__(
        self, name: str, kind: _Kind, node: dict[Any, Any], word_seen: bool = False, index: int | None = None
    ) -> None:
        self.name = name
        self.kind = kind
        self.node = node
        self.word_seen = word_seen or kind.index_word is None
        """Whether an index comes next, in a list or a map."""
        self.index = index
        """Of a map's entry: whether `key` or `value` comes next."""

    def step(self, part: str) -> tuple[Any, _Kind] | None:
        """The key in the node that a part stands for, and the kind of what is there."""
        kind = self.kind
        if kind.type == "structure":
            return kind.members.get(part)
        if kind.item is not None:
            return (int(part), kind.item) if self.word_seen and _INDEX.match(part) else None
        if self.index is None or part not in kind.sides:
            return None
        side, inner = kind.sides[part]
        return (self.index, side), inner

    def between(self, part: str, name: str) -> _Place | None:
        """The point within a list or a map that a part leads to, before its item or its side; None where to none."""
        if not self.word_seen:
            return _Place(name, self.kind, self.node, True) if part == self.kind.index_word else None
        if self.kind.type == "map" and self.index is None and _INDEX.match(part):
            return _Place(name, self.kind, self.node, True, int(part))
        return None


class _Tree:
    """Values in nested dicts: lists by index, maps by (index, side), until `finish` makes lists and maps of them.

    Names that share a beginning come one behind the other, thousands of them: so the place that each beginning leads
    to is remembered, and a parameter costs one step from there.
    """

    def __init__(self, kind: _Kind) -> None:
        self._root = _Place("", kind, {})
        self._places: dict[str, _Place | None] = {}
        self._unfinished: list[tuple[_Place, dict[Any, Any], Any]] = []
        """Lists and maps, each with the dict that it is in and its key there."""

    def put(self, name: str, text: str) -> None:
        """Take one parameter; raises Refusal where its text is no value of its type."""
        above, dot, part = name.rpartition(".")
        place = (self._places.get(above) or self._find(above)) if dot else self._root
        if place is None:
            return
        step = place.kind.members.get(part) or place.step(part)
        if step is None:
            return
        key, kind = step
        if kind.is_compound:
            self._find(name)  # `Names=` is an empty list
        elif key not in place.node:
            place.node[key] = text if kind.type == "string" else _scalar(kind.type, text, name)

    def finish(self) -> dict[str, Any]:
        """All of it as plain values."""
        for place, holder, key in reversed(self._unfinished):  # what is within comes before what it is in
            holder[key] = _items(place.node) if place.kind.type == "list" else _entries(place.node, place.name)
        return self._root.node

    def _find(self, name: str) -> _Place | None:
        """The place that a name leads to, made where it is the first to do so; None where it leads nowhere."""
        places = self._places
        if name in places:
            return places[name]
        if name.count(".") >= PARTS_MAX:
            return None
        above, dot, part = name.rpartition(".")
        outer = (places.get(above) or self._find(above)) if dot else self._root
        if outer is None:
            return None
        found = None
        step = outer.step(part)
        if step is None:
            found = outer.between(part, name)
        elif step[1].is_compound:
            key, kind = step
            found = _Place(name, kind, outer.node.setdefault(key, {}))
            if kind.type != "structure":
                self._unfinished.append((found, outer.node, key))
        places[name] = found
        return found


def _items(node: dict[int, Any]) -> list[Any]:
    return [node[index] for index in sorted(node)]


def _entries(node: dict[tuple[int, str], Any], name: str) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    for index in sorted({index for index, _ in node}):
        if (index, "key") not in node:
            raise malformed(f"{name}.entry.{index} has no key")
        made[node[index, "key"]] = node.get((index, "value"))
    return made


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
