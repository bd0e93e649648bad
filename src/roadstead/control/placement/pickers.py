"""Ways to pick the best instance for one class of requests without looking at all of them each time.

A picker belongs to one decision. Within a decision instances only fill up, so an instance that once refused the class
is dropped for good; `placed` tells every picker of each task, whoever placed it. Three of them give what the
strategies' filters say (behaviour.md 5.11); `ScanPicker` says it plainly and is the oracle of the others' tests:

    SpreadPicker   the default and its parts: looks only at as many instances as it must
    HeapPicker     spreads over attributes, then binpack, random, or instances: one look at all, then heaps
    ScanPicker     any order of filters: looks at all, each time
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Protocol

from roadstead.control.placement import picture, strategies
from roadstead.model import container_instances, tables

TIES_LOOKED_AT_MAX = 4
"""Of that many equally good instances the emptiest is taken."""
PAGE_INSTANCES = 16
ONE_BY_ONE_MAX = 64
"""More instances than that go into a heap at once."""
RANDOM_BOUND = 1 << 30


class Picker(Protocol):
    looked_at: int
    """Instances asked whether they fit, in the newest `pick`."""
    fitted: int
    """How many of them did."""

    def pick(self) -> picture.Node | None:
        """The best instance that fits; None where none does."""
        ...

    def placed(self, node: picture.Node, group: str) -> None:
        """A task was placed on `node`, by this picker or another one."""
        ...


def picker_for(demand: picture.Demand, scene: picture.Picture) -> Picker:
    """The cheapest picker that does what the request's strategy says."""
    filters = strategies.filters(demand.request.strategy)
    if filters in (strategies.DEFAULT, strategies.DEFAULT[1:]):
        return SpreadPicker(demand, scene, by_zone=len(filters) == 2)
    leading = 0
    while leading < len(filters) and filters[leading].kind == "attribute":
        leading += 1
    if any(one.kind == "attribute" for one in filters[leading:]):
        return ScanPicker(demand, scene, filters)
    return HeapPicker(demand, scene, filters[:leading], filters[leading:])


class _Asking:
    """Asks instances, and counts."""

    def __init__(self, demand: picture.Demand, scene: picture.Picture) -> None:
        self.demand = demand
        self.scene = scene
        self.group = demand.request.group
        self.looked_at = 0
        self.fitted = 0

    def fits(self, node: picture.Node) -> bool:
        self.looked_at += 1
        if self.demand.refusal(node, self.scene) is not None:
            return False
        self.fitted += 1
        return True


# ---------------------------------------------------------------------------------------------- the default


class _Pool:
    """The instances of one zone (or all), the ones with the fewest tasks of the group first.

    An instance without any can't be beaten: as soon as one is found, no more are looked at.
    """

    def __init__(self, asking: _Asking, source: Iterator[container_instances.ContainerInstance]) -> None:
        self._asking = asking
        self._source: Iterator[container_instances.ContainerInstance] | None = source
        self._heap: list[tuple[int, int, str]] = []
        self._ticks = 0

    def push(self, count: int, instance_id: str) -> None:
        self._ticks += 1
        heapq.heappush(self._heap, (count, self._ticks, instance_id))

    def pick(self) -> picture.Node | None:
        held: list[tuple[tuple[int, int, str], picture.Node]] = []
        while len(held) < TIES_LOOKED_AT_MAX:
            entry = self._next(held[0][0][0] if held else None)
            if entry is None:
                break
            node = self._asking.scene.node_by_id(entry[2])
            if node is not None and self._asking.fits(node):
                held.append((entry, node))
        if not held:
            return None
        best = min(range(len(held)), key=lambda place: (held[place][1].load(), place))
        for place, (entry, _) in enumerate(held):
            if place != best:
                heapq.heappush(self._heap, entry)
        return held[best][1]

    def _next(self, level: int | None) -> tuple[int, int, str] | None:
        """The next instance with the fewest tasks; with a `level`, only one that has exactly so many."""
        while True:
            if self._source is not None and (not self._heap or self._heap[0][0] > 0):
                self._look_on()
            if not self._heap or (level is not None and self._heap[0][0] > level):
                return None
            entry = heapq.heappop(self._heap)
            if entry[0] == self._asking.scene.group_on(self._asking.group, entry[2]):
                return entry

    def _look_on(self) -> None:
        """Look at instances until one without tasks of the group is found."""
        assert self._source is not None
        count_on, group = self._asking.scene.group_on, self._asking.group
        found = []
        for instance in self._source:
            instance_id = instance.instance_id
            count = count_on(group, instance_id)
            self._ticks += 1
            found.append((count, self._ticks, instance_id))
            if count == 0:
                break
        else:
            self._source = None
        if len(found) > ONE_BY_ONE_MAX:
            self._heap += found
            heapq.heapify(self._heap)
        else:
            for entry in found:
                heapq.heappush(self._heap, entry)


