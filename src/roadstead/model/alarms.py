"""CloudWatch alarms, metric and composite ones, and their history (behaviour.md 2.6)."""

from __future__ import annotations

from typing import Literal, Self

import msgspec

from roadstead.model import record

AlarmState = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
AlarmType = Literal["MetricAlarm", "CompositeAlarm"]
HISTORY_RETENTION_SECONDS = 30 * 86_400
"""CloudWatch keeps alarm history for 30 days (docs: API_DescribeAlarmHistory)."""


class MetricStat(record.Value, frozen=True, kw_only=True):
    """A statistic of a metric, plain or extended, over periods."""

    namespace: str
    metric_name: str
    dimensions: tuple[tuple[str, str], ...] = ()
    """Sorted by name."""
    statistic: str
    period_seconds: int
    unit: str | None = None


class MetricQuery(record.Value, frozen=True, kw_only=True):
    """A part of metric math: a metric, or an expression over the other parts (behaviour.md 2.5)."""

    id: str
    stat: MetricStat | None = None
    expression: str | None = None
    period_seconds: int | None = None
    """The expression's own Period, where it was given."""
    label: str | None = None
    return_data: bool = True
    """True of the one whose values count."""


def name_of(queries: tuple[MetricQuery, ...]) -> str:
    """What metric math is of, in a word: its result's label, or else its metric or expression."""
    result = next(query for query in queries if query.return_data)
    name = result.stat.metric_name if result.stat is not None else result.expression
    return result.label or name or result.id


class AlarmActions(record.Value, frozen=True, kw_only=True):
    """What every alarm's configuration has: its description, and which actions run in which state."""

    description: str | None = None
    actions_enabled: bool = True
    ok_actions: tuple[str, ...] = ()
    alarm_actions: tuple[str, ...] = ()
    insufficient_data_actions: tuple[str, ...] = ()

    def actions_of(self, state: AlarmState) -> tuple[str, ...]:
        """The actions that run in `state`."""
        match state:
            case "ALARM":
                return self.alarm_actions
            case "OK":
                return self.ok_actions
            case "INSUFFICIENT_DATA":
                return self.insufficient_data_actions

    def without_action(self, action: str) -> Self:
        """The same without an action, in any state."""
        return msgspec.structs.replace(
            self,
            ok_actions=tuple(one for one in self.ok_actions if one != action),
            alarm_actions=tuple(one for one in self.alarm_actions if one != action),
            insufficient_data_actions=tuple(one for one in self.insufficient_data_actions if one != action),
        )

    @property
    def every_action(self) -> tuple[str, ...]:
        """The actions of all states."""
        return (*self.alarm_actions, *self.ok_actions, *self.insufficient_data_actions)


class AlarmSpec(AlarmActions, frozen=True, kw_only=True):
    """PutMetricAlarm's configuration; a whole new one replaces it. Written by the API and by PutScalingPolicy.

    An alarm watches one metric (`namespace`, `metric_name`, …) or metric math (`metrics`); with that `period_seconds`
    is the period of what it watches.
    """

    namespace: str | None = None
    metric_name: str | None = None
    dimensions: tuple[tuple[str, str], ...] = ()
    """Sorted by name."""
    metrics: tuple[MetricQuery, ...] = ()
    statistic: str | None = None
    extended_statistic: str | None = None
    unit: str | None = None
    period_seconds: int
    evaluation_periods: int
    datapoints_to_alarm: int | None = None
    threshold: float
    comparison_operator: str
    treat_missing_data: str | None = None
    evaluate_low_sample_count_percentile: str | None = None

    @property
    def watched(self) -> str:
        """What it watches, in a word."""
        return self.metric_name if self.metric_name is not None else name_of(self.metrics)


class ObservedState(record.Value, frozen=True, kw_only=True):
    """What every alarm is in: a state, with its reason."""

    state: AlarmState = "INSUFFICIENT_DATA"
    reason: str = "Unchecked: Initial alarm creation"
    reason_data: str | None = None
    state_updated_at: float
    """When the state, or its reason, was last written."""
    state_transitioned_at: float
    """When the state last changed to another."""


