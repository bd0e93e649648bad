"""Predictive scaling: gathers a policy's history, asks for forecasts, and keeps what was expected (behaviour.md 1.6).

One key is one scaling policy. In: the policy, its metrics of up to 14 days, its forecast's record. Out: that record. It
is begun with the policy and goes with it. A pass gathers eight hours at most, so that no pass takes long; when all
is there and at least 24 hours of it have data, a forecast is asked for (`Forecast.asked_at`). Who answers is told in
`control.forecasting`. A forecast is made anew every 6 hours; the history is gathered anew with the first one of each
day (UTC), since data points may be written up to two weeks late, and is else only continued.

As each hour begins, what was expected of it becomes data points of the metrics LoadForecast and CapacityForecast: the
past that GetPredictiveScalingForecast tells, kept as long as metrics are (455 days), and to be drawn beside what came.

What a forecast means for the desired count is `control.service_scaling`'s to decide.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from roadstead.control import controller, predictive_capacity, predictive_metrics
from roadstead.model import predictive, scaling, scaling_names, tables
from roadstead.signals import metrics
from roadstead.state import plan, store
from roadstead.state import view as views

HOUR = predictive.HOUR_SECONDS
DAY = 24 * HOUR
GATHERED_HOURS_MAX = 8
"""Hours that one pass gathers: a few milliseconds of reading."""
RETRY_SECONDS = 600.0
"""How soon a forecast that failed is tried again."""


def reconcile(view: views.View, key: str, now: float) -> plan.Plan:
    """The next step of a policy's forecast: begin, gather, ask, or tell what was expected of the hour."""
    policy = view.get(scaling.ScalingPolicy, key)
    found = view.get(predictive.Forecast, key)
    draft = plan.Draft(view)
    if policy is None or policy.predictive_scaling is None:
        if found is not None:
            draft.remove(found)
        return draft.plan()
    forecast = found
    if (
        forecast is None
        or forecast.policy_id != policy.policy_id
        or forecast.metrics != policy.predictive_scaling.metrics
    ):
        forecast = _begun(policy, policy.predictive_scaling, now)
    forecast = _tell(draft, policy.predictive_scaling, forecast, now)
    next_hour = _hour_of(now) + HOUR
    wake_at = next_hour
    if not forecast.is_asked:
        due_at = _due_at(forecast)
        if due_at <= now:
            forecast = _gathered(view, forecast, now)
            if forecast.history.end < _hour_of(now):
                wake_at = now
            elif forecast.history.known >= predictive.HISTORY_HOURS_MIN:
                forecast = msgspec.structs.replace(forecast, asked_at=now)
        else:
            wake_at = min(due_at, next_hour)
    draft.put(forecast)
    return draft.plan(wake_at)


def _begun(policy: scaling.ScalingPolicy, wanted: predictive.PredictiveScaling, now: float) -> predictive.Forecast:
    return predictive.Forecast(
        namespace=policy.namespace,
        resource_id=policy.resource_id,
        dimension=policy.dimension,
        policy_name=policy.policy_name,
        policy_id=policy.policy_id,
        target_key=policy.target_key,
        metrics=wanted.metrics,
        history=_empty(now),
    )


def _empty(now: float) -> predictive.History:
    return predictive.History(begun_at=now, begin=_hour_of(now) - predictive.HISTORY_HOURS_MAX * HOUR)


def _hour_of(moment: float) -> float:
    return moment // HOUR * HOUR


def _due_at(forecast: predictive.Forecast) -> float:
    """When a forecast is to be asked for; now, where there is none yet."""
    answer = forecast.answer
    if answer is None:
        return 0.0
    return answer.asked_at + (predictive.REFRESH_SECONDS if answer.problem is None else RETRY_SECONDS)


def _gathered(view: views.View, forecast: predictive.Forecast, now: float) -> predictive.Forecast:
    """The forecast with some more of its history, and without what is too old for it."""
    history, hour = forecast.history, _hour_of(now)
    is_old = history.begun_at // DAY < now // DAY
    if is_old or (forecast.newest is None and history.begun_at // HOUR < now // HOUR and history.end >= hour):
        history = _empty(now)
    end = min(hour, history.end + GATHERED_HOURS_MAX * HOUR)
    if end <= history.end:
        return msgspec.structs.replace(forecast, history=history)
    asked = (view.signals, forecast.resource_id, forecast.metrics, history.end, end, now)
    load = [*history.load, *predictive_metrics.load_hours(*asked)]
    used: list[float | None] = []
    if not predictive_metrics.relation_is_known(forecast.metrics):
        used = [*history.used, *predictive_metrics.used_hours(*asked)]
    old = next((place for place, one in enumerate(load) if one is not None), len(load))
    old = max(old, len(load) - predictive.HISTORY_HOURS_MAX)
    history = msgspec.structs.replace(
        history, begin=history.begin + old * HOUR, load=tuple(load[old:]), used=tuple(used[old:])
    )
    return msgspec.structs.replace(forecast, history=history)


def _tell(
    draft: plan.Draft, wanted: predictive.PredictiveScaling, forecast: predictive.Forecast, now: float
) -> predictive.Forecast:
    """Publish what was expected of each hour that has begun since the last time."""
    newest = forecast.newest
    if newest is None:
        return forecast
    hour = max(forecast.told_until, newest.begin)
    data = []
    while hour <= now and (expected := predictive_capacity.load_at(newest, hour)) is not None:
        capacity = predictive_capacity.capacity(wanted, newest, expected)
        for name, value in (
            (predictive_metrics.LOAD_FORECAST, expected),
            (predictive_metrics.CAPACITY_FORECAST, capacity),
        ):
            metric = predictive_metrics.forecast_metric(name, forecast.resource_id, forecast.policy_name)
            data.append(metrics.Datum(metric=metric, timestamp=hour, values=(float(value),)))
        hour += HOUR
    if not data:
        return forecast
    draft.publish(data)
    return msgspec.structs.replace(forecast, told_until=hour)


def _keys(change: store.Change, _view: views.View) -> Iterable[str]:
    match change.newest:
        case scaling.ScalingPolicy() as policy:
            before = change.before
            is_predictive = policy.predictive_scaling is not None
            was = isinstance(before, scaling.ScalingPolicy) and before.predictive_scaling is not None
            return (policy.key,) if is_predictive or was else ()
        case predictive.Forecast() as forecast:
            return (forecast.key,)
        case _:
            return ()


def _all_keys(view: views.View) -> Iterable[str]:
    policies = view.find(tables.SCALING_POLICIES, "by_namespace", scaling_names.ECS_NAMESPACE)
    orphans = view.find(tables.FORECASTS, "all", "all")
    return sorted({one.key for one in policies if one.predictive_scaling is not None} | {one.key for one in orphans})


CONTROLLER = controller.Controller(name="predictive_scaling", reconcile=reconcile, keys=_keys, all_keys=_all_keys)
"""Keys are those of scaling policies."""
