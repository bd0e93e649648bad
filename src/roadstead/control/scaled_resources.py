"""What scalable targets scale, behind one seam: its counts, whether it can be scaled, and how a count is written.

In: a scalable target (its namespace says which kind of thing it scales). Out: a `Scaled`, which is all that decisions
on scaling know of the thing, or why it can't be scaled. Each kind is a `Kind` in `KINDS`: ECS services, and custom
resources behind a user's HTTP endpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from roadstead.control import custom_resources as exchanges
from roadstead.model import custom_resources, record, scaling, scaling_names, services, tables, tasks
from roadstead.state import plan
from roadstead.state import view as views


class Scaled(msgspec.Struct, frozen=True, kw_only=True):
    """A thing that can be scaled now, in the numbers that decisions are made from."""

    running: int
    """The capacity that is there: where every calculation starts (behaviour.md 1.2.10)."""
    desired: int
    """The capacity that is wanted."""
    desired_since: float | None = None
    """When the desired capacity was last set; None where that isn't known."""
    blocks_scale_in: bool = False
    """A deployment is in progress (behaviour.md 1.2.11)."""
    is_accepted: bool = True
    """The thing has been told the desired capacity."""
    is_moving: bool = False
    """It says itself that it isn't done, whatever runs."""
    failure: str | None = None
    """Why it did not, or will not, get to the newest desired capacity that was written."""


class Unscalable(msgspec.Struct, frozen=True, kw_only=True):
    """A thing that can't be scaled now: its capacity isn't touched (behaviour.md 1.1.5)."""

    reason: str
    """A sentence."""
    may_pass: bool = False
    """It is expected to be scalable again: what was begun, and what was asked, waits for that."""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """The things of one namespace."""

    namespace: str
    capacity_name: str
    """What is set, in the words of activities: `desired count`."""
    is_told_later: bool = False
    """A capacity that is written has still to be told to the thing (`Scaled.is_accepted`)."""
    look: Callable[[views.View, scaling.ScalableTarget], Scaled | Unscalable]
    set_desired: Callable[[plan.Draft, scaling.ScalableTarget, int, float], None]
    """Write another desired capacity of a thing that can be scaled; sees what the draft has written before."""
    target_key: Callable[[record.Record], str | None]
    """The key of the target that a changed record may be of; None of a record that tells nothing of its capacity."""


def look(view: views.View, target: scaling.ScalableTarget) -> Scaled | Unscalable:
    """What the target scales, as it is now."""
    return KINDS[target.namespace].look(view, target)


def find(view: views.View, target: scaling.ScalableTarget) -> Scaled | None:
    """What the target scales; None where that can't be scaled now."""
    found = look(view, target)
    return found if isinstance(found, Scaled) else None


def problem(view: views.View, target: scaling.ScalableTarget) -> str | None:
    """Why what the target scales can't be scaled now (behaviour.md 1.1.2); None where it can."""
    found = look(view, target)
    if isinstance(found, Scaled):
        return None
    return f"Resource Id [{target.resource_id}] is not scalable. Reason: {found.reason}"


def kind_of(namespace: str) -> Kind:
    """The kind of the things of a namespace that is scaled."""
    return KINDS[namespace]


def set_desired(draft: plan.Draft, target: scaling.ScalableTarget, count: int, now: float) -> None:
    """Write the desired capacity of what the target scales, which can be scaled."""
    KINDS[target.namespace].set_desired(draft, target, count, now)


def targets_of(changed: record.Record, view: views.View) -> Iterable[str]:
    """The keys of the registered targets whose capacity a changed record tells of."""
    named = (kind.target_key(changed) for kind in KINDS.values())
    return [key for key in named if key is not None and view.get(scaling.ScalableTarget, key) is not None]


def every_target(view: views.View) -> Iterable[str]:
    """The keys of all scalable targets."""
    return [target.key for name in KINDS for target in view.find(tables.SCALABLE_TARGETS, "by_namespace", name)]


# ---------------------------------------------------------------------------------------------- ECS services


