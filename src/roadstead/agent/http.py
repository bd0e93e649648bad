"""A small HTTP/1.1 client for asyncio: keep-alive, a bounded pool, no redirects, no proxies.

Shell. The agent talks to one server with small JSON bodies; a general client would cost it half its memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import httptools
import msgspec

CONNECTIONS_MAX = 16
REQUEST_SECONDS_MAX = 30.0
RESPONSE_BYTES_MAX = 1 << 20
READ_BYTES = 1 << 16


class HttpProblem(Exception):
    """No answer was had: no connection, it broke, it took too long, or the answer is no HTTP."""


class Response(msgspec.Struct, frozen=True):
    status: int
    body: bytes


class _Reading:
    """Collects one response: the callbacks of httptools' parser."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.body = bytearray()
        self.complete = False
        self.keep = False

    def on_headers_complete(self) -> None:
        self.keep = self.parser.should_keep_alive()  # only here: once the message is complete it says no

    def on_body(self, data: bytes) -> None:
        self.body += data
        if len(self.body) > RESPONSE_BYTES_MAX:
            raise HttpProblem(f"the answer is longer than {RESPONSE_BYTES_MAX} bytes")

    def on_message_complete(self) -> None:
        self.complete = True


class _Connection:
    """One connection and whether it was used before: only then a break before any byte is worth another try."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.used = False


class Client:
    """Requests to one origin: scheme, host and port of `base_url`."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{base_url!r} is no http or https address")
        self.host_header = parts.netloc
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._idle: list[_Connection] = []
        self._slots = asyncio.Semaphore(CONNECTIONS_MAX)

    async def post(self, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        """One POST. `headers` come with `host`. Raises HttpProblem; then the request may have arrived all the same."""
        lines = [f"POST {path} HTTP/1.1", f"content-length: {len(body)}"]
        lines.extend(f"{name}: {value}" for name, value in headers.items())
        raw = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        async with self._slots:
            try:
                async with asyncio.timeout(REQUEST_SECONDS_MAX):
                    return await self._exchange(raw)
            except TimeoutError:
                raise HttpProblem(f"no answer within {REQUEST_SECONDS_MAX:.0f} s") from None
            except (OSError, httptools.HttpParserError, asyncio.IncompleteReadError) as problem:
                raise HttpProblem(str(problem) or type(problem).__name__) from problem

    async def close(self) -> None:
        """Close idle connections."""
        while self._idle:
            await _close(self._idle.pop())

    async def _exchange(self, raw: bytes) -> Response:
        while True:
            connection = self._idle.pop() if self._idle else await self._connect()
            try:
                response, keep = await _ask(connection, raw)
            except _Stale:
                await _close(connection)
                continue  # the server had closed an idle connection: it never saw the request
            except BaseException:
                connection.writer.close()
                raise
            connection.used = True
            if keep:
                self._idle.append(connection)
            else:
                await _close(connection)
            return response

    async def _connect(self) -> _Connection:
        return _Connection(*await asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=READ_BYTES))


class _Stale(Exception):
    """A kept connection turned out to be closed before anything of an answer came."""


async def _ask(connection: _Connection, raw: bytes) -> tuple[Response, bool]:
    reading = _Reading()
    received = False
    while not reading.complete:
        try:
            if not received:
                connection.writer.write(raw)
                raw = b""
                await connection.writer.drain()
            data = await connection.reader.read(READ_BYTES)
        except (ConnectionError, BrokenPipeError):
            data = b""
        if not data:
            if connection.used and not received:
                raise _Stale
            raise HttpProblem("the server closed the connection before it had answered")
        received = True
        reading.parser.feed_data(data)
    return Response(reading.parser.get_status_code(), bytes(reading.body)), reading.keep


async def _close(connection: _Connection) -> None:
    connection.writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await connection.writer.wait_closed()
