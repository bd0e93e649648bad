"""A seed's story: services that users change at random while things go wrong, then calm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from sim_worlds import make_world, register

from roadstead.base import errors
from roadstead.model import container_instances, tables
from roadstead.sim import chance, faults, load, traffic, world

STORM_SECONDS = 900.0
STEP_SECONDS_MAX = 40.0
CALM_SECONDS_MAX = 4 * 3600.0
"""Failing starts are paced up to 27 minutes; a few rounds of that, and a rollout behind them."""
BROKEN: dict[str, dict[str, Any]] = {
    "unstartable": {"sim": {"START_ERROR": "it can't be"}},
    "sick": {"sim": {"HEALTH_EXIT_CODE": 1}, "healthCheck": {"command": ["CMD", "false"], "interval": 5, "retries": 2}},
}
"""Definitions whose tasks never come to rest."""
SERVICES_MAX = 4
DESIRED_MAX = 6


class Story:
    """One seed's users."""

    def __init__(self, seed: int, **more: Any) -> None:
        self.chance = chance.Chance(seed, "users")
        self.world = make_world(seed, **more)
        for number in range(3):
            self.world.add_host(
                cpu_units=8192, memory_mib=16384, zone=f"us-east-1{'abc'[number]}", subnet="10.9.0.0/24"
            )
        self.definitions = [
            register(self.world, "plain"),
            register(self.world, "slow", sim={"START_DELAY_SECONDS": 15, "STOP_DELAY_SECONDS": 20}),
            register(self.world, "stubborn", sim={"IGNORE_STOP": 1}, stopTimeout=10),
            register(self.world, "mortal", sim={"EXIT_AFTER_SECONDS": 200, "EXIT_CODE": 3}),
            register(self.world, "port", portMappings=[{"containerPort": 80, "hostPort": 8080}]),
            register(self.world, "checked", healthCheck={"command": ["CMD", "true"], "interval": 5}),
            register(
                self.world,
                "restarts",
                sim={"EXIT_AFTER_SECONDS": 90},
                restartPolicy={"enabled": True, "restartAttemptPeriod": 60},
            ),
            self._pair(),
            self._with_address(),
            *(register(self.world, family, **members) for family, members in BROKEN.items()),
        ]
        self.count = 0

    def _pair(self) -> str:
        """An essential container that waits for another to be healthy."""
        check = {"command": ["CMD", "true"], "interval": 5}
        after = [{"containerName": "base", "condition": "HEALTHY"}]
        return self._define(
            "pair",
            [
                {"name": "base", "image": "busybox", "cpu": 64, "memory": 64, "healthCheck": check},
                {"name": "app", "image": "busybox", "cpu": 64, "memory": 64, "dependsOn": after},
            ],
        )

    def _with_address(self) -> str:
        container = {"name": "app", "image": "busybox", "cpu": 64, "memory": 64}
        return self._define("address", [container], networkMode="awsvpc")

    def _define(self, family: str, containers: list[dict[str, Any]], **members: Any) -> str:
        self.world.call("ecs", "RegisterTaskDefinition", family=family, containerDefinitions=containers, **members)
        return f"{family}:1"

    def _network(self, definition: str) -> dict[str, Any]:
        """What a service or task of this definition needs to say about its network."""
        if not definition.startswith("address"):
            return {}
        return {"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}}

    def run(self) -> None:
        """Storm, then calm."""
        self.world.set_faults(self._some_faults())
        until = self.world.now + STORM_SECONDS
        while self.world.now < until:
            self.chance.choice(self._deeds())()
            self.world.run_for(self.chance.between(0.0, STEP_SECONDS_MAX))
        self.world.calm()
        self.world.run_for(300.0)  # processes that are down come back
        self._make_rest_possible()
        self.world.converge(CALM_SECONDS_MAX)
        self.world.checkers.final()

    def _some_faults(self) -> faults.Faults:
        """The rough ones, each left out as often as not: so that few at a time are tried, too."""
        names = [name for name in msgspec.structs.asdict(faults.ROUGH) if not name.endswith("_max")]
        left_out = {name: 0.0 for name in names if self.chance.happens(0.4)}
        delay = self.chance.choice((0.2, 0.2, 3.0, 8.0))  # the longest make payloads be sent again
        return msgspec.structs.replace(faults.ROUGH, delay_seconds_max=delay, **left_out)

    def _deeds(self) -> list[Callable[[], None]]:
        return [
            self.create,
            self.scale,
            self.scale,
            self.change_revision,
            self.change_revision,
            self.force,
            self.stop_task,
            self.run_task,
            self.scale_by_itself,
            self.delete,
            self.drain_or_not,
            self.replace_instance,
        ]

    def call(self, operation: str, service: str = "ecs", /, **params: Any) -> Any:
        """A call that may go unanswered, or be refused: users see that and go on."""
        try:
            return self.world.call(service, operation, **params)
        except (world.Unanswered, errors.Refusal) as refused:
            self.world.transcript.note(f"{operation}: {refused}")
            return None

    def _services(self) -> list[str]:
        if not self.world.plane.is_up:
            return []
        found = self.world.view().find(tables.SERVICES, "by_cluster", "default", "ACTIVE")
        return [one.name for one in found]

    def create(self) -> None:
        if len(self._services()) >= SERVICES_MAX:
            return
        self.count += 1
        definition = self.chance.choice(self.definitions)
        minimum, maximum = self.chance.choice(((100, 200), (50, 200), (50, 100), (0, 100), (100, 150)))
        self.call(
            "CreateService",
            serviceName=f"s{self.count}",
            taskDefinition=definition,
            desiredCount=self.chance.choice(range(DESIRED_MAX)),
            deploymentConfiguration={
                "minimumHealthyPercent": minimum,
                "maximumPercent": maximum,
                "deploymentCircuitBreaker": {
                    "enable": self.chance.happens(0.5),
                    "rollback": self.chance.happens(0.5),
                },
            },
            **self._network(definition),
        )

    def _update(self, **params: Any) -> None:
        names = self._services()
        if names:
            self.call("UpdateService", service=self.chance.choice(names), **params)

    def scale(self) -> None:
        self._update(desiredCount=self.chance.choice(range(DESIRED_MAX)))

    def change_revision(self) -> None:
        definition = self.chance.choice(self.definitions)
        self._update(taskDefinition=definition, **self._network(definition))

    def force(self) -> None:
        self._update(forceNewDeployment=True)

    def _tasks(self) -> list[str]:
        if not self.world.plane.is_up:
            return []
        return [one.task_id for one in self.world.view().find(tables.TASKS, "listing", "default", "RUNNING")]

    def stop_task(self) -> None:
        found = self._tasks()
        if found:
            self.call("StopTask", task=self.chance.choice(found), reason="a user's whim")

    def run_task(self) -> None:
        definition = self.chance.choice(self.definitions)
        self.call("RunTask", taskDefinition=definition, **self._network(definition))

    def scale_by_itself(self) -> None:
        """Put a service under target tracking and traffic."""
        names = self._services()
        if not names:
            return
        name = self.chance.choice(names)
        target = {
            "ServiceNamespace": "ecs",
            "ResourceId": f"service/default/{name}",
            "ScalableDimension": "ecs:service:DesiredCount",
        }
        metric = {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}
        scaling = "application-autoscaling"
        self.call("RegisterScalableTarget", scaling, **target, MinCapacity=1, MaxCapacity=DESIRED_MAX)
        self.call(
            "PutScalingPolicy",
            scaling,
            **target,
            PolicyName="cpu",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={
                "TargetValue": 50.0,
                "PredefinedMetricSpecification": metric,
                "ScaleInCooldown": 60,
                "ScaleOutCooldown": 60,
            },
        )
        work = traffic.Work(cpu_seconds_per_request=0.01, requests_per_second_max=25.0)
        requests = traffic.Constant(rate=self.chance.between(0.0, 60.0))
        self.world.put_load(load.ServiceLoad(service=name, requests=requests, work=work))

    def delete(self) -> None:
        names = self._services()
        if names and self.chance.happens(0.5):
            self.call("DeleteService", service=self.chance.choice(names), force=True)

    def drain_or_not(self) -> None:
        if not self.world.plane.is_up or not self.chance.happens(0.3):
            return
        host = self.chance.choice(self.world.hosts)
        found = self.world.view().get(container_instances.ContainerInstance, host.instance_id)
        if found is not None and found.status != "INACTIVE":
            status = "ACTIVE" if found.status == "DRAINING" else "DRAINING"
            self.call("UpdateContainerInstancesState", containerInstances=[host.instance_id], status=status)

    def replace_instance(self) -> None:
        """A machine is lost for good; somebody notices, deregisters it and brings another."""
        alive = [number for number, host in enumerate(self.world.hosts) if not host.is_lost and host.instance_id]
        if not self.world.plane.is_up or not self.chance.happens(0.1) or not alive:
            return
        number = self.chance.choice(alive)
        self.world.lose_instance(number)
        self.world.add_host(cpu_units=8192, memory_mib=16384, subnet="10.9.0.0/24")
        self.world.run_for(self.chance.between(0.0, 30.0))
        self._deregister(self.world.hosts[number].instance_id)

    def _deregister(self, instance_id: str) -> None:
        for _ in range(1000):
            if self.call("DeregisterContainerInstance", containerInstance=instance_id, force=True) is not None:
                return
            self.world.run_for(10.0)
        raise AssertionError("nobody answers")

    def _make_rest_possible(self) -> None:
        """Make rest possible: nothing ends by itself, instances take tasks, rollouts have room, ports are few."""
        for host in self.world.hosts:
            if not host.is_lost:
                self.call("UpdateContainerInstancesState", containerInstances=[host.instance_id], status="ACTIVE")
        for name in self._services():
            found = self.world.call("ecs", "DescribeServices", services=[name])["services"][0]
            rolls = {"minimumHealthyPercent": 50, "maximumPercent": 200}
            self.world.call("ecs", "UpdateService", service=name, deploymentConfiguration=rolls)
            family = found["taskDefinition"].rpartition("/")[2].partition(":")[0]
            if family in ("mortal", *BROKEN):
                self.world.call("ecs", "UpdateService", service=name, taskDefinition="plain")
            elif family == "port":
                self.world.call("ecs", "UpdateService", service=name, taskDefinition="plain", desiredCount=2)
