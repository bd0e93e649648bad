"""A real server on loopback, and an agent that does exactly what a test tells it to, over real websockets."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

import boto3
import botocore.config
import msgspec
from websockets.asyncio.client import ClientConnection, connect

from roadstead.acs import frames, messages, telemetry
from roadstead.api import registry
from roadstead.app import listener
from roadstead.base import clock, scope
from roadstead.engine import committer
from roadstead.gateway import agents, aws, http, identity, local
from roadstead.state import journal, store
from roadstead.wire import requests, services, sigv4

KEY, SECRET, REGION = "AKIAROADSTEADTEST000", "secret", "us-east-1"
PATIENCE_SECONDS = 5.0


class Server:
    """A control plane without controllers, over the journal that it is given."""

    def __init__(self, kept: journal.Journal) -> None:
        self._journal = kept
        seeds = iter(range(1, 1_000_000))
        self.store = store.Store(scope.Scope(), lambda: next(seeds))

    async def start(self) -> None:
        ticking = clock.SystemClock()
        self.committer = committer.Committer(self.store, self._journal, _fail)
        verifier = identity.Verifier({KEY: SECRET}.get, region=REGION, on_loopback=True)
        known = services.Services()
        apis = aws.AwsApis(known, registry.all_operations(), self.store, self.committer, ticking, verifier)
        own = local.LocalApis((), (), self.store, ticking, verifier)
        self.agents = agents.AgentGateway(self.store, self.committer, ticking, verifier)
        self.agents.start()
        bound = listener.bind("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        self._listener = listener.Listener(http.FrontDoor(apis, own, self.agents.mounts, "0"), bound)
        await self._listener.start()
        self._client = boto3.client(
            "ecs",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            config=botocore.config.Config(retries={"total_max_attempts": 1}),
        )

    async def stop(self) -> None:
        self._client.close()
        await self.agents.stop()
        await self._listener.stop()
        await self.committer.close()

    async def call(self, name: str, /, **params: Any) -> Any:
        """A call of boto3's."""
        return await asyncio.to_thread(getattr(self._client, name), **params)

    def agent(self, arn: str) -> Agent:
        return Agent(self, arn)


def _fail(problem: object) -> None:
    raise AssertionError(problem)


class Agent:
    """One agent's two websockets. It keeps the tasks that it was given, as agents do."""

    def __init__(self, server: Server, arn: str) -> None:
        self.server = server
        self.arn = arn
        self.known: dict[str, str] = {}
        self.started: list[str] = []
        self.numbers: list[int] = []
        self.acs: ClientConnection | None = None
        self.tcs: ClientConnection | None = None

    def _target(self, path: str, query: str, secret: str = SECRET) -> tuple[str, dict[str, str]]:
        url = f"ws{self.server.url.removeprefix('http')}{path}?{query}"
        parts = urlsplit(url)
        request = requests.Request(method="GET", path=parts.path, query=parts.query, headers={"host": parts.netloc})
        signed = sigv4.sign(request, access_key_id=KEY, secret=secret, region=REGION, service="ecs", now=time.time())
        return url, signed

    async def connect(self, cluster: str = "default", secret: str = SECRET, path: str = "/acs/ws") -> ClientConnection:
        names = ("clusterArn", "containerInstanceArn") if path.startswith("/acs") else ("cluster", "containerInstance")
        query = f"{names[0]}={quote(cluster, safe='')}&{names[1]}={quote(self.arn, safe='')}"
        url, headers = self._target(path, f"{query}&agentHash=&agentVersion=1&seqNum=1&protocolVersion=2", secret)
        connection = await connect(url, additional_headers=headers, proxy=None)
        if path == "/acs/ws":
            self.acs = connection
        else:
            self.tcs = connection
        return connection

    async def receive(self) -> Any:
        assert self.acs is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            return frames.parse(await self.acs.recv())

    async def say(self, message: Any) -> None:
        assert self.acs is not None
        await self.acs.send(frames.serialize(message))

    async def ack(self, message: Any) -> None:
        answer = messages.AckRequest(cluster="default", container_instance=self.arn, message_id=message.message_id)
        await self.say(answer)

    async def take(self, *, ack: bool = True) -> Any:
        """Receive one message and do what an agent does with it."""
        message = await self.receive()
        if isinstance(message, messages.PayloadMessage):
            self.numbers.append(message.seq_num)
            for task in message.tasks:
                if task.arn not in self.known and task.desired_status == "RUNNING":
                    self.started.append(task.arn)
                self.known[task.arn] = task.desired_status
        elif isinstance(message, messages.TaskManifestMessage):
            self.numbers.append(message.timeline)
        if ack and isinstance(message, messages.PayloadMessage | messages.TaskManifestMessage):
            await self.ack(message)
        return message

    async def until(self, condition: Callable[[], bool]) -> None:
        """Take messages until something is so."""
        while not condition():
            await self.take()

    async def nothing_comes(self, seconds: float = 0.1) -> bool:
        assert self.acs is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.acs.recv()
            return False
        return True

    async def report(self, task: str, status: str, *containers: dict[str, Any], **more: Any) -> None:
        wanted = {"cluster": "default", "task": task, "status": status, "containers": list(containers), **more}
        await self.server.call("submit_task_state_change", **wanted)

    async def publish(self, message: Any) -> Any:
        """A telemetry frame, signed as agents sign them; the answer to it."""
        assert self.tcs is not None
        await self.tcs.send(frames.serialize_signed({"Authorization": "x", "Host": "y"}, message))
        async with asyncio.timeout(PATIENCE_SECONDS):
            return frames.parse(await self.tcs.recv())

    def sample(self, task: str, cpu: float, memory: float, *, fin: bool = True) -> telemetry.PublishMetricsRequest:
        """One task's sample: CPU in percent of the host, memory in MiB."""
        stats = telemetry.ContainerMetric(
            container_name="app",
            cpu_stats_set=telemetry.StatsSet(min=cpu, max=cpu, sum=4 * cpu, sample_count=4),
            memory_stats_set=telemetry.StatsSet(min=memory, max=memory, sum=4 * memory, sample_count=4),
        )
        return telemetry.PublishMetricsRequest(
            metadata=telemetry.MetricsMetadata(cluster="default", container_instance=self.arn, message_id="m", fin=fin),
            timestamp=time.time(),
            task_metrics=(telemetry.TaskMetric(task_arn=task, container_metrics=(stats,)),),
        )

    def abort(self) -> None:
        """Die: the connection is lost without a word."""
        assert self.acs is not None
        self.acs.transport.abort()

    async def close(self) -> None:
        for connection in (self.acs, self.tcs):
            if connection is not None:
                await connection.close()


def decode(body: bytes) -> Any:
    return msgspec.json.decode(body)
