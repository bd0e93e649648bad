"""Stand-ins for users' endpoints of custom resources, and for the shell that asks them.

The polling and what an answer comes to are the production code (`control.custom_resource_polling`,
`control.custom_resources`); only the requests are pretended. An `Endpoint` moves its capacity as real things do: after
a while, and it can be away, refuse, or fail.
"""

from __future__ import annotations

import functools

import msgspec

from roadstead.control import custom_resource_polling as polling
from roadstead.control import custom_resources as exchanges
from roadstead.sim import agenda as agendas
from roadstead.sim import chance as chances
from roadstead.sim import plane as planes
from roadstead.state import store

ROUND_TRIP_SECONDS = 0.05


class Endpoint:
    """One custom resource: `actual` becomes `desired` `change_seconds` after it was last set."""

    def __init__(self, agenda: agendas.Agenda, capacity: int, change_seconds: float) -> None:
        self.actual = capacity
        self.desired = capacity
        self.change_seconds = change_seconds
        self.is_away = False
        """Nothing answers there."""
        self.patch_status = 200
        """Anything else is answered to a PATCH instead, with `message`."""
        self.message = ""
        self.fails = False
        """It takes a capacity, and then says that it could not get there."""
        self.patches: list[int] = []
        """The capacities that it was told, in order."""
        self._agenda = agenda
        self._changed: agendas.Entry | None = None
        self._scaling_status = "Successful"

    def answer(self, exchange: exchanges.Exchange) -> exchanges.Outcome:
        """What a request comes to."""
        if self.is_away:
            return exchanges.Unanswered("connection refused")
        if exchange.wanted is not None:
            if self.patch_status != 200:
                return exchanges.Answered(self.patch_status, msgspec.json.encode({"message": self.message}))
            self.patches.append(exchange.wanted.capacity)
            self.set_desired(exchange.wanted.capacity)
        told = {
            "actualCapacity": float(self.actual),
            "desiredCapacity": float(self.desired),
            "scalingStatus": self._scaling_status,
            "scalableTargetDimensionId": "1",
            "version": "1",
        }
        if self._scaling_status == "Failed":
            told["failureReason"] = self.message
        return exchanges.Answered(200, msgspec.json.encode(told))

    def set_desired(self, capacity: int) -> None:
        """Begin to go to a capacity: as a PATCH does, or its owner by other ways."""
        self.desired = capacity
        if self.actual == capacity:
            return
        self._scaling_status = "InProgress"
        if self._changed is not None:
            self._changed.cancel()
        self._changed = self._agenda.after(self.change_seconds, self._arrive)

    def _arrive(self) -> None:
        self._scaling_status = "Failed" if self.fails else "Successful"
        if not self.fails:
            self.actual = self.desired


class Endpoints:
    """All endpoints of a world, by URL, and the stand-in for `app.custom_resources`. Other URLs answer nothing."""

    def __init__(self, agenda: agendas.Agenda, plane: planes.Plane, chance: chances.Chance) -> None:
        self.by_url: dict[str, Endpoint] = {}
        self._chance = chance
        self._agenda = agenda
        self._plane = plane
        self._polling = polling.Polling()
        self._tick: agendas.Entry | None = None

    def add(self, url: str, capacity: int, change_seconds: float) -> Endpoint:
        """Have an endpoint there."""
        made = self.by_url[url] = Endpoint(self._agenda, capacity, change_seconds)
        return made

    def begin(self) -> None:
        """The control plane has started: what it asked before is forgotten."""
        self._polling = polling.Polling()
        self._handle(polling.began(self._plane.store.view()))

    def note(self, commit: store.Commit) -> None:
        """A commit of the control plane."""
        for changed in polling.changes(commit):
            self._handle(changed)

    def _handle(self, event: polling.Event) -> None:
        for exchange in self._polling.handle(event, self._agenda.now()):
            send = functools.partial(self._send, exchange, self._plane.lives)
            if exchange.wanted is None:
                send()
            else:  # what an endpoint is told must not be forgotten
                self._plane.when_durable(self._plane.store.revision, send)
        if self._tick is not None:
            self._tick.cancel()
        next_at = self._polling.next_at
        self._tick = self._agenda.at(next_at, self._handle, polling.Tick()) if next_at is not None else None

    def _send(self, exchange: exchanges.Exchange, life: int) -> None:
        self._agenda.after(ROUND_TRIP_SECONDS, self._arrive, exchange, life)

    def _arrive(self, exchange: exchanges.Exchange, life: int) -> None:
        outcome = self._outcome(exchange)
        if not self._plane.is_up or life != self._plane.lives:
            return  # the endpoint heard it, and nobody hears the answer
        now = self._agenda.now()
        self._plane.store.transact(lambda view: (exchanges.note(view, exchange, outcome, now), None), now)
        self._handle(polling.Ended(exchange.url))

    def _outcome(self, exchange: exchanges.Exchange) -> exchanges.Outcome:
        """What a request comes to; it can get lost, and so can its answer."""
        faults = self._plane.faults
        endpoint = self.by_url.get(exchange.url)
        if endpoint is None:
            return exchanges.Unanswered("no such host")
        if self._chance.happens(faults.request_loss_chance):
            return exchanges.Unanswered("timed out")
        outcome = endpoint.answer(exchange)
        return exchanges.Unanswered("timed out") if self._chance.happens(faults.answer_loss_chance) else outcome
