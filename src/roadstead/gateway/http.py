"""The front door: one ASGI application for everything that comes in over HTTP."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from roadstead.gateway import asgi, aws, local, pages
from roadstead.wire import requests

logger = logging.getLogger(__name__)


class FrontDoor:
    """Leads requests to the AWS APIs, to our own endpoints, or (websockets) to the application mounted at their path.

    `mounts` maps the first part of a path (`acs`) to an ASGI application.
    """

    def __init__(
        self, apis: aws.AwsApis, own: local.LocalApis, mounts: Mapping[str, asgi.Application], version: str
    ) -> None:
        self._aws = apis
        self._own = own
        self._mounts = dict(mounts)
        self._version = version

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)

    async def _http(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        started = time.perf_counter() if logger.isEnabledFor(logging.DEBUG) else 0.0
        try:
            request = await asgi.request_of(scope, receive)
        except asgi.Gone:
            return
        except asgi.TooLarge:
            await asgi.drain(receive)
            response = self._aws.too_large(_without_body(scope))
            response.headers.append(("connection", "close"))
            await asgi.respond(send, response)
            return
        endpoint = f"{scope['scheme']}://{request.headers.get('host', '')}"
        if request.path.startswith(local.PREFIX):
            response = await self._own.answer(request, endpoint)
        elif pages.is_visit(request):
            response = pages.landing(request, self._version)
        else:
            response = await self._aws.answer(request, endpoint)
        await asgi.respond(send, response)
        if started:
            spent_ms = (time.perf_counter() - started) * 1000.0
            what = request.headers.get("x-amz-target", request.path)
            logger.debug("%s %s %d in %.1f ms", request.method, what, response.status, spent_ms)

    async def _websocket(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        mounted = self._mounts.get(scope["path"].split("/")[1] if scope["path"].startswith("/") else "")
        if mounted is not None:
            await mounted(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.close", "code": 1008})


def _without_body(scope: asgi.Scope) -> requests.Request:
    return requests.Request(
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=asgi.headers_of(scope),
    )
