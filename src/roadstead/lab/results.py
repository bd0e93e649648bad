"""What a simulation found: totals to compare by, series to look at, and every decision with its cause."""

from __future__ import annotations

import array
import math
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

ACTIVITIES_KEPT_MAX = 100_000
"""Of a run; more are counted, not kept."""
FLAP_SECONDS = 1800.0
"""A scale-in that a scale-out undoes within so long is a flap."""
UTILIZATION_MAX = 20.0
LATENCY_MAX_SECONDS = 86_400.0
NEARLY = 1e-9
"""Of a task: what rounding makes."""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """A run in numbers, the warm-up left out."""

    cost: float
    task_hours: float
    """From a task's placement until it is STOPPED."""
    minutes_out: float
    """Out of objective."""
    spare_percent: float
    """What the running tasks could have served over what came, less 100 %."""
    over_task_hours: float
    """Over-provisioning: of tasks that ran though what came was not too much for the others."""
    short_task_hours: float
    """Under-provisioning: of tasks that were missing, so that what came was too much for those that ran."""
    activities: int
    """Changes of the desired count; what was refused, or set bounds alone, doesn't count."""
    flaps: int
    """Scale-ins that a scale-out undid within 30 minutes."""
    peak: int
    """Most tasks running."""
    not_scaled: int
    dropped_percent: float
    """Of all requests."""
    utilization_percent: float
    """Mean, of what the running tasks could have served."""
    latency_p99_worst_seconds: float


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """A scaling, or an attempt that changed nothing (then `not_scaled` says why)."""

    at: float
    from_count: int | None
    to_count: int | None
    status: str
    policy: str | None
    cause: str
    """As AWS writes it."""
    formula: str | None
    """The numbers that it was made from: `ceil(4 × 78.1 / 60) = 6`."""
    metric_value: float | None
    target_value: float | None
    not_scaled: tuple[str, ...] = ()

    @property
    def is_change(self) -> bool:
        """Whether it changed the desired count: a scheduled action may set bounds alone."""
        return not self.not_scaled and self.from_count != self.to_count


