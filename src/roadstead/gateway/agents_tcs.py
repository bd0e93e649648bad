"""The shell of one agent's TCS session: telemetry in, acknowledgments and heartbeats out (agent-protocol.md 4).

Every frame of an agent carries signature headers of its own; the connection was verified when it was opened, and that
counts. A frame is acknowledged when what it says is durable.
"""

from __future__ import annotations

import asyncio
import logging

from roadstead.acs import frames, messages, timers
from roadstead.acs import telemetry as acs_telemetry
from roadstead.base import clock as clocks
from roadstead.base import errors
from roadstead.control.sessions import machine, telemetry
from roadstead.engine import committer
from roadstead.gateway import asgi
from roadstead.state import plan, store

logger = logging.getLogger(__name__)


class Session:
    """One connection. `close` ends it from our side, `ended` is set when `run` has returned."""

    def __init__(
        self,
        subject: store.Store,
        durability: committer.Committer,
        clock: clocks.Clock,
        stream: telemetry.Stream,
        receive: asgi.Receive,
        send: asgi.Send,
    ) -> None:
        self.ended = asyncio.Event()
        self._store = subject
        self._committer = durability
        self._clock = clock
        self._stream = stream
        self._receive = receive
        self._send = send
        self._is_gone = False
        self._close: machine.Close | None = None
        self._closed = asyncio.Event()

    def close(self, code: int, reason: str) -> None:
        """End the session soon."""
        self._close = machine.Close(code=code, reason=reason)
        self._closed.set()

    async def run(self) -> None:
        """Serve until either side ends it."""
        instance_id = self._stream.instance_id
        reader = asyncio.create_task(self._read(), name=f"tcs-read-{instance_id}")
        beats = asyncio.create_task(self._beat(), name=f"tcs-beat-{instance_id}")
        closed = asyncio.create_task(self._closed.wait(), name=f"tcs-close-{instance_id}")
        how = machine.Close(code=machine.CLOSE_SERVER_ERROR, reason="An error of the server's own")
        try:
            await self._send({"type": "websocket.accept"})
            done, _ = await asyncio.wait((reader, beats, closed), return_when=asyncio.FIRST_COMPLETED)
            for task in done - {closed}:
                task.result()
        except errors.HostProblem as problem:
            logger.warning("telemetry of %s: the session ends: %s", instance_id, problem)
        except OSError:
            self._is_gone = True  # the socket went while something was being sent
        except Exception:
            logger.exception("telemetry of %s: the session failed", instance_id)
        finally:
            for task in (reader, beats, closed):
                task.cancel()
            if not self._is_gone:
                how = self._close or how
                await self._send({"type": "websocket.close", "code": how.code, "reason": how.reason})
            self.ended.set()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(timers.HEARTBEAT_INTERVAL_SECONDS)
            await self._say(messages.HeartbeatMessage(healthy=True))

    async def _say(self, message: messages.HeartbeatMessage | acs_telemetry.ServerMessage) -> None:
        if not self._is_gone:
            await self._send({"type": "websocket.send", "text": frames.serialize(message)})

    async def _read(self) -> None:
        while True:
            received = await self._receive()
            if received["type"] != "websocket.receive":
                self._is_gone = True
                return
            text = received.get("text")
            try:
                _, message = frames.parse_signed(text if text is not None else received["bytes"])
            except frames.MalformedFrame as problem:
                logger.warning("telemetry of %s: %s", self._stream.instance_id, problem)
                continue
            answer = await self._handle(message)
            if answer is not None:
                await self._say(answer)

    async def _handle(self, message: frames.Message | frames.Unknown) -> acs_telemetry.ServerMessage | None:
        match message:
            case acs_telemetry.PublishMetricsRequest():
                now = await self._when_there_is_room()
                await self._commit(self._stream.publish_metrics(message, self._store.view(), now), now)
                return acs_telemetry.AckPublishMetric(message=message.metadata.message_id)
            case acs_telemetry.PublishHealthRequest():
                now = await self._when_there_is_room()
                view = self._store.view()
                await self._commit(telemetry.publish_health(message, self._stream.instance_id, view, now), now)
                return acs_telemetry.AckPublishHealth(message=message.metadata.message_id)
            case acs_telemetry.PublishInstanceStatusRequest():
                return acs_telemetry.AckPublishInstanceStatus(message=message.metadata.request_id)
            case _:
                return None

    async def _when_there_is_room(self) -> float:
        """Now, or when the disk has caught up."""
        if self._committer.is_full:
            await self._committer.durable(self._store.revision)
        return self._clock.now()

    async def _commit(self, wanted: plan.Plan, now: float) -> None:
        if not wanted.is_empty:
            commit = self._store.commit(wanted, now)
            await self._committer.durable(commit.revision)
