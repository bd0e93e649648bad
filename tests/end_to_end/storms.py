"""Storms of writes: threads that call without pause until the server is gone, and remember what was acknowledged."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import botocore.exceptions
from tests.end_to_end import installations

METRIC_SPACE = "Storm"
SERVICES_MAX = 3
TASKS_MAX = 15
"""Of one storm: real containers."""
TASK_PAUSE_SECONDS = 0.04
SERVICE_PAUSE_SECONDS = 0.2
"""So that neither is through before the kill."""
GONE = (botocore.exceptions.HTTPClientError, botocore.exceptions.EndpointConnectionError)
"""How a client tells that the server was killed."""


class Acknowledged:
    """Everything that the server has said yes to."""

    def __init__(self) -> None:
        self.tasks: list[str] = []
        self.services: list[str] = []
        self.definitions: list[str] = []
        self.data = 0
        self.data_sent = 0


class Storm:
    """Four writers at once; each ends when the server does, or when it has written its most."""

    def __init__(self, one: installations.Installation, kept: Acknowledged, family: str, round_number: int) -> None:
        self._one = one
        self._kept = kept
        self._family = family
        self._round = round_number
        self._is_over = threading.Event()
        self.problems: list[BaseException] = []
        writers = (self._definitions, self._services, self._tasks, self._data)
        self._threads = [threading.Thread(target=self._guard, args=(writer,), daemon=True) for writer in writers]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def kill(self, after_seconds: float) -> None:
        """SIGKILL for the server in the midst of it."""
        self._is_over.wait(after_seconds)
        assert any(thread.is_alive() for thread in self._threads), "the storm has ended before its time"
        assert self._one.stop(9) == -9
        self._is_over.set()
        for thread in self._threads:
            thread.join(20)
        assert not self.problems, self.problems

    def _guard(self, writer: Callable[[], None]) -> None:
        try:
            writer()
        except GONE:
            return
        except BaseException as problem:
            self.problems.append(problem)

    def _numbers(self, count_max: int, pause_seconds: float = 0.0) -> Iterator[int]:
        for number in itertools.count():
            if number >= count_max or self._is_over.wait(pause_seconds):
                return
            yield number

    def _definitions(self) -> None:
        ecs = self._one.client("ecs")
        for number in self._numbers(10_000):
            made = ecs.register_task_definition(
                family=f"storm-{self._round}-{number % 7}",
                containerDefinitions=[{"name": "main", "image": "box", "memory": 16, "command": [str(number)]}],
            )
            self._kept.definitions.append(made["taskDefinition"]["taskDefinitionArn"])

    def _services(self) -> None:
        ecs = self._one.client("ecs")
        for number in self._numbers(SERVICES_MAX, SERVICE_PAUSE_SECONDS):
            made = ecs.create_service(
                serviceName=f"storm-{self._round}-{number}", **self._placed(), desiredCount=number % 3
            )
            self._kept.services.append(made["service"]["serviceArn"])

    def _tasks(self) -> None:
        ecs = self._one.client("ecs")
        for _ in self._numbers(TASKS_MAX, TASK_PAUSE_SECONDS):
            made = ecs.run_task(**self._placed(), count=1)
            assert not made["failures"], made["failures"]
            self._kept.tasks += [task["taskArn"] for task in made["tasks"]]

    def _data(self) -> None:
        cloudwatch = self._one.client("cloudwatch")
        for number in self._numbers(10_000):
            self._kept.data_sent += 1
            data = [{"MetricName": "Writes", "Value": float(number), "Unit": "Count"}]
            cloudwatch.put_metric_data(Namespace=METRIC_SPACE, MetricData=data)
            self._kept.data += 1

    def _placed(self) -> dict[str, Any]:
        return placed(self._family)


def placed(family: str) -> dict[str, Any]:
    """Members of RunTask and CreateService for a task definition by `define`."""
    if family != "awsvpc":
        return {"taskDefinition": family}
    return {
        "taskDefinition": family,
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-0123456789abcdef0"]}},
    }


def define(ecs: Any, mode: str, script: str = "exec sleep 1000", **container: Any) -> str:
    """Register a task definition of one container in a network mode; the family has the mode's name."""
    made = ecs.register_task_definition(
        family=mode,
        networkMode=mode,
        containerDefinitions=[
            {
                "name": "main",
                "image": "box",
                "memory": 16,
                "stopTimeout": 2,
                "command": ["/bin/sh", "-c", script],
                **container,
            }
        ],
    )
    return str(made["taskDefinition"]["taskDefinitionArn"])
