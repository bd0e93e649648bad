"""What kind of value an expression gives: checked before anything is computed (behaviour.md 2.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, assert_never

from roadstead.signals import percentiles, retention
from roadstead.signals.math import problems, search, tree

Kind = Literal["S", "TS", "TS[]"]

MAPS = ("ABS", "CEIL", "FLOOR", "LOG", "LOG10", "DIFF", "DIFF_TIME", "RATE", "RUNNING_SUM")
"""Series in, series out; also each of an array."""
FOLDS = ("AVG", "MAX", "MIN", "SUM", "STDDEV", "DATAPOINT_COUNT")
"""Of a series one scalar, of an array one series."""
MOMENTS = ("MINUTE", "HOUR", "DAY", "DATE", "MONTH", "YEAR", "EPOCH")
SORT_BY = ("AVG", "MIN", "MAX", "SUM")
SORT_ORDERS = ("ASC", "DESC")
FILLINGS = ("REPEAT", "LINEAR")
ABSENT = {
    "ANOMALY_DETECTION_BAND": "anomaly detection",
    "INSIGHT_RULE_METRIC": "Contributor Insights",
    "SERVICE_QUOTA": "Service Quotas",
    "LAMBDA": "Lambda data sources",
    "DB_PERF_INSIGHTS": "Performance Insights",
}
"""Functions that need a service which is not here."""
_SHOWN: dict[Kind, str] = {"S": "Scalar", "TS": "TimeSeries", "TS[]": "Array[TimeSeries]"}


def shown(kind: Kind) -> str:
    """The kind in words."""
    return _SHOWN[kind]


class Scope:
    """What an expression may refer to: the kinds of the other queries by Id, and which of them are metrics."""

    def __init__(self, kinds: Mapping[str, Kind], metric_ids: frozenset[str]) -> None:
        self.kinds = kinds
        self.metric_ids = metric_ids


def check(node: tree.Node, scope: Scope) -> Kind:
    """The kind of the node's value. Raises MathError where it has none."""
    match node:
        case tree.Number():
            return "S"
        case tree.Text() | tree.Word():
            raise problems.MathError(f"Invalid syntax: unexpected {tree.serialize(node)}")
        case tree.Ref(name):
            if name not in scope.kinds:
                raise problems.MathError(f"Undefined variable '{name}'")
            return scope.kinds[name]
        case tree.Negate(operand):
            return check(operand, scope)
        case tree.Power(base, exponent):
            return _combined("^", check(base, scope), check(exponent, scope))
        case tree.Chain(first, steps):
            kind = check(first, scope)
            for step in steps:
                kind = _combined(step.operator, kind, check(step.operand, scope))
            return kind
        case tree.Array(items):
            return _array(items, scope)
        case tree.Function():
            return _function(node, scope)
        case _:
            assert_never(node)


def _combined(operator: str, left: Kind, right: Kind) -> Kind:
    arrays = (left, right).count("TS[]")
    if arrays == 2 or (arrays and operator not in "+-*/^"):
        raise problems.MathError(f"Unsupported operand type(s) for {operator}: '{shown(left)}' and '{shown(right)}'")
    if arrays:
        return "TS[]"
    return "TS" if "TS" in (left, right) else "S"


def _array(items: tuple[tree.Node, ...], scope: Scope) -> Kind:
    if not items:
        raise problems.MathError("An array must have at least one time series")
    for item in items:
        if check(item, scope) == "S":
            raise problems.MathError("An array can have time series only, not a scalar")
    return "TS[]"


def _function(node: tree.Function, scope: Scope) -> Kind:
    name, arguments = node.name, node.arguments
    if name in ABSENT:
        raise problems.MathError(f"Function '{name}' is not supported: Roadstead has no {ABSENT[name]}")
    if name in MAPS:
        return _of(name, arguments, 0, scope, "TS", "TS[]", most=1)
    if name in FOLDS:
        return "S" if _of(name, arguments, 0, scope, "TS", "TS[]", most=1) == "TS" else "TS"
    if name in MOMENTS:
        return _of(name, arguments, 0, scope, "TS", most=1)
    match name:
        case "FILL":
            return _fill(arguments, scope)
        case "FIRST" | "LAST":
            _of(name, arguments, 0, scope, "TS[]", most=1)
            return "TS"
        case "IF":
            return _if(arguments, scope)
        case "METRICS":
            _count(name, arguments, 0, 1)
            if arguments and not isinstance(arguments[0], tree.Text):
                raise _wrong(name, 0)
            return "TS[]"
        case "METRIC_COUNT":
            _of(name, arguments, 0, scope, "TS[]", most=1)
            return "S"
        case "PERIOD":
            _count(name, arguments, 1, 1)
            if not isinstance(arguments[0], tree.Ref) or arguments[0].id not in scope.metric_ids:
                raise problems.MathError("Function 'PERIOD' takes the Id of a metric, not the result of an expression")
            return "S"
        case "REMOVE_EMPTY":
            return _of(name, arguments, 0, scope, "TS[]", most=1)
        case "SORT":
            return _sort(arguments, scope)
        case "SLICE":
            _count(name, arguments, 2, 3)
            for place in range(1, len(arguments)):
                _of(name, arguments, place, scope, "S", most=3)
            return _of(name, arguments, 0, scope, "TS[]", most=3)
        case "TIME_SERIES":
            _of(name, arguments, 0, scope, "S", most=1)
            return "TS"
        case "SEARCH":
            return _search(arguments)
        case _:
            raise problems.MathError(f"Function '{name}' not found")


