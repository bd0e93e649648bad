"""Operators on numbers and on series (behaviour.md 2.5).

A missing value of one series counts as 0 where the other has a point; a division by zero drops the point.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

from roadstead.signals.math import values

Combine = Callable[[float, float], float]


def divide(left: float, right: float) -> float:
    """The quotient; NaN for a division by zero."""
    return left / right if right else math.nan


def power(base: float, exponent: float) -> float:
    """The power; NaN where it is no real number, or too large for one."""
    try:
        result = base**exponent
    except (OverflowError, ZeroDivisionError):
        return math.nan
    return result if isinstance(result, float) else math.nan  # a root of a negative number is complex


def _truth(decide: Callable[[float, float], bool]) -> Combine:
    def combine(left: float, right: float) -> float:
        if math.isnan(left) or math.isnan(right):
            return math.nan
        return 1.0 if decide(left, right) else 0.0

    return combine


OPERATORS: dict[str, Combine] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": divide,
    "^": power,
    "==": _truth(operator.eq),
    "!=": _truth(operator.ne),
    "<=": _truth(operator.le),
    ">=": _truth(operator.ge),
    "<": _truth(operator.lt),
    ">": _truth(operator.gt),
    "AND": _truth(lambda left, right: left != 0.0 and right != 0.0),
    "OR": _truth(lambda left, right: left != 0.0 or right != 0.0),
}


def apply(name: str, left: values.Value, right: values.Value, budget: values.Budget) -> values.Value:
    """`left name right`, whose kinds `kinds.check` has found to go together."""
    combine = OPERATORS[name]
    if isinstance(left, tuple):
        assert not isinstance(right, tuple), "kinds.check refuses two arrays"
        return tuple(_series(combine, one, right, budget, one.label) for one in left)
    if isinstance(right, tuple):
        return tuple(_series(combine, left, one, budget, one.label) for one in right)
    if isinstance(left, float) and isinstance(right, float):
        result = combine(left, right)
        return result if math.isfinite(result) else values.NOTHING
    label = left.label if isinstance(left, values.Series) else right.label if isinstance(right, values.Series) else ""
    is_pair = isinstance(left, values.Series) and isinstance(right, values.Series)
    return _series(combine, left, right, budget, "" if is_pair else label)


def _series(
    combine: Combine, left: float | values.Series, right: float | values.Series, budget: values.Budget, label: str
) -> values.Series:
    if isinstance(left, values.Series) and isinstance(right, values.Series):
        budget.spend(len(left.points) + len(right.points))
        mine, other = left.points.get, right.points.get
        pairs = ((moment, combine(mine(moment, 0.0), other(moment, 0.0))) for moment in values.moments((left, right)))
        return values.Series(values.finite(pairs), label)
    if isinstance(left, values.Series):
        assert isinstance(right, float), "a series or a scalar"
        budget.spend(len(left.points))
        return values.Series(
            values.finite((moment, combine(value, right)) for moment, value in left.points.items()), label
        )
    assert isinstance(right, values.Series), "two scalars are apply's"
    budget.spend(len(right.points))
    return values.Series(values.finite((moment, combine(left, value)) for moment, value in right.points.items()), label)


def negate(value: values.Value, budget: values.Budget) -> values.Value:
    """Unary minus."""
    return apply("-", 0.0, value, budget)
