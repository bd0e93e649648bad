"""How an agent is to run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

RuntimeName = Literal["oci", "simulated"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """One agent's settings. `server_url` is the control plane's AWS endpoint: `http://127.0.0.1:4566`."""

    server_url: str
    data_dir: Path
    """Its own: saved tasks, and the runtime's files below it."""
    instance_name: str = ""
    """For people, in names of bridges and cgroups' owners; empty = the host's name."""
    cluster: str = "default"
    access_key_id: str = ""
    secret_access_key: str = ""
    region: str = "us-east-1"
    availability_zone: str = "us-east-1a"
    attributes: dict[str, str] = msgspec.field(default_factory=dict)
    """Custom attributes of the container instance, sent at its first registration."""
    cpu_units: int | None = None
    """What is offered to tasks; None = all that the host has."""
    memory_mib: int | None = None
    runtime: RuntimeName = "oci"
    simulated_cpu_units: int = 4096
    simulated_memory_mib: int = 16384
    metrics_publish_seconds: float = 20.0
    metrics_sample_seconds: float = 5.0
