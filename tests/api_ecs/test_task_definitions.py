"""Task definitions: what is registered comes back, what is wrong is refused in AWS's words."""

from __future__ import annotations

import copy
from typing import Any

import pytest

ARN = "arn:aws:ecs:us-east-1:123456789012:task-definition/"
CLIENT = "ClientException"

FULL: dict[str, Any] = {
    "family": "full",
    "taskRoleArn": "arn:aws:iam::123456789012:role/task",
    "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
    "networkMode": "bridge",
    "cpu": "1 vCPU",
    "memory": "1 GB",
    "requiresCompatibilities": ["EC2"],
    "volumes": [{"name": "data"}, {"name": "host", "host": {"sourcePath": "/srv"}}],
    "placementConstraints": [{"type": "memberOf", "expression": "attribute:ecs.os-type == linux"}],
    "containerDefinitions": [
        {
            "name": "app",
            "image": "registry.example/app:1.0",
            "cpu": 256,
            "memory": 512,
            "memoryReservation": 256,
            "essential": True,
            "portMappings": [
                {"containerPort": 80, "hostPort": 8080, "protocol": "tcp", "name": "http", "appProtocol": "http"}
            ],
            "entryPoint": ["/bin/sh", "-c"],
            "command": ["serve"],
            "environment": [{"name": "A", "value": "1"}, {"name": "EMPTY", "value": ""}],
            "mountPoints": [{"sourceVolume": "data", "containerPath": "/data", "readOnly": True}],
            "linuxParameters": {
                "capabilities": {"add": ["NET_ADMIN"], "drop": ["MKNOD"]},
                "initProcessEnabled": True,
                "sharedMemorySize": 64,
                "tmpfs": [{"containerPath": "/tmp", "size": 16, "mountOptions": ["noexec", "mode=1777"]}],
            },
            "dependsOn": [{"containerName": "init", "condition": "SUCCESS"}],
            "startTimeout": 30,
            "stopTimeout": 20,
            "hostname": "app",
            "user": "1000:1000",
            "workingDirectory": "/srv",
            "privileged": False,
            "readonlyRootFilesystem": True,
            "dnsServers": ["10.0.0.2"],
            "dnsSearchDomains": ["example"],
            "extraHosts": [{"hostname": "db", "ipAddress": "10.0.0.3"}],
            "dockerSecurityOptions": ["no-new-privileges"],
            "dockerLabels": {"team": "web"},
            "ulimits": [{"name": "nofile", "softLimit": 1024, "hardLimit": 4096}],
            "logConfiguration": {"logDriver": "json-file"},
            "healthCheck": {
                "command": ["CMD-SHELL", "true"],
                "interval": 10,
                "timeout": 3,
                "retries": 2,
                "startPeriod": 5,
            },
            "systemControls": [{"namespace": "net.core.somaxconn", "value": "1024"}],
            "restartPolicy": {"enabled": True, "ignoredExitCodes": [0], "restartAttemptPeriod": 60},
            "volumesFrom": [],
        },
        {
            "name": "init",
            "image": "busybox",
            "cpu": 0,
            "memory": 64,
            "essential": False,
            "portMappings": [],
            "environment": [],
            "mountPoints": [],
            "volumesFrom": [],
            "systemControls": [],
        },
    ],
}


def test_everything_that_was_registered_comes_back(world: Any) -> None:
    world.call("RegisterTaskDefinition", **FULL, tags=[{"key": "team", "value": "web"}])
    found = world.call("DescribeTaskDefinition", taskDefinition="full", include=["TAGS"])
    assert found["tags"] == [{"key": "team", "value": "web"}]
    shown = found["taskDefinition"]
    assert shown["containerDefinitions"] == FULL["containerDefinitions"]
    assert shown["volumes"] == [{"name": "data", "host": {}}, {"name": "host", "host": {"sourcePath": "/srv"}}]
    for member in ("taskRoleArn", "executionRoleArn", "networkMode", "requiresCompatibilities", "placementConstraints"):
        assert shown[member] == FULL[member], member
    assert (shown["cpu"], shown["memory"]) == ("1024", "1024"), "kept as whole numbers"
    assert (shown["taskDefinitionArn"], shown["revision"], shown["status"]) == (ARN + "full:1", 1, "ACTIVE")
    assert shown["compatibilities"] == ["EXTERNAL", "EC2"]
    assert {one["name"] for one in shown["requiresAttributes"]} == {
        "com.amazonaws.ecs.capability.docker-remote-api.1.17",
        "com.amazonaws.ecs.capability.docker-remote-api.1.18",
        "com.amazonaws.ecs.capability.docker-remote-api.1.21",
        "com.amazonaws.ecs.capability.docker-remote-api.1.22",
        "com.amazonaws.ecs.capability.docker-remote-api.1.24",
        "com.amazonaws.ecs.capability.docker-remote-api.1.25",
        "com.amazonaws.ecs.capability.logging-driver.json-file",
        "com.amazonaws.ecs.capability.task-iam-role",
        "ecs.capability.container-health-check",
        "ecs.capability.container-ordering",
        "ecs.capability.container-restart-policy",
    }


