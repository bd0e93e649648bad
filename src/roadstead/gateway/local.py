"""Our own endpoints under `/_roadstead/`: JSON over a view, for the command line and the console.

A read is a pure function of a view; it is registered with its path, and asks for a signature (service name
`roadstead`) unless it says otherwise. Actions (`reset`) are the composition root's.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib import parse as urls

import msgspec

from roadstead.base import clock as clocks
from roadstead.base import errors
from roadstead.gateway import guard, identity
from roadstead.state import store, view
from roadstead.wire import requests, responses

logger = logging.getLogger(__name__)

PREFIX = "/_roadstead/"
SIGNING_NAME = "roadstead"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request to one of our endpoints: the parts of the path behind the route's own, and the query's parameters."""

    rest: tuple[str, ...]
    query: dict[str, str]
    now: float
    endpoint: str


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """`GET /_roadstead/<name>[/…]`: what `read` gives (anything that msgspec encodes) is answered as JSON.

    `read` may raise Refusal; its code and message are answered with its status.
    """

    name: str
    read: Callable[[Asked, view.View], Any]
    is_signed: bool = True


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """`POST /_roadstead/<name>`: needs no signature, so it is for what the user has allowed (`--ephemeral`)."""

    name: str
    run: Callable[[], Awaitable[Any]]


class LocalApis:
    """The table of our endpoints."""

    def __init__(
        self,
        reads: Iterable[Read],
        actions: Iterable[Action],
        subject: store.Store,
        clock: clocks.Clock,
        verifier: identity.Verifier,
    ) -> None:
        self._reads = {one.name: one for one in reads}
        self._actions = {one.name: one for one in actions}
        self._store = subject
        self._clock = clock
        self._verifier = verifier

    async def answer(self, request: requests.Request, endpoint: str) -> responses.Response:
        """The response to a request below PREFIX. Never raises."""
        try:
            return _json(200, await self._answer(request, endpoint))
        except errors.Refusal as refusal:
            return _json(refusal.status, {"code": refusal.code, "message": refusal.message})
        except errors.HostProblem as problem:
            return _json(503, {"code": "HostProblem", "message": str(problem)})
        except Exception:
            logger.exception("%s %s failed", request.method, request.path)
            text = "An error of Roadstead's own; the server's log tells more."
            return _json(500, {"code": "InternalFailure", "message": text})

    async def _answer(self, request: requests.Request, endpoint: str) -> Any:
        parts = tuple(urls.unquote(part) for part in request.path[len(PREFIX) :].split("/"))
        if request.method == "POST" and parts[0] in self._actions:
            guard.check_origin(request)
            return await self._actions[parts[0]].run()
        read = self._reads.get(parts[0])
        if read is None:
            known = ", ".join(sorted(self._reads))
            raise errors.Refusal("NotFound", f"There is no {request.path}; there are: {known}.", status=404)
        if request.method not in ("GET", "HEAD"):
            raise errors.Refusal("MethodNotAllowed", f"{request.path} can only be read (GET).", status=405)
        now = self._clock.now()
        if read.is_signed:
            self._verifier.verify(request, SIGNING_NAME, now)
        asked = Asked(rest=parts[1:], query=dict(urls.parse_qsl(request.query)), now=now, endpoint=endpoint)
        return read.read(asked, self._store.view())


def _json(status: int, value: Any) -> responses.Response:
    return responses.Response(status, [("content-type", "application/json")], msgspec.json.encode(value))
