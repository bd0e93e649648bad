"""What happened, a line each: virtual time, then what. The same seed gives the same text, byte for byte.

Ids are replaced by names in order of appearance (`web#3` is the third task of the service web), so that a transcript
stays the same where only ids differ.
"""

from __future__ import annotations

import re

from roadstead.base import clock as clocks
from roadstead.model import alarms, container_instances, custom_resources, scaling, services, task_definitions, tasks
from roadstead.state import store

LINES_MAX = 1_000_000
_IDS = re.compile(
    r"ecs-svc/\d{19}|mi-[0-9a-f]{17}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}"
)


class Transcript:
    """Lines in the order in which they happened. With `is_on` false nothing is kept; kinds of records in `leave_out`
    (`Task`, `ContainerInstance`, …: names of their types) make no lines.
    """

    def __init__(self, clock: clocks.Clock, *, is_on: bool = True) -> None:
        self.lines: list[str] = []
        self.is_on = is_on
        self.leave_out: frozenset[str] = frozenset()
        self._clock = clock
        self._begin = clock.now()
        self._names: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def text(self) -> str:
        """All of it."""
        return "".join(f"{line}\n" for line in self.lines)

    def note(self, text: str) -> None:
        """A line."""
        if not self.is_on or len(self.lines) >= LINES_MAX:
            return
        passed = round((self._clock.now() - self._begin) * 1000)
        seconds, milliseconds = divmod(passed, 1000)
        minutes, second = divmod(seconds, 60)
        hours, minute = divmod(minutes, 60)
        day, hour = divmod(hours, 24)
        shown = _IDS.sub(lambda found: self._name(found.group()), text)
        self.lines.append(f"{day}d {hour:02}:{minute:02}:{second:02}.{milliseconds:03}  {shown}")

    def name(self, identifier: str, kind: str) -> str:
        """The name of an id; given now, as the next of its kind, where it has none."""
        found = self._names.get(identifier)
        if found is None:
            number = self._counts[kind] = self._counts.get(kind, 0) + 1
            found = self._names[identifier] = f"{kind}#{number}"
        return found

    def _name(self, identifier: str) -> str:
        return self.name(identifier, "deployment" if identifier.startswith("ecs-svc/") else "id")

    def commit(self, commit: store.Commit) -> None:
        """The lines of a commit: to be called for each."""
        if not self.is_on or not commit.changes:
            return
        cause = next(
            (
                change.after.cause
                for change in commit.changes
                if change.before is None and isinstance(change.after, scaling.ScalingActivity)
            ),
            "",
        )
        for change in commit.changes:
            if type(change.newest).__name__ in self.leave_out:
                continue
            match change.newest:
                case tasks.Task():
                    self._task(change)
                case services.Service():
                    self._service(change, cause)
                case services.ServiceEvent() as event:
                    if change.after is not None:
                        self.note(f"event: {event.message}")
                case container_instances.ContainerInstance():
                    self._instance(change)
                case alarms.MetricAlarm() | alarms.CompositeAlarm():
                    self._alarm(change)
                case scaling.ScalingActivity():
                    self._activity(change)
                case custom_resources.CustomResource() as resource:
                    if change.after is not None:
                        seen = resource.observed
                        self.note(
                            f"custom resource {resource.url}: {seen.actual_capacity} of {resource.desired_capacity}"
                        )
                case task_definitions.TaskDefinition() as definition:
                    if change.before is None:
                        self.note(f"task definition {definition.family}:{definition.revision} registered")
                case _:
                    pass

    def _task(self, change: store.Change) -> None:
        before, after = change.before, change.after
        assert before is None or isinstance(before, tasks.Task)
        if not isinstance(after, tasks.Task):
            return
        name = self.name(after.task_id, after.spec.service or after.family)
        if before is None:
            self.note(f"task {name} of {after.spec.task_definition}{self._where(after)}")
        elif before.desired.container_instance != after.desired.container_instance:
            self.note(f"task {name}{self._where(after)}")
        if before is not None and before.desired.status != after.desired.status and after.is_live:
            self.note(f"task {name} shall stop: {after.desired.stop_code}: {after.desired.stopped_reason}")
        if before is not None and before.observed.last_status != after.observed.last_status:
            reason = f": {after.stop_code}: {after.stopped_reason}" if after.observed.last_status == "STOPPED" else ""
            self.note(f"task {name} {after.observed.last_status}{reason}")

    def _where(self, task: tasks.Task) -> str:
        instance = task.desired.container_instance
        return f" on {self.name(instance, 'instance')}" if instance is not None else " waits for room"

    def _service(self, change: store.Change, cause: str) -> None:
        before, after = change.before, change.after
        if not isinstance(after, services.Service):
            self.note(f"service {change.key} forgotten")
            return
        name = after.name
        if not isinstance(before, services.Service):
            self.note(f"service {name} made: desired {after.spec.desired_count}")
            return
        if before.status != after.status:
            self.note(f"service {name} {before.status} -> {after.status}")
        if before.spec.desired_count != after.spec.desired_count:
            why = f": {cause}" if cause else ": asked for"
            self.note(f"service {name} desired {before.spec.desired_count} -> {after.spec.desired_count}{why}")
        known = {one.deployment_id: one for one in before.deployments}
        for one in after.deployments:
            older = known.get(one.deployment_id)
            if older is None:
                self.note(f"service {name} {one.deployment_id} of {one.task_definition} begins")
            elif older.rollout_state != one.rollout_state:
                self.note(f"service {name} {one.rollout_state}: {one.rollout_state_reason}")

    def _instance(self, change: store.Change) -> None:
        before, after = change.before, change.after
        name = self.name(change.key, "instance")
        if not isinstance(after, container_instances.ContainerInstance):
            self.note(f"{name} forgotten")
        elif not isinstance(before, container_instances.ContainerInstance):
            self.note(f"{name} registered: {after.capacity.cpu_units} units, {after.capacity.memory_mib} MiB")
        else:
            if before.status != after.status:
                self.note(f"{name} {before.status} -> {after.status}")
            if before.session.connected != after.session.connected:
                self.note(f"{name} {'connected' if after.session.connected else 'gone'}")

    def _alarm(self, change: store.Change) -> None:
        before, after = change.before, change.after
        if not isinstance(after, alarms.MetricAlarm | alarms.CompositeAlarm):
            self.note(f"alarm {change.key} deleted")
        elif not isinstance(before, alarms.MetricAlarm | alarms.CompositeAlarm):
            spec = after.spec
            rule = f"{spec.comparison_operator} {spec.threshold:g}" if isinstance(spec, alarms.AlarmSpec) else spec.rule
            self.note(f"alarm {after.name} made: {rule}")
        elif before.observed.state != after.observed.state:
            states = f"{before.observed.state} -> {after.observed.state}"
            self.note(f"alarm {after.name} {states}: {after.observed.reason}")

    def _activity(self, change: store.Change) -> None:
        before, after = change.before, change.after
        if not isinstance(after, scaling.ScalingActivity):
            return
        if before is None and after.not_scaled:
            reasons = ", ".join(one.code for one in after.not_scaled)
            self.note(f"not scaled: {reasons} ({after.cause})")
        elif before is None:
            formula = f" by {after.numbers.formula}" if after.numbers.formula else ""
            self.note(f"scaling {after.status}: {after.description}{formula}")
        elif isinstance(before, scaling.ScalingActivity) and before.status != after.status:
            self.note(f"scaling {before.status} -> {after.status}: {after.description}")
