"""YAML into typed values, so that an error names file, line and field.

YAML is read as its 1.2 core has it: `14:30`, `on` and dates are text, not numbers, truths or objects. Anchors work,
merge keys don't. A document is bounded, aliases followed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
import yaml

from roadstead.lab import problems, spans

T = TypeVar("T")

NODES_MAX = 20_000
"""Values in a document, each alias counted anew."""
_INT = re.compile(r"[-+]?[0-9]+(?:_[0-9]+)*")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NAMED = {"null": None, "~": None, "": None, "true": True, "false": False}
_PATH = re.compile(r" - at `(\$[^`]*)`$")
_STEP = re.compile(r"\.[^.\[]+|\[[^\]]*\]")
_KEY = re.compile(r"Object (?:contains unknown|missing required) field `([^`]+)`")

PARSERS: dict[type, Callable[[object], Any]] = {
    spans.Span: spans.parse_span,
    spans.Moment: spans.parse_moment,
    spans.Hour: spans.parse_hour,
}


def parse(text: str, file: str, kind: type[T], changes: Mapping[str, object] | None = None) -> T:
    """The value of `kind` that a YAML document stands for, after some of its values were changed: `changes` has their
    paths, as `tasks.max` or `traffic.0.trace.file`. Raises problems.Invalid."""
    lines: dict[str, int] = {}
    value = _Reader(file, lines).read(_compose(text, file), "$")
    return _convert(value, kind, file, lines, changes or {})


def made(value: Mapping[str, object], source: str, kind: type[T], changes: Mapping[str, object]) -> T:
    """The same of values that stand in no document; `source` is what errors call them. Raises problems.Invalid."""
    return _convert(dict(value), kind, source, {}, changes)


def scalar_or_flow(text: str, file: str) -> object:
    """What a piece of YAML says, as in `[60, 300]`. Raises problems.Invalid."""
    return _Reader(file, {}).read(_compose(text, file), "$") if text.strip() else None


def _convert(value: object, kind: type[T], file: str, lines: dict[str, int], changes: Mapping[str, object]) -> T:
    for path, new in changes.items():
        value = _changed(value, path.split("."), new, path)
    try:
        return msgspec.convert(value, kind, dec_hook=_decode)
    except msgspec.ValidationError as problem:
        raise _explain(str(problem), kind, file, lines, changes) from None


def _changed(value: object, steps: list[str], new: object, path: str) -> object:
    """A value of which one deep inside is another; objects on the way are made where there are none."""
    if not steps:
        return new
    step, rest = steps[0], steps[1:]
    match value:
        case None:
            return {step: _changed(None, rest, new, path)}
        case dict():
            return {**value, step: _changed(value.get(step), rest, new, path)}
        case list() if step.isdecimal() and int(step) < len(value):
            return [_changed(one, rest, new, path) if at == int(step) else one for at, one in enumerate(value)]
        case _:
            raise problems.Invalid(f"there is nothing called {step!r} to set", field=path)


def _compose(text: str, file: str) -> yaml.Node:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        line = mark.line + 1 if mark is not None else None
        raise problems.Invalid(f"this is no YAML: {problem.problem}", file=file, line=line) from None
    except yaml.YAMLError as problem:
        raise problems.Invalid(f"this is no YAML: {problem}", file=file) from None
    if root is None:
        raise problems.Invalid("the document is empty", file=file)
    return root


def _decode(kind: type, given: object) -> object:
    return PARSERS[kind](given)


class _Reader:
    """Nodes into plain values; notes the line of each path."""

    def __init__(self, file: str, lines: dict[str, int]) -> None:
        self._file = file
        self._lines = lines
        self._nodes = 0

    def read(self, node: yaml.Node, path: str) -> object:
        line = node.start_mark.line + 1
        self._lines.setdefault(path, line)
        self._nodes += 1
        if self._nodes > NODES_MAX:
            raise problems.Invalid(f"the document has more than {NODES_MAX} values", file=self._file, line=line)
        match node:
            case yaml.ScalarNode():
                return node.value if node.style in ("'", '"', "|", ">") else _scalar(node.value)
            case yaml.SequenceNode():
                return [self.read(one, f"{path}[{place}]") for place, one in enumerate(node.value)]
            case yaml.MappingNode():
                return self._mapping(node, path)
            case _:
                raise problems.Invalid(f"{node.tag} can't be read", file=self._file, line=line)

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise problems.Invalid("a key must be text", file=self._file, line=line, field=_shown(path))
            if key.value in found:
                raise problems.Invalid("this key stands here twice", file=self._file, line=line, field=key.value)
            self._lines[f"{path}.{key.value}"] = line
            found[key.value] = self.read(value, f"{path}.{key.value}")
        return found


def _scalar(text: str) -> object:
    if text.lower() in _NAMED:
        return _NAMED[text.lower()]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _explain(
    message: str, kind: type, file: str, lines: dict[str, int], changes: Mapping[str, object]
) -> problems.Invalid:
    """msgspec's words, with the line they are about; what was changed has none."""
    found = _PATH.search(message)
    path = found[1] if found else "$"
    what = _PATH.sub("", message)
    key = _KEY.match(what)
    if key and "unknown" in what:
        there_are = ", ".join(_fields_at(msgspec.inspect.type_info(kind), _STEP.findall(path)))
        path, what = f"{path}.{key[1]}", f"there is no such field; there are {there_are}"
    elif key:
        what = f"the field {key[1]} is missing"
    plain = re.sub(r"\[(\d+)\]", r".\1", _shown(path))
    if any(f"{plain}.".startswith(f"{one}.") for one in changes):
        return problems.Invalid(what[:1].lower() + what[1:], field=_shown(path))
    line = lines.get(path)
    parent = path
    while line is None and parent != "$":
        parent = parent[: max(parent.rfind("."), parent.rfind("["))] or "$"
        line = lines.get(parent)
    return problems.Invalid(what[:1].lower() + what[1:], file=file, line=line, field=_shown(path))


def _fields_at(kind: msgspec.inspect.Type, steps: list[str]) -> list[str]:
    """The fields that an object may have, some steps (`.name`, `[0]`, `[...]`) into a value of `kind`."""
    if isinstance(kind, msgspec.inspect.UnionType):
        (kind,) = (one for one in kind.types if not isinstance(one, msgspec.inspect.NoneType))
    match kind:
        case msgspec.inspect.StructType() if not steps:
            return [field.encode_name for field in kind.fields if not field.encode_name.startswith("(")]
        case msgspec.inspect.StructType():
            (field,) = (one for one in kind.fields if one.encode_name == steps[0][1:])
            return _fields_at(field.type, steps[1:])
        case msgspec.inspect.VarTupleType():
            return _fields_at(kind.item_type, steps[1:])
        case _:
            raise TypeError(f"{kind} has no fields")


def _shown(path: str) -> str:
    return path.removeprefix("$").removeprefix(".")
