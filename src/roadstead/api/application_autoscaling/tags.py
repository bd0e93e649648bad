"""Tags of scalable targets: TagResource, UntagResource, ListTagsForResource (behaviour.md 1.1.12)."""

from __future__ import annotations

import msgspec

from roadstead.api import operation
from roadstead.api.application_autoscaling import options, targets
from roadstead.base import arn, errors
from roadstead.model import record, scaling, tables
from roadstead.state import plan
from roadstead.state import view as views


def tag_resource(call: operation.Call, view: views.View) -> operation.Reply:
    """TagResource: adds tags to a scalable target, or gives those it has another value."""
    target = _find(call, view)
    added = {tag.key: tag for tag in targets.tags_of(call.params.Tags)}
    merged = {**{tag.key: tag for tag in target.tags}, **added}
    if len(merged) > targets.TAGS_MAX:
        raise errors.Refusal(
            "TooManyTagsException",
            f"A scalable target can have at most {targets.TAGS_MAX} tags, not {len(merged)}.",
            members={"ResourceName": call.params.ResourceARN},
        )
    return _retagged(call, view, target, tuple(merged[key] for key in sorted(merged)))


def untag_resource(call: operation.Call, view: views.View) -> operation.Reply:
    """UntagResource: takes tags from a scalable target; keys that it does not have are passed over."""
    target = _find(call, view)
    gone = frozenset(call.params.TagKeys)
    return _retagged(call, view, target, tuple(tag for tag in target.tags if tag.key not in gone))


def _retagged(
    call: operation.Call, view: views.View, target: scaling.ScalableTarget, tags: tuple[record.Tag, ...]
) -> operation.Reply:
    """The target with other tags, and its policies with the options that these say."""
    draft = plan.Draft(view)
    changed = msgspec.structs.replace(target, tags=tags)
    draft.put(changed)
    options.apply(draft, changed, call.now)
    return operation.Reply(plan=draft.plan())


def list_tags_for_resource(call: operation.Call, view: views.View) -> operation.Reply:
    """ListTagsForResource: a scalable target's tags."""
    return operation.Reply(output={"Tags": {tag.key: tag.value for tag in _find(call, view).tags}})


def _find(call: operation.Call, view: views.View) -> scaling.ScalableTarget:
    """The target of an ARN. Raises ResourceNotFoundException."""
    text: str = call.params.ResourceARN
    parsed = arn.parse(text)
    ours = parsed is not None and (parsed.service, parsed.region, parsed.account) == (
        "application-autoscaling",
        view.scope.region,
        view.scope.account,
    )
    name = parsed.resource.removeprefix("scalable-target/") if parsed is not None and ours else ""
    found = view.first(tables.SCALABLE_TARGETS, "by_id", name) if name else None
    if found is None:
        raise errors.Refusal(
            "ResourceNotFoundException", f"The specified resource doesn't exist: {text}", members={"ResourceName": text}
        )
    return found
