"""Where a task runs: pure, and the one controller's part that `api` may use, too (RunTask answers at once).

    packer = placement.Packer(view, cluster)            once for each decision
    answer = packer.place(placement.PlacementRequest(   again and again: each task sees what the ones before took
        group=..., resources=placement.resources_of(definition, overrides), ...))
    match answer:
        case placement.Placed():  answer.desired(now)   the task's desired part: instance, reason, address
        case placement.Refused(): answer.counts         why not, counted; answer.refusals for RunTask's failures

Rules: behaviour.md 5.11. Modules: `requests` (words), `sizes`, `query` (the cluster query language), `picture` (what is
left of the instances, and whether a task fits), `strategies`, `pickers` (choosing fast), `packer`, `addresses`
(awsvpc), `termination` (which task to stop).
"""

from __future__ import annotations

from roadstead.control.placement import query
from roadstead.control.placement.packer import Packer
from roadstead.control.placement.picture import Node, required_constraints
from roadstead.control.placement.requests import (
    AGENT,
    ATTRIBUTE,
    DISTINCT_INSTANCE,
    DRAINING,
    INACTIVE,
    MEMBER_OF,
    RESOURCE_CPU,
    RESOURCE_ENI,
    RESOURCE_MEMORY,
    RESOURCE_PORTS,
    Placed,
    PlacementRequest,
    Refusal,
    Refused,
)
from roadstead.control.placement.sizes import resources_of
from roadstead.control.placement.strategies import check as check_strategy
from roadstead.control.placement.termination import choose_to_stop

__all__ = [
    "AGENT",
    "ATTRIBUTE",
    "DISTINCT_INSTANCE",
    "DRAINING",
    "INACTIVE",
    "MEMBER_OF",
    "RESOURCE_CPU",
    "RESOURCE_ENI",
    "RESOURCE_MEMORY",
    "RESOURCE_PORTS",
    "Node",
    "Packer",
    "Placed",
    "PlacementRequest",
    "Refusal",
    "Refused",
    "check_strategy",
    "choose_to_stop",
    "query",
    "required_constraints",
    "resources_of",
]
