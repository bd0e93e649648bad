"""The cluster query language: expressions that choose container instances (behaviour.md 5.11, ECS-CQL).

    expr    := and (('||' | 'or') and)*          and  := not (('&&' | 'and') not)*
    not     := ('!' | 'not') not | '(' expr ')' | subject operator [argument]
    subject := agentConnected | agentVersion | attribute:<name> | ec2InstanceId | registeredAt
             | runningTasksCount | task:group

`parse` turns a text into an `Expression`, `Expression.matches` asks it of an instance. An attribute that an instance
lacks equals nothing: `==`, `in`, `=~` and the comparisons are false, their negations true.
"""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from roadstead.base import errors

EXPRESSION_CHARACTERS_MAX = 2000
PARSED_KEPT_MAX = 1024
DEPTH_MAX = 50
"""Nested parentheses and negations in one expression."""


class InvalidExpression(errors.RoadsteadError):
    """The text is no expression: what is wrong, and at which character (from 0)."""

    def __init__(self, what: str, position: int) -> None:
        super().__init__(f"{what} (at character {position + 1})")
        self.what = what
        self.position = position


class Subjects(Protocol):
    """What an expression may ask of an instance."""

    def agent_connected(self) -> bool: ...

    def agent_version(self) -> str | None: ...

    def attribute(self, name: str) -> str | None:
        """None where the instance lacks it, "" where it has no value."""
        ...

    def ec2_instance_id(self) -> str: ...

    def registered_at(self) -> float: ...

    def running_tasks_count(self) -> int: ...

    def groups(self) -> Iterable[str]:
        """The groups of the tasks on it."""
        ...

    def hosts_group(self, group: str) -> bool: ...


Test = Callable[[Subjects], bool]
_A = TypeVar("_A")
_O = TypeVar("_O", float, str, tuple[int, ...])


class Expression:
    """A parsed expression."""

    __slots__ = ("_test", "depends_on_tasks", "text")

    def __init__(self, text: str, test: Test, depends_on_tasks: bool) -> None:
        self.text = text
        self._test = test
        self.depends_on_tasks = depends_on_tasks
        """Whether placing a task may change the answer."""

    def matches(self, instance: Subjects) -> bool:
        """Whether the instance is one of those that the expression chooses."""
        return self._test(instance)


@functools.lru_cache(maxsize=PARSED_KEPT_MAX)
def parse(text: str) -> Expression:
    """The expression in `text`. Raises InvalidExpression."""
    if len(text) > EXPRESSION_CHARACTERS_MAX:
        raise InvalidExpression(f"an expression has at most {EXPRESSION_CHARACTERS_MAX} characters", 0)
    parser = _Parser(text)
    test = parser.expression(0)
    parser.expect_end()
    return Expression(text, test, parser.depends_on_tasks)


