"""What an alarm's configuration comes to, worked out once, and what it reads (behaviour.md 2.6.2).

Used by `control.alarms` to evaluate, and by `api.explain` to say how far an alarm is from its next state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast, get_args

from roadstead.control import alarm_math
from roadstead.model import alarms
from roadstead.signals import alarm_evaluation, metrics, percentiles, retention
from roadstead.state import view as views

REPEAT_SECONDS = 60
"""How often scaling actions are repeated while the state lasts (behaviour.md 2.6.4)."""
FINE_REPEAT_SECONDS = 20
"""The same for alarms with a period of 20 s: what high-resolution target tracking needs."""
FINE_REPEAT_PERIOD_SECONDS = 20
SCALING_ACTION = "arn:aws:autoscaling:"
"""How the actions begin that are repeated; behind the account comes `scalingPolicy:`."""
NO_ACTIONS: dict[alarms.AlarmState, tuple[str, ...]] = dict.fromkeys(get_args(alarms.AlarmState), ())
WATCHES_MAX = 20_000
"""Configurations whose rules and newest verdicts are kept."""

Points = Sequence[alarm_evaluation.Datapoint | None]


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


def _scaling_actions(spec: alarms.AlarmSpec, state: alarms.AlarmState) -> tuple[str, ...]:
    return tuple(action for action in spec.actions_of(state) if action.startswith(SCALING_ACTION))


class Watch:
    """A configuration, and the newest evaluation with it where looks come more often than data points: a window that is
    still the same, from the same state on, has the same verdict.
    """

    __slots__ = (
        "from_state", "interval_seconds", "metric", "points", "repeat_seconds", "rule", "scaling_actions", "sleeps",
        "spec", "statistic", "verdict",
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
        self.sleeps = self.metric is not None and _moves_by_periods(self.rule)
        """Whether evaluations that can't differ are left out."""
        self.points: Points = ()
        self.from_state: alarms.AlarmState | None = None
        self.verdict: alarm_evaluation.Evaluation | None = None

    def read(self, view: views.View, span: alarm_evaluation.Window, now: float) -> Points:
        """The data points of a window, newest first."""
        if self.metric is None or self.statistic is None:
            return alarm_evaluation.datapoints(span, alarm_math.read(view.signals, self.spec.metrics, span, now))
        return view.signals.window(self.metric, self.spec.unit, self.statistic, span, now)

    def evaluate(self, points: Points, state: alarms.AlarmState) -> alarm_evaluation.Evaluation:
        """The verdict over a window."""
        if self.interval_seconds >= self.rule.period_seconds:
            return alarm_evaluation.evaluate(self.rule, points, state)
        if self.verdict is None or points is not self.points or state != self.from_state:
            self.verdict = alarm_evaluation.evaluate(self.rule, points, state)
            self.points, self.from_state = points, state
        return self.verdict


def _moves_by_periods(rule: alarm_evaluation.Rule) -> bool:
    """Whether the window moves on by whole periods, and all of it is young enough to be kept as it came."""
    period = rule.period_seconds
    reach_seconds = period * (rule.looked_at + 2)
    return period <= retention.MINUTE and reach_seconds <= retention.GRAINS[0].keep_seconds


_watches: dict[int, Watch] = {}
"""By the configuration's identity: a record that is written anew keeps the one it has."""


def of(spec: alarms.AlarmSpec) -> Watch:
    """The watch of a configuration; the same one as the last time."""
    found = _watches.get(id(spec))
    if found is None or found.spec is not spec:
        if len(_watches) >= WATCHES_MAX:
            _watches.clear()
        found = _watches[id(spec)] = Watch(spec)
    return found


def breaching(view: views.View, alarm: alarms.MetricAlarm, now: float) -> int:
    """How many of the data points that count breach the alarm's threshold now."""
    watch = of(alarm.spec)
    points = watch.read(view, alarm_evaluation.window(watch.rule, now), now)
    return alarm_evaluation.evaluate(watch.rule, points, alarm.observed.state).breaching
