"""Why has a service the tasks it has, and why did it, or did it not, scale?"""

from __future__ import annotations

import collections
from collections.abc import Iterator

from roadstead.api.application_autoscaling import options
from roadstead.api.explain import decisions, obstacles, predictive, reasons, service_scaling
from roadstead.control import alarm_watch, scaled_resources
from roadstead.model import alarms, scaling, scaling_names, services, tables
from roadstead.state import view as views

STOPS_LOOKED_AT_MAX = 500
"""Stopped tasks that are read to find out why."""
STOPS_SECONDS = 600.0
REASONS_SHOWN_MAX = 5
SOUGHT_STOPS = frozenset({"UserInitiated", "ServiceSchedulerInitiated"})


def explain(view: views.View, service: services.Service, now: float, since_seconds: float = 3_600) -> reasons.Answer:
    """The reasons of a service's counts, and its scaling decisions of the last `since_seconds`."""
    running, pending, _ = view.tally(tables.TASKS, "counts", "service", service.cluster, service.name)
    wanted = service.spec.desired_count
    found = [
        *_counts(view, service, running, pending, now),
        *_deployment(view, service),
        *_scaling(view, service, now, since_seconds),
    ]
    return reasons.Answer(
        kind="service",
        id=service.name,
        cluster=service.cluster,
        state=service.status,
        headline=_headline(service, running, pending, wanted),
        reasons=tuple(found),
    )


def _headline(service: services.Service, running: int, pending: int, wanted: int) -> str:
    if service.status != "ACTIVE":
        return f"is {service.status}: {reasons.plural(running, 'task')} still running"
    if running == wanted and not pending:
        return f"is steady: {running} of {wanted} tasks running"
    if service.progress.placement_failure is not None:
        return f"has {running} of {wanted} tasks running: no instance can take more"
    if service.progress.throttle.failures and running < wanted:
        return f"has {running} of {wanted} tasks running: its tasks fail to start"
    return f"has {running} of {wanted} tasks running, {pending} starting"


def _counts(
    view: views.View, service: services.Service, running: int, pending: int, now: float
) -> Iterator[reasons.Reason]:
    yield reasons.Reason(
        code="COUNTS",
        text=f"desired {service.spec.desired_count}, running {running}, pending {pending}",
        counts={"desired": service.spec.desired_count, "running": running, "pending": pending},
    )
    failure = service.progress.placement_failure
    if failure is not None:
        fitted = failure.instances_considered - sum(failure.refused.values())
        yield reasons.Reason(
            code="PLACEMENT",
            text=f"{reasons.plural(failure.instances_considered, 'instance')} looked at "
            f"{reasons.age(now - failure.at)} ago, {max(0, fitted)} fit; "
            f"needed {failure.needed.cpu_units:,} CPU units, {failure.needed.memory_mib:,} MiB",
            counts={"instances": failure.instances_considered, "fitting": max(0, fitted)},
            reasons=tuple(
                reasons.Reason(code=code, text=f"{count} {reasons.placement_words(code)}", counts={"instances": count})
                for code, count in sorted(failure.refused.items(), key=lambda item: (-item[1], item[0]))
            ),
        )
    throttle = service.progress.throttle
    if throttle.failures:
        wait = max(0.0, throttle.next_start_at - now)
        yield reasons.Reason(
            code="THROTTLED",
            text=f"{reasons.plural(throttle.failures, 'start')} failed in a row, next try in {reasons.age(wait)}",
            counts={"failures": throttle.failures, "waitSeconds": wait},
        )
    yield from _stops(view, service, now)


def _stops(view: views.View, service: services.Service, now: float) -> Iterator[reasons.Reason]:
    """Why tasks of the service stopped lately by themselves, by reason, the most frequent first."""
    group = (service.cluster, "STOPPED", "service", service.name)
    counts: collections.Counter[str] = collections.Counter()
    for _, task in view.page(tables.TASKS, "listing", group, None, STOPS_LOOKED_AT_MAX):
        ended = task.observed.stopped_at
        if ended is not None and now - ended < STOPS_SECONDS and task.stop_code not in SOUGHT_STOPS:
            said = [container.reason for container in task.observed.containers if container.reason]
            counts[said[0] if said else task.stopped_reason or "no reason was reported"] += 1
    if counts:
        yield reasons.Reason(
            code="STOPS",
            text=f"{reasons.plural(counts.total(), 'task')} stopped in the last {reasons.age(STOPS_SECONDS)}",
            counts={"tasks": counts.total()},
            reasons=tuple(
                reasons.Reason(code="STOPPED", text=f"{count} × {text}", counts={"tasks": count})
                for text, count in counts.most_common(REASONS_SHOWN_MAX)
            ),
        )


