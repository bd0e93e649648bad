"""Evaluates metric alarms, writes their state, and runs the actions of it (behaviour.md 2.6.2-2.6.4).

In: alarm records, the time series, the time. Out: an alarm's observed state, items of its history, and `actions_at`,
which tells `control.service_scaling` to act. The verdict itself is `signals.alarm_evaluation`'s.

What is written, and what is not. An alarm is looked at at each of its evaluation times (every 10 s, minute or hour),
but a look that finds the same state and the same number of breaching data points as the last one writes nothing:
ten thousand quiet alarms cost no journal writes. So `evaluated_at`, `breaching_datapoints` and `newest_value` are those
of the newest evaluation that was worth a record; whenever actions are run, the newest value is written with them.

A restart changes no decision: all that one depends on (state, `actions_at`, `forced_at`, the data) is durable. An
evaluation that was missed while nothing ran is made up for once, at the start, with the data of that moment.
"""

from __future__ import annotations

import decimal
import functools
import math
import zlib
from collections.abc import Iterable, Sequence
from typing import cast, get_args

import msgspec

from roadstead.control import alarm_math, alarms_history, controller
from roadstead.model import alarms, tables
from roadstead.signals import alarm_evaluation, alarm_reasons, metrics, percentiles
from roadstead.state import plan, store
from roadstead.state import view as views

REPEAT_SECONDS = 60
"""How often scaling actions are repeated while the state lasts (behaviour.md 2.6.4)."""
FINE_REPEAT_SECONDS = 20
"""The same for alarms with a period of 20 s: what high-resolution target tracking needs."""
FINE_REPEAT_PERIOD_SECONDS = 20
SCALING_ACTION = "arn:aws:autoscaling:"
"""How the actions begin that are repeated; behind the account comes `scalingPolicy:`."""
REASON_CHARACTERS_MAX = 1023
REASON_DATA_CHARACTERS_MAX = 4000
"""The longest StateReason and StateReasonData (AWS's model)."""
EVALUATIONS_PER_SECOND = 2000
"""Where there are more alarms than this by half, their evaluations are spread, at this rate."""
SPREAD_SHARE_MAX = 0.25
"""Over which share of the evaluation interval they are spread at most."""
NO_ACTIONS: dict[alarms.AlarmState, tuple[str, ...]] = dict.fromkeys(get_args(alarms.AlarmState), ())
WATCHES_MAX = 20_000
"""Configurations whose rules and newest verdicts are kept."""
_EXACT = decimal.Context(prec=700, traps=[decimal.Inexact])
"""Adds what doubles are written as without rounding: they have at most 308 digits before the point, 341 behind it."""


def reconcile(view: views.View, key: str, now: float) -> plan.Plan:
    """Evaluate the alarm called `key` if that is due, run its actions if they are, and wake at the next evaluation."""
    alarm = view.get(alarms.MetricAlarm, key)
    if alarm is None:
        return plan.NOTHING
    seen = alarm.observed
    watch = _watch(alarm.spec)
    look = None if _is_evaluated(alarm, watch, now) else _Look(view, watch, seen.state, now)
    state = seen.state if look is None else look.verdict.state
    runs = _actions_due(alarm, watch, state, now)
    is_news = look is not None and (
        state != seen.state or look.verdict.breaching != seen.breaching_datapoints or seen.forced_at is not None
    )
    if not runs and not is_news:
        return plan.Plan(wake_at=_wake_at(view, alarm, watch, seen.actions_at, now))
    after = seen if look is None else look.observed(seen)
    if runs:
        after = _with_actions(view, watch, after, look, now)
    draft = plan.Draft(view)
    draft.put(msgspec.structs.replace(alarm, observed=after))
    if state != seen.state:
        alarms_history.add(draft, alarms_history.state_update(view.ids.uuid(), alarm.name, seen, after))
    if runs and (state != seen.state or seen.actions_at is None):
        for action in watch.scaling_actions[state]:
            alarms_history.add(draft, alarms_history.action(view.ids.uuid(), alarm.name, action, after, now))
    return draft.plan(_wake_at(view, alarm, watch, after.actions_at, now))


# -- evaluating


def rule_of(spec: alarms.AlarmSpec) -> alarm_evaluation.Rule:
    """The alarm's configuration as the evaluation wants it."""
    extended = percentiles.parse(spec.extended_statistic) if spec.extended_statistic is not None else None
    missing = cast(alarm_evaluation.Missing, spec.treat_missing_data or "missing")
    return alarm_evaluation.Rule(
        period_seconds=spec.period_seconds,
        evaluation_periods=spec.evaluation_periods,
        comparison=cast(alarm_evaluation.Comparison, spec.comparison_operator),
        threshold=spec.threshold,
        datapoints_to_alarm=spec.datapoints_to_alarm,
        treat_missing=alarm_evaluation.treatment(missing, spec.namespace),
        percentile=extended.high if extended is not None and extended.kind == "p" else None,
        ignores_few_samples=spec.evaluate_low_sample_count_percentile == "ignore",
    )


