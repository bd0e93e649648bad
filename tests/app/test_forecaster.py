"""Forecasts are computed by another process, and written as if they had been computed here."""

from __future__ import annotations

import asyncio
import sys

from roadstead.app import forecaster
from roadstead.base import clock, scope
from roadstead.control import forecasting
from roadstead.model import predictive
from roadstead.state import plan, store

HOUR = 3600.0
NOW = 1_700_006_400.0
FAILS = (sys.executable, "-c", "import sys; sys.stdin.readline()")


def asked(name: str = "p") -> predictive.Forecast:
    return predictive.Forecast(
        namespace="ecs",
        resource_id="service/default/web",
        dimension="ecs:service:DesiredCount",
        policy_name=name,
        policy_id="id",
        target_key="ecs|service/default/web|ecs:service:DesiredCount",
        metrics=predictive.PredictiveMetrics(pair=predictive.PredictiveMetric(predefined="ECSServiceCPUUtilization")),
        history=predictive.History(begun_at=NOW, begin=NOW - 48 * HOUR, load=tuple(float(n % 24) for n in range(48))),
        asked_at=NOW,
    )


def make(*forecasts: predictive.Forecast) -> store.Store:
    kept = store.Store(scope.Scope(), lambda: 1)
    draft = plan.Draft(kept.view())
    for one in forecasts:
        draft.put(one)
    kept.commit(draft.plan(), NOW)
    return kept


async def answers(
    kept: store.Store, *names: str, command: tuple[str, ...] = forecaster.WORKER
) -> list[predictive.Forecast]:
    """What stands in the records once all are answered; one of them is asked for only when it runs."""
    one = forecaster.Forecaster(kept, clock.SystemClock(), command)
    done = asyncio.Event()

    def note(_: store.Commit) -> None:
        if all(not found(kept, name).is_asked for name in names):
            done.set()

    kept.watch(note)
    one.start()
    await asyncio.wait_for(done.wait(), 60)
    await one.stop()
    return [found(kept, name) for name in names]


def found(kept: store.Store, name: str) -> predictive.Forecast:
    one = kept.view().get(predictive.Forecast, asked(name).key)
    assert one is not None
    return one


async def test_what_was_asked_before_the_start_is_answered_as_a_simulation_would() -> None:
    kept = make(asked("p"), asked("q"))
    for one in await answers(kept, "p", "q"):
        question = forecasting.question_of(asked())
        assert question is not None
        assert one.newest == forecasting.compute(question)


async def test_a_worker_that_dies_is_told_and_the_next_question_gets_a_new_one() -> None:
    kept = make(asked("p"), asked("q"))
    for one in await answers(kept, "p", "q", command=FAILS):
        assert one.newest is None
        assert one.answer is not None and "failed" in (one.answer.problem or "")
