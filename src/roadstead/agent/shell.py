"""The agent's shell: one event queue around the machines, a worker for instructions, two websockets, one file.

    agent = Agent(settings, runtime)
    await agent.start()      # registered; raises HostProblem
    await agent.wait()       # until it fails
    await agent.stop()       # containers go on running

Each turn takes all events that are there, lets the machines handle them, saves what changed in one transaction, and
only then runs the instructions. So a process killed at any moment restarts to the same state.
"""

from __future__ import annotations

import asyncio
import collections
import importlib.metadata
import logging
import random
import secrets
from collections.abc import Coroutine
from typing import Any

from roadstead.acs import frames, messages, telemetry, timers
from roadstead.agent import (
    api,
    ecs,
    engine,
    events,
    http,
    instructions,
    registration,
    runtime,
    settings,
    sockets,
    stats,
    storage,
    task,
    work,
)
from roadstead.base import clock as clocks
from roadstead.base import errors, ids

log = logging.getLogger(__name__)

Outward = instructions.Send | instructions.Submit | instructions.SubmitAttachments
"""What tells the control plane something."""
EVENTS_PER_TURN_MAX = 1_000
TERMINAL = frozenset({"ClientException", "InvalidParameterException"})
"""A registration that is refused so won't be taken later either."""
UNREACHABLE_RETRY_SECONDS_MIN = 0.25
ARN = "containerInstanceArn"
TOKEN = "clientToken"
CLUSTER = "cluster"


