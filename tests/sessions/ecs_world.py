"""A store that is called as a client calls: botocore writes the requests and reads the answers."""

from __future__ import annotations

from typing import Any

import msgspec
from tests import store_worlds

from roadstead.api.ecs import agent, clusters, container_instances, services, task_definitions, tasks
from roadstead.control import new_tasks
from roadstead.control.sessions import connection
from roadstead.model import container_instances as instance_records
from roadstead.model import task_definitions as definition_records
from roadstead.model import tasks as task_records

MODULES = (agent, clusters, container_instances, services, task_definitions, tasks)
RESOURCES = [
    {"name": "CPU", "type": "INTEGER", "integerValue": 2048},
    {"name": "MEMORY", "type": "INTEGER", "integerValue": 4096},
    {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22", "51678"]},
    {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
]
SUBNET = {"name": "roadstead.subnet", "value": "10.1.0.0/24"}
CAPABILITIES = [
    {"name": "ecs.capability.task-eni"},
    {"name": "com.amazonaws.ecs.capability.docker-remote-api.1.18"},
    {"name": "com.amazonaws.ecs.capability.docker-remote-api.1.24"},
    {"name": "com.amazonaws.ecs.capability.docker-remote-api.1.29"},
    {"name": "ecs.capability.container-health-check"},
    {"name": "ecs.capability.container-ordering"},
    {"name": "ecs.capability.container-restart-policy"},
]


class World(store_worlds.ClientWorld):
    """One control plane's store."""

    def __init__(self) -> None:
        super().__init__(1_000.0, [one for module in MODULES for one in module.OPERATIONS])

    def agent_call(self, name: str, body: dict[str, Any]) -> Any:
        """What an agent reads; it sends members that boto3 does not know."""
        return msgspec.json.decode(self.answer(store_worlds.json_request("ecs", name, body)).body)

    def define(self, family: str = "web", **more: Any) -> Any:
        """A plain task definition of one container `app`, or those given."""
        container = {"name": "app", "image": "busybox", "memory": 64, "cpu": 128}
        wanted = {"family": family, "containerDefinitions": [container], **more}
        return self.call("RegisterTaskDefinition", **wanted)["taskDefinition"]

    def join(self, *attributes: dict[str, str], connected: bool = True, **more: Any) -> str:
        """A registered instance's ARN; its agent is connected unless said otherwise."""
        wanted = {"totalResources": RESOURCES, "attributes": [SUBNET, *CAPABILITIES, *attributes], **more}
        arn: str = self.call("RegisterContainerInstance", **wanted)["containerInstance"]["containerInstanceArn"]
        if connected:
            self.connect(arn)
        return arn

    def connect(self, arn: str) -> int:
        """The instance's agent is connected; the first number that its session may use."""
        now, instance_id = self.now, id_of(arn)
        _, first = self.store.transact(lambda view: connection.begin(view, instance_id, now), now)
        return first

    def instance(self, arn: str) -> instance_records.ContainerInstance:
        found: instance_records.ContainerInstance = self.get(instance_records.ContainerInstance, id_of(arn))
        return found

    def task(self, arn: str) -> task_records.Task:
        found: task_records.Task = self.get(task_records.Task, id_of(arn))
        return found

    def run(self, family: str = "web", **more: Any) -> str:
        """The ARN of a task started with RunTask."""
        answer = self.call("RunTask", taskDefinition=family, **more)
        assert not answer["failures"]
        arn: str = answer["tasks"][0]["taskArn"]
        return arn

    def service_task(self, service: str, instance_arn: str, family: str = "web") -> str:
        """The ARN of a running task that a service's controller placed."""
        definition = self.get(definition_records.TaskDefinition, f"{family}:1")
        spec = task_records.TaskSpec(task_definition=definition.key, group=f"service:{service}", service=service)
        desired = task_records.TaskDesired(container_instance=id_of(instance_arn), placed_at=self.now)
        task = new_tasks.make(definition, spec, desired, "default", self.store.view().ids, self.now)
        observed = msgspec.structs.replace(task.observed, last_status="RUNNING", started_at=self.now)
        self.put(msgspec.structs.replace(task, observed=observed))
        return f"arn:aws:ecs:us-east-1:123456789012:task/default/{task.task_id}"

    def report(self, task_arn: str, status: str, *containers: dict[str, Any], **more: Any) -> None:
        """What an agent submits."""
        answer = self.call(
            "SubmitTaskStateChange",
            **{"cluster": "default", "task": task_arn, "status": status, "containers": list(containers), **more},
        )
        assert answer == {"acknowledgment": "ACK"}

    def describe(self, task_arn: str) -> Any:
        return self.call("DescribeTasks", tasks=[task_arn], include=["TAGS"])["tasks"][0]


def id_of(arn: str) -> str:
    return arn.rpartition("/")[2]


def ready() -> World:
    """A world with the cluster `default` and the task definition `web:1`."""
    world = World()
    world.call("CreateCluster")
    world.define()
    return world
