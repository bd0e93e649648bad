"""Where the runtime keeps its things inside the data directory. Pure but for the two `make`s.

oci/
  instance.json              subnets, chosen once
  lock                       one runtime a data directory
  seccomp/                   compiled filters
  monitors.log               what monitors had to complain about
  upper/<id>/                a container's writable layer
  run/                       a tmpfs of our own: worthless after a reboot, and files cost little there
    ns/mnt                   the runtime's mount namespace, kept alive by a bind mount
    ns/net/<key>             network namespaces of tasks and containers (mounted inside the mount namespace only)
    sandboxes/<task>.json    SandboxSpec
    containers/<id>/         container.json, state.json, config.json (the bundle), root, etc
    engine/                  crun's or runc's own state
    exits/<id>               exit codes, written by conmon
logs/<task>/<name>.log       what containers wrote
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from roadstead.agent.oci import syscalls

INSTANCE_ID_CHARACTERS = 7
RUN_BYTES_MAX = 1024**3
"""A container takes about 100 KiB of it."""
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class Paths:
    """Paths of one data directory; `instance_id` is derived from it, so that leftovers are recognised."""

    def __init__(self, data_dir: str | os.PathLike[str]) -> None:
        self.data_dir = Path(os.path.realpath(data_dir))
        self.instance_id = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:INSTANCE_ID_CHARACTERS]
        self.root = self.data_dir / "oci"
        self.instance = self.root / "instance.json"
        self.lock = self.root / "lock"
        self.run = self.root / "run"
        self.namespaces = self.run / "ns"
        self.mount_namespace = self.namespaces / "mnt"
        self.networks = self.namespaces / "net"
        self.sandboxes = self.run / "sandboxes"
        self.containers = self.run / "containers"
        self.engine = self.run / "engine"
        self.exits = self.run / "exits"
        self.upper = self.root / "upper"
        self.seccomp = self.root / "seccomp"
        self.monitor_log = self.root / "monitors.log"
        self.logs = self.data_dir / "logs"

    def make(self) -> None:
        """Create the directories on disk; only root may look in."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        for folder in (self.root, self.run, self.upper, self.seccomp, self.logs):
            folder.mkdir(exist_ok=True, mode=0o700)

    def make_volatile(self) -> None:
        """Mount the tmpfs, unless an earlier process has, and create the directories on it."""
        if not syscalls.is_mount_point(str(self.run)):
            syscalls.mount("roadstead", str(self.run), "tmpfs", syscalls.MS_NOSUID, f"mode=700,size={RUN_BYTES_MAX}")
            # A mount namespace can only be bound below a mount that is not shared with the namespace itself.
            syscalls.mount("", str(self.run), "", syscalls.MS_PRIVATE)
        for folder in (
            self.namespaces,
            self.networks,
            self.sandboxes,
            self.containers,
            self.engine,
            self.exits,
        ):
            folder.mkdir(exist_ok=True, mode=0o700)

    @property
    def bridge_awsvpc(self) -> str:
        """At most 15 characters, as all names of interfaces."""
        return f"rs{self.instance_id}v"

    @property
    def bridge_local(self) -> str:
        return f"rs{self.instance_id}b"

    @property
    def veth_prefix(self) -> str:
        return f"rv{self.instance_id}"

    @property
    def nft_table(self) -> str:
        return f"roadstead_{self.instance_id}"

    @property
    def cgroup(self) -> str:
        """Cgroup of this instance, below each hierarchy's root."""
        return f"/roadstead/{self.instance_id}"

    def sandbox(self, task_id: str) -> Path:
        return self.sandboxes / f"{task_id}.json"

    def bundle(self, container_id: str) -> Path:
        return self.containers / container_id

    def writable(self, container_id: str) -> Path:
        return self.upper / container_id

    def network(self, key: str) -> Path:
        return self.networks / key

    def exit_file(self, container_id: str) -> Path:
        return self.exits / container_id

    def log(self, task_id: str, name: str) -> Path:
        return self.logs / task_id / f"{name}.log"


def is_identifier(text: str) -> bool:
    """Whether a task's or container's id is fit to be a file's and a cgroup's name."""
    return IDENTIFIER.fullmatch(text) is not None