class Agent:
    """One container agent in this process."""

    def __init__(self, chosen: settings.Settings, host: runtime.Runtime, clock: clocks.Clock | None = None) -> None:
        self.settings = chosen
        self.container_instance_arn = ""
        self.version = importlib.metadata.version("roadstead")
        self._runtime = host
        self._clock = clock or clocks.SystemClock()
        self._ids = ids.Ids(secrets.randbits(128))
        self._signer = ecs.Signer(chosen, self._clock)
        self._ecs = ecs.Ecs(chosen.server_url, self._signer)
        self._events: collections.deque[events.AgentEvent] = collections.deque()
        self._turning = False
        self._syncing = False
        self._unsynced = False
        self._held: list[Outward] = []
        self._loops: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] | None = None
        self._endpoints: tuple[float, api.DiscoverPollEndpointReply] | None = None
        self._discovering = asyncio.Lock()
        self._send_credentials = True
        self._facts: runtime.HostFacts
        self._storage: storage.Storage
        self._engine: engine.Engine
        self._sampler: stats.Sampler
        self._worker = work.Worker(host, self._ecs, self._clock, self.tell)
        self._acs = sockets.Socket("ACS", self._acs_target, self._acs_received, self._acs_connected, self._forget)
        self._tcs = sockets.Socket("TCS", self._tcs_target, self._tcs_received, lambda: None, self._forget)

    async def start(self) -> None:
        """Open the runtime, register, take up what was left, connect. Raises errors.HostProblem."""
        self._failed = asyncio.get_running_loop().create_future()
        self._storage = storage.Storage(self.settings.data_dir)
        try:
            self._facts = await self._runtime.open()
            await self._register()
            await self._take_up()
        except BaseException:
            self._storage.close()
            await self._runtime.close()
            raise
        for loop in (self._acs.run(), self._tcs.run(), self._watch_exits(), self._sample(), self._publish()):
            self._keep(loop)

    async def wait(self) -> None:
        """Until the agent fails. Raises errors.HostProblem (or what else went wrong)."""
        assert self._failed is not None
        await asyncio.shield(self._failed)

    async def stop(self) -> None:
        """Stop the agent. Containers go on running; the next agent on this data directory adopts them."""
        loops = list(self._loops)
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await self._worker.close()
        self._turning = True  # no more turns
        for loop in list(self._loops):
            loop.cancel()  # a sync that a last turn began
        if self._failed is not None and not self._failed.done():
            while self._events:
                self._handle_events()  # outcomes are kept; what they ask for is asked again by the next agent
            self._failed.cancel()
        await self._ecs.close()
        await self._runtime.close()
        self._storage.close()

    @property
    def is_connected(self) -> bool:
        """Whether the control plane can reach this agent now."""
        return self._acs.is_open

    def tell(self, event: events.AgentEvent) -> None:
        """Hand the machines an event; it is handled in the loop's next turn."""
        self._events.append(event)
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._turning = False
        try:
            out, has_new = self._handle_events()
        except Exception as problem:
            self._fail(problem)
            return
        waits = has_new or self._syncing
        for instruction in out:
            if waits and isinstance(instruction, Outward):
                self._held.append(instruction)
            else:
                self._run(instruction)
        if has_new:
            self._unsynced = True
            if not self._syncing:
                self._syncing = True
                self._keep(self._sync())
        if self._events and not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _run(self, instruction: instructions.AnyInstruction) -> None:
        if isinstance(instruction, instructions.Send):
            self._acs.send(frames.serialize(instruction.message))
        else:
            self._worker.run(instruction)

    async def _sync(self) -> None:
        """Have the disk hold new tasks before the control plane is told of them; their work goes on meanwhile."""
        try:
            while self._unsynced or self._held:
                self._unsynced = False
                ready, self._held = self._held, []
                await asyncio.to_thread(self._storage.sync)
                for instruction in ready:
                    self._run(instruction)
        finally:
            self._syncing = False

    def _handle_events(self) -> tuple[engine.Out, bool]:
        """Let the machines handle what is there, and save: what is returned may be run now, and whether a new task is
        among what was saved.
        """
        now = self._clock.now()
        out: engine.Out = []
        for _ in range(min(len(self._events), EVENTS_PER_TURN_MAX)):
            out.extend(self._engine.handle(self._events.popleft(), now))
        has_new = self._storage.save(self._engine.take_dirty(), self._engine.timeline, now)
        return out, has_new

    def _fail(self, problem: BaseException) -> None:
        """Nothing may go on that was not saved: the agent stops, its containers don't."""
        log.error("the agent stops: %s", problem)
        self._turning = True  # no more turns
        if self._failed is not None and not self._failed.done():
            self._failed.set_exception(problem)

    def _keep(self, loop: Coroutine[Any, Any, None]) -> None:
        def ended(done: asyncio.Task[None]) -> None:
            self._loops.discard(done)
            if not done.cancelled() and (problem := done.exception()) is not None:
                self._fail(problem)

        running = asyncio.create_task(loop)
        running.add_done_callback(ended)
        self._loops.add(running)

    # Registration

    async def _register(self) -> None:
        kept_cluster = self._storage.fact(CLUSTER)
        if kept_cluster not in (None, self.settings.cluster):
            raise errors.HostProblem(
                f"This data directory belongs to an instance of the cluster {kept_cluster!r}",
                f"the agent was asked to join {self.settings.cluster!r}",
                "Use another data directory, or the same cluster.",
            )
        token = self._storage.fact(TOKEN)
        if token is None:
            # Kept before it is used: an agent killed before it hears its ARN registers as the same instance.
            token = self._ids.uuid()
            self._storage.keep_fact(TOKEN, token)
        request = registration.request(self.settings, self._facts, self.version, self._storage.fact(ARN) or "", token)
        reply = await self._register_until_taken(request)
        registration.check(request, reply)
        self.container_instance_arn = reply.container_instance.container_instance_arn
        self._storage.keep_fact(ARN, self.container_instance_arn)
        self._storage.keep_fact(CLUSTER, self.settings.cluster)

    async def _register_until_taken(self, request: api.RegisterContainerInstance) -> api.RegisterContainerInstanceReply:
        ends_at = self._clock.now() + timers.REGISTER_SECONDS_MAX
        pause_seconds = UNREACHABLE_RETRY_SECONDS_MIN
        while True:
            try:
                return await self._ecs.call(request, api.RegisterContainerInstanceReply)
            except ecs.ApiProblem as problem:
                if problem.code in TERMINAL or self._clock.now() >= ends_at or 400 <= problem.status < 429:
                    raise _not_registered(str(problem)) from problem
                pause_seconds = max(pause_seconds, timers.REGISTER_BACKOFF_SECONDS_MIN)
                log.warning("not registered yet: %s", problem)
            except http.HttpProblem as problem:
                if self._clock.now() >= ends_at:
                    raise _not_registered(str(problem)) from problem
                log.info("the control plane does not answer yet: %s", problem)
            await asyncio.sleep(pause_seconds * random.uniform(0.8, 1.2))
            pause_seconds = min(2 * pause_seconds, timers.REGISTER_BACKOFF_SECONDS_MAX)

    async def _take_up(self) -> None:
        """Restore the machines from the file and from what the runtime holds."""
        chosen, facts, now = self.settings, self._facts, self._clock.now()
        surroundings = task.Surroundings(cluster=chosen.cluster, data_dir=str(chosen.data_dir), region=chosen.region)
        cpu_units = registration.cpu_units(chosen, facts)
        self._engine = engine.Engine(surroundings, cpu_units, registration.memory_mib(chosen, facts))
        self._engine.container_instance_arn = self.container_instance_arn
        self._sampler = stats.Sampler(cpu_units / 1024)
        self.tell(
            events.Restored(
                tasks=self._storage.tasks(),
                ended=self._storage.ended(now - engine.ENDED_KEPT_SECONDS),
                timeline=self._storage.timeline(),
                inventory=await self._runtime.inventory(),
            )
        )

    # ACS

    async def _discover(self) -> api.DiscoverPollEndpointReply:
        """Where to connect to; kept for 12 h, or until it does not answer."""
        async with self._discovering:  # both sockets ask at once
            return await self._discovered(self._clock.now())

    async def _discovered(self, now: float) -> api.DiscoverPollEndpointReply:
        if self._endpoints is not None and now - self._endpoints[0] < timers.POLL_ENDPOINT_CACHE_SECONDS:
            return self._endpoints[1]
        question = api.DiscoverPollEndpoint(
            container_instance=self.container_instance_arn, cluster=self.settings.cluster
        )
        try:
            reply = await self._ecs.call(question, api.DiscoverPollEndpointReply)
        except (http.HttpProblem, ecs.ApiProblem) as problem:
            raise OSError(f"DiscoverPollEndpoint: {problem}") from problem
        self._endpoints = (now, reply)
        return reply

    def _forget(self) -> None:
        self._endpoints = None

    async def _acs_target(self) -> sockets.Target:
        endpoints = await self._discover()
        url = ecs.websocket_url(
            endpoints.endpoint,
            {
                "clusterArn": self.settings.cluster,
                "containerInstanceArn": self.container_instance_arn,
                "agentHash": "roadstead",
                "agentVersion": self.version,
                "seqNum": "1",
                "protocolVersion": str(timers.PROTOCOL_VERSION),
                "dockerVersion": f"DockerVersion: {self._facts.runtime_version}",
                "sendCredentials": "true" if self._send_credentials else "false",
            },
        )
        return sockets.Target(url, self._signer.sign_get(url))

    def _acs_connected(self) -> None:
        self._send_credentials = False
        self._worker.online()

    def _acs_received(self, message: frames.Message) -> None:
        if isinstance(message, messages.CloseMessage | messages.ErrorMessage):
            log.warning("ACS: %s: %s", type(message).__name__, message.message)
        if isinstance(message, messages.ServerMessage):
            self.tell(events.MessageReceived(message=message))

    # TCS

    async def _tcs_target(self) -> sockets.Target:
        endpoints = await self._discover()
        url = self._tcs_url(endpoints.telemetry_endpoint)
        return sockets.Target(url, self._signer.sign_get(url))

    def _tcs_url(self, endpoint: str) -> str:
        return ecs.websocket_url(
            endpoint,
            {
                "cluster": self.settings.cluster,
                "containerInstance": self.container_instance_arn,
                "agentVersion": self.version,
                "agentHash": "roadstead",
                "dockerVersion": self._facts.runtime_version,
            },
        )

    def _tcs_received(self, message: frames.Message) -> None:
        if isinstance(message, messages.ErrorMessage):
            log.warning("TCS: %s", message.message)

    def _send_signed(self, message: telemetry.AgentMessage) -> None:
        """Every message of the agent on TCS is signed on its own."""
        if self._endpoints is None:
            return
        url = self._tcs_url(self._endpoints[1].telemetry_endpoint)
        headers = self._signer.sign_get(url, frames.serialize(message).encode())
        named = {
            "Authorization": headers["authorization"],
            "Host": headers["host"],
            "X-Amz-Date": headers["x-amz-date"],
        }
        self._tcs.send(frames.serialize_signed(named, message))

    async def _sample(self) -> None:
        """Read the cgroups of all that runs, every 5 s."""
        while True:
            await asyncio.sleep(self.settings.metrics_sample_seconds)
            running = [each.container_id for _, states in self._engine.running() for each in states]
            try:
                self._sampler.add(await self._runtime.usage(running))
            except Exception:  # a reading less is no reason to stop
                log.exception("usage could not be read")

    async def _publish(self) -> None:
        """Send metrics and health, every 20 s; what can't be sent goes with the next."""
        while True:
            await asyncio.sleep(self.settings.metrics_publish_seconds)
            if not self._tcs.is_open:
                continue
            cluster, instance, now = self.settings.cluster, self.container_instance_arn, self._clock.now()
            running = self._engine.running()
            metrics = self._sampler.publish(running)
            for request in stats.metrics_requests(metrics, cluster, instance, not running, now, self._ids):
                self._send_signed(request)
            for health in stats.health_requests(self._engine.health(), cluster, instance, now, self._ids):
                self._send_signed(health)

    # The runtime

    async def _watch_exits(self) -> None:
        async for each in self._runtime.exits():
            self.tell(events.Exited(container_id=each.container_id, exit=each))
        raise errors.HostProblem(
            "The runtime no longer tells which containers end", "its watch ended", "Start the agent again."
        )


def _not_registered(why: str) -> errors.HostProblem:
    return errors.HostProblem(
        "This instance could not be registered",
        why.rstrip("."),
        "See that the cluster exists and the keys are right. If the control plane was set up anew, "
        "the agent's data directory belongs to the old one: give the agent a fresh one.",
    )
