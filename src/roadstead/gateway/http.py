"""The front door: what is asked over HTTP goes to the AWS APIs or our own endpoints, websockets to agents' sessions.

`answer` is called by `protocol` for each request, and gives its response to a callback: at once for what only reads,
when the disk has it for what writes. The object itself is the ASGI application of the websockets.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from roadstead.gateway import asgi, aws, local, pages
from roadstead.wire import requests, responses

logger = logging.getLogger(__name__)

Respond = Callable[[responses.Response], None]


class FrontDoor:
    """`mounts` maps the first part of a websocket's path (`acs`) to an ASGI application."""

    def __init__(
        self, apis: aws.AwsApis, own: local.LocalApis, mounts: Mapping[str, asgi.Application], version: str
    ) -> None:
        self._aws = apis
        self._own = own
        self._mounts = dict(mounts)
        self._version = version
        self._running: set[asyncio.Task[None]] = set()

    def answer(self, request: requests.Request, endpoint: str, respond: Respond) -> None:
        """Answer a request that came in at `endpoint` (`http://127.0.0.1:4566`). Never raises; responds once."""
        if logger.isEnabledFor(logging.DEBUG):
            respond = _logged(request, respond)
        if request.path.startswith(local.PREFIX):
            task = asyncio.ensure_future(self._answer_own(request, endpoint, respond))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        elif pages.is_visit(request):
            respond(pages.landing(request, self._version))
        else:
            self._aws.answer(request, endpoint, respond)

    def too_large(self, request: requests.Request) -> responses.Response:
        """The response to a request whose body, which it lacks here, is over the limit."""
        return self._aws.too_large(request)

    async def _answer_own(self, request: requests.Request, endpoint: str, respond: Respond) -> None:
        respond(await self._own.answer(request, endpoint))

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        assert scope["type"] == "websocket", "HTTP is answered by `answer`"
        mounted = self._mounts.get(scope["path"].split("/")[1] if scope["path"].startswith("/") else "")
        if mounted is not None:
            await mounted(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.close", "code": 1008})


def _logged(request: requests.Request, respond: Respond) -> Respond:
    began = time.perf_counter()

    def log(response: responses.Response) -> None:
        spent_ms = (time.perf_counter() - began) * 1000.0
        what = request.headers.get("x-amz-target", request.path)
        logger.debug("%s %s %d in %.1f ms", request.method, what, response.status, spent_ms)
        respond(response)

    return log
