"""How a control plane is to run: one value for each option of `roadstead up` and `roadstead server`."""

from __future__ import annotations

import ipaddress
import os
import pathlib
import re
from typing import Literal

import msgspec

from roadstead.base import errors

DEFAULT_PORT = 4566
_ACCOUNT = re.compile(r"\d{12}\Z")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d+\Z")


def default_data_dir() -> pathlib.Path:
    """`/var/lib/roadstead` as root, else `~/.local/share/roadstead` (or below `$XDG_DATA_HOME`)."""
    if os.geteuid() == 0:
        return pathlib.Path("/var/lib/roadstead")
    base = os.environ.get("XDG_DATA_HOME")
    return (pathlib.Path(base) if base else pathlib.Path.home() / ".local" / "share") / "roadstead"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Raises errors.HostProblem from `check` where a value can't be."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    """0 takes a free one; `server.json` in the data directory tells which."""
    data_dir: pathlib.Path = msgspec.field(default_factory=default_data_dir)
    region: str = "us-east-1"
    account_id: str = "123456789012"
    auth: Literal["sigv4", "off"] = "sigv4"
    ephemeral: bool = False
    """State in memory alone; `POST /_roadstead/reset` wipes it."""
    runtime: Literal["oci", "simulated"] = "oci"
    cluster: str = "default"
    """The one that the local agent joins."""
    scale_in_datapoints: int | None = None
    """Data points that target tracking's low alarm waits for; None is AWS's own number."""
    custom_resource_secret_file: pathlib.Path | None = None
    """Holds the bearer token for the endpoints of custom resources; None: they are asked without one."""
    log_level: str = "info"

    @property
    def is_on_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def journal_path(self) -> pathlib.Path:
        return self.data_dir / "journal.sqlite"

    @property
    def server_path(self) -> pathlib.Path:
        """Where a running server says how it is reached."""
        return self.data_dir / "server.json"

    @property
    def credentials_path(self) -> pathlib.Path:
        return self.data_dir / "credentials.json"

    def check(self) -> None:
        """Raise errors.HostProblem where a value can't be."""
        if not _ACCOUNT.match(self.account_id):
            raise errors.HostProblem(
                f"{self.account_id!r} is no account id", "an account id has 12 digits", "Use --account-id 123456789012."
            )
        if not _REGION.match(self.region):
            raise errors.HostProblem(
                f"{self.region!r} is no region", "a region looks like us-east-1", "Use --region us-east-1."
            )
        if not 0 <= self.port <= 65535:
            raise errors.HostProblem(f"{self.port} is no port", "ports go from 0 to 65535", "Use --port 4566.")
        if self.scale_in_datapoints is not None and self.scale_in_datapoints < 1:
            raise errors.HostProblem(
                f"--scale-in-datapoints {self.scale_in_datapoints} can't be",
                "an alarm needs at least one data point",
                "Use a number from 1 on, or leave the option out for AWS's own.",
            )
