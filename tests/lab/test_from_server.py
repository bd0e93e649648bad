"""Traffic from a running server: what it recorded comes back as requests, and a service as a scenario.

The server is a simulated world, called through the production API.
"""

from __future__ import annotations

import io
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from lab_scenarios import made

from roadstead.cli import context, failures, output, recorded, simulate
from roadstead.lab import live, policies, problems, run, scenario, service_model, stage, traffic
from roadstead.lab import recorded as metrics_asked
from roadstead.sim import world

DAY = "- diurnal: {low: 60, high: 300, peak: 2:00}"
SHAPE = made(DAY, "duration: 3h\nwarm_up: 20m\ntasks: {min: 2, max: 30}\n")
CPU = "AWS/ECS/CPUUtilization[ClusterName=default,ServiceName=web]"


class Server:
    """A simulated world as the command line's client sees a server. Its clock is `now`."""

    def __init__(self, simulated: world.World) -> None:
        self.world = simulated
        self.calls: list[str] = []

    def call(self, service: str, operation: str, /, **params: Any) -> Any:
        self.calls.append(operation)
        return self.world.call(service, operation, **{name: one for name, one in params.items() if one is not None})

    def pages(self, service: str, operation: str, member: str, /, **params: Any) -> Iterator[Any]:
        yield from self.call(service, operation, **params)[member]


def ran(subject: scenario.Scenario, candidate: policies.Candidate) -> Server:
    demand = traffic.make(subject, 1)
    simulated, _ = stage.build(subject, demand, candidate, service_model.Model(subject.service), 1)
    simulated.run_until(demand.begin + demand.duration_seconds)
    return Server(simulated)


@pytest.fixture(scope="module")
def server() -> Server:
    """A service that has followed three hours of traffic."""
    steps = json.loads(
        pathlib.Path(__file__).parents[2].joinpath("examples/scenarios/policies/cpu60-steps.json").read_text()
    )
    return ran(SHAPE, policies.parse(steps, "steps"))


