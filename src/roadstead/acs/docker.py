"""What stands in a Container's `dockerConfig`: two JSON texts, Docker's Config and HostConfig.

The control plane, not the agent, translates a container definition's healthCheck, logConfiguration, ulimits, user, …
into these (agent-protocol.md 3), so that Amazon's agent and ours understand the same payload.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from roadstead.acs import values
from roadstead.base import errors

DOCKER_API_VERSION = "1.19"
NANOSECONDS_PER_SECOND = 1_000_000_000

T = TypeVar("T")


class MalformedDockerConfig(errors.RoadsteadError):
    """A `dockerConfig` text, or an `overrides` text, is no JSON of its shape."""


class HealthConfig(values.DockerValue, frozen=True, kw_only=True):
    """A health check. `test` is `("CMD", …)`, `("CMD-SHELL", line)` or `("NONE",)`; times in ns, 0 = default."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    retries: int = 0
    start_period: int = 0


class Config(values.DockerValue, frozen=True, kw_only=True):
    """The part of Docker's Config that ECS uses."""

    user: str = ""
    """`uid`, `uid:gid`, `name` or `name:group`; empty = the image's."""
    working_dir: str = ""
    hostname: str = ""
    domainname: str = ""
    labels: dict[str, str] | None = None
    healthcheck: HealthConfig | None = None
    stop_signal: str = ""
    tty: bool = False
    open_stdin: bool = False


class LogConfig(values.DockerValue, frozen=True, kw_only=True):
    type: str = ""
    config: dict[str, str] | None = None


class Ulimit(values.DockerValue, frozen=True, kw_only=True):
    name: str
    soft: int
    hard: int


class DeviceMapping(values.DockerValue, frozen=True, kw_only=True):
    path_on_host: str
    path_in_container: str = ""
    cgroup_permissions: str = ""


class HostConfig(values.DockerValue, frozen=True, kw_only=True):
    """The part of Docker's HostConfig that ECS uses. Sizes are bytes."""

    network_mode: str = ""
    log_config: LogConfig | None = None
    cap_add: tuple[str, ...] | None = None
    cap_drop: tuple[str, ...] | None = None
    ulimits: tuple[Ulimit, ...] | None = None
    devices: tuple[DeviceMapping, ...] | None = None
    privileged: bool = False
    readonly_rootfs: bool = False
    memory_reservation: int = 0
    memory_swap: int = 0
    memory_swappiness: int | None = None
    tmpfs: dict[str, str] | None = None
    """Path → mount options with `size=…`, as Docker takes them."""
    sysctls: dict[str, str] | None = None
    dns: tuple[str, ...] | None = None
    dns_search: tuple[str, ...] | None = None
    extra_hosts: tuple[str, ...] | None = None
    """`name:address`."""
    security_opt: tuple[str, ...] | None = None
    """`no-new-privileges`, `seccomp=unconfined`, …"""
    shm_size: int = 0
    init: bool | None = None
    ipc_mode: str = ""
    pid_mode: str = ""


class ContainerOverrides(values.WireValue, frozen=True, kw_only=True):
    """What stands in a Container's `overrides` text."""

    command: tuple[str, ...] | None = None


class DockerConfig(values.WireValue, frozen=True, kw_only=True):
    """Docker's Config and HostConfig as JSON texts; see `make`, `config_of` and `host_config_of`."""

    version: str = ""
    config: str = ""
    host_config: str = ""


def make(config: Config, host_config: HostConfig) -> DockerConfig:
    """The two as an agent wants them."""
    return DockerConfig(
        version=DOCKER_API_VERSION,
        config=msgspec.json.encode(config).decode(),
        host_config=msgspec.json.encode(host_config).decode(),
    )


_config_decoder = msgspec.json.Decoder(Config)
_host_config_decoder = msgspec.json.Decoder(HostConfig)
_overrides_decoder = msgspec.json.Decoder(ContainerOverrides)


def config_of(docker_config: DockerConfig | None) -> Config:
    """Docker's Config; an empty one where there is none. Raises MalformedDockerConfig."""
    return _decode(_config_decoder, docker_config.config if docker_config else "", "dockerConfig.config")


def host_config_of(docker_config: DockerConfig | None) -> HostConfig:
    """Docker's HostConfig; an empty one where there is none. Raises MalformedDockerConfig."""
    text = docker_config.host_config if docker_config else ""
    return _decode(_host_config_decoder, text, "dockerConfig.hostConfig")


def overrides_of(text: str) -> ContainerOverrides:
    """A Container's `overrides`; empty text = none. Raises MalformedDockerConfig."""
    return _decode(_overrides_decoder, text, "overrides")


def _decode(decoder: msgspec.json.Decoder[T], text: str, member: str) -> T:
    try:
        return decoder.decode(text or "{}")
    except msgspec.DecodeError as problem:
        raise MalformedDockerConfig(f"{member}: {problem}") from problem
