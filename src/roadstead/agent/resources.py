"""What tasks take from the instance, and whether one more fits (agent-protocol.md 5, C16). Pure."""

from __future__ import annotations

import msgspec

from roadstead.acs import docker
from roadstead.acs import tasks as acs_tasks
from roadstead.agent import specs

Port = tuple[str, int]
"""Protocol and number."""


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """CPU in units, memory in MiB, fixed host ports."""

    cpu_units: int = 0
    memory_mib: int = 0
    ports: frozenset[Port] = frozenset()


def needs_of(task: acs_tasks.Task) -> Needs:
    """What placement reserves for the task: its own cpu and memory, else the sums of its containers'.

    A container counts by its reservation where it has one, else by its hard limit.
    """
    cpu = round(task.cpu * specs.UNITS_PER_CPU) or sum(each.cpu for each in task.containers)
    memory = task.memory or sum(_memory_mib(each) for each in task.containers)
    return Needs(cpu_units=cpu, memory_mib=memory, ports=_ports(task))


class Ledger:
    """Who holds what of the instance."""

    def __init__(self, cpu_units: int, memory_mib: int) -> None:
        self._total = Needs(cpu_units=cpu_units, memory_mib=memory_mib)
        self._held: dict[str, Needs] = {}
        self._cpu_units = 0
        self._memory_mib = 0
        self._ports: dict[Port, int] = {}

    def fits(self, needs: Needs) -> bool:
        """Whether there is room left."""
        return (
            self._cpu_units + needs.cpu_units <= self._total.cpu_units
            and self._memory_mib + needs.memory_mib <= self._total.memory_mib
            and not needs.ports & self._ports.keys()
        )

    def could_fit(self, needs: Needs) -> bool:
        """Whether an empty instance would have room."""
        return needs.cpu_units <= self._total.cpu_units and needs.memory_mib <= self._total.memory_mib

    def hold(self, holder: str, needs: Needs) -> None:
        """Count it, whether it fits or not: what runs, runs."""
        assert holder not in self._held
        self._held[holder] = needs
        self._cpu_units += needs.cpu_units
        self._memory_mib += needs.memory_mib
        for port in needs.ports:
            self._ports[port] = self._ports.get(port, 0) + 1

    def release(self, holder: str) -> bool:
        """Count it no more; False where it was not counted."""
        needs = self._held.pop(holder, None)
        if needs is None:
            return False
        self._cpu_units -= needs.cpu_units
        self._memory_mib -= needs.memory_mib
        for port in needs.ports:
            self._ports[port] -= 1
            if not self._ports[port]:
                del self._ports[port]
        return True


def _memory_mib(container: acs_tasks.Container) -> int:
    try:
        reserved = docker.host_config_of(container.docker_config).memory_reservation // specs.MIB
    except docker.MalformedDockerConfig:
        reserved = 0
    return reserved or container.memory


def _ports(task: acs_tasks.Task) -> frozenset[Port]:
    """Ports of the host that are asked for by number; an awsvpc task has ports of its own."""
    try:
        mode = specs.network_mode_of(task)
    except (specs.Unsupported, docker.MalformedDockerConfig):
        return frozenset()
    mappings = [each for container in task.containers for each in container.port_mappings]
    if mode == "host":
        return frozenset((each.protocol, each.host_port or each.container_port) for each in mappings)
    if mode == "bridge":
        return frozenset((each.protocol, each.host_port) for each in mappings if each.host_port)
    return frozenset()
