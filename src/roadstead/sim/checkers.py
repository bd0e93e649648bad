"""What must hold whatever goes wrong. A violation is an AssertionError: the seed replays it.

The records' own invariants are `model.invariants`; here stand those that need the hosts, or more than one moment:
no task's containers on two hosts, no task said to have exited that runs on (so crashes of agents and control plane
touch no container), nothing acknowledged lost over a crash, and in the end the hosts run exactly what the records say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from roadstead.agent import runtime
from roadstead.model import invariants, tables, tasks
from roadstead.sim import disk as disks
from roadstead.sim import hosts
from roadstead.state import store


class Checkers:
    """`look` gives a view of the control plane's records, `machines` the hosts there are."""

    def __init__(
        self, look: Callable[[], store.StoreView], machines: Callable[[], Sequence[hosts.Host]], disk: disks.Disk
    ) -> None:
        self._look = look
        self._machines = machines
        self._disk = disk
        self._running: dict[str, dict[str, str]] = {}
        """Host by container, for each task."""
        self._tasks: dict[str, str] = {}
        self._ended: set[str] = set()
        """Tasks of which a container has ended by itself, or with its host."""
        self._kept: dict[tuple[str, str], int] = {}

    # ------------------------------------------------------------------------------------------ commits

    def commit(self, commit: store.Commit) -> None:
        """After each commit."""
        invariants.check_commit(commit, self._look())
        for change in commit.changes:
            task = change.after
            if isinstance(task, tasks.Task) and task.observed.stop_code == "EssentialContainerExited":
                was = change.before.observed.stop_code if isinstance(change.before, tasks.Task) else None
                seen = task.task_id in self._ended
                assert was or seen, f"task {task.task_id} is said to have exited, and none of its containers has"

    def acknowledged(self, commit: store.Commit) -> None:
        """A client was told that its write is kept."""
        for change in commit.changes:
            self._kept[change.table, change.key] = change.revision if change.after is not None else 0

    def after_restart(self, acknowledged: int) -> None:
        """What somebody was told is kept is there; what a later commit removed, that commit is kept, too."""
        found = self._disk.newest_revision()
        assert found >= acknowledged, f"revision {acknowledged} was acknowledged, the disk has {found}"
        for (table, key), revision in self._kept.items():
            there = self._disk.revision_of(table, key)
            gone = self._disk.removed_at(table, key)
            assert max(there, gone) >= revision, f"{table} {key} was acknowledged at {revision}, the disk has {there}"

    # ------------------------------------------------------------------------------------------ hosts

    def started(self, host: str, container: runtime.ContainerSpec) -> None:
        """A container runs on a host."""
        places = self._running.setdefault(container.task_id, {})
        elsewhere = {place for place in places.values() if place != host}
        assert not elsewhere, f"task {container.task_id} starts on {host} and runs on {sorted(elsewhere)}"
        places[container.container_id] = host
        self._tasks[container.container_id] = container.task_id

    def exited(self, host: str, container_id: str) -> None:
        """A container of a host has ended."""
        task_id = self._tasks.pop(container_id, None)
        if task_id is not None:
            self._ended.add(task_id)
            places = self._running[task_id]
            places.pop(container_id, None)
            if not places:
                del self._running[task_id]

    def hosts_agree(self) -> None:
        """The hosts run exactly the tasks that the records say run there."""
        view = self._look()
        for host in self._machines():
            if host.is_lost:
                continue
            runs = {one.task_id for one in host.running()}
            said = {
                task.task_id
                for task in view.find(tables.TASKS, "live_by_instance", host.instance_id)
                if task.observed.last_status == "RUNNING"
            }
            assert runs == said, f"{host.name} runs {sorted(runs - said)} too much, {sorted(said - runs)} too little"

    def final(self) -> None:
        """In the end: the hosts agree, and so does a recount of everything."""
        self.hosts_agree()
        invariants.check_tallies(self._look())

    # ------------------------------------------------------------------------------------------ liveness

    def unsettled(self) -> list[str]:
        """What is not yet as it shall be."""
        view = self._look()
        found: list[str] = []
        for cluster in view.find(tables.CLUSTERS, "all", "all"):
            for service in view.find(tables.SERVICES, "by_cluster", cluster.name):
                if service.status == "INACTIVE":
                    continue
                running, pending, stopping = view.tally(tables.TASKS, "counts", "service", cluster.name, service.name)
                wanted = service.spec.desired_count
                if service.status == "DRAINING":
                    found.append(f"{service.name} is DRAINING")
                elif (running, pending, stopping) != (wanted, 0, 0):
                    found.append(f"{service.name} wants {wanted}: {running} run, {pending} pending, {stopping} stop")
                elif len(service.deployments) > 1 or service.primary.rollout_state == "IN_PROGRESS":
                    found.append(f"{service.name} is rolling out: {service.primary.rollout_state_reason}")
            found += _stopping(view, cluster.name)
        found += [f"{host.name} is down" for host in self._machines() if not host.is_up and not host.is_lost]
        return found


def _stopping(view: store.StoreView, cluster: str) -> list[str]:
    return [
        f"{task.task_id} is to stop and is {task.observed.last_status}"
        for task in view.find(tables.TASKS, "listing", cluster, "STOPPED")
        if isinstance(task, tasks.Task) and task.is_live
    ]
