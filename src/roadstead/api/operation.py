"""The shape of an operation, and the table that a service's module offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from roadstead.state import plan, view


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed, verified, accepted request.

    `params` has the members of the operation's input shape as attributes, under their wire names; absent ones are None
    (see `wire.requests`). No member outside the operation's `accepts` is set: those were refused before.
    """

    params: Any
    now: float
    request_id: str
    access_key_id: str = ""
    endpoint: str = "http://127.0.0.1:4566"
    """Under which address the caller reached us; for answers that carry our address."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What to write, and what to answer. `output` has wire names, moments as epoch seconds; None members stay out."""

    output: dict[str, Any] = {}
    plan: plan.Plan = plan.NOTHING


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation that is served.

    `accepts` are the input members it honours, as dotted paths (a path takes its whole subtree; lists and maps add no
    part): everything else that a caller sets is refused by name, never ignored. `docs/operations.md` is made from it.
    """

    service: str
    """botocore's name: `ecs`, `application-autoscaling`, `cloudwatch`, `sts`."""
    name: str
    decide: Callable[[Call, view.View], Reply]
    accepts: frozenset[str]
    body_bytes_max: int | None = None
    """The longest body, where AWS has a limit of its own for the operation."""
    body_counts_inflated: bool = False
    """Whether that is with gzip undone; otherwise it is the body as it is sent."""
    note: str = ""
    """For docs/operations.md: how it differs from AWS, where it does."""
