"""What managed scaling of a capacity provider decides, from numbers alone (behaviour.md 3.4-3.6).

Two halves, as on AWS, which meet in a metric. `measure` is ECS's: each minute it packs the tasks that wait for room
onto imaginary instances and says how many instances there should be over how many there are, in percent:
CapacityProviderReservation. `rule` is the Auto Scaling group's: its target tracking policy has two alarms on that
metric, and when one asks, `rule` says which desired capacity follows. Which instances a group may end (3.7: those
without tasks) is not decided here. No records are read or written.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from roadstead.control import service_scaling_formula

HIGH_ALARM_PERIODS = 1
"""Data points, a minute each, above the target before scale-out begins (behaviour.md 3.5)."""
LOW_ALARM_PERIODS = 15
"""The same below the target, before scale-in begins."""
RESERVATION_WITHOUT_INSTANCES = 200.0
"""The metric where there is no instance and one is needed: no ratio says it (behaviour.md 3.4)."""
RESERVATION_OF_NOTHING = 100.0
"""The metric where there is no instance and none is needed."""
INSTANCES_FROM_ZERO = 2
"""The first scale-out of a group without instances, whatever is needed (behaviour.md 3.4)."""
SCALE_IN_PERCENT_MAX = 50
"""Of the group, that one minute of scale-in takes away at most; but one instance always may go (behaviour.md 3.6)."""
PROVISIONING_TASKS_MAX = 500
"""Tasks of a cluster that may wait for room at a time; the caller counts no more (behaviour.md 3.3)."""
UNBOUNDED = 2**31

Reason = Literal["Warming", "AlreadyAtMaxCapacity", "AlreadyAtMinCapacity", "AlreadyAtDesiredCapacity"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`managedScaling` of a capacity provider, with AWS's defaults (behaviour.md 3.1)."""

    target_capacity: int = 100
    """Percent, 1 to 100: how many of the instances there are should be needed."""
    minimum_scaling_step_size: int = 1
    maximum_scaling_step_size: int = 10_000
    instance_warmup_period_seconds: float = 300.0


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What one task takes of its instance; tasks of the same need are packed together."""

    cpu_units: int = 0
    memory_mib: int = 0
    interfaces: int = 0
    """Network interfaces: 1 for a task in mode awsvpc."""
    gpus: int = 0
    is_alone: bool = False
    """No two such tasks on one instance: a fixed host port, or the constraint distinctInstance."""


class InstanceSize(msgspec.Struct, frozen=True, kw_only=True):
    """What an empty instance has for tasks."""

    cpu_units: int
    memory_mib: int
    interfaces: int = UNBOUNDED
    """Beside its own."""
    gpus: int = 0


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """So many tasks of one need that wait for room. Free room is no matter here: a task that fits on an instance that
    is there doesn't wait (behaviour.md 3.4)."""

    need: Need
    count: int


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A data point of CapacityProviderReservation, and what it was made of."""

    reservation: float
    """Percent."""
    instances: int
    """N."""
    wanted: int
    """M."""
    dropped: int = 0
    """Tasks that wait and fit on no instance of the group: they cause no scale-out."""


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """All that a ruling of the group depends on."""

    asks: Literal["out", "in"]
    """Which of the two alarms has its action due."""
    reservation: float
    """The newest data point of its evaluation, percent."""
    instances: int
    """N, as the data point was made with."""
    desired: int
    """The group's desired capacity; `minimum` and `maximum` are its bounds."""
    minimum: int
    maximum: int
    is_warming: bool = False


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """The desired capacity that follows, how it was computed, and the reason where it stays."""

    desired: int
    formula: str
    """`ceil(10 × 140 / 100) = 14`."""
    reason: Reason | None = None


# ---------------------------------------------------------------------------------------------- ECS: the metric


