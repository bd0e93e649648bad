"""A raw HTTP client that keeps a number of connections busy: each sends its next request when its answer is there.

It parses no more of an answer than its status and length, so that the client stays far cheaper than the server.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import cast

import msgspec
import uvloop

CONNECT_SECONDS_MAX = 5.0
ERRORS_KEPT_MAX = 3


class Load(msgspec.Struct, frozen=True):
    """What a server did under load: requests a second, and how long one took, in milliseconds."""

    rate: float
    p50_ms: float
    p99_ms: float
    errors: int
    sample: str = ""
    """The first answer that was no success."""


class _Connection(asyncio.Protocol):
    """One connection; servers that close after each answer get a new one each time, as their clients must."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._began = 0.0
        self._ended = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._send(self._began or time.perf_counter())

    def _send(self, began: float) -> None:
        request = self._run.next()
        if request is None:
            assert self._transport is not None
            self._transport.close()
            self._run.finished()
            return
        self._buffer = b""
        self._began = began
        self._ended = False
        assert self._transport is not None
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0 or self._ended:
            return
        lower = self._buffer[:head].lower()
        at = lower.find(b"content-length:")
        length = int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < head + 4 + length:
            return
        self._ended = True
        now = time.perf_counter()
        self._run.answered(now - self._began, self._buffer)
        if b"connection: close" in lower or lower.startswith(b"http/1.0"):
            assert self._transport is not None
            self._transport.close()
            self._run.connect(time.perf_counter())
        else:
            self._send(now)

    def connection_lost(self, problem: Exception | None) -> None:
        if not self._ended:
            self._ended = True
            self._run.lost()


class Run:
    """One measurement: `requests` are whole HTTP requests, taken in turn."""

    def __init__(self, host: str, port: int, requests: Iterator[bytes], connections: int) -> None:
        self._address = (host, port)
        self._requests = requests
        self._open = connections
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._stops_at = 0.0
        self.times: list[float] = []
        self.errors = 0
        self.sample = ""
        self._connecting: set[asyncio.Task[None]] = set()
        self._connections = connections

    async def go(self, seconds: float) -> Load:
        """Load the server for so long."""
        began = time.perf_counter()
        self._stops_at = began + seconds
        for _ in range(self._connections):
            self.connect(0.0)
        await asyncio.wait_for(self._done, seconds + CONNECT_SECONDS_MAX + 30.0)
        took = time.perf_counter() - began
        ordered = sorted(self.times) or [0.0]
        return Load(
            rate=(len(self.times) - self.errors) / took,
            p50_ms=ordered[len(ordered) // 2] * 1e3,
            p99_ms=ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1e3,
            errors=self.errors,
            sample=self.sample,
        )

    def next(self) -> bytes | None:
        return None if time.perf_counter() >= self._stops_at else next(self._requests, None)

    def connect(self, began: float) -> None:
        """Open a connection; the time that this takes counts from `began`, where it is part of a request."""
        task = self._loop.create_task(self._connect(began))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, began: float) -> None:
        made = _Connection(self)
        made._began = began
        try:
            await self._loop.create_connection(lambda: made, *self._address)
        except OSError:
            self.lost()

    def answered(self, seconds: float, answer: bytes) -> None:
        self.times.append(seconds)
        if answer[9:12] != b"200":
            self.errors += 1
            self.sample = self.sample or answer[-300:].decode(errors="replace")

    def lost(self) -> None:
        """A connection broke within a request."""
        self.times.append(0.0)
        self.errors += 1
        self.sample = self.sample or "the connection was lost"
        self.finished()

    def finished(self) -> None:
        self._open -= 1
        if self._open == 0 and not self._done.done():
            self._done.set_result(None)


async def drive(address: tuple[str, int], requests: Iterable[bytes], connections: int, seconds: float) -> Load:
    """Load a server; `requests` may be endless. Raises RuntimeError where more than 1 % of the answers are errors."""
    run = Run(*address, iter(requests), connections)
    found = await run.go(seconds)
    if found.errors > 0.01 * max(1, len(run.times)):
        raise RuntimeError(f"{found.errors} of {len(run.times)} answers were errors: {found.sample}")
    return found


def measure(address: tuple[str, int], requests: Sequence[bytes], connections: int, seconds: float) -> Load:
    """As `drive`, for a caller without a loop; the requests are sent again and again."""
    return run(lambda: drive(address, itertools.cycle(requests), connections, seconds))


def run(work: Callable[[], object]) -> Load:
    """Run a coroutine that `work` makes on the fast loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(work())  # type: ignore[arg-type]
    assert isinstance(found, Load)
    return found
