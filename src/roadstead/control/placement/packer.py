"""The packer: places the tasks of one decision one after the other, each seeing what the ones before took.

packer = placement.Packer(view, cluster)
answer = packer.place(request)
if isinstance(answer, placement.Placed): draft.put(Task(desired=answer.desired(now), ...))
"""

from __future__ import annotations

from roadstead.control.placement import addresses, pickers, picture, requests, strategies
from roadstead.model import tasks
from roadstead.state import view as views

CLASSES_MAX = 1000
"""Classes of requests of one decision that are remembered; more only cost time."""


class Packer:
    """Belongs to one decision over one view, and changes nothing but its own picture."""

    def __init__(self, view: views.View, cluster: str) -> None:
        self._view = view
        self._scene = picture.Picture(view, cluster)
        self._classes: dict[requests.PlacementRequest, tuple[picture.Demand, pickers.Picker, str]] = {}
        self._refused: dict[requests.PlacementRequest, requests.Refused] = {}

    def place(self, request: requests.PlacementRequest) -> requests.Placed | requests.Refused:
        """Choose an instance for a task, and take what it needs there."""
        refused = self._refused.get(request)
        if refused is not None:
            return refused  # instances only fill up within a decision
        found = self._classes.get(request)
        if found is None:
            found = self._begin(request)
        demand, picker, words = found
        node = picker.pick()
        if node is None:
            refused = self._refuse(demand)
            self._refused[request] = refused
            return refused
        reason = tasks.PlacementReason(candidates=picker.looked_at, fitting=picker.fitted, decided_by=words)
        return self._take(node, demand, reason)

    def place_on(self, instance_id: str, request: requests.PlacementRequest) -> requests.Placed | requests.Refused:
        """Put a task on the instance that was asked for (StartTask), if it fits there.

        An instance that isn't in the cluster gives `Refused` with nothing considered.
        """
        node = self._scene.node_by_id(instance_id)
        if node is None:
            return requests.Refused(considered=0, counts={}, closest=None, refusals=())
        demand = picture.Demand(request)
        reason = demand.refusal(node, self._scene)
        if reason is not None:
            refusal = requests.Refusal(instance_id=instance_id, reason=reason)
            return requests.Refused(considered=1, counts={reason: 1}, closest=refusal, refusals=(refusal,))
        return self._take(node, demand, tasks.PlacementReason(candidates=1, fitting=1, decided_by="asked for"))

    def forget(self, task: tasks.Task) -> None:
        """This decision asked the task to stop: it no longer counts for spreading and distinctInstance, but holds its
        resources until it is STOPPED. To be said before the first `place` of its group.
        """
        instance_id, zone = task.desired.container_instance, task.desired.availability_zone
        if instance_id is not None:
            self._scene.forget(task.spec.group, instance_id, zone or "")

    def _begin(self, request: requests.PlacementRequest) -> tuple[picture.Demand, pickers.Picker, str]:
        if len(self._classes) >= CLASSES_MAX:
            self._classes.clear()
        demand = picture.Demand(request)
        words = ", ".join(str(one) for one in strategies.filters(request.strategy))
        found = self._classes[request] = (demand, pickers.picker_for(demand, self._scene), words)
        return found

    def _take(self, node: picture.Node, demand: picture.Demand, reason: tasks.PlacementReason) -> requests.Placed:
        request = demand.request
        interface = self._interface(node) if demand.needs_address else None
        self._scene.add(request.group, node, request.resources, interface.ipv4_address if interface else None)
        for _, picker, _ in self._classes.values():
            picker.placed(node, request.group)
        return requests.Placed(
            instance_id=node.instance_id,
            availability_zone=node.instance.availability_zone,
            reason=reason,
            network_interface=interface,
        )

    def _interface(self, node: picture.Node) -> tasks.NetworkInterface:
        pool = addresses.subnet(node.instance.subnet or "")
        assert pool is not None, "an instance without a subnet doesn't fit an awsvpc task"
        ids = self._view.ids
        address = addresses.free_address(self._view, node.instance_id, pool, node.addresses, ids)
        assert address is not None, "an instance without a free address doesn't fit an awsvpc task"
        return addresses.interface(address, pool, ids)

    def _refuse(self, demand: picture.Demand) -> requests.Refused:
        """Ask every instance why not."""
        refusals = []
        closest: tuple[tuple[int, int, str], requests.Refusal] | None = None
        counts: dict[str, int] = {}
        for instance in self._scene.everyone():
            node = self._scene.node(instance)
            reason = demand.refusal(node, self._scene)
            assert reason is not None, "an instance fits that no picker found"
            refusal = requests.Refusal(instance_id=instance.instance_id, reason=reason)
            refusals.append(refusal)
            counts[reason] = counts.get(reason, 0) + 1
            left = node.memory_mib if reason == requests.RESOURCE_MEMORY else node.cpu_units
            rank = (requests.HOW_CLOSE[reason], left, instance.instance_id)
            if closest is None or rank > closest[0]:
                closest = (rank, refusal)
        return requests.Refused(
            considered=len(refusals),
            counts=counts,
            closest=closest[1] if closest else None,
            refusals=tuple(refusals),
        )
