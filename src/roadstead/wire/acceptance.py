"""Which of a call's parameters this server does not support, so that none is silently ignored.

    unsupported = acceptance.compile_checker(services, "ecs", "RunTask", {"cluster", "overrides.memory"})
    names = unsupported(call.params)    # ["launchType", "overrides.cpu"]; usually []

A path is the wire's names joined by dots; the elements of lists and the values of maps add no part of their own. A
listed path accepts all that lies below it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection
from typing import Any

from roadstead.wire import services

Checker = Callable[[Any], list[str]]
_Visit = Callable[[Any, dict[str, None]], None]


def compile_checker(known: services.Services, service: str, operation: str, accepted: Collection[str]) -> Checker:
    """A function from an operation's `params` to the sorted paths of members that are set but not accepted.

    A member counts as set unless it is None or an empty list or map (which asks for nothing). The checker looks only at
    members that are not accepted. Raises ValueError for an accepted path that the model does not have: our own slip.
    """
    model = known.service(service)
    described = model.operations[operation]
    tree = _tree(accepted)
    if described.input is None:
        if tree:
            raise ValueError(f"{service}.{operation} has no parameters, so none can be accepted")
        return lambda _params: []
    visit = _compile(model, described.input.shape, tree, "", f"{service}.{operation}")
    if visit is None:
        return lambda _params: []
    found_visit = visit

    def unsupported(params: Any) -> list[str]:
        found: dict[str, None] = {}
        found_visit(params, found)
        return sorted(found) if found else []

    return unsupported


def member_paths(known: services.Services, service: str, operation: str) -> tuple[str, ...]:
    """All paths of an operation's input, in the model's order, a structure's own path before those below it."""
    model = known.service(service)
    described = model.operations[operation]
    if described.input is None:
        return ()
    found: dict[str, None] = {}
    _collect(model, described.input.shape, "", found)
    return tuple(found)


class _Accepted(dict[str, "_Accepted"]):
    """The accepted names at one level; an empty one accepts everything below."""


def _tree(accepted: Collection[str]) -> _Accepted:
    root = _Accepted()
    for path in sorted(accepted, key=lambda path: path.count(".")):
        node = root
        parts = path.split(".")
        for position, part in enumerate(parts):
            if part in node and not node[part]:
                break  # a listed path above this one accepts it already
            node = node.setdefault(part, _Accepted())
            if position == len(parts) - 1:
                node.clear()
    return root


def _struct_below(model: services.Service, shape_name: str) -> tuple[str | None, tuple[str, ...]]:
    """The structure that a shape leads to through lists and maps (None where to a single value), and the way."""
    way: list[str] = []
    while True:
        shape = model.shapes[shape_name]
        ref = shape.member if shape.type == "list" else shape.value if shape.type == "map" else None
        if ref is None:
            return (shape_name if shape.type == "structure" and not shape.document else None), tuple(way)
        way.append(shape.type)
        shape_name = ref.shape


def _collect(model: services.Service, shape_name: str, prefix: str, found: dict[str, None]) -> None:
    for name, ref in model.shapes[shape_name].members.items():
        found[prefix + name] = None
        inner, _ = _struct_below(model, ref.shape)
        if inner is not None:
            _collect(model, inner, f"{prefix}{name}.", found)


def _compile(model: services.Service, shape_name: str, accepted: _Accepted, prefix: str, where: str) -> _Visit | None:
    """A visitor of a structure's members that are not accepted; None where all are."""
    members = model.shapes[shape_name].members
    unknown = [name for name in accepted if name not in members]
    if unknown:
        raise ValueError(f"{where} has no member {prefix}{unknown[0]}")
    refused = tuple(name for name in members if name not in accepted)
    partly: list[tuple[str, _Visit]] = []
    for name, below in accepted.items():
        if not below:
            continue
        inner, way = _struct_below(model, members[name].shape)
        if inner is None:
            raise ValueError(f"{where} has no member {prefix}{name}.{next(iter(below))}")
        visit = _compile(model, inner, below, f"{prefix}{name}.", where)
        if visit is not None:
            partly.append((name, _through(visit, way)))
    if not refused and not partly:
        return None
    return _visitor(refused, tuple(partly), prefix)


def _visitor(refused: tuple[str, ...], partly: tuple[tuple[str, _Visit], ...], prefix: str) -> _Visit:
    read = operator.attrgetter(*refused) if refused else None
    untouched = (None,) * len(refused) if len(refused) > 1 else None

    def visit(value: Any, found: dict[str, None]) -> None:
        if read is not None and read(value) != untouched:
            for name in refused:
                inner = getattr(value, name)
                if inner is not None and inner != [] and inner != {}:
                    found[prefix + name] = None
        for name, below in partly:
            inner = getattr(value, name)
            if inner is not None:
                below(inner, found)

    return visit


def _through(visit: _Visit, way: tuple[str, ...]) -> _Visit:
    """The visitor, led through the lists and maps that lie around its structure."""
    for kind in reversed(way):
        visit = _each(visit, of_values=kind == "map")
    return visit


def _each(visit: _Visit, *, of_values: bool) -> _Visit:
    def visit_each(value: Any, found: dict[str, None]) -> None:
        for item in value.values() if of_values else value:
            visit(item, found)

    return visit_each
