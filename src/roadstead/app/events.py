"""What a starting, running and stopping server tells the one who started it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

Kind = Literal[
    "serving",  # the endpoint answers
    "agent starting",
    "agent connected",
    "agent disconnected",
    "agent ended",  # its process; it is started again
    "problem",  # something that needs the user
    "stopping",
    "stopped",
]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, in one line of text; `facts` has its parts."""

    kind: Kind
    text: str
    facts: dict[str, str] = {}


Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """A listener that doesn't care."""
