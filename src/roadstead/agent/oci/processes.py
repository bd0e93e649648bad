"""Processes told apart for sure: a number together with its birth. Signals go through pidfds, never to a stranger."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def birth(pid: int) -> int | None:
    """Start time in clock ticks since boot; None where there is no such process, or it has ended (a zombie)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def open_process(pid: int, born: int) -> int | None:
    """A pidfd of exactly this process; None where it has ended."""
    if pid <= 0:
        return None
    try:
        descriptor = os.pidfd_open(pid)
    except (ProcessLookupError, OSError):
        return None
    if birth(pid) != born:
        os.close(descriptor)
        return None
    return descriptor


def send(pid: int, born: int, number: int) -> bool:
    """Signal exactly this process; False where it has ended."""
    descriptor = open_process(pid, born)
    if descriptor is None:
        return False
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def kill_all(pids: set[int]) -> None:
    """SIGKILL for processes just found in one of our cgroups."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
