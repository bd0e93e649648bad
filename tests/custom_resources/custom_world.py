"""A simulated world with one custom resource, called as a user of AWS's would."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from roadstead.base import errors
from roadstead.control import table
from roadstead.model import custom_resources, scaling, scaling_names, tables
from roadstead.sim import world as worlds

AAS = "application-autoscaling"
URL = "https://jobs.example/v1/scalableTargetDimensions/1-23456789"
IDENTITY = {
    "ServiceNamespace": "custom-resource",
    "ResourceId": URL,
    "ScalableDimension": "custom-resource:ResourceType:Property",
}
BACKLOG = {"Namespace": "Jobs", "MetricName": "Backlog", "Statistic": "Average"}


class CustomWorld:
    """The resource's endpoint is there, and nothing registered."""

    def __init__(self, *, capacity: int = 4, minimum: int = 0, maximum: int = 20, seed: int = 1) -> None:
        self.world = worlds.World(seed, table.all_controllers())
        self.endpoint = self.world.add_custom_resource(URL, capacity=capacity)
        self.bounds = {"MinCapacity": minimum, "MaxCapacity": maximum}

    def register(self) -> None:
        """RegisterScalableTarget, and time for the endpoint's first answer."""
        self.ask("RegisterScalableTarget", **self.bounds)
        self.world.run_for(20)

    def ask(self, name: str, **params: Any) -> Any:
        """An operation of Application Auto Scaling on the resource."""
        return self.world.call(AAS, name, **{**IDENTITY, **params})

    def refused(self, name: str, **params: Any) -> tuple[str, str]:
        """Code and text of a refusal."""
        with pytest.raises(errors.Refusal) as caught:
            self.ask(name, **params)
        return caught.value.code, caught.value.message

    def track(self, target: float = 50.0, **more: Any) -> Any:
        """A policy `backlog` that tracks the load."""
        tracking = {"TargetValue": target, "CustomizedMetricSpecification": BACKLOG, **more}
        return self.ask(
            "PutScalingPolicy",
            PolicyName="backlog",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=tracking,
        )

    def minutes(self, count: float, work: float) -> None:
        """So many minutes pass, in which the actual capacity shares so much work."""
        until = self.world.now + count * 60
        while self.world.now < until:
            if self.world.plane.is_up:
                share = work / max(1, self.endpoint.actual)
                datum = {"MetricName": "Backlog", "Value": share, "Timestamp": self.world.now}
                self.world.call("cloudwatch", "PutMetricData", Namespace="Jobs", MetricData=[datum])
            self.world.run_until(min(until, self.world.now + 60))

    def rough_minutes(self, count: int, work: float) -> None:
        """The same in a world where calls may get no answer: some data points are missing."""
        for _ in range(count):
            with contextlib.suppress(worlds.Unanswered):
                self.minutes(1 / 60, work)
            self.world.run_for(59)

    @property
    def resource(self) -> custom_resources.CustomResource:
        found = self.world.view().get(custom_resources.CustomResource, URL)
        assert found is not None
        return found

    @property
    def target(self) -> scaling.ScalableTarget:
        found = self.world.view().get(scaling.ScalableTarget, scaling_names.custom_target_key(URL))
        assert found is not None
        return found

    @property
    def told(self) -> list[scaling.ScalingActivity]:
        """Activities, newest first."""
        key = scaling_names.custom_target_key(URL)
        return list(self.world.view().find(tables.SCALING_ACTIVITIES, "newest_first", key))
