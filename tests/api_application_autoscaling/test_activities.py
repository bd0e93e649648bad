"""DescribeScalingActivities (behaviour.md 1.7)."""

from __future__ import annotations

from typing import Any

import pytest

from roadstead.base import errors
from roadstead.model import scaling


def activity(number: int, *, at: float = 10.0, service: str = "web", **more: Any) -> scaling.ScalingActivity:
    wanted: dict[str, Any] = {
        "status": "Successful",
        "description": f"Setting desired count to {number}.",
        "cause": "monitor alarm high in state ALARM triggered policy cpu",
        **more,
    }
    return scaling.ScalingActivity(
        activity_id=f"{service}-{number}",
        namespace="ecs",
        resource_id=f"service/default/{service}",
        dimension="ecs:service:DesiredCount",
        started_at=at,
        number=number,
        **wanted,
    )


def listed(world: Any, **params: Any) -> list[str]:
    found = world.call("DescribeScalingActivities", ServiceNamespace="ecs", **params)["ScalingActivities"]
    return [one["ActivityId"] for one in found]


@pytest.mark.rule("1.7#newest first")
def test_activities_are_shown_newest_first(world: Any) -> None:
    world.put(activity(0), activity(1), activity(0, at=20.0, service="api"))
    assert listed(world) == ["api-0", "web-1", "web-0"]
    assert listed(world, ResourceId="service/default/web") == ["web-1", "web-0"]
    assert listed(world, ResourceId="service/default/web", ScalableDimension="ecs:service:DesiredCount") == [
        "web-1",
        "web-0",
    ]


def test_an_activity_in_full(world: Any) -> None:
    world.put(activity(3, ended_at=12.0, status_message="done"))
    (shown,) = world.call("DescribeScalingActivities", ServiceNamespace="ecs")["ScalingActivities"]
    assert (shown.pop("StartTime").timestamp(), shown.pop("EndTime").timestamp()) == (10.0, 12.0)
    assert shown == {
        "ActivityId": "web-3",
        "ServiceNamespace": "ecs",
        "ResourceId": "service/default/web",
        "ScalableDimension": "ecs:service:DesiredCount",
        "Description": "Setting desired count to 3.",
        "Cause": "monitor alarm high in state ALARM triggered policy cpu",
        "StatusCode": "Successful",
        "StatusMessage": "done",
    }


@pytest.mark.rule("1.7#not scaled")
def test_what_was_not_scaled_is_shown_on_request(world: Any) -> None:
    reason = scaling.NotScaledReason(code="AlreadyAtMaxCapacity", max_capacity=4)
    world.put(
        activity(0),
        activity(1, status="Failed", description="Attempting to scale due to alarm triggered", not_scaled=(reason,)),
    )
    assert listed(world) == ["web-0"]
    shown = world.call("DescribeScalingActivities", ServiceNamespace="ecs", IncludeNotScaledActivities=True)
    newest = shown["ScalingActivities"][0]
    assert newest["NotScaledReasons"] == [{"Code": "AlreadyAtMaxCapacity", "MaxCapacity": 4}]
    assert (newest["StatusCode"], "EndTime" in newest) == ("Failed", False)


@pytest.mark.rule("1.7#newest first", "1.7#pages")
def test_pages_go_on_where_they_stopped(world: Any) -> None:
    world.put(*(activity(n, at=float(n // 2)) for n in range(120)))
    found: list[str] = []
    token: dict[str, str] = {}
    pages = 0
    while True:
        page = world.call("DescribeScalingActivities", ServiceNamespace="ecs", **token)
        pages += 1
        found += [one["ActivityId"] for one in page["ScalingActivities"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert found == [f"web-{n}" for n in range(119, -1, -1)]
    assert pages == 3, "50 a page"
    with pytest.raises(errors.Refusal, match="InvalidNextTokenException"):
        world.call("DescribeScalingActivities", ServiceNamespace="ecs", IncludeNotScaledActivities=True, **token)