def test_registering_what_describe_shows_gives_the_same_again(world: Any) -> None:
    """Deploy scripts describe, change the image and register."""
    first = world.call("RegisterTaskDefinition", **FULL)["taskDefinition"]
    computed = {"taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt"}
    again = {name: value for name, value in first.items() if name not in computed | {"registeredBy"}}
    second = world.call("RegisterTaskDefinition", **again)["taskDefinition"]
    assert second["revision"] == 2
    assert {name: second[name] for name in again} == again


def test_the_defaults_that_ecs_adds(world: Any) -> None:
    container = {
        "name": "app",
        "image": "busybox",
        "memory": 64,
        "portMappings": [{"containerPort": 80}],
        "healthCheck": {"command": ["CMD", "true"]},
    }
    shown = world.call("RegisterTaskDefinition", family="plain", containerDefinitions=[container])["taskDefinition"]
    assert shown["containerDefinitions"] == [
        {
            **container,
            "cpu": 0,
            "essential": True,
            "portMappings": [{"containerPort": 80, "hostPort": 0, "protocol": "tcp"}],
            "environment": [],
            "mountPoints": [],
            "volumesFrom": [],
            "systemControls": [],
            "healthCheck": {"command": ["CMD", "true"], "interval": 30, "timeout": 5, "retries": 3},
        }
    ]
    assert "networkMode" not in shown
    assert shown["volumes"] == []
    assert shown["placementConstraints"] == []


@pytest.mark.parametrize("mode", ["awsvpc", "host"])
def test_host_ports_are_those_of_the_container_where_they_share_its_network(world: Any, mode: str) -> None:
    container = {"name": "app", "image": "busybox", "memory": 64, "portMappings": [{"containerPort": 80}]}
    shown = world.call("RegisterTaskDefinition", family="f", networkMode=mode, containerDefinitions=[container])
    mapping = shown["taskDefinition"]["containerDefinitions"][0]["portMappings"][0]
    assert mapping["hostPort"] == 80


@pytest.mark.parametrize(
    ("cpu", "memory", "kept"),
    [
        ("256", "512", ("256", "512")),
        (".25 vCPU", "0.5GB", ("256", "512")),
        ("0.25 vcpu", "0.5 gb", ("256", "512")),
        ("2vCPU", "4 GB", ("2048", "4096")),
    ],
)
def test_sizes_are_kept_as_whole_numbers(world: Any, cpu: str, memory: str, kept: tuple[str, str]) -> None:
    shown = world.register("f", cpu=cpu, memory=memory)
    assert (shown["cpu"], shown["memory"]) == kept


@pytest.mark.parametrize("cpu", ["", "abc", "127", "196609", "1.5", "0.0001 vCPU", "-256", "1 GB", "9" * 40])
def test_a_task_cpu_that_is_none(world: Any, cpu: str) -> None:
    code, text = world.refused(
        "RegisterTaskDefinition", family="f", cpu=cpu, containerDefinitions=[{"name": "a", "image": "b", "memory": 64}]
    )
    assert code == CLIENT
    assert text.startswith("Invalid 'cpu' setting for task.")


def _fargate(cpu: str | None, memory: str | None, mode: str = "awsvpc") -> dict[str, Any]:
    sizes = {name: value for name, value in (("cpu", cpu), ("memory", memory)) if value}
    return {
        "family": "f",
        "networkMode": mode,
        "requiresCompatibilities": ["FARGATE"],
        "containerDefinitions": [{"name": "a", "image": "b"}, {"name": "c", "image": "d", "memory": 64}][
            : 1 if memory else 2
        ],
        **sizes,
    }


