"""Predictive scaling: a policy's configuration, and the forecast that belongs to it (behaviour.md 1.6)."""

from __future__ import annotations

from typing import Literal

from roadstead.model import alarms, record

HOUR_SECONDS = 3600
HISTORY_HOURS_MAX = 14 * 24
"""How much history a forecast is made from."""
HISTORY_HOURS_MIN = 24
"""Hours with data that the first forecast needs."""
FORECAST_HOURS = 48
REFRESH_SECONDS = 6 * HOUR_SECONDS
"""A forecast so old is made anew."""
BUFFER_SECONDS_DEFAULT = 300
"""SchedulingBufferTime where none is given."""


class PredictiveMetric(record.Value, frozen=True, kw_only=True):
    """One of a policy's metrics: a predefined one, or the queries of a customized one."""

    predefined: str | None = None
    target_group: tuple[tuple[str, str], ...] = ()
    """Dimensions in AWS/ApplicationELB, of a predefined metric that counts a load balancer's requests."""
    resource_label: str | None = None
    """As it was given, where there is a target group."""
    queries: tuple[alarms.MetricQuery, ...] = ()


class PredictiveMetrics(record.Value, frozen=True, kw_only=True):
    """What a forecast is made from: `pair`, or `load` with `scaling`."""

    pair: PredictiveMetric | None = None
    load: PredictiveMetric | None = None
    scaling: PredictiveMetric | None = None
    capacity: PredictiveMetric | None = None
    """CustomizedCapacityMetricSpecification; None: the service's tasks are counted."""


class PredictiveScaling(record.Value, frozen=True, kw_only=True):
    """A predictive scaling configuration."""

    target_value: float
    metrics: PredictiveMetrics
    mode: Literal["ForecastOnly", "ForecastAndScale"] = "ForecastOnly"
    buffer_seconds: int = BUFFER_SECONDS_DEFAULT
    """SchedulingBufferTime: how long before an hour its capacity is there."""
    max_capacity_breach: Literal["HonorMaxCapacity", "IncreaseMaxCapacity"] = "HonorMaxCapacity"
    max_capacity_buffer_percent: int | None = None
    """With IncreaseMaxCapacity only."""


class History(record.Value, frozen=True, kw_only=True):
    """Hour by hour what was measured, gathered some hours at a time. Written by `control.predictive_scaling`."""

    begun_at: float
    """When the gathering from the oldest hour on began."""
    begin: float
    """Start of the first hour."""
    load: tuple[float | None, ...] = ()
    """The load of each hour; None where too little of it was measured."""
    used: tuple[float | None, ...] = ()
    """For metrics whose relation has to be found: scaling metric × capacity of each hour, as many as there are loads;
    else empty."""

    @property
    def end(self) -> float:
        """Start of the first hour that isn't gathered yet."""
        return self.begin + len(self.load) * HOUR_SECONDS

    @property
    def known(self) -> int:
        """How many hours have data."""
        return sum(1 for one in self.load if one is not None)


class Prediction(record.Value, frozen=True, kw_only=True):
    """What came of a question. Written by whoever computes (`control.forecasting`)."""

    asked_at: float
    """The question's."""
    begin: float = 0.0
    """Start of the first hour."""
    load: tuple[float, ...] = ()
    """The load expected in each hour."""
    relation: float = 1.0
    """Scaling metric × capacity for each unit of load."""
    error_percent: float | None = None
    """How far the same method, asked a day earlier, was from what came in that day: the sum of all differences in
    percent of the sum of loads. None where the history is too short to tell."""
    history_hours: int = 0
    """Hours with data that it was made from."""
    problem: str | None = None
    """Why nothing came of it; then nothing else is set."""


class Forecast(record.Record, frozen=True, kw_only=True):
    """The forecast of one predictive scaling policy; its key is the policy's."""

    namespace: str
    resource_id: str
    dimension: str
    policy_name: str
    policy_id: str
    target_key: str
    metrics: PredictiveMetrics
    """Those of the policy when this was begun; with others it is begun anew."""
    history: History
    asked_at: float | None = None
    """Since when a forecast of this history is asked for."""
    answer: Prediction | None = None
    """What came of the newest question that was answered."""
    newest: Prediction | None = None
    """The newest answer without a problem, kept while the next is asked for; written with `answer`."""
    told_until: float = 0.0
    """The hours before this one were published as metrics of what was expected."""

    @property
    def is_asked(self) -> bool:
        """Whether somebody has to compute."""
        return self.asked_at is not None and (self.answer is None or self.answer.asked_at != self.asked_at)

    @property
    def key(self) -> str:
        return f"{self.target_key}|{self.policy_name}"
