"""One pass over one service: what is there, what failed, what stops, what starts, what is done (behaviour.md 5.1-5.8).

Order within a pass: account for stops, judge the rollout, stop, start, complete, tell. Each pass is bounded; where more
is to do, its own writes bring the next one. Run again on its own result it writes nothing.
"""

from __future__ import annotations

import msgspec

from roadstead.control import deployments, events
from roadstead.control.services import census as censuses
from roadstead.control.services import starting, stopping
from roadstead.model import services, tasks
from roadstead.state import plan
from roadstead.state import view as views

STEADY_EVENT_REPEAT_SECONDS = 6 * 3600.0
BLOCKED_EVENT_REPEAT_SECONDS = 3600.0
PLACEMENT_EVENT_REPEAT_SECONDS = 900.0
PLACEMENT_RETRY_SECONDS = 60.0
"""Without a change in the cluster placement is tried again after that time."""


class Pass:
    """The state of one pass. `run` gives its plan."""

    def __init__(self, view: views.View, service: services.Service, now: float) -> None:
        self._view = view
        self._now = now
        self._before = service
        self._service = service
        self._draft = plan.Draft(view)
        self._teller = events.Teller(self._draft, service, now)
        self._census = censuses.Census(view, service, now)
        self._bounds = deployments.bounds(service)
        self._stops = stopping.Stops()
        self._starts = starting.Starts()
        self._missing = 0
        """Good tasks that are wanted beyond those there are."""
        self._wakes: list[float | None] = []

    def run(self) -> plan.Plan:
        """All steps."""
        self._account()
        self._judge()
        stalled = self._service.primary.rollout_state == "FAILED"
        everyone = [one.deployment_id for one in self._service.deployments]
        self._census.sort(everyone if stalled else everyone[:1])
        self._stop(self._bounds.upper if stalled else self._bounds.desired)
        self._start()
        self._finish()
        self._tell_state()
        progress = msgspec.structs.replace(self._service.progress, next_event_number=self._teller.next_number)
        self._service = msgspec.structs.replace(self._service, progress=progress)
        self._draft.put(self._service)
        return self._draft.plan(plan.earliest(self._census.next_healthy_at, *self._wakes), rests=self._rests)

    # ------------------------------------------------------------------------------------ failures

    def _account(self) -> None:
        """Take into account each stop once, and what its deployment makes of it."""
        unseen = self._census.unseen
        self._service = deployments.count_failures(self._service, unseen, self._census.runs, self._now)
        for task in unseen:
            counted = deployments.failed_to_start(task) or deployments.failed_health(task)
            accounting = tasks.TaskAccounting(stop_seen=True, failure_counted=counted)
            self._draft.put(msgspec.structs.replace(task, accounting=accounting))
        progress = self._service.progress
        if progress.throttle.next_start_at > self._now and progress.impaired_event_at is None:
            self._teller.say(events.IMPAIRED, events.START_IMPAIRED, {"failures": progress.throttle.failures})
            self._progress(impaired_event_at=self._now)

    def _judge(self) -> None:
        """The circuit breaker."""
        if not deployments.breaker_trips(self._service):
            return
        primary = self._service.primary
        counts = {
            "failures": primary.breaker_failures,
            "threshold": deployments.breaker_threshold(self._bounds.desired),
        }
        self._service = deployments.fail(self._service, self._now)
        self._teller.say(events.FAILED, events.DEPLOYMENT_FAILED, counts)
        if self._service.primary.deployment_id != primary.deployment_id:
            text = events.rolling_back(self._service.primary.deployment_id)
            self._teller.say(text, events.DEPLOYMENT_ROLLBACK)

    # ------------------------------------------------------------------------------------ stops and starts

    def _stop(self, keep_max: int) -> None:
        self._stops = stopping.choose(self._view, self._service, self._census, self._bounds, keep_max)
        by_scheduler = f"Scaling activity initiated by (deployment {self._service.primary.deployment_id})"
        for found, reason in (
            (self._stops.surplus, by_scheduler),
            (self._stops.unhealthy, deployments.HEALTH_REASON),
        ):
            for task in found:
                self._draft.put(tasks.request_stop(task, "ServiceSchedulerInitiated", reason, self._now))
        if self._stops.unhealthy:
            ids = [task.task_id for task in self._stops.unhealthy]
            self._teller.say(events.unhealthy(ids), events.TASKS_UNHEALTHY, {"tasks": len(ids)})
        if self._stops:
            ids = [task.task_id for task in self._stops.all()]
            self._teller.say(events.stopped(ids), events.TASKS_STOPPED, {"tasks": len(ids)})
        self._drain_counts()

    def _drain_counts(self) -> None:
        """An older deployment wants fewer with each task that the rollout took from it."""
        drained: dict[str, int] = {}
        primary = self._service.primary.deployment_id
        for task in self._stops.surplus:
            if task.spec.deployment_id is not None and task.spec.deployment_id != primary:
                drained[task.spec.deployment_id] = drained.get(task.spec.deployment_id, 0) + 1
        self._service = deployments.with_desired_counts(self._service, self._bounds.desired, drained, self._now)

    def _start(self) -> None:
        census, bounds = self._census, self._bounds
        gone = {task.task_id for task in self._stops.all()}
        good = sum(1 for task in (*census.wanted.starting, *census.wanted.good) if task.task_id not in gone)
        room = bounds.upper - (census.active - len(gone))
        self._missing = max(0, bounds.desired - good)
        source = deployments.starting_deployment(self._service)
        if self._service.status != "ACTIVE" or source is None:
            return
        wanted = min(self._missing, room)
        replacements = self._replacements(room - wanted, gone)
        if wanted <= 0 and not replacements:
            self._note_placement()
            return
        next_start_at = self._service.progress.throttle.next_start_at
        if next_start_at > self._now:
            self._wakes.append(next_start_at)
            return
        starter = starting.Starter(self._draft, self._service, self._now)
        starter.forget(self._stops.all())
        starter.start(source, wanted, self._starts)
        for deployment, count in replacements:
            starter.start(deployment, count, self._starts)
        if self._starts.started:
            ids = [task.task_id for task in self._starts.started]
            self._teller.say(events.started(ids), events.TASKS_STARTED, {"tasks": len(ids)})
        self._note_placement()

    def _replacements(self, room: int, gone: set[str]) -> list[tuple[services.Deployment, int]]:
        """While a rollout goes on, lost tasks of the source revision are replaced by their own revision.

        Only those that the new tasks don't make up for yet, and only while that revision starts (behaviour.md 5.1.3).
        """
        source = deployments.source_deployment(self._service)
        if source is None or source.failed_tasks:
            return []
        census = self._census
        serving = [task for task in (*census.drained.starting, *census.drained.good) if task.task_id not in gone]
        mine = sum(task.spec.deployment_id == source.deployment_id for task in serving)
        short = self._bounds.desired - len(census.healthy - gone) - len(serving)
        count = min(source.desired_count - mine, short, room)
        return [(source, count)] if count > 0 else []

    def _note_placement(self) -> None:
        """Remember why no room was found; tell people when it is news, or after a while again."""
        refused, known = self._starts.refused, self._service.progress.placement_failure
        if refused is None:
            if known is not None:
                self._progress(placement_failure=None)
            return
        closest = refused.closest
        failure = services.PlacementFailure(
            at=known.at if known is not None else self._now,
            needed=self._starts.needed,
            instances_considered=refused.considered,
            refused=refused.counts,
            closest_instance=closest.instance_id if closest else None,
            closest_reason=closest.reason if closest else None,
            event_at=known.event_at if known is not None else 0.0,
        )
        is_news = known is None or known.closest_reason != failure.closest_reason
        waits_for_itself = self._census.stopping > 0 or bool(self._stops)
        if (is_news or self._now >= failure.event_at + PLACEMENT_EVENT_REPEAT_SECONDS) and not waits_for_itself:
            counts = {"instances": refused.considered, **refused.counts}
            self._teller.say(events.no_room(refused), events.PLACEMENT_FAILURE, counts)
            failure = msgspec.structs.replace(failure, event_at=self._now)
        self._progress(placement_failure=failure)
        self._wakes.append(self._now + PLACEMENT_RETRY_SECONDS)

    # ------------------------------------------------------------------------------------ done

    @property
    def _is_moving(self) -> bool:
        """Whether this pass changed anything about the tasks."""
        return bool(self._stops) or bool(self._starts.started)

    @property
    def _rests(self) -> bool:
        """Whether all is done that this pass could do: there is no rollout that its moves may complete, no stop was
        accounted for, and no start left for want of room or because it was too much at once.
        """
        before, after = self._before, self._service
        return (
            after.status == before.status == "ACTIVE"
            and len(after.deployments) == len(before.deployments) == 1
            and after.primary.rollout_state == before.primary.rollout_state == "COMPLETED"
            and not self._census.unseen
            and self._starts.refused is None
            and len(self._starts.started) == max(self._missing, 0)
        )

    @property
    def _is_whole(self) -> bool:
        """Exactly the desired number of wanted tasks, all healthy, and nothing else that runs."""
        wanted, drained = self._census.wanted, self._census.drained
        whole = len(wanted) == len(wanted.good) == len(self._census.healthy) == self._bounds.desired
        return whole and not len(drained) and not self._is_moving

    def _finish(self) -> None:
        """Completion of the rollout, deployments that are drained, the end of a deleted service."""
        live = {deployment_id for deployment_id, runs in self._census.runs.items() if runs.live}
        live |= {task.spec.deployment_id or "" for task in self._starts.started}
        service = self._service
        others_live = any(one.deployment_id in live for one in service.deployments[1:])
        if (
            service.status == "ACTIVE"
            and service.primary.rollout_state == "IN_PROGRESS"
            and self._is_whole
            and not others_live
        ):
            service = deployments.complete(service, self._now)
            text = events.completed(service.primary.deployment_id)
            self._teller.say(text, events.DEPLOYMENT_COMPLETED)
        service = deployments.forget_drained(service, live)
        if service.status == "DRAINING" and not self._census.live:
            service = msgspec.structs.replace(service, status="INACTIVE", inactive_at=self._now)
        self._service = service

    def _tell_state(self) -> None:
        """Steady, or stuck."""
        primary = self._service.primary
        steady = (
            self._service.status == "ACTIVE"
            and primary.rollout_state == "COMPLETED"
            and self._is_whole
            and not self._census.stopping
            and len(self._service.deployments) == 1
        )
        progress = self._service.progress
        if not steady:
            if progress.steady_since is not None:
                self._progress(steady_since=None)
        elif progress.steady_since is None or self._is_due(progress.steady_event_at, STEADY_EVENT_REPEAT_SECONDS):
            self._teller.say(events.STEADY, events.STEADY_STATE, {"tasks": self._bounds.desired})
            self._progress(steady_since=progress.steady_since or self._now, steady_event_at=self._now)
        if steady and self._service.progress.steady_event_at is not None:
            self._wakes.append(self._service.progress.steady_event_at + STEADY_EVENT_REPEAT_SECONDS)
        self._tell_stuck()

    def _tell_stuck(self) -> None:
        """behaviour.md 5.2: neither a start nor a stop is allowed, and nothing is under way that could change it."""
        census, progress = self._census, self._service.progress
        under_way = (
            self._is_moving
            or census.stopping > 0
            or bool(census.wanted.starting or census.drained.starting)
            or len(census.healthy) < len(census.wanted.good)
        )
        to_do = self._missing > 0 or len(census.drained) > 0
        stuck = (
            self._service.status == "ACTIVE"
            and self._service.primary.rollout_state != "FAILED"
            and to_do
            and not under_way
            and census.active >= self._bounds.upper
        )
        if not stuck:
            if progress.blocked_event_at is not None:
                self._progress(blocked_event_at=None)
            return
        if self._is_due(progress.blocked_event_at, BLOCKED_EVENT_REPEAT_SECONDS):
            bounds = self._bounds
            counts = {"desired": bounds.desired, "lower": bounds.lower, "upper": bounds.upper, "active": census.active}
            self._teller.say(events.STUCK, events.BLOCKED, counts)
            self._progress(blocked_event_at=self._now)
        self._wakes.append((self._service.progress.blocked_event_at or self._now) + BLOCKED_EVENT_REPEAT_SECONDS)

    def _is_due(self, told_at: float | None, repeat_seconds: float) -> bool:
        return told_at is None or self._now >= told_at + repeat_seconds

    def _progress(self, **changes: object) -> None:
        progress = msgspec.structs.replace(self._service.progress, **changes)
        self._service = msgspec.structs.replace(self._service, progress=progress)
