"""A service, its scaling as users ask for it over the wire, the controllers, and a time that the test moves."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from roadstead.api import operation, registry
from roadstead.base import errors, scope
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
from roadstead.engine import stepper
from roadstead.model import invariants, record, scaling, scaling_names, services, tables, tasks
from roadstead.signals import metrics
from roadstead.state import plan, store
from roadstead.wire import acceptance, requests
from roadstead.wire import services as wire_services

START = 1_700_000_040.0
"""2023-11-14T22:14:00Z: on the full minute."""
KEY = scaling_names.service_target_key("default", "web")
LOAD = metrics.metric("Test", "Load")
KNOWN = wire_services.Services()
PASSES_MAX = 1000
IDENTITY = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/default/web",
    "ScalableDimension": "ecs:service:DesiredCount",
}
PREFIXES = {
    "application-autoscaling": ("AnyScaleFrontendService", "1.1"),
    "cloudwatch": ("GraniteServiceVersion20100801", "1.0"),
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


class World:
    """A service `web` whose tasks start and stop at once, unless `follows` is switched off."""

    def __init__(
        self,
        *,
        desired: int = 10,
        minimum: int = 1,
        maximum: int = 100,
        start: float = START,
        controllers: tuple[controller.Controller, ...] = CONTROLLERS,
    ) -> None:
        self.now = start
        self.follows = True
        self._seeds = 0
        self.problems: list[stepper.Problem] = []
        self.controllers = controllers
        self.table = {(one.service, one.name): one for one in registry.all_operations()}
        self._begin(store.Store(scope.Scope(), self._seed))
        deployment = services.Deployment(
            deployment_id="ecs-svc/1",
            status="PRIMARY",
            task_definition="web:1",
            desired_count=desired,
            created_at=start,
            updated_at=start,
            rollout_state="COMPLETED",
        )
        spec = services.ServiceSpec(task_definition="web:1", desired_count=desired)
        self.put(
            services.Service(cluster="default", name="web", created_at=start, spec=spec, deployments=(deployment,))
        )
        self.set_running(desired)
        self.ask("RegisterScalableTarget", MinCapacity=minimum, MaxCapacity=maximum)

    def _seed(self) -> int:
        self._seeds += 1
        return self._seeds

    def _begin(self, subject: store.Store) -> None:
        self.store = subject
        self.stepper = stepper.Stepper(subject, list(self.controllers), self.problems.append, checks=True)
        subject.watch(self.stepper.note)
        subject.watch(lambda commit: invariants.check_commit(commit, subject.view()))
        self.stepper.start(self.now)

    def restart(self, down_seconds: float = 0.0) -> None:
        """A new process, after so much time without one: it knows the records, and no wake-ups."""
        fresh = store.Store(scope.Scope(), self._seed)
        fresh.signals.load(list(self.store.signals.dump()))
        draft = plan.Draft(fresh.view())
        view = self.store.view()
        for one in (
            *view.find(tables.SERVICES, "by_cluster", "default"),
            *view.find(tables.TASKS, "live_by_service", "default", "web"),
            *view.find(tables.SCALABLE_TARGETS, "by_namespace", "ecs"),
            *view.find(tables.SCALING_POLICIES, "by_namespace", "ecs"),
            *view.find(tables.SCALING_ACTIVITIES, "newest_first", "ecs"),
            *view.find(tables.ALARMS, "listing", "all"),
            *view.find(tables.COMPOSITE_ALARMS, "listing", "all"),
            *view.find(tables.SCHEDULED_ACTIONS, "by_namespace", "ecs"),
            *view.find(tables.FORECASTS, "all", "all"),
        ):
            draft.put(one)
        fresh.commit(draft.plan(), self.now)
        self.now += down_seconds
        self._begin(fresh)
        self.settle()

    def ask(self, name: str, **params: Any) -> dict[str, Any]:
        """An operation of Application Auto Scaling on the service; its output."""
        return self.call("application-autoscaling", name, **{**IDENTITY, **params})

    def call(self, service: str, name: str, **params: Any) -> dict[str, Any]:
        """Any operation, parsed from its bytes."""
        prefix, version = PREFIXES[service]
        headers = {"x-amz-target": f"{prefix}.{name}", "content-type": f"application/x-amz-json-{version}"}
        request = requests.Request(method="POST", path="/", headers=headers, body=json.dumps(params).encode())
        parsed = requests.parse(KNOWN, request, "r")
        served = self.table[service, name]
        unsupported = acceptance.compile_checker(KNOWN, service, name, served.accepts)(parsed.params)
        if unsupported:
            raise errors.Refusal("Unsupported", ", ".join(unsupported))
        call = operation.Call(params=parsed.params, now=self.now, request_id="r")

        def decide(view: store.StoreView) -> tuple[plan.Plan, operation.Reply]:
            reply = served.decide(call, view)
            return reply.plan, reply

        _, reply = self.store.transact(decide, self.now)
        self.settle()
        return reply.output

    def refused(self, name: str, **params: Any) -> tuple[str, str]:
        """Code and text of a refusal of an operation on the service, which writes nothing."""
        return self.refused_of("application-autoscaling", name, **{**IDENTITY, **params})

    def refused_of(self, service: str, name: str, **params: Any) -> tuple[str, str]:
        """The same of any operation."""
        before = self.store.revision
        with pytest.raises(errors.Refusal) as caught:
            self.call(service, name, **params)
        assert self.store.revision == before
        return caught.value.code, caught.value.message

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

    def put(self, *records: record.Record) -> None:
        draft = plan.Draft(self.store.view())
        for one in records:
            draft.put(one)
        if not draft.plan().is_empty:
            self.store.commit(draft.plan(), self.now)

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

    def run(self, until: float) -> None:
        """Time passes, from one wake-up to the next."""
        self.settle()
        while (wake_at := self.stepper.next_wake()) is not None and wake_at <= until:
            self.now = max(self.now, wake_at)
            self.settle()
        self.now = until
        self.settle()

    def settle(self) -> None:
        for _ in range(PASSES_MAX):
            if not self.stepper.step(self.now):
                if not self.follows or self.running == self.desired:
                    break
                self.set_running(self.desired)
        else:
            raise AssertionError("the controllers do not come to rest")
        assert self.problems == []

    def set_running(self, count: int) -> None:
        """So many tasks run."""
        live = list(self.store.view().find(tables.TASKS, "live_by_service", "default", "web"))
        for one in live[count:]:
            ended = msgspec.structs.replace(one.observed, last_status="STOPPED", stopped_at=self.now)
            self.put(msgspec.structs.replace(one, observed=ended))
        for n in range(len(live), count):
            self.put(
                tasks.Task(
                    task_id=f"{self._seed():032x}",
                    cluster="default",
                    created_at=self.now + n / 1000,
                    spec=tasks.TaskSpec(task_definition="web:1", group="g", service="web", deployment_id="ecs-svc/1"),
                    observed=tasks.TaskObserved(last_status="RUNNING"),
                )
            )

    def set_desired(self, count: int) -> None:
        """UpdateService."""
        self.put(services.with_desired_count(self.service, count, self.now))
        self.settle()

    def ask_targets(self) -> dict[str, Any]:
        """DescribeScalableTargets of the service."""
        wanted = {"ServiceNamespace": "ecs", "ResourceIds": [IDENTITY["ResourceId"]]}
        (found,) = self.call("application-autoscaling", "DescribeScalableTargets", **wanted)["ScalableTargets"]
        return dict(found)

    def get(self, kind: type[record.Record], key: str) -> Any:
        return self.store.view().get(kind, key)

    @property
    def service(self) -> services.Service:
        found = self.store.view().get(services.Service, "default/web")
        assert found is not None
        return found

    @property
    def target(self) -> scaling.ScalableTarget:
        found = self.store.view().get(scaling.ScalableTarget, KEY)
        assert found is not None
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
