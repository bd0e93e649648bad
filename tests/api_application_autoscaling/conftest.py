"""A store with a service `web`, called as a client calls: botocore writes the request and reads the answer."""

from __future__ import annotations

from typing import Any

import botocore.parsers
import botocore.serialize
import botocore.session
import msgspec
import pytest

from roadstead.api import operation
from roadstead.api.application_autoscaling import load_balancers, operations
from roadstead.base import errors, scope
from roadstead.model import record, services
from roadstead.state import plan, store
from roadstead.wire import acceptance, requests, responses
from roadstead.wire import services as wire_services

AAS = "application-autoscaling"
SERVICES = wire_services.Services()
MODEL = botocore.session.get_session().get_service_model(AAS)
SERIALIZER = botocore.serialize.create_serializer("json")
PARSER = botocore.parsers.create_parser("json")
IDENTITY = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/default/web",
    "ScalableDimension": "ecs:service:DesiredCount",
}


class World:
    """One control plane's store, at a time that the test sets."""

    def __init__(
        self,
        scale_in_datapoints: int | None = None,
        target_groups: load_balancers.TargetGroups = load_balancers.no_target_groups,
    ) -> None:
        self.now = 1_000.0
        self._seeds = 0
        self.store = store.Store(scope.Scope(), self._seed)
        self.table = {one.name: one for one in operations.operations(scale_in_datapoints, target_groups)}
        self.checkers = {
            name: acceptance.compile_checker(SERVICES, AAS, name, one.accepts) for name, one in self.table.items()
        }
        self.add_service("web")

    def _seed(self) -> int:
        self._seeds += 1
        return self._seeds

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

    def call(self, name: str, /, **params: Any) -> Any:
        """What boto3 would return. Raises Refusal, with the code `Unsupported` for a member that is not accepted."""
        model = MODEL.operation_model(name)
        wanted = SERIALIZER.serialize_to_request(params, model)
        headers = {key.lower(): value for key, value in wanted["headers"].items()}
        request = requests.Request(method="POST", path="/", headers=headers, body=wanted["body"])
        call = requests.parse(SERVICES, request, "request-1")
        unsupported = self.checkers[name](call.params)
        if unsupported:
            raise errors.Refusal("Unsupported", ", ".join(unsupported))
        asked = operation.Call(params=call.params, now=self.now, request_id="request-1")

        def decide(view: store.StoreView) -> tuple[plan.Plan, operation.Reply]:
            reply = self.table[name].decide(asked, view)
            return reply.plan, reply

        _, reply = self.store.transact(decide, self.now)
        answer = responses.serialize(SERVICES, call, reply.output)
        shown = {"body": answer.body, "headers": dict(answer.headers), "status_code": answer.status}
        parsed = PARSER.parse(shown, model.output_shape)
        parsed.pop("ResponseMetadata")
        _only_known(msgspec.json.decode(answer.body), model.output_shape, name)
        return parsed

    def on_web(self, name: str, /, **params: Any) -> Any:
        """The call, for the service `web` unless it says otherwise."""
        return self.call(name, **{**IDENTITY, **params})

    def refused(self, name: str, /, **params: Any) -> tuple[str, str]:
        """Code and text of the refusal; nothing may have been written."""
        before = self.store.revision
        with pytest.raises(errors.Refusal) as caught:
            self.on_web(name, **params)
        assert self.store.revision == before
        return caught.value.code, caught.value.message

    def put(self, *records: record.Record) -> None:
        draft = plan.Draft(self.store.view())
        for one in records:
            draft.put(one)
        self.store.commit(draft.plan(), self.now)

    def get(self, kind: type[record.Record], key: str) -> Any:
        return self.store.view().get(kind, key)


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
