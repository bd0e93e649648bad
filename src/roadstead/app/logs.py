"""Where the processes' logs go."""

from __future__ import annotations

import logging
import logging.handlers
import pathlib

FILE_BYTES_MAX = 10 * 1024 * 1024
FILES_KEPT_MAX = 3
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def to_file(path: pathlib.Path, level: str) -> None:
    """Have everything from `level` on (`debug`, `info`, `warning`, `error`) written to a file, bounded and rotated."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _install(logging.handlers.RotatingFileHandler(path, maxBytes=FILE_BYTES_MAX, backupCount=FILES_KEPT_MAX), level)


def to_stderr(level: str) -> None:
    """Have everything from `level` on written to the standard error."""
    _install(logging.StreamHandler(), level)


def _install(handler: logging.Handler, level: str) -> None:
    handler.setFormatter(logging.Formatter(_FORMAT))
    root = logging.getLogger()
    for one in list(root.handlers):
        root.removeHandler(one)
    root.addHandler(handler)
    root.setLevel(level.upper())
