"""Control plane and one container instance on this machine: the server in this process, the agent in one of its own.

The agent is started again when it ends, after a growing pause; containers outlive it, and the server too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pathlib
import signal
import time

from roadstead.agent import settings as agent_settings
from roadstead.agent import storage
from roadstead.app import agent, events, server, settings
from roadstead.base import clock as clocks
from roadstead.base import errors, memory
from roadstead.model import clusters, container_instances, tables
from roadstead.state import plan, store

logger = logging.getLogger(__name__)

RESTART_SECONDS_FIRST = 0.5
"""Pause before an agent that ended is started again; it doubles each time."""
RESTART_SECONDS_MAX = 30.0
STEADY_SECONDS = 60.0
"""An agent that ran this long begins with the first pause again."""
STOP_SECONDS_MAX = 15.0
"""How long an agent may take to end before it is killed."""
OUTPUT_BYTES_MAX = 4_000
"""How much of a failing agent's last words is repeated."""
LAST_WORDS_SECONDS_MAX = 1.0
"""How long those may take to arrive once it has ended."""


class Supervisor:
    """Keeps one agent process running."""

    def __init__(self, launch: agent.Launch, tell: events.Listener) -> None:
        self._launch = launch
        self._tell = tell
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The agent's process, while there is one."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    def start(self) -> None:
        """Start the agent, and again whenever it ends."""
        self._task = asyncio.create_task(self._keep(), name="agent-supervisor")
        self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """End the agent; its containers stay."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS_MAX)
        except TimeoutError:
            logger.warning("the agent (process %d) didn't end within %d s: killed", process.pid, STOP_SECONDS_MAX)
            process.kill()
            await process.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.error("the agent can't be kept running", exc_info=error)
            self._tell(events.Event(kind="problem", text=f"The agent can't be kept running: {error}"))

    async def _keep(self) -> None:
        pause_seconds = RESTART_SECONDS_FIRST
        while True:
            started_at = time.monotonic()
            status, said = await self._run_once()
            if status == agent.HOST_PROBLEM_STATUS:
                self._tell(events.Event(kind="problem", text=said or "The agent can't run on this machine."))
                return
            if time.monotonic() - started_at >= STEADY_SECONDS:
                pause_seconds = RESTART_SECONDS_FIRST
            last = said.rpartition("\n")[2]
            words = f"{_status_words(status)}: {last}" if last else _status_words(status)
            text = f"The agent ended ({words}); it is started again in {pause_seconds:g} s"
            logger.warning("%s\n%s", text, said)
            self._tell(events.Event(kind="agent ended", text=text, facts={"status": str(status), "said": said}))
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2.0 * pause_seconds, RESTART_SECONDS_MAX)

    async def _run_once(self) -> tuple[int, str]:
        """Run the agent until it ends: its status, and its last words on stderr."""
        arguments, environment = agent.command(self._launch)
        self._process = await asyncio.create_subprocess_exec(
            *arguments,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is the server's; it ends the agent in order
        )
        assert self._process.stderr is not None
        facts = {"pid": str(self._process.pid)}
        self._tell(events.Event(kind="agent starting", text=f"The agent starts (process {facts['pid']})", facts=facts))
        reading = asyncio.create_task(_last_words(self._process.stderr))
        try:
            status = await self._process.wait()  # not the end of stderr: a child of the agent might hold that open
            await asyncio.wait((reading,), timeout=LAST_WORDS_SECONDS_MAX)
            return status, reading.result() if reading.done() else ""
        finally:
            reading.cancel()


async def _last_words(stream: asyncio.StreamReader) -> str:
    said = b""
    while piece := await stream.read(4096):
        said = (said + piece)[-OUTPUT_BYTES_MAX:]
    return said.decode(errors="replace").strip()


def _status_words(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"status {status}"


def ensure_cluster(subject: store.Store, name: str, now: float) -> None:
    """Make the cluster that the local instance joins, where it is missing."""

    def decide(view: store.StoreView) -> tuple[plan.Plan, None]:
        draft = plan.Draft(view)
        found = draft.get(clusters.Cluster, name)
        if found is None or found.status != "ACTIVE":
            draft.put(clusters.Cluster(name=name, created_at=now))
        return draft.plan(), None

    subject.transact(decide, now)


def agent_launch(one: server.Server) -> agent.Launch:
    """The local agent of a server that has started."""
    chosen = one.settings
    assert one.keys is not None, "the server has started"
    data_dir = agent_data_dir(chosen)
    return agent.Launch(
        settings=agent_settings.Settings(
            server_url=one.endpoint,
            data_dir=data_dir,
            cluster=chosen.cluster,
            access_key_id=one.keys.access_key_id,
            secret_access_key=one.keys.secret_access_key,
            region=chosen.region,
            availability_zone=f"{chosen.region}a",
            runtime=chosen.runtime,
        ),
        log_path=chosen.data_dir / "log" / "agent.log",
        log_level=chosen.log_level,
        parent_pid=os.getpid(),
    )


def agent_data_dir(chosen: settings.Settings) -> pathlib.Path:
    """Where the local agent keeps its tasks, images and containers."""
    return chosen.data_dir / "agent"


async def run(chosen: settings.Settings, on_event: events.Listener = events.ignore) -> None:
    """Serve, with a local agent, until SIGTERM or SIGINT; containers stay. Raises errors.HostProblem."""
    ends = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ends.set)
    async with AllInOne(chosen, on_event):
        memory.settle()
        await ends.wait()


class AllInOne:
    """A server and its local agent, as a context: started on the way in, stopped on the way out."""

    def __init__(self, chosen: settings.Settings, on_event: events.Listener = events.ignore) -> None:
        self.server = server.Server(chosen, on_event=on_event)
        self.supervisor: Supervisor | None = None
        self._tell = on_event

    async def __aenter__(self) -> AllInOne:
        one = self.server
        one.store.watch(self._note)
        await one.start()
        try:
            ensure_cluster(one.store, one.settings.cluster, clocks.SystemClock().now())
            await one.committer.durable(one.store.revision)
            if one.settings.ephemeral:  # a server that remembers no instance takes none back
                storage.forget(agent_data_dir(one.settings))
            self.supervisor = Supervisor(agent_launch(one), self._tell)
            self.supervisor.start()
            one.on_reset(self._after_reset)
        except errors.HostProblem:
            await one.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        rest = "containers go on running" if self.server.settings.runtime == "oci" else "stand-ins end"
        self._tell(events.Event(kind="stopping", text=f"Stopping; {rest}"))
        if self.supervisor is not None:
            await self.supervisor.stop()
        await self.server.stop()
        self._tell(events.Event(kind="stopped", text="Stopped"))

    def _after_reset(self) -> None:
        one = self.server
        ensure_cluster(one.store, one.settings.cluster, clocks.SystemClock().now())

    def _note(self, commit: store.Commit) -> None:
        for change in commit.changes:
            if change.table != tables.CONTAINER_INSTANCES.name:
                continue
            before, after = _connected(change.before), _connected(change.after)
            if before == after:
                continue
            words = "is ready for tasks" if after else "has lost its agent"
            facts = {"containerInstance": change.key}
            kind: events.Kind = "agent connected" if after else "agent disconnected"
            self._tell(events.Event(kind=kind, text=f"Container instance {change.key} {words}", facts=facts))


def _connected(one: object) -> bool:
    return isinstance(one, container_instances.ContainerInstance) and one.session.connected
