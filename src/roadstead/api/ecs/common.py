"""What ECS's operations share: finding what a caller names, wire values into records' values, tags, pages, failures.

All errors are `errors.Refusal`s in ECS's terms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec

from roadstead.api import pages
from roadstead.api.ecs import names
from roadstead.base import errors
from roadstead.model import clusters, record, services, tables, task_definitions
from roadstead.state import view as views

T = TypeVar("T")
R = TypeVar("R", bound=record.Record)

RESULTS_MAX = 100
"""The largest page of a List* operation, and its default."""
DESCRIBE_MAX = 100
"""Things that one Describe* call may name."""
TAGS_MAX = 50
RESERVED_TAG_PREFIX = "aws:"


# ---------------------------------------------------------------------------------------------- refusals


def invalid(message: str) -> errors.Refusal:
    """InvalidParameterException: a parameter is not what it may be."""
    return errors.Refusal("InvalidParameterException", message)


def client_error(message: str) -> errors.Refusal:
    """ClientException: the request asks for what can't be."""
    return errors.Refusal("ClientException", message)


def cluster_not_found(code: str = "ClusterNotFoundException") -> errors.Refusal:
    """What AWS says of an unknown cluster."""
    return errors.Refusal(code, "Cluster not found.")


def service_not_found() -> errors.Refusal:
    """What AWS says of an unknown service."""
    return errors.Refusal("ServiceNotFoundException", "Service not found.")


# ---------------------------------------------------------------------------------------------- finding


def cluster_name(view: views.View, text: str | None, code: str = "ClusterNotFoundException") -> str:
    """The name in a cluster parameter (short name or ARN; `default` where absent), whether it exists or not."""
    parts = names.parts_of(view.scope, "cluster", text or clusters.DEFAULT_CLUSTER)
    if parts is None or len(parts) != 1:
        raise cluster_not_found(code)
    return parts[0]


def find_cluster(view: views.View, text: str | None, *, code: str = "ClusterNotFoundException") -> clusters.Cluster:
    """The ACTIVE cluster of a `cluster` parameter. `code` is the error's code where there is none."""
    found = view.get(clusters.Cluster, cluster_name(view, text, code))
    if found is None:
        raise cluster_not_found(code)
    if found.status == "INACTIVE":
        raise errors.Refusal(code, "The referenced cluster was inactive.")
    return found


def find_service(view: views.View, cluster: str, text: str) -> services.Service:
    """The service of a `service` parameter in a cluster; INACTIVE ones too."""
    name = names.id_in_cluster(view.scope, "service", cluster, text)
    found = view.get(services.Service, services.service_key(cluster, name)) if name else None
    if found is None:
        raise service_not_found()
    return found


def find_task_definition(
    view: views.View, text: str, *, missing: str = "TaskDefinition not found."
) -> task_definitions.TaskDefinition:
    """The revision that `family`, `family:revision` or an ARN names; a family alone means its newest ACTIVE one.

    INACTIVE revisions are found by their number. Raises ClientException with the text `missing`.
    """
    parts = names.parts_of(view.scope, "task-definition", text)
    if parts is None or len(parts) != 1:
        raise client_error(missing)
    family, separator, revision = parts[0].partition(":")
    if separator:
        if not (revision.isascii() and revision.isdigit()):
            raise invalid(f"Invalid revision number. Number: {revision}")
        found = view.get(task_definitions.TaskDefinition, f"{family}:{int(revision)}")
    else:
        counts = view.get(task_definitions.TaskDefinitionFamily, family)
        newest = counts.latest_active_revision if counts is not None else None
        found = view.get(task_definitions.TaskDefinition, f"{family}:{newest}") if newest is not None else None
    if found is None:
        raise client_error(missing)
    return found


def find_runnable_task_definition(view: views.View, text: str) -> task_definitions.TaskDefinition:
    """The ACTIVE revision that is named: what RunTask, CreateService and UpdateService take."""
    found = find_task_definition(view, text)
    if found.status == "INACTIVE":
        raise client_error("TaskDefinition is inactive")
    return found


# ---------------------------------------------------------------------------------------------- values


