"""What the content store remembers of an image, and the part of its configuration that running needs. Pure."""

from __future__ import annotations

import json
import signal
from typing import Any, Literal

import msgspec

Source = Literal["pulled", "loaded", "packed"]


class ImageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One named image in the store."""

    reference: str
    """Canonical name, `docker.io/library/busybox:latest`."""
    digest: str
    """The manifest digest by which the registry (or, of archives, the stored manifest) knows it."""
    manifest_digest: str
    """Digest of the manifest blob in this store; differs from `digest` where the registry's was of another format."""
    config_digest: str
    diff_ids: tuple[str, ...]
    """Digests of the uncompressed layers, lowest first."""
    layer_digests: tuple[str, ...]
    """Digests of the layers as stored (compressed or not), in the same order."""
    size_bytes: int
    """Stored layers and configuration together."""
    architecture: str
    created_at: float
    source: Source


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What an image says about how to run it."""

    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    """`NAME=value`, in the image's order."""
    user: str = ""
    working_directory: str = ""
    exposed_ports: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""

    @property
    def stop_signal_number(self) -> int:
        """STOPSIGNAL, said as `SIGINT`, `INT` or `2`; SIGTERM where the image says none, or none that there is."""
        name = self.stop_signal
        if name.isdecimal() and 0 < int(name) < signal.NSIG:
            return int(name)
        return int(signal.Signals.__members__.get("SIG" + name.upper().removeprefix("SIG"), signal.SIGTERM))


def parse_config(raw: bytes) -> ImageConfig:
    """Read the `config` member of an OCI or Docker image configuration."""
    document: dict[str, Any] = json.loads(raw)
    config: dict[str, Any] = document.get("config") or {}
    return ImageConfig(
        entry_point=_words(config.get("Entrypoint")),
        command=_words(config.get("Cmd")),
        environment=_words(config.get("Env")),
        user=str(config.get("User") or ""),
        working_directory=str(config.get("WorkingDir") or ""),
        exposed_ports=tuple(sorted(config.get("ExposedPorts") or {})),
        labels={str(key): str(value) for key, value in (config.get("Labels") or {}).items()},
        volumes=tuple(sorted(config.get("Volumes") or {})),
        stop_signal=str(config.get("StopSignal") or ""),
    )


def _words(value: Any) -> tuple[str, ...]:
    return tuple(str(word) for word in value or ())
