"""What a model demands of values: its patterns in Python's terms, and the words in which each service refuses.

Sources of the words: behaviour.md 1.1.2 for Application Auto Scaling; public transcripts of the real services for
`MissingParameter` ("The parameter MetricData.member.16.Dimensions.member.3.Value is required."),
`InvalidParameterValue` ("The parameter MetricData.member.1.Unit must be a value in the set [ … ].", "The collection
MetricData must not have a size greater than 1000."), CloudWatch's `ValidationError` on alarms ("1 validation error
detected: Value 'GB' at 'unit' failed to satisfy constraint: …") and ECS's "Family can not be blank.".
"""

from __future__ import annotations

import re
import unicodedata

import msgspec

from roadstead.base import errors

VIOLATIONS_MAX = 20
"""How many broken rules one refusal names."""
VALUE_CHARACTERS_MAX = 256
"""How much of an offending value a refusal repeats."""

Path = tuple[str | int, ...]


class Violation(msgspec.Struct, frozen=True):
    """One broken rule: where, which (`required`, `enum`, `length_min`, …), the value as text, the rule's figure."""

    path: Path
    rule: str
    value: str | None
    figure: str
    collection: bool = False


# ---------------------------------------------------------------------------------------------- patterns

_CATEGORIES = {"L": "L", "M": "M", "N": "N", "P": "P", "S": "S", "Z": "Z", "Zs": "Zs", "Print": ""}
_PROPERTY = re.compile(r"\\p\{(\w+)\}")
_ASTRAL = (
    ("\\uD800\\uDC00-\\uDBFF\\uDFFF", "\\U00010000-\\U0010FFFF"),
    ("\\u10000-\\u10FFFF", "\\U00010000-\\U0010FFFF"),
)


def _in_property(character: str, name: str) -> bool:
    if name == "Print":
        return " " <= character <= "~"
    return unicodedata.category(character).startswith(name)


def _ascii_members(name: str) -> str:
    return "".join(f"\\x{code:02x}" for code in range(128) if _in_property(chr(code), name))


class Pattern:
    """A model's pattern (Java's syntax, matching the whole value) in Python's terms.

    `quick` is a pattern for `re.search` that accepts nothing that `accepts` would not: where the model uses Unicode
    properties, which Python's `re` does not have, it covers ASCII alone.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        text = source
        for java, python in _ASTRAL:
            text = text.replace(java, python)
        self._properties = tuple(dict.fromkeys(_PROPERTY.findall(text)))
        unknown = [name for name in self._properties if name not in _CATEGORIES]
        if unknown:
            raise ValueError(f"pattern {source!r}: no rule for \\p{{{unknown[0]}}}")
        if set(self._properties) - {"Print"} and "L" not in self._properties:
            raise ValueError(f"pattern {source!r}: `accepts` counts on letters being in the class")
        text = _PROPERTY.sub(lambda match: _class_members(text, match, _ascii_members(match.group(1))), text)
        self.quick = rf"^(?a:{text})\Z"
        self._regex = re.compile(self.quick)

    def accepts(self, value: str) -> bool:
        """Whether the whole value matches."""
        if self._regex.search(value):
            return True
        if not self._properties or value.isascii():
            return False
        # All such patterns in the models are repetitions of one class, so a character with the property counts as "a".
        plain = "".join("a" if self._has_property(character) else character for character in value)
        return self._regex.search(plain) is not None

    def _has_property(self, character: str) -> bool:
        return not character.isascii() and any(_in_property(character, name) for name in self._properties)


def _class_members(text: str, match: re.Match[str], members: str) -> str:
    """The members as they stand: bare inside a character class, in brackets outside of one."""
    before = text[: match.start()]
    inside = before.count("[") - before.count("\\[") > before.count("]") - before.count("\\]")
    return members if inside else f"[{members}]"


# ---------------------------------------------------------------------------------------------- words


def refusal(service: str, operation: str, violations: list[Violation]) -> errors.Refusal:
    """The refusal of a call to `operation` of `service` (botocore's names) that breaks these rules (at least one)."""
    if service == "ecs":
        return _ecs(operation, violations)
    if service == "cloudwatch" and operation in _METRIC_OPERATIONS:
        return _metrics(violations)
    code = "ValidationException" if service == "application-autoscaling" else "ValidationError"
    return errors.Refusal(code, _coral_text(violations))


_METRIC_OPERATIONS = frozenset({"PutMetricData", "GetMetricStatistics", "ListMetrics"})


def _ecs(operation: str, violations: list[Violation]) -> errors.Refusal:
    code = "ClientException" if "TaskDefinition" in operation else "InvalidParameterException"
    first = violations[0]
    if first.rule == "required" and len(first.path) == 1:
        name = str(first.path[0])
        name = name[0].upper() + name[1:]
        return errors.Refusal(code, f"{name} cannot be empty." if first.collection else f"{name} can not be blank.")
    return errors.Refusal(code, _coral_text(violations))


_CORAL = {
    "required": "Member must not be null",
    "enum": "Member must satisfy enum value set: [{}]",
    "length_min": "Member must have length greater than or equal to {}",
    "length_max": "Member must have length less than or equal to {}",
    "value_min": "Member must have value greater than or equal to {}",
    "value_max": "Member must have value less than or equal to {}",
    "pattern": "Member must satisfy regular expression pattern: {}",
}


def _coral_text(violations: list[Violation]) -> str:
    count = len(violations)
    parts = []
    for violation in violations[:VIOLATIONS_MAX]:
        value = "null" if violation.value is None else f"'{violation.value}'"
        words = _CORAL[violation.rule].format(violation.figure)
        parts.append(f"Value {value} at '{coral_path(violation.path)}' failed to satisfy constraint: {words}")
    noun = "error" if count == 1 else "errors"
    return f"{count} validation {noun} detected: {'; '.join(parts)}"


def coral_path(path: Path) -> str:
    """`tags.1.member.key`: names begin in lower case, elements count from 1."""
    parts = [f"{part}.member" if isinstance(part, int) else part[:1].lower() + part[1:] for part in path]
    return ".".join(parts)


def query_path(path: Path) -> str:
    """`MetricData.member.1.Unit`, as the Query protocol spells it."""
    return ".".join(f"member.{part}" if isinstance(part, int) else part for part in path)


_METRIC_RULES = {
    "required": "The parameter {path} is required.",
    "enum": "The parameter {path} must be a value in the set [ {figure} ].",
    "length_min": "The parameter {path} must be longer than or equal to {figure} character(s).",
    "length_max": "The parameter {path} must be shorter than or equal to {figure} character(s).",
    "value_min": "The parameter {path} must be greater than or equal to {figure}.",
    "value_max": "The parameter {path} must be less than or equal to {figure}.",
    "pattern": "The parameter {path} must match the regular expression pattern {figure}.",
}
_COLLECTION_RULES = {
    "length_min": "The collection {path} must not have a size less than {figure}.",
    "length_max": "The collection {path} must not have a size greater than {figure}.",
}


def _metrics(violations: list[Violation]) -> errors.Refusal:
    missing = [violation for violation in violations if violation.rule == "required"]
    lines = []
    for violation in (missing or violations)[:VIOLATIONS_MAX]:
        rules = _COLLECTION_RULES if violation.collection and violation.rule in _COLLECTION_RULES else _METRIC_RULES
        lines.append(rules[violation.rule].format(path=query_path(violation.path), figure=violation.figure))
    return errors.Refusal("MissingParameter" if missing else "InvalidParameterValue", "\n".join(lines))
