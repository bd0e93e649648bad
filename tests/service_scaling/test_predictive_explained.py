"""`roadstead explain service` and `service status`: what they say of predictive policies (behaviour.md 1.6)."""

from __future__ import annotations

from typing import Any

import msgspec
from predictive_stories import DAY, HOUR, START, daily, flat, make, put, track

from roadstead.api.explain import reasons, service
from roadstead.cli import scaling
from roadstead.control import predictive_capacity
from roadstead.model import predictive


def policy_of(world: Any, name: str = "foresee") -> reasons.Reason:
    found = service.explain(world.store.view(), world.service, world.now).reasons
    (policy,) = (one for one in found if one.code == "POLICY" and f"policy {name}:" in one.text)
    return policy


def texts(reason: reasons.Reason) -> list[str]:
    return [one.text for one in reason.reasons]


def test_a_forecast_is_explained_with_its_hours_age_error_and_next_moment() -> None:
    world = make(hours=72)
    put(world)
    world.run(START + 2 * HOUR)
    policy = policy_of(world)
    assert policy.text == "policy foresee: ForecastAndScale of ECSServiceCPUUtilization at 60"
    assert texts(policy) == [
        "this hour: ceil(600 / 60) = 10",
        "the next hour: ceil(600 / 60) = 10",
        "made 2.0 h ago from 72 hours of data",
        "its error is 0 %: so far off was yesterday, forecast from what was before it",
        "acts next in 55 min",
        "no scale-out: the desired count, 10, is not below what is predicted, 10",
    ]
    by_code = {one.code: one.counts for one in policy.reasons}
    assert by_code["FORECAST_NOW"] == {"load": 600.0, "capacity": 10}
    assert by_code["FORECAST_ERROR"] == {"percent": 0.0} and by_code["FORECAST_ACTS"] == {"dueInSeconds": 3300.0}


def test_too_little_history_is_said() -> None:
    world = make(hours=7)
    put(world)
    assert texts(policy_of(world)) == [
        "no forecast yet: 7 of the 24 hours of data that it takes; it is looked for again at the full hour"
    ]


def test_one_day_of_history_has_no_known_error() -> None:
    world = make(hours=24)
    put(world)
    assert "its error is not known: that takes 48 hours of data" in texts(policy_of(world))


def test_forecast_only_does_not_say_when_it_acts() -> None:
    world = make()
    put(world, Mode="ForecastOnly")
    policy = policy_of(world)
    assert policy.text.startswith("policy foresee: ForecastOnly of")
    assert not any("acts next" in text for text in texts(policy))


def test_what_predictive_scaling_did_stands_among_the_decisions() -> None:
    world = make(desired=4)
    put(world)
    found = service.explain(world.store.view(), world.service, world.now).reasons
    (decisions,) = (one for one in found if one.code == "DECISIONS")
    (line,) = texts(decisions)
    assert line.endswith(
        "4 → 10, Successful: capacity 10 predicted for 2023-11-29T00:00Z triggered policy foresee: ceil(600 / 60) = 10"
    )


def test_what_is_predicted_stands_in_the_way_of_scaling_in() -> None:
    world = make(desired=10)
    put(world)
    track(world)
    for _ in range(20):
        world.minute(1.0)
    assert "no scale-in: the desired count is at what is predicted for this hour, 10" in texts(
        policy_of(world, "track")
    )


def test_service_status_has_the_same_words() -> None:
    world = make(load=daily, hours=72)
    put(world)

    class Api:
        def local(self, name: str, **asked: str) -> dict[str, Any]:
            assert (name, asked["kind"], asked["id"]) == ("explain", "service", "web")
            return dict(msgspec.to_builtins(service.explain(world.store.view(), world.service, world.now)))

        def call(self, service: str, name: str, **params: Any) -> dict[str, Any]:
            return world.call(service, name, **params)

        def pages(self, service: str, name: str, member: str, **params: Any) -> list[dict[str, Any]]:
            return list(world.call(service, name, **params)[member])

    read = scaling.read(Api(), "default", "web")  # type: ignore[arg-type]
    lines = list(scaling.lines(read))
    assert lines[0] == "Scaling  foresee (predictive)   ForecastAndScale"
    assert [line.strip() for line in lines[1:]] == texts(policy_of(world))


def test_capacity_is_rounded_up_but_not_by_the_dust_of_fractions() -> None:
    wanted = predictive.PredictiveScaling(target_value=0.3, metrics=predictive.PredictiveMetrics())
    prediction = predictive.Prediction(asked_at=0.0, relation=0.1)
    counts = [predictive_capacity.capacity(wanted, prediction, load) for load in (0.0, 30.0, 30.1)]
    assert counts == [0, 10, 11]


def told(world: Any) -> tuple[list[str], list[str]]:
    """What the policy's lines say, and those of the decisions, newest first."""
    answer = service.explain(world.store.view(), world.service, world.now, DAY)
    found = {one.code: [line.text for line in one.reasons] for one in answer.reasons}
    return found["POLICY"], found["DECISIONS"]


def test_a_decision_and_what_stands_in_the_way_are_explained() -> None:
    world = make(flat, desired=2, maximum=6)
    put(world)
    lines, decisions = told(world)
    assert lines[-1] == "no scale-out: the desired count is at the maximum, 6"
    assert decisions == [
        "0 s ago, 2 → 6, Successful: capacity 10 predicted for 2023-11-29T00:00Z triggered policy foresee: "
        "ceil(600 / 60) = 10, bounded to 6 by the maximum"
    ]
    world.ask("RegisterScalableTarget", MaxCapacity=20)
    world.run(world.now + HOUR)
    assert told(world)[0][-1] == "no scale-out: the desired count, 10, is not below what is predicted, 10"
    world.ask("RegisterScalableTarget", SuspendedState={"DynamicScalingOutSuspended": True})
    assert told(world)[0][-1] == "no scale-out: dynamic scaling out is suspended"
    put(world, Mode="ForecastOnly")
    assert told(world)[0][-1] == "no scale-out: its mode is ForecastOnly"
    world.put(msgspec.structs.replace(world.service, status="DRAINING"))
    assert told(world)[0][-1] == "no scaling: The ECS service does not exist."
