"""Why has what a scalable target scales the capacity it has, and why did it, or did it not, scale?"""

from __future__ import annotations

from collections.abc import Iterator

from roadstead.api.explain import reasons
from roadstead.api.explain import service as service_reasons
from roadstead.control import scaled_resources
from roadstead.model import custom_resources, scaling
from roadstead.state import view as views


def explain(view: views.View, target: scaling.ScalableTarget, now: float, since_seconds: float) -> reasons.Answer:
    """The counts of what it scales, how its endpoint answers, its policies, and its decisions of the last
    `since_seconds`.
    """
    found = scaled_resources.look(view, target)
    if isinstance(found, scaled_resources.Unscalable):
        state, headline = "UNSCALABLE", f"can't be scaled: {found.reason}"
    elif found.running == found.desired:
        state, headline = "STEADY", f"is steady at {found.running}"
    else:
        state, headline = "SCALING", f"has {found.running} of {found.desired}"
    resource = view.get(custom_resources.CustomResource, target.resource_id)
    told = _endpoint(resource, now) if resource is not None else ()
    return reasons.Answer(
        kind="target",
        id=target.resource_id,
        cluster="",
        state=state,
        headline=headline,
        reasons=(*told, *service_reasons.scaling_of(view, target, now, since_seconds)),
    )


def _endpoint(resource: custom_resources.CustomResource, now: float) -> Iterator[reasons.Reason]:
    """What a custom resource's endpoint said last, and what it shall be told."""
    seen = resource.observed
    if seen.actual_capacity is not None and seen.desired_capacity is not None:
        name = f" ({seen.resource_name})" if seen.resource_name else ""
        yield reasons.Reason(
            code="COUNTS",
            text=f"the endpoint{name} says desired {seen.desired_capacity}, actual {seen.actual_capacity}, "
            f"{seen.scaling_status}" + (f": {seen.failure_reason}" if seen.failure_reason else ""),
            counts={"desired": seen.desired_capacity, "actual": seen.actual_capacity},
        )
    if resource.wanted is not None and resource.is_pending:
        yield reasons.Reason(
            code="PENDING",
            text=f"it is to be told {resource.wanted.capacity}, for {reasons.age(now - resource.wanted.at)}",
            counts={"wanted": resource.wanted.capacity},
        )
    if resource.wanted is not None and not resource.is_pending and seen.refusal is not None:
        yield reasons.Reason(
            code="REFUSED",
            text=f"it refused {resource.wanted.capacity}: {seen.refusal}",
            counts={"wanted": resource.wanted.capacity},
        )
    if seen.failures and seen.failing_since is not None:
        yield reasons.Reason(
            code="FAILING",
            text=f"{reasons.plural(seen.failures, 'request')} failed in a row, for "
            f"{reasons.age(now - seen.failing_since)}: {seen.problem}",
            counts={"failures": seen.failures},
        )
