"""What can go wrong, by whose fault it is.

    RoadsteadError
    ├── Refusal        the caller's fault (or a limit): an AWS error code, a text, an HTTP status
    ├── Conflict       a write was based on an old revision: run the decision again on a fresh view
    └── HostProblem    this machine can't do it: what happened, why, what to do next

Assertions are for our own bugs, these are for the world's.
"""

from __future__ import annotations


class RoadsteadError(Exception):
    """The root of all errors that Roadstead raises on purpose."""


class Refusal(RoadsteadError):
    """A request is refused, in AWS's terms.

    `code` is AWS's error code (`ClusterNotFoundException`), `message` AWS's text or a clear sentence,
    `status` the HTTP status (400 where the caller is at fault), `members` further members of the error's shape.
    """

    def __init__(self, code: str, message: str, *, status: int = 400, members: dict[str, object] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.members = members or {}


class Conflict(RoadsteadError):
    """A write was based on a revision that is no longer the newest; nothing of its plan was applied."""

    def __init__(self, table: str, key: str, expected: int, found: int) -> None:
        super().__init__(f"{table} {key}: based on revision {expected}, but it is at {found}")
        self.table = table
        self.key = key


class HostProblem(RoadsteadError):
    """This machine can't do what was asked. `what` happened, `why`, and what to do `next_step`."""

    def __init__(self, what: str, why: str, next_step: str) -> None:
        super().__init__(f"{what}: {why}. {next_step}")
        self.what = what
        self.why = why
        self.next_step = next_step
