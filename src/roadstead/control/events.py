"""Service events: the lines that a service's scheduler says to people (behaviour.md 5.8). Counts first, words last.

A `Teller` belongs to one decision about one service. It numbers the events and keeps the newest hundred.
"""

from __future__ import annotations

from collections.abc import Sequence

from roadstead.control import placement
from roadstead.model import services, tables
from roadstead.state import plan

BLOCKED = "SERVICE_DEPLOYMENT_BLOCKED"
DEPLOYMENT_COMPLETED = "SERVICE_DEPLOYMENT_COMPLETED"
DEPLOYMENT_FAILED = "SERVICE_DEPLOYMENT_FAILED"
DEPLOYMENT_ROLLBACK = "SERVICE_DEPLOYMENT_IN_PROGRESS"
PLACEMENT_FAILURE = "SERVICE_TASK_PLACEMENT_FAILURE"
START_IMPAIRED = "SERVICE_TASK_START_IMPAIRED"
STEADY_STATE = "SERVICE_STEADY_STATE"
TASKS_STARTED = "TASKS_STARTED"
TASKS_STOPPED = "TASKS_STOPPED"
TASKS_UNHEALTHY = "TASKS_UNHEALTHY"
"""Codes are EventBridge's detail names (behaviour.md 5.8) where AWS has one; BLOCKED, TASKS_STARTED and TASKS_UNHEALTHY
are ours."""

_NO_ROOM = "was unable to place a task because no container instance met all of its requirements."
_CLOSEST = {
    placement.RESOURCE_CPU: "has insufficient CPU units available.",
    placement.RESOURCE_MEMORY: "has insufficient memory available.",
    placement.RESOURCE_PORTS: "is already using a port required by your task.",
    placement.RESOURCE_ENI: "has no IP address available for your task.",
    placement.ATTRIBUTE: "is missing an attribute required by your task.",
    placement.AGENT: 'encountered error "AGENT".',
    placement.MEMBER_OF: 'encountered error "MemberOf placement constraint unsatisfied."',
    placement.DISTINCT_INSTANCE: 'encountered error "DistinctInstance placement constraint unsatisfied."',
    placement.DRAINING: 'encountered error "DRAINING".',
}


class Teller:
    """Adds a service's events to a draft."""

    def __init__(self, draft: plan.Draft, service: services.Service, now: float) -> None:
        self._draft = draft
        self._service = service
        self._now = now
        self.next_number = service.progress.next_event_number

    def say(self, text: str, code: str | None = None, counts: dict[str, int] | None = None) -> None:
        """Add an event; the oldest beyond those that are kept goes."""
        one = self._service
        if self.next_number == 0:
            self._forget_all()  # of a deleted service that had this name before
        made = services.ServiceEvent(
            cluster=one.cluster,
            service=one.name,
            number=self.next_number,
            event_id=self._draft.view.ids.uuid(),
            created_at=self._now,
            message=f"(service {one.name}) {text}",
            code=code,
            counts=counts or {},
        )
        self._draft.put(made)
        self.next_number += 1
        if made.number >= services.EVENTS_KEPT_MAX:
            self._forget(made.number - services.EVENTS_KEPT_MAX)

    def _forget(self, number: int) -> None:
        key = f"{self._service.cluster}/{self._service.name}/{number:010d}"
        found = self._draft.view.get(services.ServiceEvent, key)
        if found is not None:
            self._draft.remove(found)

    def _forget_all(self) -> None:
        for found in self._draft.view.find(
            tables.SERVICE_EVENTS, "by_service", self._service.cluster, self._service.name
        ):
            self._draft.remove(found)


def started(task_ids: Sequence[str]) -> str:
    """`has started 2 tasks: (task …) (task …).`"""
    return f"has started {len(task_ids)} tasks: {_named(task_ids)}."


def stopped(task_ids: Sequence[str]) -> str:
    """`has stopped 1 running tasks: (task …).`"""
    return f"has stopped {len(task_ids)} running tasks: {_named(task_ids)}."


def unhealthy(task_ids: Sequence[str]) -> str:
    """`(task …) failed container health checks.`"""
    return f"{_named(task_ids)} failed container health checks."


def no_room(refused: placement.Refused) -> str:
    """Why no instance could take a task, by the one that came closest."""
    if refused.closest is None:
        return f"{_NO_ROOM} Reason: No Container Instances were found in your cluster."
    closest = f"The closest matching (container-instance {refused.closest.instance_id})"
    return f"{_NO_ROOM} {closest} {_CLOSEST[refused.closest.reason]}"


STEADY = "has reached a steady state."
IMPAIRED = "is unable to consistently start tasks successfully."
STUCK = (
    "was unable to stop or start tasks during a deployment because of the service deployment configuration. "
    "Update the minimumHealthyPercent or maximumPercent value and try again."
)
FAILED = "deployment failed: tasks failed to start."


def completed(deployment_id: str) -> str:
    return f"(deployment {deployment_id}) deployment completed."


def rolling_back(deployment_id: str) -> str:
    return f"rolling back to deployment {deployment_id}."


def _named(task_ids: Sequence[str]) -> str:
    return " ".join(f"(task {task_id})" for task_id in task_ids)
