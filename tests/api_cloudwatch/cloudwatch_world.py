"""A store that is called as a client calls: botocore writes the request and reads the answer, in each protocol."""

from __future__ import annotations

from typing import Any
from urllib import parse as urls

import botocore.awsrequest
import botocore.exceptions
import botocore.parsers
import botocore.serialize
import botocore.session

from roadstead.api import operation
from roadstead.api.cloudwatch import operations
from roadstead.base import errors, scope
from roadstead.control import alarms as alarms_controller
from roadstead.control import composite_alarms as composite_controller
from roadstead.engine import stepper
from roadstead.model import alarms
from roadstead.state import plan, store
from roadstead.wire import acceptance, requests, responses
from roadstead.wire import services as wire_services

START = 1_700_000_040.0
"""On the full minute."""
POLICY = (
    "arn:aws:autoscaling:us-east-1:123456789012:scalingPolicy:1-2-3:"
    "resource/ecs/service/default/web:policyName/cpu:createdBy/4-5-6"
)
STEPS_MAX = 1000
PROTOCOLS = ("json", "query", "smithy-rpc-v2-cbor")
SERVICES = wire_services.Services()
MODEL = botocore.session.get_session().get_service_model("cloudwatch")
SERIALIZERS = {name: botocore.serialize.create_serializer(name) for name in PROTOCOLS}
PARSERS = {name: botocore.parsers.create_parser(name) for name in PROTOCOLS}
TABLE = {one.name: one for one in operations.OPERATIONS}
CHECKERS = {name: acceptance.compile_checker(SERVICES, "cloudwatch", name, one.accepts) for name, one in TABLE.items()}


class World:
    """One control plane's store, at a time that the test sets, spoken to in one protocol."""

    def __init__(self, protocol: str) -> None:
        self.now = START
        self.protocol = protocol
        self._seeds = 0
        self.store = store.Store(scope.Scope(), self._seed)
        self.problems: list[stepper.Problem] = []
        controllers = [alarms_controller.CONTROLLER, composite_controller.CONTROLLER]
        self.stepper = stepper.Stepper(self.store, controllers, self.problems.append, checks=True)
        self.store.watch(self.stepper.note)

    def _seed(self) -> int:
        self._seeds += 1
        return self._seeds

    def settle(self) -> None:
        """Let the alarms be evaluated as of now."""
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

    def call(self, name: str, /, **params: Any) -> Any:
        """What boto3 would return. Raises botocore's ClientError; code `Unsupported` where a member is not accepted."""
        model = MODEL.operation_model(name)
        wanted = SERIALIZERS[self.protocol].serialize_to_request(params, model)
        body = wanted["body"]
        if isinstance(body, dict):
            body = urls.urlencode(body).encode()
        headers = {key.lower(): value for key, value in wanted["headers"].items()}
        if self.protocol == "query":
            headers["content-type"] = "application/x-www-form-urlencoded"
            headers["authorization"] = "AWS4-HMAC-SHA256 Credential=A/20240101/us-east-1/monitoring/aws4_request"
        path = wanted["url_path"]
        request = requests.Request(method="POST", path=path, headers=headers, body=body)
        target = requests.detect(SERVICES, request)
        try:
            answer = self._decide(request)
        except errors.Refusal as refusal:
            answer = responses.refuse(SERVICES, target, refusal, "request-1")
        shown = {
            "body": answer.body,
            "headers": botocore.awsrequest.HeadersDict(dict(answer.headers)),
            "status_code": answer.status,
        }
        parsed = PARSERS[self.protocol].parse(shown, model.output_shape)
        if answer.status >= 300:
            raise botocore.exceptions.ClientError(parsed, name)
        parsed.pop("ResponseMetadata")
        return parsed

    def _decide(self, request: requests.Request) -> responses.Response:
        call = requests.parse(SERVICES, request, "request-1")
        unsupported = CHECKERS[call.operation](call.params)
        if unsupported:
            raise errors.Refusal("Unsupported", ", ".join(unsupported))
        asked = operation.Call(params=call.params, now=self.now, request_id="request-1")

        def decide(view: store.StoreView) -> tuple[plan.Plan, operation.Reply]:
            reply = TABLE[call.operation].decide(asked, view)
            return reply.plan, reply

        _, reply = self.store.transact(decide, self.now)
        only_known(reply.output, MODEL.operation_model(call.operation).output_shape, call.operation)
        return responses.serialize(SERVICES, call, reply.output)

    def refused(self, name: str, /, **params: Any) -> tuple[str, str]:
        """Code and text of the refusal; nothing may have been written."""
        before = self.store.revision
        try:
            self.call(name, **params)
        except botocore.exceptions.ClientError as problem:
            assert self.store.revision == before
            told = problem.response["Error"]
            return told["Code"], told["Message"]
        raise AssertionError(f"{name} was not refused")

    def refusal_code(self, name: str, /, **params: Any) -> str:
        return self.refused(name, **params)[0]

    def alarm(self, name: str = "high") -> alarms.MetricAlarm:
        found = self.store.view().get(alarms.MetricAlarm, name)
        assert found is not None
        return found

    def put_alarm(self, name: str = "high", **more: Any) -> None:
        """Above 50 on 3 of 3 minutes, unless said otherwise; None leaves a member out."""
        wanted = {
            "AlarmName": name,
            "Namespace": "Test",
            "MetricName": "Load",
            "Statistic": "Average",
            "Period": 60,
            "EvaluationPeriods": 3,
            "Threshold": 50.0,
            "ComparisonOperator": "GreaterThanThreshold",
            **more,
        }
        self.call("PutMetricAlarm", **{key: value for key, value in wanted.items() if value is not None})

    def measure(self, value: float, at: float, **more: Any) -> None:
        datum = {"MetricName": "Load", "Value": value, "Timestamp": at, **more}
        self.call("PutMetricData", Namespace="Test", MetricData=[datum])


def only_known(value: Any, shape: Any, where: str) -> None:
    """An answer has no member that the model does not have: a client would not see it."""
    if shape is None:
        assert value == {}, f"{where} has no output"
    elif shape.type_name == "structure":
        for name, inner in value.items():
            assert name in shape.members, f"{where}.{name} is not in the model"
            only_known(inner, shape.members[name], f"{where}.{name}")
    elif shape.type_name == "list":
        for inner in value:
            only_known(inner, shape.member, where)