class AlarmChange(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm's new state."""

    at: float
    alarm: str
    state: str


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm that a policy acts on; `asks` tells to which side it looks."""

    name: str
    metric: str
    """Its name; empty where it is an expression."""
    threshold: float
    asks: Literal["more", "less"]
    periods: int
    period_seconds: int


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The scalable target's, from a moment on."""

    at: float
    min: int
    max: int


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One value for each step; the first is that of `begin + step_seconds`, which tells of the step that ends there."""

    demand: Sequence[float]
    """Requests a second."""
    metric: Sequence[float]
    """The followed metric; NaN where there is no data point."""
    utilization: Sequence[float]
    """Percent of what the running tasks can serve."""
    latency: Sequence[float]
    """99th percentile, seconds."""
    dropped: Sequence[float]
    """Percent of requests."""
    desired: Sequence[int]
    running: Sequence[int]
    out: Sequence[int]
    """1 where out of objective."""


class FleetSeries(msgspec.Struct, frozen=True, kw_only=True):
    """As `Series`, of a fleet's instances."""

    wanted: Sequence[int]
    """The group's desired capacity."""
    running: Sequence[int]
    """Those that have booted."""
    waiting: Sequence[int]
    """Tasks for which no instance has room."""


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """What the instances of a run did."""

    instance_hours: float
    """From launch to end, booting included."""
    instance_cost: float
    task_cost: float
    """The two make `Totals.cost`."""
    minutes_waiting: float
    """In which a task waited for room."""
    task_minutes_waiting: float
    """The same, each task counted."""
    minutes_at_max: float
    """In which a task waited and the group was as large as it may be."""
    peak: int
    """Most instances running."""
    min: int
    """The group's bounds."""
    max: int
    activities: tuple[Activity, ...]
    """Changes of the group's desired capacity."""
    series: FleetSeries


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """What a run follows."""

    name: str
    unit: str
    """`%`, or empty."""
    target: float | None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One policy, set of policies, or fixed count, on the whole of the traffic."""

    name: str
    fixed: int | None
    is_within: bool
    """Whether it keeps the objective."""
    totals: Totals
    metric: Metric
    alarms: tuple[Alarm, ...]
    alarm_changes: tuple[AlarmChange, ...]
    bounds: tuple[Bounds, ...]
    activities: tuple[Activity, ...]
    series: Series
    min_capacity: int
    max_capacity: int
    given: dict[str, list[dict[str, Any]]]
    """Policies, ScheduledActions, Alarms, the target's Tags, as AWS takes them; empty for a fixed count."""
    fleet: Fleet | None = None
    """None where the scenario has none: there was always room."""
    notes: tuple[str, ...] = ()
    is_named: bool = True
    """Somebody asked for it by name; else a sweep or a search made it."""

    @property
    def is_whole(self) -> bool:
        """Whether series and activities are still there: `slim` drops those of runs that nobody will look at."""
        return len(self.series.running) > 0


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """All runs of one scenario. The same scenario, candidates, seed and version give the same, byte for byte."""

    scenario: str
    version: str
    seed: int
    begin: float
    step_seconds: float
    steps: int
    currency: str
    task_hour: float
    instance_hour: float | None
    """None without a fleet."""
    requests_per_second: float
    """What one task serves at most."""
    objective: str
    """In words."""
    minutes_allowed: float
    latency_limit_seconds: float | None
    """The objective's; None where latency is none."""
    dropped_limit_percent: float | None
    best: str | None
    """The cheapest run within the objective; None where none is."""
    front: tuple[str, ...]
    """The runs that no other beats in cost and in minutes out of objective, the cheapest first."""
    runs: tuple[Run, ...]
    assumptions: tuple[str, ...]
    stands_for: tuple[str, str] | None = None
    """Cluster and name of the service that the scenario was made from."""

    @property
    def seconds(self) -> float:
        """How long the simulated time is."""
        return self.steps * self.step_seconds

    @property
    def shown(self) -> tuple[Run, ...]:
        """The runs to look at: those that were named, then the rest of the front."""
        rest = {one.name: one for one in self.runs if not one.is_named}
        return (*(one for one in self.runs if one.is_named), *(rest[name] for name in self.front if name in rest))

    @property
    def demand(self) -> Sequence[float]:
        """Requests a second in each step: the same for all."""
        return self.shown[0].series.demand


def worth(one: Run) -> tuple[float, float]:
    """Cost in cents, and minutes out of objective: of both less is better."""
    return round(one.totals.cost, 2), one.totals.minutes_out


def cheapest(runs: Sequence[Run]) -> Run | None:
    """The cheapest within the objective; of equals the one with fewer minutes out, then the first. On the front."""
    return min((one for one in runs if one.is_within), key=worth, default=None)


def front(runs: Sequence[Run]) -> tuple[Run, ...]:
    """The Pareto front: runs that no other beats in cost and minutes out, the cheapest first; of equals the first."""
    found: list[Run] = []
    for one in sorted(runs, key=worth):
        if not found or one.totals.minutes_out < found[-1].totals.minutes_out:
            found.append(one)
    return tuple(found)


def slim(runs: Sequence[Run]) -> list[Run]:
    """The same runs; those that nobody named and that are not on the front keep their totals alone."""
    kept = {one.name for one in front(runs)}
    return [one if one.is_named or one.name in kept or not one.is_whole else _totals_alone(one) for one in runs]


def _totals_alone(one: Run) -> Run:
    nothing = Series(demand=(), metric=(), utilization=(), latency=(), dropped=(), desired=(), running=(), out=())
    return msgspec.structs.replace(
        one, series=nothing, alarms=(), alarm_changes=(), bounds=(), activities=(), fleet=_fleet_alone(one.fleet)
    )


def _fleet_alone(fleet: Fleet | None) -> Fleet | None:
    if fleet is None:
        return None
    nothing = FleetSeries(wanted=(), running=(), waiting=())
    return msgspec.structs.replace(fleet, series=nothing, activities=())


def over_and_short(
    demand: Sequence[float], running: Sequence[int], per_task: float, step_seconds: float
) -> tuple[float, float]:
    """Task hours more than needed, and those that were missing. A task is good for `per_task` requests a second."""
    over = short = 0
    for rate, count in zip(demand, running, strict=True):
        spare = count - math.ceil(rate / per_task - NEARLY)
        if spare > 0:
            over += spare
        else:
            short -= spare
    return over * step_seconds / 3600.0, short * step_seconds / 3600.0


def flaps(activities: Sequence[Activity]) -> int:
    """How many scale-ins were undone by a scale-out within half an hour."""
    found, last_in = 0, float("-inf")
    for one in activities:
        if one.from_count is None or one.to_count is None or one.from_count == one.to_count:
            continue
        if one.to_count < one.from_count:
            last_in = one.at
        elif one.at - last_in <= FLAP_SECONDS:
            found, last_in = found + 1, float("-inf")
    return found


def to_json(result: Result) -> bytes:
    """One line of JSON; NaN becomes null."""
    return msgspec.json.encode(result, enc_hook=_plain) + b"\n"


def _plain(value: object) -> object:
    if isinstance(value, array.array):
        return value.tolist()
    raise NotImplementedError(f"{type(value).__name__} has no JSON")
