"""ListTaskDefinitions and ListTaskDefinitionFamilies."""

from __future__ import annotations

from roadstead.api import operation
from roadstead.api.ecs import common
from roadstead.base import pagination
from roadstead.model import names, tables, task_definitions
from roadstead.state import view as views


def list_task_definitions(call: operation.Call, view: views.View) -> operation.Reply:
    """ListTaskDefinitions: ARNs by family and revision. `familyPrefix` is a whole family's name, as in ECS."""
    params = call.params
    status = params.status or "ACTIVE"
    group = (status,) if not params.familyPrefix else (status, params.familyPrefix)
    query = f"ListTaskDefinitions {' '.join(group)} {params.sort or 'ASC'}"
    if params.sort == "DESC":
        found, token = _descending(view, group, query, params.nextToken, common.page_size(params.maxResults))
    else:
        found, token = common.read_page(
            view,
            tables.TASK_DEFINITIONS,
            "listing",
            group,
            query=query,
            token=params.nextToken,
            max_results=params.maxResults,
        )
    arns = [names.task_definition_arn(view.scope, one.key) for one in found]
    return operation.Reply(output=common.given(taskDefinitionArns=arns, nextToken=token))


def _descending(
    view: views.View, group: tables.Group, query: str, token: str | None, limit: int
) -> tuple[list[task_definitions.TaskDefinition], str | None]:
    """A page of the group from its end. The token names the last revision shown."""
    newest_first = list(view.find(tables.TASK_DEFINITIONS, "listing", *group))[::-1]
    start = 0
    if token:
        position = pagination.read_token(query, token)
        if position is None:
            raise common.invalid("Invalid token.")
        family, _, revision = position.rpartition(":")
        last = (family, int(revision))
        start = next((i for i, one in enumerate(newest_first) if (one.family, one.revision) < last), len(newest_first))
    found = newest_first[start : start + limit]
    more = start + limit < len(newest_first)
    return found, pagination.make_token(query, found[-1].key) if more else None


def list_task_definition_families(call: operation.Call, view: views.View) -> operation.Reply:
    """ListTaskDefinitionFamilies: names that begin with `familyPrefix`; ACTIVE families have an ACTIVE revision."""
    params = call.params
    status, prefix = params.status or "ALL", params.familyPrefix or ""
    query = f"ListTaskDefinitionFamilies {status} {prefix}"
    limit = common.page_size(params.maxResults)
    after: tables.Order | None = (prefix,) if prefix else None
    if params.nextToken:
        position = pagination.read_token(query, params.nextToken)
        if position is None:
            raise common.invalid("Invalid token.")
        after = (position, position)
    found: list[str] = []
    for _, one in view.page(tables.FAMILIES, "all", (status,), after, limit + 1):
        if not one.family.startswith(prefix):
            break
        found.append(one.family)
    token = pagination.make_token(query, found[limit - 1]) if len(found) > limit else None
    return operation.Reply(output=common.given(families=found[:limit], nextToken=token))