def tasks_on_one(need: Need, size: InstanceSize) -> int:
    """How many tasks of one need an empty instance takes; 0 where not even one fits."""
    resources = (
        (need.cpu_units, size.cpu_units),
        (need.memory_mib, size.memory_mib),
        (need.interfaces, size.interfaces),
        (need.gpus, size.gpus),
    )
    most = min((has // takes for takes, has in resources if takes > 0), default=UNBOUNDED)
    return min(most, 1) if need.is_alone else most


def instances_for(need: Need, count: int, size: InstanceSize) -> int:
    """How many empty instances so many tasks of one need fill. At least one must fit (`tasks_on_one`)."""
    return -(-count // tasks_on_one(need, size))


def largest(sizes: Iterable[InstanceSize]) -> InstanceSize:
    """The most that any instance type of the group has, resource by resource: onto that tasks are packed."""
    given = tuple(sizes)
    return InstanceSize(**{name: max(getattr(one, name) for one in given) for name in InstanceSize.__struct_fields__})


def smallest(sizes: Iterable[InstanceSize]) -> InstanceSize:
    """The least, resource by resource: what doesn't fit there causes no scale-out."""
    given = tuple(sizes)
    return InstanceSize(**{name: min(getattr(one, name) for one in given) for name in InstanceSize.__struct_fields__})


def measure(
    waiting: Iterable[Group], instances: int, empty: int, sizes: Iterable[InstanceSize], settings: Settings
) -> Measured:
    """The data point of one minute (behaviour.md 3.4).

    `instances` (N) are the group's that are not on their way out, booting ones among them; `empty` those that have
    joined the cluster and run no task but daemons'. `sizes` are the group's instance types, one or more. Groups that
    wait don't add up: the one that needs most instances counts, within the step sizes.
    """
    groups = [one for one in waiting if one.count > 0]
    if not groups:
        wanted = instances - empty
        return Measured(reservation=_percent(wanted, instances), instances=instances, wanted=wanted)
    given = tuple(sizes)
    least, most = smallest(given), largest(given)
    fitting = [one for one in groups if tasks_on_one(one.need, least) > 0]
    dropped = sum(one.count for one in groups) - sum(one.count for one in fitting)
    if not fitting:
        held = float(settings.target_capacity)
        return Measured(reservation=held, instances=instances, wanted=instances, dropped=dropped)
    needed = max(instances_for(one.need, one.count, most) for one in fitting)
    step = max(needed, settings.minimum_scaling_step_size)
    wanted = instances + min(step, settings.maximum_scaling_step_size)
    return Measured(reservation=_percent(wanted, instances), instances=instances, wanted=wanted, dropped=dropped)


def _percent(wanted: int, instances: int) -> float:
    if instances == 0:
        return RESERVATION_WITHOUT_INSTANCES if wanted > 0 else RESERVATION_OF_NOTHING
    return 100.0 * wanted / instances


# ---------------------------------------------------------------------------------------------- the group: its size


def is_warming(launched_at: Iterable[float], settings: Settings, now: float) -> bool:
    """Whether an instance was launched so lately that the group doesn't change its size (behaviour.md 3.6)."""
    return any(now - at < settings.instance_warmup_period_seconds for at in launched_at)


def rule(situation: Situation, settings: Settings) -> Ruling:
    """What the group's target tracking policy makes of an alarm that asks (behaviour.md 3.4, 3.6).

    Scaling out goes to all that is needed at once; scaling in takes at most half of the group a minute. The caller
    repeats it each minute for as long as the alarm lasts.
    """
    proposed, formula = _propose(situation, settings.target_capacity)
    desired = situation.desired
    if situation.is_warming:
        return Ruling(desired=desired, formula=formula, reason="Warming")
    if situation.asks == "out":
        to = min(proposed, situation.maximum)
        if to > desired:
            return Ruling(desired=to, formula=formula)
        at_bound: Reason | None = "AlreadyAtMaxCapacity" if desired >= situation.maximum else None
    else:
        to = max(proposed, desired - max(1, desired * SCALE_IN_PERCENT_MAX // 100), situation.minimum)
        if to < desired:
            return Ruling(desired=to, formula=formula)
        at_bound = "AlreadyAtMinCapacity" if desired <= situation.minimum else None
    return Ruling(desired=desired, formula=formula, reason=at_bound or "AlreadyAtDesiredCapacity")


def _propose(situation: Situation, target_capacity: int) -> tuple[int, str]:
    """The size that the metric asks for, before any bound."""
    instances, reservation = situation.instances, situation.reservation
    if instances > 0:
        return (
            service_scaling_formula.propose(instances, reservation, target_capacity),
            service_scaling_formula.formula_text(instances, reservation, target_capacity),
        )
    if reservation > RESERVATION_OF_NOTHING:
        return INSTANCES_FROM_ZERO, f"no instance runs and one is needed: {INSTANCES_FROM_ZERO}"
    return 0, "no instance runs and none is needed: 0"
