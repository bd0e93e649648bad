"""What a task does with its share of the traffic: an M/M/c queue with room for so many that wait.

A balancer spreads requests evenly over the running tasks. A task works on `concurrency` requests at once, each takes
`concurrency / requests_per_second` on average; up to `queue` more wait, the others are dropped. Each slot of time is
taken as long enough to be steady: queues of tasks fill and empty within seconds. Then only the load matters: traffic
over what the running tasks serve at most. Everything is a table over it, worked out when it is first needed.
"""

from __future__ import annotations

import math

import msgspec

from roadstead.lab import scenario
from roadstead.sim import traffic

LOAD_STEPS = 1000
"""The table has a row for each thousandth of load, beyond `LOAD_MAX` the last one."""
LOAD_MAX = 20.0
PERCENTILE = 0.99


class State(msgspec.Struct, frozen=True):
    """One load. Utilization as part of what running tasks can serve (over 1: more came than they can), latency of the
    requests that were served, and the part that was dropped."""

    utilization: float
    latency_p99_seconds: float
    dropped: float
    served: float
    """Requests that a task serves, in parts of its most."""


class Model:
    """See the module."""

    def __init__(self, service: scenario.Service) -> None:
        self.service = service
        self._table: dict[int, State] = {}
        self._none = State(math.inf, math.inf, 1.0, 0.0)

    def state(self, requests_per_second: float, tasks: int) -> State:
        """What so many running tasks make of traffic."""
        if tasks <= 0:
            return self._none if requests_per_second > 0.0 else self._at(0)
        load = requests_per_second / (tasks * self.service.requests_per_second)
        return self._at(round(min(load, LOAD_MAX) * LOAD_STEPS))

    def capacity(self, tasks: int) -> float:
        """Requests a second that so many tasks serve at most."""
        return tasks * self.service.requests_per_second

    def _at(self, step: int) -> State:
        found = self._table.get(step)
        if found is None:
            found = self._table[step] = solve(
                step / LOAD_STEPS, self.service.concurrency, self.service.queue, self.service.requests_per_second
            )
        return found


def solve(load: float, concurrency: int, queue: int, requests_per_second: float) -> State:
    """The steady state of M/M/c/c+queue at a load (offered over possible).

    Latency's 99th percentile: the mean time of service, and the wait behind as many as the 99th percentile of
    accepted requests finds waiting.
    """
    offered = load * concurrency
    weights = [1.0]
    for busy in range(1, concurrency + queue + 1):
        weights.append(weights[-1] * offered / min(busy, concurrency))
        if weights[-1] > 1e200:  # keeps within a float; what is so small beside it is nothing
            weights = [weight * 1e-200 for weight in weights]
    total = math.fsum(weights)
    dropped = weights[-1] / total
    accepted = total - weights[-1]
    found = 0
    seen = weights[0]
    while accepted > 0.0 and seen < PERCENTILE * accepted and found < len(weights) - 2:
        found += 1
        seen += weights[found]
    service_seconds = concurrency / requests_per_second
    waits = max(0, found - concurrency + 1) / requests_per_second
    return State(
        utilization=load,
        latency_p99_seconds=service_seconds + waits,
        dropped=dropped if load > 0.0 else 0.0,
        served=min(load * (1.0 - dropped), 1.0) if load > 0.0 else 0.0,
    )


class QueueWork(traffic.Work, frozen=True, kw_only=True):
    """`sim`'s price of a request, by the queue: what is dropped burns nothing, and idling may burn a little."""

    model: Model
    idle_cores: float = 0.0

    def cpu_cores(self, requests_per_second: float, tasks: int) -> float:
        """The cores that each of so many tasks burns."""
        if tasks == 0:
            return 0.0
        served = self.model.state(requests_per_second, tasks).served * self.requests_per_second_max
        return self.idle_cores + served * self.cpu_seconds_per_request


def work_of(service: scenario.Service, model: Model) -> QueueWork:
    """A scenario's service for `sim`."""
    return QueueWork(
        cpu_seconds_per_request=service.cpu_seconds_per_request,
        requests_per_second_max=service.requests_per_second,
        memory_mib=service.memory_used_mib,
        model=model,
        idle_cores=service.cpu_percent_idle / 100.0 * service.cpu_units / 1024.0,
    )
