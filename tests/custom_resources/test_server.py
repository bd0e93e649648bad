"""The whole server and a user's endpoint: registered by boto3, told over HTTP, explained on the command line."""

from __future__ import annotations

from typing import Any

import loopback_endpoint
from tests.end_to_end import conftest, installations


def test_a_custom_resource_of_a_real_endpoint() -> None:
    with loopback_endpoint.serving() as endpoint, conftest.installed("--ephemeral", runtime="simulated") as one:
        scaling = one.client("application-autoscaling")
        identity = {
            "ServiceNamespace": "custom-resource",
            "ResourceId": endpoint.url,
            "ScalableDimension": "custom-resource:ResourceType:Property",
        }
        scaling.register_scalable_target(**identity, MinCapacity=5, MaxCapacity=9)
        done = installations.eventually(lambda: _successful(scaling, endpoint.url))
        assert endpoint.capacity == 5.0
        assert done["StatusMessage"] == (
            "Successfully set desired capacity to 5. Change successfully fulfilled by custom-resource."
        )
        told = one.output("explain", "target", endpoint.url)
        assert f"Target {endpoint.url} is steady at 5" in " ".join(told.split())
        assert one.json("explain", "target", endpoint.url)["state"] == "STEADY"
        refused = one.roadstead("explain", "target", "service/default/none")
        assert refused.returncode != 0
        assert "is not registered as a scalable target" in refused.stderr


def _successful(scaling: Any, url: str) -> Any:
    found = scaling.describe_scaling_activities(ServiceNamespace="custom-resource", ResourceId=url)
    return next((one for one in found["ScalingActivities"] if one["StatusCode"] == "Successful"), None)
