"""The instances of a run: a stand-in for an Auto Scaling group behind a capacity provider (behaviour.md 3 and 4).

What decides is production code: `control.cluster_scaling_formula` measures CapacityProviderReservation each minute and
says which size follows, `control.alarms` evaluates the two alarms on it, `control.services` and `control.placement` try
again to place what waits. What is a stand-in, as in `sim`: that an instance launches, boots, joins by
RegisterContainerInstance, and ends by DeregisterContainerInstance, which refuses while it has tasks (3.7, managed
termination protection).
"""

from __future__ import annotations

import datetime

import msgspec

from roadstead.control import cluster_scaling_formula as formula
from roadstead.lab import policies, problems, results, scenario, timings
from roadstead.model import alarms, services, tables
from roadstead.signals import metrics
from roadstead.sim import chance as chances
from roadstead.sim import crowd as crowds
from roadstead.sim import world as worlds
from roadstead.state import plan, store
from roadstead.state import view as views

GROUP = "fleet"
PROVIDER = "fleet"
POLICY = "ECSManagedAutoScalingPolicy"
ZONES = tuple(f"us-east-1{letter}" for letter in "abcdef")
MINUTE_SECONDS = 60.0
PHASE_SECONDS = 30.0
"""Which of a minute's samples carries the metric; its alarms are evaluated as the minute ends."""
BILLED_SECONDS = 3600.0
"""Of instances to end, the one nearest to its next hour goes first (behaviour.md 4.4)."""
RESERVATION = metrics.metric(
    "AWS/ECS/ManagedScaling",
    "CapacityProviderReservation",
    [("CapacityProviderName", PROVIDER), ("ClusterName", policies.CLUSTER)],
)


class Instance(msgspec.Struct, eq=False):
    """One of the group's, from launch to end."""

    zone: str
    launched_at: float
    instance_id: str | None = None
    """Once it has joined the cluster."""


def size_of(fleet: scenario.Fleet) -> formula.InstanceSize:
    """What one instance has for tasks."""
    return formula.InstanceSize(cpu_units=fleet.cpu_units, memory_mib=fleet.memory_mib)


def need_of(service: scenario.Service) -> formula.Need:
    """What one task takes."""
    return formula.Need(cpu_units=service.cpu_units, memory_mib=service.memory_mib)


def tasks_on_one(service: scenario.Service, fleet: scenario.Fleet) -> int:
    """How many tasks fit on an instance; one at least, the scenario sees to it."""
    return formula.tasks_on_one(need_of(service), size_of(fleet))


def instances_for(subject: scenario.Scenario, fleet: scenario.Fleet, tasks: int) -> int:
    """How many instances so many tasks fill, `fleet.min` at least. Raises problems.Invalid beyond `fleet.max`."""
    needed = formula.instances_for(need_of(subject.service), tasks, size_of(fleet))
    if needed > fleet.max:
        room = fleet.max * tasks_on_one(subject.service, fleet)
        raise problems.Invalid(f"{tasks} tasks at the beginning: the fleet has room for {room} (fleet.max {fleet.max})")
    return max(needed, fleet.min)