def _count(name: str, arguments: tuple[tree.Node, ...], least: int, most: int) -> None:
    if not least <= len(arguments) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise problems.MathError(f"Function '{name}' takes {wanted} argument(s), not {len(arguments)}")


def _wrong(name: str, place: int, found: Kind | None = None) -> problems.MathError:
    detail = f": '{shown(found)}'" if found is not None else ""
    return problems.MathError(f"Unsupported type for argument {place + 1} of function '{name}'{detail}")


def _of(name: str, arguments: tuple[tree.Node, ...], place: int, scope: Scope, *allowed: Kind, most: int) -> Kind:
    """The kind of one argument, which must be one of those allowed. `most` is how many arguments there may be."""
    _count(name, arguments, place + 1, most)
    kind = check(arguments[place], scope)
    if kind not in allowed:
        raise _wrong(name, place, kind)
    return kind


def _fill(arguments: tuple[tree.Node, ...], scope: Scope) -> Kind:
    _count("FILL", arguments, 2, 2)
    filling = arguments[1]
    if not (isinstance(filling, tree.Word) and filling.name in FILLINGS):
        _of("FILL", arguments, 1, scope, "S", "TS", most=2)
    return _of("FILL", arguments, 0, scope, "TS", "TS[]", most=2)


def _if(arguments: tuple[tree.Node, ...], scope: Scope) -> Kind:
    """AWS lists the syntaxes: a series as the condition with any values, or a scalar with series."""
    _count("IF", arguments, 2, 3)
    condition = _of("IF", arguments, 0, scope, "S", "TS", most=3)
    for place in range(1, len(arguments)):
        if condition == "TS":
            _of("IF", arguments, place, scope, "S", "TS", most=3)
        else:
            _of("IF", arguments, place, scope, "TS", most=3)
    return "TS"


def _sort(arguments: tuple[tree.Node, ...], scope: Scope) -> Kind:
    _count("SORT", arguments, 3, 4)
    for place, words in ((1, SORT_BY), (2, SORT_ORDERS)):
        word = arguments[place]
        if not isinstance(word, tree.Word) or word.name not in words:
            raise problems.MathError(f"Argument {place + 1} of function 'SORT' must be one of {', '.join(words)}")
    if len(arguments) == 4:
        _of("SORT", arguments, 3, scope, "S", most=4)
    return _of("SORT", arguments, 0, scope, "TS[]", most=4)


def _search(arguments: tuple[tree.Node, ...]) -> Kind:
    """SEARCH('{schema} term', 'Statistic' [, Period])."""
    _count("SEARCH", arguments, 2, 3)
    query, statistic = arguments[0], arguments[1]
    if not isinstance(query, tree.Text) or not isinstance(statistic, tree.Text):
        raise problems.MathError("Function 'SEARCH' takes a search expression and a statistic, both in quotes")
    search.parse(query.value)
    if percentiles.parse(statistic.value) is None:
        raise problems.MathError(f"The statistic '{statistic.value}' is not supported")
    search_period(arguments)
    return "TS[]"


def search_period(arguments: tuple[tree.Node, ...]) -> int | None:
    """The period in seconds that SEARCH names; None where it leaves that to the query. Raises MathError."""
    if len(arguments) < 3:
        return None
    period = arguments[2]
    if isinstance(period, tree.Number):
        seconds = int(period.value)
        whole = seconds in retention.FINE_PERIODS_SECONDS or (seconds > 0 and seconds % retention.MINUTE == 0)
        if whole and seconds == period.value:
            return seconds
    raise problems.MathError("The period of function 'SEARCH' must be 1, 5, 10, 20, 30 or a multiple of 60")
