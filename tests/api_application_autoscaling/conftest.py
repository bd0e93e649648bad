"""A store with a service `web`, called as a client calls: botocore writes the request and reads the answer."""

from __future__ import annotations

from typing import Any

import pytest
from tests import store_worlds

from roadstead.api.application_autoscaling import load_balancers, operations
from roadstead.model import services

IDENTITY = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/default/web",
    "ScalableDimension": "ecs:service:DesiredCount",
}


class World(store_worlds.ClientWorld):
    """One control plane's store."""

    def __init__(
        self,
        scale_in_datapoints: int | None = None,
        target_groups: load_balancers.TargetGroups = load_balancers.no_target_groups,
    ) -> None:
        super().__init__(1_000.0, operations.operations(scale_in_datapoints, target_groups))
        self.add_service("web")

    def add_service(self, name: str, monitoring: services.Monitoring | None = None, state: Any = "COMPLETED") -> None:
        """A service of two tasks whose deployment is in that rollout state."""
        measured = monitoring or services.Monitoring()
        deployment = services.Deployment(
            deployment_id="ecs-svc/1",
            status="PRIMARY",
            task_definition="web:1",
            desired_count=2,
            created_at=0.0,
            updated_at=0.0,
            monitoring=measured,
            rollout_state=state,
        )
        self.put(
            services.Service(
                cluster="default",
                name=name,
                created_at=0.0,
                spec=services.ServiceSpec(task_definition="web:1", desired_count=2, monitoring=measured),
                deployments=(deployment,),
            )
        )

    def on_web(self, name: str, /, **params: Any) -> Any:
        """The call, for the service `web` unless it says otherwise."""
        return self.call(name, **{**IDENTITY, **params})

    def refused(self, name: str, /, **params: Any) -> tuple[str, str]:
        """Code and text of its refusal; nothing may have been written."""
        return self.refusal_of(self.on_web, name, **params)


@pytest.fixture
def world() -> World:
    """The service `web`, not registered."""
    return World()


@pytest.fixture
def registered(world: World) -> World:
    """The service `web` as a scalable target of 1 to 10."""
    world.on_web("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10)
    return world


@pytest.fixture
def impatient() -> World:
    """As `registered`, on a server that waits for 3 low data points only."""
    world = World(scale_in_datapoints=3)
    world.on_web("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10)
    return world


@pytest.fixture
def balanced() -> World:
    """As `registered`, where every service is attached to the target group `targetgroup/blue/2`."""
    world = World(target_groups=lambda service: {"targetgroup/blue/2"})
    world.on_web("RegisterScalableTarget", MinCapacity=1, MaxCapacity=10)
    return world
