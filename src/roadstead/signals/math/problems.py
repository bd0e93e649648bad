"""What metric math refuses."""

from __future__ import annotations


class MathError(Exception):
    """An expression that can't be computed; `text` says why, in words for the caller. Nothing else is ever raised."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def in_expression(query_id: str, problem: MathError) -> MathError:
    """The problem with the expression's Id before it, as CloudWatch words it."""
    return MathError(f"Error in expression '{query_id}': {problem.text}")