_OPERATORS = {
    "equals": "==",
    "not_equals": "!=",
    "greater_than": ">",
    "greater_than_equal": ">=",
    "less_than": "<",
    "less_than_equal": "<=",
    "not_exists": "!exists",
    "not_in": "!in",
    "matches": "=~",
    "not_matches": "!~",
}
_ORDER = frozenset({"==", "!=", ">", ">=", "<", "<="})
_CHOICE = frozenset({"==", "!=", "in", "!in", "=~", "!~"})
_ALL = _ORDER | _CHOICE | {"exists", "!exists"}
_ALLOWED = {
    "agentConnected": _CHOICE,
    "agentVersion": _ORDER,
    "ec2InstanceId": _CHOICE,
    "registeredAt": _ORDER,
    "runningTasksCount": _ORDER,
    "task:group": _CHOICE | {"exists", "!exists"},
}
_SUBJECT = re.compile(r"[A-Za-z0-9_\-./\\:]+")
_OPERATOR = re.compile(r"==|!=|>=|<=|=~|!~|>|<|!exists\b|!in\b|[a-z_]+")
_WORD = re.compile(r"(?:(?!&&|\|\|)[^\s()\[\],'])+")
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'")


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depends_on_tasks = False

    def expression(self, depth: int) -> Test:
        tests = [self._conjunction(depth)]
        while self._take("||") or self._take_word("or"):
            tests.append(self._conjunction(depth))
        return tests[0] if len(tests) == 1 else lambda one: any(test(one) for test in tests)

    def _conjunction(self, depth: int) -> Test:
        tests = [self._negation(depth)]
        while self._take("&&") or self._take_word("and"):
            tests.append(self._negation(depth))
        return tests[0] if len(tests) == 1 else lambda one: all(test(one) for test in tests)

    def _negation(self, depth: int) -> Test:
        if depth >= DEPTH_MAX:
            raise self._wrong(f"more than {DEPTH_MAX} levels")
        if self._take("!") or self._take_word("not"):
            negated = self._negation(depth + 1)
            return lambda one: not negated(one)
        if self._take("("):
            inner = self.expression(depth + 1)
            if not self._take(")"):
                raise self._wrong("a closing parenthesis is missing")
            return inner
        return self._condition()

    def _condition(self) -> Test:
        subject = self._match(_SUBJECT, "a subject is missing")
        is_attribute = subject.startswith("attribute:") and len(subject) > len("attribute:")
        allowed = _ALL if is_attribute else _ALLOWED.get(subject)
        if allowed is None:
            raise self._wrong(f"unknown subject {subject}")
        written = self._match(_OPERATOR, f"an operator is missing after {subject}")
        operator = _OPERATORS.get(written, written)
        if operator not in allowed:
            raise self._wrong(f"{subject} can't be used with {written}")
        if subject in ("task:group", "runningTasksCount"):
            self.depends_on_tasks = True
        if operator in ("exists", "!exists"):
            return _existence(subject, operator)
        if operator in ("in", "!in"):
            return self._guarded(_membership, subject, operator, self._list())
        if operator in ("=~", "!~"):
            return self._guarded(_pattern, subject, operator, self._regex())
        return self._guarded(_comparison, subject, operator, self._literal())

    def _guarded(self, make: Callable[[str, str, _A], Test], subject: str, operator: str, argument: _A) -> Test:
        try:
            return make(subject, operator, argument)
        except (ValueError, re.error, RecursionError, OverflowError) as error:
            raise self._wrong(f"{argument} is no value for {subject}") from error

    def _list(self) -> list[str]:
        if not self._take("["):
            return [self._literal()]
        found = [self._literal()]
        while self._take(","):
            found.append(self._literal())
        if not self._take("]"):
            raise self._wrong("a closing bracket is missing")
        return found

    def _literal(self) -> str:
        self._skip()
        quoted = _QUOTED.match(self.text, self.at)
        if quoted is not None:
            self.at = quoted.end()
            return re.sub(r"\\(['\\])", r"\1", quoted.group(1))
        return self._match(_WORD, "a value is missing")

    def _regex(self) -> str:
        """A quoted text as it stands, or all up to a blank (or a closing parenthesis of the expression)."""
        self._skip()
        quoted = _QUOTED.match(self.text, self.at)
        if quoted is not None:
            self.at = quoted.end()
            return quoted.group(1).replace(r"\'", "'")
        start, open_ones = self.at, 0
        while self.at < len(self.text):
            sign = self.text[self.at]
            if sign.isspace() or (sign in ")]" and not open_ones):
                break
            if not open_ones and self.text.startswith(("&&", "||"), self.at):
                break
            open_ones += (sign in "([") - (sign in ")]")
            self.at += 2 if sign == "\\" else 1
        if self.at == start:
            raise self._wrong("a pattern is missing")
        return self.text[start : self.at]

    def _skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def _take(self, sign: str) -> bool:
        self._skip()
        if not self.text.startswith(sign, self.at):
            return False
        self.at += len(sign)
        return True

    def _take_word(self, word: str) -> bool:
        self._skip()
        end = self.at + len(word)
        if self.text[self.at : end] != word or (end < len(self.text) and not re.match(r"[\s(!]", self.text[end])):
            return False
        self.at = end
        return True

    def _match(self, pattern: re.Pattern[str], otherwise: str) -> str:
        self._skip()
        found = pattern.match(self.text, self.at)
        if found is None:
            raise self._wrong(otherwise)
        self.at = found.end()
        return found.group()

    def expect_end(self) -> None:
        self._skip()
        if self.at < len(self.text):
            raise self._wrong("unexpected text behind the expression")

    def _wrong(self, what: str) -> InvalidExpression:
        return InvalidExpression(what, self.at)


