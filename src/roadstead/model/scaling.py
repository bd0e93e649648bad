"""Application Auto Scaling: targets, policies, activities (behaviour.md 1.1-1.5, 1.7)."""

from __future__ import annotations

from typing import Literal

from roadstead.model import alarms, predictive, record

DEFAULT_COOLDOWN_SECONDS = 300
ACTIVITY_RETENTION_SECONDS = 42 * 86_400
"""Scaling activities are kept six weeks (behaviour.md 1.7)."""


class SuspendedState(record.Value, frozen=True, kw_only=True):
    """Which kinds of scaling a user has switched off for a target: True is off."""

    dynamic_scaling_in: bool = False
    dynamic_scaling_out: bool = False
    scheduled_scaling: bool = False


class ScalableTarget(record.Record, frozen=True, kw_only=True):
    """Something whose capacity is scaled within bounds: an ECS service (`namespace` `ecs`, `resource_id`
    `service/<cluster>/<service>`, `dimension` `ecs:service:DesiredCount`) or a custom resource (`custom-resource`, its
    endpoint's URL, `custom-resource:ResourceType:Property`).
    """

    namespace: str
    resource_id: str
    dimension: str
    target_id: str
    """The last part of ScalableTargetARN."""
    created_at: float
    min_capacity: int
    max_capacity: int
    role_arn: str
    suspended: SuspendedState = SuspendedState()
    tags: tuple[record.Tag, ...] = ()
    enforce_bounds_at: float | None = None
    """Set by RegisterScalableTarget and by scheduled actions: bounds are to be enforced; cleared by
    `control.service_scaling` when done."""
    custom_role_arn: str | None = None
    """The RoleARN that the caller gave, where that is not ECS's service-linked role: stored to refuse predictive
    scaling, which works with that role only. `role_arn` is the service-linked one whatever was given."""
    scheduled_resumed_at: float | None = None
    """When scheduled scaling was last no longer suspended: what was due until then is skipped for good."""

    @property
    def key(self) -> str:
        return target_key(self.namespace, self.resource_id, self.dimension)


def target_key(namespace: str, resource_id: str, dimension: str) -> str:
    """The identity of a scalable target (behaviour.md 1.1)."""
    return f"{namespace}|{resource_id}|{dimension}"


class TargetTracking(record.Value, frozen=True, kw_only=True):
    """A target tracking configuration (behaviour.md 1.3.1)."""

    target_value: float
    predefined_metric: str | None = None
    """`ECSServiceAverageCPUUtilization`, …"""
    resource_label: str | None = None
    customized_metric: CustomizedMetric | None = None
    metrics: tuple[alarms.MetricQuery, ...] = ()
    """Metric math in place of one customized metric; all of its periods are 60 s."""
    scale_out_cooldown_seconds: int = DEFAULT_COOLDOWN_SECONDS
    scale_in_cooldown_seconds: int = DEFAULT_COOLDOWN_SECONDS
    disable_scale_in: bool = False

    @property
    def metric_name(self) -> str:
        """What is tracked, in a word: the metric's name; of metric math the expression's label, or the expression."""
        if self.predefined_metric is not None:
            return self.predefined_metric
        if self.customized_metric is not None:
            return self.customized_metric.metric_name
        return alarms.name_of(self.metrics)


class CustomizedMetric(record.Value, frozen=True, kw_only=True):
    """A CloudWatch metric that target tracking follows: CustomizedMetricSpecification without metric math."""

    namespace: str
    metric_name: str
    statistic: Literal["Average", "Minimum", "Maximum", "SampleCount", "Sum"]
    dimensions: tuple[tuple[str, str], ...] = ()
    unit: str | None = None


class Datapoints(record.Value, frozen=True, kw_only=True):
    """So many breaching data points of so many periods."""

    needed: int
    periods: int


class TrackingOptions(record.Value, frozen=True, kw_only=True):
    """What target tracking can do here and not on AWS (decision 0023). The defaults are AWS's way."""

    scale_out_datapoints: Datapoints | None = None
    scale_in_datapoints: Datapoints | None = None
    """None: AWS's number (behaviour.md 1.3.2)."""
    scale_out_period_seconds: int | None = None
    scale_in_period_seconds: int | None = None
    """None: the metric's own."""
    scale_in_threshold_percent: int = 90
    """The low alarm's threshold, of the target."""
    scale_out_gain_percent: int = 100
    scale_in_gain_percent: int = 100
    """How much of the change that the formula asks for is made at once."""
    scale_out_step_max: int | None = None
    scale_in_step_max: int | None = None
    """How much capacity one decision adds or takes at most."""
    scale_to_zero_after_seconds: int = 0
    """For how long zero must have been asked for before the last one goes."""


class StepAdjustment(record.Value, frozen=True, kw_only=True):
    """One step: which distances from the alarm's threshold it is for, and how much it adjusts (behaviour.md 1.4)."""

    lower_bound: float | None = None
    """None: without end downwards."""
    upper_bound: float | None = None
    """None: without end upwards."""
    adjustment: int


AdjustmentType = Literal["ChangeInCapacity", "PercentChangeInCapacity", "ExactCapacity"]
AggregationType = Literal["Average", "Minimum", "Maximum"]


class StepScaling(record.Value, frozen=True, kw_only=True):
    """A step scaling configuration (behaviour.md 1.4)."""

    adjustment_type: AdjustmentType
    steps: tuple[StepAdjustment, ...]
    """In the order in which they were given."""
    minimum_magnitude: int | None = None
    """MinAdjustmentMagnitude, with PercentChangeInCapacity only."""
    cooldown_seconds: int = DEFAULT_COOLDOWN_SECONDS
    aggregation: AggregationType | None = None
    """None, as it was left: Average."""


