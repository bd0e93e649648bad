"""The precise reading of values: what the quick decoder refuses is read again, to word the refusal or to accept it.

Comes in: an operation's input as plain Python values (dict, list, str, int, float, bool, bytes, None). Goes out: the
same Structs that the quick way makes, and the list of broken rules. A value of the wrong type is a Refusal at once
(`SerializationException`), in the words that AWS's JSON services use.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any

from roadstead.base import errors
from roadstead.wire import constraints, services, shapes

_WORDS = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}
_TYPE_NAMES = {
    "string": "String",
    "character": "String",
    "integer": "an Integer",
    "long": "a Long",
    "float": "a Float",
    "double": "a Double",
    "boolean": "a Boolean",
}


def serialization_error(text: str) -> errors.Refusal:
    """The body can't be read as the operation's input."""
    return errors.Refusal("SerializationException", text)


class Reader:
    """Reads one input; `violations` holds the broken rules afterwards."""

    def __init__(self, service: services.Service) -> None:
        self._service = service
        self.violations: list[constraints.Violation] = []

    def read(self, shape_name: str, value: Any, path: constraints.Path = ()) -> Any:
        """The value as the shape's type. Raises Refusal for a wrong type."""
        shape = self._service.shapes[shape_name]
        match shape.type:
            case "structure":
                return value if shape.document else self._structure(shape_name, shape, value, path)
            case "list":
                return self._list(shape, value, path)
            case "map":
                return self._map(shape, value, path)
            case "string" | "character":
                return self._string(shape, value, path)
            case "integer" | "long":
                return self._integer(shape, value, path)
            case "float" | "double":
                return self._float(shape, value, path)
            case "timestamp":
                return _timestamp(value)
            case "boolean":
                if not isinstance(value, bool):
                    raise _wrong_type(value, shape.type)
                return value
            case "blob":
                return _blob(value)
        raise ValueError(f"no rule for the type {shape.type}")

    def _break(
        self, path: constraints.Path, rule: str, value: object, figure: object, *, of_many: bool = False
    ) -> None:
        text = None if value is None else _shown(value)
        self.violations.append(
            constraints.Violation(path=path, rule=rule, value=text, figure=str(figure), collection=of_many)
        )

    def _structure(self, name: str, shape: services.Shape, value: Any, path: constraints.Path) -> Any:
        if not isinstance(value, dict):
            raise _unexpected(value, "structure")
        made: dict[str, Any] = {}
        for member, ref in shape.members.items():
            raw = value.get(member)
            inner = (*path, member)
            if raw is not None:
                made[member] = self.read(ref.shape, raw, inner)
            elif member in shape.required:
                made[member] = None
                many = self._service.shapes[ref.shape].type in ("list", "map")
                self._break(inner, "required", None, "", of_many=many)
        if shape.union and len(made) != 1:
            raise serialization_error(f"Exactly one member of the union {name} must be set, {len(made)} are.")
        return shapes.struct_type(self._service, name)(**made)

    def _list(self, shape: services.Shape, value: Any, path: constraints.Path) -> list[Any]:
        if not isinstance(value, list):
            raise _unexpected(value, "list")
        assert shape.member is not None
        self._size(shape, value, path, of_many=True)
        made = []
        for index, raw in enumerate(value, 1):
            inner = (*path, index)
            if raw is None:
                self._break(inner, "required", None, "")
            else:
                made.append(self.read(shape.member.shape, raw, inner))
        return made

    def _map(self, shape: services.Shape, value: Any, path: constraints.Path) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _unexpected(value, "structure")
        assert shape.key is not None and shape.value is not None
        self._size(shape, value, path, of_many=True)
        made = {}
        for key, raw in value.items():
            if not isinstance(key, str):
                raise _wrong_type(key, "string")
            self.read(shape.key.shape, key, (*path, key))
            if raw is None:
                self._break((*path, key), "required", None, "")
            else:
                made[key] = self.read(shape.value.shape, raw, (*path, key))
        return made

    def _string(self, shape: services.Shape, value: Any, path: constraints.Path) -> str:
        if not isinstance(value, str):
            raise _wrong_type(value, shape.type)
        if shape.enum:
            if value not in shape.enum:
                self._break(path, "enum", value, ", ".join(shape.enum))
            return value
        self._size(shape, value, path)
        if shape.pattern and not shapes.pattern(self._service, shape.pattern).accepts(value):
            self._break(path, "pattern", value, shape.pattern)
        return value

    def _size(self, shape: services.Shape, value: Any, path: constraints.Path, *, of_many: bool = False) -> None:
        if shape.min and len(value) < shape.min:
            self._break(path, "length_min", value, int(shape.min), of_many=of_many)
        if shape.max is not None and len(value) > shape.max:
            self._break(path, "length_max", value, int(shape.max), of_many=of_many)

    def _integer(self, shape: services.Shape, value: Any, path: constraints.Path) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_type(value, shape.type)
        width = shapes.INTEGER_BITS[shape.type]
        if not -(2 ** (width - 1)) <= value < 2 ** (width - 1):
            raise serialization_error(f"The number is out of range for {_TYPE_NAMES[shape.type]}")
        self._range(shape, value, path)
        return value

    def _float(self, shape: services.Shape, value: Any, path: constraints.Path) -> float:
        if isinstance(value, str) and value in _WORDS:
            value = _WORDS[value]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong_type(value, shape.type)
        number = _to_float(value)
        self._range(shape, number, path)
        return number

    def _range(self, shape: services.Shape, value: float, path: constraints.Path) -> None:
        if shape.min is not None and not value >= shape.min:
            self._break(path, "value_min", value, _figure(shape.min))
        if shape.max is not None and not value <= shape.max:
            self._break(path, "value_max", value, _figure(shape.max))


