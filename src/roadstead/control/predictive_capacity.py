"""From a forecast of load to capacity, hour by hour: arithmetic (behaviour.md 1.6)."""

from __future__ import annotations

import math
from fractions import Fraction

from roadstead.model import predictive

HOUR = predictive.HOUR_SECONDS
ROUNDING = 10**6
"""The quotient is rounded to this fraction of 1 before it is rounded up: a forecast has six digits."""
CAPACITY_MAX = 2**31 - 1
"""What an API's integer holds."""


def load_at(prediction: predictive.Prediction, moment: float) -> float | None:
    """The load expected in the hour of a moment; None before the forecast's first hour and after its last."""
    place = math.floor((moment - prediction.begin) / HOUR)
    return prediction.load[place] if 0 <= place < len(prediction.load) else None


def capacity(wanted: predictive.PredictiveScaling, prediction: predictive.Prediction, load: float) -> int:
    """The capacity that keeps the scaling metric at its target under a load: ceil(load × relation ÷ target)."""
    exact = Fraction(load) * Fraction(prediction.relation) / Fraction(wanted.target_value)
    return min(CAPACITY_MAX, math.ceil(Fraction(round(exact * ROUNDING), ROUNDING)))


def capacity_at(
    wanted: predictive.PredictiveScaling, prediction: predictive.Prediction | None, moment: float
) -> int | None:
    """The capacity for the hour of a moment; None where no forecast is there for it."""
    load = load_at(prediction, moment) if prediction is not None else None
    return capacity(wanted, prediction, load) if prediction is not None and load is not None else None


def acting_hour(wanted: predictive.PredictiveScaling, now: float) -> float:
    """Start of the hour whose capacity is to be there now: from SchedulingBufferTime before it on."""
    return (now + wanted.buffer_seconds) // HOUR * HOUR


def acts_next_at(wanted: predictive.PredictiveScaling, now: float) -> float:
    """When the next hour's capacity is seen to."""
    return acting_hour(wanted, now) + HOUR - wanted.buffer_seconds


def formula_text(wanted: predictive.PredictiveScaling, prediction: predictive.Prediction, load: float) -> str:
    """How `capacity` came to its result: `ceil(412.5 / 60) = 7`, with a relation `ceil(9000 × 0.05 / 60) = 8`."""
    related = f" × {prediction.relation:.6g}" if prediction.relation != 1.0 else ""
    return f"ceil({load:.6g}{related} / {wanted.target_value:.10g}) = {capacity(wanted, prediction, load)}"


def raised_maximum(wanted: predictive.PredictiveScaling, maximum: int, predicted: int) -> int:
    """The target's MaxCapacity for a predicted capacity: with IncreaseMaxCapacity the prediction and its buffer
    (50 and 10 % give 55), where that is more than it is.
    """
    if wanted.max_capacity_breach != "IncreaseMaxCapacity":
        return maximum
    percent = 100 + (wanted.max_capacity_buffer_percent or 0)
    return max(maximum, min(CAPACITY_MAX, -(-predicted * percent // 100)))
