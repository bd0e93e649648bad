"""Scaling policies: put, describe, delete (behaviour.md 1.2-1.4, 1.6)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import msgspec

from roadstead.api import operation
from roadstead.api.application_autoscaling import common, load_balancers, options, predictive, steps, targets, tracking
from roadstead.base import errors
from roadstead.control import alarms_history, scaling_alarm_pair
from roadstead.model import scaling, scaling_names, tables
from roadstead.state import plan
from roadstead.state import view as views

POLICIES_PAGE_MAX = 10
POLICIES_OF_TARGET_MAX = 50
"""Scaling policies of one scalable target (AAS quotas)."""
ALARMS_SHOWN_MAX = 100
"""Alarms that DescribeScalingPolicies names for one step scaling policy."""
TARGET_TRACKING = "TargetTrackingScaling"
STEP_SCALING = "StepScaling"
PREDICTIVE_SCALING = "PredictiveScaling"
CONFIGURATIONS = {
    TARGET_TRACKING: "TargetTrackingScalingPolicyConfiguration",
    STEP_SCALING: "StepScalingPolicyConfiguration",
    PREDICTIVE_SCALING: "PredictiveScalingPolicyConfiguration",
}
"""PolicyType → the member that configures it."""


def put_scaling_policy(
    call: operation.Call,
    view: views.View,
    scale_in_datapoints: int | None = None,
    target_groups: load_balancers.TargetGroups = load_balancers.no_target_groups,
) -> operation.Reply:
    """PutScalingPolicy: a policy, new or in place of the one of its name; target tracking with a fresh pair of alarms.

    `scale_in_datapoints` is the server's setting: how many periods in a row the low alarm waits for, in place of AWS's.
    `target_groups` says which a service is attached to, for metrics of load balancers.
    """
    params = call.params
    wanted = common.identity(params)
    target = common.find_target(view, wanted)
    key = f"{target.key}|{params.PolicyName}"
    before = view.get(scaling.ScalingPolicy, key)
    others = [one for one in view.find(tables.SCALING_POLICIES, "by_target", target.key) if one.key != key]
    kind = _kind(params, before)
    if kind == STEP_SCALING:
        policy = _step_policy(call, view, wanted, before)
    elif kind == PREDICTIVE_SCALING:
        policy = _predictive_policy(call, view, wanted, before, target, target_groups)
    else:
        policy = _tracking_policy(call, view, wanted, before, others, target_groups, scale_in_datapoints)
    if before is None and len(others) >= POLICIES_OF_TARGET_MAX:
        raise errors.Refusal(
            "LimitExceededException", f"A scalable target can have at most {POLICIES_OF_TARGET_MAX} scaling policies."
        )
    if policy.target_tracking is not None:
        policy = msgspec.structs.replace(policy, options=options.of_policy(target.tags, policy.policy_name))
    options.check_policy(policy, target.tags)
    draft = plan.Draft(view)
    if before is not None and before.target_tracking is not None:
        targets.remove_alarms(draft, before, call.now)
    draft.put(policy)
    if policy.target_tracking is not None:
        for alarm in scaling_alarm_pair.alarms_of(view.scope, policy, call.now):
            draft.put(alarm)
            draft.put(alarms_history.configuration_update(view.ids.uuid(), alarm, "Create", view.scope, call.now))
    own = _shown_alarms(view, policy.alarm_names)
    output = {"PolicyARN": scaling_names.policy_arn(view.scope, policy), "Alarms": own}
    return operation.Reply(output=output, plan=draft.plan())


def _kind(params: Any, before: scaling.ScalingPolicy | None) -> str:
    """The PolicyType that a request is about; refuses another kind's configuration."""
    if params.PolicyType is None and before is None:
        raise common.invalid("PolicyType is required when a scaling policy is created.")
    kind: str = params.PolicyType or _policy_type(before)
    for other, member in CONFIGURATIONS.items():
        if other != kind and getattr(params, member) is not None:
            raise common.invalid(f"{member} can not be specified for {kind} policies.")
    return kind


def _policy_type(policy: scaling.ScalingPolicy | None) -> str:
    if policy is not None and policy.predictive_scaling is not None:
        return PREDICTIVE_SCALING
    return STEP_SCALING if policy is not None and policy.step_scaling is not None else TARGET_TRACKING


def _step_policy(
    call: operation.Call, view: views.View, wanted: common.Identity, before: scaling.ScalingPolicy | None
) -> scaling.ScalingPolicy:
    """A step scaling policy. An update leaves its cooldown running, and what it has answered stays answered."""
    known = before.step_scaling if before is not None else None
    return _policy(
        call,
        view,
        wanted,
        before,
        step_scaling=steps.configuration(call.params.StepScalingPolicyConfiguration, known),
        memory=before.memory if before is not None and known is not None else scaling.PolicyMemory(),
    )


def _predictive_policy(
    call: operation.Call,
    view: views.View,
    wanted: common.Identity,
    before: scaling.ScalingPolicy | None,
    target: scaling.ScalableTarget,
    target_groups: load_balancers.TargetGroups,
) -> scaling.ScalingPolicy:
    """A predictive scaling policy. An update leaves the hours that were seen to."""
    given = call.params.PredictiveScalingPolicyConfiguration
    return _policy(
        call,
        view,
        wanted,
        before,
        predictive_scaling=predictive.configuration(
            given, target, common.find_service(view, wanted), wanted, target_groups
        ),
        memory=before.memory
        if before is not None and before.predictive_scaling is not None
        else scaling.PolicyMemory(),
    )