class SpreadPicker(_Asking):
    """The zone with the fewest tasks of the group, in it the instance with the fewest."""

    def __init__(self, demand: picture.Demand, scene: picture.Picture, *, by_zone: bool) -> None:
        super().__init__(demand, scene)
        self._by_zone = by_zone
        names = list(zones(scene)) if by_zone else [""]
        self._pools = {name: _Pool(self, self._instances(name if by_zone else None)) for name in names}

    def pick(self) -> picture.Node | None:
        self.looked_at = self.fitted = 0
        names = list(self._pools)
        if len(names) > 1:
            names.sort(key=lambda name: self.scene.group_in(self.group, name))
        for name in names:
            node = self._pools[name].pick()
            if node is not None:
                return node
            del self._pools[name]
        return None

    def placed(self, node: picture.Node, group: str) -> None:
        if group != self.group:
            return
        pool = self._pools.get(node.instance.availability_zone if self._by_zone else "")
        if pool is not None:
            pool.push(self.scene.group_on(group, node.instance_id), node.instance_id)

    def _instances(self, zone: str | None) -> Iterator[container_instances.ContainerInstance]:
        """The instances of a zone (or all), once round, from anywhere."""
        view = self.scene.view
        middle: tables.Order = (zone or "", view.ids.hex(8))
        if zone is None:
            start = view.first(tables.CONTAINER_INSTANCES, "placeable", self.scene.cluster)
            middle = (start.availability_zone, view.ids.hex(8)) if start is not None else middle
        for after, before in ((middle, None), ((zone or "",), middle)):
            while True:
                place = None
                found = view.page(tables.CONTAINER_INSTANCES, "placeable", (self.scene.cluster,), after, PAGE_INSTANCES)
                for place, instance in found:
                    if (zone is not None and place[0] != zone) or (before is not None and place > before):
                        place = None
                        break
                    yield instance
                if place is None:
                    break
                after = place


def zones(scene: picture.Picture) -> Iterator[str]:
    """The zones that have instances which accept tasks: one step in the index for each."""
    after: tables.Order | None = None
    while True:
        found = next(iter(scene.view.page(tables.CONTAINER_INSTANCES, "placeable", (scene.cluster,), after, 1)), None)
        if found is None:
            return
        zone = found[1].availability_zone
        yield zone
        after = (zone, "\U0010ffff")


# ---------------------------------------------------------------------------------------------- heaps

_Path = tuple[str | None, ...]
_Entry = tuple[tuple[int, ...], int, int, str]
"""Key, tick, tasks placed when it was written, instance id."""


