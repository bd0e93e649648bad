"""A whole Roadstead as a user has it: `roadstead up` as a process of its own on a data directory of its own.

What it leaves on the host is named after the data directory, so `traces` finds it whoever forgot it.
"""

from __future__ import annotations

import json
import os
import pathlib
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import boto3
import botocore.config

from roadstead.agent.oci import cgroups, processes, records
from roadstead.agent.oci import paths as oci_paths

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = pathlib.Path(sys.executable).parent
ROADSTEAD = str(PROGRAMS / "roadstead")
START_SECONDS_MAX = 40.0
STOP_SECONDS_MAX = 30.0
COMMAND_SECONDS_MAX = 60.0
POLL_SECONDS = 0.05
NOBODY = 65534
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    # Only to read the program, where it lies in root's home.
    *("--inh-caps=-all,+dac_read_search", "--ambient-caps=+dac_read_search"),
)


class Started:
    """A running `roadstead up --json`, and what it has told so far."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            arguments,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.told: list[dict[str, str]] = []
        self.said = ""
        self._lines: queue.Queue[dict[str, str] | None] = queue.Queue()
        self._readers = [threading.Thread(target=one, daemon=True) for one in (self._read_out, self._read_err)]
        for reader in self._readers:
            reader.start()

    def _read_out(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)

    def _read_err(self) -> None:
        assert self.process.stderr is not None
        self.said = self.process.stderr.read()

    def wait_for(self, kind: str, seconds_max: float = START_SECONDS_MAX) -> dict[str, str]:
        """The next event of this kind that it tells."""
        ends_at = time.monotonic() + seconds_max
        while True:
            event = self._lines.get(timeout=max(0.01, ends_at - time.monotonic()))
            if event is None:
                raise AssertionError(f"it ended with {self.process.wait()}: {self.told} {self.said}")
            self.told.append(event)
            if event["kind"] == kind:
                return event

    def end(self, number: int) -> int:
        """Send a signal and wait for the end: the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(STOP_SECONDS_MAX)
        for reader in self._readers:
            reader.join(STOP_SECONDS_MAX)
        return status


