"""Which of a service's tasks are to stop now (behaviour.md 5.1.2, 5.2, 5.10). Pure: it only chooses."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from roadstead.control import deployments, placement
from roadstead.control.services import census as censuses
from roadstead.model import services, tasks
from roadstead.state import view as views

STOPS_MAX = 100
"""Tasks asked to stop in one pass; the next pass comes by its own writes."""


class Stops(msgspec.Struct):
    """What was chosen."""

    surplus: list[tasks.Task] = msgspec.field(default_factory=list)
    """Too many, or drained."""
    unhealthy: list[tasks.Task] = msgspec.field(default_factory=list)

    def __len__(self) -> int:
        return len(self.surplus) + len(self.unhealthy)

    def all(self) -> list[tasks.Task]:
        return self.surplus + self.unhealthy

    def within_bound(self) -> Stops:
        """The first `STOPS_MAX` of them."""
        surplus = self.surplus[:STOPS_MAX]
        return Stops(surplus, self.unhealthy[: STOPS_MAX - len(surplus)])


def choose(
    view: views.View, service: services.Service, census: censuses.Census, bounds: deployments.Bounds, keep_max: int
) -> Stops:
    """The tasks to stop; of the wanted ones at most `keep_max` good ones stay.

    Nothing is stopped that would leave fewer than `bounds.lower` tasks serving, but where fewer are wanted.
    """
    stops = Stops()
    stops.surplus += _not_needed(service, census, bounds)
    stops.surplus += _surplus(view, service, census, keep_max)
    chosen = {task.task_id for task in stops.surplus}
    healthy = len(census.healthy - chosen)
    _replaced(census, bounds, healthy, stops)
    _drained(view, service, census, bounds.lower, healthy, stops)
    if not stops and deployments.starting_deployment(service) is not None:
        stops.unhealthy += _one_to_make_room(census, bounds)
    return stops.within_bound()


def _not_needed(service: services.Service, census: censuses.Census, bounds: deployments.Bounds) -> Iterable[tasks.Task]:
    """Drained tasks that don't run yet stop at once, but those that stand in for lost ones of the source revision."""
    source = deployments.source_deployment(service)
    needed = bounds.desired - len(census.healthy) - len(census.drained.good)
    for task in census.drained.starting:
        stands_in = source is not None and task.spec.deployment_id == source.deployment_id
        if stands_in and needed > 0 and not census.is_leaving(task):
            needed -= 1
        else:
            yield task


def _surplus(
    view: views.View, service: services.Service, census: censuses.Census, keep_max: int
) -> Iterable[tasks.Task]:
    """Wanted tasks beyond what is desired: first those that don't run yet, then those not yet healthy."""
    wanted = census.wanted
    too_many = len(wanted.starting) + len(wanted.good) - keep_max
    if too_many <= 0:
        return []
    young = [task for task in wanted.good if task.task_id not in census.healthy]
    healthy = [task for task in wanted.good if task.task_id in census.healthy]
    chosen: list[tasks.Task] = []
    everyone = [*wanted.starting, *young, *healthy]
    for group in (wanted.starting, young, healthy):
        members = {task.task_id for task in group}
        gone = {task.task_id for task in chosen}
        others = [task for task in everyone if task.task_id not in members and task.task_id not in gone]
        if group and too_many > len(chosen):
            chosen += placement.choose_to_stop(
                view, group, too_many - len(chosen), service.spec.placement_strategy, others
            )
    return chosen


def _replaced(census: censuses.Census, bounds: deployments.Bounds, healthy: int, stops: Stops) -> None:
    """Unhealthy tasks for which healthy ones stand in; where replacements fail, too, the surplus of either."""
    unhealthy = census.wanted.unhealthy
    count = min(len(unhealthy), len(unhealthy) + healthy - bounds.desired)
    if count > 0:
        (stops.unhealthy if bounds.desired else stops.surplus).extend(unhealthy[:count])


def _drained(
    view: views.View,
    service: services.Service,
    census: censuses.Census,
    lower: int,
    healthy: int,
    stops: Stops,
) -> None:
    """Running tasks of older deployments and on draining instances: as many as the healthy ones make up for."""
    drained = census.drained
    serving = healthy + len(drained.good)
    if serving >= lower:
        stops.surplus += drained.unhealthy
    may_stop = min(serving - lower, len(drained.good))
    if may_stop > 0:
        stops.surplus += placement.choose_to_stop(
            view, drained.good, may_stop, service.spec.placement_strategy, census.wanted.good
        )


def _one_to_make_room(census: censuses.Census, bounds: deployments.Bounds) -> list[tasks.Task]:
    """Where maximumPercent leaves no room for a replacement: one unhealthy task at a time, within the minimum."""
    unhealthy = census.wanted.unhealthy + census.drained.unhealthy
    good = len(census.wanted.good)
    nothing_to_wait_for = not census.wanted.starting and len(census.healthy) == good and not census.stopping
    no_room = census.active >= bounds.upper
    if unhealthy and no_room and nothing_to_wait_for and good < bounds.desired and census.active - 1 >= bounds.lower:
        return unhealthy[:1]
    return []
