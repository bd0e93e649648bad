"""Evaluates metric alarms, writes their state, and runs the actions of it (behaviour.md 2.6.2-2.6.4).

In: alarm records, the time series, the time. Out: an alarm's observed state, items of its history, and `actions_at`,
which tells `control.service_scaling` to act. The verdict itself is `signals.alarm_evaluation`'s.

What is written, and what is not. An alarm has evaluation times (every 10 s, minute or hour). One that finds the same
state as the last one writes nothing: ten thousand quiet alarms cost no journal writes. So `evaluated_at` and
`newest_value` are those of the newest evaluation that was worth a record; whenever actions are run, the newest value is
written with them. An evaluation that can't find another state is not even made: an alarm at rest on three of three
data points, of which the newest does not breach, sleeps for three periods. That holds as long as data come for later
periods alone; a datum for a period that was read already (`signals.series` notes it) ends the sleep at the next
evaluation time.

A restart changes no decision: all that one depends on (state, `actions_at`, `forced_at`, the data) is durable. An
evaluation that was missed while nothing ran is made up for once, at the start, with the data of that moment.
"""

from __future__ import annotations

import decimal
import functools
import itertools
import math
import zlib
from collections.abc import Iterable, Sequence

import msgspec

from roadstead.control import alarm_watch, alarms_history, controller
from roadstead.model import alarms, scaling_names, tables
from roadstead.signals import alarm_evaluation, alarm_reasons, metrics
from roadstead.state import plan, store
from roadstead.state import view as views

REASON_CHARACTERS_MAX = 1023
REASON_DATA_CHARACTERS_MAX = 4000
"""The longest StateReason and StateReasonData (AWS's model)."""
EVALUATIONS_PER_SECOND = 2000
"""Where there are more alarms than this by half, their evaluations are spread, at this rate."""
SPREAD_SHARE_MAX = 0.25
"""Over which share of the evaluation interval they are spread at most."""
NO_POLICY = "No scaling policy has this ARN."
"""Why an action failed, in its history."""
WRITTEN_KEPT_MAX = 4096
"""Values that are kept as they are written: a window that moves on has most of them again."""
_EXACT = decimal.Context(prec=700, traps=[decimal.Inexact])
"""Adds what doubles are written as without rounding: they have at most 308 digits before the point, 341 behind it."""


def reconcile(view: views.View, key: str, now: float) -> plan.Plan:
    """Evaluate the alarm called `key` if that is due, run its actions if they are, and wake at the next evaluation."""
    alarm = view.get(alarms.MetricAlarm, key)
    if alarm is None:
        return plan.NOTHING
    seen = alarm.observed
    watch = alarm_watch.of(alarm.spec)
    look = None if _is_evaluated(alarm, watch, now) else _Look(view, watch, seen.state, now)
    state = seen.state if look is None else look.verdict.state
    runs = _actions_due(alarm, watch, state, now)
    is_news = look is not None and (state != seen.state or seen.forced_at is not None)
    news_at = look.next_news_at if look is not None else now
    if not runs and not is_news:
        return plan.Plan(wake_at=_wake_at(view, alarm, watch, seen.actions_at, news_at, now))
    after = seen if look is None else look.observed(seen)
    if runs:
        after = _with_actions(view, watch, after, look, now)
    draft = plan.Draft(view)
    draft.put(msgspec.structs.replace(alarm, observed=after))
    if state != seen.state:
        alarms_history.add(draft, alarms_history.state_update(view.ids.uuid(), alarm.name, seen, after))
    if runs and (state != seen.state or seen.actions_at is None):
        for action in watch.scaling_actions[state]:
            problem = None if _is_policy(view, action) else NO_POLICY
            alarms_history.add(draft, alarms_history.action(view.ids.uuid(), alarm.name, action, after, problem, now))
    return draft.plan(_wake_at(view, alarm, watch, after.actions_at, news_at, now), rests=True)


def _is_policy(view: views.View, action: str) -> bool:
    """Whether a scaling policy has this ARN, or this one before its `:createdBy/…`."""
    policy_id = scaling_names.policy_id_of(action)
    policy = view.first(tables.SCALING_POLICIES, "by_id", policy_id) if policy_id is not None else None
    return policy is not None and f"{action}:".startswith(f"{scaling_names.policy_arn(view.scope, policy)}:")


# -- evaluating


