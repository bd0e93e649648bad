"""Where container agents connect: the websockets `/acs/ws` and `/tcs/ws` (agent-protocol.md 3 and 4).

Who may not is refused before the upgrade, with a small JSON body. `AgentGateway` keeps the sessions by container
instance, and gives each the changes of the store that concern it: one watcher for all of them, no scans.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from urllib import parse as urls

from roadstead.acs import refusals
from roadstead.api.ecs import names
from roadstead.base import clock as clocks
from roadstead.base import errors
from roadstead.control.sessions import connection, telemetry
from roadstead.engine import committer
from roadstead.gateway import agents_acs, agents_tcs, asgi, identity
from roadstead.model import clusters, container_instances, tables, tasks
from roadstead.state import store
from roadstead.wire import requests

logger = logging.getLogger(__name__)

SESSIONS_MAX = 10_000
"""Agents connected to one process."""
STOP_SECONDS_MAX = 2.0
"""How long sessions may take to close when the server stops."""
SIGNING_NAME = "ecs"
_INSTANCE_PARAMETERS = {"/acs/ws": ("clusterArn", "containerInstanceArn"), "/tcs/ws": ("cluster", "containerInstance")}


class Refused(Exception):
    """A connection that is not upgraded, and what its agent is told."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.refusal = refusals.Refusal(name, message)


