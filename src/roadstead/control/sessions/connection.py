"""What a session writes into its container instance: that its agent is there, and the numbers it may use.

`AgentSession.timeline` is a ceiling: a session takes a block of numbers when it begins, so that every manifest and
payload that an instance ever gets has a larger number than those before, without a write for each. The numbers follow
the clock as well: an agent discards a manifest whose number it has passed, and so would never hear from a control plane
whose records were set back to an older copy.
"""

from __future__ import annotations

import msgspec

from roadstead.model import container_instances, tables
from roadstead.state import plan
from roadstead.state import view as views

TIMELINE_BLOCK = 1_000_000
"""Messages with a number that one session may send; then it closes, and the agent's next one gets a new block."""
NUMBERS_PER_SECOND = 1_000_000
"""How fast the first number of a session grows with the clock: faster than sessions, even one a second, use numbers up.
Until the year 2255 a number is one that every reader of JSON keeps whole (2 to the 53rd)."""


def begin(view: views.View, instance_id: str, now: float) -> tuple[plan.Plan, int]:
    """Mark the instance's agent as connected. Also gives the first number of the session's block."""
    draft = plan.Draft(view)
    instance = view.get(container_instances.ContainerInstance, instance_id)
    if instance is None:
        return plan.NOTHING, 1
    first = max(instance.session.timeline, int(now * NUMBERS_PER_SECOND)) + 1
    changed_at = instance.session.changed_at if instance.session.connected else now
    session = container_instances.AgentSession(
        connected=True, changed_at=changed_at, timeline=first - 1 + TIMELINE_BLOCK
    )
    draft.put(_with_session(instance, session))
    return draft.plan(), first


def end(view: views.View, instance_id: str, now: float) -> plan.Plan:
    """Mark the instance's agent as gone. Not for a session that a newer one of the same instance has replaced."""
    instance = view.get(container_instances.ContainerInstance, instance_id)
    if instance is None or not instance.session.connected:
        return plan.NOTHING
    draft = plan.Draft(view)
    session = msgspec.structs.replace(instance.session, connected=False, changed_at=now)
    draft.put(_with_session(instance, session))
    return draft.plan()


def forget_all(view: views.View, now: float) -> plan.Plan:
    """Mark every agent as gone: what a control plane that starts knows, until they connect again."""
    draft = plan.Draft(view)
    for cluster in view.find(tables.CLUSTERS, "all", "all"):
        for instance in view.find(tables.CONTAINER_INSTANCES, "by_cluster", cluster.name):
            if instance.session.connected:
                session = msgspec.structs.replace(instance.session, connected=False, changed_at=now)
                draft.put(_with_session(instance, session))
    return draft.plan()


def _with_session(
    instance: container_instances.ContainerInstance, session: container_instances.AgentSession
) -> container_instances.ContainerInstance:
    return msgspec.structs.replace(instance, session=session, version=instance.version + 1)
