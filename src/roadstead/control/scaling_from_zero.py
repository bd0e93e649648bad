"""From no capacity one data point is enough (behaviour.md 1.3.3): AWS waits for one, not for the high alarm's three.

While a target's capacity is zero, and nothing is on its way, its target tracking policies don't wait for their alarms'
state: at the high alarm's evaluation times at the latest, the newest data point that the alarm would count is looked
at, if its period began at zero. The formula then goes out by the least that there is: one. Metrics of the capacity
itself, such as a service's CPU, have no data points at zero, and wake nothing.
"""

from __future__ import annotations

import msgspec

from roadstead.control import alarm_watch
from roadstead.control import service_scaling_formula as formula
from roadstead.model import alarms
from roadstead.signals import alarm_evaluation
from roadstead.state import view as views


def woken(
    view: views.View, signal: formula.Signal, target_value: float, zero_since: float | None, now: float
) -> formula.Signal:
    """The signal of a policy's high alarm at no capacity: it asks where the newest data point is above the target.

    `zero_since` is when zero was reached, None where that isn't known. It asked when that data point's period ended: so
    the same data point asks at the same moment in every pass. An alarm that is gone, or acts no longer, asks nothing.
    """
    alarm = view.get(alarms.MetricAlarm, signal.alarm)
    if alarm is None or not signal.acts:
        return signal
    watch = alarm_watch.of(alarm.spec)
    points = watch.read(view, alarm_evaluation.window(watch.rule, now), now)
    used = watch.evaluate(points, alarm.observed.state).used
    if not used or not used[0].value > target_value:
        return signal
    newest = used[0]
    if zero_since is not None and newest.timestamp < zero_since:
        return signal
    return msgspec.structs.replace(
        signal,
        value=newest.value,
        fired=True,
        state=alarm.observed.state,
        asked_at=newest.timestamp + alarm.spec.period_seconds,
        running=None,
    )


def next_look_at(view: views.View, signal: formula.Signal, now: float) -> float | None:
    """When the high alarm is next evaluated; None without one."""
    alarm = view.get(alarms.MetricAlarm, signal.alarm)
    if alarm is None:
        return None
    interval = alarm_watch.of(alarm.spec).interval_seconds
    return (now // interval + 1.0) * interval
