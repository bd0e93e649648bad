"""A store that is called as a client calls: botocore writes the request and reads the answer."""

from __future__ import annotations

from typing import Any

import botocore.parsers
import botocore.serialize
import botocore.session
import msgspec
import pytest

from roadstead.api import operation
from roadstead.api.ecs import clusters, services, task_definitions
from roadstead.base import errors, scope
from roadstead.model import record
from roadstead.model import services as model_services
from roadstead.model import tasks as model_tasks
from roadstead.state import plan, store
from roadstead.wire import acceptance, requests, responses
from roadstead.wire import services as wire_services

SERVICES = wire_services.Services()
MODEL = botocore.session.get_session().get_service_model("ecs")
SERIALIZER = botocore.serialize.create_serializer("json")
PARSER = botocore.parsers.create_parser("json")
TABLE = {one.name: one for module in (clusters, task_definitions, services) for one in module.OPERATIONS}
CHECKERS = {name: acceptance.compile_checker(SERVICES, "ecs", name, one.accepts) for name, one in TABLE.items()}


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
        request = requests.Request(method="POST", path="/", headers=headers, body=wanted["body"])
        call = requests.parse(SERVICES, request, "request-1")
        unsupported = CHECKERS[name](call.params)
        if unsupported:
            raise errors.Refusal("Unsupported", ", ".join(unsupported))
        asked = operation.Call(params=call.params, now=self.now, request_id="request-1")

        def decide(view: store.StoreView) -> tuple[plan.Plan, operation.Reply]:
            reply = TABLE[name].decide(asked, view)
            return reply.plan, reply

        _, reply = self.store.transact(decide, self.now)
        answer = responses.serialize(SERVICES, call, reply.output)
        shown = {"body": answer.body, "headers": dict(answer.headers), "status_code": answer.status}
        parsed = PARSER.parse(shown, model.output_shape)
        parsed.pop("ResponseMetadata")
        _only_known(msgspec.json.decode(answer.body), model.output_shape, name)
        return parsed

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


def _only_known(value: Any, shape: Any, where: str) -> None:
    """An answer has no member that the model does not have: a client would not see it."""
    if shape.type_name == "structure" and isinstance(value, dict):
        for name, inner in value.items():
            assert name in shape.members, f"{where}.{name} is not in the model"
            _only_known(inner, shape.members[name], f"{where}.{name}")
    elif shape.type_name == "list":
        for inner in value:
            _only_known(inner, shape.member, where)


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
