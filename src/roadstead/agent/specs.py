"""From the control plane's Task and Container to the runtime's specs; what can't be done is refused with its name.

Pure. Raises `Unsupported` where a task asks for what this agent can't give: it is then STOPPED with that reason,
never run with a part left out.
"""

from __future__ import annotations

import os.path
from typing import cast, get_args

from roadstead.acs import docker
from roadstead.acs import tasks as acs_tasks
from roadstead.agent import records, runtime
from roadstead.base import errors

MIB = 1 << 20
CPU_SHARES_MIN = 2
UNITS_PER_CPU = 1024
LOG_DRIVERS = ("", "json-file")
SIZE_SUFFIXES = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
MEMORY_MIB_MIN = 4
"""Docker's own smallest hard limit is 6 MiB; the control plane holds users to it."""


class Unsupported(errors.RoadsteadError):
    """A task asks for what this agent can't give."""


def check(task: acs_tasks.Task) -> None:
    """Raises Unsupported (or acs.docker.MalformedDockerConfig) for a task that can't be run as it is written."""
    network_mode_of(task)
    if task.pid_mode or task.ipc_mode not in ("", "private", "none"):
        raise Unsupported(f"pidMode {task.pid_mode!r} and ipcMode {task.ipc_mode!r} are not supported by this agent")
    volumes = {volume.name for volume in task.volumes}
    for volume in task.volumes:
        _check_volume(volume)
    names = {container.name for container in task.containers}
    for container in task.containers:
        _check_container(container, names, volumes)
    if not task.containers:
        raise Unsupported("the task has no containers")
    start_order(task)


def start_order(task: acs_tasks.Task) -> tuple[str, ...]:
    """Names of the containers, each after those it depends on. Raises Unsupported where they depend in a circle."""
    waiting = {each.name: {dependency.container_name for dependency in each.depends_on} for each in task.containers}
    order: list[str] = []
    while waiting:
        ready = [name for name, needs in waiting.items() if not needs & waiting.keys()]
        if not ready:
            raise Unsupported(f"the containers {', '.join(sorted(waiting))} depend on each other in a circle")
        for name in ready:
            del waiting[name]
        order.extend(ready)
    return tuple(order)


def network_mode_of(task: acs_tasks.Task) -> runtime.NetworkMode:
    """The task's network mode, else its first container's, else bridge."""
    mode = task.network_mode
    if not mode and task.containers:
        mode = docker.host_config_of(task.containers[0].docker_config).network_mode
    mode = {"": "bridge", "default": "bridge"}.get(mode, mode)
    if mode not in get_args(runtime.NetworkMode):
        raise Unsupported(f"the network mode {mode!r} is not supported by this agent")
    return cast(runtime.NetworkMode, mode)


def sandbox_spec(state: records.TaskState) -> runtime.SandboxSpec:
    """What the task's containers share. Task cpu is in vCPUs, memory in MiB; 0 = no limit."""
    task = state.task
    mode = network_mode_of(task)
    return runtime.SandboxSpec(
        task_id=state.task_id,
        network_mode=mode,
        network_interface=_network_interface(state.interfaces) if mode == "awsvpc" else None,
        cpu_cores_max=task.cpu or None,
        memory_bytes_max=task.memory * MIB or None,
    )


def _network_interface(interfaces: tuple[acs_tasks.ElasticNetworkInterface, ...]) -> runtime.NetworkInterface:
    if not interfaces or not interfaces[0].ipv4_addresses:
        raise Unsupported("an awsvpc task without an IPv4 address")
    first = interfaces[0]
    address = next((each for each in first.ipv4_addresses if each.primary), first.ipv4_addresses[0])
    gateway, _, prefix = first.subnet_gateway_ipv4_address.partition("/")
    return runtime.NetworkInterface(
        attachment_id=first.attachment_arn.rpartition("/")[2],
        mac_address=first.mac_address,
        ipv4_address=address.private_address,
        prefix_length=int(prefix or 24),
        gateway=gateway,
        dns_servers=first.domain_name_servers,
    )


