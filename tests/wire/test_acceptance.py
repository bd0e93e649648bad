"""What is not supported is named, wherever in a request it stands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from roadstead.wire import acceptance, requests, services

SERVICES = services.Services()


def params(operation: str, body: dict[str, Any]) -> Any:
    headers = {"x-amz-target": f"AmazonEC2ContainerServiceV20141113.{operation}"}
    request = requests.Request(method="POST", path="/", headers=headers, body=json.dumps(body).encode())
    return requests.parse(SERVICES, request, "id").params


def test_members_that_are_set_but_not_accepted_are_named() -> None:
    unsupported = acceptance.compile_checker(
        SERVICES, "ecs", "RunTask", {"taskDefinition", "count", "overrides.containerOverrides.command"}
    )
    assert unsupported(params("RunTask", {"taskDefinition": "web", "count": 2})) == []
    assert unsupported(
        params(
            "RunTask",
            {
                "taskDefinition": "web",
                "launchType": "EC2",
                "tags": [],
                "enableExecuteCommand": False,
                "overrides": {
                    "cpu": "1",
                    "containerOverrides": [
                        {"command": ["a"]},
                        {"name": "a", "environment": [{"name": "N"}]},
                        {"name": "b"},
                    ],
                },
            },
        )
    ) == [
        "enableExecuteCommand",
        "launchType",
        "overrides.containerOverrides.environment",
        "overrides.containerOverrides.name",
        "overrides.cpu",
    ]


def test_a_listed_path_accepts_all_below_it_in_whatever_order_it_is_listed() -> None:
    accepted = ["overrides.containerOverrides.command", "overrides", "taskDefinition"]
    for listed in (accepted, accepted[::-1]):
        unsupported = acceptance.compile_checker(SERVICES, "ecs", "RunTask", listed)
        asked = {"taskDefinition": "w", "overrides": {"cpu": "1", "containerOverrides": [{"name": "a"}]}}
        assert unsupported(params("RunTask", asked)) == []


def test_a_single_refused_member_is_seen() -> None:
    every = {path for path in acceptance.member_paths(SERVICES, "ecs", "StopTask") if "." not in path}
    assert acceptance.compile_checker(SERVICES, "ecs", "StopTask", every)(params("StopTask", {"task": "t"})) == []
    unsupported = acceptance.compile_checker(SERVICES, "ecs", "StopTask", every - {"reason"})
    assert unsupported(params("StopTask", {"task": "t"})) == []
    assert unsupported(params("StopTask", {"task": "t", "reason": ""})) == ["reason"]


@pytest.mark.parametrize("path", ["nope", "overrides.nope", "taskDefinition.nope"])
def test_a_path_that_the_model_does_not_have_is_our_slip(path: str) -> None:
    with pytest.raises(ValueError, match="nope"):
        acceptance.compile_checker(SERVICES, "ecs", "RunTask", {path})


def test_an_operation_without_parameters() -> None:
    assert acceptance.compile_checker(SERVICES, "sts", "GetCallerIdentity", ())(object()) == []
    assert acceptance.member_paths(SERVICES, "sts", "GetCallerIdentity") == ()


def test_paths_go_through_lists_and_maps_without_parts_of_their_own() -> None:
    paths = acceptance.member_paths(SERVICES, "ecs", "RegisterTaskDefinition")
    assert paths[0] == "family"
    assert "containerDefinitions.environment.name" in paths
    assert "containerDefinitions.dockerLabels" in paths


def test_all_paths_of_every_operation_compile_to_a_checker_that_refuses_nothing_or_everything() -> None:
    for name in ("ecs", "application-autoscaling", "cloudwatch", "sts", "autoscaling"):
        for operation in SERVICES.service(name).operations:
            acceptance.compile_checker(SERVICES, name, operation, acceptance.member_paths(SERVICES, name, operation))
            acceptance.compile_checker(SERVICES, name, operation, ())