@pytest.mark.parametrize(
    ("cpu", "memory"),
    [
        ("256", "512"),
        ("256", "2048"),
        ("512", "3072"),
        ("1024", "8192"),
        ("4096", "30720"),
        ("8192", "20480"),
        ("16 vCPU", "40GB"),
    ],
)
def test_fargate_sizes_are_registered(world: Any, cpu: str, memory: str) -> None:
    shown = world.call("RegisterTaskDefinition", **_fargate(cpu, memory))["taskDefinition"]
    assert shown["compatibilities"] == ["EC2", "FARGATE"]
    assert shown["requiresCompatibilities"] == ["FARGATE"]


@pytest.mark.parametrize(
    ("params", "text"),
    [
        (_fargate("256", "3072"), "No Fargate configuration exists for given values."),
        (_fargate("300", "512"), "No Fargate configuration exists for given values."),
        (_fargate("8192", "17408"), "No Fargate configuration exists for given values."),
        (_fargate("256", "512", "bridge"), "Fargate only supports network mode ‘awsvpc’."),
        (_fargate(None, "512"), "Fargate requires that 'cpu' be defined at the task level."),
        (
            {**FULL, "requiresCompatibilities": ["MANAGED_INSTANCES"]},
            "requiresCompatibilities: MANAGED_INSTANCES is not",
        ),
    ],
)
def test_what_fargate_does_not_have(world: Any, params: dict[str, Any], text: str) -> None:
    code, found = world.refused("RegisterTaskDefinition", **params)
    assert (code, found[: len(text)]) == (CLIENT, text)


def _changed(path: str, value: Any) -> dict[str, Any]:
    """FULL with one member (`0.cpu`: of the first container; `family`: of the task) set to another value."""
    wanted = copy.deepcopy(FULL)
    place: Any = wanted
    *way, last = path.split(".")
    for step in way:
        place = place["containerDefinitions"][int(step)] if step.isdigit() else place[step]
    if value is None:
        place.pop(last, None)
    else:
        place[last] = value
    return wanted


