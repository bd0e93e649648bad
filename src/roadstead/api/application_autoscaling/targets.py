"""Scalable targets: register, describe, deregister (behaviour.md 1.1)."""

from __future__ import annotations

from typing import Any

import msgspec

from roadstead.api import operation
from roadstead.api.application_autoscaling import common, forecasts, options, predictive
from roadstead.base import errors
from roadstead.control import alarms_history
from roadstead.model import alarms, custom_resources, record, scaling, scaling_names, tables
from roadstead.state import plan
from roadstead.state import view as views

TARGETS_PAGE_MAX = 50
TARGETS_MAX = 3000
"""Scalable targets of ECS services (AAS quotas)."""
TAGS_MAX = 50
TARGET_ID_DIGITS = 36


def register_scalable_target(call: operation.Call, view: views.View) -> operation.Reply:
    """RegisterScalableTarget: a new target, or new bounds and suspensions for one; the bounds are enforced."""
    params = call.params
    wanted = common.identity(params)
    found = view.get(scaling.ScalableTarget, wanted.key)
    if found is None:
        target = _new_target(call, view, wanted)
    else:
        if params.Tags and tuple(tags_of(params.Tags)) != found.tags:
            raise common.invalid("Tags can only be given when a scalable target is registered for the first time.")
        suspended = _suspended(params.SuspendedState, found.suspended)
        resumed = found.suspended.scheduled_scaling and not suspended.scheduled_scaling
        target = msgspec.structs.replace(
            found,
            min_capacity=found.min_capacity if params.MinCapacity is None else params.MinCapacity,
            max_capacity=found.max_capacity if params.MaxCapacity is None else params.MaxCapacity,
            suspended=suspended,
            enforce_bounds_at=call.now,
            scheduled_resumed_at=call.now if resumed else found.scheduled_resumed_at,
            custom_role_arn=(
                found.custom_role_arn if params.RoleARN is None else _custom_role(view, wanted, params.RoleARN)
            ),
        )
        if any(
            one.predictive_scaling is not None for one in view.find(tables.SCALING_POLICIES, "by_target", target.key)
        ):
            predictive.check_role(target.custom_role_arn)
    if target.min_capacity < 0:
        raise common.invalid("Minimum capacity can not be less than 0.")
    if target.min_capacity > target.max_capacity:
        raise common.invalid("Maximum capacity cannot be less than minimum capacity.")
    draft = plan.Draft(view)
    draft.put(target)
    if found is None and wanted.namespace == scaling_names.CUSTOM_NAMESPACE:
        draft.put(custom_resources.CustomResource(url=wanted.resource_id, created_at=call.now))
    output = {"ScalableTargetARN": scaling_names.target_arn(view.scope, target)}
    return operation.Reply(output=output, plan=draft.plan())


def _new_target(call: operation.Call, view: views.View, wanted: common.Identity) -> scaling.ScalableTarget:
    params = call.params
    tags = tuple(tags_of(params.Tags or {}))
    options.check(tags)
    if wanted.namespace == scaling_names.ECS_NAMESPACE and common.find_service(view, wanted) is None:
        raise common.invalid(f"ECS service doesn't exist: {wanted.resource_id}")
    if params.MinCapacity is None or params.MaxCapacity is None:
        raise common.invalid("MinCapacity and MaxCapacity are required when a scalable target is registered.")
    if view.size(tables.SCALABLE_TARGETS, "by_namespace", wanted.namespace) >= TARGETS_MAX:
        raise errors.Refusal("LimitExceededException", f"There can be at most {TARGETS_MAX} scalable targets.")
    return scaling.ScalableTarget(
        namespace=wanted.namespace,
        resource_id=wanted.resource_id,
        dimension=wanted.dimension,
        target_id=view.ids.hex(TARGET_ID_DIGITS),
        created_at=call.now,
        min_capacity=params.MinCapacity,
        max_capacity=params.MaxCapacity,
        role_arn=_role_arn(view, wanted),
        custom_role_arn=_custom_role(view, wanted, params.RoleARN),
        suspended=_suspended(params.SuspendedState, scaling.SuspendedState()),
        tags=tags,
        enforce_bounds_at=call.now,
    )


def _role_arn(view: views.View, wanted: common.Identity) -> str:
    """The service-linked role, which stands in every target whatever the caller gave (behaviour.md 1.1.9)."""
    suffix = "ECSService" if wanted.namespace == scaling_names.ECS_NAMESPACE else "CustomResource"
    name = f"{wanted.namespace}.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_{suffix}"
    return f"arn:aws:iam::{view.scope.account}:role/aws-service-role/{name}"


def _custom_role(view: views.View, wanted: common.Identity, given: str | None) -> str | None:
    """The RoleARN of a request, where it names another role than the service-linked one."""
    return given if given is not None and given != _role_arn(view, wanted) else None


