"""Placement's picture of a cluster: what each instance has left, as the view has it plus what this decision placed.

Only what is asked for is looked up; nothing here scans the cluster.
"""

from __future__ import annotations

from collections.abc import Iterable

from roadstead.control.placement import addresses, query, requests
from roadstead.model import container_instances, tables, task_definitions, tasks
from roadstead.state import view as views


class Node:
    """One instance, with what is left of it."""

    __slots__ = (
        "_attributes",
        "_groups",
        "_view",
        "addresses",
        "cpu_units",
        "instance",
        "instance_id",
        "memory_mib",
        "placed",
        "ports",
    )

    def __init__(self, view: views.View, instance: container_instances.ContainerInstance) -> None:
        cpu_used, memory_used, _ = view.tally(tables.TASKS, "usage", instance.instance_id)
        self._view = view
        self.instance = instance
        self.instance_id = instance.instance_id
        self.cpu_units = instance.capacity.cpu_units - cpu_used
        self.memory_mib = instance.capacity.memory_mib - memory_used
        self.placed = 0
        """Tasks that this decision placed here."""
        self.ports: set[tasks.HostPort] = set()
        self.addresses: set[str] = set()
        self._groups: set[str] = set()
        self._attributes: frozenset[str] | None = None

    def has_attributes(self, names: frozenset[str]) -> bool:
        if self._attributes is None:
            self._attributes = frozenset(one.name for one in self.instance.attributes)
        return names <= self._attributes

    def port_is_taken(self, port: tasks.HostPort) -> bool:
        capacity = self.instance.capacity
        reserved = capacity.reserved_ports_tcp if port.protocol == "tcp" else capacity.reserved_ports_udp
        return (
            port.port in reserved
            or port in self.ports
            or self._view.size(tables.TASKS, "host_ports", self.instance_id, f"{port.port}/{port.protocol}") > 0
        )

    def load(self) -> float:
        """The fuller of its two resources, 0 to 1: breaks ties in favour of the emptier instance."""
        capacity = self.instance.capacity
        cpu = 1 - self.cpu_units / capacity.cpu_units if capacity.cpu_units else 0.0
        memory = 1 - self.memory_mib / capacity.memory_mib if capacity.memory_mib else 0.0
        return max(cpu, memory)

    def take(self, group: str, wanted: tasks.TaskResources, address: str | None) -> None:
        self.cpu_units -= wanted.cpu_units
        self.memory_mib -= wanted.memory_mib
        self.ports.update(wanted.host_ports)
        if address is not None:
            self.addresses.add(address)
        self._groups.add(group)
        self.placed += 1

    # What the cluster query language asks (query.Subjects).

    def agent_connected(self) -> bool:
        return self.instance.session.connected

    def agent_version(self) -> str | None:
        return self.instance.version_info.agent_version

    def attribute(self, name: str) -> str | None:
        return attribute_of(self.instance, name)

    def ec2_instance_id(self) -> str:
        return self.instance.ec2_instance_id

    def registered_at(self) -> float:
        return self.instance.registered_at

    def running_tasks_count(self) -> int:
        return self._view.tally(tables.TASKS, "counts", "instance", self.instance_id)[0]

    def groups(self) -> Iterable[str]:
        yield from self._groups
        for task in self._view.find(tables.TASKS, "live_by_instance", self.instance_id):
            if task.should_run:
                yield task.spec.group

    def hosts_group(self, group: str) -> bool:
        if group in self._groups:
            return True
        key = (self.instance.cluster, group, self.instance_id)
        return self._view.tally(tables.TASKS, "group_on_instance", *key)[0] > 0


ZONE_ATTRIBUTE = "ecs.availability-zone"


def attribute_of(instance: container_instances.ContainerInstance, name: str) -> str | None:
    """The value of an attribute of an instance; its zone is one even where the agent didn't send it."""
    found = instance.attribute(name)
    return instance.availability_zone if found is None and name == ZONE_ATTRIBUTE else found


