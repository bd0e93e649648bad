"""Ways to talk to a whole server over HTTP."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Protocol

from tests import signed_http

from roadstead.app import server


class Caller:
    """Talks to a server over real HTTP, from a thread."""

    def __init__(self, one: server.Server) -> None:
        self.server = one
        self.host = one.endpoint.removeprefix("http://")

    async def send(
        self, method: str = "POST", path: str = "/", headers: dict[str, str] | None = None, body: bytes = b""
    ) -> signed_http.Answer:
        return await asyncio.to_thread(signed_http.send, self.host, method, path, headers or {}, body)

    def sign(self, headers: dict[str, str], body: bytes = b"", *, service: str = "ecs", **how: Any) -> dict[str, str]:
        """The headers with a signature of the server's own keys; `how` as in `signed_http.sign`."""
        pair = self.server.keys
        assert pair is not None
        return signed_http.sign(
            self.host, pair.access_key_id, pair.secret_access_key, headers, body, service=service, **how
        )

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
