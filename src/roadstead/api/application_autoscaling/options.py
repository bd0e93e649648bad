"""Options of target tracking that AWS hasn't, as tags of the scalable target (decision 0023).

`roadstead:<option>` is for all target tracking policies of the target, `roadstead:<option>:<policy name>` for one. In:
the target's tags. Out: each policy's `TrackingOptions`. A tag that begins with `roadstead:` and is no option, or has a
value that can't be, is refused with a ValidationException.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from roadstead.api.application_autoscaling import common
from roadstead.control import alarms_history, scaling_alarm_pair
from roadstead.model import alarms, record, scaling, tables, tracked_metrics
from roadstead.state import plan
from roadstead.state import view as views

PREFIX = "roadstead:"
PERIODS_MAX = 1440
PERIOD_SECONDS_MAX = 3600
REACH_SECONDS_MAX = 86_400
"""CloudWatch: an alarm looks back a day at most (behaviour.md 2.6.1)."""
STEP_MAX = 1_000_000
SECONDS_MAX = 7 * 86_400
_WHOLE = re.compile(r"[0-9]{1,9}")


def _number(text: str, least: int, most: int) -> int:
    if _WHOLE.fullmatch(text) is None or not least <= int(text) <= most:
        raise ValueError(f"a whole number from {least} to {most} is needed")
    return int(text)


def _within(least: int, most: int) -> Callable[[str], int]:
    return lambda text: _number(text, least, most)


def _datapoints(text: str) -> scaling.Datapoints:
    """`3`, or `2/3` for two of three."""
    needed, slash, periods = text.partition("/")
    found = scaling.Datapoints(
        needed=_number(needed, 1, PERIODS_MAX), periods=_number(periods if slash else needed, 1, PERIODS_MAX)
    )
    if found.needed > found.periods:
        raise ValueError("more data points than periods can't be")
    return found


def _period(text: str) -> int:
    seconds = _number(text, 10, PERIOD_SECONDS_MAX)
    if seconds not in (10, 20, 30) and seconds % 60:
        raise ValueError("a period is 10, 20, 30 or a multiple of 60 seconds")
    return seconds


KNOWN: dict[str, Callable[[str], Any]] = {
    "scale-out-datapoints": _datapoints,
    "scale-in-datapoints": _datapoints,
    "scale-out-period-seconds": _period,
    "scale-in-period-seconds": _period,
    "scale-in-threshold-percent": _within(1, 99),
    "scale-out-gain-percent": _within(1, 1000),
    "scale-in-gain-percent": _within(1, 100),
    "scale-out-step-max": _within(1, STEP_MAX),
    "scale-in-step-max": _within(1, STEP_MAX),
    "scale-to-zero-after-seconds": _within(0, SECONDS_MAX),
}
"""Each option, and how its value is read; the field of TrackingOptions has its name, with underscores."""


def check(tags: Iterable[record.Tag]) -> None:
    """Refuse tags that look like options and are none."""
    for tag in tags:
        if not tag.key.startswith(PREFIX):
            continue
        name, _, _ = tag.key.removeprefix(PREFIX).partition(":")
        if name not in KNOWN:
            raise common.invalid(f"The tag {tag.key} is no option of Roadstead: there are {', '.join(KNOWN)}.")
        try:
            KNOWN[name](tag.value)
        except ValueError as problem:
            raise common.invalid(f"The value '{tag.value}' of the tag {tag.key} can't be: {problem}.") from None


def of_policy(tags: Iterable[record.Tag], policy_name: str) -> scaling.TrackingOptions:
    """A policy's options by checked tags: those for all policies, then those for this one."""
    given = {tag.key: tag.value for tag in tags if tag.key.startswith(PREFIX)}
    found: dict[str, Any] = {}
    for name, read in KNOWN.items():
        text = given.get(f"{PREFIX}{name}:{policy_name}", given.get(f"{PREFIX}{name}"))
        if text is not None:
            found[name.replace("-", "_")] = read(text)
    return scaling.TrackingOptions(**found)


def named_policies(tags: Iterable[record.Tag]) -> Iterator[tuple[str, str]]:
    """Each tag that is for one policy only: its key, and the policy's name."""
    for tag in tags:
        _, colon, policy_name = tag.key.removeprefix(PREFIX).partition(":")
        if tag.key.startswith(PREFIX) and colon:
            yield tag.key, policy_name


def spelled(options: scaling.TrackingOptions) -> list[tuple[str, str]]:
    """The options that aren't AWS's way, by name, with their values as in tags."""
    default = scaling.TrackingOptions()
    found = []
    for name in KNOWN:
        value, usual = (getattr(one, name.replace("-", "_")) for one in (options, default))
        if value != usual:
            is_points = isinstance(value, scaling.Datapoints)
            found.append((name, f"{value.needed}/{value.periods}" if is_points else str(value)))
    return found


def check_policy(policy: scaling.ScalingPolicy, tags: Iterable[record.Tag]) -> None:
    """Refuse options that a policy can't have: of another kind, or periods for which its metric has no data."""
    tracking = policy.target_tracking
    if tracking is None:
        for key, name in named_policies(tags):
            if name == policy.policy_name:
                raise common.invalid(f"The tag {key} is for target tracking policies, and {name} is none.")
        return
    options = policy.options
    periods = [one for one in (options.scale_out_period_seconds, options.scale_in_period_seconds) if one is not None]
    if periods and tracking.metrics:
        raise common.invalid(f"The periods of {policy.policy_name} stand in its Metrics: no option can change them.")
    if tracking.predefined_metric is not None:
        _, data_seconds = tracked_metrics.PREDEFINED.get(tracking.predefined_metric, ("", 60))
        if any(one % data_seconds for one in periods):
            raise common.invalid(
                f"{tracking.predefined_metric} of {policy.policy_name} has a data point every {data_seconds} s: alarm "
                f"periods are multiples of that."
            )
    for watched in scaling_alarm_pair.reaches_seconds(policy):
        if watched > REACH_SECONDS_MAX:
            raise common.invalid(
                f"An alarm of {policy.policy_name} would look back {watched} s: at most {REACH_SECONDS_MAX} s are "
                "possible."
            )


def apply(draft: plan.Draft, target: scaling.ScalableTarget, now: float) -> None:
    """Give a retagged target's policies their new options, and the alarms for which that makes a difference."""
    check(target.tags)
    view = draft.view
    for policy in list(view.find(tables.SCALING_POLICIES, "by_target", target.key)):
        changed = policy
        if policy.target_tracking is not None:
            changed = msgspec.structs.replace(policy, options=of_policy(target.tags, policy.policy_name))
        check_policy(changed, target.tags)
        if changed == policy:
            continue
        draft.put(changed)
        before = scaling_alarm_pair.alarms_of(view.scope, policy, now)
        for old, new in zip(before, scaling_alarm_pair.alarms_of(view.scope, changed, now), strict=True):
            if old.spec != new.spec:
                _reconfigure(draft, view, new, now)


def _reconfigure(draft: plan.Draft, view: views.View, new: alarms.MetricAlarm, now: float) -> None:
    """Another configuration for an alarm that keeps its name and state; one that was deleted is put back so anyway."""
    alarm = view.get(alarms.MetricAlarm, new.name)
    if alarm is None:
        return
    changed = msgspec.structs.replace(alarm, spec=new.spec, spec_updated_at=now)
    draft.put(changed)
    item = alarms_history.configuration_update(view.ids.uuid(), changed, "Update", view.scope, now)
    alarms_history.add(draft, item)
