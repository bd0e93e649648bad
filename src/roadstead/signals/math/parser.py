"""Text to tree. From loose to tight: OR, AND, comparisons, + -, * /, unary minus, ^ (which binds to the right)."""

from __future__ import annotations

import math

from roadstead.signals.math import problems, tokens, tree

NESTING_MAX = 32
"""How deep brackets, function calls, arrays, signs and powers may lie in each other."""

_RANKS: tuple[frozenset[str], ...] = (
    frozenset({"OR"}),
    frozenset({"AND"}),
    frozenset({"==", "!=", "<=", ">=", "<", ">"}),
    frozenset({"+", "-"}),
    frozenset({"*", "/"}),
)


def parse(expression: str) -> tree.Node:
    """The tree of an expression. Raises MathError where it is none."""
    parser = _Parser(tokens.split(expression))
    node = parser.rank(0, 0)
    if parser.token.kind != "end":
        raise parser.unexpected()
    return node


class _Parser:
    def __init__(self, found: list[tokens.Token]) -> None:
        self._tokens = found
        self._place = 0

    @property
    def token(self) -> tokens.Token:
        return self._tokens[self._place]

    def unexpected(self) -> problems.MathError:
        token = self.token
        what = f"unexpected '{token.text}' at {token.position}" if token.kind != "end" else "unexpected end"
        return problems.MathError(f"Invalid syntax: {what}")

    def _take(self) -> tokens.Token:
        token = self.token
        self._place += token.kind != "end"
        return token

    def _takes(self, symbol: str) -> bool:
        if self.token.kind == "symbol" and self.token.text == symbol:
            self._place += 1
            return True
        return False

    def _need(self, symbol: str) -> None:
        if not self._takes(symbol):
            raise self.unexpected()

    def rank(self, rank: int, depth: int) -> tree.Node:
        """An expression whose operators are of this rank or bind tighter."""
        if rank == len(_RANKS):
            return self._signed(depth)
        first = self.rank(rank + 1, depth)
        steps: list[tree.Step] = []
        while self.token.kind == "symbol" and self.token.text in _RANKS[rank]:
            operator = self._take().text
            steps.append(tree.Step(operator, self.rank(rank + 1, depth)))
        return tree.Chain(first, tuple(steps)) if steps else first

    def _deeper(self, depth: int) -> int:
        if depth >= NESTING_MAX:
            raise problems.MathError(f"The expression is nested deeper than {NESTING_MAX}")
        return depth + 1

    def _signed(self, depth: int) -> tree.Node:
        if self._takes("-"):
            return tree.Negate(self._signed(self._deeper(depth)))
        base = self._atom(depth)
        if self._takes("^"):
            return tree.Power(base, self._signed(self._deeper(depth)))
        return base

    def _atom(self, depth: int) -> tree.Node:
        token = self.token
        match token.kind:
            case "number":
                self._take()
                value = float(token.text)
                if not math.isfinite(value):
                    raise problems.MathError(f"The number {token.text} is too large")
                return tree.Number(value)
            case "string":
                return tree.Text(self._take().text)
            case "id":
                return tree.Ref(self._take().text)
            case "word":
                self._take()
                if self._takes("("):
                    return tree.Function(token.text, self._list(")", self._deeper(depth)))
                return tree.Word(token.text)
            case _:
                if self._takes("("):
                    node = self.rank(0, self._deeper(depth))
                    self._need(")")
                    return node
                if self._takes("["):
                    return tree.Array(self._list("]", self._deeper(depth)))
                raise self.unexpected()

    def _list(self, end: str, depth: int) -> tuple[tree.Node, ...]:
        found: list[tree.Node] = []
        if self._takes(end):
            return ()
        while True:
            found.append(self.rank(0, depth))
            if self._takes(end):
                return tuple(found)
            self._need(",")