SETTING = "Invalid setting for container 'app'. "
TWO_PORTS = [{"containerPort": 80, "hostPort": 8080}, {"containerPort": 81, "hostPort": 8080}]


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("family", "", "Family should not be null or empty."),
        ("family", "no spaces", "Family contains invalid characters."),
        ("family", "x" * 256, "Family can not be longer"),
        ("containerDefinitions", [], "Container list cannot be empty."),
        ("0.name", None, "Container.name should not be null or empty."),
        ("0.name", "a b", "Container.name contains invalid characters."),
        ("0.name", "init", "Container.name must be unique"),
        ("0.image", None, "Container.image should not be null or empty."),
        ("0.image", "$IMAGE:$TAG", "Container.image contains invalid characters."),
        ("0.image", "x" * 256, "Container.image repository should be 255 characters or less."),
        ("0.essential", False, "Invalid setting for task definition. At least one container must be essential."),
        ("0.memory", 5, SETTING + "'memory' must be at least 6 MiB."),
        ("0.memory", 255, SETTING + "'memory' must not be less than 'memoryReservation'."),
        ("0.memory", 1025, "The 'memory' setting for container is greater than for the task."),
        ("1.memory", 1024, "The total memory of the containers"),
        ("0.cpu", 1025, "The total cpu of the containers"),
        ("0.cpu", -1, SETTING + "'cpu' must not be negative."),
        ("0.portMappings", [{"hostPort": 80}], SETTING + "Container port must be between 1 and 65535."),
        ("0.portMappings", [{"containerPort": 65536}], SETTING + "Container port must be between 1 and 65535."),
        ("0.portMappings", [{"containerPort": 1, "hostPort": -1}], SETTING + "Host port must be between 0 and 65535."),
        ("0.portMappings", [{"containerPort": 1, "name": "-x"}], SETTING + "The port mapping name '-x'"),
        ("0.portMappings", TWO_PORTS, SETTING + "Host port 8080/tcp is used by more than one port mapping."),
        ("0.mountPoints", [{"sourceVolume": "no", "containerPath": "/x"}], "Unknown volume 'no'."),
        (
            "0.mountPoints",
            [{"sourceVolume": "data", "containerPath": "x"}],
            SETTING + "The containerPath of a mount point",
        ),
        (
            "0.dependsOn",
            [{"containerName": "no", "condition": "START"}],
            SETTING + "It depends on an unknown container 'no'.",
        ),
        ("0.dependsOn", [{"containerName": "app", "condition": "START"}], SETTING + "It can not depend on itself."),
        ("0.dependsOn", [{"containerName": "init", "condition": "HEALTHY"}], SETTING + "The condition HEALTHY needs"),
        (
            "1.dependsOn",
            [{"containerName": "app", "condition": "START"}],
            "Container dependencies form a cycle: app, init.",
        ),
        ("1.essential", True, SETTING + "The condition SUCCESS can not be set on the essential container 'init'."),
        ("0.healthCheck.interval", 4, SETTING + "The health check's interval must be between 5 and 300."),
        ("0.healthCheck.timeout", 61, SETTING + "The health check's timeout must be between 2 and 60."),
        ("0.healthCheck.retries", 0, SETTING + "The health check's retries must be between 1 and 10."),
        ("0.healthCheck.startPeriod", 301, SETTING + "The health check's startPeriod must be between 0 and 300."),
        ("0.healthCheck.command", ["true"], SETTING + "The health check command must begin with CMD"),
        ("0.restartPolicy.restartAttemptPeriod", 59, SETTING + "'restartAttemptPeriod' must be between 60 and 1800"),
        ("0.logConfiguration", {"logDriver": "awslogs"}, SETTING + "The log driver 'awslogs' is not supported"),
        (
            "0.dockerSecurityOptions",
            ["apparmor:x"],
            SETTING + "The Docker security option 'apparmor:x' is not supported",
        ),
        (
            "0.ulimits",
            [{"name": "nofile", "softLimit": 2, "hardLimit": 1}],
            SETTING + "The softLimit of ulimit 'nofile'",
        ),
        ("0.linuxParameters", {"capabilities": {"add": ["FLY"]}}, SETTING + "'FLY' is not a valid Linux capability."),
        (
            "0.linuxParameters",
            {"tmpfs": [{"containerPath": "/data", "size": 1}]},
            SETTING + "The containerPath '/data' is used",
        ),
        ("0.environment", [{"name": "", "value": "x"}], SETTING + "The name of an environment variable"),
        ("0.environment", [{"name": "A", "value": "x" * 65_536}], "Actual length: '"),
        ("volumes", [{"name": "data"}, {"name": "data"}], "Volume.name must be unique"),
        ("volumes", [{"host": {"sourcePath": "/x"}}], "Volume.name should not be null or empty."),
        ("volumes", [{"name": "data", "host": {"sourcePath": "x"}}], "The sourcePath of volume 'data' must be"),
        ("placementConstraints", [{"type": "memberOf"}], "The placement constraint memberOf requires an expression."),
        ("memory", "5", "Invalid 'memory' setting for task."),
    ],
)
def test_what_is_wrong_with_a_definition_is_said(world: Any, path: str, value: Any, text: str) -> None:
    code, found = world.refused("RegisterTaskDefinition", **_changed(path, value))
    assert (code, found[: len(text)]) == (CLIENT, text)


def test_every_container_needs_memory_where_the_task_has_none(world: Any) -> None:
    wanted = {"family": "f", "containerDefinitions": [{"name": "app", "image": "busybox"}]}
    expected = "Invalid setting for container 'app'. At least one of 'memory' or 'memoryReservation' must be specified."
    assert world.refused("RegisterTaskDefinition", **wanted) == (CLIENT, expected)
    world.call("RegisterTaskDefinition", **wanted, memory="512")


@pytest.mark.parametrize("mode", ["awsvpc", "host"])
def test_ports_must_match_where_the_network_is_shared(world: Any, mode: str) -> None:
    ports = [{"containerPort": 80, "hostPort": 8080}]
    container = {"name": "app", "image": "busybox", "memory": 64, "portMappings": ports}
    code, text = world.refused("RegisterTaskDefinition", family="f", networkMode=mode, containerDefinitions=[container])
    expected = f"When networkMode={mode}, the host ports and container ports in port mappings must match."
    assert (code, text) == (CLIENT, expected)