class WindowValues(record.Value, frozen=True, kw_only=True):
    """What the data points of an evaluation come to: the newest EvaluationPeriods of those that there were."""

    average: float
    minimum: float
    maximum: float


class AlarmObserved(ObservedState, frozen=True, kw_only=True):
    """Written by `control.alarms`; by SetAlarmState once, until the next evaluation."""

    evaluated_at: float | None = None
    """Newest evaluation that was worth a record: one that finds the same state and runs no actions writes nothing."""
    newest_value: float | None = None
    """Newest data point of that evaluation, always fresh when `actions_at` is: target tracking computes with it."""
    newest_value_at: float | None = None
    window: WindowValues | None = None
    """All data points that counted in that evaluation, just as fresh: step scaling computes with them (1.4)."""
    forced_at: float | None = None
    """When SetAlarmState set the state; None again after the next evaluation."""
    actions_at: float | None = None
    """When the present state's scaling actions last ran: at the transition, then at each repeat (behaviour.md 2.6.4).

    None while that state has none, or ActionsEnabled is false. `control.service_scaling` acts on each new value."""


class MetricAlarm(record.Record, frozen=True, kw_only=True):
    """An alarm on a metric, or on metric math. No composite alarm has the same name."""

    name: str
    created_at: float
    spec: AlarmSpec
    spec_updated_at: float
    observed: AlarmObserved
    tags: tuple[record.Tag, ...] = ()

    @property
    def key(self) -> str:
        return self.name


class CompositeAlarmSpec(AlarmActions, frozen=True, kw_only=True):
    """PutCompositeAlarm's configuration; a whole new one replaces it. Written by the API."""

    rule: str
    """AlarmRule as it was given: checked."""
    children: tuple[str, ...] = ()
    """Names of the alarms in the rule, each once, in its order."""
    suppressor: str | None = None
    """ActionsSuppressor as it was given: a name or an ARN."""
    suppressor_name: str | None = None
    wait_seconds: int = 0
    """ActionsSuppressorWaitPeriod."""
    extension_seconds: int = 0
    """ActionsSuppressorExtensionPeriod."""


class Suppression(record.Value, frozen=True, kw_only=True):
    """Why the actions of a composite alarm don't run now."""

    by: Literal["WaitPeriod", "ExtensionPeriod", "Alarm"]
    suppressor: str
    """Name of the alarm."""
    until: float | None = None
    """When the period is over; None while the suppressor is in ALARM."""


class ChildState(record.Value, frozen=True, kw_only=True):
    """The state that an alarm of a composite's rule was in, and since when."""

    state: AlarmState
    since: float


class CompositeObserved(ObservedState, frozen=True, kw_only=True):
    """Written by `control.composite_alarms`; by SetAlarmState once, until a child changes."""

    evaluated_spec_at: float | None = None
    """`spec_updated_at` of the configuration that was evaluated last; None before the first evaluation."""
    forced_over: dict[str, ChildState] | None = None
    """The children as they were when SetAlarmState set the state, which holds as long as they stay so."""
    actions_pending: bool = False
    """Whether the actions of the present state are still to run."""
    suppression: Suppression | None = None


class CompositeAlarm(record.Record, frozen=True, kw_only=True):
    """An alarm on the states of other alarms. No metric alarm has the same name."""

    name: str
    created_at: float
    spec: CompositeAlarmSpec
    spec_updated_at: float
    observed: CompositeObserved
    tags: tuple[record.Tag, ...] = ()

    @property
    def key(self) -> str:
        return self.name


AnyAlarm = MetricAlarm | CompositeAlarm
AnyObserved = AlarmObserved | CompositeObserved


class AlarmHistoryItem(record.Record, frozen=True, kw_only=True):
    """One line of DescribeAlarmHistory: a change of an alarm's configuration or state, or an action that it ran."""

    item_id: str
    alarm_name: str
    alarm_type: AlarmType = "MetricAlarm"
    timestamp: float
    number: int = 0
    """Orders items of one moment."""
    type: Literal["ConfigurationUpdate", "StateUpdate", "Action"]
    summary: str
    data: str
    """JSON text, as DescribeAlarmHistory gives it."""

    @property
    def key(self) -> str:
        return self.item_id