def _metric(spec: alarms.AlarmSpec) -> metrics.Metric:
    """The one metric that it watches."""
    assert spec.namespace is not None, "an alarm without metric math has a metric"
    assert spec.metric_name is not None, "an alarm without metric math has a metric"
    return metrics.Metric(spec.namespace, spec.metric_name, spec.dimensions)


class _Watch:
    """What a configuration comes to, worked out once, and the newest evaluation with it where looks come more often
    than data points: a window that is still the same, from the same state on, has the same verdict.
    """

    __slots__ = (
        "from_state", "interval_seconds", "metric", "points", "repeat_seconds", "rule", "scaling_actions", "spec",
        "statistic", "verdict",
    )  # fmt: skip

    def __init__(self, spec: alarms.AlarmSpec) -> None:
        self.spec = spec
        self.rule = rule_of(spec)
        self.statistic = None if spec.metrics else spec.extended_statistic or spec.statistic or "Average"
        self.metric = None if spec.metrics else _metric(spec)
        self.interval_seconds = alarm_evaluation.evaluation_interval(spec.period_seconds, spec.evaluation_periods)
        is_fine = spec.period_seconds == FINE_REPEAT_PERIOD_SECONDS
        self.repeat_seconds = FINE_REPEAT_SECONDS if is_fine else REPEAT_SECONDS
        actions = {state: _scaling_actions(spec, state) for state in get_args(alarms.AlarmState)}
        self.scaling_actions = actions if any(actions.values()) else NO_ACTIONS
        self.points: Sequence[alarm_evaluation.Datapoint | None] = ()
        self.from_state: alarms.AlarmState | None = None
        self.verdict: alarm_evaluation.Evaluation | None = None

    def evaluate(
        self, points: Sequence[alarm_evaluation.Datapoint | None], state: alarms.AlarmState
    ) -> alarm_evaluation.Evaluation:
        """The verdict over a window."""
        if self.interval_seconds >= self.rule.period_seconds:
            return alarm_evaluation.evaluate(self.rule, points, state)
        if self.verdict is None or points is not self.points or state != self.from_state:
            self.verdict = alarm_evaluation.evaluate(self.rule, points, state)
            self.points, self.from_state = points, state
        return self.verdict


_watches: dict[int, _Watch] = {}
"""By the configuration's identity: a record that is written anew keeps the one it has."""


def _watch(spec: alarms.AlarmSpec) -> _Watch:
    found = _watches.get(id(spec))
    if found is None or found.spec is not spec:
        if len(_watches) >= WATCHES_MAX:
            _watches.clear()
        found = _watches[id(spec)] = _Watch(spec)
    return found


class _Look:
    """One evaluation: what was read, and the verdict."""

    __slots__ = ("now", "span", "verdict", "watch")

    def __init__(self, view: views.View, watch: _Watch, state: alarms.AlarmState, now: float) -> None:
        self.now = now
        self.watch = watch
        self.span = alarm_evaluation.window(watch.rule, now)
        points: Sequence[alarm_evaluation.Datapoint | None]
        if watch.metric is None or watch.statistic is None:
            figures = alarm_math.read(view.signals, watch.spec.metrics, self.span, now)
            points = alarm_evaluation.datapoints(self.span, figures)
        else:
            points = view.signals.window(watch.metric, watch.spec.unit, watch.statistic, self.span, now)
        self.verdict = watch.evaluate(points, state)

    @property
    def newest(self) -> alarm_evaluation.Datapoint | None:
        """The newest data point that there is."""
        return self.verdict.used[0] if self.verdict.used else None

    @property
    def window(self) -> alarms.WindowValues | None:
        """What the data points that counted come to."""
        return _window([point.value for point in self.verdict.used])

    def observed(self, before: alarms.AlarmObserved) -> alarms.AlarmObserved:
        """The alarm's state after this evaluation; reason and moments change only where the state does."""
        newest = self.newest
        after = msgspec.structs.replace(
            before,
            evaluated_at=self.now,
            forced_at=None,
            breaching_datapoints=self.verdict.breaching,
            newest_value=newest.value if newest is not None else None,
            newest_value_at=newest.timestamp if newest is not None else None,
            window=self.window,
        )
        if self.verdict.state == before.state:
            return after
        watch, rule = self.watch, self.watch.rule
        data = alarm_reasons.describe_data(
            rule, self.verdict, self.span, statistic=watch.statistic, unit=watch.spec.unit, now=self.now
        )
        return msgspec.structs.replace(
            after,
            state=self.verdict.state,
            reason=alarms_history.cut(alarm_reasons.describe(rule, self.verdict), REASON_CHARACTERS_MAX),
            reason_data=alarms_history.fit_reason_data(data, REASON_DATA_CHARACTERS_MAX),
            state_updated_at=self.now,
            state_transitioned_at=self.now,
            actions_at=None,
        )


