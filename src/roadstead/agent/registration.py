"""What the agent tells of its instance when it registers (agent-protocol.md 2.1). Pure."""

from __future__ import annotations

import platform

from roadstead.agent import api, runtime, settings
from roadstead.base import errors

DOCKER_API_MINORS = range(17, 26)
"""Remote API levels whose features this agent has: definitions ask for them by number."""
CAPABILITIES = (
    "com.amazonaws.ecs.capability.logging-driver.json-file",
    "com.amazonaws.ecs.capability.privileged-container",
    "ecs.capability.container-health-check",
    "ecs.capability.container-ordering",
    "ecs.capability.container-restart-policy",
    "ecs.capability.full-sync",
    "ecs.capability.pid-ipc-namespace-sharing.private",
    "ecs.capability.task-cpu-mem-limit",
)
ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}


def request(
    chosen: settings.Settings, facts: runtime.HostFacts, version: str, kept_arn: str, client_token: str
) -> api.RegisterContainerInstance:
    """The registration: the first one (no `kept_arn`) carries custom attributes, a later one does not."""
    return api.RegisterContainerInstance(
        cluster=chosen.cluster,
        client_token=client_token,
        container_instance_arn=kept_arn,
        attributes=_attributes(chosen, facts, first=not kept_arn),
        total_resources=(
            api.Resource(name="CPU", type="INTEGER", integer_value=cpu_units(chosen, facts)),
            api.Resource(name="MEMORY", type="INTEGER", integer_value=memory_mib(chosen, facts)),
            api.Resource(name="PORTS", type="STRINGSET", string_set_value=_texts(facts.reserved_ports_tcp)),
            api.Resource(name="PORTS_UDP", type="STRINGSET", string_set_value=_texts(facts.reserved_ports_udp)),
        ),
        version_info={"agentVersion": version, "agentHash": "roadstead", "dockerVersion": facts.runtime_version},
    )


def cpu_units(chosen: settings.Settings, facts: runtime.HostFacts) -> int:
    """What is offered to tasks, in units."""
    return chosen.cpu_units or facts.cpu_units


def memory_mib(chosen: settings.Settings, facts: runtime.HostFacts) -> int:
    """What is offered to tasks, in MiB."""
    return chosen.memory_mib or facts.memory_mib


def check(sent: api.RegisterContainerInstance, reply: api.RegisterContainerInstanceReply) -> None:
    """Every attribute that was sent must come back with an equal value. Raises HostProblem, as Amazon's agent exits."""
    echoed = {each.name: each.value or "" for each in reply.container_instance.attributes}
    missing = [each.name for each in sent.attributes if echoed.get(each.name) != (each.value or "")]
    if missing:
        raise errors.HostProblem(
            "The control plane did not take this instance as it is",
            f"Attribute validation failed for {', '.join(missing)}",
            "Use an agent and a control plane that belong together.",
        )


def _attributes(chosen: settings.Settings, facts: runtime.HostFacts, *, first: bool) -> tuple[api.Attribute, ...]:
    machine = platform.machine()
    found = dict.fromkeys(CAPABILITIES) | {
        f"com.amazonaws.ecs.capability.docker-remote-api.1.{minor}": None for minor in DOCKER_API_MINORS
    }
    if "awsvpc" in facts.network_modes:
        found["ecs.capability.task-eni"] = None
    values: dict[str, str | None] = {
        **found,
        "ecs.os-type": "linux",
        "ecs.os-family": "LINUX",
        "ecs.cpu-architecture": ARCHITECTURES.get(machine, machine),
        "ecs.availability-zone": chosen.availability_zone,
    }
    if facts.subnet:
        values["roadstead.subnet"] = facts.subnet
    if first:
        values.update(chosen.attributes)
    return tuple(api.Attribute(name=name, value=value) for name, value in values.items())


def _texts(ports: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(str(port) for port in ports)
