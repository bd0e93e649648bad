"""Ways to talk to a whole server over HTTP."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from typing import Any, Protocol

from roadstead.app import server
from roadstead.wire import requests, sigv4

Answer = tuple[int, dict[str, str], bytes]


class Caller:
    """Talks to a server over real HTTP, from a thread."""

    def __init__(self, one: server.Server) -> None:
        self.server = one
        self.host = one.endpoint.removeprefix("http://")

    async def send(
        self, method: str = "POST", path: str = "/", headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        return await asyncio.to_thread(self._send, method, path, headers or {}, body)

    def _send(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        connection = http.client.HTTPConnection(self.host, timeout=20)
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return response.status, found, response.read()
        finally:
            connection.close()

    def sign(
        self,
        headers: dict[str, str],
        body: bytes = b"",
        *,
        service: str = "ecs",
        region: str = "us-east-1",
        method: str = "POST",
        path: str = "/",
        now: float | None = None,
    ) -> dict[str, str]:
        pair = self.server.keys
        assert pair is not None
        path, _, query = path.partition("?")
        request = requests.Request(
            method=method, path=path, query=query, headers={"host": self.host, **headers}, body=body
        )
        signed = sigv4.sign(
            request,
            access_key_id=pair.access_key_id,
            secret=pair.secret_access_key,
            region=region,
            service=service,
            now=time.time() if now is None else now,
        )
        return {**headers, **signed}

    async def ecs(self, operation: str, **params: Any) -> tuple[int, dict[str, Any]]:
        """A signed call of an ECS operation: its status and JSON answer."""
        body = json.dumps(params).encode()
        headers = {
            "content-type": "application/x-amz-json-1.1",
            "x-amz-target": f"AmazonEC2ContainerServiceV20141113.{operation}",
        }
        status, _, answer = await self.send(headers=self.sign(headers, body), body=body)
        return status, json.loads(answer)


class Start(Protocol):
    """Starts a server with these settings (port 0 and a fresh data directory where they don't say otherwise)."""

    async def __call__(self, **values: Any) -> Caller: ...
