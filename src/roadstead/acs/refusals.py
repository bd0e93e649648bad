"""How the control plane refuses a websocket before the upgrade: an HTTP status with a small JSON body."""

from __future__ import annotations

import msgspec

INACTIVE_INSTANCE = "InactiveInstanceException"
"""The instance is deregistered: an agent asks again after an hour (`timers.INACTIVE_INSTANCE_RETRY_SECONDS`)."""
ACCESS_DENIED = "AccessDeniedException"
INVALID_CLUSTER = "InvalidClusterException"
INVALID_INSTANCE = "InvalidInstanceException"
BAD_REQUEST = "BadRequestException"
SERVER = "ServerException"

UNRETRIABLE = frozenset({ACCESS_DENIED, INVALID_CLUSTER, INVALID_INSTANCE})
"""Kinds that won't change by asking again soon; agents take the longest pause."""

HTTP_STATUS = {SERVER: 500, ACCESS_DENIED: 403}
"""By name; 400 for all others."""


class Refusal(msgspec.Struct, frozen=True):
    """`name` is one of the names above (or another), `message` a text for people."""

    name: str
    message: str


def serialize(refusal: Refusal) -> bytes:
    """The body of the HTTP answer; its content type is application/json."""
    return msgspec.json.encode({"type": refusal.name, "message": {"message": refusal.message}})


def status_of(refusal: Refusal) -> int:
    """The HTTP status that goes with the refusal."""
    return HTTP_STATUS.get(refusal.name, 400)


def parse(body: bytes) -> Refusal | None:
    """The refusal in an HTTP answer, in either of its forms; None where the body is no refusal."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError):
        return None
    if not isinstance(value, dict):
        return None
    name, message = value.get("type"), value.get("message")
    if name is None and len(value) == 1:
        name, message = next(iter(value.items()))
    if not isinstance(name, str):
        return None
    if isinstance(message, dict):
        message = message.get("message")
    return Refusal(name, message if isinstance(message, str) else "")
