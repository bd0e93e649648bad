"""One runtime at a time for a data directory."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from roadstead.base import errors

SECONDS_MAX = 1.0
"""A killed agent's lock may be held a moment longer, by a child that it was just starting."""
STEP_SECONDS = 0.02


def acquire(path: Path) -> int:
    """Take the lock; returns a descriptor that holds it until closed. Raises HostProblem. Blocks up to SECONDS_MAX."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(STEP_SECONDS)
                continue
            os.close(descriptor)
            raise errors.HostProblem(
                f"the data directory {path.parent.parent} is in use",
                "another agent runs on it",
                "Stop that agent first, or use another data directory (--data-dir).",
            ) from None
        return descriptor