class PolicyMemory(record.Value, frozen=True, kw_only=True):
    """The newest scaling of one policy, for its cooldowns (behaviour.md 1.3.4); `control.service_scaling` writes it."""

    out_at: float | None = None
    out_from: int = 0
    out_to: int = 0
    in_at: float | None = None
    idle_since: float | None = None
    """Since when target tracking has been asking for zero, where it has to wait with that."""
    handled_evaluation: dict[str, float] = {}
    """For each alarm (by name): the time of its newest evaluation or repeat that was acted upon."""
    predicted_hour: float | None = None
    """Predictive scaling: start of the newest hour whose predicted capacity was seen to."""


class ScalingPolicy(record.Record, frozen=True, kw_only=True):
    """A policy of one of its kinds: that whose configuration it has."""

    namespace: str
    resource_id: str
    dimension: str
    policy_name: str
    policy_id: str
    """The UUID in the policy's ARN."""
    created_at: float
    target_tracking: TargetTracking | None = None
    step_scaling: StepScaling | None = None
    predictive_scaling: predictive.PredictiveScaling | None = None
    created_by_id: str
    """The UUID behind `createdBy/` in the alarms' action."""
    alarm_high: str = ""
    """Name of target tracking's alarm that asks for more; empty for other kinds, whose alarms are the user's."""
    alarm_low: str | None = None
    """Name of target tracking's alarm that asks for less; None with DisableScaleIn, and for other kinds."""
    scale_in_datapoints: int | None = None
    """For how many periods at most that alarm waits, where the server was set so when the policy was put."""
    options: TrackingOptions = TrackingOptions()
    """What the target's tags say of it, for target tracking."""
    memory: PolicyMemory = PolicyMemory()

    @property
    def tracking(self) -> TargetTracking:
        """The configuration of a policy that is known to be a target tracking one."""
        assert self.target_tracking is not None, f"{self.policy_name} is no target tracking policy"
        return self.target_tracking

    @property
    def alarm_names(self) -> tuple[str, ...]:
        """The alarms that it owns: target tracking's one or two."""
        return tuple(name for name in (self.alarm_high, self.alarm_low) if name)

    @property
    def target_key(self) -> str:
        return target_key(self.namespace, self.resource_id, self.dimension)

    @property
    def key(self) -> str:
        return f"{self.target_key}|{self.policy_name}"


class ScheduledAction(record.Record, frozen=True, kw_only=True):
    """New bounds for a scalable target at times (behaviour.md 1.5). Written by the API, but for `last_due_at`."""

    namespace: str
    resource_id: str
    dimension: str
    action_name: str
    action_id: str
    """The UUID in the action's ARN."""
    created_at: float
    schedule: str
    """`at(…)`, `rate(…)` or `cron(…)`: checked."""
    timezone: str | None = None
    """IANA name, for `at` and `cron`; None: UTC."""
    start_at: float | None = None
    end_at: float | None = None
    min_capacity: int | None = None
    max_capacity: int | None = None
    anchor_at: float
    """When the count of a `rate` without `start_at` begins."""
    effective_at: float
    """When it was last put: only what is due later is run."""
    last_due_at: float | None = None
    """The newest time at which it was due and was run, or failed; `control.scheduled_scaling` writes it."""

    @property
    def target_key(self) -> str:
        return target_key(self.namespace, self.resource_id, self.dimension)

    @property
    def key(self) -> str:
        return f"{self.target_key}|{self.action_name}"


class NotScaledReason(record.Value, frozen=True, kw_only=True):
    """Why an activity changed nothing: AWS's code, with the capacities that it tells (behaviour.md 1.7)."""

    code: Literal[
        "AutoScalingAnticipatedFlapping",
        "TargetServicePutResourceAsUnscalable",
        "AlreadyAtMaxCapacity",
        "AlreadyAtMinCapacity",
        "AlreadyAtDesiredCapacity",
    ]
    max_capacity: int | None = None
    min_capacity: int | None = None
    current_capacity: int | None = None


class ScalingNumbers(record.Value, frozen=True, kw_only=True):
    """The numbers that a decision was made from (law 7), and what they are of: shown by `roadstead explain`."""

    alarm_name: str | None = None
    metric_name: str | None = None
    metric_value: float | None = None
    target_value: float | None = None
    threshold: float | None = None
    """Step scaling: the alarm's."""
    capacity: int | None = None
    """Running count that the formula started from."""
    proposed: int | None = None
    bounded: int | None = None
    predicted: int | None = None
    """The capacity predicted for the hour, where that is what kept a service from scaling in (further)."""
    min_capacity: int | None = None
    max_capacity: int | None = None
    formula: str | None = None
    """`ceil(4 × 78.1 / 60) = 6`."""


class ScalingActivity(record.Record, frozen=True, kw_only=True):
    """A scaling, or (with `not_scaled`) an attempt that changed nothing (behaviour.md 1.7)."""

    activity_id: str
    namespace: str
    resource_id: str
    dimension: str
    started_at: float
    number: int = 0
    """Orders activities that began in the same moment."""
    ended_at: float | None = None
    status: Literal["Pending", "InProgress", "Successful", "Overridden", "Unfulfilled", "Failed"]
    description: str
    cause: str
    status_message: str | None = None
    details: str | None = None
    from_count: int | None = None
    to_count: int | None = None
    policy_name: str | None = None
    not_scaled: tuple[NotScaledReason, ...] = ()
    numbers: ScalingNumbers = ScalingNumbers()

    @property
    def target_key(self) -> str:
        return target_key(self.namespace, self.resource_id, self.dimension)

    @property
    def key(self) -> str:
        return self.activity_id
