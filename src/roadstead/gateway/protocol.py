"""HTTP/1.1 on one connection: bytes to requests, responses to bytes.

It takes the place of uvicorn's own protocol within uvicorn's server: a request that only reads is answered within the
callback that brought its last byte, without the task, the event and the messages of ASGI. Websockets are handed on to
uvicorn's protocol for them. One request of a connection is worked on at a time; what its client sends ahead waits.
"""

from __future__ import annotations

import asyncio
import http
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import httptools
import uvicorn
import uvicorn.server

from roadstead.wire import requests, responses

logger = logging.getLogger(__name__)

CONNECTIONS_MAX = 20_000
HEADER_BYTES_MAX = 64 * 1024
"""Address and headers of one request."""
DRAIN_BYTES_MAX = 64 * 1024 * 1024
"""Bytes of a body that is too large which are still read, so that its sender gets to read the answer."""
REQUESTS_AHEAD_MAX = 16
"""Requests that a client has sent ahead before no more is read from it."""
IDLE_SECONDS_MAX = 75.0
"""How long a connection may be silent."""
REQUEST_SECONDS_MAX = 300.0
"""How long a request may take to arrive."""
CHECK_SECONDS = 15.0
"""How often those two are checked."""

_STATUS_LINES = {one.value: f"HTTP/1.1 {one.value} {one.phrase}\r\n" for one in http.HTTPStatus}


class Door(Protocol):
    """What answers the requests: `gateway.http.FrontDoor`."""

    def answer(
        self, request: requests.Request, endpoint: str, respond: Callable[[responses.Response], None]
    ) -> None: ...

    def too_large(self, request: requests.Request) -> responses.Response: ...


class _Waiting:
    """A request that is whole."""

    __slots__ = ("is_too_large", "keeps_alive", "request")

    def __init__(self, request: requests.Request, keeps_alive: bool, is_too_large: bool) -> None:
        self.request = request
        self.keeps_alive = keeps_alive
        self.is_too_large = is_too_large


