"""Tasks that no agent will ever report about: asked to stop before they had an instance (behaviour.md 5.9, 5.12).

Key: the task's id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from roadstead.control import controller, observation
from roadstead.model import tables, tasks
from roadstead.state import plan, store
from roadstead.state import view as views

REASON = "Task stopped before it was placed"


def reconcile(view: views.View, key: str, now: float) -> plan.Plan:
    """Conclude a task that should stop and has no instance."""
    task = view.get(tasks.Task, key)
    if task is None or not _is_nobodys(task):
        return plan.NOTHING
    draft = plan.Draft(view)
    draft.put(observation.conclude_stopped(task, task.desired.stop_code or "UserInitiated", REASON, now))
    return draft.plan()


def _is_nobodys(task: tasks.Task) -> bool:
    return task.is_live and task.desired.status == "STOPPED" and task.desired.container_instance is None


def keys(change: store.Change, view: views.View) -> Iterable[str]:
    """Only tasks that should stop and have no instance."""
    one = change.after
    return (one.task_id,) if isinstance(one, tasks.Task) and _is_nobodys(one) else ()


def all_keys(view: views.View) -> Iterator[str]:
    """Every such task."""
    for cluster in view.find(tables.CLUSTERS, "all", "all"):
        for one in view.find(tables.TASKS, "stopping_unplaced", cluster.name):
            yield one.task_id


CONTROLLER = controller.Controller(
    name="tasks", reconcile=reconcile, keys=keys, all_keys=all_keys, tables=(tables.TASKS,)
)
