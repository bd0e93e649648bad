"""The stand-in for the network between hosts and control plane: websockets that keep order, and HTTP requests.

Messages take time; by the world's faults a connection breaks (both sides notice), a request or its answer is lost (its
sender notices after a time-out), or a host is cut off (nobody notices until patience ends).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from roadstead.sim import agenda as agendas
from roadstead.sim import chance as chances
from roadstead.sim import faults

LATENCY_SECONDS = 0.0005
"""The way of a message in a perfect world."""
REQUEST_TIMEOUT_SECONDS = 10.0
"""When the sender of an HTTP request gives up."""
CLOSE_ABNORMAL = 1006


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer; `code` is AWS's error code, empty where the call succeeded."""

    code: str
    body: bytes


class Link:
    """What lies between one host and the control plane."""

    def __init__(self) -> None:
        self.cut_until = 0.0


class End:
    """One side of a websocket: `receive(text)` and `closed(code, reason)` are set by who holds it."""

    __slots__ = ("_arrives_at", "closed", "other", "receive", "socket")

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.other: End = self
        self.receive: Callable[[str], None] | None = None
        self.closed: Callable[[int, str], None] | None = None
        self._arrives_at = 0.0

    @property
    def is_open(self) -> bool:
        return self.closed is not None

    def send(self, text: str) -> None:
        """Have the other side receive a message, if nothing happens to it."""
        if self.is_open:
            self._arrives_at = self.socket.network.carry(self, text, self._arrives_at)

    def close(self, code: int, reason: str) -> None:
        """Close this side: it hears nothing any more. The other side is told."""
        if self.is_open:
            self.receive = self.closed = None
            self.socket.network.tell_closed(self.other, code, reason)

    def drop(self) -> None:
        """This side's process is gone."""
        self.close(CLOSE_ABNORMAL, "the other side is gone")


class Socket:
    """A websocket between a host and the control plane."""

    def __init__(self, network: Network, link: Link) -> None:
        self.network = network
        self.link = link
        self.is_dead = False
        """A message was lost in a cut: nothing gets through any more, and nobody is told."""
        self.client = End(self)
        self.server = End(self)
        self.client.other, self.server.other = self.server, self.client

    def break_off(self) -> None:
        """The connection breaks; both sides notice."""
        for end in (self.client, self.server):
            self.network.tell_closed(end, CLOSE_ABNORMAL, "the connection broke")


class Network:
    """All ways there are. `faults` may be set anew at any time."""

    def __init__(self, agenda: agendas.Agenda, chance: chances.Chance) -> None:
        self.faults = faults.NONE
        self._agenda = agenda
        self._chance = chance

    def carry(self, sender: End, text: str, not_before: float) -> float:
        """Bring a message to the other side, behind those before it. Returns when it arrives."""
        socket = sender.socket
        now = self._agenda.now()
        if socket.is_dead or now < socket.link.cut_until:
            socket.is_dead = True
            return now
        if self._chance.happens(self.faults.break_chance):
            socket.break_off()
            return now
        arrives_at = max(not_before, now + self.delay())
        self._agenda.at(arrives_at, _arrive, sender.other, text)
        return arrives_at

    def tell_closed(self, end: End, code: int, reason: str) -> None:
        """Have one side notice that the connection is closed; not where the line is cut."""
        if end.is_open and not end.socket.is_dead and self._agenda.now() >= end.socket.link.cut_until:
            self._agenda.after(self.delay(), _notice, end, code, reason)
        else:
            end.socket.is_dead = True

    def delay(self) -> float:
        """How long one message takes."""
        return LATENCY_SECONDS + self._chance.between(0.0, self.faults.delay_seconds_max)

    def request(
        self,
        link: Link,
        handle: Callable[[Callable[[Answer | None], None]], None],
        answered: Callable[[Answer | None], None],
    ) -> None:
        """An HTTP request: `handle` is called at the control plane with what takes its answer; `answered` gets that,
        or None where the way there, the server, or the way back failed.
        """
        now = self._agenda.now()
        if now < link.cut_until or self._chance.happens(self.faults.request_loss_chance):
            self._agenda.after(REQUEST_TIMEOUT_SECONDS, answered, None)
            return

        def back(answer: Answer | None) -> None:
            if answer is not None and (
                self._agenda.now() < link.cut_until or self._chance.happens(self.faults.answer_loss_chance)
            ):
                self._agenda.at(now + REQUEST_TIMEOUT_SECONDS, answered, None)
            else:
                self._agenda.after(self.delay(), answered, answer)

        self._agenda.after(self.delay(), handle, back)


def _arrive(end: End, text: str) -> None:
    if end.receive is not None:
        end.receive(text)


def _notice(end: End, code: int, reason: str) -> None:
    closed = end.closed
    end.receive = end.closed = None
    if closed is not None:
        closed(code, reason)
