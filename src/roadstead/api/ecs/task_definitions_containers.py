"""RegisterTaskDefinition's rules for one container (ECS-API ContainerDefinition; behaviour.md 5.9, 5.11)."""

from __future__ import annotations

import re
from collections.abc import Set

from roadstead.api.ecs import common
from roadstead.api.ecs import task_definitions_sizes as sizes
from roadstead.base import errors
from roadstead.model import task_definitions

PORT_MAX = 65_535
IMAGE_REPOSITORY_LENGTH_MAX = 255
PORT_NAME_LENGTH_MAX = 64
IGNORED_EXIT_CODES_MAX = 50
HEALTH_RANGES = {"interval": (5, 300), "timeout": (2, 60), "retries": (1, 10), "start_period": (0, 300)}
"""Seconds; retries a count (behaviour.md 5.9)."""
RESTART_PERIOD_SECONDS = (60, 1800)
SECURITY_OPTIONS = ("no-new-privileges", "no-new-privileges=true", "seccomp=unconfined")
"""The Docker security options that the agent honours; a colon may stand for the equals sign."""
CAPABILITIES = frozenset(
    [
        "ALL",
        "AUDIT_CONTROL",
        "AUDIT_WRITE",
        "BLOCK_SUSPEND",
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
        "FSETID",
        "IPC_LOCK",
        "IPC_OWNER",
        "KILL",
        "LEASE",
        "LINUX_IMMUTABLE",
        "MAC_ADMIN",
        "MAC_OVERRIDE",
        "MKNOD",
        "NET_ADMIN",
        "NET_BIND_SERVICE",
        "NET_BROADCAST",
        "NET_RAW",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_CHROOT",
        "SYS_MODULE",
        "SYS_NICE",
        "SYS_PACCT",
        "SYS_PTRACE",
        "SYS_RAWIO",
        "SYS_RESOURCE",
        "SYS_TIME",
        "SYS_TTY_CONFIG",
        "SYSLOG",
        "WAKE_ALARM",
    ]
)
"""ECS-API KernelCapabilities."""
TMPFS_OPTIONS = frozenset(
    [
        "defaults",
        "ro",
        "rw",
        "suid",
        "nosuid",
        "dev",
        "nodev",
        "exec",
        "noexec",
        "sync",
        "async",
        "dirsync",
        "remount",
        "mand",
        "nomand",
        "atime",
        "noatime",
        "diratime",
        "nodiratime",
        "bind",
        "rbind",
        "unbindable",
        "runbindable",
        "private",
        "rprivate",
        "shared",
        "rshared",
        "slave",
        "rslave",
        "relatime",
        "norelatime",
        "strictatime",
        "nostrictatime",
        "mode",
        "uid",
        "gid",
        "nr_inodes",
        "nr_blocks",
        "mpol",
    ]
)
"""ECS-API Tmpfs; the last six take a value behind an equals sign."""

_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@#-]*")
_PORT_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]*")
_HEALTH_MEMBERS = {"start_period": "startPeriod"}


def refusal(container: task_definitions.ContainerDefinition, text: str) -> errors.Refusal:
    """A ClientException about one container, in the form that AWS uses for its own."""
    return common.client_error(f"Invalid setting for container '{container.name}'. {text}")


def check_image(image: str | None) -> None:
    """Refuses what can't be an image reference."""
    if not image:
        raise common.client_error("Container.image should not be null or empty.")
    if _IMAGE.fullmatch(image) is None:
        raise common.client_error("Container.image contains invalid characters.")
    if len(image.partition("@")[0]) > IMAGE_REPOSITORY_LENGTH_MAX:
        raise common.client_error(
            f"Container.image repository should be {IMAGE_REPOSITORY_LENGTH_MAX} characters or less."
        )


def check_container(container: task_definitions.ContainerDefinition, network_mode: str, volumes: Set[str]) -> None:
    """Refuses a container that breaks a rule of its own; `volumes` are the names of the task's volumes."""
    _check_resources(container)
    _check_network(container, network_mode)
    for mapping in container.port_mappings:
        _check_port(container, mapping, network_mode)
    _check_mounts(container, volumes)
    _check_environment(container)
    _check_health(container)
    _check_timeouts(container)
    _check_restart(container)
    _check_linux(container)
    _check_ulimits(container)
    if container.log_configuration is not None and container.log_configuration.log_driver != "json-file":
        raise refusal(
            container,
            f"The log driver '{container.log_configuration.log_driver}' is not supported: use 'json-file'.",
        )
    for option in container.docker_security_options:
        if option.replace(":", "=") not in SECURITY_OPTIONS:
            raise refusal(container, f"The Docker security option '{option}' is not supported by this server.")


def _check_resources(container: task_definitions.ContainerDefinition) -> None:
    if container.cpu < 0:
        raise refusal(container, "'cpu' must not be negative.")
    for value, member in ((container.memory, "memory"), (container.memory_reservation, "memoryReservation")):
        if value is not None and value < sizes.CONTAINER_MEMORY_MIB_MIN:
            raise refusal(container, f"'{member}' must be at least {sizes.CONTAINER_MEMORY_MIB_MIN} MiB.")
    if (
        container.memory is not None
        and container.memory_reservation is not None
        and container.memory < container.memory_reservation
    ):
        raise refusal(container, "'memory' must not be less than 'memoryReservation'.")


