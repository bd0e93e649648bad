"""What CloudWatch's operations share: refusals in its words, dimensions, places in listings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from roadstead.base import errors, pagination
from roadstead.signals import metrics, retention

NAMES_MAX = 100
"""Alarms that one call may name."""


# -- refusals


def invalid_value(message: str) -> errors.Refusal:
    """InvalidParameterValue: a parameter is not what it may be."""
    return errors.Refusal("InvalidParameterValue", message)


def invalid_combination(message: str) -> errors.Refusal:
    """InvalidParameterCombination: parameters that don't go together."""
    return errors.Refusal("InvalidParameterCombination", message)


def missing(message: str) -> errors.Refusal:
    """MissingParameter: a parameter that must be given was not."""
    return errors.Refusal("MissingParameter", message)


def validation(message: str) -> errors.Refusal:
    """ValidationError: what the alarms' operations and GetMetricData say."""
    return errors.Refusal("ValidationError", message)


def invalid_token() -> errors.Refusal:
    """InvalidNextToken: not a token of this listing."""
    return errors.Refusal("InvalidNextToken", "The specified NextToken is not a token of this request.")


# -- metrics


def metric_of(namespace: str, name: str, dimensions: Sequence[Any] | None) -> metrics.Metric:
    """The metric that is asked for; one that can't exist is simply not found."""
    return metrics.metric(namespace, name, [(each.Name, each.Value) for each in dimensions or ()])


def has_duplicates(dimensions: metrics.Dimensions) -> bool:
    """Whether a dimension name stands twice."""
    return len(dimensions) > 1 and len({name for name, _ in dimensions}) != len(dimensions)


def is_text(value: str) -> bool:
    """Whether a name or a dimension's value is one: printable ASCII with something in it (behaviour.md 2.1)."""
    return value.isascii() and value.isprintable() and not value.isspace()


def is_period(seconds: int) -> bool:
    """Whether a read may have this period (behaviour.md 2.4)."""
    return seconds in retention.FINE_PERIODS_SECONDS or (
        seconds >= retention.MINUTE and seconds % retention.MINUTE == 0
    )


def present_dimensions(dimensions: metrics.Dimensions) -> list[dict[str, str]]:
    """Dimensions in wire names."""
    return [{"Name": name, "Value": value} for name, value in dimensions]


# -- outputs, and where pages go on


def given(**members: Any) -> dict[str, Any]:
    """An output of the members that have a value."""
    return {name: value for name, value in members.items() if value is not None}


def make_position(query: str, position: str) -> str:
    """A token that continues a listing of its own kind behind `position`."""
    return pagination.make_token(query, position)


def read_position(query: str, token: str) -> str:
    """The position in such a token; refuses a token of another listing."""
    position = pagination.read_token(query, token)
    if position is None:
        raise invalid_token()
    return position
