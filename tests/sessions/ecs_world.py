"""A store that is called as a client calls: botocore writes the requests and reads the answers."""

from __future__ import annotations

from typing import Any

import botocore.parsers
import botocore.serialize
import botocore.session
import msgspec
import pytest

from roadstead.api import operation
from roadstead.api.ecs import agent, clusters, container_instances, services, task_definitions, tasks
from roadstead.base import errors, scope
from roadstead.control import new_tasks
from roadstead.control.sessions import connection
from roadstead.model import container_instances as instance_records
from roadstead.model import record
from roadstead.model import task_definitions as definition_records
from roadstead.model import tasks as task_records
from roadstead.state import plan, store
from roadstead.wire import acceptance, requests, responses
from roadstead.wire import services as wire_services

SERVICES = wire_services.Services()
MODEL = botocore.session.get_session().get_service_model("ecs")
SERIALIZER = botocore.serialize.create_serializer("json")
PARSER = botocore.parsers.create_parser("json")
MODULES = (agent, clusters, container_instances, services, task_definitions, tasks)
TABLE = {one.name: one for module in MODULES for one in module.OPERATIONS}
CHECKERS = {name: acceptance.compile_checker(SERVICES, "ecs", name, one.accepts) for name, one in TABLE.items()}

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


class World:
    """One control plane's store, at a time that the test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self._seeds = 0
        self.store = store.Store(scope.Scope(), self._seed)

    def _seed(self) -> int:
        self._seeds += 1
        return self._seeds

    def call(self, name: str, /, **params: Any) -> Any:
        """What boto3 would return. Raises Refusal, with the code `Unsupported` for a member that is not accepted."""
        model = MODEL.operation_model(name)
        wanted = SERIALIZER.serialize_to_request(params, model)
        headers = {key.lower(): value for key, value in wanted["headers"].items()}
        answer = self._answer(name, headers, wanted["body"])
        shown = {"body": answer.body, "headers": dict(answer.headers), "status_code": answer.status}
        parsed = PARSER.parse(shown, model.output_shape)
        parsed.pop("ResponseMetadata")
        _only_known(msgspec.json.decode(answer.body), model.output_shape, name)
        return parsed

    def agent_call(self, name: str, body: dict[str, Any]) -> Any:
        """What an agent reads; it sends members that boto3 does not know."""
        target = f"AmazonEC2ContainerServiceV20141113.{name}"
        headers = {"x-amz-target": target, "content-type": "application/x-amz-json-1.1"}
        return msgspec.json.decode(self._answer(name, headers, msgspec.json.encode(body)).body)

    def _answer(self, name: str, headers: dict[str, str], body: bytes) -> responses.Response:
        request = requests.Request(method="POST", path="/", headers=headers, body=body)
        call = requests.parse(SERVICES, request, "request-1")
        unsupported = CHECKERS[name](call.params)
        if unsupported:
            raise errors.Refusal("Unsupported", ", ".join(unsupported))
        asked = operation.Call(params=call.params, now=self.now, request_id="request-1")

        def decide(view: store.StoreView) -> tuple[plan.Plan, operation.Reply]:
            reply = TABLE[name].decide(asked, view)
            return reply.plan, reply

        _, reply = self.store.transact(decide, self.now)
        return responses.serialize(SERVICES, call, reply.output)

    def refused(self, name: str, /, **params: Any) -> tuple[str, str]:
        """Code and text of the refusal; nothing may have been written."""
        before = self.store.revision
        with pytest.raises(errors.Refusal) as caught:
            self.call(name, **params)
        assert self.store.revision == before
        return caught.value.code, caught.value.message

    def put(self, *records: record.Record) -> None:
        """Write records as a controller would."""
        draft = plan.Draft(self.store.view())
        for one in records:
            draft.put(one)
        self.store.commit(draft.plan(), self.now)

    def get(self, kind: type[record.Record], key: str) -> Any:
        return self.store.view().get(kind, key)

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


def _only_known(value: Any, shape: Any, where: str) -> None:
    """An answer has no member that the model does not have: a client would not see it."""
    if shape.type_name == "structure" and isinstance(value, dict):
        for name, inner in value.items():
            assert name in shape.members, f"{where}.{name} is not in the model"
            _only_known(inner, shape.members[name], f"{where}.{name}")
    elif shape.type_name == "list":
        for inner in value:
            _only_known(inner, shape.member, where)


def ready() -> World:
    """A world with the cluster `default` and the task definition `web:1`."""
    world = World()
    world.call("CreateCluster")
    world.define()
    return world