class AgentGateway:
    """The agents' sessions of one process. Made on the event loop's thread, before the server listens."""

    def __init__(
        self,
        subject: store.Store,
        durability: committer.Committer,
        clock: clocks.Clock,
        verifier: identity.Verifier,
    ) -> None:
        self._store = subject
        self._committer = durability
        self._clock = clock
        self._verifier = verifier
        self.board = telemetry.Board()
        self._acs: dict[str, agents_acs.Session] = {}
        self._tcs: dict[str, agents_tcs.Session] = {}
        self._is_closing = False
        subject.watch(self._note)

    def start(self) -> None:
        """Mark every instance's agent as gone, until it connects again: to be called once the store is loaded."""
        now = self._clock.now()
        self._store.transact(lambda view: (connection.forget_all(view, now), None), now)

    @property
    def mounts(self) -> dict[str, asgi.Application]:
        """The applications by the first part of their path, for the front door."""
        return {"acs": self, "tcs": self}

    @property
    def connected(self) -> int:
        """Agents that are connected."""
        return len(self._acs)

    def close_all(self) -> None:
        """Close every session; the agents come back. For a server whose records were wiped."""
        for session in self._sessions():
            session.close(agents_acs.CLOSE_GOING_AWAY, "The server was reset")

    async def stop(self) -> None:
        """Close every session, and take no more of them."""
        self._is_closing = True
        sessions = self._sessions()
        for session in sessions:
            session.close(agents_acs.CLOSE_GOING_AWAY, "The server stops")
        with contextlib.suppress(TimeoutError):  # a socket that takes nothing is closed by the listener
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await asyncio.gather(*(session.ended.wait() for session in sessions))

    def _sessions(self) -> list[agents_acs.Session | agents_tcs.Session]:
        return [*self._acs.values(), *self._tcs.values()]

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """The ASGI application of both websockets."""
        with contextlib.suppress(asyncio.CancelledError):
            await receive()  # websocket.connect
            try:
                instance = self._admit(scope)
            except Refused as refused:
                logger.info("%s: an agent is refused: %s", scope["path"], refused)
                await _refuse(scope, send, refused.refusal)
                return
            if scope["path"] == "/acs/ws":
                await self._serve_acs(instance, receive, send)
            else:
                await self._serve_tcs(instance, receive, send)

    # ------------------------------------------------------------------------------------------ admission

    def _admit(self, scope: asgi.Scope) -> container_instances.ContainerInstance:
        """The instance whose agent asks to connect. Raises Refused."""
        parameters = _INSTANCE_PARAMETERS.get(scope["path"])
        if parameters is None:
            raise Refused(refusals.BAD_REQUEST, f"There is no websocket at {scope['path']}.")
        request = requests.Request(
            method="GET",
            path=scope["raw_path"].decode("latin-1"),
            query=scope["query_string"].decode("latin-1"),
            headers=asgi.headers_of(scope),
        )
        try:
            self._verifier.verify(request, SIGNING_NAME, self._clock.now())
            instance = self._instance(urls.parse_qs(request.query), *parameters)
        except errors.Refusal as refusal:
            raise Refused(refusals.ACCESS_DENIED, refusal.message) from refusal
        if self._is_closing or len(self._acs) >= SESSIONS_MAX or self._committer.failure is not None:
            raise Refused(refusals.SERVER, "This server takes no agents at the moment.")
        return instance

    def _instance(
        self, query: dict[str, list[str]], cluster_parameter: str, instance_parameter: str
    ) -> container_instances.ContainerInstance:
        view = self._store.view()
        cluster_text = query.get(cluster_parameter, [clusters.DEFAULT_CLUSTER])[-1]
        instance_text = query.get(instance_parameter, [""])[-1]
        if not instance_text:
            raise Refused(refusals.BAD_REQUEST, f"{instance_parameter} is missing.")
        parts = names.parts_of(view.scope, "cluster", cluster_text)
        cluster = view.get(clusters.Cluster, parts[0]) if parts is not None and len(parts) == 1 else None
        if cluster is None:
            raise Refused(refusals.INVALID_CLUSTER, "Cluster not found.")
        instance_id = names.id_in_cluster(view.scope, "container-instance", cluster.name, instance_text)
        found = view.get(container_instances.ContainerInstance, instance_id) if instance_id is not None else None
        if found is None or found.cluster != cluster.name:
            raise Refused(refusals.INVALID_INSTANCE, "Container instance not found.")
        if found.status == "INACTIVE":
            raise Refused(refusals.INACTIVE_INSTANCE, "The container instance is deregistered.")
        return found

    # ------------------------------------------------------------------------------------------ sessions

    async def _serve_acs(
        self, instance: container_instances.ContainerInstance, receive: asgi.Receive, send: asgi.Send
    ) -> None:
        session = agents_acs.Session(self._store, self._committer, self._clock, receive, send)
        older = self._acs.get(instance.instance_id)
        self._acs[instance.instance_id] = session
        if older is not None:
            older.close(agents_acs.CLOSE_GOING_AWAY, "A newer connection of this agent took over")
        try:
            await session.run(instance.instance_id)
        finally:
            if self._acs.get(instance.instance_id) is session:
                del self._acs[instance.instance_id]
                self._mark_gone(instance.instance_id)

    def _mark_gone(self, instance_id: str) -> None:
        now = self._clock.now()
        try:
            self._store.transact(lambda view: (connection.end(view, instance_id, now), None), now)
        except errors.HostProblem as problem:
            logger.warning("instance %s: its agent went, but that can't be written: %s", instance_id, problem)

    async def _serve_tcs(
        self, instance: container_instances.ContainerInstance, receive: asgi.Receive, send: asgi.Send
    ) -> None:
        stream = telemetry.Stream(self.board, instance.instance_id)
        session = agents_tcs.Session(self._store, self._committer, self._clock, stream, receive, send)
        older = self._tcs.get(instance.instance_id)
        self._tcs[instance.instance_id] = session
        if older is not None:
            older.close(agents_acs.CLOSE_GOING_AWAY, "A newer connection of this agent took over")
        try:
            await session.run()
        finally:
            if self._tcs.get(instance.instance_id) is session:
                del self._tcs[instance.instance_id]
                self.board.forget(instance.cluster, instance.instance_id)

    def _note(self, commit: store.Commit) -> None:
        """Give each session what a commit changed for it. Called by the store at each commit: keep it cheap."""
        if not self._acs:
            return
        for change in commit.changes:
            if change.table == tables.TASKS.name:
                before, after = change.before, change.after
                newest = change.newest
                assert isinstance(newest, tasks.Task)
                if not _concerns_agent(before, after):
                    continue
                for instance_id in {_instance_of(before), _instance_of(after)}:
                    session = self._acs.get(instance_id) if instance_id is not None else None
                    if session is not None:
                        session.note_task(newest, commit.revision)
            elif change.table == tables.CONTAINER_INSTANCES.name:
                session = self._acs.get(change.key)
                if session is not None:
                    after = change.after
                    assert after is None or isinstance(after, container_instances.ContainerInstance)
                    session.note_instance(after, commit.revision)


def _instance_of(one: object) -> str | None:
    return one.desired.container_instance if isinstance(one, tasks.Task) else None


def _concerns_agent(before: object, after: object) -> bool:
    """Whether a task's change is one that its agent must hear of: reports of the agent itself mostly are not."""
    if not isinstance(before, tasks.Task) or not isinstance(after, tasks.Task):
        return True
    return (
        before.desired.status != after.desired.status
        or before.desired.container_instance != after.desired.container_instance
        or before.is_live != after.is_live
    )


async def _refuse(scope: asgi.Scope, send: asgi.Send, refusal: refusals.Refusal) -> None:
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.name})
        return
    body = refusals.serialize(refusal)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    status = refusals.status_of(refusal)
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
