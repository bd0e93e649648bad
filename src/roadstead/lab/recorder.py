"""Watches one run: a row each step, and everything that the store announces about tasks, alarms and scaling.

Rows are made when something changes, all that were due before it at once: so the world needn't be woken for them.
"""

from __future__ import annotations

import array
import math
from collections.abc import Sequence

import msgspec

from roadstead.lab import fleet as fleets
from roadstead.lab import policies, results, scenario, service_model, traffic
from roadstead.model import alarms, scaling, services, tables, tasks
from roadstead.signals import metrics
from roadstead.sim import world as worlds
from roadstead.state import plan, store

DIGITS = 3
"""Series are rounded: nobody sees more."""
TIDY_SECONDS = 3600.0
"""How long rows may wait to be made."""
ROW_TABLES = (tables.SERVICES.name, tables.TASKS.name)
"""What rows depend on."""
COST_DIGITS = 6


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """The metric that is drawn: that of the first alarm which a policy acts on, else CPUUtilization."""

    metric: metrics.Metric
    statistic: str
    period_seconds: int
    target: float | None = None


def _metric(namespace: str, name: str, dimensions: tuple[dict[str, str], ...]) -> metrics.Metric:
    return metrics.metric(namespace, name, [(one["Name"], one["Value"]) for one in dimensions])


CPU = Followed(
    metric=_metric("AWS/ECS", "CPUUtilization", policies.ECS_DIMENSIONS), statistic="Average", period_seconds=60
)
PER_TARGET = _metric(policies.LAB_NAMESPACE, "RequestCountPerTarget", policies.LAB_DIMENSIONS)
ALL_REQUESTS = _metric(policies.LAB_NAMESPACE, "RequestCount", policies.LAB_DIMENSIONS)


class _Columns:
    """The series, growing."""

    def __init__(self) -> None:
        self.demand = array.array("d")
        self.metric = array.array("d")
        self.utilization = array.array("d")
        self.latency = array.array("d")
        self.dropped = array.array("d")
        self.desired = array.array("i")
        self.running = array.array("i")
        self.out = array.array("b")

    def freeze(self) -> results.Series:
        return results.Series(**vars(self))


class _FleetColumns:
    """The same of a fleet."""

    def __init__(self) -> None:
        self.wanted = array.array("i")
        self.running = array.array("i")
        self.waiting = array.array("i")

    def freeze(self) -> results.FleetSeries:
        return results.FleetSeries(**vars(self))