def _tracking_policy(
    call: operation.Call,
    view: views.View,
    wanted: common.Identity,
    before: scaling.ScalingPolicy | None,
    others: list[scaling.ScalingPolicy],
    target_groups: load_balancers.TargetGroups,
    scale_in_datapoints: int | None,
) -> scaling.ScalingPolicy:
    """A target tracking policy. Its cooldowns outlive an update, its alarms don't."""
    configuration = tracking.configuration(
        call.params.TargetTrackingScalingPolicyConfiguration,
        before.target_tracking if before is not None else None,
        common.find_service(view, wanted),
        wanted,
        target_groups,
    )
    rivals = [one.target_tracking for one in others if one.target_tracking is not None]
    if any(tracking.same_metric(rival, configuration) for rival in rivals):
        raise common.invalid("Only one TargetTrackingScaling policy for a given metric specification is allowed.")
    memory = before.memory if before is not None else scaling.PolicyMemory()
    low = (
        None if configuration.disable_scale_in else scaling_alarm_pair.name(wanted.resource_id, "Low", view.ids.uuid())
    )
    return _policy(
        call,
        view,
        wanted,
        before,
        target_tracking=configuration,
        alarm_high=scaling_alarm_pair.name(wanted.resource_id, "High", view.ids.uuid()),
        alarm_low=low,
        scale_in_datapoints=scale_in_datapoints,
        memory=scaling.PolicyMemory(
            out_at=memory.out_at, out_from=memory.out_from, out_to=memory.out_to, in_at=memory.in_at
        ),
    )


def _policy(
    call: operation.Call,
    view: views.View,
    wanted: common.Identity,
    before: scaling.ScalingPolicy | None,
    **kind: Any,
) -> scaling.ScalingPolicy:
    """The policy of one kind; its ARN, creation time and `createdBy` id outlive an update."""
    return scaling.ScalingPolicy(
        namespace=wanted.namespace,
        resource_id=wanted.resource_id,
        dimension=wanted.dimension,
        policy_name=call.params.PolicyName,
        policy_id=before.policy_id if before is not None else view.ids.uuid(),
        created_at=before.created_at if before is not None else call.now,
        created_by_id=before.created_by_id if before is not None else view.ids.uuid(),
        **kind,
    )


def delete_scaling_policy(call: operation.Call, view: views.View) -> operation.Reply:
    """DeleteScalingPolicy: target tracking's alarms go with the policy, step scaling's lose the action only."""
    wanted = common.identity(call.params)
    target = common.find_target(view, wanted)
    found = view.get(scaling.ScalingPolicy, f"{target.key}|{call.params.PolicyName}")
    if found is None:
        raise common.not_found("scaling policy found", wanted, call.params.PolicyName)
    draft = plan.Draft(view)
    targets.remove_policy(draft, found, call.now)
    return operation.Reply(plan=draft.plan())


def describe_scaling_policies(call: operation.Call, view: views.View) -> operation.Reply:
    """DescribeScalingPolicies: those of a namespace, perhaps of one resource, perhaps by name."""
    found, token = common.read_named_page(
        view,
        tables.SCALING_POLICIES,
        "DescribeScalingPolicies",
        call.params,
        names=call.params.PolicyNames,
        names_of=lambda one: (one.policy_name, scaling_names.policy_arn(view.scope, one)),
        limit=POLICIES_PAGE_MAX,
    )
    shown = [_present(view, one) for one in found]
    return operation.Reply(output=common.given(ScalingPolicies=shown, NextToken=token))


def _present(view: views.View, policy: scaling.ScalingPolicy) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "PolicyARN": scaling_names.policy_arn(view.scope, policy),
        "PolicyName": policy.policy_name,
        "ServiceNamespace": policy.namespace,
        "ResourceId": policy.resource_id,
        "ScalableDimension": policy.dimension,
        "PolicyType": _policy_type(policy),
        "CreationTime": policy.created_at,
    }
    if policy.step_scaling is not None:
        shown["StepScalingPolicyConfiguration"] = steps.present(policy.step_scaling)
        shown["Alarms"] = _shown_alarms(view, _alarms_pointing_at(view, policy))
    if policy.predictive_scaling is not None:
        shown["PredictiveScalingPolicyConfiguration"] = predictive.present(policy.predictive_scaling)
    if policy.target_tracking is not None:
        shown["TargetTrackingScalingPolicyConfiguration"] = tracking.present(policy.target_tracking)
        shown["Alarms"] = _shown_alarms(view, policy.alarm_names)
    return shown


def _alarms_pointing_at(view: views.View, policy: scaling.ScalingPolicy) -> list[str]:
    """The user's alarms that carry the policy's ARN as an action, by name; so many of them as are shown."""
    found = view.find(tables.ALARMS, "by_action", scaling_names.policy_arn(view.scope, policy))
    return [alarm.name for alarm in itertools.islice(found, ALARMS_SHOWN_MAX)]


def _shown_alarms(view: views.View, names: Iterable[str]) -> list[dict[str, str]]:
    return [{"AlarmName": name, "AlarmARN": alarms_history.alarm_arn(view.scope, name)} for name in names]
