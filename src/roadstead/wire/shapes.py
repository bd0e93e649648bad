"""Types made from a model's shapes: one msgspec Struct a structure, its constraints checked by the decoder in C.

Types are made at the first use of an operation and kept with its `Service`. What such a type accepts, `values`
accepts as well; what it refuses, `values` judges (and words) precisely.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec

from roadstead.wire import constraints, services

INTEGER_BITS = {"integer": 32, "long": 64}
TIMESTAMP_SECONDS_MIN = -62135596800.0
"""The year 1, the first that clients can hold."""
TIMESTAMP_SECONDS_MAX = 253402300799.999
"""The end of the year 9999."""


def struct_type(service: services.Service, shape_name: str) -> type[msgspec.Struct]:
    """The Struct of a structure: attributes are the members' wire names, an absent member is None."""
    key = ("struct", shape_name)
    found = service.derived.get(key)
    if found is None:
        found = service.derived[key] = _make_struct(service, shape_name)
    made: type[msgspec.Struct] = found
    return made


def _make_struct(service: services.Service, shape_name: str) -> type[msgspec.Struct]:
    shape = service.shapes[shape_name]
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for name, ref in shape.members.items():
        if keyword.iskeyword(name):
            raise ValueError(f"{service.name}.{shape_name}.{name}: the name can't be an attribute")
        kind = annotation(service, ref.shape)
        fields.append((name, kind) if name in shape.required else (name, kind | None, None))
    return msgspec.defstruct(
        shape_name,
        fields,
        frozen=True,
        kw_only=True,
        omit_defaults=True,
        gc=False,
        module=f"{__name__}.{service.name}",
    )


def annotation(service: services.Service, shape_name: str) -> Any:
    """The type of a shape's values, with those of its constraints that msgspec can check."""
    shape = service.shapes[shape_name]
    match shape.type:
        case "structure":
            return Any if shape.document else struct_type(service, shape_name)
        case "list":
            assert shape.member is not None
            return _sized(list[annotation(service, shape.member.shape)], shape)  # type: ignore[misc]
        case "map":
            assert shape.key is not None and shape.value is not None
            key, value = annotation(service, shape.key.shape), annotation(service, shape.value.shape)
            return _sized(dict[key, value], shape)  # type: ignore[valid-type]
        case "string" | "character":
            return _text(service, shape)
        case "integer" | "long":
            low, high = integer_bounds(shape)
            return Annotated[int, msgspec.Meta(ge=low, le=high)]
        case "float" | "double":
            return float if shape.min is None and shape.max is None else _bounded_float(shape.min, shape.max)
        case "timestamp":
            return _bounded_float(TIMESTAMP_SECONDS_MIN, TIMESTAMP_SECONDS_MAX)
        case "boolean":
            return bool
        case "blob":
            return bytes
    raise ValueError(f"{service.name}.{shape_name}: no rule for the type {shape.type}")


def integer_bounds(shape: services.Shape) -> tuple[int, int]:
    """The least and the greatest value of an integer shape: the model's, within the width of its type."""
    width = INTEGER_BITS[shape.type]
    low, high = -(2 ** (width - 1)), 2 ** (width - 1) - 1
    return (
        low if shape.min is None else max(low, int(shape.min)),
        high if shape.max is None else min(high, int(shape.max)),
    )


def _bounded_float(low: float | None, high: float | None) -> Any:
    return Annotated[float, msgspec.Meta(ge=low, le=high)]


def _sized(kind: Any, shape: services.Shape) -> Any:
    low, high = _lengths(shape)
    return kind if low is None and high is None else Annotated[kind, msgspec.Meta(min_length=low, max_length=high)]


def _lengths(shape: services.Shape) -> tuple[int | None, int | None]:
    return (
        int(shape.min) if shape.min else None,
        None if shape.max is None else int(shape.max),
    )


def _text(service: services.Service, shape: services.Shape) -> Any:
    if shape.enum:
        return Literal[shape.enum]
    low, high = _lengths(shape)
    quick = pattern(service, shape.pattern).quick if shape.pattern else None
    if low is None and high is None and quick is None:
        return str
    return Annotated[str, msgspec.Meta(min_length=low, max_length=high, pattern=quick)]


def pattern(service: services.Service, source: str) -> constraints.Pattern:
    """The pattern, compiled once a service."""
    key = ("pattern", source)
    found: constraints.Pattern | None = service.derived.get(key)
    if found is None:
        found = service.derived[key] = constraints.Pattern(source)
    return found


UnionCheck = Callable[[Any], bool]


def union_check(service: services.Service, shape_name: str) -> UnionCheck | None:
    """Tells of a value of the shape whether each union in it has exactly one member, which msgspec can't say.

    None where the shape holds no union, so that there is nothing to look at.
    """
    key = ("union", shape_name)
    if key not in service.derived:
        service.derived[key] = _make_union_check(service, service.shapes[shape_name])
    found: UnionCheck | None = service.derived[key]
    return found


def _make_union_check(service: services.Service, shape: services.Shape) -> UnionCheck | None:
    if shape.type in ("list", "map"):
        ref = shape.member or shape.value
        assert ref is not None
        inner = union_check(service, ref.shape)
        if inner is None:
            return None
        check = inner
        if shape.type == "list":
            return lambda items: all(map(check, items))
        return lambda items: all(map(check, items.values()))
    if shape.type != "structure" or shape.document:
        return None
    checks = [(name, found) for name, ref in shape.members.items() if (found := union_check(service, ref.shape))]
    if not checks and not shape.union:
        return None
    members = tuple(shape.members) if shape.union else ()

    def holds(value: Any) -> bool:
        if members and sum(getattr(value, name) is not None for name in members) != 1:
            return False
        for name, check in checks:
            inner = getattr(value, name)
            if inner is not None and not check(inner):
                return False
        return True

    return holds