def _figure(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def _shown(value: object) -> str:
    """The value as refusals repeat it: never long, and never costly to make."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, list | dict):
        text = str([_shown(item) for item in list(value)[:5]]) if value else "[]"
    else:
        text = str(value)
    return text if len(text) <= constraints.VALUE_CHARACTERS_MAX else text[: constraints.VALUE_CHARACTERS_MAX] + "…"


def _to_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise serialization_error("The number is out of range for a Double") from None


def _timestamp(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise serialization_error(f"{_kind(value)} can not be converted to milliseconds since epoch")
    seconds = _to_float(value)
    if not shapes.TIMESTAMP_SECONDS_MIN <= seconds <= shapes.TIMESTAMP_SECONDS_MAX:
        raise serialization_error("The timestamp is out of range")
    return seconds


def _blob(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise _unexpected(value, "blob")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise serialization_error("The blob is not valid base64") from None


def _kind(value: Any) -> str:
    match value:
        case True:
            return "TRUE_VALUE"
        case False:
            return "FALSE_VALUE"
        case str():
            return "STRING_VALUE"
        case float() if not value.is_integer():
            return "DECIMAL_VALUE"
        case int() | float():
            return "NUMBER_VALUE"
        case bytes():
            return "BLOB_VALUE"
    return "VALUE"


def _wrong_type(value: Any, wanted: str) -> errors.Refusal:
    if isinstance(value, dict):
        return serialization_error("Start of structure or map found where not expected.")
    if isinstance(value, list):
        return serialization_error("Start of list found where not expected")
    name = _TYPE_NAMES[wanted]
    article = "a String" if name == "String" else name
    return serialization_error(f"{_kind(value)} can not be converted to {article}")


def _unexpected(value: Any, wanted: str) -> errors.Refusal:
    if wanted == "list":
        return serialization_error("Expected list or null")
    if wanted == "structure" and isinstance(value, list):
        return serialization_error("Start of list found where not expected")
    return serialization_error("Expected null")
