"""Servers under measurement: ours and moto's, each a child process in a temporary directory, gone at the end."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import botocore.session
import msgspec

from roadstead.wire import requests as wire_requests
from roadstead.wire import sigv4

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 30.0
HOST = "127.0.0.1"
REGION = "us-east-1"
WITHOUT_PEERS = "BENCH_WITHOUT_PEERS"
"""Environment variable: set, no peer is installed and measured."""
MOTO = pathlib.Path(__file__).with_name(".venv-moto")
SIGNING_NAMES = {"ecs": "ecs", "cloudwatch": "monitoring", "application-autoscaling": "application-autoscaling"}


class Server(msgspec.Struct, frozen=True):
    """A running server, and the keys it takes."""

    port: int
    pid: int
    access_key_id: str
    secret: str
    data_dir: pathlib.Path

    @property
    def address(self) -> tuple[str, int]:
        return HOST, self.port

    def request(self, service: str, operation: str, **params: Any) -> bytes:
        """A whole HTTP request, as boto3 would send it (its own serializer, signed)."""
        method, path, headers, body = serialized(service, operation, params)
        headers = {"host": f"{HOST}:{self.port}", **headers}
        bare = wire_requests.Request(method=method, path=path, headers=headers, body=body)
        signed = sigv4.sign(
            bare,
            access_key_id=self.access_key_id,
            secret=self.secret,
            region=REGION,
            service=SIGNING_NAMES[service],
            now=time.time(),
        )
        lines = [f"{name}: {value}" for name, value in {**headers, **signed, "content-length": len(body)}.items()]
        head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines])
        return f"{head}\r\n\r\n".encode() + body

    def client(self, service: str) -> Any:
        """A botocore client."""
        return _session().create_client(
            service,
            region_name=REGION,
            endpoint_url=f"http://{HOST}:{self.port}",
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret,
        )


_SESSIONS: list[Any] = []
_CLIENTS: dict[str, Any] = {}


def _session() -> Any:
    if not _SESSIONS:
        _SESSIONS.append(botocore.session.Session())
    return _SESSIONS[0]


def serialized(service: str, operation: str, params: dict[str, Any]) -> tuple[str, str, dict[str, str], bytes]:
    """(method, path, headers, body) of a call in the protocol that botocore chooses for the service."""
    client = _CLIENTS.get(service)
    if client is None:
        made = _session().create_client(service, region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x")
        client = _CLIENTS[service] = made
    raw = client._serializer.serialize_to_request(params, client.meta.service_model.operation_model(operation))
    body = raw["body"]
    if isinstance(body, dict):
        raise TypeError(f"{service} is spoken in Query, which needs no bench")
    if isinstance(body, str):
        body = body.encode()
    headers = {name.lower(): str(value) for name, value in raw["headers"].items()}
    return raw["method"], raw["url_path"], headers, bytes(body)


def environment() -> dict[str, str]:
    """The children's: ours, without anything that points AWS clients elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ROADSTEAD_"))}


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        port: int = found.getsockname()[1]
        return port


@contextlib.contextmanager
def temporary() -> Iterator[pathlib.Path]:
    """A directory that is removed at the end."""
    made = pathlib.Path(tempfile.mkdtemp(prefix="roadstead-bench-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def command(verb: str, data_dir: pathlib.Path, *more: str) -> list[str]:
    """A command line of ours."""
    return [sys.executable, "-m", "roadstead", verb, "--data-dir", str(data_dir), *more]


@contextlib.contextmanager
def process(arguments: list[str], log: pathlib.Path) -> Iterator[subprocess.Popen[bytes]]:
    """A child that is ended by SIGTERM at the end, and killed where that is not enough."""
    with log.open("ab") as file:
        child = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment(), start_new_session=True
        )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def wait_until(is_so: Callable[[], bool], child: subprocess.Popen[bytes], log: pathlib.Path) -> None:
    """Until it is so. Raises RuntimeError with the child's words where that ends instead."""
    ends_at = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < ends_at and child.poll() is None:
        if is_so():
            return
        time.sleep(0.002)
    raise RuntimeError(f"{child.args} did not start: {log.read_text(errors='replace')[-1_500:]}")


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1.0):
        return True
    return False


@contextlib.contextmanager
def ours(data_dir: pathlib.Path, verb: str = "server", *more: str) -> Iterator[Server]:
    """A control plane of ours (`verb` up: and its agent) on a data directory: signatures verified, writes durable."""
    port = free_port()
    log = data_dir.with_name(f"{data_dir.name}.log")
    data_dir.mkdir(parents=True, exist_ok=True)
    with process(command(verb, data_dir, "--port", str(port), *more), log) as child:
        try:
            wait_until((data_dir / "server.json").exists, child, log)
            keys = json.loads((data_dir / "credentials.json").read_text())
            yield Server(port, child.pid, keys["access_key_id"], keys["secret_access_key"], data_dir)
        finally:
            log.unlink(missing_ok=True)


@contextlib.contextmanager
def moto() -> Iterator[Server | None]:
    """moto's server; None where it can't be installed."""
    program = moto_program()
    if program is None:
        yield None
        return
    port = free_port()
    with temporary() as directory:
        log = directory / "moto.log"
        with process([str(program), "-H", HOST, "-p", str(port)], log) as child:
            wait_until(lambda: listens(port), child, log)
            yield Server(port, child.pid, "AKIABENCH00000000000", "secret", directory)


def moto_program() -> pathlib.Path | None:
    """moto's server in a virtual environment of the bench's own, made when it is missing; None where that fails, or
    where the environment asks for no peers.
    """
    if os.environ.get(WITHOUT_PEERS):
        return None
    program = MOTO / "bin" / "moto_server"
    if program.exists():
        return program
    print("installing moto into bench/.venv-moto, to measure beside it …", file=sys.stderr)
    steps = (
        [sys.executable, "-m", "venv", str(MOTO)],
        [str(MOTO / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", "moto[server]"],
    )
    for step in steps:
        if subprocess.run(step, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode != 0:
            return None
    return program if program.exists() else None


def pss_kib(pid: int) -> int:
    """A process's share of memory: pages that several processes have in common are divided among them."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise RuntimeError(f"/proc/{pid}/smaps_rollup has no Pss")


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process has used, all its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
