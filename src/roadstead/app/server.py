"""The control plane: everything it is made of, put together in the order in which it starts."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.metadata
import logging
import os
import pathlib
import signal
from collections.abc import Callable
from typing import Any

import msgspec

from roadstead.api import registry
from roadstead.app import (
    controllers,
    custom_resources,
    endpoints,
    events,
    forecaster,
    keys,
    listener,
    resetting,
    settings,
)
from roadstead.base import clock as clocks
from roadstead.base import errors, memory
from roadstead.base import scope as scopes
from roadstead.engine import committer, live, stepper
from roadstead.gateway import agents, aws, http, identity, local
from roadstead.journals import lock, sqlite
from roadstead.state import journal, store
from roadstead.wire import services

logger = logging.getLogger(__name__)

EXPIRY_SECONDS = 10.0
"""How often metrics that have aged are merged and dropped."""
EXPIRY_PAUSE_SECONDS = 0.05
"""How soon it goes on where there is more to do."""
EXPIRY_BUDGET_STEPS = 20
"""Steps of that at a time: about 2 ms."""


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """`server.json`: how a running server is reached."""

    endpoint: str
    pid: int
    region: str
    account_id: str
    version: str
    auth: str
    ephemeral: bool


class Server:
    """One control plane in this process. `on_event` is told what a user would want to know."""

    def __init__(
        self,
        chosen: settings.Settings,
        *,
        clock: clocks.Clock | None = None,
        on_event: events.Listener = events.ignore,
    ) -> None:
        chosen.check()
        self.settings = chosen
        self.keys: keys.KeyPair | None = None
        self.endpoint = ""
        self.version = importlib.metadata.version("roadstead")
        self._clock = clock or clocks.SystemClock()
        self._tell = on_event
        self._on_reset: list[Callable[[], None]] = []
        self._clean = contextlib.AsyncExitStack()
        self.store = store.Store(
            scopes.Scope(account=chosen.account_id, region=chosen.region), lambda: int.from_bytes(os.urandom(16), "big")
        )

    def on_reset(self, call: Callable[[], None]) -> None:
        """Have `call` called after `POST /_roadstead/reset` has wiped everything."""
        self._on_reset.append(call)

    async def start(self) -> None:
        """Load what there is and serve. Raises errors.HostProblem, with nothing left behind, where that can't be."""
        try:
            await self._start()
        except BaseException:
            await self._clean.aclose()
            raise

    async def stop(self) -> None:
        """Answer what is in flight, write what waits, and let the next one in."""
        await self._clean.aclose()

    async def _start(self) -> None:
        chosen = self.settings
        secret_file = chosen.custom_resource_secret_file
        secret = custom_resources.read_secret(secret_file) if secret_file is not None else None
        kept = self.journal = self._open_journal()
        self.keys = keys.load_or_make(chosen.credentials_path)
        self._load(kept)
        self.committer = committer.Committer(self.store, kept, self._on_journal_failure)
        self._clean.push_async_callback(self._write_all)
        self.stepper = stepper.Stepper(self.store, controllers.all_controllers(), _report)
        self.store.watch(self.stepper.note)
        self.engine = live.LiveEngine(self.stepper, self._clock, self.committer)
        self._clean.callback(self.engine.stop)
        verifier = self._verifier(self.keys)
        self.agents = agents.AgentGateway(self.store, self.committer, self._clock, verifier)
        self.agents.start()
        bound = listener.bind(chosen.host, chosen.port)
        host = chosen.host if chosen.host not in ("0.0.0.0", "::") else "127.0.0.1"
        shown = f"[{host}]" if ":" in host else host
        self.endpoint = f"http://{shown}:{bound.getsockname()[1]}"
        self.front = self._front_door(verifier)
        listening = listener.Listener(self.front, bound)
        self._clean.push_async_callback(listening.stop)
        await listening.start()
        self._clean.push_async_callback(self.agents.stop)
        self.engine.start()
        self.custom_resources = custom_resources.CustomResources(self.store, self.committer, self._clock, secret)
        self.custom_resources.start()
        self._clean.push_async_callback(self.custom_resources.stop)
        self.forecaster = forecaster.Forecaster(self.store, self._clock)
        self._clean.push_async_callback(self.forecaster.stop)
        self.forecaster.start()
        self._expire()
        self._clean.callback(self._stop_expiry)
        self._announce(chosen.host)

    def _open_journal(self) -> journal.Journal:
        path = self.settings.journal_path
        if not self.settings.ephemeral:
            kept = sqlite.SqliteJournal(path)
            self._clean.callback(kept.close)
            return kept
        held = lock.DirectoryLock(path.with_name(path.name + ".lock"))
        self._clean.callback(held.release)
        return journal.MemoryJournal()

    def _load(self, kept: journal.Journal) -> None:
        now = self._clock.now()
        gc.disable()  # nothing of this is garbage, and looking for some takes as long as the loading
        try:
            self.store.load(kept.load(), kept.newest_revision())
            self.store.signals.load(kept.load_checkpoint())
            for datum in kept.load_data():
                self.store.signals.put(datum, now)
        finally:
            gc.enable()

    async def _write_all(self) -> None:
        await self.committer.close(list(self.store.signals.dump()))

    def _verifier(self, pair: keys.KeyPair) -> identity.Verifier:
        chosen = self.settings
        secrets_by_id = {pair.access_key_id: pair.secret_access_key}
        return identity.Verifier(
            secrets_by_id.get if chosen.auth == "sigv4" else None,
            region=chosen.region,
            on_loopback=chosen.is_on_loopback,
        )

    def _front_door(self, verifier: identity.Verifier) -> http.FrontDoor:
        chosen = self.settings
        known = services.Services()
        apis = aws.AwsApis(
            known,
            registry.all_operations(chosen.scale_in_datapoints),
            self.store,
            self.committer,
            self._clock,
            verifier,
        )
        own = local.LocalApis(
            endpoints.reads(chosen, self.version, self.committer, self.agents.board),
            endpoints.actions(chosen, self._reset),
            self.store,
            self._clock,
            verifier,
        )
        return http.FrontDoor(apis, own, self.agents.mounts, self.version)

    def _announce(self, host: str) -> None:
        chosen = self.settings
        running = Running(
            endpoint=self.endpoint,
            pid=os.getpid(),
            region=chosen.region,
            account_id=chosen.account_id,
            version=self.version,
            auth=chosen.auth,
            ephemeral=chosen.ephemeral,
        )
        _replace(chosen.server_path, msgspec.json.format(msgspec.json.encode(running)) + b"\n")
        self._clean.callback(chosen.server_path.unlink, missing_ok=True)
        text = f"Roadstead {self.version} serves {self.endpoint}, data in {chosen.data_dir}"
        facts = {"endpoint": self.endpoint, "dataDir": str(chosen.data_dir), "region": chosen.region}
        self._tell(events.Event(kind="serving", text=text, facts=facts))
        if chosen.auth == "off" and not chosen.is_on_loopback:
            logger.warning("signatures are off and %s is not loopback: whoever reaches it controls this machine", host)

    async def _reset(self) -> dict[str, Any]:
        now = self._clock.now()
        resetting.reset(self.store, now)
        self.agents.close_all()
        self.stepper.start(now)
        self.custom_resources.begin_again()
        for call in self._on_reset:
            call()
        return {"status": "ok"}

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        is_due = self.store.signals.expire(self._clock.now(), EXPIRY_BUDGET_STEPS)
        self._expiry = loop.call_later(EXPIRY_PAUSE_SECONDS if is_due else EXPIRY_SECONDS, self._expire)

    def _stop_expiry(self) -> None:
        self._expiry.cancel()

    def _on_journal_failure(self, problem: errors.HostProblem) -> None:
        self.engine.stop()
        logger.critical("%s; from now on every write is refused", problem)
        self._tell(events.Event(kind="problem", text=str(problem)))


def _report(problem: stepper.Problem) -> None:
    logger.error("controller %s, key %s: %s\n%s", problem.controller, problem.key, problem.what, problem.detail)


def _replace(path: pathlib.Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)


async def run(chosen: settings.Settings, on_event: events.Listener = events.ignore) -> None:
    """Serve until SIGTERM or SIGINT. Raises errors.HostProblem where the server can't start."""
    ends = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ends.set)
    one = Server(chosen, on_event=on_event)
    await one.start()
    memory.settle()
    await ends.wait()
    await one.stop()
