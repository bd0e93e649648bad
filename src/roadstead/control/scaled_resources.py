"""What scalable targets scale, behind one seam: its counts, whether it can be scaled, and how a count is written.

In: a scalable target (its namespace says which kind of thing it scales). Out: a `Scaled`, which is all that decisions
on scaling know of the thing. Each kind is a `Kind` in `KINDS`; ECS services are one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from roadstead.model import record, scaling, scaling_names, services, tables, tasks
from roadstead.state import plan
from roadstead.state import view as views


class Scaled(msgspec.Struct, frozen=True, kw_only=True):
    """A thing that can be scaled now, in the numbers that decisions are made from."""

    running: int
    """The capacity that is there: where every calculation starts (behaviour.md 1.2.10)."""
    desired: int
    """The capacity that is wanted."""
    blocks_scale_in: bool = False
    """A deployment is in progress (behaviour.md 1.2.11)."""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """The things of one namespace."""

    namespace: str
    find: Callable[[views.View, scaling.ScalableTarget], Scaled | str]
    """The target's thing, or why it can't be scaled: a sentence."""
    set_desired: Callable[[plan.Draft, scaling.ScalableTarget, int, float], None]
    """Write another desired capacity of a thing that can be scaled; sees what the draft has written before."""
    target_key: Callable[[record.Record], str | None]
    """The key of the target that a changed record may be of; None of a record that tells nothing of its capacity."""


def find(view: views.View, target: scaling.ScalableTarget) -> Scaled | None:
    """What the target scales; None where that can't be scaled now: then its capacity isn't touched (1.1.5)."""
    found = KINDS[target.namespace].find(view, target)
    return found if isinstance(found, Scaled) else None


def problem(view: views.View, target: scaling.ScalableTarget) -> str | None:
    """Why what the target scales can't be scaled now (behaviour.md 1.1.2); None where it can."""
    found = KINDS[target.namespace].find(view, target)
    if isinstance(found, Scaled):
        return None
    return f"Resource Id [{target.resource_id}] is not scalable. Reason: {found}"


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


def _service_key(target: scaling.ScalableTarget) -> str:
    names = scaling_names.service_of(target.resource_id)
    assert names is not None, f"{target.resource_id} names no service"
    return services.service_key(*names)


def _find_service(view: views.View, target: scaling.ScalableTarget) -> Scaled | str:
    """The ACTIVE service of a target."""
    service = view.get(services.Service, _service_key(target))
    if service is None or service.status != "ACTIVE":
        return "The ECS service does not exist."
    return Scaled(
        running=view.tally(tables.TASKS, "counts", "service", service.cluster, service.name)[0],
        desired=service.spec.desired_count,
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
    find=_find_service,
    set_desired=_set_desired_count,
    target_key=_target_of_service,
)
KINDS: dict[str, Kind] = {kind.namespace: kind for kind in (SERVICES,)}
"""Every kind of thing that is scaled, by namespace."""