def _window(values: Sequence[float]) -> alarms.WindowValues | None:
    """The mean of the values as they are written, without the dust of binary fractions; least and greatest."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return None
    total = functools.reduce(_EXACT.add, map(decimal.Decimal, map(repr, finite)))
    above, below = total.as_integer_ratio()
    mean = above / (below * len(finite))  # of whole numbers: rounded once
    return alarms.WindowValues(average=mean, minimum=min(finite), maximum=max(finite))


def _is_evaluated(alarm: alarms.MetricAlarm, watch: _Watch, now: float) -> bool:
    """Whether nothing is to be evaluated before the next evaluation time."""
    seen, interval = alarm.observed, watch.interval_seconds
    if seen.forced_at is not None:
        return seen.forced_at // interval == now // interval  # SetAlarmState holds until the next evaluation
    if seen.evaluated_at is None or seen.evaluated_at <= alarm.spec_updated_at:
        return False  # never, or with another configuration
    return seen.evaluated_at // interval == now // interval


def _wake_at(view: views.View, alarm: alarms.MetricAlarm, watch: _Watch, actions_at: float | None, now: float) -> float:
    interval, repeat = watch.interval_seconds, watch.repeat_seconds
    at = alarm_evaluation.next_evaluation_at(alarm.spec.period_seconds, alarm.spec.evaluation_periods, now)
    count = view.size(tables.ALARMS, "listing", "all")
    if 2 * count > EVALUATIONS_PER_SECOND:
        spread_seconds = min(count / EVALUATIONS_PER_SECOND, interval * SPREAD_SHARE_MAX)
        at += zlib.crc32(alarm.name.encode()) / 2**32 * spread_seconds
    if interval <= repeat or actions_at is None:
        return at
    return min(at, max(_whole(now, repeat), _whole(actions_at, repeat)) + repeat)


# -- actions


def _whole(moment: float, seconds: int) -> float:
    return moment // seconds * seconds


def _scaling_actions(spec: alarms.AlarmSpec, state: alarms.AlarmState) -> tuple[str, ...]:
    return tuple(action for action in spec.actions_of(state) if action.startswith(SCALING_ACTION))


def _actions_due(alarm: alarms.MetricAlarm, watch: _Watch, state: alarms.AlarmState, now: float) -> bool:
    """Whether the actions of `state` are to be run now: because it is new, or because it lasts."""
    if not watch.spec.actions_enabled or not watch.scaling_actions[state]:
        return False
    last = alarm.observed.actions_at
    if state != alarm.observed.state or last is None:
        return True
    # Counted in evaluation times, not from moment to moment: else one late look would put off all that follow.
    repeat = watch.repeat_seconds
    step = min(watch.interval_seconds, repeat)
    return _whole(now, step) >= _whole(last, step) + repeat


def _with_actions(
    view: views.View, watch: _Watch, after: alarms.AlarmObserved, look: _Look | None, now: float
) -> alarms.AlarmObserved:
    """With the actions run at `now`, and the newest value that they are to count with."""
    if look is None and after.forced_at is not None:
        told = alarms_history.values_told(after.reason_data)[-watch.spec.evaluation_periods :]
        if told:
            return msgspec.structs.replace(
                after, actions_at=now, newest_value=told[-1], newest_value_at=after.forced_at, window=_window(told)
            )
        look = _Look(view, watch, after.state, now)
        newest = look.newest
        after = msgspec.structs.replace(
            after,
            newest_value=newest.value if newest is not None else None,
            newest_value_at=newest.timestamp if newest is not None else None,
            window=look.window,
        )
    return msgspec.structs.replace(after, actions_at=now)


# -- for the engine


def _keys(change: store.Change, _view: views.View) -> Iterable[str]:
    return (change.key,) if change.table == tables.ALARMS.name else ()


def _all_keys(view: views.View) -> Iterable[str]:
    return [alarm.name for alarm in view.find(tables.ALARMS, "listing", "all")]


CONTROLLER = controller.Controller(name="alarms", reconcile=reconcile, keys=_keys, all_keys=_all_keys)
"""Keyed by the alarm's name. Data points wake nothing: time does."""
