"""How the command line fails: a sentence on what happened, what to do next, and exit codes for scripts.

0 fine, 1 failed, 2 wrong usage, 3 waits or has not converged, 4 not reachable.
"""

from __future__ import annotations

FAILED = 1
USAGE = 2
NOT_CONVERGED = 3
NOT_REACHABLE = 4


class Failure(Exception):
    """Ends the command with a message for people and an exit code for programs."""

    def __init__(self, what: str, next_step: str = "", code: int = FAILED) -> None:
        super().__init__(what)
        self.what = what
        self.next_step = next_step
        self.code = code
