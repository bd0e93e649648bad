"""Tasks on container instances that are gone: a deregistered instance's tasks are STOPPED (behaviour.md 5.10).

Key: the instance's id. An agent that is only disconnected changes nothing: its containers may run on.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from roadstead.control import controller, observation
from roadstead.model import container_instances, tables, tasks
from roadstead.state import plan, store
from roadstead.state import view as views

STOPS_MAX = 200
"""Tasks concluded in one pass; the next pass comes by its own writes."""
REASON = "Container instance deregistration forced by user"


def reconcile(view: views.View, key: str, now: float) -> plan.Plan:
    """Conclude the live tasks of an instance that is INACTIVE, or no longer there."""
    instance = view.get(container_instances.ContainerInstance, key)
    if instance is not None and instance.status != "INACTIVE":
        return plan.NOTHING
    draft = plan.Draft(view)
    for task in itertools.islice(view.find(tables.TASKS, "live_by_instance", key), STOPS_MAX):
        draft.put(observation.conclude_stopped(task, "UserInitiated", REASON, now))
    return draft.plan()


def keys(change: store.Change, view: views.View) -> Iterable[str]:
    """Instances that leave, and any instance that has left but still gets tasks (RunTask in the same moment)."""
    one = change.newest
    if isinstance(one, container_instances.ContainerInstance):
        return (one.instance_id,) if change.after is None or one.status == "INACTIVE" else ()
    if isinstance(one, tasks.Task) and change.after is not None and one.is_live:
        instance_id = one.desired.container_instance
        if instance_id is not None and _is_gone(view, instance_id):
            return (instance_id,)
    return ()


def _is_gone(view: views.View, instance_id: str) -> bool:
    instance = view.get(container_instances.ContainerInstance, instance_id)
    return instance is None or instance.status == "INACTIVE"


def all_keys(view: views.View) -> Iterator[str]:
    """Every INACTIVE instance that still has live tasks."""
    for cluster in view.find(tables.CLUSTERS, "all", "all"):
        for one in view.find(tables.CONTAINER_INSTANCES, "by_cluster", cluster.name, "INACTIVE"):
            if view.size(tables.TASKS, "live_by_instance", one.instance_id):
                yield one.instance_id


CONTROLLER = controller.Controller(
    name="instances",
    reconcile=reconcile,
    keys=keys,
    all_keys=all_keys,
    tables=(tables.TASKS, tables.CONTAINER_INSTANCES),
)