def _service_key(target: scaling.ScalableTarget) -> str:
    names = scaling_names.service_of(target.resource_id)
    assert names is not None, f"{target.resource_id} names no service"
    return services.service_key(*names)


def _look_at_service(view: views.View, target: scaling.ScalableTarget) -> Scaled | Unscalable:
    """The ACTIVE service of a target."""
    service = view.get(services.Service, _service_key(target))
    if service is None or service.status != "ACTIVE":
        return Unscalable(reason="The ECS service does not exist.")
    return Scaled(
        running=view.tally(tables.TASKS, "counts", "service", service.cluster, service.name)[0],
        desired=service.spec.desired_count,
        desired_since=service.primary.updated_at,
        blocks_scale_in=service.primary.rollout_state == "IN_PROGRESS",
    )


def _set_desired_count(draft: plan.Draft, target: scaling.ScalableTarget, count: int, now: float) -> None:
    """Write the service with another desired count, which its newest deployment follows."""
    service = draft.get(services.Service, _service_key(target))
    assert service is not None, f"{target.resource_id} can be scaled"
    draft.put(services.with_desired_count(service, count, now))


def _target_of_service(changed: record.Record) -> str | None:
    match changed:
        case services.Service() as service:
            return scaling_names.service_target_key(service.cluster, service.name)
        case tasks.Task() as task if task.spec.service is not None:
            return scaling_names.service_target_key(task.cluster, task.spec.service)
        case _:
            return None


SERVICES = Kind(
    namespace=scaling_names.ECS_NAMESPACE,
    capacity_name="desired count",
    look=_look_at_service,
    set_desired=_set_desired_count,
    target_key=_target_of_service,
)


# ---------------------------------------------------------------------------------------------- custom resources


def _look_at_custom_resource(view: views.View, target: scaling.ScalableTarget) -> Scaled | Unscalable:
    resource = view.get(custom_resources.CustomResource, target.resource_id)
    assert resource is not None, f"{target.resource_id} is registered"
    trouble = exchanges.trouble(resource)
    if trouble is not None:
        return Unscalable(reason=trouble, may_pass=True)
    seen, desired = resource.observed, resource.desired_capacity
    assert seen.actual_capacity is not None and desired is not None, f"{resource.url} has answered"
    return Scaled(
        running=seen.actual_capacity,
        desired=desired,
        is_accepted=not resource.is_pending,
        is_moving=exchanges.is_moving(seen),
        failure=None if resource.is_pending else _failure(seen),
    )


def _failure(seen: custom_resources.CustomResourceObserved) -> str | None:
    if seen.refusal is not None:
        return seen.refusal
    if seen.scaling_status == "Failed":
        return seen.failure_reason or "The endpoint says that the scaling failed."
    return None


def _set_wanted(draft: plan.Draft, target: scaling.ScalableTarget, count: int, now: float) -> None:
    resource = draft.get(custom_resources.CustomResource, target.resource_id)
    assert resource is not None, f"{target.resource_id} can be scaled"
    wanted = custom_resources.WantedCapacity(capacity=count, at=now)
    draft.put(msgspec.structs.replace(resource, wanted=wanted))


def _target_of_custom_resource(changed: record.Record) -> str | None:
    match changed:
        case custom_resources.CustomResource() as resource:
            return scaling_names.custom_target_key(resource.url)
        case _:
            return None


CUSTOM_RESOURCES = Kind(
    namespace=scaling_names.CUSTOM_NAMESPACE,
    capacity_name="desired capacity",
    is_told_later=True,
    look=_look_at_custom_resource,
    set_desired=_set_wanted,
    target_key=_target_of_custom_resource,
)
TABLES = (tables.SERVICES, tables.TASKS, tables.CUSTOM_RESOURCES)
"""The tables of all records that tell of a capacity."""
KINDS: dict[str, Kind] = {kind.namespace: kind for kind in (SERVICES, CUSTOM_RESOURCES)}
"""Every kind of thing that is scaled, by namespace."""
