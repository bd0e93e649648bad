"""Worlds that are one control plane's store, at a time that the test sets: written to, stepped, called as clients call.

A directory's own world is one of these, and adds what its stories talk about.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from typing import Any
from urllib import parse as urls

import botocore.awsrequest
import botocore.model
import botocore.parsers
import botocore.serialize
import botocore.session
import pytest

from roadstead.api import operation
from roadstead.base import errors, scope
from roadstead.control import controller
from roadstead.engine import stepper
from roadstead.model import record, scaling
from roadstead.state import plan, store
from roadstead.wire import acceptance, requests, responses
from roadstead.wire import services as wire_services

SERVICES = wire_services.Services()
REQUEST_ID = "request-1"
STEPS_MAX = 1000
TARGETS = {
    "ecs": ("AmazonEC2ContainerServiceV20141113", "1.1"),
    "application-autoscaling": ("AnyScaleFrontendService", "1.1"),
    "cloudwatch": ("GraniteServiceVersion20100801", "1.0"),
}
"""Service → prefix of X-Amz-Target, version of AWS JSON."""


SCALED = {"namespace": "ecs", "resource_id": "service/default/web", "dimension": "ecs:service:DesiredCount"}
POLICY_TARGET = scaling.ScalableTarget(
    **SCALED, target_id="0", created_at=0.0, min_capacity=1, max_capacity=9, role_arn="arn:aws:iam::123456789012:role/r"
)
POLICY_RECORD = scaling.ScalingPolicy(
    **SCALED,
    policy_name="cpu",
    policy_id="1-2-3",
    created_by_id="4-5-6",
    created_at=0.0,
    step_scaling=scaling.StepScaling(
        adjustment_type="ChangeInCapacity", steps=(scaling.StepAdjustment(lower_bound=0.0, adjustment=1),)
    ),
)
POLICY = (
    "arn:aws:autoscaling:us-east-1:123456789012:scalingPolicy:1-2-3:"
    "resource/ecs/service/default/web:policyName/cpu:createdBy/4-5-6"
)
"""What an alarm has as its action to invoke that policy."""


class World:
    """A store, some operations, some controllers, and the time."""

    def __init__(
        self,
        now: float,
        *,
        operations: Iterable[operation.Operation] = (),
        controllers: Iterable[controller.Controller] = (),
    ) -> None:
        self.now = now
        self.table = {(one.service, one.name): one for one in operations}
        self.controllers = tuple(controllers)
        self.problems: list[stepper.Problem] = []
        self._seeds = 0
        self.begin(store.Store(scope.Scope(), self.seed))

    def seed(self) -> int:
        """A number that was not given before."""
        self._seeds += 1
        return self._seeds

    # -- records

    def put(self, *records: record.Record) -> None:
        """Write records as a controller would; those that are so already are not written."""
        draft = plan.Draft(self.store.view())
        for one in records:
            draft.put(one)
        if not draft.plan().is_empty:
            self.store.commit(draft.plan(), self.now)

    def get(self, kind: type[record.Record], key: str) -> Any:
        """The record, or None."""
        return self.store.view().get(kind, key)

    # -- controllers

    def begin(self, subject: store.Store) -> None:
        """A process starts on this store."""
        self.store = subject
        self.stepper = stepper.Stepper(subject, self.controllers, self.problems.append, self.looked, checks=True)
        subject.watch(self.stepper.note)
        self.stepper.start(self.now)

    def looked(self, controller_name: str, key: str, commit: store.Commit | None) -> None:
        """A controller has looked at a key; what it wrote, if anything."""

    def restart_with(self, records: Iterable[record.Record], down_seconds: float = 0.0) -> None:
        """A new process, after so much time without one: it knows these records and the metrics, and no wake-ups."""
        fresh = store.Store(scope.Scope(), self.seed)
        fresh.signals.load(list(self.store.signals.dump()))
        draft = plan.Draft(fresh.view())
        for one in records:
            draft.put(one)
        fresh.commit(draft.plan(), self.now)
        self.now += down_seconds
        self.begin(fresh)
        self.settle()

    def settle(self) -> None:
        """Let the controllers do what is to be done now."""
        for _ in range(STEPS_MAX):
            if not self.stepper.step(self.now):
                break
        else:
            raise AssertionError("the controllers do not come to rest")
        assert self.problems == []

    def run(self, until: float) -> None:
        """Let time pass, from one moment at which a key wakes to the next."""
        self.settle()
        while (wake_at := self.stepper.next_wake()) is not None and wake_at <= until:
            self.now = max(self.now, wake_at)
            self.settle()
        self.now = until
        self.settle()

    # -- operations

    def decide(self, request: requests.Request) -> tuple[requests.Call, operation.Reply]:
        """Parse a request, check it, and run its operation. Raises Refusal, `Unsupported` for a member not accepted."""
        call = requests.parse(SERVICES, request, REQUEST_ID)
        served = self.table[call.service, call.operation]
        unsupported = checker(call.service, call.operation, served.accepts)(call.params)
        if unsupported:
            raise errors.Refusal("Unsupported", ", ".join(unsupported))
        asked = operation.Call(params=call.params, now=self.now, request_id=REQUEST_ID)

        def decide(view: store.StoreView) -> tuple[plan.Plan, operation.Reply]:
            reply = served.decide(asked, view)
            return reply.plan, reply

        _, reply = self.store.transact(decide, self.now)
        return call, reply

    def refusal_of(self, call: Any, *args: Any, **params: Any) -> tuple[str, str]:
        """Code and text of the refusal of a call; nothing may have been written."""
        before = self.store.revision
        with pytest.raises(errors.Refusal) as caught:
            call(*args, **params)
        assert self.store.revision == before
        return caught.value.code, caught.value.message


class ClientWorld(World):
    """A world that is called as a client of one AWS service calls: botocore writes the request and reads the answer."""

    def __init__(
        self,
        now: float,
        operations: Iterable[operation.Operation],
        *,
        protocol: str = "json",
        controllers: Iterable[controller.Controller] = (),
    ) -> None:
        super().__init__(now, operations=operations, controllers=controllers)
        ((self.service),) = {service for service, _ in self.table}
        self.model = model(self.service)
        self.protocol = protocol

    def call(self, name: str, /, **params: Any) -> Any:
        """What boto3 would return. Raises Refusal, with the code `Unsupported` for a member that is not accepted."""
        return self.read(name, self.answer(self.written(name, params)))

    def refused(self, name: str, /, **params: Any) -> tuple[str, str]:
        """Code and text of the refusal; nothing may have been written."""
        return self.refusal_of(self.call, name, **params)

    def written(self, name: str, params: dict[str, Any]) -> requests.Request:
        """The request as botocore writes it."""
        wanted = serializer(self.protocol).serialize_to_request(params, self.model.operation_model(name))
        body = wanted["body"]
        headers = {key.lower(): value for key, value in wanted["headers"].items()}
        if self.protocol == "query":
            body = urls.urlencode(body).encode()
            headers["content-type"] = "application/x-www-form-urlencoded"
            scope_of_key = f"20240101/us-east-1/{self.model.signing_name}/aws4_request"
            headers["authorization"] = f"AWS4-HMAC-SHA256 Credential=A/{scope_of_key}"
        return requests.Request(method="POST", path=wanted["url_path"], headers=headers, body=body)

    def answer(self, request: requests.Request) -> responses.Response:
        """The answer in bytes. Raises Refusal."""
        call, reply = self.decide(request)
        answer = responses.serialize(SERVICES, call, reply.output)
        shown = json.loads(answer.body) if self.protocol == "json" and answer.body else reply.output
        only_known(shown, self.model.operation_model(call.operation).output_shape, call.operation)
        return answer

    def read(self, name: str, answer: responses.Response) -> Any:
        """The answer as botocore reads it."""
        shown = {
            "body": answer.body,
            "headers": botocore.awsrequest.HeadersDict(dict(answer.headers)),
            "status_code": answer.status,
        }
        parsed = parser(self.protocol).parse(shown, self.model.operation_model(name).output_shape)
        if answer.status < 300:
            parsed.pop("ResponseMetadata")
        return parsed


@functools.cache
def model(service: str) -> botocore.model.ServiceModel:
    """botocore's model of a service."""
    return botocore.session.get_session().get_service_model(service)


