"""The shell of one agent's ACS session: frames in and out, time, and changes of the store (agent-protocol.md 3).

It feeds `control.sessions.machine` and carries out what that asks for. What a commit changed is handed on only when
the commit is durable, so that no agent ever runs what a crash makes forgotten.
"""

from __future__ import annotations

import asyncio
import collections
import logging

from roadstead.acs import frames
from roadstead.base import clock as clocks
from roadstead.base import errors
from roadstead.control.sessions import connection, machine
from roadstead.engine import committer
from roadstead.gateway import asgi
from roadstead.model import container_instances, tables, tasks
from roadstead.state import store

logger = logging.getLogger(__name__)

CLOSE_GOING_AWAY = machine.CLOSE_GOING_AWAY
FRAMES_WAITING_MAX = 256
"""Frames of an agent that wait to be handled; more wait in its socket."""
REASON_BYTES_MAX = 120
"""A close frame has room for 123."""


class Session:
    """One connection. `close` ends it from our side, `ended` is set when `run` has returned."""

    def __init__(
        self,
        subject: store.Store,
        durability: committer.Committer,
        clock: clocks.Clock,
        receive: asgi.Receive,
        send: asgi.Send,
    ) -> None:
        self.ended = asyncio.Event()
        self._store = subject
        self._committer = durability
        self._clock = clock
        self._receive = receive
        self._send = send
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._frames: collections.deque[str | bytes] = collections.deque()
        self._changed: dict[str, tasks.Task] = {}
        self._instance: list[container_instances.ContainerInstance | None] = []
        self._revision = 0
        self._is_gone = False
        self._closing: machine.Close | None = None

    def note_task(self, task: tasks.Task, revision: int) -> None:
        """A commit changed a task that is, or was, this instance's."""
        self._changed.pop(task.task_id, None)
        self._changed[task.task_id] = task
        self._revision = revision
        self._wake.set()

    def note_instance(self, instance: container_instances.ContainerInstance | None, revision: int) -> None:
        """A commit changed this instance."""
        self._instance = [instance]
        self._revision = revision
        self._wake.set()

    def close(self, code: int, reason: str) -> None:
        """End the session soon."""
        self._closing = machine.Close(code=code, reason=reason)
        self._wake.set()

    async def run(self, instance_id: str) -> None:
        """Serve until either side ends it."""
        reader = asyncio.create_task(self._read(), name=f"acs-read-{instance_id}")
        try:
            await self._serve(instance_id)
        except errors.HostProblem as problem:
            logger.warning("agent of %s: the session ends: %s", instance_id, problem)
            await self._end(machine.Close(code=machine.CLOSE_SERVER_ERROR, reason="The server can't write"))
        except OSError:
            self._is_gone = True  # the socket went while something was being sent
        except Exception:
            logger.exception("agent of %s: the session failed", instance_id)
            await self._end(machine.Close(code=machine.CLOSE_SERVER_ERROR, reason="An error of the server's own"))
        finally:
            reader.cancel()
            self.ended.set()

    async def _serve(self, instance_id: str) -> None:
        now = self._clock.now()
        commit, first_number = self._store.transact(lambda view: connection.begin(view, instance_id, now), now)
        view = self._store.view()
        instance = view.get(container_instances.ContainerInstance, instance_id)
        if commit is None or instance is None:
            await self._end(machine.Close(code=CLOSE_GOING_AWAY, reason=machine.REASON_INACTIVE))
            return
        live = tuple(view.find(tables.TASKS, "live_by_instance", instance_id))
        self._changed.clear()  # what was noted before is in `live`
        session = machine.Session(instance, first_number, now)
        await self._committer.durable(commit.revision)
        await self._send({"type": "websocket.accept"})
        done = await self._carry_out(session.handle(machine.Opened(tasks=live), self._store.view(), self._clock.now()))
        while not done and not self._is_gone:
            await self._wait_until(session.next_at)
            if self._closing is not None:
                await self._end(self._closing)
                return
            done = await self._carry_out(await self._turn(session))

    async def _wait_until(self, moment: float) -> None:
        """Until there is something to do, or the moment has come."""
        timer = asyncio.get_running_loop().call_later(max(0.0, moment - self._clock.now()), self._wake.set)
        await self._wake.wait()
        timer.cancel()
        self._wake.clear()

    async def _turn(self, session: machine.Session) -> list[machine.Instruction]:
        """Everything that has come up since the last turn, once it is durable."""
        changed, self._changed = tuple(self._changed.values()), {}
        instance, self._instance = self._instance, []
        if changed or instance:
            await self._committer.durable(self._revision)
        view, now = self._store.view(), self._clock.now()
        out: list[machine.Instruction] = []
        for one in instance:
            out += session.handle(machine.InstanceChanged(instance=one), view, now)
        if changed:
            out += session.handle(machine.TasksChanged(tasks=changed), view, now)
        while self._frames:
            text = self._frames.popleft()
            try:
                message = frames.parse(text)
            except frames.MalformedFrame as problem:
                logger.warning("agent of %s: %s", session.instance.instance_id, problem)
                continue
            out += session.handle(machine.Received(message=message), view, now)
        self._room.set()
        if now >= session.next_at:
            out += session.handle(machine.Tick(), view, now)
        return out

    async def _carry_out(self, instructions: list[machine.Instruction]) -> bool:
        """Send what is to be sent; True where the session has ended with it."""
        for instruction in instructions:
            if self._is_gone:
                return True
            match instruction:
                case machine.Send():
                    await self._send({"type": "websocket.send", "text": frames.serialize(instruction.message)})
                case machine.Close():
                    await self._end(instruction)
                    return True
        return False

    async def _end(self, how: machine.Close) -> None:
        if self._is_gone:
            return
        self._is_gone = True
        reason = how.reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore")
        await self._send({"type": "websocket.close", "code": how.code, "reason": reason})

    async def _read(self) -> None:
        """Take frames in, no faster than they are handled."""
        while True:
            message = await self._receive()
            if message["type"] != "websocket.receive":
                self._is_gone = True
                self._wake.set()
                return
            text = message.get("text")
            self._frames.append(text if text is not None else message["bytes"])
            self._wake.set()
            while len(self._frames) >= FRAMES_WAITING_MAX:
                self._room.clear()
                await self._room.wait()
