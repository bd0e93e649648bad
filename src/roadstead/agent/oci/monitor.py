"""conmon and the engine as processes: how they are called, and what they answer.

`conmon` (one a container) calls `crun create`, holds the container's output, and writes its exit code to a file; it
outlives the agent. Spawning is posix_spawn from the runtime's namespace thread: no fork of a big process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec

from roadstead.agent.oci import paths as oci_paths
from roadstead.agent.oci import processes
from roadstead.base import errors

LOG_BYTES_MAX = 16 * 1024 * 1024
"""A container's log; beyond it conmon begins a new file and the runtime keeps one older."""
CREATE_SECONDS_MAX = 60.0
ANSWER_BYTES_MAX = 64 * 1024
MESSAGE_CHARACTERS_MAX = 2000
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


class EngineFailed(Exception):
    """conmon or the engine refused; the text is theirs."""


class Programs(msgspec.Struct, frozen=True, kw_only=True):
    """What was found on this host."""

    engine: str
    """Path of crun or runc."""
    monitor: str

    @property
    def engine_name(self) -> str:
        return Path(self.engine).name


def find_programs(engine: str | None = None) -> Programs:
    """Find crun (or runc) and conmon. Raises HostProblem."""
    found = shutil.which(engine) if engine else shutil.which("crun") or shutil.which("runc")
    monitor = shutil.which("conmon")
    if found is None or monitor is None:
        missing = " and ".join(
            name for name, path in (((engine or "crun"), found), ("conmon", monitor)) if path is None
        )
        raise errors.HostProblem(
            "containers can't be started here", f"{missing} not found", "Install it: apt-get install crun conmon"
        )
    return Programs(engine=found, monitor=monitor)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What conmon writes once the container is created: its pid, or -1 and a message."""

    data: int
    message: str = ""


class Spawned(msgspec.Struct, frozen=True, kw_only=True):
    process: int
    """The monitor's first process, which ends at once; it must be reaped."""
    answer: int
    """File descriptor of the answer; it must be closed."""


def spawn_monitor(programs: Programs, paths: oci_paths.Paths, container_id: str, log: Path) -> Spawned:
    """Start conmon, which has the engine create the container. In the namespace thread."""
    bundle = paths.bundle(container_id)
    log.parent.mkdir(mode=0o700, exist_ok=True)
    reader, writer = os.pipe()
    arguments = [
        *("conmon", "--api-version", "1", "--cid", container_id, "--cuuid", container_id, "--name", container_id),
        *("--runtime", programs.engine, "--runtime-arg", "--root", "--runtime-arg", str(paths.engine)),
        *("--bundle", str(bundle), "--persist-dir", str(bundle), "--exit-dir", str(paths.exits)),
        *("--container-pidfile", str(bundle / "pid"), "--conmon-pidfile", str(bundle / "monitor.pid")),
        *("--log-path", f"k8s-file:{log}", "--log-size-max", str(LOG_BYTES_MAX), "--log-level", "error"),
        *("--full-attach", "--no-sync-log"),
    ]
    try:
        os.set_inheritable(writer, True)
        process = os.posix_spawn(
            programs.monitor,
            arguments,
            {**ENVIRONMENT, "_OCI_SYNCPIPE": str(writer)},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, str(paths.monitor_log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            ],
            setsigmask=[],
        )
    except OSError:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    return Spawned(process=process, answer=reader)


async def read_answer(spawned: Spawned) -> int:
    """The container's pid. Raises EngineFailed."""
    try:
        async with asyncio.timeout(CREATE_SECONDS_MAX):
            data = await _read_line(spawned.answer)
    except TimeoutError:
        raise EngineFailed(f"the container was not created within {CREATE_SECONDS_MAX:.0f} s") from None
    finally:
        os.close(spawned.answer)
        await reap(spawned.process)
    if not data:
        raise EngineFailed("the monitor ended before the container was created")
    answer = msgspec.json.decode(data, type=Answer)
    if answer.data <= 0:
        raise EngineFailed(tidy(answer.message))
    return answer.data


async def _read_line(descriptor: int) -> bytes:
    loop = asyncio.get_running_loop()
    collected = b""
    while b"\n" not in collected and len(collected) < ANSWER_BYTES_MAX:
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(descriptor, _wake, ready)
        try:
            await ready
        finally:
            loop.remove_reader(descriptor)
        piece = os.read(descriptor, ANSWER_BYTES_MAX)
        if not piece:
            break
        collected += piece
    return collected


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def reap(process: int) -> int:
    """Wait for a child of ours without a thread; returns its exit code."""
    code = _collect(process, os.WNOHANG)
    if code is not None:
        return code
    loop = asyncio.get_running_loop()
    watch = os.pidfd_open(process)
    try:
        ended: asyncio.Future[None] = loop.create_future()
        loop.add_reader(watch, _wake, ended)
        try:
            await ended
        finally:
            loop.remove_reader(watch)
    finally:
        os.close(watch)
    return _collect(process, 0) or 0


async def until_gone(pid: int, born: int, seconds_max: float) -> bool:
    """Wait until a process that is no child of ours has ended; False where it hasn't within the time."""
    watch = processes.open_process(pid, born)
    if watch is None:
        return True
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    loop.add_reader(watch, _wake, ended)
    try:
        async with asyncio.timeout(seconds_max):
            await ended
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(watch)
        os.close(watch)
    return True


def _collect(process: int, options: int) -> int | None:
    """Exit code of a child; None while it runs. Zero where somebody else's handler collected it."""
    try:
        done, status = os.waitpid(process, options)
    except ChildProcessError:
        return 0
    return os.waitstatus_to_exitcode(status) if done else None


def release(programs: Programs, paths: oci_paths.Paths, container_id: str) -> bool:
    """Let a created container run, as `crun start` does: a byte into the fifo on which its first process waits.

    Saves a process, a fifth of a start's time. False where it can't be done so: then `spawn_start` does it.
    """
    if programs.engine_name != "crun":
        return False
    fifo = paths.engine / container_id / "exec.fifo"
    try:
        descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.unlink(fifo)  # crun and we take its absence as "started", so it goes first
        os.write(descriptor, b"\0")
    finally:
        os.close(descriptor)
    return True


def spawn_start(programs: Programs, paths: oci_paths.Paths, container_id: str) -> int:
    """Run the engine's `start`; in the namespace thread. Returns a process to be reaped."""
    arguments = [programs.engine_name, "--root", str(paths.engine), "start", container_id]
    return os.posix_spawn(
        programs.engine,
        arguments,
        ENVIRONMENT,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, _start_log(paths, container_id), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        ],
        setsigmask=[],
    )


def _start_log(paths: oci_paths.Paths, container_id: str) -> str:
    return str(paths.bundle(container_id) / "start.log")


def start_message(paths: oci_paths.Paths, container_id: str) -> str:
    """What the engine said when `start` failed."""
    try:
        return tidy(Path(_start_log(paths, container_id)).read_text(errors="replace"))
    except OSError:
        return "no message"


def tidy(message: str) -> str:
    """The engine's last line, without its own name and log decoration."""
    lines = [line.strip() for line in message.replace("\r", "\n").splitlines() if line.strip()] or ["no message"]
    text = lines[-1]
    with contextlib.suppress(msgspec.DecodeError):
        decoded: Any = msgspec.json.decode(text)
        if isinstance(decoded, dict) and "msg" in decoded:
            text = str(decoded["msg"])
    return text.removeprefix("error executing hook").strip()[:MESSAGE_CHARACTERS_MAX]