def tags_of(wanted: dict[str, str]) -> list[record.Tag]:
    """A request's tags, by key. Raises ValidationException for too many, or a key that AWS reserves."""
    if len(wanted) > TAGS_MAX:
        raise common.invalid(f"At most {TAGS_MAX} tags can be given.")
    if any(key.lower().startswith("aws:") for key in wanted):
        raise common.invalid("Tag keys starting with 'aws:' are reserved for system use.")
    return [record.Tag(key=key, value=value) for key, value in sorted(wanted.items())]


def _suspended(wanted: Any, before: scaling.SuspendedState) -> scaling.SuspendedState:
    """The suspensions after a request; those that it does not name stay."""
    if wanted is None:
        return before
    given = common.given(
        dynamic_scaling_in=wanted.DynamicScalingInSuspended,
        dynamic_scaling_out=wanted.DynamicScalingOutSuspended,
        scheduled_scaling=wanted.ScheduledScalingSuspended,
    )
    return msgspec.structs.replace(before, **given)


def deregister_scalable_target(call: operation.Call, view: views.View) -> operation.Reply:
    """DeregisterScalableTarget: the target goes, with its policies, their alarms and its schedule; the count stays."""
    target = common.find_target(view, common.identity(call.params))
    draft = plan.Draft(view)
    for policy in list(view.find(tables.SCALING_POLICIES, "by_target", target.key)):
        remove_policy(draft, policy, call.now)
    for action in list(view.find(tables.SCHEDULED_ACTIONS, "by_target", target.key)):
        draft.remove(action)
    resource = view.get(custom_resources.CustomResource, target.resource_id)
    if resource is not None:
        draft.remove(resource)
    draft.remove(target)
    return operation.Reply(plan=draft.plan())


def remove_policy(draft: plan.Draft, policy: scaling.ScalingPolicy, now: float) -> None:
    """Remove a policy; with it the alarms that are its own, and its ARN from the actions of the user's alarms."""
    if policy.target_tracking is not None:
        remove_alarms(draft, policy, now)
    else:
        _release_alarms(draft, policy, now)
    draft.remove(policy)


def _release_alarms(draft: plan.Draft, policy: scaling.ScalingPolicy, now: float) -> None:
    """Take a policy's ARN from the actions of every alarm; the alarms stay, as they are the user's (1.2.6)."""
    view = draft.view
    action = scaling_names.policy_arn(view.scope, policy)
    for found in list(view.find(tables.ALARMS, "by_action", action)):
        alarm = draft.get(alarms.MetricAlarm, found.name) or found
        changed = msgspec.structs.replace(alarm, spec=alarm.spec.without_action(action), spec_updated_at=now)
        draft.put(changed)
        item = alarms_history.configuration_update(view.ids.uuid(), changed, "Update", view.scope, now)
        alarms_history.add(draft, item)


def remove_alarms(draft: plan.Draft, policy: scaling.ScalingPolicy, now: float) -> None:
    """Remove those of a policy's alarms that there still are; their history stays, as in CloudWatch."""
    for name in (policy.alarm_high, policy.alarm_low):
        alarm = draft.get(alarms.MetricAlarm, name) if name else None
        if alarm is not None:
            draft.remove(alarm)
            view = draft.view
            draft.put(alarms_history.configuration_update(view.ids.uuid(), alarm, "Delete", view.scope, now))


def describe_scalable_targets(call: operation.Call, view: views.View) -> operation.Reply:
    """DescribeScalableTargets: those of a namespace, perhaps of named resources."""
    params = call.params
    common.check_filters(params.ResourceIds, params.ScalableDimension)
    resources = frozenset(params.ResourceIds or ())
    dimension = params.ScalableDimension
    found, token = common.read_page(
        view,
        tables.SCALABLE_TARGETS,
        "by_namespace",
        (params.ServiceNamespace,),
        query=f"DescribeScalableTargets {params.ServiceNamespace} {sorted(resources)} {dimension}",
        token=params.NextToken,
        max_results=params.MaxResults,
        limit=TARGETS_PAGE_MAX,
        matches=lambda one: (
            (not resources or one.resource_id in resources) and (dimension is None or one.dimension == dimension)
        ),
    )
    shown = [_present(view, one, call.now) for one in found]
    return operation.Reply(output=common.given(ScalableTargets=shown, NextToken=token))


def _present(view: views.View, target: scaling.ScalableTarget, now: float) -> dict[str, Any]:
    policies = list(view.find(tables.SCALING_POLICIES, "by_target", target.key))
    shown = {
        "ServiceNamespace": target.namespace,
        "ResourceId": target.resource_id,
        "ScalableDimension": target.dimension,
        "MinCapacity": target.min_capacity,
        "MaxCapacity": target.max_capacity,
        "RoleARN": target.role_arn,
        "CreationTime": target.created_at,
        "SuspendedState": {
            "DynamicScalingInSuspended": target.suspended.dynamic_scaling_in,
            "DynamicScalingOutSuspended": target.suspended.dynamic_scaling_out,
            "ScheduledScalingSuspended": target.suspended.scheduled_scaling,
        },
        "ScalableTargetARN": scaling_names.target_arn(view.scope, target),
    }
    return shown | common.given(PredictedCapacity=forecasts.predicted_capacity(view, policies, now))
