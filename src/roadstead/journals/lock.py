"""One process, one data directory: a lock that the kernel drops when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import pathlib

from roadstead.base import errors


class DirectoryLock:
    """Held from construction to `release`. `what` says whose directory it is: `server`, `agent`.

    Raises errors.HostProblem where another process holds it, or the directory can't be used.
    """

    def __init__(self, path: pathlib.Path, what: str = "server") -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise errors.HostProblem(
                f"The data directory {path.parent} can't be used",
                str(error.strerror),
                "Choose another with --data-dir, or run as a user who may write there.",
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._file, 20, 0).decode(errors="replace").strip()
            os.close(self._file)
            raise errors.HostProblem(
                f"The data directory {path.parent} is in use",
                f"another Roadstead {what} (process {holder}) has it open" if holder else f"another {what} has it open",
                "Stop that one with `roadstead down`, or choose another directory with --data-dir.",
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next one in. The file stays: removing it would let two in at once."""
        os.close(self._file)
