"""Tags of alarms: TagResource, UntagResource, ListTagsForResource."""

from __future__ import annotations

from typing import Any

import msgspec

from roadstead.api import operation
from roadstead.api.cloudwatch import common
from roadstead.base import arn, errors
from roadstead.control import alarm_lookup
from roadstead.model import alarms, record
from roadstead.state import plan
from roadstead.state import view as views

TAGS_MAX = 50
"""Tags of one alarm."""
RESERVED_PREFIX = "aws:"


def tags_of(given: Any) -> tuple[record.Tag, ...]:
    """A `Tags` parameter as the record's tags. Refuses AWS's own prefix, a key given twice, and more than 50."""
    found = {tag.Key: record.Tag(key=tag.Key, value=tag.Value) for tag in given or ()}
    if len(found) != len(given or ()):
        raise common.validation("Tags must not have the same key twice.")
    for key in found:
        if key.lower().startswith(RESERVED_PREFIX):
            raise common.validation(f"Tag keys starting with '{RESERVED_PREFIX}' are reserved for system use: {key}")
    _check_count(found)
    return tuple(found.values())


def tag_resource(call: operation.Call, view: views.View) -> operation.Reply:
    """TagResource: adds tags to an alarm, or gives those it has another value."""
    alarm = _find(call, view)
    merged = {tag.key: tag for tag in (*alarm.tags, *tags_of(call.params.Tags))}
    _check_count(merged)
    draft = plan.Draft(view)
    draft.put(msgspec.structs.replace(alarm, tags=tuple(merged.values())))
    return operation.Reply(plan=draft.plan())


def untag_resource(call: operation.Call, view: views.View) -> operation.Reply:
    """UntagResource: takes tags from an alarm; keys that it does not have are passed over."""
    alarm = _find(call, view)
    gone = set(call.params.TagKeys)
    draft = plan.Draft(view)
    draft.put(msgspec.structs.replace(alarm, tags=tuple(tag for tag in alarm.tags if tag.key not in gone)))
    return operation.Reply(plan=draft.plan())


def list_tags_for_resource(call: operation.Call, view: views.View) -> operation.Reply:
    """ListTagsForResource: an alarm's tags."""
    shown = [{"Key": tag.key, "Value": tag.value} for tag in _find(call, view).tags]
    return operation.Reply(output={"Tags": shown})


def _check_count(found: dict[str, record.Tag]) -> None:
    if len(found) > TAGS_MAX:
        raise common.validation(f"An alarm can have at most {TAGS_MAX} tags, not {len(found)}.")


def _find(call: operation.Call, view: views.View) -> alarms.AnyAlarm:
    text = call.params.ResourceARN
    parsed = arn.parse(text)
    ours = parsed is not None and (parsed.service, parsed.region, parsed.account) == (
        "cloudwatch",
        view.scope.region,
        view.scope.account,
    )
    if parsed is None or not parsed.resource.startswith("alarm:"):
        raise common.invalid_value(f"The value {text} for parameter ResourceARN is not the ARN of an alarm.")
    alarm = alarm_lookup.find(view, parsed.resource.removeprefix("alarm:")) if ours else None
    if alarm is None:
        members: dict[str, object] = {"ResourceType": "alarm", "ResourceId": text}
        raise errors.Refusal("ResourceNotFoundException", f"Unknown alarm: {text}", status=404, members=members)
    return alarm
