"""What Application Auto Scaling's operations share: its refusals, what a request is about, pages (behaviour.md 1.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from roadstead.api import pages
from roadstead.base import errors
from roadstead.model import record, scaling, scaling_names, services, tables
from roadstead.state import view as views

R = TypeVar("R", bound=record.Record)
N = TypeVar("N", scaling.ScalingPolicy, scaling.ScheduledAction)


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


def not_found(what: str, wanted: Identity, name: str | None = None) -> errors.Refusal:
    """ObjectNotFoundException: a target has no `what`, or none of that name."""
    where = (
        f"service namespace: {wanted.namespace}, resource ID: {wanted.resource_id}, "
        f"scalable dimension: {wanted.dimension}"
    )
    named = "" if name is None else f": {name}"
    return errors.Refusal("ObjectNotFoundException", f"No {what} for {where}{named}")


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
        raise not_found("scalable target registered", wanted)
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
    return pages.read(
        view,
        table,
        index,
        group,
        query=query,
        token=token or None,
        limit=limit if max_results is None else max_results,
        refusal=errors.Refusal("InvalidNextTokenException", "Invalid NextToken."),
        matches=matches,
    )


def read_named_page(
    view: views.View,
    table: tables.Table[N],
    operation: str,
    params: Any,
    *,
    names: Iterable[str] | None,
    names_of: Callable[[N], tuple[str, str]],
    limit: int,
) -> tuple[list[N], str | None]:
    """A page of what scalable targets have, as `operation` lists it: of a namespace, perhaps of one resource, and
    perhaps only those whose name or ARN, which `names_of` gives, is one of `names`.
    """
    check_filters(params.ResourceId, params.ScalableDimension)
    wanted = frozenset(names or ())
    resource, dimension = params.ResourceId, params.ScalableDimension
    return read_page(
        view,
        table,
        "by_namespace",
        (params.ServiceNamespace,),
        query=f"{operation} {params.ServiceNamespace} {resource} {dimension} {sorted(wanted)}",
        token=params.NextToken,
        max_results=params.MaxResults,
        limit=limit,
        matches=lambda one: (
            (not wanted or not wanted.isdisjoint(names_of(one)))
            and (resource is None or one.resource_id == resource)
            and (dimension is None or one.dimension == dimension)
        ),
    )


def given(**members: Any) -> dict[str, Any]:
    """An output of the members that have a value."""
    return {name: value for name, value in members.items() if value is not None}
