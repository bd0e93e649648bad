"""Traffic from a metric that a running server has recorded. Who calls the server is the command line; this is pure.

`parse` reads what a user names, `queries` says what to ask GetMetricData for, `recording` makes rates of the answer: a
Sum is divided by its period, any other statistic is a rate already. The CPU utilization of a service is turned into
requests: the cores that all its tasks burned, over what one request costs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from roadstead.lab import problems, recordings, scenario, spans

PERIODS = ((15 * 86_400.0, 60), (63 * 86_400.0, 300), (455 * 86_400.0, 3600))
"""How long data are kept, and in which periods (behaviour.md 2.1)."""
SAMPLE_SECONDS = 20
"""Each task is measured so often: SampleCount counts that (behaviour.md 2.7)."""
UTILIZATION_FULL = 98.0
"""Percent: tasks as busy as this may have had more to do than they could."""
EXAMPLE = "MyApp/Requests[Service=web]:Sum"
_WORDS = re.compile(r"(?P<path>[^\[\]]+?)(?:\[(?P<dimensions>.*)\])?(?::(?P<statistic>[^\[\]:/]+))?")


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...] = ()
    statistic: str = "Sum"
    is_service_cpu: bool = False
    """It is a service's CPU utilization: requests are worked out from it."""

    @property
    def title(self) -> str:
        """As a user would write it."""
        of = ",".join(f"{name}={value}" for name, value in self.dimensions)
        statistic = "" if self.is_service_cpu else f":{self.statistic}"
        return f"{self.namespace}/{self.name}{f'[{of}]' if of else ''}{statistic}"


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """A query's answer, pages put together, oldest first."""

    moments: Sequence[float]
    values: Sequence[float]


def parse(text: str) -> Metric:
    """`NAMESPACE/METRIC[Dimension=value,…][:Statistic]`. Raises problems.Invalid."""
    found = _WORDS.fullmatch(text.strip())
    namespace, _, name = found["path"].rpartition("/") if found else ("", "", "")
    if found is None or not namespace or not name:
        raise problems.Invalid(f"{text!r} names no metric: say for example {EXAMPLE}", field="--from-metric")
    dimensions = []
    for one in found["dimensions"].split(",") if found["dimensions"] else ():
        key, equals, value = one.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise problems.Invalid(f"{one!r} is no dimension: say Name=value", field="--from-metric")
        dimensions.append((key.strip(), value.strip()))
    is_cpu = (namespace, name) == ("AWS/ECS", "CPUUtilization") and found["statistic"] is None
    if is_cpu and {key for key, _ in dimensions} != {"ClusterName", "ServiceName"}:
        raise problems.Invalid(
            "requests can be worked out from one service's CPU: AWS/ECS/CPUUtilization[ClusterName=…,ServiceName=…]",
            field="--from-metric",
        )
    return Metric(
        namespace=namespace,
        name=name,
        dimensions=tuple(dimensions),
        statistic=found["statistic"] or "Sum",
        is_service_cpu=is_cpu,
    )


def service_cpu(cluster: str, service: str) -> Metric:
    """The CPU utilization of a service."""
    return Metric(
        namespace="AWS/ECS",
        name="CPUUtilization",
        dimensions=(("ClusterName", cluster), ("ServiceName", service)),
        is_service_cpu=True,
    )


def period_seconds(since_seconds: float) -> int:
    """The finest period of which data so old are still there. Raises problems.Invalid."""
    for keep_seconds, period in PERIODS:
        if since_seconds + period <= keep_seconds:
            return period
    raise problems.Invalid(f"metrics are kept for {spans.show_span(PERIODS[-1][0])}", field="--since")


def queries(metric: Metric, period_seconds: int) -> list[dict[str, Any]]:
    """MetricDataQueries of GetMetricData; their ids are those that `recording` reads."""
    dimensions = [{"Name": name, "Value": value} for name, value in metric.dimensions]
    what = {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions}
    statistics = {"sum": "Sum", "samples": "SampleCount"} if metric.is_service_cpu else {"rate": metric.statistic}
    return [
        {"Id": name, "MetricStat": {"Metric": what, "Period": period_seconds, "Stat": statistic}}
        for name, statistic in statistics.items()
    ]


def recording(
    metric: Metric, answers: Mapping[str, Series], period_seconds: int, service: scenario.Service
) -> scenario.Recorded:
    """Requests a second. Raises problems.Invalid where there are no data, or values that are no rates."""
    first = next(iter(answers.values()), None)
    if first is None or not first.moments:
        raise problems.Invalid(
            f"{metric.title} has no data in that time: `aws cloudwatch list-metrics` shows what there is"
        )
    notes: tuple[str, ...] = ()
    if metric.is_service_cpu:
        builder = recordings.Builder(metric.title)
        notes = _of_cpu(builder, answers["sum"], answers["samples"], period_seconds, service)
    else:
        builder = recordings.Builder(metric.title, period_seconds if metric.statistic == "Sum" else None)
        for moment, value in zip(first.moments, first.values, strict=True):
            builder.add(moment, value)
    made = builder.done(metric.title)
    return scenario.Recorded(title=metric.title, recording=msgspec.structs.replace(made, notes=(*made.notes, *notes)))


def _of_cpu(
    builder: recordings.Builder, sums: Series, samples: Series, period_seconds: int, service: scenario.Service
) -> tuple[str, ...]:
    if not service.cpu_seconds_per_request:
        raise problems.Invalid("service.cpu_seconds_per_request is 0: requests can't be worked out from CPU")
    counts = dict(zip(samples.moments, samples.values, strict=True))
    cores = service.cpu_units / 1024.0
    full = 0
    for moment, percents in zip(sums.moments, sums.values, strict=True):
        count = counts.get(moment, 0.0)
        busy = max(0.0, percents - count * service.cpu_percent_idle) / 100.0
        builder.add(moment, busy * cores * SAMPLE_SECONDS / period_seconds / service.cpu_seconds_per_request)
        full += bool(count) and percents / count >= UTILIZATION_FULL
    told = f"Requests are worked out from CPU: {service.cpu_seconds_per_request:g} s of it are one"
    if not full:
        return (told,)
    minutes = full * period_seconds / 60
    return told, f"For {minutes:,.0f} min the tasks were as busy as they can be: there may have been more requests"


def to_csv(recording: recordings.Recording) -> bytes:
    """What `--trace` reads again."""
    lines = ["timestamp,requests_per_second"]
    lines += [f"{moment:.0f},{rate:.6g}" for moment, rate in zip(recording.moments, recording.rates, strict=True)]
    return ("\n".join(lines) + "\n").encode()
