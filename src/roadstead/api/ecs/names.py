"""Reading what callers name things by: short names, and ARNs in the short and the long form."""

from __future__ import annotations

from roadstead.base import arn, errors
from roadstead.base import scope as base_scope


def parts_of(scope: base_scope.Scope, kind: str, text: str) -> list[str] | None:
    """What follows `kind/` in a reference to one of our things; None where the text can't be one.

    `kind` is `cluster`, `task`, `service`, `container-instance` or `task-definition`. A short name gives itself, an ARN
    `[name]` in its short and `[cluster, name]` in its long form. Raises Refusal where the ARN is another account's or
    region's.
    """
    if not text.startswith("arn:"):
        return [text]
    parsed = arn.parse(text)
    if parsed is None or parsed.service != "ecs":
        return None
    found, *rest = parsed.resource.split("/")
    if found != kind or not rest or not all(rest):
        return None
    if parsed.account != scope.account:
        raise errors.Refusal(
            "InvalidParameterException", f"Identifier is for {parsed.account}. Your accountId is {scope.account}"
        )
    if parsed.region != scope.region:
        raise errors.Refusal(
            "InvalidParameterException", f"Identifier is for region {parsed.region}. This is region {scope.region}"
        )
    return rest


def id_in_cluster(scope: base_scope.Scope, kind: str, cluster: str, text: str) -> str | None:
    """The id or name of a thing that lives in `cluster`, from its short name or ARN.

    None where the text names none, or one of another cluster.
    """
    parts = parts_of(scope, kind, text)
    if parts is None or len(parts) > 2:
        return None
    if len(parts) == 2 and parts[0] != cluster:
        return None
    return parts[-1]