def container_spec(
    state: records.TaskState, container: acs_tasks.Container, data_dir: str, region: str
) -> runtime.ContainerSpec:
    """One container's spec. `data_dir` holds the volumes that live as long as their task."""
    task = state.task
    config = docker.config_of(container.docker_config)
    host = docker.host_config_of(container.docker_config)
    mode = network_mode_of(task)
    security = host.security_opt or ()
    environment = {"AWS_REGION": region, **container.environment} if region else dict(container.environment)
    return runtime.ContainerSpec(
        container_id=records.container_id_of(task.arn, container.name),
        task_id=state.task_id,
        name=container.name,
        image=container.image,
        entry_point=container.entry_point,
        command=_command(container),
        environment=environment,
        user=config.user or None,
        working_directory=config.working_dir or None,
        hostname=config.hostname or None,
        read_only_root=host.readonly_rootfs,
        privileged=host.privileged,
        no_new_privileges=any(each.startswith("no-new-privileges") for each in security),
        seccomp_unconfined=any(each.replace(":", "=") == "seccomp=unconfined" for each in security),
        capabilities_add=host.cap_add or (),
        capabilities_drop=host.cap_drop or (),
        ulimits=tuple(runtime.Ulimit(name=each.name, soft=each.soft, hard=each.hard) for each in host.ulimits or ()),
        cpu_shares=max(CPU_SHARES_MIN, container.cpu),
        memory_bytes_max=container.memory * MIB or None,
        memory_bytes_reserved=host.memory_reservation or None,
        mounts=mounts_of(task, container, data_dir),
        tmpfs=tuple(_tmpfs(path, options) for path, options in (host.tmpfs or {}).items()),
        sysctls=host.sysctls or {},
        extra_hosts=tuple(_extra_host(line) for line in host.extra_hosts or ()),
        dns_servers=host.dns or _interface_dns(state),
        dns_search=host.dns_search or (),
        shm_bytes=host.shm_size or None,
        init=bool(host.init),
        ports=_ports(container) if mode == "bridge" else (),
        labels={**(config.labels or {}), **_ecs_labels(task, container)},
    )


def mounts_of(task: acs_tasks.Task, container: acs_tasks.Container, data_dir: str) -> tuple[runtime.Mount, ...]:
    """The container's bind mounts: its own mount points, then those of the containers it takes volumes from."""
    volumes = {volume.name: volume for volume in task.volumes}
    by_name = {each.name: each for each in task.containers}
    mounts = {
        point.container_path: _mount(task, volumes[point.source_volume], point, data_dir, point.read_only)
        for point in container.mount_points
    }
    for source in container.volumes_from:
        for point in by_name[source.source_container].mount_points:
            read_only = source.read_only or point.read_only
            mount = _mount(task, volumes[point.source_volume], point, data_dir, read_only)
            mounts.setdefault(point.container_path, mount)
    return tuple(mounts.values())


def task_directories(task: acs_tasks.Task, data_dir: str) -> tuple[str, ...]:
    """Directories that live as long as the task."""
    if any(not _source_path(volume) and not _is_shared(volume) for volume in task.volumes):
        return (os.path.join(data_dir, "volumes", "tasks", records.task_id_of(task.arn)),)
    return ()


def health_check_of(container: acs_tasks.Container) -> docker.HealthConfig | None:
    """The container's health check; None where it has none (those embedded in images don't count, as in ECS)."""
    check = docker.config_of(container.docker_config).healthcheck
    if container.health_check_type != "docker" or check is None or not check.test or check.test[0] == "NONE":
        return None
    return check


def _check_volume(volume: acs_tasks.Volume) -> None:
    if volume.efs_volume_configuration is not None or volume.type not in ("", "host", "docker"):
        kind = volume.type or "efs"
        raise Unsupported(f"the volume {volume.name!r} is of the type {kind!r}: this agent has host and docker volumes")
    configuration = volume.docker_volume_configuration
    if configuration is None:
        return
    if configuration.driver not in ("", "local") or configuration.driver_opts:
        raise Unsupported(
            f"the volume {volume.name!r} asks for a driver or driver options: this agent has plain 'local'"
        )


