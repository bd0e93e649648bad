"""Asks the endpoints of custom resources, over HTTP: the shell of `control.custom_resource_polling`.

Each request has a thread of its own for its few milliseconds, at most `polling.EXCHANGES_AT_ONCE_MAX` at a time; no
thread, and no HTTP library, is there while nobody has a custom resource. No proxies, no redirects, TLS verified against
the host's trust store.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import logging
import pathlib
import ssl
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib import parse as urls

from roadstead.base import clock as clocks
from roadstead.base import errors
from roadstead.control import custom_resource_polling as polling
from roadstead.control import custom_resources as exchanges
from roadstead.engine import committer
from roadstead.state import store

if TYPE_CHECKING:
    import urllib3

logger = logging.getLogger(__name__)

CONNECT_SECONDS_MAX = 5.0
READ_SECONDS_MAX = 10.0
"""How long an endpoint may say nothing in the midst of an answer."""
EXCHANGE_SECONDS_MAX = 20.0
"""How long a request may take in all; one that takes longer is given up."""
ANSWER_BYTES_MAX = 64 * 1024
SECRET_BYTES_MAX = 4096


def read_secret(path: pathlib.Path) -> str:
    """The one line of a secret's file. Raises errors.HostProblem."""
    remedy = "Write the secret into it as one line of printable ASCII, or leave --custom-resource-secret-file out."
    try:
        with path.open("rb") as opened:
            text = opened.read(SECRET_BYTES_MAX + 1).strip()
    except OSError as problem:
        raise errors.HostProblem(f"{path} can't be read", str(problem), remedy) from problem
    if not text or len(text) > SECRET_BYTES_MAX or not text.isascii() or not text.decode("ascii").isprintable():
        raise errors.HostProblem(f"{path} holds no secret", "it is empty, too long, or has more than a line", remedy)
    return text.decode("ascii")


def may_carry_secret(url: str) -> bool:
    """Whether a secret can't be read on its way: over TLS, or within this machine."""
    parts = urls.urlsplit(url)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


class CustomResources:
    """Made and used on the event loop's thread. `secret` is sent as a bearer token where nobody can read along."""

    def __init__(
        self, subject: store.Store, durability: committer.Committer, clock: clocks.Clock, secret: str | None
    ) -> None:
        self._store = subject
        self._committer = durability
        self._clock = clock
        self._secret = secret
        self._polling = polling.Polling()
        self._tasks: set[asyncio.Task[None]] = set()
        self._tick: asyncio.TimerHandle | None = None
        self._runs = False
        self._pool: urllib3.PoolManager | None = None

    def start(self) -> None:
        """Ask every endpoint there is, and from then on as the polling says."""
        self._runs = True
        self._store.watch(self._note)
        self.begin_again()

    def begin_again(self) -> None:
        """The store was wiped: look at what there is now."""
        self._handle(polling.began(self._store.view()))

    async def stop(self) -> None:
        """Ask nothing any more; what is under way is given up."""
        self._runs = False
        if self._tick is not None:
            self._tick.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._pool is not None:
            self._pool.clear()

    def _note(self, commit: store.Commit) -> None:
        for changed in polling.changes(commit):
            self._handle(changed)

    def _handle(self, event: polling.Event) -> None:
        if not self._runs:
            return
        now = self._clock.now()
        loop = asyncio.get_running_loop()
        for exchange in self._polling.handle(event, now):
            task = loop.create_task(self._exchange(exchange))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._tick is not None:
            self._tick.cancel()
        next_at = self._polling.next_at
        self._tick = (
            loop.call_later(max(0.0, next_at - now), self._handle, polling.Tick()) if next_at is not None else None
        )

    async def _exchange(self, exchange: exchanges.Exchange) -> None:
        try:
            if exchange.wanted is not None:  # what an endpoint is told must not be forgotten
                await self._committer.durable(self._store.revision)
            outcome = await self._ask(exchange)
            now = self._clock.now()
            self._store.transact(lambda view: (exchanges.note(view, exchange, outcome, now), None), now)
        except errors.HostProblem as problem:
            logger.error("custom resources are not asked any more: %s", problem)
            self._runs = False
            return
        except Exception:  # a bug of ours: the others are asked on
            logger.exception("asking %s failed", exchange.url)
        self._handle(polling.Ended(exchange.url))

    async def _ask(self, exchange: exchanges.Exchange) -> exchanges.Outcome:
        if self._pool is None:
            self._pool = make_pool()
        try:
            async with asyncio.timeout(EXCHANGE_SECONDS_MAX):
                return await _in_thread(functools.partial(request, self._pool, exchange, self._secret))
        except TimeoutError:
            return exchanges.Unanswered(f"no answer within {EXCHANGE_SECONDS_MAX:.0f} s")


def make_pool() -> urllib3.PoolManager:
    """Connections to endpoints, kept open between requests."""
    import urllib3  # most servers never need it, and it takes 50 ms

    return urllib3.PoolManager(
        num_pools=polling.EXCHANGES_AT_ONCE_MAX, maxsize=1, ssl_context=ssl.create_default_context()
    )


def request(pool: urllib3.PoolManager, exchange: exchanges.Exchange, secret: str | None) -> exchanges.Outcome:
    """One request, as a thread may make it: it blocks."""
    import urllib3

    headers = {"accept": "application/json", "user-agent": "roadstead"}
    if secret is not None and may_carry_secret(exchange.url):
        headers["authorization"] = f"Bearer {secret}"
    body = None
    if exchange.wanted is not None:
        headers["content-type"] = "application/json"
        body = exchange.body
    try:
        answer = pool.request(
            "GET" if exchange.wanted is None else "PATCH",
            exchange.url,
            body=body,
            headers=headers,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS_MAX, read=READ_SECONDS_MAX),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        content = answer.read(ANSWER_BYTES_MAX + 1)
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as problem:
        return exchanges.Unanswered(_words(problem))
    if len(content) > ANSWER_BYTES_MAX:
        answer.close()
        return exchanges.Unanswered(f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
    answer.release_conn()
    return exchanges.Answered(answer.status, content)


def _words(problem: Exception) -> str:
    """What went wrong, without the library's names of its own objects."""
    said = str(problem.args[-1] if problem.args else problem)
    return said.rpartition(">: ")[2] or type(problem).__name__


async def _in_thread(call: Callable[[], exchanges.Outcome]) -> exchanges.Outcome:
    """Run `call` in a thread that dies with the process: one that waits for an endpoint must not hold up a stop."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[exchanges.Outcome] = loop.create_future()

    def tell(outcome: exchanges.Outcome | None, problem: BaseException | None) -> None:
        if done.done():
            return
        if outcome is not None:
            done.set_result(outcome)
        else:
            assert problem is not None
            done.set_exception(problem)

    def run() -> None:
        outcome, problem = None, None
        try:
            outcome = call()
        except BaseException as raised:
            problem = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, outcome, problem)

    threading.Thread(target=run, name="custom-resource", daemon=True).start()
    return await done
