"""A store that is called as a client calls: botocore writes the request and reads the answer, in each protocol."""

from __future__ import annotations

from typing import Any

import botocore.exceptions
from tests import store_worlds

from roadstead.api.cloudwatch import operations
from roadstead.base import errors
from roadstead.control import alarms as alarms_controller
from roadstead.control import composite_alarms as composite_controller
from roadstead.model import alarms
from roadstead.wire import requests, responses

START = 1_700_000_040.0
"""On the full minute."""
POLICY = store_worlds.POLICY
PROTOCOLS = ("json", "query", "smithy-rpc-v2-cbor")


class World(store_worlds.ClientWorld):
    """One control plane's store, spoken to in one protocol; refusals, too, are read as clients read them."""

    def __init__(self, protocol: str) -> None:
        controllers = (alarms_controller.CONTROLLER, composite_controller.CONTROLLER)
        super().__init__(START, operations.OPERATIONS, protocol=protocol, controllers=controllers)
        self.put(store_worlds.POLICY_TARGET, store_worlds.POLICY_RECORD)

    def call(self, name: str, /, **params: Any) -> Any:
        """What boto3 would return. Raises botocore's ClientError; code `Unsupported` where a member is not accepted."""
        request = self.written(name, params)
        try:
            answer = self.answer(request)
        except errors.Refusal as refusal:
            target = requests.detect(store_worlds.SERVICES, request)
            answer = responses.refuse(store_worlds.SERVICES, target, refusal, store_worlds.REQUEST_ID)
        read = self.read(name, answer)
        if answer.status >= 300:
            raise botocore.exceptions.ClientError(read, name)
        return read

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
