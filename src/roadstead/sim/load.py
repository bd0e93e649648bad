"""From a service's traffic to what each of its tasks burns: a load balancer that spreads evenly over what runs."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from roadstead.agent import records
from roadstead.model import names, tables
from roadstead.sim import traffic
from roadstead.state import view as views

INTERVAL_SECONDS = 20.0
"""How often the load is worked out anew: once a sample."""


class ServiceLoad(msgspec.Struct, frozen=True, kw_only=True):
    """A service under traffic."""

    service: str
    requests: traffic.Traffic
    work: traffic.Work
    cluster: str = "default"


class Share(msgspec.Struct, frozen=True):
    """One container's part; `cpu_percent` of one core."""

    instance_id: str
    container_id: str
    cpu_percent: float


def shares(wanted: ServiceLoad, view: views.View, now: float) -> Iterator[Share]:
    """What the first container of each RUNNING task burns from now on."""
    running = [
        task
        for task in view.find(tables.TASKS, "live_by_service", wanted.cluster, wanted.service)
        if task.observed.last_status == "RUNNING" and task.desired.container_instance is not None
    ]
    cores = wanted.work.cpu_cores(traffic.rate(wanted.requests, now), len(running))
    for task in running:
        arn = names.arn_of_task(view.scope, task)
        container = records.container_id_of(arn, task.observed.containers[0].name)
        yield Share(task.desired.container_instance or "", container, 100.0 * cores)