def convert(value: Any, kind: Any, member: str) -> Any:
    """A parsed parameter (Structs, lists, maps in wire names) as one of the model's types.

    `kind` may be `tuple[tasks.X, ...]`; give parameters only when they are set (or use `convert_optional`). Raises
    InvalidParameterException that names `member` where the value does not fit.
    """
    try:
        return msgspec.convert(msgspec.to_builtins(value), type=kind)
    except msgspec.ValidationError as problem:
        raise invalid(f"{member}: {problem}") from problem


def convert_optional(value: Any, kind: Any, member: str, default: Any = None) -> Any:
    """As `convert`; `default` where the parameter is absent."""
    return default if value is None else convert(value, kind, member)


def wire(value: Any) -> Any:
    """A model's WireValue (or a tuple of them) in wire names; members at their defaults are left out."""
    return msgspec.to_builtins(value)


def tags_of(value: Any) -> tuple[record.Tag, ...]:
    """A `tags` parameter. Refuses AWS's own prefix, a key given twice, and more than 50."""
    tags: tuple[record.Tag, ...] = convert_optional(value, tuple[record.Tag, ...], "tags", ())
    if len(tags) > TAGS_MAX:
        raise invalid(f"Too many tags: {len(tags)}. The limit is {TAGS_MAX}.")
    seen: set[str] = set()
    for tag in tags:
        if not tag.key:
            raise invalid("Tag keys can not be blank.")
        if tag.key.lower().startswith(RESERVED_TAG_PREFIX):
            raise invalid("Tag keys starting with 'aws:' are reserved for system use.")
        if tag.key in seen:
            raise invalid(f"Duplicate tag key: {tag.key}")
        seen.add(tag.key)
    return tags


def merge_tags(*groups: Iterable[record.Tag]) -> tuple[record.Tag, ...]:
    """All tags, a later one in place of an earlier one of the same key."""
    merged: dict[str, record.Tag] = {}
    for group in groups:
        for tag in group:
            merged[tag.key] = tag
    return tuple(merged.values())


def tags_output(tags: Sequence[record.Tag]) -> list[dict[str, str]]:
    """Tags in wire names, each with both members."""
    return [{"key": tag.key, "value": tag.value} for tag in tags]


def includes(value: Sequence[str] | None, what: str) -> bool:
    """Whether an `include` parameter names `what` (`TAGS`)."""
    return value is not None and what in value


def check_count(value: Sequence[Any] | None, member: str, limit: int = DESCRIBE_MAX, code: str = "") -> None:
    """Refuses an empty list, and one of more than `limit`."""
    refuse = code or "InvalidParameterException"
    if not value:
        raise errors.Refusal(refuse, f"{member} can not be empty.")
    if len(value) > limit:
        raise errors.Refusal(refuse, f"{member} can have at most {limit} items.")


def failure(arn: str, reason: str, detail: str | None = None) -> dict[str, str]:
    """An entry of `failures[]`: `MISSING`, `INACTIVE`, `RESOURCE:CPU`, … (behaviour.md 5.12)."""
    entry = {"arn": arn, "reason": reason}
    return entry if detail is None else {**entry, "detail": detail}


def given(**members: Any) -> dict[str, Any]:
    """An output of the members that have a value."""
    return {name: value for name, value in members.items() if value is not None}


# ---------------------------------------------------------------------------------------------- pages


def page_size(value: int | None) -> int:
    """A `maxResults` parameter: 1 to 100, 100 where absent."""
    if value is None:
        return RESULTS_MAX
    if not 1 <= value <= RESULTS_MAX:
        raise invalid(f"maxResults must be between 1 and {RESULTS_MAX}.")
    return value


def read_page(
    view: views.View,
    table: tables.Table[R],
    index: str,
    group: tables.Group,
    *,
    query: str,
    token: str | None,
    max_results: int | None,
    matches: Callable[[R], bool] = lambda _one: True,
) -> tuple[list[R], str | None]:
    """A page of an index's group, and the token for the next one: `pages.read`, with `maxResults` as ECS takes it."""
    return pages.read(
        view,
        table,
        index,
        group,
        query=query,
        token=token or None,
        limit=page_size(max_results),
        refusal=invalid("Invalid token."),
        matches=matches,
    )
