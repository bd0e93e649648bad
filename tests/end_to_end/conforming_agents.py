"""Agents that the conformance list runs over: one port, Roadstead's own agent and Amazon's behind it.

Each runs real containers, as a child process that is killed, stopped and started anew; what it leaves is removed.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import os
import pathlib
import platform
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import urllib.parse
from typing import Any, NamedTuple, Protocol

from tests.end_to_end import installations

from roadstead.agent.oci import paths as oci_paths
from roadstead.agent.oci import processes, records

AMAZON_VARIABLE = "ECS_AGENT_BINARY"
"""Names Amazon's agent, a program of this machine."""
AMAZON_SKIPPED = f"{AMAZON_VARIABLE} does not name Amazon's agent (docs/guides/join-a-machine.md says how to run it)"
ATTRIBUTE = ("conformance", "yes")
"""The custom attribute that every agent joins with."""
DOCKER_SOCKET = "/var/run/docker.sock"
DOCKER_SECONDS_MAX = 60.0
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Container(NamedTuple):
    """A container by what it is for: the last part of its task's ARN, and its name in the task definition."""

    task_id: str
    name: str


class Process(NamedTuple):
    """A container's first process on this host. Its start, in clock ticks since boot, tells it from a later one."""

    pid: int
    born: int


class AgentUnderTest(Protocol):
    """An agent on a directory of its own. `start` after `kill` or `stop` is the same agent again."""

    @property
    def pid(self) -> int: ...

    def start(self) -> None:
        """Run it; it registers by itself. Returns at once."""

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""

    def stop(self) -> None:
        """SIGTERM, and hold it to ending well."""

    def load_image(self, archive: pathlib.Path) -> None:
        """Make the image of a Docker archive available under its name, without a registry."""

    def containers(self) -> dict[Container, Process]:
        """What runs now."""

    def log(self) -> str:
        """The end of what the agent has said, for people."""

    def remove(self) -> None:
        """End it and its containers, and remove all that it left."""


