"""What an endpoint's answers come to, and which endpoint is asked when."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadstead.base import scope
from roadstead.control import custom_resource_polling as polling
from roadstead.control import custom_resources as exchanges
from roadstead.model import custom_resources
from roadstead.state import plan, store

URL = "http://127.0.0.1:8080/scalableTargetDimensions/1"
WANTED = custom_resources.WantedCapacity(capacity=5, at=90.0)
NEW = custom_resources.CustomResource(url=URL, created_at=0.0)


def _body(**more: Any) -> bytes:
    told = {"actualCapacity": 2.0, "desiredCapacity": 2.0, "scalingStatus": "Successful", **more}
    return json.dumps({name: value for name, value in told.items() if value is not None}).encode()


def _after(
    resource: custom_resources.CustomResource, exchange: exchanges.Exchange, outcome: exchanges.Outcome
) -> custom_resources.CustomResource:
    """The record after an exchange, which comes to rest: noted once more it is no news."""
    subject = store.Store(scope.Scope(), lambda: 1)
    draft = plan.Draft(subject.view())
    draft.put(resource)
    subject.commit(draft.plan(), 0.0)
    written = exchanges.note(subject.view(), exchange, outcome, 100.0)
    if not written.is_empty:
        subject.commit(written, 100.0)
    found = subject.view().get(custom_resources.CustomResource, URL)
    assert found is not None
    return found


def _read(body: bytes, status: int = 200) -> custom_resources.CustomResource:
    return _after(NEW, exchanges.Exchange(url=URL), exchanges.Answered(status, body))


def test_an_answer_is_read() -> None:
    seen = _read(_body(resourceName="Jobs", dimensionName="Workers", version="7", scalingStatus="InProgress")).observed
    assert (seen.actual_capacity, seen.desired_capacity, seen.scaling_status) == (2, 2, "InProgress")
    assert (seen.resource_name, seen.dimension_name, seen.version) == ("Jobs", "Workers", "7")


def test_what_is_told_is_a_patch_of_the_desired_capacity() -> None:
    wanted = msgspec.structs.replace(NEW, wanted=WANTED)
    assert json.loads(exchanges.exchange_for(wanted).body) == {"desiredCapacity": 5.0}
    assert exchanges.exchange_for(NEW).wanted is None


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"hello", "the answer is no ScalableTargetDimension"),
        (b"\xff", "the answer is no ScalableTargetDimension"),
        (_body(actualCapacity=None), "the answer is no ScalableTargetDimension"),
        (_body(scalingStatus="Fine"), "the answer is no ScalableTargetDimension"),
        (_body(actualCapacity=2.5), "actualCapacity 2.5 is no whole number"),
        (_body(desiredCapacity=-1), "desiredCapacity -1 is no whole number"),
        (_body(desiredCapacity=1e12), "desiredCapacity 1e+12 is no whole number"),
    ],
)
def test_an_answer_that_says_nothing_is_a_failure_with_its_reason(body: bytes, problem: str) -> None:
    seen = _read(body).observed
    assert (seen.failures, seen.failing_since, seen.actual_capacity) == (1, 100.0, None)
    assert seen.problem is not None
    assert seen.problem.startswith(problem)


@pytest.mark.parametrize("status", [302, 403, 404, 429, 500])
def test_other_statuses_are_failures_that_may_pass(status: int) -> None:
    pending = msgspec.structs.replace(NEW, wanted=WANTED)
    outcome = exchanges.Answered(status, b'{"message": "not now"}')
    after = _after(pending, exchanges.exchange_for(pending), outcome)
    assert after.is_pending
    assert after.observed.problem == f"HTTP status {status}: not now"


def test_a_bad_request_settles_what_was_told() -> None:
    pending = msgspec.structs.replace(NEW, wanted=WANTED)
    after = _after(pending, exchanges.exchange_for(pending), exchanges.Answered(400, b"no json"))
    assert not after.is_pending
    assert after.observed.refusal == "HTTP status 400"


def test_a_newer_capacity_stays_pending_when_the_answer_to_an_older_one_comes() -> None:
    older = exchanges.Exchange(url=URL, wanted=msgspec.structs.replace(WANTED, at=80.0))
    pending = msgspec.structs.replace(NEW, wanted=WANTED)
    after = _after(pending, older, exchanges.Answered(200, _body(desiredCapacity=5.0)))
    assert after.is_pending
    assert after.desired_capacity == 5


def test_what_is_no_news_is_not_written() -> None:
    known = _read(_body())
    assert _after(known, exchanges.Exchange(url=URL), exchanges.Answered(200, _body())) == known
    subject = store.Store(scope.Scope(), lambda: 1)
    gone = exchanges.note(subject.view(), exchanges.Exchange(url=URL), exchanges.Answered(200, _body()), 1.0)
    assert gone.is_empty


def test_waits_double_with_each_failure_up_to_a_minute() -> None:
    waits = [
        exchanges.pause_seconds(
            msgspec.structs.replace(NEW, observed=custom_resources.CustomResourceObserved(failures=failures))
        )
        for failures in (0, 1, 2, 3, 7, 1_000_000)
    ]
    assert waits == [15.0, 1.0, 2.0, 4.0, 60.0, 60.0]


# -- the polling machine


def _many(count: int) -> tuple[custom_resources.CustomResource, ...]:
    return tuple(msgspec.structs.replace(NEW, url=f"{URL}{number:03}") for number in range(count))


def test_at_a_start_everything_is_asked_but_only_so_many_at_once() -> None:
    subject = polling.Polling()
    first = subject.handle(polling.Began(_many(20)), 0.0)
    assert len(first) == polling.EXCHANGES_AT_ONCE_MAX
    assert subject.next_at is None
    (next_one,) = subject.handle(polling.Ended(first[0].url), 1.0)
    assert next_one.url == f"{URL}016"


def test_one_at_rest_is_asked_again_after_a_while_and_at_once_where_it_is_to_be_told() -> None:
    subject = polling.Polling()
    subject.handle(polling.Began((NEW,)), 0.0)
    subject.handle(polling.Ended(URL), 1.0)
    assert subject.next_at == 16.0
    assert subject.handle(polling.Tick(), 15.9) == []
    pending = msgspec.structs.replace(NEW, wanted=WANTED)
    assert subject.handle(polling.Changed(URL, pending), 5.0) == [exchanges.Exchange(url=URL, wanted=WANTED)]


def test_one_that_is_removed_is_asked_no_more() -> None:
    subject = polling.Polling()
    subject.handle(polling.Began((NEW,)), 0.0)
    subject.handle(polling.Changed(URL, None), 0.5)
    assert subject.handle(polling.Ended(URL), 1.0) == []
    assert subject.next_at is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["change", "remove", "end", "tick"]), st.integers(0, 24), st.floats(0.0, 20.0)),
        max_size=60,
    )
)
def test_each_endpoint_is_asked_by_one_at_a_time_and_none_is_forgotten(
    moves: list[tuple[str, int, float]],
) -> None:
    subject, now = polling.Polling(), 0.0
    known: dict[str, custom_resources.CustomResource] = {}
    busy: list[str] = []

    def handled(event: polling.Event) -> None:
        for exchange in subject.handle(event, now):
            assert exchange.url not in busy
            assert exchange.url in known
            busy.append(exchange.url)
        assert len(busy) <= polling.EXCHANGES_AT_ONCE_MAX

    for kind, number, seconds in moves:
        now += seconds
        url = f"{URL}{number:03}"
        match kind:
            case "change":
                known[url] = msgspec.structs.replace(NEW, url=url)
                handled(polling.Changed(url, known[url]))
            case "remove":
                known.pop(url, None)
                handled(polling.Changed(url, None))
            case "end" if busy:
                ended = busy.pop(number % len(busy))
                handled(polling.Ended(ended))
            case _:
                handled(polling.Tick())
    now += exchanges.POLL_SECONDS
    handled(polling.Tick())
    asked: set[str] = set()
    while busy:
        asked.add(ended := busy.pop())
        handled(polling.Ended(ended))
    assert asked >= set(known)
