"""Computes a checked tree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import assert_never

import msgspec

from roadstead.signals.math import functions, kinds, operators, tree, values


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What an expression is computed with: the other queries' values, the metrics' periods, and the range's periods.

    `search` gives the series of a SEARCH, `metrics` those of the metrics whose Id contains a text.
    """

    known: Mapping[str, values.Value]
    periods: Mapping[str, int]
    grid: values.Grid
    budget: values.Budget
    metrics: Callable[[str], tuple[values.Series, ...]]
    search: Callable[[str, str, int | None], tuple[values.Series, ...]]


def evaluate(node: tree.Node, context: Context) -> values.Value:
    """The value of a node that `kinds.check` has passed. Raises MathError where it takes too much."""
    match node:
        case tree.Number(number):
            return number
        case tree.Ref(name):
            return context.known[name]
        case tree.Negate(operand):
            return operators.negate(evaluate(operand, context), context.budget)
        case tree.Power(base, exponent):
            left = evaluate(base, context)
            return operators.apply("^", left, evaluate(exponent, context), context.budget)
        case tree.Chain(first, steps):
            value = evaluate(first, context)
            for step in steps:
                value = operators.apply(step.operator, value, evaluate(step.operand, context), context.budget)
            return value
        case tree.Array(items):
            return _flat(items, context)
        case tree.Function():
            return _function(node, context)
        case tree.Text() | tree.Word():
            raise AssertionError("kinds.check refuses a bare text")
        case _:
            assert_never(node)


def _flat(items: tuple[tree.Node, ...], context: Context) -> tuple[values.Series, ...]:
    found: list[values.Series] = []
    for item in items:
        value = evaluate(item, context)
        assert not isinstance(value, float), "kinds.check refuses scalars in arrays"
        found.extend(value if isinstance(value, tuple) else (value,))
    return tuple(found)


def _scalar(node: tree.Node, context: Context) -> float:
    value = evaluate(node, context)
    assert isinstance(value, float), "kinds.check wants a scalar"
    return value


def _array(node: tree.Node, context: Context) -> tuple[values.Series, ...]:
    value = evaluate(node, context)
    assert isinstance(value, tuple), "kinds.check wants an array"
    return value


def _not_array(node: tree.Node, context: Context) -> float | values.Series:
    value = evaluate(node, context)
    assert not isinstance(value, tuple), "kinds.check refuses an array"
    return value


def _function(node: tree.Function, context: Context) -> values.Value:
    name, arguments, budget = node.name, node.arguments, context.budget
    if name in kinds.MAPS:
        return _mapped(functions.MAPS[name], arguments[0], context)
    if name in kinds.FOLDS:
        folded = evaluate(arguments[0], context)
        assert not isinstance(folded, float), "kinds.check refuses a scalar"
        return functions.fold(name, folded, budget)
    if name in kinds.MOMENTS:
        evaluate(arguments[0], context)
        moment = functions.MOMENTS[name]
        return values.Series(values.finite((start, moment(start)) for start in context.grid.starts(budget)))
    match name:
        case "FILL":
            return _fill(arguments, context)
        case "FIRST" | "LAST":
            array = _array(arguments[0], context)
            return array[0 if name == "FIRST" else -1] if array else values.Series({})
        case "IF":
            no = _not_array(arguments[2], context) if len(arguments) == 3 else None
            condition = _not_array(arguments[0], context)
            return functions.choose(condition, _not_array(arguments[1], context), no, budget)
        case "METRICS":
            text = arguments[0] if arguments else None
            return context.metrics(text.value if isinstance(text, tree.Text) else "")
        case "METRIC_COUNT":
            return float(len(_array(arguments[0], context)))
        case "PERIOD":
            metric = arguments[0]
            assert isinstance(metric, tree.Ref), "kinds.check wants a metric's Id"
            return float(context.periods[metric.id])
        case "REMOVE_EMPTY":
            return tuple(one for one in _array(arguments[0], context) if one.points)
        case "SORT":
            return _sort(arguments, context)
        case "SLICE":
            first = functions.place(_scalar(arguments[1], context))
            last = functions.place(_scalar(arguments[2], context)) if len(arguments) == 3 else None
            return _array(arguments[0], context)[first:last]
        case "TIME_SERIES":
            value = _scalar(arguments[0], context)
            return values.Series(values.finite((start, value) for start in context.grid.starts(budget)))
        case "SEARCH":
            query, statistic = arguments[0], arguments[1]
            assert isinstance(query, tree.Text), "kinds.check wants a text"
            assert isinstance(statistic, tree.Text), "kinds.check wants a text"
            return context.search(query.value, statistic.value, kinds.search_period(arguments))
        case _:
            raise AssertionError(f"kinds.check passes no function {name}")


def _mapped(compute: functions.Map, argument: tree.Node, context: Context) -> values.Value:
    value = evaluate(argument, context)
    assert not isinstance(value, float), "kinds.check refuses a scalar"

    def mapped(one: values.Series) -> values.Series:
        context.budget.spend(len(one.points))
        return values.Series(compute(one.points), one.label)

    return tuple(mapped(one) for one in value) if isinstance(value, tuple) else mapped(value)


def _fill(arguments: tuple[tree.Node, ...], context: Context) -> values.Value:
    how = arguments[1]
    filling = how.name if isinstance(how, tree.Word) else _not_array(how, context)
    value = evaluate(arguments[0], context)
    assert not isinstance(value, float), "kinds.check refuses a scalar"
    starts = context.grid.starts(context.budget)

    def filled(one: values.Series) -> values.Series:
        context.budget.spend(len(starts))
        return values.Series(functions.fill(one.points, starts, filling), one.label)

    return tuple(filled(one) for one in value) if isinstance(value, tuple) else filled(value)


def _sort(arguments: tuple[tree.Node, ...], context: Context) -> tuple[values.Series, ...]:
    by, order = arguments[1], arguments[2]
    assert isinstance(by, tree.Word), "kinds.check wants a word"
    assert isinstance(order, tree.Word), "kinds.check wants a word"
    limit = _scalar(arguments[3], context) if len(arguments) == 4 else None
    return functions.sort(_array(arguments[0], context), by.name, order.name, limit, context.budget)
