"""A task's records as the payload's Task: a golden one, and what each part becomes (agent-protocol.md 3)."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from ecs_world import World, id_of

from roadstead.acs import docker
from roadstead.acs import tasks as acs_tasks
from roadstead.agent import specs
from roadstead.control.sessions import payload
from roadstead.model import task_definitions

CONTAINER: dict[str, Any] = {
    "name": "app",
    "image": "site:1",
    "cpu": 256,
    "memory": 512,
    "memoryReservation": 256,
    "command": ["serve"],
    "entryPoint": ["/bin/sh", "-c"],
    "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
    "portMappings": [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}, {"containerPort": 53, "protocol": "udp"}],
    "mountPoints": [{"sourceVolume": "data", "containerPath": "/data", "readOnly": True}],
    "stopTimeout": 7,
    "user": "1000:1000",
    "workingDirectory": "/srv",
    "hostname": "web",
    "readonlyRootFilesystem": True,
    "dnsServers": ["10.0.0.2"],
    "dnsSearchDomains": ["internal"],
    "extraHosts": [{"hostname": "db", "ipAddress": "10.0.0.9"}],
    "dockerSecurityOptions": ["no-new-privileges"],
    "dockerLabels": {"team": "a"},
    "ulimits": [{"name": "nofile", "softLimit": 10, "hardLimit": 20}],
    "logConfiguration": {"logDriver": "json-file"},
    "healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 10, "timeout": 3, "retries": 2, "startPeriod": 4},
    "systemControls": [{"namespace": "net.core.somaxconn", "value": "512"}],
    "restartPolicy": {"enabled": True, "ignoredExitCodes": [0], "restartAttemptPeriod": 60},
    "linuxParameters": {
        "capabilities": {"add": ["NET_ADMIN"], "drop": ["MKNOD"]},
        "initProcessEnabled": True,
        "sharedMemorySize": 64,
        "tmpfs": [{"containerPath": "/tmp", "size": 16, "mountOptions": ["noexec"]}],
    },
}
SIDE = {
    "name": "side",
    "image": "side:1",
    "essential": False,
    "memory": 32,
    "dependsOn": [{"containerName": "app", "condition": "START"}],
}
NEEDS = (
    "com.amazonaws.ecs.capability.logging-driver.json-file",
    "com.amazonaws.ecs.capability.docker-remote-api.1.21",
    "com.amazonaws.ecs.capability.docker-remote-api.1.22",
    "com.amazonaws.ecs.capability.docker-remote-api.1.25",
)


def built(world: World, arn: str) -> acs_tasks.Task:
    task = world.task(arn)
    definition = world.get(task_definitions.TaskDefinition, task.spec.task_definition)
    instance = world.instance(f"/{task.desired.container_instance}")
    made = payload.build(world.store.scope, task, definition, instance)
    assert msgspec.json.decode(msgspec.json.encode(made), type=acs_tasks.Task) == made
    return made


def full(world: World) -> str:
    """The ARN of a task of everything that a definition may say."""
    world.join(*({"name": name} for name in NEEDS))
    volumes = [{"name": "data", "host": {"sourcePath": "/var/data"}}, {"name": "scratch"}]
    world.define("full", containerDefinitions=[CONTAINER, SIDE], volumes=volumes, cpu="512", memory="1024")
    override = {"name": "app", "command": ["other"], "environment": [{"name": "B", "value": "3"}], "memory": 600}
    return world.run("full", overrides={"containerOverrides": [override]}, group="g")


def test_every_part_of_a_definition_reaches_the_agent(world: World) -> None:
    arn = full(world)
    task = built(world, arn)
    prefix = "arn:aws:ecs:us-east-1:123456789012"
    assert (task.arn, task.task_cluster_arn) == (arn, f"{prefix}:cluster/default")
    assert (task.family, task.version, task.group, task.launch_type) == ("full", "1", "g", "EC2")
    assert (task.cpu, task.memory, task.network_mode) == (0.5, 1024, "bridge")
    assert (task.desired_status, task.zone, task.task_definition_account_id) == (
        "RUNNING",
        "us-east-1a",
        "123456789012",
    )
    assert [(one.name, one.type, one.host) for one in task.volumes] == [
        ("data", "host", acs_tasks.HostVolume(source_path="/var/data")),
        ("scratch", "host", acs_tasks.HostVolume()),
    ]
    app, side = task.containers
    shown = world.describe(arn)["containers"][0]
    assert app.container_arn == shown["containerArn"]
    assert (app.name, app.image, app.cpu, app.memory, app.essential) == ("app", "site:1", 256, 600, True)
    assert (app.command, app.entry_point) == (("serve",), ("/bin/sh", "-c"))
    assert json.loads(app.overrides) == {"command": ["other"]} and json.loads(side.overrides) == {}
    assert app.environment == {"A": "1", "B": "3"}
    assert app.port_mappings == (
        acs_tasks.PortMapping(container_port=80),
        acs_tasks.PortMapping(container_port=53, protocol="udp"),
    )
    assert app.mount_points == (acs_tasks.MountPoint(source_volume="data", container_path="/data", read_only=True),)
    assert (app.stop_timeout, app.health_check_type) == (7, "docker")
    assert app.restart_policy == acs_tasks.RestartPolicy(
        enabled=True, ignored_exit_codes=(0,), restart_attempt_period=60
    )
    assert side.depends_on == (acs_tasks.Dependency(container_name="app", condition="START"),)
    assert not side.essential


def test_what_docker_shall_do_is_said_in_dockers_words(world: World) -> None:
    task = built(world, full(world))
    app = task.containers[0]
    assert app.docker_config is not None
    assert json.loads(app.docker_config.config) == {
        "User": "1000:1000",
        "WorkingDir": "/srv",
        "Hostname": "web",
        "Labels": {"team": "a"},
        "Healthcheck": {
            "Test": ["CMD-SHELL", "true"],
            "Interval": 10_000_000_000,
            "Timeout": 3_000_000_000,
            "Retries": 2,
            "StartPeriod": 4_000_000_000,
        },
    }
    assert json.loads(app.docker_config.host_config) == {
        "NetworkMode": "bridge",
        "LogConfig": {"Type": "json-file"},
        "CapAdd": ["NET_ADMIN"],
        "CapDrop": ["MKNOD"],
        "Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 20}],
        "ReadonlyRootfs": True,
        "MemoryReservation": 256 << 20,
        "Tmpfs": {"/tmp": "noexec,size=16m"},
        "Sysctls": {"net.core.somaxconn": "512"},
        "Dns": ["10.0.0.2"],
        "DnsSearch": ["internal"],
        "ExtraHosts": ["db:10.0.0.9"],
        "SecurityOpt": ["no-new-privileges"],
        "ShmSize": 64 << 20,
        "Init": True,
    }
    specs.check(task)


def test_every_member_of_a_container_definition_is_translated() -> None:
    """A member that a later change adds to the record must not be forgotten here."""

    camel = set(CONTAINER) | set(SIDE)
    wire = {field.encode_name for field in msgspec.structs.fields(task_definitions.ContainerDefinition)}
    not_here = wire - camel
    assert not_here == {"startTimeout", "disableNetworking", "privileged"}


def test_an_awsvpc_task_has_its_interface_and_host_ports_are_the_containers_own(world: World) -> None:
    world.join()
    container = {"name": "app", "image": "i", "memory": 64, "portMappings": [{"containerPort": 80}]}
    world.define("vpc", networkMode="awsvpc", containerDefinitions=[container])
    arn = world.run("vpc", networkConfiguration={"awsvpcConfiguration": {"subnets": ["s"]}})
    task = built(world, arn)
    (interface,) = task.elastic_network_interfaces
    chosen = world.task(arn).desired.network_interface
    assert chosen is not None
    assert interface.ipv4_addresses == (acs_tasks.Ipv4Address(primary=True, private_address=chosen.ipv4_address),)
    assert interface.mac_address == chosen.mac_address
    assert interface.subnet_gateway_ipv4_address == "10.1.0.1/24"
    assert id_of(interface.attachment_arn) == chosen.attachment_id
    assert task.containers[0].port_mappings == (acs_tasks.PortMapping(container_port=80, host_port=80),)
    assert docker.host_config_of(task.containers[0].docker_config).network_mode == "awsvpc"
    specs.check(task)