def _check_network(container: task_definitions.ContainerDefinition, network_mode: str) -> None:
    if network_mode == "awsvpc":
        if container.hostname:
            raise common.client_error("Hostname is not supported on container when networkMode=awsvpc.")
        if container.extra_hosts:
            raise common.client_error("Extra hosts are not supported on container when networkMode=awsvpc.")
    if network_mode == "none" and container.port_mappings:
        raise common.client_error("Port mappings are not supported on container when networkMode=none.")
    for entry in container.extra_hosts:
        if not entry.hostname or not entry.ip_address:
            raise refusal(container, "An extra host needs a hostname and an ipAddress.")
    for control in container.system_controls:
        if not control.namespace or control.value is None:
            raise refusal(container, "A system control needs a namespace and a value.")
        if network_mode == "host" and control.namespace.startswith("net."):
            raise refusal(container, f"The system control {control.namespace} can not be set when networkMode=host.")


def _check_port(
    container: task_definitions.ContainerDefinition, mapping: task_definitions.PortMapping, network_mode: str
) -> None:
    if mapping.container_port is None or not 1 <= mapping.container_port <= PORT_MAX:
        raise refusal(container, f"Container port must be between 1 and {PORT_MAX}.")
    host_port = mapping.host_port
    if host_port is not None and not 0 <= host_port <= PORT_MAX:
        raise refusal(container, f"Host port must be between 0 and {PORT_MAX}.")
    if network_mode in ("awsvpc", "host") and host_port is not None and host_port != mapping.container_port:
        raise common.client_error(
            f"When networkMode={network_mode}, the host ports and container ports in port mappings must match."
        )
    if mapping.name is not None and (
        len(mapping.name) > PORT_NAME_LENGTH_MAX or _PORT_NAME.fullmatch(mapping.name) is None
    ):
        raise refusal(container, f"The port mapping name '{mapping.name}' contains invalid characters.")


def _check_mounts(container: task_definitions.ContainerDefinition, volumes: Set[str]) -> None:
    paths: set[str] = set()
    for point in container.mount_points:
        if not point.source_volume:
            raise refusal(container, "A mount point needs a sourceVolume.")
        if point.source_volume not in volumes:
            raise common.client_error(f"Unknown volume '{point.source_volume}'.")
        _check_path(container, point.container_path, "mount point", paths)


def _check_path(container: task_definitions.ContainerDefinition, path: str | None, what: str, taken: set[str]) -> None:
    if not path or not path.startswith("/"):
        raise refusal(container, f"The containerPath of a {what} must be an absolute path.")
    if path in taken:
        raise refusal(container, f"The containerPath '{path}' is used twice.")
    taken.add(path)


def _check_environment(container: task_definitions.ContainerDefinition) -> None:
    for pair in container.environment:
        if not pair.name or "=" in pair.name:
            raise refusal(container, "The name of an environment variable must not be empty or contain '='.")


def _check_health(container: task_definitions.ContainerDefinition) -> None:
    check = container.health_check
    if check is None:
        return
    if len(check.command) < 2 or check.command[0] not in ("CMD", "CMD-SHELL"):
        raise refusal(container, "The health check command must begin with CMD or CMD-SHELL, and name a command.")
    if check.command[0] == "CMD-SHELL" and len(check.command) != 2:
        raise refusal(container, "A CMD-SHELL health check takes exactly one string.")
    for name, (low, high) in HEALTH_RANGES.items():
        value = getattr(check, name)
        if value is not None and not low <= value <= high:
            member = _HEALTH_MEMBERS.get(name, name)
            raise refusal(container, f"The health check's {member} must be between {low} and {high}.")


def _check_timeouts(container: task_definitions.ContainerDefinition) -> None:
    if container.start_timeout is not None and container.start_timeout < 1:
        raise refusal(container, "'startTimeout' must be at least 1 second.")
    if container.stop_timeout is not None and container.stop_timeout < 0:
        raise refusal(container, "'stopTimeout' must not be negative.")


def _check_restart(container: task_definitions.ContainerDefinition) -> None:
    policy = container.restart_policy
    if policy is None:
        return
    if len(policy.ignored_exit_codes) > IGNORED_EXIT_CODES_MAX:
        raise refusal(container, f"A restart policy can ignore at most {IGNORED_EXIT_CODES_MAX} exit codes.")
    low, high = RESTART_PERIOD_SECONDS
    if policy.restart_attempt_period is not None and not low <= policy.restart_attempt_period <= high:
        raise refusal(container, f"'restartAttemptPeriod' must be between {low} and {high} seconds.")


def _check_linux(container: task_definitions.ContainerDefinition) -> None:
    parameters = container.linux_parameters
    if parameters is None:
        return
    if parameters.capabilities is not None:
        for name in (*parameters.capabilities.add, *parameters.capabilities.drop):
            if name not in CAPABILITIES:
                raise refusal(container, f"'{name}' is not a valid Linux capability.")
    if parameters.shared_memory_size is not None and parameters.shared_memory_size < 1:
        raise refusal(container, "'sharedMemorySize' must be at least 1 MiB.")
    paths = {point.container_path for point in container.mount_points if point.container_path}
    for tmpfs in parameters.tmpfs:
        _check_path(container, tmpfs.container_path, "tmpfs", paths)
        if tmpfs.size < 1:
            raise refusal(container, "The size of a tmpfs must be at least 1 MiB.")
        for option in tmpfs.mount_options:
            if option.partition("=")[0] not in TMPFS_OPTIONS:
                raise refusal(container, f"'{option}' is not a valid tmpfs mount option.")


def _check_ulimits(container: task_definitions.ContainerDefinition) -> None:
    names: set[str] = set()
    for limit in container.ulimits:
        if limit.name in names:
            raise refusal(container, f"The ulimit '{limit.name}' is given twice.")
        names.add(limit.name)
        unlimited = limit.hard_limit == -1
        if min(limit.soft_limit, limit.hard_limit) < -1 or (
            not unlimited and (limit.soft_limit == -1 or limit.soft_limit > limit.hard_limit)
        ):
            raise refusal(container, f"The softLimit of ulimit '{limit.name}' must not be above its hardLimit.")