class HeapPicker(_Asking):
    """Spreads over attributes, then a choice among the instances of the value that was found."""

    def __init__(
        self,
        demand: picture.Demand,
        scene: picture.Picture,
        spreads: tuple[strategies.Filter, ...],
        rest: tuple[strategies.Filter, ...],
    ) -> None:
        super().__init__(demand, scene)
        self._spreads = spreads
        self._rest = rest
        self._by_chance = bool(rest) and rest[0].kind == "random"
        self._counts: dict[_Path, int] = {}
        self._children: dict[_Path, set[str | None]] = {}
        self._leaves: dict[_Path, list[_Entry]] = {}
        self._ticks = 0
        for instance in scene.everyone() if spreads else scene.candidates():
            self._add(instance)

    def _add(self, instance: container_instances.ContainerInstance) -> None:
        path = tuple(one.value(instance) for one in self._spreads)
        if path:
            self._count(path, self.scene.group_on(self.group, instance.instance_id))
        if instance.accepts_tasks:
            for depth in range(len(path)):
                self._children.setdefault(path[:depth], set()).add(path[depth])
            self._push(path, instance, self.scene.placed_on(instance.instance_id))

    def _count(self, path: _Path, amount: int) -> None:
        for depth in range(1, len(path) + 1):
            self._counts[path[:depth]] = self._counts.get(path[:depth], 0) + amount

    def _push(self, path: _Path, instance: container_instances.ContainerInstance, placed: int) -> None:
        self._ticks += 1
        key = () if self._by_chance else tuple(self._key(one, instance) for one in self._rest)
        entry = (key, self._ticks, placed, instance.instance_id)
        leaf = self._leaves.setdefault(path, [])
        if self._by_chance:
            leaf.append(entry)
        else:
            heapq.heappush(leaf, entry)

    def _key(self, one: strategies.Filter, instance: container_instances.ContainerInstance) -> int:
        match one.kind:
            case "binpack":
                return self.scene.left(instance)[0 if one.field == "cpu" else 1]
            case "instance":
                return self.scene.group_on(self.group, instance.instance_id)
            case _:
                return self.scene.view.ids.below(RANDOM_BOUND)

    def pick(self) -> picture.Node | None:
        self.looked_at = self.fitted = 0
        return self._pick_below(())

    def _pick_below(self, path: _Path) -> picture.Node | None:
        if len(path) == len(self._spreads):
            leaf = self._leaves.get(path, [])
            return self._pick_by_chance(leaf) if self._by_chance else self._pick_best(leaf)
        children = self._children.get(path, set())
        while children:
            best = min(children, key=lambda value: (self._counts.get((*path, value), 0), value or ""))
            node = self._pick_below((*path, best))
            if node is not None:
                return node
            children.remove(best)
        return None

    def _pick_best(self, leaf: list[_Entry]) -> picture.Node | None:
        while leaf:
            _, _, placed, instance_id = heapq.heappop(leaf)
            node = self.scene.node_by_id(instance_id)
            # an entry written before the newest placement there is out of date; a newer one stands in the heap
            if node is not None and node.placed == placed and self.fits(node):
                return node
        return None

    def _pick_by_chance(self, leaf: list[_Entry]) -> picture.Node | None:
        while leaf:
            place = self.scene.view.ids.below(len(leaf))
            node = self.scene.node_by_id(leaf[place][3])
            if node is not None and self.fits(node):
                return node
            leaf[place] = leaf[-1]
            leaf.pop()
        return None

    def placed(self, node: picture.Node, group: str) -> None:
        path = tuple(one.value(node.instance) for one in self._spreads)
        if path and group == self.group:
            self._count(path, 1)
        if not self._by_chance and path in self._leaves:
            self._push(path, node.instance, node.placed)


# ---------------------------------------------------------------------------------------------- plainly


class ScanPicker(_Asking):
    """The filters one after the other over all instances that fit."""

    def __init__(self, demand: picture.Demand, scene: picture.Picture, filters: tuple[strategies.Filter, ...]) -> None:
        super().__init__(demand, scene)
        self._filters = filters

    def pick(self) -> picture.Node | None:
        best = self.best()
        return best[0] if best else None

    def best(self) -> list[picture.Node]:
        """All instances that the filters leave."""
        self.looked_at = self.fitted = 0
        left = [node for one in self.scene.candidates() if self.fits(node := self.scene.node(one))]
        scope = list(self.scene.everyone())
        for one in self._filters:
            left, scope = self._keep(one, left, scope)
        return left

    def _keep(
        self, one: strategies.Filter, left: list[picture.Node], scope: list[container_instances.ContainerInstance]
    ) -> tuple[list[picture.Node], list[container_instances.ContainerInstance]]:
        if not left:
            return left, scope
        if one.kind == "random":
            return [left[self.scene.view.ids.below(len(left))]], scope
        if one.kind == "attribute":
            counts: dict[str | None, int] = {}
            for instance in scope:
                value = one.value(instance)
                counts[value] = counts.get(value, 0) + self.scene.group_on(self.group, instance.instance_id)
            fewest = min((counts[value], value or "", value) for value in {one.value(node.instance) for node in left})
            return (
                [node for node in left if one.value(node.instance) == fewest[2]],
                [instance for instance in scope if one.value(instance) == fewest[2]],
            )
        keys = [self._key(one, node) for node in left]
        return [node for node, key in zip(left, keys, strict=True) if key == min(keys)], scope

    def _key(self, one: strategies.Filter, node: picture.Node) -> int:
        if one.kind == "instance":
            return self.scene.group_on(self.group, node.instance_id)
        return node.cpu_units if one.field == "cpu" else node.memory_mib

    def placed(self, node: picture.Node, group: str) -> None:
        """Nothing is remembered."""
