"""What `POST /_roadstead/reset` leaves: no state of the user's, but the machines and the clusters that they are in.

An agent does not register again by itself, and a test that resets between its cases wants its instance at hand.
The agents connect anew; the manifest they are then given has no tasks, so they end what still runs.
"""

from __future__ import annotations

import msgspec

from roadstead.model import clusters, container_instances, record, tables
from roadstead.state import plan, store


def machines(view: store.StoreView, now: float) -> tuple[record.Record, ...]:
    """The records to keep: instances, as if just registered, and bare clusters for them.

    Those without their agent, too: it may just be coming back from the reset before.
    """
    kept: list[record.Record] = []
    for cluster in view.find(tables.CLUSTERS, "all", "all"):
        found = view.find(tables.CONTAINER_INSTANCES, "by_cluster", cluster.name)
        present = [_anew(one, now) for one in found if one.status != "INACTIVE"]
        if present:
            kept.append(clusters.Cluster(name=cluster.name, created_at=now))
            kept += present
    return tuple(kept)


def _anew(one: container_instances.ContainerInstance, now: float) -> container_instances.ContainerInstance:
    session = msgspec.structs.replace(one.session, connected=False, changed_at=now)
    return msgspec.structs.replace(one, status="ACTIVE", session=session, draining_since=None, tags=())


def reset(subject: store.Store, now: float) -> None:
    """Wipe the store but for those."""
    kept = machines(subject.view(), now)
    subject.clear()

    def decide(view: store.StoreView) -> tuple[plan.Plan, None]:
        draft = plan.Draft(view)
        for one in kept:
            draft.put(one)
        return draft.plan(), None

    subject.transact(decide, now)
