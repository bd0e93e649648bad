"""How soon a server answers after its start, and what it holds when it is idle; moto's beside it."""

from __future__ import annotations

import contextlib
import http.client
import pathlib
import subprocess
import time
from collections.abc import Callable

from bench import figures, servers

RUNS = 5
SETTLE_SECONDS = 2.0
POLL_SECONDS = 0.005
FIGURES = (
    figures.Figure("start", "start to first answer", "s", figures.most(0.5), peer_name="moto start"),
    figures.Figure("memory", "control plane, idle (PSS)", "MiB", figures.most(80), peer_name="moto memory"),
    figures.Figure("agent", "agent, idle (PSS)", "MiB", figures.most(50)),
)


def run(quick: bool) -> dict[str, float]:
    """Measure once. Needs root: the agent is one for real containers."""
    found: dict[str, float] = {}
    with servers.temporary() as directory:
        program = servers.moto_program()
        if program is not None:
            command = [str(program), "-H", servers.HOST, "-p"]
            found |= _measure("moto ", lambda port: [*command, str(port)], directory, "/moto-api/")
        data_dir = directory / "data"
        data_dir.mkdir()
        command = servers.command("server", data_dir)
        found |= _measure("", lambda port: [*command, "--port", str(port)], directory, "/_roadstead/health")
        found["agent"] = _agent(directory / "other")
    return found


def _measure(label: str, command: Callable[[int], list[str]], directory: pathlib.Path, path: str) -> dict[str, float]:
    port = servers.free_port()
    log = directory / "server.log"
    began = time.perf_counter()
    with servers.process(command(port), log) as child:
        while not _answers(port, path):
            if child.poll() is not None or time.perf_counter() - began > servers.START_SECONDS_MAX:
                raise RuntimeError(f"{command(port)} did not start: {log.read_text(errors='replace')[-1_000:]}")
            time.sleep(POLL_SECONDS)
        took = time.perf_counter() - began
        time.sleep(SETTLE_SECONDS)
        return {f"{label}start": took, f"{label}memory": servers.pss_kib(child.pid) / 1024}


def _answers(port: int, path: str) -> bool:
    """Whether it answers at all: that it wants a signature is an answer."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        asking = http.client.HTTPConnection(servers.HOST, port, timeout=5.0)
        asking.request("GET", path)
        return asking.getresponse().status < 500
    return False


def _agent(data_dir: pathlib.Path) -> float:
    """The memory of an agent that has registered and has nothing to do, in MiB."""
    from bench.parts import containers

    try:
        with servers.ours(data_dir, "up") as server:
            made = containers.Node(server)
            made.until(lambda: containers.is_connected(made), "the instance is connected", 0.05)
            time.sleep(SETTLE_SECONDS)
            return servers.pss_kib(made.agent_pid) / 1024
    finally:
        down = servers.command("down", data_dir, "--remove")
        subprocess.run(down, capture_output=True, env=servers.environment(), check=True)