class Fleet:
    """Made when its world is; `begin` launches the first instances, from then on it runs by itself."""

    def __init__(
        self, world: worlds.World, crowd: crowds.Crowd, subject: scenario.Scenario, wanted: scenario.Fleet, seed: int
    ) -> None:
        self._world = world
        self._crowd = crowd
        self.min = wanted.min
        self.max = wanted.max
        self._zones = ZONES[: wanted.zones]
        self._need = need_of(subject.service)
        self._size = size_of(wanted)
        self._settings = formula.Settings(
            target_capacity=wanted.target_capacity,
            minimum_scaling_step_size=wanted.minimum_scaling_step_size,
            maximum_scaling_step_size=wanted.maximum_scaling_step_size,
            instance_warmup_period_seconds=wanted.instance_warmup_period,
        )
        self._boot_seconds = timings.drawn(wanted.boot_time, chances.Chance(seed, "boots"))
        self._instances: list[Instance] = []
        """Launched and not ended, the oldest first."""
        self._measured: formula.Measured | None = None
        self._handled: dict[str, float | None] = {}
        """By alarm, when its actions ran last: each time is answered once."""
        self._activities: list[results.Activity] = []
        self._paid_seconds = 0.0
        self._paid_until = world.now
        self.desired = 0

    # ------------------------------------------------------------------------------------------ life

    def begin(self, count: int) -> None:
        """So many instances are there from the start; the alarms begin to look."""
        self.desired = count
        for _ in range(count):
            self._join(self._launched())
        self._world.plane.store.transact(self._make_alarms, self._world.now)
        self._world.plane.store.watch(self._note)
        self._world.also_publish(self._measure)

    def _make_alarms(self, view: views.View) -> tuple[plan.Plan, None]:
        """The pair that ECS gives the group's policy (behaviour.md 3.5)."""
        draft = plan.Draft(view)
        scope, policy_id = view.scope, view.ids.uuid()
        action = (
            f"arn:aws:autoscaling:{scope.region}:{scope.account}:scalingPolicy:{policy_id}:"
            f"autoScalingGroupName/{GROUP}:policyName/{POLICY}-{policy_id}"
        )
        now = self._world.now
        for side, comparison, periods in (
            ("High", "GreaterThanThreshold", formula.HIGH_ALARM_PERIODS),
            ("Low", "LessThanThreshold", formula.LOW_ALARM_PERIODS),
        ):
            name = f"TargetTracking-{GROUP}-Alarm{side}-{view.ids.uuid()}"
            self._handled[name] = None
            spec = alarms.AlarmSpec(
                namespace=RESERVATION.namespace,
                metric_name=RESERVATION.name,
                dimensions=RESERVATION.dimensions,
                statistic="Average",
                period_seconds=int(MINUTE_SECONDS),
                evaluation_periods=periods,
                threshold=float(self._settings.target_capacity),
                comparison_operator=comparison,
                treat_missing_data="missing",
                alarm_actions=(action,),
            )
            seen = alarms.AlarmObserved(state_updated_at=now, state_transitioned_at=now)
            draft.put(alarms.MetricAlarm(name=name, created_at=now, spec=spec, spec_updated_at=now, observed=seen))
        return draft.plan(), None

    def _measure(self, at: float) -> tuple[metrics.Datum, ...]:
        """ECS's part of each minute; what is found now holds until `at`."""
        if at % MINUTE_SECONDS != PHASE_SECONDS:
            return ()
        view = self._world.view()
        waiting = min(self.waiting(view), formula.PROVISIONING_TASKS_MAX)
        groups = (formula.Group(need=self._need, count=waiting),)
        empty = len(self._empty(view))
        found = formula.measure(groups, len(self._instances), empty, (self._size,), self._settings)
        self._measured = found
        return (metrics.Datum(metric=RESERVATION, timestamp=at, values=(found.reservation,), unit="Percent"),)

    # ------------------------------------------------------------------------------------------ the group

    def _note(self, commit: store.Commit) -> None:
        """An alarm's actions ran, or an instance that is to end lost a task: the group acts at the same moment, after
        the commit."""
        if len(self._instances) > self.desired and any(change.table == tables.TASKS.name for change in commit.changes):
            self._world.agenda.at(self._world.now, self._end_surplus)
        for change in commit.changes:
            alarm = change.after
            if not isinstance(alarm, alarms.MetricAlarm) or alarm.name not in self._handled:
                continue
            asked_at = alarm.observed.actions_at
            if asked_at is not None and asked_at != self._handled[alarm.name]:
                self._world.agenda.at(self._world.now, self._answer, alarm)
            self._handled[alarm.name] = asked_at

    def _answer(self, alarm: alarms.MetricAlarm) -> None:
        reservation, measured, now = alarm.observed.newest_value, self._measured, self._world.now
        if reservation is None or measured is None:
            return
        situation = formula.Situation(
            asks="out" if alarm.spec.comparison_operator == "GreaterThanThreshold" else "in",
            reservation=reservation,
            instances=measured.instances,
            desired=self.desired,
            minimum=self.min,
            maximum=self.max,
            is_warming=formula.is_warming((one.launched_at for one in self._instances), self._settings, now),
        )
        ruling = formula.rule(situation, self._settings)
        if ruling.desired == self.desired:
            return
        if len(self._activities) < results.ACTIVITIES_KEPT_MAX:
            self._activities.append(self._activity(alarm, reservation, ruling))
        self.desired = ruling.desired
        for _ in range(self.desired - len(self._instances)):
            one = self._launched()
            self._world.agenda.after(self._boot_seconds(), self._join, one)
        self._end_surplus()

    def _activity(self, alarm: alarms.MetricAlarm, reservation: float, ruling: formula.Ruling) -> results.Activity:
        now = self._world.now
        at = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        policy = alarm.spec.alarm_actions[0].rpartition("/")[2]
        return results.Activity(
            at=now,
            from_count=self.desired,
            to_count=ruling.desired,
            status="Successful",
            policy=policy,
            cause=(
                f"At {at} a monitor alarm {alarm.name} in state ALARM triggered policy {policy} "
                f"changing the desired capacity from {self.desired} to {ruling.desired}."
            ),
            formula=ruling.formula,
            metric_value=reservation,
            target_value=alarm.spec.threshold,
        )

    def _launched(self) -> Instance:
        """A new instance, in the zone that has fewest (behaviour.md 4.5)."""
        self._pay()
        counts = self._by_zone()
        one = Instance(zone=min(self._zones, key=lambda zone: counts.get(zone, 0)), launched_at=self._world.now)
        self._instances.append(one)
        return one

    def _join(self, one: Instance) -> None:
        size = self._size
        one.instance_id = self._world.register_instance(one.zone, size.cpu_units, size.memory_mib, policies.CLUSTER)
        self._crowd.join(one.instance_id)

    def _end_surplus(self) -> None:
        """End instances beyond the desired capacity, but only those without tasks (behaviour.md 3.7, 4.4)."""
        while len(self._instances) > self.desired:
            counts, now = self._by_zone(), self._world.now
            one = max(
                self._empty(self._world.view()),
                key=lambda one: (counts[one.zone], (now - one.launched_at) % BILLED_SECONDS),
                default=None,
            )
            if one is None or one.instance_id is None:
                return
            self._world.call(
                "ecs", "DeregisterContainerInstance", cluster=policies.CLUSTER, containerInstance=one.instance_id
            )
            self._crowd.leave(one.instance_id)
            self._pay()
            self._instances.remove(one)

    def _by_zone(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for one in self._instances:
            counts[one.zone] = counts.get(one.zone, 0) + 1
        return counts

    def _empty(self, view: views.View) -> list[Instance]:
        """Those that have joined and have no task."""
        return [
            one
            for one in self._instances
            if one.instance_id is not None and not view.size(tables.TASKS, "live_by_instance", one.instance_id)
        ]

    # ------------------------------------------------------------------------------------------ for the recorder

    @property
    def running(self) -> int:
        """Instances that have joined the cluster."""
        return sum(1 for one in self._instances if one.instance_id is not None)

    @property
    def activities(self) -> tuple[results.Activity, ...]:
        """Changes of the desired capacity."""
        return tuple(self._activities)

    @staticmethod
    def waiting(view: views.View) -> int:
        """Tasks that are wanted and found no room."""
        service = view.get(services.Service, services.service_key(policies.CLUSTER, policies.SERVICE))
        if service is None or service.progress.placement_failure is None:
            return 0
        running, pending, _ = view.tally(tables.TASKS, "counts", "service", policies.CLUSTER, policies.SERVICE)
        return max(0, service.spec.desired_count - running - pending)

    def count_from_now(self) -> None:
        """What was before is not counted."""
        self._pay()
        self._paid_seconds = 0.0
        self._activities.clear()

    def paid_seconds(self) -> float:
        """Of all instances, from launch to end."""
        self._pay()
        return self._paid_seconds

    def _pay(self) -> None:
        now = self._world.now
        self._paid_seconds += len(self._instances) * (now - self._paid_until)
        self._paid_until = now
