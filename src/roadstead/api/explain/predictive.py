"""Predictive scaling policies, explained: what they expect, how far off they were, when they act."""

from __future__ import annotations

from collections.abc import Iterator

from roadstead.api.explain import obstacles, reasons
from roadstead.control import predictive_capacity
from roadstead.model import predictive, scaling
from roadstead.state import view as views

HOUR = predictive.HOUR_SECONDS


def policy(
    view: views.View, stand: obstacles.Stand, subject: scaling.ScalingPolicy, wanted: predictive.PredictiveScaling
) -> reasons.Reason:
    """A predictive scaling policy with the forecast for the present and the next hour, its error and its age, and why
    it changes nothing now.
    """
    now = stand.now
    found = view.get(predictive.Forecast, subject.key)
    is_own = found is not None and (found.policy_id, found.metrics) == (subject.policy_id, wanted.metrics)
    forecast = found if is_own else None
    newest = forecast.newest if forecast is not None else None
    states = [*(_expected(wanted, newest, now) if newest is not None else ()), *_condition(forecast, now)]
    if wanted.mode == "ForecastAndScale" and newest is not None:
        left = predictive_capacity.acts_next_at(wanted, now) - now
        states.append(
            reasons.Reason(
                code="FORECAST_ACTS", text=f"acts next in {reasons.age(left)}", counts={"dueInSeconds": left}
            )
        )
    states += obstacles.of_prediction(stand, wanted, newest)
    return reasons.Reason(
        code="POLICY",
        text=f"policy {subject.policy_name}: {wanted.mode} of {_load_name(wanted.metrics)} at {wanted.target_value:g}",
        counts={"target": wanted.target_value},
        reasons=tuple(states),
    )


def _load_name(metrics: predictive.PredictiveMetrics) -> str:
    load = metrics.pair or metrics.load
    assert load is not None, "a policy has a load"
    return load.predefined or "a customized load"


def _expected(
    wanted: predictive.PredictiveScaling, newest: predictive.Prediction, now: float
) -> Iterator[reasons.Reason]:
    for code, label, moment in (("FORECAST_NOW", "this hour", now), ("FORECAST_NEXT", "the next hour", now + HOUR)):
        load = predictive_capacity.load_at(newest, moment)
        if load is None:
            yield reasons.Reason(code=code, text=f"{label}: no forecast")
            continue
        capacity = predictive_capacity.capacity(wanted, newest, load)
        yield reasons.Reason(
            code=code,
            text=f"{label}: {predictive_capacity.formula_text(wanted, newest, load)}",
            counts={"load": load, "capacity": capacity},
        )


def _condition(forecast: predictive.Forecast | None, now: float) -> Iterator[reasons.Reason]:
    """When the forecast was made and how good it is; or why there is none."""
    if forecast is None:
        yield reasons.Reason(code="FORECAST_WAITS", text="no forecast yet: its history is being gathered")
        return
    newest, answer, history = forecast.newest, forecast.answer, forecast.history
    if newest is not None:
        age = now - newest.asked_at
        yield reasons.Reason(
            code="FORECAST_MADE",
            text=f"made {reasons.age(age)} ago from {newest.history_hours} hours of data",
            counts={"ageSeconds": age, "hours": newest.history_hours},
        )
        if newest.error_percent is None:
            text, counts = "its error is not known: that takes 48 hours of data", {}
        else:
            text = (
                f"its error is {newest.error_percent:g} %: so far off was yesterday, forecast from what was before it"
            )
            counts = {"percent": newest.error_percent}
        yield reasons.Reason(code="FORECAST_ERROR", text=text, counts=counts)
    if answer is not None and answer.problem is not None:
        yield reasons.Reason(code="FORECAST_FAILED", text=f"the newest forecast failed: {answer.problem}")
    elif newest is None and forecast.is_asked:
        yield reasons.Reason(code="FORECAST_WAITS", text="no forecast yet: it is being computed")
    elif newest is None:
        yield reasons.Reason(
            code="FORECAST_WAITS",
            text=f"no forecast yet: {history.known} of the {predictive.HISTORY_HOURS_MIN} hours of data that it takes; "
            "it is looked for again at the full hour",
            counts={"hours": history.known, "needed": predictive.HISTORY_HOURS_MIN},
        )
