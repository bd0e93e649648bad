"""An expression's text in tokens."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from roadstead.signals.math import problems

EXPRESSION_CHARACTERS_MAX = 2048
"""The longest expression (AWS's model of MetricDataQuery)."""

Kind = Literal["number", "string", "id", "word", "symbol", "end"]

_TOKEN = re.compile(
    r"""(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<id>[a-z][a-zA-Z0-9_]*)
    |(?P<word>[A-Z][a-zA-Z0-9_]*)
    |(?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<symbol>==|!=|<=|>=|&&|\|\||[-+*/^<>()\[\],])""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_SPACE = re.compile(r"\s*")
_OTHER_NAMES = {"&&": "AND", "||": "OR"}
_OPERATOR_WORDS = ("AND", "OR")


class Token(msgspec.Struct, frozen=True):
    """`text` of a string is its content; of `&&` and `||` it is AND and OR; of the end it is empty."""

    kind: Kind
    text: str
    position: int


def split(expression: str) -> list[Token]:
    """The tokens of an expression, the last one its end. Raises MathError where a character belongs to none."""
    if len(expression) > EXPRESSION_CHARACTERS_MAX:
        raise problems.MathError(f"The expression is longer than {EXPRESSION_CHARACTERS_MAX} characters")
    found: list[Token] = []
    position = _after_space(expression, 0)
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if match is None:
            raise problems.MathError(f"Invalid syntax: unexpected '{expression[position]}' at {position}")
        found.append(_token(match, position))
        position = _after_space(expression, match.end())
    found.append(Token("end", "", position))
    return found


def _after_space(expression: str, position: int) -> int:
    match = _SPACE.match(expression, position)
    assert match is not None, "white space may be none"
    return match.end()


def _token(match: re.Match[str], position: int) -> Token:
    text = match[0]
    if match.lastgroup == "string":
        quote = text[0]
        return Token("string", text[1:-1].replace("\\" + quote, quote), position)
    if match.lastgroup == "symbol":
        return Token("symbol", _OTHER_NAMES.get(text, text), position)
    if match.lastgroup == "word":
        return Token("symbol" if text in _OPERATOR_WORDS else "word", text, position)
    return Token("number" if match.lastgroup == "number" else "id", text, position)
