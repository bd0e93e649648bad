"""A store that is called as a client calls: botocore writes the request and reads the answer."""

from __future__ import annotations

from typing import Any

import pytest
from tests import store_worlds

from roadstead.api.ecs import clusters, services, task_definitions
from roadstead.model import services as model_services
from roadstead.model import tasks as model_tasks

MODULES = (clusters, task_definitions, services)


class World(store_worlds.ClientWorld):
    """One control plane's store."""

    def __init__(self) -> None:
        super().__init__(1_000.0, [one for module in MODULES for one in module.OPERATIONS])

    def run(self, task_id: str, service: str | None, status: Any, desired: Any = "RUNNING") -> None:
        """A task as agents would have reported it."""
        deployment = None
        if service is not None:
            found = self.get(model_services.Service, f"default/{service}")
            deployment = found.primary.deployment_id
        self.put(
            model_tasks.Task(
                task_id=task_id,
                cluster="default",
                created_at=self.now,
                spec=model_tasks.TaskSpec(
                    task_definition="web:1", group="test", service=service, deployment_id=deployment
                ),
                desired=model_tasks.TaskDesired(status=desired),
                observed=model_tasks.TaskObserved(last_status=status),
            )
        )

    def register(self, family: str = "web", **more: Any) -> Any:
        """A plain task definition."""
        container = {"name": "app", "image": "busybox", "memory": 64}
        wanted = {"family": family, "containerDefinitions": [container], **more}
        return self.call("RegisterTaskDefinition", **wanted)["taskDefinition"]


@pytest.fixture
def world() -> World:
    """An empty store."""
    return World()


@pytest.fixture
def cluster(world: World) -> World:
    """A store with the cluster `default` and the task definition `web:1`."""
    world.call("CreateCluster")
    world.register()
    return world
