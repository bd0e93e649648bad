"""A task's records as the Task object of a payload (agent-protocol.md 3).

The control plane, not the agent, translates healthCheck, logConfiguration, ulimits, user, … into Docker's Config and
HostConfig, so that Amazon's agent and ours understand the same payload.
"""

from __future__ import annotations

import msgspec

from roadstead.acs import docker
from roadstead.acs import tasks as acs_tasks
from roadstead.base import scope as base_scope
from roadstead.control import overrides
from roadstead.model import container_instances, names, task_definitions, tasks

MIB = 1 << 20
UNITS_PER_VCPU = 1024
SHELL_TEST_KINDS = ("CMD", "CMD-SHELL", "NONE")


def build(
    scope: base_scope.Scope,
    task: tasks.Task,
    definition: task_definitions.TaskDefinition,
    instance: container_instances.ContainerInstance,
) -> acs_tasks.Task:
    """The task as its agent shall have it, with all its containers; `desired_status` is the record's."""
    cpu_units = overrides.effective_cpu_units(definition, task.spec.overrides)
    ids = {container.name: container.container_id for container in task.observed.containers}
    commands = {one.name: one.command for one in task.spec.overrides.container_overrides}
    mode = definition.effective_network_mode
    return acs_tasks.Task(
        arn=names.arn_of_task(scope, task),
        desired_status=task.desired.status,
        containers=tuple(
            _container(
                container,
                original.command,
                commands.get(container.name),
                names.container_arn(scope, task.cluster, task.task_id, ids.get(container.name, "")),
                mode,
            )
            for container, original in zip(
                overrides.effective_containers(definition, task.spec.overrides),
                definition.container_definitions,
                strict=True,
            )
        ),
        task_cluster_arn=names.cluster_arn(scope, task.cluster),
        family=definition.family,
        version=str(definition.revision),
        group=task.spec.group,
        service_name=task.spec.service or "",
        launch_type=task.spec.launch_type,
        cpu=(cpu_units or 0) / UNITS_PER_VCPU,
        memory=overrides.effective_memory_mib(definition, task.spec.overrides) or 0,
        network_mode=mode,
        overrides="{}",
        zone=instance.availability_zone,
        task_definition_account_id=scope.account,
        volumes=tuple(_volume(volume) for volume in definition.volumes),
        elastic_network_interfaces=_interfaces(scope, task),
    )


def identifier(scope: base_scope.Scope, task: tasks.Task) -> acs_tasks.TaskIdentifier:
    """The task as a manifest names it."""
    return acs_tasks.TaskIdentifier(
        task_arn=names.arn_of_task(scope, task),
        desired_status=task.desired.status,
        task_cluster_arn=names.cluster_arn(scope, task.cluster),
    )


def _container(
    container: task_definitions.ContainerDefinition,
    own_command: tuple[str, ...] | None,
    command_override: tuple[str, ...] | None,
    arn: str,
    mode: task_definitions.NetworkMode,
) -> acs_tasks.Container:
    """`container` has its overrides applied; a command override goes its own way, as the agent expects it."""
    restart = container.restart_policy
    return acs_tasks.Container(
        name=container.name,
        image=container.image,
        container_arn=arn,
        cpu=container.cpu,
        memory=container.memory or 0,
        essential=container.is_essential,
        command=own_command,
        entry_point=container.entry_point,
        environment={pair.name: pair.value or "" for pair in container.environment},
        port_mappings=tuple(_port(mapping, mode) for mapping in container.port_mappings),
        mount_points=tuple(
            acs_tasks.MountPoint(
                source_volume=point.source_volume or "",
                container_path=point.container_path or "",
                read_only=bool(point.read_only),
            )
            for point in container.mount_points
        ),
        depends_on=tuple(
            acs_tasks.Dependency(container_name=one.container_name, condition=one.condition)
            for one in container.depends_on
        ),
        start_timeout=container.start_timeout or 0,
        stop_timeout=container.stop_timeout or 0,
        health_check_type="docker" if container.health_check is not None else "",
        restart_policy=acs_tasks.RestartPolicy(
            enabled=restart.enabled,
            ignored_exit_codes=restart.ignored_exit_codes,
            restart_attempt_period=restart.restart_attempt_period or 0,
        )
        if restart is not None
        else None,
        overrides=msgspec.json.encode(docker.ContainerOverrides(command=command_override)).decode(),
        docker_config=docker.make(_config(container), _host_config(container, mode)),
    )


