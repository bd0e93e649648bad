"""A control plane as small as it can be: HTTP for the API, websockets for ACS and TCS; it checks every signature."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from roadstead.acs import frames, messages, refusals, tasks
from roadstead.wire import requests, sigv4

KEY, SECRET = "AKIDEXAMPLE", "sEcReT"
INSTANCE = "arn:aws:ecs:us-east-1:123456789012:container-instance/default/" + "b" * 32


class FakeControlPlane:
    """`calls`: (operation, body) in order; `agent_messages`: what came on ACS; `telemetry`: on TCS."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.agent_messages: list[Any] = []
        self.telemetry: list[Any] = []
        self.connects: list[dict[str, str]] = []
        self.failures: list[tuple[int, str]] = []
        """Answers (status, code) for the next state changes instead of taking them."""
        self.refuse_with: refusals.Refusal | None = None
        self.seconds_a_call = 0.0
        self.in_flight = self.in_flight_max = 0
        self._acs: ServerConnection | None = None
        self._changed = asyncio.Event()
        self._sequence = 0
        self._sockets: Server
        self._http: asyncio.Server
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> FakeControlPlane:
        self._sockets = await serve(
            self._socket, "127.0.0.1", 0, process_request=self._before_upgrade, compression=None
        )
        self._http = await asyncio.start_server(self._serve_http, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *problem: object) -> None:
        self._sockets.close()
        self._http.close()
        for writer in self._open:
            writer.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.sockets[0].getsockname()[1]}"

    def states(self, arn: str) -> list[str]:
        """What was reported of a task."""
        return [body["status"] for name, body in self.calls if name == "SubmitTaskStateChange" and body["task"] == arn]

    async def until(self, condition: Any, seconds: float = 10.0) -> None:
        """Wait until something that was told makes the condition true."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def send(self, message: messages.ServerMessage) -> None:
        await self.until(lambda: self._acs is not None)
        assert self._acs is not None
        await self._acs.send(frames.serialize(message))

    async def payload(self, *wanted: tasks.Task, message_id: str = "m") -> None:
        self._sequence += 1
        await self.send(
            messages.PayloadMessage(
                message_id=message_id,
                cluster_arn="default",
                container_instance_arn=INSTANCE,
                seq_num=self._sequence,
                tasks=wanted,
            )
        )

    async def hang_up(self, code: int = 1001) -> None:
        assert self._acs is not None
        connection, self._acs = self._acs, None
        await connection.close(code)

    # ACS and TCS

    def _before_upgrade(self, connection: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        asked = requests.Request(method="GET", path=parts.path, query=parts.query, headers=headers)
        sigv4.verify(asked, {KEY: SECRET}.get, _now())
        self.connects.append({name: values[0] for name, values in parse_qs(parts.query).items()})
        self._changed.set()
        if self.refuse_with is not None:
            body = refusals.serialize(self.refuse_with)
            length = Headers({"Content-Length": str(len(body)), "Content-Type": "application/json"})
            return Response(refusals.status_of(self.refuse_with), "Refused", length, body)
        return None

    async def _socket(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        if connection.request.path.startswith("/tcs"):
            async for frame in connection:
                headers, message = frames.parse_signed(frame)
                parts = urlsplit(connection.request.path)
                text = frame if isinstance(frame, str) else frame.decode()
                body = text.partition("\r\n\r\n")[2].encode()
                asked = requests.Request(method="GET", path=parts.path, query=parts.query, headers=headers, body=body)
                sigv4.verify(asked, {KEY: SECRET}.get, _now())
                self.telemetry.append(message)
                self._changed.set()
            return
        self._acs = connection
        self._changed.set()
        async for frame in connection:
            self.agent_messages.append(frames.parse(frame))
            self._changed.set()
        if self._acs is connection:
            self._acs = None

    # HTTP

    async def _serve_http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.strip().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers["content-length"]))
                asked = requests.Request(method="POST", path=first.split()[1], headers=headers, body=body)
                sigv4.verify(asked, {KEY: SECRET}.get, _now())
                self.in_flight += 1
                self.in_flight_max = max(self.in_flight, self.in_flight_max)
                await asyncio.sleep(self.seconds_a_call)
                status, answer = self._answer(headers["x-amz-target"].rpartition(".")[2], json.loads(body))
                self.in_flight -= 1
                raw = json.dumps(answer).encode()
                writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(raw)}\r\n\r\n".encode() + raw)
                await writer.drain()
                self._changed.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, operation: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if operation.startswith("Submit") and self.failures:
            status, code = self.failures.pop(0)
            self.calls.append((f"{operation}:{code}", body))
            return status, {"__type": code, "message": "no"}
        self.calls.append((operation, body))
        if operation == "RegisterContainerInstance":
            instance = {"containerInstanceArn": INSTANCE, "status": "ACTIVE", "attributes": body["attributes"]}
            return 200, {"containerInstance": instance}
        if operation == "DiscoverPollEndpoint":
            base = f"http://127.0.0.1:{self._sockets.sockets[0].getsockname()[1]}"
            return 200, {"endpoint": f"{base}/acs", "telemetryEndpoint": f"{base}/tcs"}
        return 200, {"acknowledgment": "ok"}


def _now() -> float:
    import time

    return time.time()
