"""Run a command inside a running container, for health checks: the engine's `exec`, with a time limit.

In: the container's own config.json, whose process the command takes its user, environment and rights from. Out: the
command's exit code; 127 and 126 where it isn't there or can't be run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from roadstead.agent.oci import monitor, mountns
from roadstead.agent.oci import paths as oci_paths

NOT_FOUND, NOT_RUNNABLE = 127, 126
_MISSING = ("not found", "no such file or directory")


async def run(
    mounts: mountns.MountNamespace,
    programs: monitor.Programs,
    paths: oci_paths.Paths,
    container_id: str,
    command: Sequence[str],
    timeout_seconds: float,
) -> int:
    """Exit code of the command. Raises TimeoutError, after killing it, when the time is up."""
    folder = paths.bundle(container_id) / f"exec-{os.urandom(6).hex()}"
    engine = await mounts.run(lambda: _spawn(programs, paths, container_id, folder, command))
    try:
        try:
            async with asyncio.timeout(timeout_seconds):
                code = await monitor.reap(engine)
        except TimeoutError:
            _kill(folder, engine)
            await monitor.reap(engine)
            raise
        except asyncio.CancelledError:
            _kill(folder, engine)
            raise
        return await asyncio.to_thread(_judge, folder, code)
    finally:
        await asyncio.to_thread(_clean, folder)


def _spawn(
    programs: monitor.Programs, paths: oci_paths.Paths, container_id: str, folder: Path, command: Sequence[str]
) -> int:
    config: dict[str, Any] = json.loads((paths.bundle(container_id) / "config.json").read_bytes())
    process = {**config["process"], "args": list(command), "terminal": False}
    process.pop("oomScoreAdj", None)
    folder.mkdir()
    (folder / "process.json").write_text(json.dumps(process))
    arguments = [
        *(programs.engine_name, "--root", str(paths.engine), "--log", str(folder / "log"), "exec"),
        *("--process", str(folder / "process.json"), "--pid-file", str(folder / "pid"), container_id),
    ]
    return os.posix_spawn(
        programs.engine,
        arguments,
        monitor.ENVIRONMENT,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ],
        setsigmask=[],
    )


def _kill(folder: Path, engine: int) -> None:
    """The command first: the engine's end would not end it."""
    with contextlib.suppress(OSError, ValueError):
        os.kill(int((folder / "pid").read_text()), signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(engine, signal.SIGKILL)


def _judge(folder: Path, code: int) -> int:
    """The engine writes its own failures to its log, so the command's code is never mistaken for one."""
    try:
        said = (folder / "log").read_text(errors="replace").lower()
    except FileNotFoundError:
        said = ""
    if code == 0 or not said.strip():
        return code if code >= 0 else 128 - code
    return NOT_FOUND if any(words in said for words in _MISSING) else NOT_RUNNABLE


def _clean(folder: Path) -> None:
    for name in ("process.json", "pid", "log"):
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
