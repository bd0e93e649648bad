"""What is wrong with what a user gave the lab: which file, which line, which field, and what would be right."""

from __future__ import annotations

from roadstead.base import errors


class Invalid(errors.RoadsteadError):
    """A scenario, trace or policy that can't be run. `str` is the whole message, for people."""

    def __init__(self, what: str, *, file: str = "", line: int | None = None, field: str = "") -> None:
        self.what = what
        self.file = file
        self.line = line
        self.field = field
        place = f"{file}:{line}" if file and line is not None else file
        super().__init__(": ".join(part for part in (place, field, what) if part))
