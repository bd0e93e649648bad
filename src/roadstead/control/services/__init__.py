"""The services' controller: keeps each service's desired number of tasks, and rolls its deployments (behaviour.md 5).

Key: the service's (`<cluster>/<name>`). Modules: `census` (who is there), `stopping` (which tasks are to stop),
`starting` (new tasks), `scheduler` (one pass: the order of it all). Rollouts' arithmetic is in `control.deployments`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from roadstead.control import controller
from roadstead.control.services import scheduler
from roadstead.model import container_instances, services, tables, tasks
from roadstead.state import plan, store
from roadstead.state import view as views

WAITERS_WOKEN_MAX = 20
"""Services that wait for room and are looked at when some may have come free, the longest waiting first;
the others look by themselves after `scheduler.PLACEMENT_RETRY_SECONDS`."""


def reconcile(view: views.View, key: str, now: float) -> plan.Plan:
    """What to do about one service now."""
    service = view.get(services.Service, key)
    if service is None or service.status == "INACTIVE":
        return plan.NOTHING
    return scheduler.Pass(view, service, now).run()


def keys(change: store.Change, view: views.View) -> Iterable[str]:
    """A service is concerned by its record, its tasks, their instances, and room in its cluster while it waits."""
    one = change.newest
    if isinstance(one, services.Service):
        return (one.key,)
    if isinstance(one, tasks.Task):
        return _keys_of_task(change, one, view)
    if isinstance(one, container_instances.ContainerInstance):
        return _keys_of_instance(change, one, view)
    return ()


def _keys_of_task(change: store.Change, task: tasks.Task, view: views.View) -> Iterator[str]:
    if task.spec.service is not None and change.after is not None:
        yield services.service_key(task.cluster, task.spec.service)
    was_live = isinstance(change.before, tasks.Task) and change.before.is_live
    if was_live and (change.after is None or not task.is_live):
        yield from _waiting(task.cluster, view)


def _keys_of_instance(
    change: store.Change, instance: container_instances.ContainerInstance, view: views.View
) -> Iterator[str]:
    before = change.before
    if isinstance(before, container_instances.ContainerInstance) and (
        change.after is None or before.status != instance.status
    ):
        owners = {
            (task.cluster, task.spec.service)
            for task in view.find(tables.TASKS, "live_by_instance", instance.instance_id)
        }
        for cluster, name in sorted((cluster, name) for cluster, name in owners if name is not None):
            yield services.service_key(cluster, name)
    if not isinstance(before, container_instances.ContainerInstance) or _for_placement(before) != _for_placement(
        instance
    ):
        yield from _waiting(instance.cluster, view)


def _for_placement(one: container_instances.ContainerInstance) -> tuple[object, ...]:
    """What of an instance decides whether tasks fit on it."""
    return (one.status, one.session.connected, one.capacity, one.attributes, one.subnet)


def _waiting(cluster: str, view: views.View) -> Iterator[str]:
    found = view.find(tables.SERVICES, "waiting_for_room", cluster)
    return (one.key for one in itertools.islice(found, WAITERS_WOKEN_MAX))


def all_keys(view: views.View) -> Iterator[str]:
    """Every service that is not INACTIVE."""
    for cluster in view.find(tables.CLUSTERS, "all", "all"):
        for status in ("ACTIVE", "DRAINING"):
            for one in view.find(tables.SERVICES, "by_cluster", cluster.name, status):
                yield one.key


CONTROLLER = controller.Controller(
    name="services",
    reconcile=reconcile,
    keys=keys,
    all_keys=all_keys,
    tables=(tables.SERVICES, tables.TASKS, tables.CONTAINER_INSTANCES),
)
