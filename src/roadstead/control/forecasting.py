"""Answers the questions that `control.predictive_scaling` asks: what load is to be expected (behaviour.md 1.6).

Computing takes longer than a control plane may stand still (`signals.forecasts`). So a server does not run CONTROLLER:
`app.forecaster` has another process compute, and writes its answers by `record`. A simulation runs CONTROLLER, which
computes at once: the same function, and no time passes.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from roadstead.control import controller
from roadstead.model import predictive, tables
from roadstead.signals import forecasts
from roadstead.state import plan, store
from roadstead.state import view as views


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """All that a forecast depends on."""

    key: str
    """The policy's."""
    asked_at: float
    history: predictive.History


def question_of(forecast: predictive.Forecast) -> Question | None:
    """What is asked; None where nothing is."""
    if not forecast.is_asked or forecast.asked_at is None:
        return None
    return Question(key=forecast.key, asked_at=forecast.asked_at, history=forecast.history)


def compute(question: Question) -> predictive.Prediction:
    """The answer. Slow: see `signals.forecasts`."""
    history = question.history
    relation = forecasts.relation(history.load, history.used) if history.used else 1.0
    if relation is None:
        text = "no hour of the history has load, scaling metric and capacity, so their relation is not known"
        return predictive.Prediction(asked_at=question.asked_at, problem=text)
    return predictive.Prediction(
        asked_at=question.asked_at,
        begin=history.end,
        load=tuple(forecasts.forecast(history.load, history.end, predictive.FORECAST_HOURS)),
        relation=relation,
        error_percent=forecasts.error_percent(history.load, history.end),
        history_hours=history.known,
    )


def record(view: views.View, key: str, answer: predictive.Prediction) -> plan.Plan:
    """Write an answer; nothing where its question is no longer asked."""
    forecast = view.get(predictive.Forecast, key)
    if forecast is None or not forecast.is_asked or forecast.asked_at != answer.asked_at:
        return plan.NOTHING
    draft = plan.Draft(view)
    newest = answer if answer.problem is None else forecast.newest
    draft.put(msgspec.structs.replace(forecast, answer=answer, newest=newest))
    return draft.plan()


def reconcile(view: views.View, key: str, now: float) -> plan.Plan:
    """Answer a policy's question at once."""
    forecast = view.get(predictive.Forecast, key)
    question = question_of(forecast) if forecast is not None else None
    return record(view, key, compute(question)) if question is not None else plan.NOTHING


def _keys(change: store.Change, _view: views.View) -> Iterable[str]:
    after = change.after
    return (after.key,) if isinstance(after, predictive.Forecast) and after.is_asked else ()


def _all_keys(view: views.View) -> Iterable[str]:
    return [one.key for one in view.find(tables.FORECASTS, "asked", "all")]


CONTROLLER = controller.Controller(name="forecasting", reconcile=reconcile, keys=_keys, all_keys=_all_keys)
"""For simulations. Keys are those of scaling policies."""