class Installation:
    """A data directory, and the server that runs on it at the moment."""

    def __init__(self, *options: str, runtime: str = "oci", as_nobody: bool = False) -> None:
        self.data_dir = pathlib.Path(tempfile.mkdtemp(prefix="rs-e2e-"))
        self.prefix: list[str] = []
        if as_nobody and os.geteuid() == 0:
            self.prefix = list(AS_NOBODY)
            os.chown(self.data_dir, NOBODY, NOBODY)
        self.options = ["--runtime", runtime, *options]
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ROADSTEAD_"))},
            "LANG": "C.UTF-8",
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
            "ROADSTEAD_DATA_DIR": str(self.data_dir),
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.up: Started | None = None

    def start(self) -> Started:
        """Run `roadstead up` until its instance is ready for tasks."""
        self.up = self.launch()
        self.up.wait_for("serving")
        self.up.wait_for("agent connected")
        return self.up

    def launch(self) -> Started:
        return Started([*self.prefix, ROADSTEAD, "up", "--port", "0", "--json", *self.options], self.environment)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the server by a signal; its exit status. Containers go on."""
        assert self.up is not None
        status = self.up.end(number)
        self.up = None
        return status

    def remove(self) -> None:
        """End everything as a user would, and hold Roadstead to its word that nothing is left."""
        try:
            if self.up is not None:
                assert self.stop() == 0
            if self.uses_containers:
                done = self.roadstead("down", "--remove", "--data-dir", str(self.data_dir))
                assert done.returncode == 0, done.stderr
            left = traces(self.data_dir)
            assert not left, left
        finally:
            self._sweep()

    def _sweep(self) -> None:
        """What must happen whatever else went wrong."""
        if self.up is not None and self.up.process.poll() is None:
            self.up.process.kill()
            self.up.process.wait()
        if self.uses_containers and traces(self.data_dir):
            time.sleep(1.0)  # the agent ends with its server
            self.roadstead("down", "--remove", "--data-dir", str(self.data_dir))
        shutil.rmtree(self.data_dir, ignore_errors=True)

    @property
    def uses_containers(self) -> bool:
        return "oci" in self.options

    @property
    def server(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.data_dir / "server.json").read_text())
        return found

    @property
    def endpoint(self) -> str:
        return str(self.server["endpoint"])

    @property
    def keys(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.data_dir / "credentials.json").read_text())
        return found

    @property
    def agent_pid(self) -> int:
        """The agent's process."""
        marker = f'"data_dir":"{self.data_dir}/agent"'.encode()
        for folder in pathlib.Path("/proc").iterdir():
            if folder.name.isdigit() and marker in _bytes_of(folder / "environ"):
                return int(folder.name)
        raise AssertionError("no agent runs")

    def client(self, service: str, **values: Any) -> Any:
        """boto3's client, which tries each call once."""
        return boto3.client(
            service,
            **{
                "endpoint_url": self.endpoint,
                "region_name": "us-east-1",
                "aws_access_key_id": self.keys["access_key_id"],
                "aws_secret_access_key": self.keys["secret_access_key"],
                "config": botocore.config.Config(retries={"total_max_attempts": 1}, max_pool_connections=32),
                **values,
            },
        )

    def roadstead(self, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a verb on this data directory."""
        return subprocess.run(
            [*self.prefix, ROADSTEAD, *arguments],
            env={**self.environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS_MAX,
        )

    def output(self, *arguments: str) -> str:
        """What a verb prints that has to end well."""
        done = self.roadstead(*arguments)
        assert done.returncode == 0, (arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.output(*arguments, "--json"))

    def containers(self) -> dict[str, tuple[int, int]]:
        """Real containers that run now, by their id: process and birth. One made but not yet let go is none."""
        found = {}
        paths = oci_paths.Paths(self.data_dir / "agent")
        for path in paths.containers.glob("*/state.json"):
            state = records.read(path, records.ContainerState)
            held = (paths.engine / path.parent.name / "exec.fifo").exists()
            if state is not None and not held and processes.birth(state.pid) == state.pid_birth:
                found[path.parent.name] = (state.pid, state.pid_birth)
        return found

    def container_of(self, task_id: str) -> tuple[int, int]:
        """Process and birth of the one container of a task."""
        for path in oci_paths.Paths(self.data_dir / "agent").containers.glob("*/container.json"):
            record = records.read(path, records.ContainerRecord)
            if record is not None and record.spec.task_id == task_id:
                return self.containers()[path.parent.name]
        raise AssertionError(f"no container of {task_id}")


def _bytes_of(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def traces(data_dir: pathlib.Path) -> list[str]:
    """All that an installation has on this host besides its files: processes, cgroups, mounts, links, rules."""
    paths = oci_paths.Paths(data_dir / "agent")
    found = [f"process {words}" for words in _processes(data_dir)]
    layout = cgroups.find_layout()
    for root in cgroups.every_root(layout) if layout is not None else ():
        if pathlib.Path(root + paths.cgroup).exists():
            found.append(f"cgroup {root}{paths.cgroup}")
    found += [f"mount {line}" for line in _mounts() if str(data_dir) in line]
    ours = (paths.bridge_awsvpc, paths.bridge_local)
    for link in pathlib.Path("/sys/class/net").iterdir():
        if link.name in ours or link.name.startswith(paths.veth_prefix):
            found.append(f"link {link.name}")
    if os.geteuid() == 0 and shutil.which("nft"):
        tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
        found += [f"nft {line}" for line in tables.splitlines() if paths.nft_table in line]
    return found


def _mounts() -> list[str]:
    """Mounts of all processes' namespaces."""
    found: dict[str, None] = {}
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit():
            found.update(dict.fromkeys(_bytes_of(folder / "mountinfo").decode(errors="replace").splitlines()))
    return list(found)


def _processes(data_dir: pathlib.Path) -> list[str]:
    marker, found = str(data_dir).encode(), []
    for folder in pathlib.Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        words = _bytes_of(folder / "cmdline")
        if marker in words or b'"data_dir":"' + marker in _bytes_of(folder / "environ"):
            found.append(f"{folder.name} {words.replace(bytes(1), b' ').decode(errors='replace')[:200]}")
    return found


def eventually(check: Callable[[], Any], seconds_max: float = 30.0) -> Any:
    """Wait until `check` gives something true, and give that. What it gave last is told where it never does."""
    ends_at = time.monotonic() + seconds_max
    while True:
        outcome = check()
        if outcome:
            return outcome
        assert time.monotonic() < ends_at, f"not within {seconds_max:g} s: {getattr(check, '__name__', check)}"
        time.sleep(POLL_SECONDS)
