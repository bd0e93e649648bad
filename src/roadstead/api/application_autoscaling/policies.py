"""Scaling policies: put, describe, delete (behaviour.md 1.2, 1.3)."""

from __future__ import annotations

from typing import Any

from roadstead.api import operation
from roadstead.api.application_autoscaling import alarm_pair, common, targets, tracking
from roadstead.base import errors
from roadstead.control import alarms_history
from roadstead.model import scaling, scaling_names, tables
from roadstead.state import plan
from roadstead.state import view as views

POLICIES_PAGE_MAX = 10
POLICIES_OF_TARGET_MAX = 50
"""Scaling policies of one scalable target (AAS quotas)."""


def put_scaling_policy(
    call: operation.Call, view: views.View, scale_in_datapoints: int | None = None
) -> operation.Reply:
    """PutScalingPolicy: a target tracking policy, new or in place of the one of its name, with a fresh pair of alarms.

    `scale_in_datapoints` is the server's setting: how many periods in a row the low alarm waits for, in place of AWS's.
    """
    params = call.params
    wanted = common.identity(params)
    target = common.find_target(view, wanted)
    key = f"{target.key}|{params.PolicyName}"
    before = view.get(scaling.ScalingPolicy, key)
    if params.PolicyType is None and before is None:
        raise common.invalid("PolicyType is required when a scaling policy is created.")
    if params.PolicyType not in (None, "TargetTrackingScaling"):
        raise common.invalid(
            f"PolicyType {params.PolicyType} is not supported by this server yet: use TargetTrackingScaling."
        )
    service = common.find_service(view, wanted)
    configuration = tracking.configuration(
        params.TargetTrackingScalingPolicyConfiguration,
        before.target_tracking if before is not None else None,
        service,
        wanted,
    )
    others = [one for one in view.find(tables.SCALING_POLICIES, "by_target", target.key) if one.key != key]
    if any(tracking.same_metric(one.target_tracking, configuration) for one in others):
        raise common.invalid("Only one TargetTrackingScaling policy for a given metric specification is allowed.")
    if before is None and len(others) >= POLICIES_OF_TARGET_MAX:
        raise errors.Refusal(
            "LimitExceededException", f"A scalable target can have at most {POLICIES_OF_TARGET_MAX} scaling policies."
        )
    policy = _policy(call, view, wanted, before, configuration)
    draft = plan.Draft(view)
    if before is not None:
        targets.remove_alarms(draft, before, call.now)
    draft.put(policy)
    for alarm in alarm_pair.alarms_of(view.scope, policy, wanted, call.now, scale_in_datapoints):
        draft.put(alarm)
        draft.put(alarms_history.configuration_update(view.ids.uuid(), alarm, "Create", view.scope, call.now))
    output = {"PolicyARN": scaling_names.policy_arn(view.scope, policy), "Alarms": _alarms(view, policy)}
    return operation.Reply(output=output, plan=draft.plan())


def _policy(
    call: operation.Call,
    view: views.View,
    wanted: common.Identity,
    before: scaling.ScalingPolicy | None,
    configuration: scaling.TargetTracking,
) -> scaling.ScalingPolicy:
    """The policy; its ARN, creation time, `createdBy` id and cooldowns outlive an update, its alarms don't."""
    memory = before.memory if before is not None else scaling.PolicyMemory()
    low = None if configuration.disable_scale_in else alarm_pair.name(wanted.resource_id, "Low", view.ids.uuid())
    return scaling.ScalingPolicy(
        namespace=wanted.namespace,
        resource_id=wanted.resource_id,
        dimension=wanted.dimension,
        policy_name=call.params.PolicyName,
        policy_id=before.policy_id if before is not None else view.ids.uuid(),
        created_at=before.created_at if before is not None else call.now,
        created_by_id=before.created_by_id if before is not None else view.ids.uuid(),
        target_tracking=configuration,
        alarm_high=alarm_pair.name(wanted.resource_id, "High", view.ids.uuid()),
        alarm_low=low,
        memory=scaling.PolicyMemory(
            out_at=memory.out_at, out_from=memory.out_from, out_to=memory.out_to, in_at=memory.in_at
        ),
    )


def delete_scaling_policy(call: operation.Call, view: views.View) -> operation.Reply:
    """DeleteScalingPolicy: the policy goes, with its alarms."""
    wanted = common.identity(call.params)
    target = common.find_target(view, wanted)
    found = view.get(scaling.ScalingPolicy, f"{target.key}|{call.params.PolicyName}")
    if found is None:
        raise errors.Refusal(
            "ObjectNotFoundException",
            f"No scaling policy found for service namespace: {wanted.namespace}, resource ID: {wanted.resource_id}, "
            f"scalable dimension: {wanted.dimension}: {call.params.PolicyName}",
        )
    draft = plan.Draft(view)
    targets.remove_policy(draft, found, call.now)
    return operation.Reply(plan=draft.plan())


def describe_scaling_policies(call: operation.Call, view: views.View) -> operation.Reply:
    """DescribeScalingPolicies: those of a namespace, perhaps of one resource, perhaps by name."""
    params = call.params
    common.check_filters(params.ResourceId, params.ScalableDimension)
    names = frozenset(params.PolicyNames or ())
    resource, dimension = params.ResourceId, params.ScalableDimension
    found, token = common.read_page(
        view,
        tables.SCALING_POLICIES,
        "by_namespace",
        (params.ServiceNamespace,),
        query=f"DescribeScalingPolicies {params.ServiceNamespace} {resource} {dimension} {sorted(names)}",
        token=params.NextToken,
        max_results=params.MaxResults,
        limit=POLICIES_PAGE_MAX,
        matches=lambda one: (
            (not names or one.policy_name in names or scaling_names.policy_arn(view.scope, one) in names)
            and (resource is None or one.resource_id == resource)
            and (dimension is None or one.dimension == dimension)
        ),
    )
    shown = [_present(view, one) for one in found]
    return operation.Reply(output=common.given(ScalingPolicies=shown, NextToken=token))


def _present(view: views.View, policy: scaling.ScalingPolicy) -> dict[str, Any]:
    return {
        "PolicyARN": scaling_names.policy_arn(view.scope, policy),
        "PolicyName": policy.policy_name,
        "ServiceNamespace": policy.namespace,
        "ResourceId": policy.resource_id,
        "ScalableDimension": policy.dimension,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracking.present(policy.target_tracking),
        "Alarms": _alarms(view, policy),
        "CreationTime": policy.created_at,
    }


def _alarms(view: views.View, policy: scaling.ScalingPolicy) -> list[dict[str, str]]:
    names = [name for name in (policy.alarm_high, policy.alarm_low) if name is not None]
    return [{"AlarmName": name, "AlarmARN": view.scope.arn("cloudwatch", f"alarm:{name}")} for name in names]
