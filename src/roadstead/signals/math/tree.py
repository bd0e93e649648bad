"""The tree of an expression: what `parser.parse` makes and `kinds`, `evaluator` read. `serialize` writes it as text."""

from __future__ import annotations

from typing import assert_never

import msgspec


class Number(msgspec.Struct, frozen=True):
    """A scalar, never negative: `-5` is a `Negate`."""

    value: float


class Text(msgspec.Struct, frozen=True):
    """A string. A backslash stands as it was written, but for one before the string's own quote."""

    value: str


class Word(msgspec.Struct, frozen=True):
    """A bare word in capitals: `REPEAT`, `LINEAR`, `AVG`, `DESC`."""

    name: str


class Ref(msgspec.Struct, frozen=True):
    """The Id of another query."""

    id: str


class Negate(msgspec.Struct, frozen=True):
    operand: Node


class Power(msgspec.Struct, frozen=True):
    base: Node
    exponent: Node


class Step(msgspec.Struct, frozen=True):
    operator: str
    operand: Node


class Chain(msgspec.Struct, frozen=True):
    """Operators of one rank, computed from the left: `a - b + c`. Flat, so that a long sum is not a deep tree."""

    first: Node
    steps: tuple[Step, ...]


class Array(msgspec.Struct, frozen=True):
    items: tuple[Node, ...]


class Function(msgspec.Struct, frozen=True):
    name: str
    arguments: tuple[Node, ...]


Node = Number | Text | Word | Ref | Negate | Power | Chain | Array | Function


def children(node: Node) -> tuple[Node, ...]:
    """The parts of a node, from the left."""
    match node:
        case Number() | Text() | Word() | Ref():
            return ()
        case Negate(operand):
            return (operand,)
        case Power(base, exponent):
            return (base, exponent)
        case Chain(first, steps):
            return (first, *(step.operand for step in steps))
        case Array(items):
            return items
        case Function(_, arguments):
            return arguments
        case _:
            assert_never(node)


def serialize(node: Node) -> str:
    """The node as text that `parser.parse` reads back to the same tree."""
    match node:
        case Number(value):
            return repr(value)
        case Text(value):
            return "'" + value.replace("'", "\\'") + "'"
        case Word(name):
            return name
        case Ref(name):
            return name
        case Negate(operand):
            return "-" + _inner(operand)
        case Power(base, exponent):
            return f"{_inner(base)} ^ {_inner(exponent)}"
        case Chain(first, steps):
            return " ".join([_inner(first), *(f"{step.operator} {_inner(step.operand)}" for step in steps)])
        case Array(items):
            return "[" + ", ".join(map(serialize, items)) + "]"
        case Function(name, arguments):
            return f"{name}({', '.join(map(serialize, arguments))})"
        case _:
            assert_never(node)


def _inner(node: Node) -> str:
    return f"({serialize(node)})" if isinstance(node, Negate | Power | Chain) else serialize(node)
