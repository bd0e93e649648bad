"""Listening: the socket, and uvicorn over it without its own ideas of signals and logs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator

import uvicorn

from roadstead.base import errors
from roadstead.gateway import http, protocol

BACKLOG = 2048
"""Connections that may wait to be taken."""
STOP_SECONDS_MAX = 5
"""How long requests in flight are waited for when the server stops."""
DATE_SECONDS = 1.0
"""How often the date header is renewed."""
WEBSOCKET_FRAME_BYTES_MAX = 4 * 1024 * 1024
"""The longest frame an agent may send (agent-protocol.md 4: theirs are up to 1 MiB)."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises errors.HostProblem where the address can't be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((host, port))
        one.listen(BACKLOG)
        one.setblocking(False)
    except OSError as error:
        one.close()
        raise errors.HostProblem(
            f"{host}:{port} can't be listened on",
            str(error.strerror),
            "Stop what uses it, or choose another with --port (0 takes a free one).",
        ) from error
    return one


class _RefusalIsNoError(logging.Filter):
    """uvicorn calls it an error when a websocket is refused with a response of its own, as ASGI allows."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "without completing handshake" not in record.getMessage()


_REFUSAL_IS_NO_ERROR = _RefusalIsNoError()


class _Server(uvicorn.Server):
    """uvicorn's server, which leaves signals to the composition root and sleeps until it is told to stop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ends = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # 0: have the date header renewed
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.ends.wait(), DATE_SECONDS)


class Listener:
    """Serves a front door on a bound socket."""

    def __init__(self, door: http.FrontDoor, bound: socket.socket) -> None:
        self._socket = bound
        config = uvicorn.Config(
            door,
            loop="none",
            http=protocol.HttpProtocol,
            ws="websockets-sansio",
            ws_max_size=WEBSOCKET_FRAME_BYTES_MAX,
            ws_per_message_deflate=False,
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=STOP_SECONDS_MAX,
        )
        logging.getLogger("uvicorn.error").addFilter(_REFUSAL_IS_NO_ERROR)
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take connections."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="listener")
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise RuntimeError("the listener ended before it began")
            await asyncio.sleep(0)

    async def stop(self) -> None:
        """Take no more connections, end those that are open."""
        self._server.should_exit = True
        self._server.ends.set()
        if self._task is not None:
            await self._task
        self._socket.close()
