"""Why a composite alarm is in its state, in CloudWatch's words: StateReason, StateReasonData, ActionsSuppressedReason.

The wordings are those of CloudWatch's example events (user guide, "Alarm events and EventBridge"): after a change of
configuration the alarm's own ARN with all alarms of its rule, otherwise the alarm whose change it was.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import msgspec

from roadstead.base import scope as scopes
from roadstead.control import alarms_history
from roadstead.model import alarms

CHARACTERS_MAX = 1023
DATA_CHARACTERS_MAX = 4000
"""The longest StateReason and StateReasonData (AWS's model)."""
SUPPRESSED_CHARACTERS_MAX = 1024
"""The longest ActionsSuppressedReason."""


class Reason(msgspec.Struct, frozen=True):
    """`text` for StateReason; `data`, JSON text, for StateReasonData."""

    text: str
    data: str


def of(
    scope: scopes.Scope, alarm: alarms.CompositeAlarm, state: alarms.AlarmState, children: Sequence[alarms.AnyAlarm]
) -> Reason:
    """Why `alarm` goes over to `state`; `children` are the alarms of its rule."""
    evaluated_at = alarm.observed.evaluated_spec_at
    own = alarms_history.alarm_arn(scope, alarm.name)
    newest_first = sorted(children, key=lambda child: -child.observed.state_transitioned_at)
    if evaluated_at is None:
        return Reason(f"{own} was created and its alarm rule evaluates to {state}", _data(scope, newest_first))
    if evaluated_at != alarm.spec_updated_at or not newest_first:
        return Reason(f"{own} was updated and its new alarm rule evaluates to {state}", _data(scope, newest_first))
    newest = newest_first[0]
    at = datetime.datetime.fromtimestamp(newest.observed.state_transitioned_at, datetime.UTC)
    text = (
        f"{alarms_history.alarm_arn(scope, newest.name)} transitioned to {newest.observed.state} "
        f"at {at:%A %d %B, %Y %H:%M:%S} UTC"
    )
    return Reason(text, _data(scope, newest_first[:1]))


def suppressed(suppression: alarms.Suppression) -> str:
    """ActionsSuppressedReason; AWS documents only the one of WaitPeriod."""
    by = suppression.suppressor if suppression.by == "Alarm" else suppression.by
    return alarms_history.cut(f"Actions suppressed by {by}", SUPPRESSED_CHARACTERS_MAX)


def _data(scope: scopes.Scope, triggering: Sequence[alarms.AnyAlarm]) -> str:
    """`{"triggeringAlarms":[…]}` with as many of them as fit."""
    shown = [
        {
            "arn": alarms_history.alarm_arn(scope, child.name),
            "state": {
                "value": child.observed.state,
                "timestamp": alarms_history.moment(child.observed.state_transitioned_at),
            },
        }
        for child in triggering
    ]
    while True:
        text = msgspec.json.encode({"triggeringAlarms": shown}).decode()
        if len(text) <= DATA_CHARACTERS_MAX:
            return text
        shown = shown[: len(shown) // 2]
