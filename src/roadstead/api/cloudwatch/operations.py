"""The table of CloudWatch's operations that are served."""

from __future__ import annotations

from typing import Any

from roadstead.api import operation
from roadstead.api.cloudwatch import (
    alarms,
    composite_alarms,
    describe_alarms,
    history,
    listing,
    metric_data,
    metric_statistics,
    put_metric_data,
    tags,
)


def _operation(name: str, decide: Any, *accepts: str, **more: Any) -> operation.Operation:
    return operation.Operation(service="cloudwatch", name=name, decide=decide, accepts=frozenset(accepts), **more)


_ALARM = (
    "AlarmName", "AlarmDescription", "ActionsEnabled", "OKActions", "AlarmActions", "InsufficientDataActions",
    "MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Dimensions", "Period", "Unit", "EvaluationPeriods",
    "DatapointsToAlarm", "Threshold", "ComparisonOperator", "TreatMissingData", "EvaluateLowSampleCountPercentile",
    "Tags",
    "Metrics.Id", "Metrics.MetricStat", "Metrics.Expression", "Metrics.Period", "Metrics.Label", "Metrics.ReturnData",
)  # fmt: skip

OPERATIONS: tuple[operation.Operation, ...] = (
    _operation(
        "PutMetricData",
        put_metric_data.put_metric_data,
        "Namespace",
        "MetricData",
        note="Data can be read at once. Namespaces that begin with AWS/ are refused. A request is at most 1 MB as it "
        "is sent: compressed by gzip, where it is.",
        body_bytes_max=put_metric_data.BODY_BYTES_MAX,
    ),
    _operation(
        "GetMetricStatistics",
        metric_statistics.get_metric_statistics,
        "Namespace", "MetricName", "Dimensions", "StartTime", "EndTime", "Period", "Statistics", "ExtendedStatistics",
        "Unit",
        note="Percentiles interpolate between closest ranks; AWS does not publish its arithmetic.",
    ),
    _operation(
        "GetMetricData",
        metric_data.get_metric_data,
        "MetricDataQueries.Id", "MetricDataQueries.MetricStat", "MetricDataQueries.Expression",
        "MetricDataQueries.Period", "MetricDataQueries.Label", "MetricDataQueries.ReturnData",
        "StartTime", "EndTime", "NextToken", "ScanBy", "MaxDatapoints",
        note="All metrics of one expression must have the same period. Without Metrics Insights, dynamic labels and "
        "the functions ANOMALY_DETECTION_BAND, INSIGHT_RULE_METRIC, SERVICE_QUOTA, LAMBDA, DB_PERF_INSIGHTS.",
    ),
    _operation(
        "ListMetrics",
        listing.list_metrics,
        "Namespace", "MetricName", "Dimensions", "NextToken", "RecentlyActive",
        note="New metrics are listed at once.",
    ),
    _operation(
        "PutMetricAlarm",
        alarms.put_metric_alarm,
        *_ALARM,
        note="Alarms on one metric or on metric math, with a static threshold. All metrics that an alarm on metric "
        "math watches must have the same period. The only actions are scaling policies of ECS services; others (SNS, "
        "EC2, Lambda) are refused.",
        body_bytes_max=alarms.BODY_BYTES_MAX,
        body_counts_inflated=True,
    ),
    _operation(
        "PutCompositeAlarm",
        composite_alarms.put_composite_alarm,
        "AlarmName", "AlarmDescription", "ActionsEnabled", "OKActions", "AlarmActions", "InsufficientDataActions",
        "AlarmRule", "ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod", "Tags",
        note="Actions are kept, but this server delivers none: the history tells each that ran as failed.",
    ),
    _operation(
        "DescribeAlarms",
        describe_alarms.describe_alarms,
        "AlarmNames", "AlarmNamePrefix", "AlarmTypes", "StateValue", "ActionPrefix", "ChildrenOfAlarmName",
        "ParentsOfAlarmName", "MaxRecords", "NextToken",
        note="Composite alarms come before metric alarms.",
    ),
    _operation(
        "DescribeAlarmsForMetric",
        describe_alarms.describe_alarms_for_metric,
        "Namespace", "MetricName", "Dimensions", "Statistic", "ExtendedStatistic", "Period", "Unit",
    ),
    _operation(
        "DescribeAlarmContributors",
        describe_alarms.describe_alarm_contributors,
        "AlarmName", "NextToken",
        note="Always none: alarms on Metrics Insights queries, the only ones that have some, are not served.",
    ),
    _operation(
        "DeleteAlarms",
        alarms.delete_alarms,
        "AlarmNames",
        note="Deletes those of the names that exist; ResourceNotFound where none does. The alarms of a target tracking "
        "policy are put back at once, as long as the policy is there.",
    ),
    _operation(
        "DescribeAlarmHistory",
        history.describe_alarm_history,
        "AlarmName", "AlarmTypes", "HistoryItemType", "StartDate", "EndDate", "MaxRecords", "NextToken", "ScanBy",
        note="A scaling action is told once a state, not at each of its repeats.",
    ),
    _operation(
        "SetAlarmState", alarms.set_alarm_state, "AlarmName", "StateValue", "StateReason", "StateReasonData",
        note="Without recentDatapoints in StateReasonData, scaling policies count with the metric's newest value.",
    ),
    _operation("EnableAlarmActions", alarms.enable_alarm_actions, "AlarmNames"),
    _operation("DisableAlarmActions", alarms.disable_alarm_actions, "AlarmNames"),
    _operation("TagResource", tags.tag_resource, "ResourceARN", "Tags", note="Alarms only."),
    _operation("UntagResource", tags.untag_resource, "ResourceARN", "TagKeys", note="Alarms only."),
    _operation("ListTagsForResource", tags.list_tags_for_resource, "ResourceARN", note="Alarms only."),
)  # fmt: skip
"""All of them."""