def _check_container(container: acs_tasks.Container, names: set[str], volumes: set[str]) -> None:
    docker.overrides_of(container.overrides)
    config = docker.config_of(container.docker_config)
    host = docker.host_config_of(container.docker_config)
    log_driver = host.log_config.type if host.log_config else ""
    asked = {
        "secrets": container.secrets,
        "environmentFiles": container.environment_files,
        "links": container.links,
        "firelensConfiguration": container.firelens_configuration,
        "registryAuthentication": container.registry_authentication,
        "managedAgents": container.managed_agents,
        "pseudoTerminal": config.tty,
        "interactive": config.open_stdin,
        "devices": host.devices,
        "maxSwap": host.memory_swap,
        "swappiness": host.memory_swappiness,
        "containerPortRange": [each for each in container.port_mappings if each.container_port_range],
        f"log driver {log_driver}": log_driver not in LOG_DRIVERS,
    }
    for what, value in asked.items():
        if value:
            raise Unsupported(f"container {container.name!r} asks for {what}, which this agent does not support yet")
    for option in host.security_opt or ():
        if option.replace(":", "=") not in ("no-new-privileges", "no-new-privileges=true", "seccomp=unconfined"):
            raise Unsupported(f"container {container.name!r} asks for the security option {option!r}")
    for path, options in (host.tmpfs or {}).items():
        _tmpfs(path, options)
    for line in host.extra_hosts or ():
        _extra_host(line)
    for name in [each.container_name for each in container.depends_on] + [
        each.source_container for each in container.volumes_from
    ]:
        if name not in names:
            raise Unsupported(f"container {container.name!r} names {name!r}, which is no container of the task")
    for point in container.mount_points:
        if point.source_volume not in volumes:
            raise Unsupported(
                f"container {container.name!r} mounts {point.source_volume!r}, which is no volume of the task"
            )


def _command(container: acs_tasks.Container) -> tuple[str, ...] | None:
    overridden = docker.overrides_of(container.overrides).command
    return container.command if overridden is None else overridden


def _ports(container: acs_tasks.Container) -> tuple[runtime.PortMapping, ...]:
    return tuple(
        runtime.PortMapping(container_port=each.container_port, host_port=each.host_port, protocol=each.protocol)
        for each in container.port_mappings
    )


def _source_path(volume: acs_tasks.Volume) -> str:
    return volume.host.source_path if volume.host else ""


def _is_shared(volume: acs_tasks.Volume) -> bool:
    configuration = volume.docker_volume_configuration
    return configuration is not None and configuration.scope == "shared"


def _mount(
    task: acs_tasks.Task, volume: acs_tasks.Volume, point: acs_tasks.MountPoint, data_dir: str, read_only: bool
) -> runtime.Mount:
    source = _source_path(volume)
    if not source:
        owner = ("shared",) if _is_shared(volume) else ("tasks", records.task_id_of(task.arn))
        source = os.path.join(data_dir, "volumes", *owner, volume.name)
    return runtime.Mount(source=source, target=point.container_path, read_only=read_only)


def _interface_dns(state: records.TaskState) -> tuple[str, ...]:
    return state.interfaces[0].domain_name_servers if state.interfaces else ()


def _tmpfs(path: str, options: str) -> runtime.Tmpfs:
    size = 0
    others: list[str] = []
    for option in filter(None, options.split(",")):
        name, _, value = option.partition("=")
        if name == "size":
            size = _bytes(value)
        else:
            others.append(option)
    if size <= 0:
        raise Unsupported(f"the tmpfs at {path!r} has no size")
    return runtime.Tmpfs(target=path, size_bytes=size, options=tuple(others))


def _bytes(text: str) -> int:
    unit = SIZE_SUFFIXES.get(text[-1:].lower())
    digits = text[:-1] if unit else text
    if not digits.isdecimal():
        raise Unsupported(f"{text!r} is no size")
    return int(digits) * (unit or 1)


def _extra_host(line: str) -> tuple[str, str]:
    name, colon, address = line.partition(":")
    if not colon or not name or not address:
        raise Unsupported(f"{line!r} is no extra host: it is written name:address")
    return name, address


def _ecs_labels(task: acs_tasks.Task, container: acs_tasks.Container) -> dict[str, str]:
    prefix = "com.amazonaws.ecs"
    return {
        f"{prefix}.cluster": task.task_cluster_arn,
        f"{prefix}.container-name": container.name,
        f"{prefix}.task-arn": task.arn,
        f"{prefix}.task-definition-family": task.family,
        f"{prefix}.task-definition-version": task.version,
    }
