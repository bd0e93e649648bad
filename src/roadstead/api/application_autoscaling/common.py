"""What Application Auto Scaling's operations share: its refusals, what a request is about, pages (behaviour.md 1.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from roadstead.base import errors, pagination
from roadstead.model import record, scaling, scaling_names, services, tables
from roadstead.state import view as views

R = TypeVar("R", bound=record.Record)

PAGE_SCAN_MAX = 1000
"""Records looked at for one page; a page that filters out more comes back shorter, with a token."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What a request is about: an ECS service's desired count, or a custom resource's capacity."""

    namespace: str
    resource_id: str
    dimension: str

    @property
    def key(self) -> str:
        return scaling.target_key(self.namespace, self.resource_id, self.dimension)

    @property
    def service_names(self) -> tuple[str, str]:
        """(cluster, service) of what is known to be an ECS service."""
        names = scaling_names.service_of(self.resource_id)
        assert names is not None, f"{self.resource_id} names no service"
        return names


def invalid(message: str) -> errors.Refusal:
    """ValidationException."""
    return errors.Refusal("ValidationException", message)


def unsupported() -> errors.Refusal:
    """What AWS says of a namespace, resource or dimension that don't go together; and of those that we don't scale."""
    return invalid("Unsupported service namespace, resource type or scalable dimension")


def identity(params: Any) -> Identity:
    """What a request names by ServiceNamespace, ResourceId and ScalableDimension, where that is something we scale."""
    wanted = Identity(
        namespace=params.ServiceNamespace, resource_id=params.ResourceId, dimension=params.ScalableDimension
    )
    match wanted.namespace, wanted.dimension:
        case scaling_names.ECS_NAMESPACE, scaling_names.ECS_DIMENSION:
            if scaling_names.service_of(wanted.resource_id) is None:
                raise unsupported()
        case scaling_names.CUSTOM_NAMESPACE, scaling_names.CUSTOM_DIMENSION:
            if not scaling_names.is_endpoint(wanted.resource_id):
                raise invalid(
                    f"Invalid resource ID '{wanted.resource_id}' for {wanted.dimension}: it must be the URL of your "
                    "endpoint, https://<host>/…/scalableTargetDimensions/<id>, without a query. The AWS CLI fetches "
                    "URLs that it is given: put it into a file, and say --resource-id file://<file>."
                )
        case _:
            raise unsupported()
    return wanted


def find_target(view: views.View, wanted: Identity) -> scaling.ScalableTarget:
    """The registered target. Raises ObjectNotFoundException."""
    found = view.get(scaling.ScalableTarget, wanted.key)
    if found is None:
        raise errors.Refusal(
            "ObjectNotFoundException",
            f"No scalable target registered for service namespace: {wanted.namespace}, "
            f"resource ID: {wanted.resource_id}, scalable dimension: {wanted.dimension}",
        )
    return found


def find_service(view: views.View, wanted: Identity) -> services.Service | None:
    """The ACTIVE service that the request names; None where there is none, or where it names another thing."""
    if wanted.namespace != scaling_names.ECS_NAMESPACE:
        return None
    found = view.get(services.Service, services.service_key(*wanted.service_names))
    return found if found is not None and found.status == "ACTIVE" else None


def check_filters(resource: Any, dimension: str | None) -> None:
    """Refuses a dimension without a resource (AAS-API)."""
    if dimension is not None and not resource:
        raise invalid("If you specify a scalable dimension, you must also specify a resource ID.")


def read_page(
    view: views.View,
    table: tables.Table[R],
    index: str,
    group: tables.Group,
    *,
    query: str,
    token: str | None,
    max_results: int | None,
    limit: int,
    matches: Callable[[R], bool],
) -> tuple[list[R], str | None]:
    """A page of an index's group, and the token for the next; `limit` is the largest page, and the default."""
    if max_results is not None and not 1 <= max_results <= limit:
        raise invalid(f"MaxResults must be between 1 and {limit}.")
    size = limit if max_results is None else max_results
    found: list[R] = []
    last: tables.Order | None = None
    after = _place(query, token) if token else None
    for looked_at, (place, one) in enumerate(view.page(table, index, group, after, PAGE_SCAN_MAX + 1)):
        if len(found) == size or looked_at == PAGE_SCAN_MAX:
            return found, pagination.make_token(query, msgspec.json.encode(last).decode())
        last = place
        if matches(one):
            found.append(one)
    return found, None


def _place(query: str, token: str) -> tables.Order:
    position = pagination.read_token(query, token)
    try:
        if position is None:
            raise ValueError("another listing's token")
        return tuple(msgspec.json.decode(position, type=list[str | int | float]))
    except ValueError as problem:
        raise errors.Refusal("InvalidNextTokenException", "Invalid NextToken.") from problem


def given(**members: Any) -> dict[str, Any]:
    """An output of the members that have a value."""
    return {name: value for name, value in members.items() if value is not None}