def _deployment(view: views.View, service: services.Service) -> Iterator[reasons.Reason]:
    for deployment in service.deployments:
        running, pending, _ = view.tally(
            tables.TASKS, "counts", "deployment", service.cluster, service.name, deployment.deployment_id
        )
        if deployment.status != "PRIMARY" and not running and not pending:
            continue
        yield reasons.Reason(
            code="DEPLOYMENT",
            text=f"deployment {deployment.task_definition} {deployment.status} {deployment.rollout_state}: "
            f"{running} running, {pending} pending, {deployment.failed_tasks} failed"
            + (f" ({deployment.rollout_state_reason})" if deployment.rollout_state == "FAILED" else ""),
            counts={"running": running, "pending": pending, "failed": deployment.failed_tasks},
        )


def _scaling(view: views.View, service: services.Service, now: float, since_seconds: float) -> Iterator[reasons.Reason]:
    target = view.get(scaling.ScalableTarget, scaling_names.service_target_key(service.cluster, service.name))
    if target is None:
        yield reasons.Reason(
            code="NOT_SCALED", text="no scalable target is registered: its desired count is yours to set"
        )
        return
    yield from scaling_of(view, target, now, since_seconds)


def scaling_of(
    view: views.View, target: scaling.ScalableTarget, now: float, since_seconds: float
) -> Iterator[reasons.Reason]:
    """A target's bounds, its policies and schedule, and the decisions on it, whatever it scales."""
    yield reasons.Reason(
        code="BOUNDS",
        text=f"scalable target: min {target.min_capacity}, max {target.max_capacity}{_suspended(target.suspended)}",
        counts={"min": target.min_capacity, "max": target.max_capacity},
    )
    policies = tuple(view.find(tables.SCALING_POLICIES, "by_target", target.key))
    stand = obstacles.Stand(target=target, scaled=scaled_resources.look(view, target), policies=policies, now=now)
    for policy in policies:
        yield _policy(view, stand, policy)
    yield from _unused_options(target, policies)
    yield from service_scaling.scheduled_actions(view, target, now)
    yield decisions.decisions(view, target, policies, now, since_seconds)


def _unused_options(
    target: scaling.ScalableTarget, policies: tuple[scaling.ScalingPolicy, ...]
) -> Iterator[reasons.Reason]:
    """Tags that are options for a policy which there is not."""
    there = {one.policy_name for one in policies}
    for key, policy_name in options.named_policies(target.tags):
        if policy_name not in there:
            text = f"the tag {key} does nothing: there is no policy {policy_name}"
            yield reasons.Reason(code="OPTION_UNUSED", text=text)


def _suspended(suspended: scaling.SuspendedState) -> str:
    """`; suspended: scaling in, schedule`, where anything is."""
    named = [
        name
        for name, on in (
            ("scaling out", suspended.dynamic_scaling_out),
            ("scaling in", suspended.dynamic_scaling_in),
            ("scheduled actions", suspended.scheduled_scaling),
        )
        if on
    ]
    return f"; suspended: {', '.join(named)}" if named else ""


def _policy(view: views.View, stand: obstacles.Stand, policy: scaling.ScalingPolicy) -> reasons.Reason:
    """A policy: what its alarms say, and why it changes nothing now."""
    if policy.step_scaling is not None:
        return service_scaling.step_policy(view, stand, policy, policy.step_scaling)
    if policy.predictive_scaling is not None:
        return predictive.policy(view, stand, policy, policy.predictive_scaling)
    states = []
    for label, name in (("high", policy.alarm_high), ("low", policy.alarm_low)):
        alarm = view.get(alarms.MetricAlarm, name) if name else None
        if alarm is None:
            states.append(reasons.Reason(code="ALARM_MISSING", text=f"{label} alarm: none"))
            continue
        needed = alarm.spec.datapoints_to_alarm or alarm.spec.evaluation_periods
        breaching = alarm_watch.breaching(view, alarm, stand.now)
        said = reasons.newest_datapoint(alarm.observed.reason)
        states.append(
            reasons.Reason(
                code=f"ALARM_{label.upper()}",
                text=f"{label} alarm {alarm.observed.state} {breaching} of {needed}: {said}",
                counts={"breaching": breaching, "needed": needed},
            )
        )
    spelled = options.spelled(policy.options)
    if spelled:
        text = "options: " + ", ".join(f"{name} {value}" for name, value in spelled)
        states.append(reasons.Reason(code="OPTIONS", text=text))
    states += obstacles.of_policy(view, stand, policy)
    tracking = policy.tracking
    return reasons.Reason(
        code="POLICY",
        text=f"policy {policy.policy_name}: {tracking.metric_name} at {tracking.target_value:g}",
        counts={"target": tracking.target_value},
        reasons=tuple(states),
    )
