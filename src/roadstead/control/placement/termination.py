"""Which task to stop when there are too many (behaviour.md 5.11, termination).

Default: in the zone with the most tasks of the service, on the instance with the most. `spread` keeps the balance,
`binpack` empties the instance that has the most left, `random` takes any.
"""

from __future__ import annotations

from collections.abc import Iterable

from roadstead.control.placement import strategies
from roadstead.model import container_instances, tables, task_definitions, tasks
from roadstead.state import view as views


class _Branch:
    """Tasks below one value of a filter: how many there are, and which of them may be stopped."""

    __slots__ = ("children", "count", "may_stop", "rank", "tasks")

    def __init__(self) -> None:
        self.children: dict[str | None, _Branch] = {}
        self.count = 0
        self.may_stop = 0
        self.rank = 0
        """Orders before the count: what an instance has left, or chance."""
        self.tasks: list[tasks.Task] = []


def choose_to_stop(
    view: views.View,
    candidates: Iterable[tasks.Task],
    count: int,
    strategy: tuple[task_definitions.PlacementStrategy, ...],
    among: Iterable[tasks.Task] = (),
) -> list[tasks.Task]:
    """Up to `count` of the candidates, in the order in which they are to be stopped.

    `among` are the service's other tasks, which stay but count for the balance. On an instance the newest goes first.
    """
    wanted = strategies.filters(strategy)
    if wanted[-1].kind != "instance":
        wanted = (*wanted, strategies.Filter("instance"))
    root = _Branch()
    for task in sorted(candidates, key=lambda one: (one.created_at, one.task_id)):
        _add(view, root, wanted, task, may_stop=True)
    for task in among:
        _add(view, root, wanted, task, may_stop=False)
    chosen: list[tasks.Task] = []
    while len(chosen) < count and root.may_stop:
        chosen.append(_take(root))
    return chosen


def _add(
    view: views.View, root: _Branch, wanted: tuple[strategies.Filter, ...], task: tasks.Task, *, may_stop: bool
) -> None:
    instance_id = task.desired.container_instance
    instance = view.get(container_instances.ContainerInstance, instance_id) if instance_id is not None else None
    branch = root
    for one in (None, *wanted):
        if one is not None:
            branch = branch.children.setdefault(_value(one, instance), _Branch())
            if branch.count == 0:
                branch.rank = _rank(view, one, instance)
        branch.count += 1
        branch.may_stop += may_stop
    if may_stop:
        branch.tasks.append(task)


def _value(one: strategies.Filter, instance: container_instances.ContainerInstance | None) -> str | None:
    if instance is None:
        return None
    return one.value(instance) if one.kind == "attribute" else instance.instance_id


def _rank(view: views.View, one: strategies.Filter, instance: container_instances.ContainerInstance | None) -> int:
    if one.kind == "random":
        return view.ids.below(1 << 30)
    if one.kind != "binpack" or instance is None:
        return 0
    cpu_used, memory_used, _ = view.tally(tables.TASKS, "usage", instance.instance_id)
    if one.field == "cpu":
        return instance.capacity.cpu_units - cpu_used
    return instance.capacity.memory_mib - memory_used


def _take(root: _Branch) -> tasks.Task:
    branch = root
    while True:
        branch.count -= 1
        branch.may_stop -= 1
        if not branch.children:
            return branch.tasks.pop()
        branch = max(
            (child for child in branch.children.values() if child.may_stop), key=lambda child: (child.rank, child.count)
        )
