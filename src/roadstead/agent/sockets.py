"""One websocket of the agent, kept up: connect, refuse, reconnect, back off (agent-protocol.md 3). Shell.

ACS and TCS differ in their address, in what they do with messages, and in how they send; the rest is here.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from roadstead.acs import frames, refusals, timers

log = logging.getLogger(__name__)

OPEN_SECONDS_MAX = 10.0
OUTGOING_MAX = 10_000
"""Frames waiting to be sent. More are dropped: the control plane asks again for what it misses."""


class Target(msgspec.Struct, frozen=True):
    """Where to connect to, and with which headers."""

    url: str
    headers: dict[str, str]


class Socket:
    """A websocket that is always wanted. `name` is for the log."""

    def __init__(
        self,
        name: str,
        target: Callable[[], Awaitable[Target]],
        received: Callable[[frames.Message], None],
        connected: Callable[[], None],
        failed: Callable[[], None],
    ) -> None:
        """`target` may raise OSError or what else a network does; `failed` is told that an address did not answer."""
        self._name = name
        self._target = target
        self._received = received
        self._connected = connected
        self._failed = failed
        self._outgoing: asyncio.Queue[str] | None = None
        self._backoff_seconds = timers.RECONNECT_BACKOFF_SECONDS_MIN

    @property
    def is_open(self) -> bool:
        return self._outgoing is not None

    def send(self, text: str) -> None:
        """Send a frame; lost where there is no connection."""
        if self._outgoing is None:
            return
        if self._outgoing.full():
            log.warning("%s: too many frames wait to be sent; one is dropped", self._name)
            return
        self._outgoing.put_nowait(text)

    async def run(self) -> None:
        """Connect, serve, and again, for ever."""
        while True:
            pause_seconds = await self._once()
            if pause_seconds:
                await asyncio.sleep(pause_seconds)

    async def _once(self) -> float:
        """One connection from its beginning to its end; returns how long to wait before the next, in seconds."""
        try:
            target = await self._target()
            connection = await connect(
                target.url,
                additional_headers={name: value for name, value in target.headers.items() if name != "host"},
                max_size=frames.FRAME_BYTES_MAX,
                open_timeout=OPEN_SECONDS_MAX,
                ping_interval=None,
                compression=None,
                proxy=None,
            )
        except InvalidStatus as problem:
            return self._refused(problem)
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as problem:
            log.info("%s: no connection: %s", self._name, problem)
            self._failed()
            return self._back_off()
        log.info("%s: connected", self._name)
        began = asyncio.get_running_loop().time()
        code = await self._serve(connection)
        lasted = asyncio.get_running_loop().time() - began
        if code in timers.RECONNECT_AT_ONCE_CODES and lasted >= timers.RECONNECT_BACKOFF_SECONDS_MIN:
            self._backoff_seconds = timers.RECONNECT_BACKOFF_SECONDS_MIN
            return 0.0
        return self._back_off()  # also where it closes as soon as it opens, so that nothing spins

    async def _serve(self, connection: ClientConnection) -> int:
        """Pass messages both ways until it ends; returns the close code."""
        outgoing: asyncio.Queue[str] = asyncio.Queue(OUTGOING_MAX)
        self._outgoing = outgoing
        self._connected()
        writer = asyncio.create_task(_write(connection, outgoing))
        try:
            await self._read(connection)
        except ConnectionClosed:
            pass
        except TimeoutError as problem:
            log.info("%s: %s", self._name, problem)
        finally:
            self._outgoing = None
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            await connection.close(1000, timers.CLOSE_REASON_EXPIRED)
        log.info("%s: disconnected: %s %s", self._name, connection.close_code, connection.close_reason)
        return connection.close_code or 1006

    async def _read(self, connection: ClientConnection) -> None:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + timers.CONNECTION_SECONDS_MAX + random.uniform(0, timers.CONNECTION_JITTER_SECONDS)
        while True:
            silence = timers.AGENT_SILENCE_SECONDS_MAX + random.uniform(0, timers.AGENT_SILENCE_JITTER_SECONDS)
            until = min(loop.time() + silence, ends_at)
            try:
                async with asyncio.timeout_at(until):
                    text = await connection.recv()
            except TimeoutError:
                why = "the connection is old" if until == ends_at else f"nothing was heard for {silence:.0f} s"
                raise TimeoutError(f"closing: {why}") from None
            self._backoff_seconds = timers.RECONNECT_BACKOFF_SECONDS_MIN
            self._take(text if isinstance(text, str) else bytes(text))

    def _take(self, text: str | bytes) -> None:
        try:
            message = frames.parse(text)
        except frames.MalformedFrame as problem:
            log.warning("%s: a frame is not understood and ignored: %s", self._name, problem)
            return
        if isinstance(message, frames.Unknown):
            log.info("%s: a message of the unknown type %r is ignored", self._name, message.type)
            return
        self._received(message)

    def _refused(self, problem: InvalidStatus) -> float:
        refusal = refusals.parse(bytes(problem.response.body or b""))
        log.warning("%s: refused with %d: %s", self._name, problem.response.status_code, refusal)
        if refusal is not None and refusal.name == refusals.INACTIVE_INSTANCE:
            return timers.INACTIVE_INSTANCE_RETRY_SECONDS
        if refusal is not None and refusal.name in refusals.UNRETRIABLE:
            self._backoff_seconds = timers.RECONNECT_BACKOFF_SECONDS_MAX
        return self._back_off()

    def _back_off(self) -> float:
        seconds = self._backoff_seconds * random.uniform(1, 1 + timers.RECONNECT_BACKOFF_JITTER)
        self._backoff_seconds = min(
            self._backoff_seconds * timers.RECONNECT_BACKOFF_FACTOR, timers.RECONNECT_BACKOFF_SECONDS_MAX
        )
        return seconds


async def _write(connection: ClientConnection, outgoing: asyncio.Queue[str]) -> None:
    while True:
        await connection.send(await outgoing.get())
