"""A service, its scaling as users ask for it over the wire, the controllers, and a time that the test moves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from tests import store_worlds

from roadstead.api import operation, registry
from roadstead.control import alarms as alarm_control
from roadstead.control import (
    composite_alarms,
    controller,
    forecasting,
    predictive_scaling,
    scaling_alarms,
    scheduled_scaling,
    service_scaling,
)
from roadstead.model import invariants, scaling, scaling_names, services, tables, tasks
from roadstead.signals import metrics
from roadstead.state import plan, store

START = 1_700_000_040.0
"""2023-11-14T22:14:00Z: on the full minute."""
KEY = scaling_names.service_target_key("default", "web")
LOAD = metrics.metric("Test", "Load")
IDENTITY = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/default/web",
    "ScalableDimension": "ecs:service:DesiredCount",
}
CONTROLLERS = (
    alarm_control.CONTROLLER,
    composite_alarms.CONTROLLER,
    scaling_alarms.CONTROLLER,
    service_scaling.CONTROLLER,
    scheduled_scaling.CONTROLLER,
    predictive_scaling.CONTROLLER,
    forecasting.CONTROLLER,
)


class ServiceWorld(store_worlds.World):
    """A service `web`, whose tasks the test sets."""

    def __init__(
        self,
        now: float,
        *,
        desired: int,
        operations: Iterable[operation.Operation] = (),
        controllers: Iterable[controller.Controller] = (),
        monitoring: services.Monitoring | None = None,
    ) -> None:
        super().__init__(now, operations=operations, controllers=controllers)
        measured = monitoring or services.Monitoring()
        self.deployment = services.Deployment(
            deployment_id="ecs-svc/1",
            status="PRIMARY",
            task_definition="web:1",
            desired_count=desired,
            created_at=now,
            updated_at=now,
            monitoring=measured,
            rollout_state="COMPLETED",
        )
        spec = services.ServiceSpec(task_definition="web:1", desired_count=desired, monitoring=measured)
        self.put(
            services.Service(cluster="default", name="web", created_at=now, spec=spec, deployments=(self.deployment,))
        )

    def call(self, service: str, name: str, **params: Any) -> dict[str, Any]:
        """Any operation; its output. Raises Refusal."""
        _, reply = self.decide(store_worlds.json_request(service, name, params))
        return reply.output

    def ask(self, name: str, **params: Any) -> dict[str, Any]:
        """An operation of Application Auto Scaling on the service; its output."""
        return self.call("application-autoscaling", name, **{**IDENTITY, **params})

    def set_running(self, count: int) -> None:
        """So many tasks run."""
        live = list(self.store.view().find(tables.TASKS, "live_by_service", "default", "web"))
        for one in live[count:]:
            ended = msgspec.structs.replace(one.observed, last_status="STOPPED", stopped_at=self.now)
            self.put(msgspec.structs.replace(one, observed=ended))
        for n in range(len(live), count):
            self.put(
                tasks.Task(
                    task_id=f"{self.seed():032x}",
                    cluster="default",
                    created_at=self.now + n / 1000,
                    spec=tasks.TaskSpec(task_definition="web:1", group="g", service="web", deployment_id="ecs-svc/1"),
                    observed=tasks.TaskObserved(last_status="RUNNING"),
                )
            )

    @property
    def service(self) -> services.Service:
        found: services.Service = self.get(services.Service, "default/web")
        return found

    @property
    def desired(self) -> int:
        return self.service.spec.desired_count

    @property
    def running(self) -> int:
        return self.store.view().tally(tables.TASKS, "counts", "service", "default", "web")[0]

    @property
    def told(self) -> list[scaling.ScalingActivity]:
        """Activities, newest first."""
        return list(self.store.view().find(tables.SCALING_ACTIVITIES, "newest_first", KEY))


class World(ServiceWorld):
    """A scalable target whose tasks start and stop at once, unless `follows` is switched off."""

    def __init__(
        self,
        *,
        desired: int = 10,
        minimum: int = 1,
        maximum: int = 100,
        start: float = START,
        controllers: tuple[controller.Controller, ...] = CONTROLLERS,
    ) -> None:
        self.follows = True
        super().__init__(start, desired=desired, operations=registry.all_operations(), controllers=controllers)
        self.set_running(desired)
        self.ask("RegisterScalableTarget", MinCapacity=minimum, MaxCapacity=maximum)

    def begin(self, subject: store.Store) -> None:
        super().begin(subject)
        subject.watch(lambda commit: invariants.check_commit(commit, subject.view()))

    def restart(self, down_seconds: float = 0.0) -> None:
        """A new process, after so much time without one: it knows the records, and no wake-ups."""
        view = self.store.view()
        records = (
            *view.find(tables.SERVICES, "by_cluster", "default"),
            *view.find(tables.TASKS, "live_by_service", "default", "web"),
            *view.find(tables.SCALABLE_TARGETS, "by_namespace", "ecs"),
            *view.find(tables.SCALING_POLICIES, "by_namespace", "ecs"),
            *view.find(tables.SCALING_ACTIVITIES, "newest_first", "ecs"),
            *view.find(tables.ALARMS, "listing", "all"),
            *view.find(tables.COMPOSITE_ALARMS, "listing", "all"),
            *view.find(tables.SCHEDULED_ACTIONS, "by_namespace", "ecs"),
            *view.find(tables.FORECASTS, "all", "all"),
        )
        self.restart_with(records, down_seconds)

    def call(self, service: str, name: str, **params: Any) -> dict[str, Any]:
        """Any operation, answered when the controllers rest; its output."""
        output = super().call(service, name, **params)
        self.settle()
        return output

    def refused(self, name: str, **params: Any) -> tuple[str, str]:
        """Code and text of a refusal of an operation on the service, which writes nothing."""
        return self.refused_of("application-autoscaling", name, **{**IDENTITY, **params})

    def refused_of(self, service: str, name: str, **params: Any) -> tuple[str, str]:
        """The same of any operation."""
        return self.refusal_of(self.call, service, name, **params)

    def put_alarm(self, name: str, arn: str, **more: Any) -> None:
        """PutMetricAlarm on Test/Load: one data point above 50 is enough, unless said otherwise."""
        wanted = {
            "AlarmName": name,
            "Namespace": "Test",
            "MetricName": "Load",
            "Statistic": "Average",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 50,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "AlarmActions": [arn],
        }
        self.call("cloudwatch", "PutMetricAlarm", **{**wanted, **more})

    def measure(self, value: float, metric: metrics.Metric = LOAD, unit: str = "None") -> None:
        """A data point of the minute that ends now."""
        datum = metrics.Datum(metric=metric, timestamp=self.now - 60, values=(value,), unit=unit)
        self.store.commit(plan.Plan(data=(datum,)), self.now)

    def minute(self, value: float | None = None) -> int:
        """The minute passes, in which the load was that; the desired count when its alarms are answered."""
        self.pass_minute()
        if value is not None:
            self.measure(value)
        self.answer()
        return self.desired

    def pass_minute(self) -> None:
        """The next full minute."""
        self.now = (self.now // 60 + 1) * 60

    def answer(self) -> None:
        """Whatever alarms ask now is answered: with several policies that takes a moment."""
        self.run(self.now + service_scaling.MOMENT_SECONDS)

    def settle(self) -> None:
        """Let the controllers do what is to be done now, and tasks start and stop."""
        super().settle()
        for _ in range(store_worlds.STEPS_MAX):
            if not self.follows or self.running == self.desired:
                return
            self.set_running(self.desired)
            super().settle()
        raise AssertionError("the desired count does not come to rest")

    def set_desired(self, count: int) -> None:
        """UpdateService."""
        self.put(services.with_desired_count(self.service, count, self.now))
        self.settle()

    def ask_targets(self) -> dict[str, Any]:
        """DescribeScalableTargets of the service."""
        wanted = {"ServiceNamespace": "ecs", "ResourceIds": [IDENTITY["ResourceId"]]}
        (found,) = self.call("application-autoscaling", "DescribeScalableTargets", **wanted)["ScalableTargets"]
        return dict(found)

    @property
    def target(self) -> scaling.ScalableTarget:
        found = self.store.view().get(scaling.ScalableTarget, KEY)
        assert found is not None
        return found