class HttpProtocol(asyncio.Protocol):
    """One connection, made by uvicorn's server."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: uvicorn.server.ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self._config = config
        self._state = server_state
        self._app_state = app_state
        self._door: Door = config.loaded_app
        self._loop = _loop or asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set before anything is received
        self._ahead: deque[_Waiting] = deque()
        self._is_busy = False
        self._is_stuffed = False
        self._keeps_alive = True
        self._method = ""
        self._active_at = 0.0
        self._begun_at: float | None = None
        self._begin_message()

    # -- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is no asyncio.Transport by type
        self._active_at = self._loop.time()
        self._state.connections.add(self)  # type: ignore[arg-type]
        if len(self._state.connections) > CONNECTIONS_MAX:
            logger.warning("more than %d connections: one is refused", CONNECTIONS_MAX)
            self._refuse(503, "Too many connections.")
            return
        self._checks = self._loop.call_later(CHECK_SECONDS, self._check)

    def connection_lost(self, exc: Exception | None) -> None:
        self._state.connections.discard(self)
        self._stop_checks()
        self._ahead.clear()

    def shutdown(self) -> None:
        """End when what is worked on is answered (uvicorn's server calls it when it stops)."""
        self._keeps_alive = False
        self._ahead.clear()
        if not self._is_busy:
            self._transport.close()

    def pause_writing(self) -> None:
        self._is_stuffed = True  # who doesn't read answers gets no more of them
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._is_stuffed = False
        self._resume_reading()
        self._next()

    def _resume_reading(self) -> None:
        if len(self._ahead) < REQUESTS_AHEAD_MAX and not self._is_stuffed and not self._transport.is_closing():
            self._transport.resume_reading()

    def _stop_checks(self) -> None:
        checks: asyncio.TimerHandle | None = getattr(self, "_checks", None)
        if checks is not None:
            checks.cancel()

    def _check(self) -> None:
        now = self._loop.time()
        is_silent = not self._is_busy and now - self._active_at > IDLE_SECONDS_MAX
        is_slow = self._begun_at is not None and now - self._begun_at > REQUEST_SECONDS_MAX
        if is_silent or is_slow:
            self._transport.close()
        else:
            self._checks = self._loop.call_later(CHECK_SECONDS, self._check)

    def data_received(self, data: bytes) -> None:
        self._active_at = self._loop.time()
        unfinished = self._headers if self._is_in_head else None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._is_websocket():
                self._hand_on()
            else:  # another protocol is offered: we stay with this one, for this one answer
                self._keeps_alive = False
                if not self._is_busy:
                    self._transport.close()
        except httptools.HttpParserError:
            if not self._transport.is_closing():
                self._refuse(400, "This is not an HTTP request.")
        if self._is_in_head and self._headers is unfinished:  # one header that doesn't end: only the parser has seen it
            self._count_head(len(data))

    def _refuse(self, status: int, text: str) -> None:
        """Say why, and close."""
        body = text.encode()
        head = f"{_STATUS_LINES[status]}content-type: text/plain\r\nconnection: close\r\n"
        self._transport.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        self._transport.close()

    # -- the parser's callbacks

    def _begin_message(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._head_bytes = 0
        self._is_in_head = False
        self._parts: list[bytes] = []
        self._body_bytes = 0

    def on_message_begin(self) -> None:
        self._begin_message()
        self._is_in_head = True
        self._begun_at = self._active_at

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers = self._headers
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
        self._count_head(len(name) + len(value))

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEADER_BYTES_MAX and not self._transport.is_closing():
            self._refuse(431, f"Address and headers are longer than {HEADER_BYTES_MAX} bytes.")

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        if self._headers.get("expect", "").lower() == "100-continue" and not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes <= requests.BODY_BYTES_MAX:
            self._parts.append(body)
            return
        self._parts.clear()
        if self._body_bytes > DRAIN_BYTES_MAX and not self._transport.is_closing():
            self._refuse(413, f"The body is larger than {requests.BODY_BYTES_MAX} bytes.")

    def on_message_complete(self) -> None:
        self._begun_at = None
        if self._transport.is_closing() or (self._parser.should_upgrade() and self._is_websocket()):
            return
        url = self._url.decode("latin-1")
        if not url.startswith("/"):  # a proxy's way to ask: the whole address
            url = "/" + url.partition("://")[2].partition("/")[2]
        path, _, query = url.partition("#")[0].partition("?")
        parts = self._parts
        whole = _Waiting(
            requests.Request(
                method=self._parser.get_method().decode("latin-1"),
                path=path,
                query=query,
                headers=self._headers,
                body=parts[0] if len(parts) == 1 else b"".join(parts),
            ),
            self._parser.should_keep_alive(),
            self._body_bytes > requests.BODY_BYTES_MAX,
        )
        if not self._is_busy and not self._is_stuffed and not self._ahead:
            self._begin(whole)
            return
        self._ahead.append(whole)
        if len(self._ahead) >= REQUESTS_AHEAD_MAX:
            self._transport.pause_reading()

    # -- requests and responses

    def _begin(self, whole: _Waiting) -> None:
        self._is_busy = True
        self._method = whole.request.method
        self._keeps_alive = self._keeps_alive and whole.keeps_alive and not whole.is_too_large
        if whole.is_too_large:
            self._respond(self._door.too_large(whole.request))
        else:
            self._door.answer(whole.request, f"http://{whole.request.headers.get('host', '')}", self._respond)

    def _next(self) -> None:
        if self._is_busy or self._is_stuffed or not self._ahead:
            return
        whole = self._ahead.popleft()
        self._resume_reading()
        self._begin(whole)

    def _respond(self, response: responses.Response) -> None:
        transport = self._transport
        self._is_busy = False
        self._active_at = self._loop.time()
        self._state.total_requests += 1
        if transport.is_closing():
            return
        transport.write(self._head(response) + (b"" if self._method == "HEAD" else response.body))
        if not self._keeps_alive:
            transport.close()
        elif self._ahead:
            self._loop.call_soon(self._next)

    def _head(self, response: responses.Response) -> bytes:
        lines = [_STATUS_LINES[response.status]]
        for name, value in self._state.default_headers:  # the date, renewed once a second
            lines.append(f"{name.decode('latin-1')}: {value.decode('latin-1')}\r\n")
        for header, text in response.headers:
            shown = text if text.isprintable() else "".join(filter(str.isprintable, text))
            lines.append(f"{header}: {shown}\r\n")
        lines.append(f"content-length: {len(response.body)}\r\n")
        lines.append("\r\n" if self._keeps_alive else "connection: close\r\n\r\n")
        return "".join(lines).encode("latin-1", "replace")

    # -- websockets

    def _is_websocket(self) -> bool:
        wanted = [part.strip().lower() for part in self._headers.get("connection", "").split(",")]
        return "upgrade" in wanted and self._headers.get("upgrade", "").lower() == "websocket"

    def _hand_on(self) -> None:
        """Give the connection to uvicorn's protocol for websockets, with the request as it came."""
        self._state.connections.discard(self)
        self._stop_checks()
        make: Any = self._config.ws_protocol_class
        lines = [f"{self._parser.get_method().decode('latin-1')} {self._url.decode('latin-1')} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in self._headers.items()]
        made = make(config=self._config, server_state=self._state, app_state=self._app_state)
        made.connection_made(self._transport)
        made.data_received("\r\n".join([*lines, "", ""]).encode("latin-1"))
        self._transport.set_protocol(made)
