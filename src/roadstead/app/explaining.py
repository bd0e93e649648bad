"""`GET /_roadstead/explain?kind=task|service|target&cluster=…&id=…[&since=seconds]`: `api.explain` as JSON."""

from __future__ import annotations

import math

from roadstead.api.explain import reasons
from roadstead.api.explain import service as service_reasons
from roadstead.api.explain import target as target_reasons
from roadstead.api.explain import task as task_reasons
from roadstead.base import errors
from roadstead.gateway import local
from roadstead.model import scaling, scaling_names, services, tasks
from roadstead.state import view

SINCE_SECONDS_DEFAULT = 3_600.0


def explain(asked: local.Asked, look: view.View) -> reasons.Answer:
    """Raises Refusal where the question can't be understood or its subject isn't there."""
    if asked.query.get("kind") == "target":
        return _target(asked, look)
    kind, cluster = asked.query.get("kind", ""), asked.query.get("cluster", "default")
    name = asked.query.get("id", "").rsplit("/", 1)[-1]
    if kind == "task":
        task = look.get(tasks.Task, name)
        if task is None or task.cluster != cluster:
            raise errors.Refusal("NotFound", f"Cluster {cluster} has no task {name}.", status=404)
        return task_reasons.explain(look, task, asked.now)
    if kind == "service":
        service = look.get(services.Service, services.service_key(cluster, name))
        if service is None:
            raise errors.Refusal("NotFound", f"Cluster {cluster} has no service {name}.", status=404)
        return service_reasons.explain(look, service, asked.now, _since(asked.query.get("since")))
    raise errors.Refusal("InvalidParameter", f"kind is task, service or target, not {kind or 'absent'}.")


def _target(asked: local.Asked, look: view.View) -> reasons.Answer:
    resource_id = asked.query.get("id", "")
    namespace = scaling_names.namespace_of(resource_id)
    key = scaling.target_key(namespace, resource_id, scaling_names.DIMENSIONS[namespace])
    target = look.get(scaling.ScalableTarget, key)
    if target is None:
        raise errors.Refusal("NotFound", f"{resource_id} is not registered as a scalable target.", status=404)
    return target_reasons.explain(look, target, asked.now, _since(asked.query.get("since")))


def _since(text: str | None) -> float:
    try:
        seconds = float(text) if text is not None else SINCE_SECONDS_DEFAULT
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise errors.Refusal("InvalidParameter", f"since is a number of seconds above 0, not {text}.")
    return seconds