class Picture:
    """All instances of a cluster, looked up as needed."""

    def __init__(self, view: views.View, cluster: str) -> None:
        self.view = view
        self.cluster = cluster
        self._nodes: dict[str, Node] = {}
        self._groups: dict[tuple[str, str], int] = {}
        self._zones: dict[tuple[str, str], int] = {}

    def node(self, instance: container_instances.ContainerInstance) -> Node:
        found = self._nodes.get(instance.instance_id)
        if found is None:
            found = self._nodes[instance.instance_id] = Node(self.view, instance)
        return found

    def node_by_id(self, instance_id: str) -> Node | None:
        """None where there is no such instance in the cluster."""
        found = self._nodes.get(instance_id)
        if found is not None:
            return found
        instance = self.view.get(container_instances.ContainerInstance, instance_id)
        return self.node(instance) if instance is not None and instance.cluster == self.cluster else None

    def left(self, instance: container_instances.ContainerInstance) -> tuple[int, int]:
        """CPU units and MiB that are left; cheaper than a node where there is none yet."""
        node = self._nodes.get(instance.instance_id)
        if node is not None:
            return node.cpu_units, node.memory_mib
        cpu_used, memory_used, _ = self.view.tally(tables.TASKS, "usage", instance.instance_id)
        return instance.capacity.cpu_units - cpu_used, instance.capacity.memory_mib - memory_used

    def placed_on(self, instance_id: str) -> int:
        """Tasks that this decision placed on the instance."""
        node = self._nodes.get(instance_id)
        return node.placed if node is not None else 0

    def group_on(self, group: str, instance_id: str) -> int:
        """Tasks of the group that should run on the instance."""
        running = self.view.tally(tables.TASKS, "group_on_instance", self.cluster, group, instance_id)[0]
        return running + self._groups.get((group, instance_id), 0) if self._groups else running

    def group_in(self, group: str, zone: str) -> int:
        """Tasks of the group that should run in the zone."""
        placed = self._zones.get((group, zone), 0)
        return placed + self.view.tally(tables.TASKS, "group_in_zone", self.cluster, group, zone)[0]

    def add(self, group: str, node: Node, wanted: tasks.TaskResources, address: str | None) -> None:
        """A task was placed."""
        node.take(group, wanted, address)
        self._count(group, node.instance_id, node.instance.availability_zone, 1)

    def forget(self, group: str, instance_id: str, zone: str) -> None:
        """This decision asked a task of the group to stop: it no longer counts for the group, but holds what it has."""
        self._count(group, instance_id, zone, -1)

    def _count(self, group: str, instance_id: str, zone: str, amount: int) -> None:
        self._groups[(group, instance_id)] = self._groups.get((group, instance_id), 0) + amount
        self._zones[(group, zone)] = self._zones.get((group, zone), 0) + amount

    def candidates(self) -> Iterable[container_instances.ContainerInstance]:
        """Instances that accept tasks, by zone."""
        return self.view.find(tables.CONTAINER_INSTANCES, "placeable", self.cluster)

    def everyone(self) -> Iterable[container_instances.ContainerInstance]:
        """Instances that are not INACTIVE."""
        yield from self.view.find(tables.CONTAINER_INSTANCES, "by_cluster", self.cluster, "ACTIVE")
        yield from self.view.find(tables.CONTAINER_INSTANCES, "by_cluster", self.cluster, "DRAINING")


class Demand:
    """A request, made ready for asking many instances."""

    __slots__ = ("_attributes", "_cpu", "_distinct", "_expressions", "_memory", "_ports", "needs_address", "request")

    def __init__(self, request: requests.PlacementRequest) -> None:
        self.request = request
        self._cpu = request.resources.cpu_units
        self._memory = request.resources.memory_mib
        self._ports = request.resources.host_ports
        self._attributes = frozenset(request.required_attributes)
        self._expressions = tuple(
            query.parse(one.expression or "") for one in request.constraints if one.type == "memberOf"
        )
        self._distinct = any(one.type == "distinctInstance" for one in request.constraints)
        self.needs_address = request.network_mode == "awsvpc"

    def refusal(self, node: Node, picture: Picture) -> str | None:
        """Why the instance can't take the task: the first reason that holds; None where it can (behaviour.md 5.11).

        What doesn't change comes first, then constraints, then what others have taken.
        """
        instance = node.instance
        if instance.status != "ACTIVE":
            return instance.status
        if not instance.session.connected:
            return requests.AGENT
        if self._attributes and not node.has_attributes(self._attributes):
            return requests.ATTRIBUTE
        for expression in self._expressions:
            if not expression.matches(node):
                return requests.MEMBER_OF
        if self._distinct and picture.group_on(self.request.group, node.instance_id):
            return requests.DISTINCT_INSTANCE
        if node.cpu_units < self._cpu:
            return requests.RESOURCE_CPU
        if node.memory_mib < self._memory:
            return requests.RESOURCE_MEMORY
        for port in self._ports:
            if node.port_is_taken(port):
                return requests.RESOURCE_PORTS
        if self.needs_address:
            return self._no_address(node, picture)
        return None

    @staticmethod
    def _no_address(node: Node, picture: Picture) -> str | None:
        pool = addresses.subnet(node.instance.subnet) if node.instance.subnet else None
        if pool is None:
            return requests.ATTRIBUTE
        tasks_here = picture.view.tally(tables.TASKS, "usage", node.instance_id)[2] + node.placed
        if tasks_here < pool.size:
            return None
        free = addresses.free_address(picture.view, node.instance_id, pool, node.addresses, picture.view.ids)
        return requests.RESOURCE_ENI if free is None else None


def required_constraints(
    own: tuple[task_definitions.PlacementConstraint, ...], definition: task_definitions.TaskDefinition
) -> tuple[task_definitions.PlacementConstraint, ...]:
    """A task's constraints and its definition's: both bind (behaviour.md 5.11)."""
    return own + tuple(one for one in definition.placement_constraints if one not in own)