@functools.cache
def serializer(protocol: str) -> Any:
    """botocore's, which writes requests."""
    return botocore.serialize.create_serializer(protocol)


@functools.cache
def parser(protocol: str) -> Any:
    """botocore's, which reads answers."""
    return botocore.parsers.create_parser(protocol)


@functools.cache
def checker(service: str, name: str, accepts: frozenset[str]) -> acceptance.Checker:
    """What finds the members that an operation does not accept."""
    return acceptance.compile_checker(SERVICES, service, name, accepts)


def json_request(service: str, name: str, params: Any) -> requests.Request:
    """A request of AWS JSON as it may come from anybody: with members that botocore does not know, too."""
    prefix, version = TARGETS[service]
    headers = {"x-amz-target": f"{prefix}.{name}", "content-type": f"application/x-amz-json-{version}"}
    return requests.Request(method="POST", path="/", headers=headers, body=json.dumps(params).encode())


def only_known(value: Any, shape: Any, where: str) -> None:
    """An answer has no member that the model does not have: a client would not see it."""
    if shape is None:
        assert not value, f"{where} has no output"
    elif shape.type_name == "structure" and isinstance(value, dict):
        for name, inner in value.items():
            assert name in shape.members, f"{where}.{name} is not in the model"
            only_known(inner, shape.members[name], f"{where}.{name}")
    elif shape.type_name == "list":
        for inner in value:
            only_known(inner, shape.member, where)