class _Look:
    """One evaluation: what was read, and the verdict."""

    __slots__ = ("now", "points", "span", "verdict", "watch")

    def __init__(self, view: views.View, watch: alarm_watch.Watch, state: alarms.AlarmState, now: float) -> None:
        self.now = now
        self.watch = watch
        self.span = alarm_evaluation.window(watch.rule, now)
        self.points = watch.read(view, self.span, now)
        self.verdict = watch.evaluate(self.points, state)

    @property
    def next_news_at(self) -> float:
        """Before this moment no evaluation finds another state, if data come for periods alone that weren't over."""
        if not self.watch.sleeps:
            return self.now
        moves = alarm_evaluation.moves_until_news(self.watch.rule, self.points, self.verdict.state)
        return self.span.end + moves * self.span.period_seconds

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
    total = functools.reduce(_EXACT.add, map(_as_written, finite))
    above, below = total.as_integer_ratio()
    mean = above / (below * len(finite))  # of whole numbers: rounded once
    return alarms.WindowValues(average=mean, minimum=min(finite), maximum=max(finite))


@functools.lru_cache(maxsize=WRITTEN_KEPT_MAX)
def _as_written(value: float) -> decimal.Decimal:
    return decimal.Decimal(repr(value))


def _is_evaluated(alarm: alarms.MetricAlarm, watch: alarm_watch.Watch, now: float) -> bool:
    """Whether nothing is to be evaluated before the next evaluation time."""
    seen, interval = alarm.observed, watch.interval_seconds
    if seen.forced_at is not None:
        return seen.forced_at // interval == now // interval  # SetAlarmState holds until the next evaluation
    if seen.evaluated_at is None or seen.evaluated_at <= alarm.spec_updated_at:
        return False  # never, or with another configuration
    return seen.evaluated_at // interval == now // interval


def _wake_at(
    view: views.View,
    alarm: alarms.MetricAlarm,
    watch: alarm_watch.Watch,
    actions_at: float | None,
    news_at: float,
    now: float,
) -> float:
    """When to look again: at the first evaluation that may bring news, or where actions are to be repeated."""
    interval, repeat = watch.interval_seconds, watch.repeat_seconds
    next_at = (now // interval + 1.0) * interval
    at = max(next_at, news_at)
    if actions_at is not None and interval <= repeat:
        at = min(at, max(next_at, _whole(actions_at, interval) + repeat))
    at += _spread_seconds(view, alarm.name, interval)
    if actions_at is not None and interval > repeat:
        at = min(at, max(_whole(now, repeat), _whole(actions_at, repeat)) + repeat)
    return at


def _spread_seconds(view: views.View, name: str, interval: int) -> float:
    """How long after its evaluation times an alarm is looked at: 0 unless there are many."""
    count = view.size(tables.ALARMS, "listing", "all")
    if 2 * count <= EVALUATIONS_PER_SECOND:
        return 0.0
    return zlib.crc32(name.encode()) / 2**32 * min(count / EVALUATIONS_PER_SECOND, interval * SPREAD_SHARE_MAX)


# -- actions


def _whole(moment: float, seconds: int) -> float:
    return moment // seconds * seconds


def _actions_due(alarm: alarms.MetricAlarm, watch: alarm_watch.Watch, state: alarms.AlarmState, now: float) -> bool:
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
    view: views.View, watch: alarm_watch.Watch, after: alarms.AlarmObserved, look: _Look | None, now: float
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


def _wakes(metric: metrics.Metric, view: views.View, now: float) -> Iterable[tuple[str, float]]:
    """The alarms that read late data at their next evaluation, and when that is."""
    group = (metric.namespace, metric.name, *itertools.chain.from_iterable(metric.dimensions))
    for alarm in view.find(tables.ALARMS, "by_metric", *group):
        watch = alarm_watch.of(alarm.spec)
        if watch.sleeps:
            interval = watch.interval_seconds
            spread = _spread_seconds(view, alarm.name, interval)
            yield alarm.name, ((now - spread) // interval + 1.0) * interval + spread


CONTROLLER = controller.Controller(
    name="alarms",
    reconcile=reconcile,
    keys=_keys,
    all_keys=_all_keys,
    tables=(tables.ALARMS,),
    wakes=_wakes,
)
"""Keyed by the alarm's name. Data points wake nothing but for late ones: time does."""
