"""ListMetrics (behaviour.md 2.1): which metrics exist."""

from __future__ import annotations

from roadstead.api import operation
from roadstead.api.cloudwatch import common
from roadstead.base import pagination
from roadstead.signals import metrics
from roadstead.state import view as views

METRICS_MAX = 500
"""Metrics on a page."""


def list_metrics(call: operation.Call, view: views.View) -> operation.Reply:
    """ListMetrics: 500 at a time, ordered by namespace, name, dimensions; those with data in the last two weeks, with
    RecentlyActive those in the last three hours.
    """
    params = call.params
    filters = tuple((each.Name, each.Value) for each in params.Dimensions or ())
    query = f"ListMetrics {(params.Namespace, params.MetricName, filters, params.RecentlyActive)}"
    after: metrics.Metric | None = None
    if params.NextToken is not None:
        position = pagination.read_token(query, params.NextToken)
        after = metrics.from_text(position) if position is not None else None
        if after is None:
            raise common.invalid_value("The specified NextToken is not a token of this request.")
    found = view.signals.list_metrics(
        namespace=params.Namespace,
        name=params.MetricName,
        dimensions=filters,
        now=call.now,
        recently_active=params.RecentlyActive is not None,
        after=after,
        limit=METRICS_MAX + 1,
    )
    token: str | None = None
    if len(found) > METRICS_MAX:
        found = found[:METRICS_MAX]
        token = pagination.make_token(query, metrics.to_text(found[-1]))
    shown = [
        {"Namespace": one.namespace, "MetricName": one.name, "Dimensions": common.present_dimensions(one.dimensions)}
        for one in found
    ]
    return operation.Reply(output=common.given(Metrics=shown, NextToken=token))