@pytest.mark.parametrize(
    "member",
    [
        {"secrets": [{"name": "A", "valueFrom": "arn"}]},
        {"links": ["other"]},
        {"interactive": True},
        {"pseudoTerminal": True},
        {"volumesFrom": [{"sourceContainer": "x"}]},
        {"resourceRequirements": [{"type": "GPU", "value": "1"}]},
        {"logConfiguration": {"logDriver": "json-file", "options": {"max-size": "1m"}}},
        {"linuxParameters": {"swappiness": 1}},
        {"portMappings": [{"containerPortRange": "80-90"}]},
    ],
)
def test_what_is_not_honoured_is_not_accepted(world: Any, member: dict[str, Any]) -> None:
    container = {"name": "a", "image": "b", "memory": 64, **member}
    assert world.refused("RegisterTaskDefinition", family="f", containerDefinitions=[container])[0] == "Unsupported"


def test_revisions_count_up_and_a_family_means_its_newest_active_one(world: Any) -> None:
    for _ in range(3):
        world.register("web")
    assert world.call("DescribeTaskDefinition", taskDefinition="web")["taskDefinition"]["revision"] == 3
    world.call("DeregisterTaskDefinition", taskDefinition="web:2")
    gone = world.call("DeregisterTaskDefinition", taskDefinition=ARN + "web:3")["taskDefinition"]
    assert (gone["status"], gone["deregisteredAt"].timestamp()) == ("INACTIVE", 1000.0)
    assert world.call("DescribeTaskDefinition", taskDefinition="web")["taskDefinition"]["revision"] == 1
    assert world.call("DescribeTaskDefinition", taskDefinition="web:3")["taskDefinition"]["status"] == "INACTIVE"
    assert world.register("web")["revision"] == 4, "numbers are never used twice"
    revision = world.store.revision
    world.call("DeregisterTaskDefinition", taskDefinition="web:2")
    assert world.store.revision == revision, "doing it again changes nothing"


def test_what_does_not_exist(world: Any) -> None:
    missing = (CLIENT, "Unable to describe task definition.")
    assert world.refused("DescribeTaskDefinition", taskDefinition="none") == missing
    world.register("web")
    assert world.refused("DescribeTaskDefinition", taskDefinition="web:2") == missing
    assert world.refused("DeregisterTaskDefinition", taskDefinition="web")[0] == CLIENT
    assert world.refused("DeregisterTaskDefinition", taskDefinition="web:9")[0] == CLIENT
    world.call("DeregisterTaskDefinition", taskDefinition="web:1")
    assert world.refused("DescribeTaskDefinition", taskDefinition="web") == missing


@pytest.mark.parametrize("sort", ["ASC", "DESC"])
def test_definitions_are_listed_by_family_and_number_in_pages(world: Any, sort: str) -> None:
    for family, count in (("api", 2), ("web", 11)):
        for _ in range(count):
            world.register(family)
    world.call("DeregisterTaskDefinition", taskDefinition="web:5")
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = world.call("ListTaskDefinitions", sort=sort, maxResults=5, **token)
        assert len(page["taskDefinitionArns"]) <= 5
        found += page["taskDefinitionArns"]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    expected = [ARN + f"api:{n}" for n in (1, 2)] + [ARN + f"web:{n}" for n in range(1, 12) if n != 5]
    assert found == (expected if sort == "ASC" else expected[::-1])
    of_web = world.call("ListTaskDefinitions", familyPrefix="web", status="INACTIVE", sort=sort)
    assert of_web == {"taskDefinitionArns": [ARN + "web:5"]}


def test_families_are_listed_by_prefix_and_status(world: Any) -> None:
    for family in ("api", "web", "web-2", "worker"):
        world.register(family)
    world.call("DeregisterTaskDefinition", taskDefinition="web-2:1")
    listed = world.call("ListTaskDefinitionFamilies", familyPrefix="w", maxResults=2)
    assert listed["families"] == ["web", "web-2"]
    rest = world.call("ListTaskDefinitionFamilies", familyPrefix="w", maxResults=2, nextToken=listed["nextToken"])
    assert rest == {"families": ["worker"]}
    assert world.call("ListTaskDefinitionFamilies", status="ACTIVE")["families"] == ["api", "web", "worker"]
    assert world.call("ListTaskDefinitionFamilies", status="INACTIVE")["families"] == ["web-2"]