class Recorder:
    """Made when the warm-up starts; `begin` is for the first moment that counts, `run` for the end."""

    def __init__(
        self,
        subject: scenario.Scenario,
        demand: traffic.Demand,
        candidate: policies.Candidate,
        model: service_model.Model,
        world: worlds.World,
        fleet: fleets.Fleet | None = None,
    ) -> None:
        self._fleet = fleet
        self._fleet_columns = _FleetColumns()
        self._subject = subject
        self._demand = demand
        self._candidate = candidate
        self._model = model
        self._world = world
        self._row_at = demand.begin + subject.step
        self._rows = round(demand.duration_seconds / subject.step)
        """Rows that are still to come."""
        self._desired = self._running = self._waiting = 0
        self._columns = _Columns()
        self._is_counting = False
        view = world.view()
        self._held = sum(1 for one in view.find(tables.TASKS, "live_by_service", policies.CLUSTER, policies.SERVICE))
        self._held_since = world.now
        self._task_seconds = 0.0
        self._arrived = self._dropped = 0.0
        self._activities: list[results.Activity] = []
        self._activity_places: dict[str, int] = {}
        self._alarm_changes: list[results.AlarmChange] = []
        self._bounds: list[results.Bounds] = []
        self._followed = CPU
        self._alarms: tuple[results.Alarm, ...] = ()
        world.plane.store.watch(self._note)
        if candidate.uses_lab_metrics:
            self._publishes_from = (world.now // scenario.SLOT_SECONDS + 1) * scenario.SLOT_SECONDS
            world.plane.store.commit(plan.Plan(data=self._lab_metrics(world.now)), world.now)
            world.also_publish(lambda at: self._lab_metrics(at) if at >= self._publishes_from else ())

    # ------------------------------------------------------------------------------------------ rows

    def begin(self) -> None:
        """The demand's first moment."""
        self._is_counting = True
        self._held_since, self._task_seconds = self._world.now, 0.0
        if self._fleet is not None:
            self._fleet.count_from_now()
        view = self._world.view()
        self._followed, self._alarms = self._follow()
        for one in self._alarms:
            alarm = view.get(alarms.MetricAlarm, one.name)
            if alarm is not None:
                self._note_alarm(alarm)
        for target in view.find(tables.SCALABLE_TARGETS, "by_namespace", "ecs"):
            self._note_bounds(target)
        self._look()
        self._tidy()

    def _tidy(self) -> None:
        """While nothing changes no rows are needed; but fine metrics can be read for three hours alone."""
        self._add_rows()
        self._world.agenda.after(TIDY_SECONDS, self._tidy)

    def _look(self) -> None:
        """What rows say of the service, until it changes."""
        view = self._world.view()
        service = view.get(services.Service, services.service_key(policies.CLUSTER, policies.SERVICE))
        assert service is not None
        self._desired = service.spec.desired_count
        self._running = view.tally(tables.TASKS, "counts", "service", policies.CLUSTER, policies.SERVICE)[0]
        if self._fleet is not None:
            self._waiting = self._fleet.waiting(view)

    def _add_rows(self) -> None:
        """The rows up to now: a row at a moment is what was before anything happened then."""
        step, count = self._subject.step, 0
        if self._row_at <= self._world.now:
            count = min(int((self._world.now - self._row_at) // step) + 1, self._rows)
        if not count:
            return
        moments = [self._row_at + step * number for number in range(count)]
        for now, value in zip(moments, self._values(moments), strict=True):
            self._add_row(now, value)
        self._row_at += step * count
        self._rows -= count

    def _add_row(self, now: float, value: float) -> None:
        demand = self._demand.rate_before(now)
        state = self._model.state(demand, self._running)
        columns = self._columns
        columns.demand.append(demand)
        columns.metric.append(value)
        columns.utilization.append(round(min(state.utilization, results.UTILIZATION_MAX) * 100.0, DIGITS))
        columns.latency.append(round(min(state.latency_p99_seconds, results.LATENCY_MAX_SECONDS), DIGITS))
        columns.dropped.append(round(state.dropped * 100.0, DIGITS))
        columns.desired.append(self._desired)
        columns.running.append(self._running)
        columns.out.append(self._is_out(state))
        self._arrived += demand
        self._dropped += demand * state.dropped
        if self._fleet is not None:
            self._fleet_columns.wanted.append(self._fleet.desired)
            self._fleet_columns.running.append(self._fleet.running)
            self._fleet_columns.waiting.append(self._waiting)

    def _is_out(self, state: service_model.State) -> bool:
        wanted = self._subject.objective
        utilization, latency, dropped = wanted.utilization_percent, wanted.latency_p99, wanted.dropped_percent
        return (
            (utilization is not None and state.utilization * 100.0 > utilization)
            or (latency is not None and state.latency_p99_seconds > latency)
            or (dropped is not None and state.dropped * 100.0 > dropped)
        )

    def _values(self, moments: Sequence[float]) -> list[float]:
        """For each moment the followed metric in the newest period that is over then; NaN without data."""
        followed = self._followed
        period = followed.period_seconds
        ends = [now // period * period for now in moments]
        points = self._world.plane.store.signals.statistics(
            followed.metric, None, ends[0] - period, ends[-1], period, (followed.statistic,), moments[0]
        )
        found = {point.timestamp: round(point.values[followed.statistic], DIGITS) for point in points}
        return [found.get(end - period, math.nan) for end in ends]

    def _lab_metrics(self, at: float) -> tuple[metrics.Datum, ...]:
        """The lab's own metrics, in the middle of each slot: what a load balancer would count."""
        slot = scenario.SLOT_SECONDS
        running = self._world.view().tally(tables.TASKS, "counts", "service", policies.CLUSTER, policies.SERVICE)[0]
        count = self._demand.rate_before(at + slot) * slot
        every = metrics.Datum(metric=ALL_REQUESTS, timestamp=at, values=(count,), unit="Count")
        if not running:
            return (every,)
        return every, metrics.Datum(metric=PER_TARGET, timestamp=at, values=(count / running,), unit="Count")

    # ------------------------------------------------------------------------------------------ what is announced

    def _note(self, commit: store.Commit) -> None:
        if self._is_counting and commit.changes:
            self._add_rows()
            if any(change.table in ROW_TABLES for change in commit.changes):
                self._look()
        for change in commit.changes:
            after = change.after
            match after:
                case tasks.Task():
                    self._note_task(change.before, after)
                case scaling.ScalingActivity() if self._is_counting:
                    self._note_activity(after)
                case alarms.MetricAlarm() if self._is_counting:
                    before = change.before
                    if not isinstance(before, alarms.MetricAlarm) or before.observed.state != after.observed.state:
                        self._note_alarm(after)
                case scaling.ScalableTarget() if self._is_counting:
                    self._note_bounds(after)
                case _:
                    pass

    def _note_task(self, before: object, after: tasks.Task) -> None:
        was = isinstance(before, tasks.Task) and before.is_live
        if was != after.is_live:
            self._integrate()
            self._held += 1 if after.is_live else -1

    def _integrate(self) -> None:
        now = self._world.now
        self._task_seconds += self._held * (now - self._held_since)
        self._held_since = now

    def _note_activity(self, one: scaling.ScalingActivity) -> None:
        numbers = one.numbers
        told = results.Activity(
            at=one.started_at,
            from_count=one.from_count,
            to_count=one.to_count,
            status=one.status,
            policy=one.policy_name,
            cause=one.cause,
            formula=numbers.formula,
            metric_value=numbers.metric_value,
            target_value=numbers.target_value,
            not_scaled=tuple(reason.code for reason in one.not_scaled),
        )
        place = self._activity_places.get(one.activity_id)
        if place is not None:
            self._activities[place] = told
        elif len(self._activities) < results.ACTIVITIES_KEPT_MAX:
            self._activity_places[one.activity_id] = len(self._activities)
            self._activities.append(told)

    def _note_alarm(self, one: alarms.MetricAlarm) -> None:
        if any(one.name == known.name for known in self._alarms):
            change = results.AlarmChange(at=self._world.now, alarm=one.name, state=one.observed.state)
            self._alarm_changes.append(change)

    def _note_bounds(self, target: scaling.ScalableTarget) -> None:
        newest = self._bounds[-1] if self._bounds else None
        if newest is None or (newest.min, newest.max) != (target.min_capacity, target.max_capacity):
            self._bounds.append(results.Bounds(at=self._world.now, min=target.min_capacity, max=target.max_capacity))

    def _follow(self) -> tuple[Followed, tuple[results.Alarm, ...]]:
        """The metric to draw, and the alarms that policies act on."""
        view = self._world.view()
        names: list[str] = []
        target: float | None = None
        for policy in view.find(tables.SCALING_POLICIES, "by_namespace", "ecs"):
            names += [name for name in (policy.alarm_high, policy.alarm_low) if name]
            if target is None and policy.target_tracking is not None:
                target = policy.target_tracking.target_value
        names += [one["AlarmName"] for one in self._candidate.alarms]
        found = [alarm for name in names if (alarm := view.get(alarms.MetricAlarm, name)) is not None]
        followed = CPU
        first = found[0].spec if found else None
        if first is not None and first.metric_name and first.statistic:
            metric = metrics.metric(first.namespace or "", first.metric_name, first.dimensions)
            followed = Followed(
                metric=metric, statistic=first.statistic, period_seconds=first.period_seconds or 60, target=target
            )
        return followed, tuple(_alarm(one) for one in found)

    # ------------------------------------------------------------------------------------------ the end

    def run(self) -> results.Run:
        """Everything that was seen."""
        self._add_rows()
        self._integrate()
        subject, columns = self._subject, self._columns
        steps = len(columns.demand)
        served_most = sum(columns.running) * subject.service.requests_per_second
        hours = self._task_seconds / 3600.0
        done = [one for one in self._activities if one.is_change]
        minutes_out = sum(columns.out) * subject.step / 60.0
        limit = subject.objective.utilization_percent or 100.0
        per_task = subject.service.requests_per_second * min(limit, 100.0) / 100.0
        over, short = results.over_and_short(columns.demand, columns.running, per_task, subject.step)
        task_cost = round(hours * subject.task_hour, COST_DIGITS)
        fleet = self._fleet_run(task_cost)
        totals = results.Totals(
            cost=task_cost if fleet is None else round(task_cost + fleet.instance_cost, COST_DIGITS),
            task_hours=round(hours, DIGITS),
            minutes_out=round(minutes_out, DIGITS),
            spare_percent=round(100.0 * (served_most / self._arrived - 1.0), DIGITS) if self._arrived else 0.0,
            over_task_hours=round(over, DIGITS),
            short_task_hours=round(short, DIGITS),
            activities=len(done),
            flaps=results.flaps(done),
            peak=max(columns.running),
            not_scaled=sum(1 for one in self._activities if one.not_scaled),
            dropped_percent=round(100.0 * self._dropped / self._arrived, DIGITS) if self._arrived else 0.0,
            utilization_percent=round(sum(columns.utilization) / steps, DIGITS),
            latency_p99_worst_seconds=max(columns.latency),
        )
        candidate = self._candidate
        low, high = policies.bounds(subject, candidate)
        name = self._followed.metric.name
        return results.Run(
            name=candidate.name,
            fixed=candidate.fixed,
            is_within=totals.minutes_out <= subject.objective.minutes,
            totals=totals,
            metric=results.Metric(
                name=name, unit="%" if name.endswith("Utilization") else "", target=self._followed.target
            ),
            alarms=self._alarms,
            alarm_changes=tuple(self._alarm_changes),
            bounds=tuple(self._bounds),
            activities=tuple(self._activities),
            series=columns.freeze(),
            min_capacity=low,
            max_capacity=high,
            given=candidate.written,
            fleet=fleet,
            notes=(*candidate.notes, *_fleet_notes(fleet)),
            is_named=candidate.is_named,
        )

    def _fleet_run(self, task_cost: float) -> results.Fleet | None:
        fleet, prices = self._fleet, self._subject.prices
        if fleet is None:
            return None
        series, step_minutes = self._fleet_columns.freeze(), self._subject.step / 60.0
        hours = fleet.paid_seconds() / 3600.0
        waits = [wanted for wanted, waiting in zip(series.wanted, series.waiting, strict=True) if waiting]
        return results.Fleet(
            instance_hours=round(hours, DIGITS),
            instance_cost=round(hours * (prices.instance_hour or 0.0), COST_DIGITS),
            task_cost=task_cost,
            minutes_waiting=round(len(waits) * step_minutes, DIGITS),
            task_minutes_waiting=round(sum(series.waiting) * step_minutes, DIGITS),
            minutes_at_max=round(waits.count(fleet.max) * step_minutes, DIGITS),
            peak=max(series.running),
            min=fleet.min,
            max=fleet.max,
            activities=fleet.activities,
            series=series,
        )


def _fleet_notes(fleet: results.Fleet | None) -> tuple[str, ...]:
    if fleet is None or not fleet.minutes_at_max:
        return ()
    return (f"for {fleet.minutes_at_max:g} min tasks waited because the fleet is no larger than {fleet.max} instances",)


def _alarm(one: alarms.MetricAlarm) -> results.Alarm:
    return results.Alarm(
        name=one.name,
        metric=one.spec.metric_name or "",
        threshold=one.spec.threshold,
        asks="more" if one.spec.comparison_operator.startswith("Greater") else "less",
        periods=one.spec.evaluation_periods,
        period_seconds=one.spec.period_seconds or 60,
    )