def _port(mapping: task_definitions.PortMapping, mode: task_definitions.NetworkMode) -> acs_tasks.PortMapping:
    """In host and awsvpc mode the host's port is the container's (behaviour.md 5.11)."""
    container_port = mapping.container_port or 0
    host_port = container_port if mode in ("host", "awsvpc") else mapping.host_port or 0
    return acs_tasks.PortMapping(container_port=container_port, host_port=host_port, protocol=mapping.protocol)


def _config(container: task_definitions.ContainerDefinition) -> docker.Config:
    check = container.health_check
    return docker.Config(
        user=container.user or "",
        working_dir=container.working_directory or "",
        hostname=container.hostname or "",
        labels=container.docker_labels or None,
        healthcheck=_health(check) if check is not None else None,
    )


def _health(check: task_definitions.HealthCheck) -> docker.HealthConfig:
    """A command without CMD or CMD-SHELL before it is taken as an exec form, as ECS does."""
    test = check.command if check.command[:1] and check.command[0] in SHELL_TEST_KINDS else ("CMD", *check.command)
    return docker.HealthConfig(
        test=test,
        interval=check.interval * docker.NANOSECONDS_PER_SECOND,
        timeout=check.timeout * docker.NANOSECONDS_PER_SECOND,
        retries=check.retries,
        start_period=(check.start_period or 0) * docker.NANOSECONDS_PER_SECOND,
    )


def _host_config(
    container: task_definitions.ContainerDefinition, mode: task_definitions.NetworkMode
) -> docker.HostConfig:
    linux = container.linux_parameters or task_definitions.LinuxParameters()
    capabilities = linux.capabilities or task_definitions.KernelCapabilities()
    log = container.log_configuration
    return docker.HostConfig(
        network_mode="none" if container.disable_networking else mode,
        log_config=docker.LogConfig(type=log.log_driver, config=log.options or None) if log is not None else None,
        cap_add=capabilities.add or None,
        cap_drop=capabilities.drop or None,
        ulimits=tuple(
            docker.Ulimit(name=one.name, soft=one.soft_limit, hard=one.hard_limit) for one in container.ulimits
        )
        or None,
        privileged=bool(container.privileged),
        readonly_rootfs=bool(container.readonly_root_filesystem),
        memory_reservation=(container.memory_reservation or 0) * MIB,
        tmpfs={one.container_path: ",".join((*one.mount_options, f"size={one.size}m")) for one in linux.tmpfs} or None,
        sysctls={one.namespace: one.value or "" for one in container.system_controls if one.namespace is not None}
        or None,
        dns=container.dns_servers or None,
        dns_search=container.dns_search_domains or None,
        extra_hosts=tuple(f"{one.hostname}:{one.ip_address}" for one in container.extra_hosts) or None,
        security_opt=container.docker_security_options or None,
        shm_size=(linux.shared_memory_size or 0) * MIB,
        init=linux.init_process_enabled,
    )


def _volume(volume: task_definitions.Volume) -> acs_tasks.Volume:
    source = volume.host.source_path if volume.host is not None else None
    return acs_tasks.Volume(name=volume.name, type="host", host=acs_tasks.HostVolume(source_path=source or ""))


def _interfaces(scope: base_scope.Scope, task: tasks.Task) -> tuple[acs_tasks.ElasticNetworkInterface, ...]:
    interface = task.desired.network_interface
    if interface is None:
        return ()
    return (
        acs_tasks.ElasticNetworkInterface(
            attachment_arn=names.attachment_arn(scope, task.cluster, interface.attachment_id),
            ec2_id=interface.network_interface_id,
            mac_address=interface.mac_address,
            ipv4_addresses=(acs_tasks.Ipv4Address(primary=True, private_address=interface.ipv4_address),),
            subnet_gateway_ipv4_address=f"{interface.gateway}/{interface.prefix_length}",
        ),
    )
