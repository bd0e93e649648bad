"""The shell that asks endpoints: real requests to a small server on loopback."""

from __future__ import annotations

import asyncio
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import loopback_endpoint
import pytest

from roadstead.app import custom_resources as shell
from roadstead.base import clock as clocks
from roadstead.base import errors, scope
from roadstead.control import custom_resources as exchanges
from roadstead.engine import committer
from roadstead.model import custom_resources
from roadstead.state import journal, plan, store

WAIT_SECONDS_MAX = 20.0


@pytest.fixture
def endpoint() -> Iterator[loopback_endpoint.Endpoint]:
    """An endpoint of a custom resource, served from a thread."""
    with loopback_endpoint.serving() as served:
        yield served


def _get(url: str, secret: str | None = None) -> exchanges.Outcome:
    return shell.request(shell.make_pool(), exchanges.Exchange(url=url), secret)


def test_a_request_says_what_it_is_and_carries_the_secret(endpoint: loopback_endpoint.Endpoint) -> None:
    answer = _get(endpoint.url, "s3cret")
    assert isinstance(answer, exchanges.Answered)
    assert (answer.status, json.loads(answer.body)["actualCapacity"]) == (200, 3.0)
    ((method, headers, body),) = endpoint.heard
    assert (method, body) == ("GET", b"")
    assert (headers["authorization"], headers["accept"]) == ("Bearer s3cret", "application/json")


def test_redirects_are_not_followed_and_long_answers_not_read(endpoint: loopback_endpoint.Endpoint) -> None:
    endpoint.answer = (302, b"")
    assert _get(endpoint.url) == exchanges.Answered(302, b"")
    assert len(endpoint.heard) == 1
    endpoint.answer = (200, b"x" * (shell.ANSWER_BYTES_MAX + 1))
    assert _get(endpoint.url) == exchanges.Unanswered(f"the answer is longer than {shell.ANSWER_BYTES_MAX} bytes")


def test_where_nobody_listens_the_reason_is_told(endpoint: loopback_endpoint.Endpoint) -> None:
    answer = _get("http://127.0.0.1:1/scalableTargetDimensions/1")
    assert isinstance(answer, exchanges.Unanswered)
    assert "Connection refused" in answer.why
    over_tls = _get(endpoint.url.replace("http:", "https:"))
    assert isinstance(over_tls, exchanges.Unanswered)


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://jobs.example/scalableTargetDimensions/1", True),
        ("http://127.0.0.1:80/scalableTargetDimensions/1", True),
        ("http://[::1]/scalableTargetDimensions/1", True),
        ("http://localhost/scalableTargetDimensions/1", True),
        ("http://jobs.example/scalableTargetDimensions/1", False),
        ("http://10.0.0.7/scalableTargetDimensions/1", False),
    ],
)
def test_a_secret_goes_only_where_nobody_can_read_along(url: str, may: bool) -> None:
    assert shell.may_carry_secret(url) is may


def test_a_secret_is_one_line_of_a_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "secret"
    path.write_text("abc\n")
    assert shell.read_secret(path) == "abc"
    for content in (b"", b"\n", b"a\nb", b"x" * 5000, b"\xff"):
        path.write_bytes(content)
        with pytest.raises(errors.HostProblem):
            shell.read_secret(path)
    with pytest.raises(errors.HostProblem):
        shell.read_secret(tmp_path / "none")


async def test_what_is_wanted_reaches_the_endpoint_and_what_it_says_the_record(
    endpoint: loopback_endpoint.Endpoint,
) -> None:
    subject = store.Store(scope.Scope(), lambda: 1)
    clock = clocks.SystemClock()
    durability = committer.Committer(subject, journal.MemoryJournal(), lambda problem: None)
    asking = shell.CustomResources(subject, durability, clock, None)
    asking.start()
    try:
        _put(subject, custom_resources.CustomResource(url=endpoint.url, created_at=clock.now()))
        first = await _until(subject, endpoint, lambda one: one.observed.actual_capacity == 3)
        wanted = custom_resources.WantedCapacity(capacity=7, at=clock.now())
        _put(subject, custom_resources.CustomResource(
            url=endpoint.url, created_at=first.created_at, wanted=wanted, observed=first.observed
        ))  # fmt: skip
        told = await _until(subject, endpoint, lambda one: not one.is_pending)
    finally:
        await asking.stop()
        await durability.close()
    assert (told.observed.actual_capacity, told.observed.settled) == (7, wanted)
    assert [method for method, _, _ in endpoint.heard] == ["GET", "PATCH"]
    assert json.loads(endpoint.heard[1][2]) == {"desiredCapacity": 7.0}


def _put(subject: store.Store, one: custom_resources.CustomResource) -> None:
    draft = plan.Draft(subject.view())
    draft.put(one)
    subject.commit(draft.plan(), 0.0)


async def _until(
    subject: store.Store, endpoint: loopback_endpoint.Endpoint, is_so: Any
) -> custom_resources.CustomResource:
    """The record once something is so of it."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while True:
            found = subject.view().get(custom_resources.CustomResource, endpoint.url)
            assert found is not None
            if is_so(found):
                return found
            await asyncio.sleep(0.005)
