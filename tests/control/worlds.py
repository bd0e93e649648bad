"""Small worlds for the tests of the controllers: a store, records with defaults, and nothing that needs a clock."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from roadstead.base import scope
from roadstead.control import placement
from roadstead.model import clusters, container_instances, record, services, task_definitions, tasks
from roadstead.state import plan, store

CLUSTER = "default"
NOW = 1_000_000.0
Instance = container_instances.ContainerInstance


def new_store(seed: int = 7) -> store.Store:
    seeds = itertools.count(seed << 32)
    return store.Store(scope.Scope(), lambda: next(seeds))


def put(subject: store.Store, *records: record.Record, now: float = NOW) -> store.Commit:
    draft = plan.Draft(subject.view())
    for one in records:
        draft.put(one)
    return subject.commit(draft.plan(), now)


def cluster(name: str = CLUSTER) -> clusters.Cluster:
    return clusters.Cluster(name=name, created_at=NOW)


def instance(
    instance_id: str = "i1",
    *,
    cpu: int = 4096,
    memory: int = 8192,
    zone: str = "us-east-1a",
    status: container_instances.InstanceStatus = "ACTIVE",
    connected: bool = True,
    attributes: dict[str, str | None] | None = None,
    reserved_ports: tuple[int, ...] = (),
    subnet: str | None = None,
    **more: Any,
) -> Instance:
    return Instance(
        instance_id=instance_id,
        cluster=more.pop("cluster", CLUSTER),
        ec2_instance_id=f"ec2-{instance_id}",
        status=status,
        registered_at=more.pop("registered_at", NOW),
        attributes=tuple(
            container_instances.Attribute(name=name, value=value) for name, value in (attributes or {}).items()
        ),
        capacity=container_instances.InstanceCapacity(
            cpu_units=cpu, memory_mib=memory, reserved_ports_tcp=reserved_ports
        ),
        availability_zone=zone,
        subnet=subnet,
        session=container_instances.AgentSession(connected=connected),
        **more,
    )


def definition(
    family: str = "web",
    revision: int = 1,
    *,
    cpu: int = 256,
    memory: int = 128,
    health_check: bool = False,
    **more: Any,
) -> task_definitions.TaskDefinition:
    checks = task_definitions.HealthCheck(command=("CMD", "true")) if health_check else None
    container = task_definitions.ContainerDefinition(
        name="app", image="app:1", cpu=cpu, memory=memory, health_check=checks
    )
    return task_definitions.TaskDefinition(
        family=family,
        revision=revision,
        registered_at=NOW,
        container_definitions=more.pop("container_definitions", (container,)),
        **more,
    )


def request(
    group: str = "service:web", cpu: int = 256, memory: int = 128, ports: tuple[int, ...] = (), **more: Any
) -> placement.PlacementRequest:
    return placement.PlacementRequest(
        group=group,
        resources=tasks.TaskResources(
            cpu_units=cpu, memory_mib=memory, host_ports=tuple(tasks.HostPort(port=port) for port in ports)
        ),
        **more,
    )


def task(
    task_id: str,
    on: Instance | None,
    *,
    group: str = "service:web",
    status: str = "RUNNING",
    desired: str = "RUNNING",
    cpu: int = 256,
    memory: int = 128,
    ports: tuple[int, ...] = (),
    **more: Any,
) -> tasks.Task:
    spec = tasks.TaskSpec(
        task_definition="web:1",
        group=group,
        resources=request(group, cpu, memory, ports).resources,
        **more.pop("spec", {}),
    )
    return tasks.Task(
        task_id=task_id,
        cluster=CLUSTER,
        created_at=more.pop("created_at", NOW),
        spec=spec,
        desired=tasks.TaskDesired(
            status=desired,  # type: ignore[arg-type]
            container_instance=on.instance_id if on else None,
            availability_zone=on.availability_zone if on else None,
            network_interface=more.pop("interface", None),
        ),
        observed=tasks.TaskObserved(last_status=status, **more),  # type: ignore[arg-type]
    )


def service(name: str = "web", desired: int = 2, task_definition: str = "web:1", **more: Any) -> services.Service:
    """A service as CreateService makes it: its first deployment has begun."""
    configuration = services.DeploymentConfiguration(
        minimum_healthy_percent=more.pop("minimum", None),
        maximum_percent=more.pop("maximum", None),
        deployment_circuit_breaker=more.pop("breaker", None),
    )
    spec = services.ServiceSpec(
        task_definition=task_definition,
        desired_count=desired,
        deployment_configuration=configuration,
        **more.pop("spec", {}),
    )
    made = services.Service(cluster=CLUSTER, name=name, created_at=more.pop("now", NOW), spec=spec, **more)
    return services.begin_deployment(made, new_store(hash(name) % 1000).view().ids, made.created_at)


replace = msgspec.structs.replace