class _Child:
    """An agent's process: what both agents have in common."""

    def __init__(self, arguments: list[str], environment: dict[str, str], log_path: pathlib.Path) -> None:
        self._arguments = arguments
        self._environment = environment
        self._log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None and self._process.poll() is None, f"the agent has ended\n{self.log()}"
        return self._process.pid

    def start(self) -> None:
        assert self._process is None
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._arguments,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        assert self._end(signal.SIGKILL) == -signal.SIGKILL

    def stop(self) -> None:
        status = self._end(signal.SIGTERM)
        assert status == 0, f"the agent ended with {status}\n{self.log()}"

    def _end(self, number: int) -> int:
        os.kill(self.pid, number)
        assert self._process is not None
        status = self._process.wait(installations.STOP_SECONDS_MAX)
        self._process = None
        return status

    def log(self) -> str:
        return self._log_path.read_text(errors="replace")[-3_000:] if self._log_path.exists() else ""

    def sweep(self) -> None:
        """What must happen whatever else went wrong."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


class RoadsteadAgent(_Child):
    """`roadstead agent`, as a user joins a machine."""

    def __init__(self, server: installations.Installation, cluster: str) -> None:
        self._data_dir = pathlib.Path(tempfile.mkdtemp(prefix="rs-agent-"))
        self._server = server
        super().__init__(
            [
                *(installations.ROADSTEAD, "agent", "--server", server.endpoint, "--cluster", cluster),
                *("--data-dir", str(self._data_dir), "--attribute", "=".join(ATTRIBUTE)),
            ],
            {
                **server.environment,
                "ROADSTEAD_DATA_DIR": str(self._data_dir),
                "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": server.keys["access_key_id"],
                "AWS_SECRET_ACCESS_KEY": server.keys["secret_access_key"],
            },
            self._data_dir / "agent.log",
        )

    def load_image(self, archive: pathlib.Path) -> None:
        self._server.output("--data-dir", str(self._data_dir), "image", "load", str(archive))

    def containers(self) -> dict[Container, Process]:
        found = {}
        paths = oci_paths.Paths(self._data_dir / "agent")
        for path in paths.containers.glob("*/container.json"):
            record = records.read(path, records.ContainerRecord)
            state = records.read(path.with_name("state.json"), records.ContainerState)
            held = (paths.engine / path.parent.name / "exec.fifo").exists()
            if record and state and not held and processes.birth(state.pid) == state.pid_birth:
                key = Container(record.spec.task_id, record.spec.name)
                assert key not in found, f"{key} runs twice"
                found[key] = Process(state.pid, state.pid_birth)
        return found

    def remove(self) -> None:
        try:
            if self._process is not None:
                self.stop()
        finally:
            self.sweep()
            self._server.output("--data-dir", str(self._data_dir), "down", "--remove")
            left = installations.traces(self._data_dir)
            shutil.rmtree(self._data_dir, ignore_errors=True)
        assert not left, left


class AmazonAgent(_Child):
    """Amazon's agent over a Docker Engine, started as agent-protocol.md 1 says."""

    def __init__(self, server: installations.Installation, cluster: str) -> None:
        program = os.environ[AMAZON_VARIABLE]
        assert os.access(program, os.X_OK), f"{AMAZON_VARIABLE}={program} can't be run"
        self._docker = Docker()
        assert self._docker.call("GET", "/_ping").startswith(b"OK")
        self._cluster = cluster
        self._image = ""
        self._data_dir = pathlib.Path(tempfile.mkdtemp(prefix="rs-amazon-"))
        (self._data_dir / "data").mkdir()
        super().__init__([program], self._environment_of(server), self._data_dir / "agent.log")

    def _environment_of(self, server: installations.Installation) -> dict[str, str]:
        name, value = ATTRIBUTE
        given = {each: text for each, text in server.environment.items() if not each.startswith("ECS_")}
        return {
            **given,  # without any AWS_ variable: AWS_CA_BUNDLE must not be set
            "ECS_CLUSTER": self._cluster,
            "ECS_BACKEND_HOST": server.endpoint,
            "AWS_ENDPOINT_URL": server.endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": server.keys["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": server.keys["secret_access_key"],
            "AWS_EC2_METADATA_DISABLED": "true",
            "ECS_EXTERNAL": "true",
            "ECS_DATADIR": str(self._data_dir / "data"),
            "ECS_CONFIG": "/dev/null",
            "ECS_ENABLE_TASK_IAM_ROLE": "true",
            "ECS_AVAILABLE_LOGGING_DRIVERS": '["json-file","awslogs"]',
            "ECS_INSTANCE_ATTRIBUTES": json.dumps({name: value}),
            "ECS_IMAGE_PULL_BEHAVIOR": "prefer-cached",
        }

    def load_image(self, archive: pathlib.Path) -> None:
        answer = self._docker.call("POST", "/images/load?quiet=1", archive.read_bytes(), "application/x-tar")
        assert b"error" not in answer, answer
        with tarfile.open(archive) as opened:
            manifest = opened.extractfile("manifest.json")
            assert manifest is not None
            self._image = json.load(manifest)[0]["RepoTags"][0]

    def containers(self) -> dict[Container, Process]:
        found = {}
        for each in self._listed():
            shown = json.loads(self._docker.call("GET", f"/containers/{each['Id']}/json", missing=b"{}"))
            pid = shown.get("State", {}).get("Pid", 0)
            born = processes.birth(pid) if pid else None
            labels = each["Labels"]
            if born is not None:
                task_id = labels["com.amazonaws.ecs.task-arn"].rpartition("/")[2]
                key = Container(task_id, labels["com.amazonaws.ecs.container-name"])
                assert key not in found, f"{key} runs twice"
                found[key] = Process(pid, born)
        return found

    def _listed(self) -> list[dict[str, Any]]:
        wanted = {"label": [f"com.amazonaws.ecs.cluster={self._cluster}"]}
        query = urllib.parse.urlencode({"all": "1", "filters": json.dumps(wanted)})
        found: list[dict[str, Any]] = json.loads(self._docker.call("GET", f"/containers/json?{query}"))
        return found

    def remove(self) -> None:
        try:
            if self._process is not None:
                self.stop()
        finally:
            self.sweep()
            for each in self._listed():
                self._docker.call("DELETE", f"/containers/{each['Id']}?force=1&v=1", missing=b"")
            if self._image:
                self._docker.call("DELETE", f"/images/{self._image}?force=1", missing=b"")
            shutil.rmtree(self._data_dir, ignore_errors=True)
        assert not self._listed()


class Docker:
    """The few calls of the Docker Engine's API that are needed here, over its socket (DOCKER_HOST names another)."""

    def __init__(self) -> None:
        host = os.environ.get("DOCKER_HOST", f"unix://{DOCKER_SOCKET}")
        assert host.startswith("unix://"), f"DOCKER_HOST={host}: containers must run on this host, behind a unix socket"
        self._path = host.removeprefix("unix://")
        assert pathlib.Path(self._path).is_socket(), f"Amazon's agent needs a Docker Engine: {self._path} is no socket"

    def call(
        self, method: str, path: str, body: bytes = b"", content_type: str = "", missing: bytes | None = None
    ) -> bytes:
        """The answer's body; `missing` in its place where the thing is not there (any more), if that is given."""
        connection = http.client.HTTPConnection("docker", timeout=DOCKER_SECONDS_MAX)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(self._path)
            connection.request(method, path, body, {"Content-Type": content_type} if content_type else {})
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status == 404 and missing is not None:
            return missing
        assert response.status < 300, f"{method} {path}: {response.status} {answer.decode(errors='replace')}"
        return answer


def pack_archive(root: pathlib.Path, name: str, archive: pathlib.Path) -> None:
    """Write a Docker archive, as `docker save` does, of an image `name` whose one layer is the directory `root`."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as opened:
        opened.add(root, arcname=".", filter=_roots)
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = json.dumps(
        {
            "architecture": _ARCHITECTURES[platform.machine()],
            "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": [f"{digest}/layer.tar"]}]).encode()
    with tarfile.open(archive, "w") as opened:
        for path, content in (
            (config_name, config),
            (f"{digest}/layer.tar", layer.getvalue()),
            ("manifest.json", manifest),
        ):
            member = tarfile.TarInfo(path)
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))


def _roots(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Owned by root, whoever packs."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member