# ---------------------------------------------------------------------------------------------- conditions


def _texts(subject: str) -> Callable[[Subjects], Iterable[str]]:
    """The values of a subject as text; none where the instance has none."""
    if subject == "agentConnected":
        return lambda one: ("true" if one.agent_connected() else "false",)
    if subject == "agentVersion":
        return lambda one: () if (version := one.agent_version()) is None else (version,)
    if subject == "ec2InstanceId":
        return lambda one: (one.ec2_instance_id(),)
    if subject == "task:group":
        return lambda one: one.groups()
    name = subject.removeprefix("attribute:")
    return lambda one: () if (value := one.attribute(name)) is None else (value,)


def _existence(subject: str, operator: str) -> Test:
    texts, wanted = _texts(subject), operator == "exists"
    return lambda one: any(True for _ in texts(one)) is wanted


def _membership(subject: str, operator: str, values: list[str]) -> Test:
    texts, among, wanted = _texts(subject), frozenset(values), operator == "in"
    if subject == "task:group":
        return lambda one: any(one.hosts_group(value) for value in among) is wanted
    return lambda one: any(text in among for text in texts(one)) is wanted


def _pattern(subject: str, operator: str, text: str) -> Test:
    texts, pattern, wanted = _texts(subject), re.compile(text), operator == "=~"
    return lambda one: any(pattern.fullmatch(value) is not None for value in texts(one)) is wanted


def _comparison(subject: str, operator: str, text: str) -> Test:
    if subject == "runningTasksCount":
        number = int(text)
        return lambda one: _compare(one.running_tasks_count(), operator, number)
    if subject == "registeredAt":
        moment = _moment(text)
        return lambda one: _compare(one.registered_at(), operator, moment)
    if subject == "agentVersion":
        version = _version(text)
        return lambda one: _compare_versions(one.agent_version(), operator, version)
    if operator in ("==", "!="):
        return _membership(subject, "in" if operator == "==" else "!in", [text])
    texts = _texts(subject)
    return lambda one: any(_compare_texts(value, operator, text) for value in texts(one))


def _compare_versions(found: str | None, operator: str, wanted: tuple[int, ...]) -> bool:
    if found is None:
        return operator == "!="
    try:
        version = _version(found)
    except ValueError:
        return operator == "!="
    width = max(len(version), len(wanted))
    padded = (version + (0,) * (width - len(version)), wanted + (0,) * (width - len(wanted)))
    return _compare(padded[0], operator, padded[1])


def _compare_texts(found: str, operator: str, wanted: str) -> bool:
    """Numbers compare as numbers, anything else as text."""
    try:
        return _compare(float(found), operator, float(wanted))
    except ValueError:
        return _compare(found, operator, wanted)


def _compare(found: _O, operator: str, wanted: _O) -> bool:
    match operator:
        case "==":
            return found == wanted
        case "!=":
            return found != wanted
        case ">":
            return found > wanted
        case ">=":
            return found >= wanted
        case "<":
            return found < wanted
        case _:
            return found <= wanted


def _version(text: str) -> tuple[int, ...]:
    """`1.105.1`, also `v1.105.1`, in numbers. Raises ValueError."""
    return tuple(int(part) for part in text.removeprefix("v").split("."))


def _moment(text: str) -> float:
    """A date or a date and time, in UTC where no zone is given; seconds since the epoch. Raises ValueError."""
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return moment.timestamp()
