"""Custom resources: what to ask a user's endpoint, and what its answer makes of the record (decision 0022).

In: a `CustomResource`, and what a request to its endpoint came to. Out: the next `Exchange`, how long to wait for it,
and a plan with the new observation. The endpoint speaks AWS's custom-resource API: GET tells a capacity, PATCH with
`{"desiredCapacity": n}` sets one. Asking is for a shell (`app.custom_resources`, `sim.custom_endpoints`); which
endpoint is asked when, for `control.custom_resource_polling`.
"""

from __future__ import annotations

import msgspec

from roadstead.model import custom_resources
from roadstead.state import plan
from roadstead.state import view as views

POLL_SECONDS = 15.0
"""How often an endpoint at rest is asked."""
MOVING_POLL_SECONDS = 5.0
"""How often one is asked whose capacity is on its way."""
BACKOFF_SECONDS = 1.0
"""The wait after one failure; it doubles with each further one."""
BACKOFF_SECONDS_MAX = 60.0
FAILURES_TOLERATED_MAX = 2
"""After more failures in a row than these nothing is decided from what the endpoint once said."""
CAPACITY_MAX = 2**31 - 1
REASON_CHARACTERS_MAX = 300
"""Of what an endpoint says about a failure, so much is kept."""
REFUSED_STATUS = 400
"""With this the endpoint refuses a capacity for good. 403, 404, 429 and 5xx may pass: they are tried again."""


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One request: a PATCH of `wanted`, or a GET where that is None."""

    url: str
    wanted: custom_resources.WantedCapacity | None = None

    @property
    def body(self) -> bytes:
        """A PATCH's."""
        assert self.wanted is not None, "a GET has no body"
        return msgspec.json.encode({"desiredCapacity": float(self.wanted.capacity)})


class Answered(msgspec.Struct, frozen=True):
    """The endpoint answered."""

    status: int
    body: bytes


class Unanswered(msgspec.Struct, frozen=True):
    """No answer was had: no connection, it broke, it took too long."""

    why: str


Outcome = Answered | Unanswered


class _Dimension(msgspec.Struct, rename="camel"):
    """AWS's ScalableTargetDimension, as far as it is used."""

    actual_capacity: float
    desired_capacity: float
    scaling_status: custom_resources.ScalingStatus
    version: str | None = None
    resource_name: str | None = None
    dimension_name: str | None = None
    failure_reason: str | None = None


class _Error(msgspec.Struct):
    """AWS's Error."""

    message: str


_DIMENSION = msgspec.json.Decoder(_Dimension)
_ERROR = msgspec.json.Decoder(_Error)


class _Unusable(Exception):
    """An answer that says nothing; the text says why."""


def exchange_for(resource: custom_resources.CustomResource) -> Exchange:
    """What to ask next: the wanted capacity is told until the endpoint has settled it, else its state is read."""
    return Exchange(url=resource.url, wanted=resource.wanted if resource.is_pending else None)


def pause_seconds(resource: custom_resources.CustomResource) -> float:
    """How long after the last request the next one is due."""
    seen = resource.observed
    if seen.failures:
        return min(BACKOFF_SECONDS * 2.0 ** min(seen.failures - 1, 10), BACKOFF_SECONDS_MAX)
    if resource.is_pending:
        return 0.0
    return MOVING_POLL_SECONDS if is_moving(seen) else POLL_SECONDS


def is_moving(seen: custom_resources.CustomResourceObserved) -> bool:
    """Whether the endpoint says that its capacity is on its way."""
    return seen.scaling_status in ("Pending", "InProgress")


def trouble(resource: custom_resources.CustomResource) -> str | None:
    """Why nothing can be decided of the resource now, as a sentence; None where it can."""
    seen = resource.observed
    if seen.failures > FAILURES_TOLERATED_MAX or (seen.failures and seen.actual_capacity is None):
        return f"The endpoint did not answer {seen.failures} times in a row: {seen.problem}."
    if seen.actual_capacity is None:
        return "The endpoint has not answered yet."
    return None


def note(view: views.View, exchange: Exchange, outcome: Outcome, now: float) -> plan.Plan:
    """Write what a request came to; nothing where that is no news, or the resource is gone."""
    resource = view.get(custom_resources.CustomResource, exchange.url)
    if resource is None:
        return plan.NOTHING
    seen = resource.observed
    if exchange.wanted is not None and isinstance(outcome, Answered) and outcome.status == REFUSED_STATUS:
        after = _recovered(seen, settled=exchange.wanted, refusal=_said(outcome.body) or "HTTP status 400")
    else:
        try:
            told = _parse(outcome)
        except _Unusable as problem:
            after = _failed(seen, str(problem), now)
        else:
            after = _told(seen, told, exchange.wanted)
    draft = plan.Draft(view)
    draft.put(msgspec.structs.replace(resource, observed=after))
    return draft.plan()


def _parse(outcome: Outcome) -> _Dimension:
    """Raises _Unusable."""
    if isinstance(outcome, Unanswered):
        raise _Unusable(outcome.why)
    if not 200 <= outcome.status < 300:
        said = _said(outcome.body)
        raise _Unusable(f"HTTP status {outcome.status}" + (f": {said}" if said else ""))
    try:
        told = _DIMENSION.decode(outcome.body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise _Unusable(_cut(f"the answer is no ScalableTargetDimension: {problem}")) from None
    for name, capacity in (("actualCapacity", told.actual_capacity), ("desiredCapacity", told.desired_capacity)):
        if not capacity.is_integer() or not 0 <= capacity <= CAPACITY_MAX:
            raise _Unusable(f"{name} {capacity:g} is no whole number from 0 to {CAPACITY_MAX}")
    return told


def _said(body: bytes) -> str | None:
    """The message of an Error; None where the body is none."""
    try:
        return _cut(_ERROR.decode(body).message)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _cut(text: str) -> str:
    return text if len(text) <= REASON_CHARACTERS_MAX else text[: REASON_CHARACTERS_MAX - 1] + "…"


def _told(
    seen: custom_resources.CustomResourceObserved, told: _Dimension, wanted: custom_resources.WantedCapacity | None
) -> custom_resources.CustomResourceObserved:
    failure = told.failure_reason if told.scaling_status == "Failed" else None
    return _recovered(
        seen,
        actual_capacity=int(told.actual_capacity),
        desired_capacity=int(told.desired_capacity),
        scaling_status=told.scaling_status,
        failure_reason=_cut(failure) if failure else None,
        version=_cut(told.version) if told.version else None,
        resource_name=_cut(told.resource_name) if told.resource_name else None,
        dimension_name=_cut(told.dimension_name) if told.dimension_name else None,
        **({} if wanted is None else {"settled": wanted, "refusal": None}),
    )


def _recovered(
    seen: custom_resources.CustomResourceObserved, **news: object
) -> custom_resources.CustomResourceObserved:
    """After a usable answer."""
    return msgspec.structs.replace(seen, failures=0, failing_since=None, failed_at=None, problem=None, **news)


def _failed(
    seen: custom_resources.CustomResourceObserved, problem: str, now: float
) -> custom_resources.CustomResourceObserved:
    since = now if seen.failing_since is None else seen.failing_since
    return msgspec.structs.replace(
        seen, failures=seen.failures + 1, failing_since=since, failed_at=now, problem=_cut(problem)
    )
