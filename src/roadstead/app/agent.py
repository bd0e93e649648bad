"""The container agent as a process of its own: `python -m roadstead.app.agent`, with its settings in the environment.

Keys don't belong on a command line that everybody can read. An agent that the server started ends with it, also when
the server is killed; its containers stay, and the next agent adopts them. One directory has one agent: a new one waits
for the last to end.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import pathlib
import signal
import sys
import time
from collections.abc import Mapping

import msgspec
import uvloop

from roadstead.agent import main as agent_main
from roadstead.agent import settings as agent_settings
from roadstead.app import logs
from roadstead.base import errors
from roadstead.journals import lock

ENVIRONMENT_NAME = "ROADSTEAD_AGENT"
"""The variable that has a Launch as JSON."""
PREDECESSOR_SECONDS_MAX = 15.0
"""How long a new agent waits for the last one of its directory to end."""
HOST_PROBLEM_STATUS = 78
"""Exit status where this machine can't run an agent: starting it again would not help (sysexits' EX_CONFIG)."""
_PR_SET_PDEATHSIG = 1


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """How an agent's process is to run. `parent_pid`: end with that process; `log_path` None logs to stderr."""

    settings: agent_settings.Settings
    log_path: pathlib.Path | None = None
    log_level: str = "info"
    parent_pid: int | None = None


def command(launch: Launch) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment of a process that runs this agent."""
    environment = {**os.environ, ENVIRONMENT_NAME: msgspec.json.encode(launch, enc_hook=str).decode()}
    return [sys.executable, "-m", "roadstead.app.agent"], environment


async def run(chosen: agent_settings.Settings) -> None:
    """Run an agent in this process until SIGTERM or SIGINT; containers go on running. Raises errors.HostProblem."""
    held = await asyncio.to_thread(_lock, chosen.data_dir)
    try:
        await agent_main.serve(chosen)
    finally:
        held.release()


def _lock(data_dir: pathlib.Path) -> lock.DirectoryLock:
    ends_at = time.monotonic() + PREDECESSOR_SECONDS_MAX
    while True:
        try:
            return lock.DirectoryLock(data_dir / "agent.lock", what="agent")
        except errors.HostProblem:
            if time.monotonic() >= ends_at:
                raise
        time.sleep(0.05)


def _end_with(parent_pid: int) -> None:
    """Have the kernel end this process when its parent ends, however that ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent_pid:  # it ended before the kernel was asked
        sys.exit(0)


def _keep_descriptors_here() -> None:
    """Give no child what this process was given besides stdin, stdout and stderr: a container's monitor outlives it,
    and would hold the pipes of whoever started it open for as long as the container runs.
    """
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            with contextlib.suppress(OSError):  # the one that listed the directory
                os.set_inheritable(int(name), False)


def _path(kind: type[object], text: object) -> object:
    """msgspec's hook for what JSON has no word for: paths, here."""
    if kind is not pathlib.Path or not isinstance(text, str):
        raise NotImplementedError(f"{kind} from {text!r}")
    return pathlib.Path(text)


def main(environment: Mapping[str, str]) -> int:
    """The process. Returns its exit status."""
    _keep_descriptors_here()
    launch = msgspec.json.decode(environment[ENVIRONMENT_NAME], type=Launch, dec_hook=_path)
    if launch.parent_pid is not None:
        _end_with(launch.parent_pid)
    if launch.log_path is not None:
        logs.to_file(launch.log_path, launch.log_level)
    else:
        logs.to_stderr(launch.log_level)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(launch.settings))
    except errors.HostProblem as problem:
        print(problem, file=sys.stderr, flush=True)
        return HOST_PROBLEM_STATUS
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