@pytest.fixture
def on(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> context.Context:
    monkeypatch.setattr("roadstead.cli.recorded.time.time", lambda: server.world.now)
    found = context.Context(tmp_path, None, output.Output())
    found._client = server  # type: ignore[assignment]
    return found


def wanted(**given: Any) -> simulate.Wanted:
    usual: dict[str, Any] = {
        "scenario": None, "trace": None, "from_metric": None, "from_service": None, "since": "3h", "save_trace": None,
        "changes": (), "cluster": "default", "policies": (), "fixed": (), "seed": None, "html": None, "json": None,
        "format": "text",
    }  # fmt: skip
    return simulate.Wanted(**{**usual, **given})


def test_the_cpu_of_a_service_is_turned_back_into_its_requests(on: context.Context) -> None:
    found = recorded.read(on, metrics_asked.parse(CPU), 3 * 3600.0, SHAPE.service).recording
    demand = traffic.make(SHAPE, 1)
    assert len(found.moments) == 180
    for moment, rate in zip(found.moments, found.rates, strict=True):
        assert rate == pytest.approx(demand.rate_before(moment + 60.0), rel=0.12, abs=2)  # tasks that come and go
    assert sum(found.rates) / 180 == pytest.approx(sum(demand.rates) / len(demand.rates), rel=0.02)
    assert found.notes == ("Requests are worked out from CPU: 0.02 s of it are one",)


def test_idle_tasks_made_no_requests() -> None:
    service = made(
        DAY,
        tail="service: {requests_per_second: 50, cpu_seconds_per_request: 0.02, cpu_percent_idle: 5}\n"
        "objective: {utilization_percent: 85}\n",
    ).service
    answers = {
        "sum": metrics_asked.Series(moments=[0.0, 60.0], values=[30.0, 630.0]),
        "samples": metrics_asked.Series(moments=[0.0, 60.0], values=[6.0, 6.0]),
    }
    found = metrics_asked.recording(metrics_asked.service_cpu("c", "s"), answers, 60, service)
    assert list(found.recording.rates) == [0.0, pytest.approx(2 * 50.0)]
    assert "For 1 min the tasks were as busy as they can be" in found.recording.notes[-1]


def test_sums_become_rates_and_pages_are_put_together(on: context.Context, server: Server) -> None:
    end = server.world.now // 60 * 60
    data = [{"MetricName": "Hits", "Value": 60.0 * minute, "Timestamp": end - 60.0 * minute} for minute in range(1, 31)]
    server.call("cloudwatch", "PutMetricData", Namespace="My/App", MetricData=data)
    server.calls.clear()
    asked = server.call

    def small_pages(service: str, operation: str, /, **params: Any) -> Any:
        return asked(service, operation, **params, **({"MaxDatapoints": 7} if operation == "GetMetricData" else {}))

    server.call = small_pages  # type: ignore[method-assign]
    try:
        found = recorded.read(on, metrics_asked.parse("My/App/Hits:Sum"), 1800.0, SHAPE.service)
    finally:
        server.call = asked  # type: ignore[method-assign]
    assert server.calls.count("GetMetricData") == 5
    assert list(found.recording.rates) == [float(minute) for minute in range(30, 0, -1)]
    assert found.title == "My/App/Hits:Sum"


@pytest.mark.parametrize(
    "text, told",
    [
        ("Hits", "names no metric: say for example"),
        ("My/App/Hits[Service]", "'Service' is no dimension"),
        ("AWS/ECS/CPUUtilization", "can be worked out from one service's CPU"),
        ("My/App/None", "My/App/None:Sum has no data in that time"),
    ],
)
def test_what_is_wrong_with_a_metric(on: context.Context, text: str, told: str) -> None:
    with pytest.raises(problems.Invalid) as caught:
        recorded.read(on, metrics_asked.parse(text), 3600.0, SHAPE.service)
    assert told in str(caught.value)


def test_names_of_metrics() -> None:
    found = metrics_asked.parse("AWS/ApplicationELB/RequestCount[LoadBalancer=app/x/1,Zone=a]:Average")
    assert (found.namespace, found.name, found.statistic) == ("AWS/ApplicationELB", "RequestCount", "Average")
    assert found.dimensions == (("LoadBalancer", "app/x/1"), ("Zone", "a"))
    assert metrics_asked.parse(found.title) == found
    assert metrics_asked.parse(CPU) == metrics_asked.service_cpu("default", "web")


def test_old_data_are_asked_for_in_the_periods_they_are_kept_in() -> None:
    days = 86_400.0
    assert [metrics_asked.period_seconds(count * days) for count in (1, 14, 15, 62, 63, 400)] == [
        60, 60, 300, 300, 3600, 3600,
    ]  # fmt: skip
    with pytest.raises(problems.Invalid, match="metrics are kept for"):
        metrics_asked.period_seconds(500 * days)


# -- a service as a scenario


def test_a_service_is_a_scenario_of_its_own(on: context.Context) -> None:
    subject, candidates, fixed = simulate._read(on, wanted(from_service="web"))
    assert (subject.name, subject.tasks.min, subject.tasks.max) == ("web on default", 2, 30)
    assert subject.stands_for == ("default", "web")
    assert (subject.service.cpu_units, subject.service.memory_mib) == (1024, 512)
    assert subject.service.requests_per_second == pytest.approx(100.0)  # 10 ms of CPU each
    starts = subject.service.start_time.observed
    assert len(starts) >= 2 and all(4 <= one <= 80 for one in starts)
    assert fixed == () and [one.name for one in candidates] == ["as it is"]
    assert {one["PolicyName"] for one in candidates[0].policies} == {"cpu60", "rescue"}
    assert [one["AlarmName"] for one in candidates[0].alarms] == ["cpu-very-high"]
    assert candidates[0].alarms[0]["AlarmActions"] == ["rescue"]


def test_what_ran_on_the_server_does_here_what_it_did_there(on: context.Context, server: Server) -> None:
    subject, candidates, _ = simulate._read(on, wanted(from_service="web"))
    again = run.run(subject, candidates).runs[0]
    service = server.call("ecs", "DescribeServices", services=["web"])["services"][0]
    assert again.series.running[-1] == pytest.approx(service["runningCount"], abs=1)
    assert again.totals.minutes_out < 30


def test_a_cost_that_is_set_changes_what_a_task_serves(on: context.Context) -> None:
    subject, _, _ = simulate._read(
        on, wanted(from_service="web", changes=("service.cpu_seconds_per_request=0.02", "objective.minutes=5"))
    )
    assert subject.service == msgspec.structs.replace(subject.service, requests_per_second=50.0)
    assert subject.objective.minutes == 5.0


def test_a_service_without_a_policy_gets_one_to_try(on: context.Context, server: Server) -> None:
    server.call("ecs", "CreateService", serviceName="still", taskDefinition="web", desiredCount=0)
    described = recorded.describe(on, "default", "still")
    with pytest.raises(problems.Invalid, match="still has no scaling policy"):
        live.candidate(described)
    on.out.err.file = told = io.StringIO()
    assert [one.name for one in simulate._as_it_is(on, described, has_others=False)] == ["cpu60"]
    assert simulate._as_it_is(on, described, has_others=True) == []
    assert "trying target tracking on 60 % of CPU" in told.getvalue()


def test_others_are_tried_beside_what_there_is(on: context.Context, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(policies.cpu_tracking(70.0)))

    def tried(**given: Any) -> list[str]:
        _, candidates, fixed = simulate._read(on, wanted(from_service="web", **given))
        return [*(one.name for one in candidates), *map(str, fixed)]

    assert tried(policies=(path,), fixed=(4,)) == ["as it is", "mine", "4"]
    assert tried(recommend=True) == ["as it is"]
    assert tried(sweep=("TargetValue=50,60",)) == ["as it is", "cpu-target50", "cpu-target60"]
    assert tried(policies=(path,), sweep=("TargetValue=50",)) == ["as it is", "mine", "mine-target50"]


def test_a_service_that_is_not_there(on: context.Context) -> None:
    with pytest.raises(failures.Failure, match="has no service nobody"):
        simulate._read(on, wanted(from_service="nobody"))


def test_what_was_found_can_be_kept_and_tried_again(on: context.Context, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "kept.csv"
    subject, _, _ = simulate._read(on, wanted(from_metric=CPU, save_trace=path, changes=SETS))
    again, _, _ = simulate._read(on, wanted(trace=path, changes=SETS))
    assert list(traffic.make(again, 1).rates) == pytest.approx(list(traffic.make(subject, 1).rates), rel=1e-4)
    assert traffic.make(again, 1).begin == traffic.make(subject, 1).begin


SETS = (
    "service={requests_per_second: 50, cpu_seconds_per_request: 0.02}",
    "objective.utilization_percent=85",
    "tasks.max=12",
)


@pytest.mark.parametrize(
    "given, told",
    [
        ({}, "name a SCENARIO, or --from-service NAME"),
        ({"trace": pathlib.Path("a.csv"), "from_service": "web"}, "give one of --trace"),
        ({"trace": pathlib.Path("a.csv"), "changes": ("tasks.max=3",)}, "the field service is missing"),
        ({"from_metric": CPU, "changes": (*SETS, "tasks.most=3")}, "tasks.most: there is no such field"),
        ({"from_metric": CPU, "changes": (*SETS, "tasks.max=many")}, "tasks.max: expected `int`, got `str`"),
        ({"from_metric": CPU, "changes": (*SETS, "name.first=x")}, "there is nothing called 'first' to set"),
        ({"from_metric": CPU, "changes": ("seed",)}, "'seed' sets nothing: say FIELD=VALUE"),
        ({"from_service": "web", "sweep": ("Period=10", "Period=20")}, "--sweep: Period is given twice"),
        ({"from_metric": CPU, "changes": SETS, "since": "soon"}, "--since: 'soon' is no span of time"),
        ({"trace": pathlib.Path("a.csv"), "changes": SETS, "save_trace": pathlib.Path("b")}, "nothing to save"),
    ],
)
def test_what_is_wrong_with_what_was_asked(on: context.Context, given: dict[str, Any], told: str) -> None:
    with pytest.raises(problems.Invalid) as caught:
        simulate._read(on, wanted(**given))
    assert told in str(caught.value)
