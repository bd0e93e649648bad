"""A scenario: the traffic, what one task can do, its price, and what is good enough. Read from YAML by `load`.

Nothing here runs anything. Every field that stands in a scenario has an effect, and one that doesn't exist is refused
with its line. Spans are seconds, rates requests per second.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from roadstead.lab import documents, problems, recordings, spans

START = 1_767_571_200.0
"""2026-01-05T00:00:00Z, a Monday."""
EARLIEST = 315_532_800.0
"""1980-01-01: smaller moments of a trace count from its beginning, not from 1970."""
SLOT_SECONDS = 20
"""Traffic is level for so long; the finest metrics have that period, too."""
DURATION_SECONDS_MAX = 2 * 366 * 86_400
HISTORY_SECONDS_MAX = 14 * 86_400
STEPS_MAX = 1_100_000
"""Rows of a run's series: two years of minutes."""
SCENARIO_BYTES_MAX = 1_000_000
TASKS_MAX = 5_000
"""ECS's quota of tasks of a service."""
INSTANCES_MAX = 5_000
"""ECS's quota of container instances of a cluster."""
ZONES_MAX = 6
TASK_HOUR = 0.04048 + 2 * 0.004445
"""What a task costs where nothing is said: 1 vCPU and 2 GB on Fargate (Linux/x86, us-east-1, 2026)."""

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0, le=TASKS_MAX)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Root of everything that a scenario is made of."""


class Constant(Part, frozen=True, kw_only=True):
    """The same rate all the time, in requests per second."""

    rate: NotNegative


class Diurnal(Part, frozen=True, kw_only=True):
    """A day's swing: a cosine between `low` at night and `high` at `peak` (time of day, UTC)."""

    low: NotNegative
    high: NotNegative
    peak: spans.Hour = spans.Hour(14.0)


class Ramp(Part, frozen=True, kw_only=True):
    """Level at `from`, then a straight line between two moments after the start, then level at `to`."""

    low: NotNegative = msgspec.field(name="from")
    high: NotNegative = msgspec.field(name="to")
    begin: spans.Span = spans.Span(0)
    end: spans.Span


class Spike(Part, frozen=True, kw_only=True):
    """For `duration` from `at` on, what stands before it in the list is multiplied by `factor`."""

    at: spans.Span
    duration: spans.Span
    factor: NotNegative


class FlashCrowd(Part, frozen=True, kw_only=True):
    """`peak` requests a second more: there after `rise`, for `hold`, then half as many every `half_life`."""

    at: spans.Span
    peak: Positive
    rise: spans.Span = spans.Span(300)
    hold: spans.Span = spans.Span(600)
    half_life: spans.Span = spans.Span(900)


class Weekend(Part, frozen=True, kw_only=True):
    """On these days (UTC) what stands before it in the list is multiplied by `factor`."""

    factor: NotNegative
    days: tuple[Day, ...] = ("sat", "sun")


class Growth(Part, frozen=True, kw_only=True):
    """What stands before it in the list grows by `percent` with each `per`, compounding."""

    percent: Annotated[float, msgspec.Meta(gt=-100)]
    per: spans.Span = spans.Span(604_800)


class Noise(Part, frozen=True, kw_only=True):
    """What stands before it in the list is multiplied, each 20 s anew, by 1 with a standard deviation of `percent`."""

    percent: NotNegative


class Scale(Part, frozen=True, kw_only=True):
    """What stands before it in the list is multiplied by `factor`."""

    factor: NotNegative


class Trace(Part, frozen=True, kw_only=True):
    """A recording (`lab.traces`): a CSV, a Parquet file, or what `aws cloudwatch get-metric-data` printed."""

    file: str
    """Relative to the scenario."""
    timestamp: str | None = None
    """Name of the column; else the one that is called so, or the first."""
    rate: str | None = None
    """Name of the column; else the one that is called so, or the second."""
    id: str | None = None
    """Which of several results of GetMetricData."""
    period: spans.Span | None = None
    """Given where values are sums over a period (RequestCount with the statistic Sum): they are divided by it."""
    repeat: bool = False
    """Begin again where the recording ends before the scenario."""
    align: bool = True
    """The recording's first moment is the scenario's start; else its moments are taken as they are."""


class Recorded(Part, frozen=True, kw_only=True):
    """A recording that is in memory already, as that of a running server's metric. YAML can't give it."""

    title: str
    recording: recordings.Recording


class TrafficPart(Part, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the list `traffic`: exactly one of these. Sources add up, the others change what is before them."""

    constant: Constant | None = None
    diurnal: Diurnal | None = None
    ramp: Ramp | None = None
    flash_crowd: FlashCrowd | None = None
    trace: Trace | None = None
    spike: Spike | None = None
    weekend: Weekend | None = None
    growth: Growth | None = None
    noise: Noise | None = None
    scale: Scale | None = None
    recorded: Recorded | None = msgspec.field(default=None, name="(recorded)")

    def __post_init__(self) -> None:
        given = [name for name in self.__struct_fields__ if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"exactly one of {', '.join(self.__struct_fields__[:-1])} is needed here, {len(given)} are given"
            )

    @property
    def kind(self) -> Part:
        """The one that is given."""
        found = next(one for name in self.__struct_fields__ if (one := getattr(self, name)) is not None)
        assert isinstance(found, Part)
        return found


class Timing(Part, frozen=True, kw_only=True):
    """How long something takes: normally distributed, never less than a tenth of the mean; or like one of those that
    were `observed`, each as likely as the next."""

    mean: spans.Span | None = None
    deviation: spans.Span = spans.Span(0)
    observed: tuple[spans.Span, ...] = ()

    def __post_init__(self) -> None:
        if (self.mean is None) == (not self.observed):
            raise ValueError("give either mean (and deviation), or a list of observed times")
        if self.observed and self.deviation:
            raise ValueError("observed times have no deviation beside them: leave it out")


class Service(Part, frozen=True, kw_only=True):
    """What one task can do."""

    requests_per_second: Positive
    """What one task serves at most."""
    cpu_seconds_per_request: NotNegative
    cpu_units: Annotated[int, msgspec.Meta(ge=128, le=196_608)] = 1024
    """What a task reserves: CPUUtilization is in percent of this. 1024 units are one core."""
    cpu_percent_idle: Annotated[float, msgspec.Meta(ge=0, lt=100)] = 0.0
    """CPUUtilization without any request."""
    memory_mib: Annotated[int, msgspec.Meta(ge=6, le=1_000_000)] = 512
    memory_used_mib: NotNegative = 128.0
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 8
    """Requests that a task works on at once."""
    queue: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 100
    """Requests that wait in front of a task; more are dropped."""
    start_time: Timing = Timing(mean=spans.Span(40), deviation=spans.Span(10))
    """From placement to RUNNING."""
    stop_time: spans.Span = spans.Span(5)


class Tasks(Part, frozen=True, kw_only=True):
    """The scalable target's bounds, and the count to begin with."""

    min: Count = 1
    max: Count = 100
    initial: Count | None = None
    """Else `min`, but at least one. What happens during the warm-up isn't counted."""

    def __post_init__(self) -> None:
        if self.min > self.max:
            raise ValueError("min must not be more than max")


class PlacementStrategy(Part, frozen=True, kw_only=True):
    """As CreateService takes it: `{type: binpack, field: memory}`."""

    type: str
    field: str | None = None


class Fleet(Part, frozen=True, kw_only=True):
    """Container instances of one size: an Auto Scaling group behind a capacity provider, with managed scaling and
    managed termination protection (behaviour.md 3). Without a fleet there is room for every task."""

    cpu_units: Annotated[int, msgspec.Meta(ge=128, le=1_000_000)]
    """What one instance has for tasks."""
    memory_mib: Annotated[int, msgspec.Meta(ge=128, le=100_000_000)]
    """The same: what its system and its agent need is not in it."""
    boot_time: Timing = Timing(mean=spans.Span(90), deviation=spans.Span(15))
    """From launch until it has joined the cluster."""
    min: Annotated[int, msgspec.Meta(ge=0, le=INSTANCES_MAX)] = 0
    max: Annotated[int, msgspec.Meta(ge=1, le=INSTANCES_MAX)]
    target_capacity: Annotated[int, msgspec.Meta(ge=1, le=100)] = 100
    """Percent of the instances that should have tasks."""
    minimum_scaling_step_size: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1
    maximum_scaling_step_size: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 10_000
    instance_warmup_period: spans.Span = spans.Span(300)
    zones: Annotated[int, msgspec.Meta(ge=1, le=ZONES_MAX)] = 3
    placement_strategy: tuple[PlacementStrategy, ...] = ()
    """The service's; none means ECS's own choice: spread over zones, then over instances."""

    def __post_init__(self) -> None:
        if self.min > self.max:
            raise ValueError("min must not be more than max")
        if self.instance_warmup_period > 10_000:
            raise ValueError("instance_warmup_period must be at most 10000s")


class Prices(Part, frozen=True, kw_only=True):
    """What an hour costs, of a task or of an instance, in `currency`."""

    task_hour: NotNegative | None = None
    """Else `TASK_HOUR`; nothing where there is a fleet, which is paid by the instance."""
    instance_hour: NotNegative | None = None
    """Of the fleet; from launch to end."""
    currency: str = "$"


class Objective(Part, frozen=True, kw_only=True):
    """A moment in which any of these limits is passed is out of objective; at most `minutes` of them are fine."""

    utilization_percent: Positive | None = None
    """Of what the running tasks can serve."""
    latency_p99: spans.Span | None = None
    dropped_percent: NotNegative | None = None
    minutes: NotNegative = 0.0

    def __post_init__(self) -> None:
        if self.utilization_percent is None and self.latency_p99 is None and self.dropped_percent is None:
            raise ValueError("give utilization_percent, latency_p99 or dropped_percent")


class Sweep(Part, frozen=True, kw_only=True):
    """A policy with every combination of values (`lab.sweeps`): `{TargetValue: 40:90:5, HighResolution: [true]}`."""

    policy: str | None = None
    """Its file, relative to the scenario; else target tracking on CPU."""
    parameters: Annotated[dict[str, bool | int | float | str | list[bool | int | float]], msgspec.Meta(min_length=1)]


class Scenario(Part, frozen=True, kw_only=True):
    """See the module. Made by `load`, or in code."""

    name: str
    traffic: Annotated[tuple[TrafficPart, ...], msgspec.Meta(min_length=1, max_length=100)]
    service: Service
    objective: Objective
    tasks: Tasks = Tasks()
    fleet: Fleet | None = None
    prices: Prices = Prices()
    start: spans.Moment | None = None
    """Else the trace's first moment where there is one alone, else Monday, 2026-01-05."""
    duration: spans.Span | None = None
    """Else the trace's; needed where there is none."""
    step: spans.Span = spans.Span(60)
    """How often the world is looked at for the series and the objective."""
    warm_up: spans.Span = spans.Span(3600)
    """So long before the start policies run on the first moment's traffic; it isn't counted."""
    history: spans.Span = spans.Span(14 * 86_400)
    """How much of the traffic before the start policies that forecast are given; 0 for none. Traces that don't repeat
    have none before their first moment."""
    policies: tuple[str, ...] = ()
    """Files of policies to try, relative to the scenario."""
    fixed: tuple[Annotated[int, msgspec.Meta(ge=1, le=TASKS_MAX)], ...] = ()
    """Fixed counts to compare with."""
    sweep: tuple[Sweep, ...] = ()
    seed: int = 1
    folder: str = msgspec.field(default=".", name="(folder)")
    """Where `trace` and `policies` are looked for: that of the file. YAML can't give it."""
    stands_for: tuple[str, str] | None = msgspec.field(default=None, name="(stands for)")
    """Cluster and name of the service that it was made from. YAML can't give it either."""

    def __post_init__(self) -> None:
        if self.step < SLOT_SECONDS or self.step % SLOT_SECONDS:
            raise ValueError(f"step must be a multiple of {SLOT_SECONDS}s")
        if self.start is not None and self.start < EARLIEST:
            raise ValueError("start must be after 1980")
        if self.warm_up < 600:
            raise ValueError("warm_up must be at least 10m: policies and alarms need it")
        if self.history > HISTORY_SECONDS_MAX:
            raise ValueError(f"history must be at most {spans.show_span(HISTORY_SECONDS_MAX)}: no forecast sees more")
        if self.duration is not None:
            check_duration(self.duration, self.step)
        if self.fleet is None and self.prices.instance_hour is not None:
            raise ValueError("prices.instance_hour is given, and there is no fleet")
        if self.fleet is not None:
            _check_fleet(self.fleet, self.service, self.prices)

    @property
    def task_hour(self) -> float:
        """What a task costs an hour."""
        if self.prices.task_hour is not None:
            return self.prices.task_hour
        return TASK_HOUR if self.fleet is None else 0.0


def _check_fleet(fleet: Fleet, service: Service, prices: Prices) -> None:
    if prices.instance_hour is None:
        raise ValueError("prices.instance_hour is missing: what an instance of the fleet costs an hour")
    if service.cpu_units > fleet.cpu_units or service.memory_mib > fleet.memory_mib:
        raise ValueError(
            f"no task fits on an instance of the fleet: it needs {service.cpu_units} CPU units and "
            f"{service.memory_mib} MiB, an instance has {fleet.cpu_units} and {fleet.memory_mib}"
        )


def check_duration(duration_seconds: float, step_seconds: float) -> None:
    """Raises ValueError where a run can't be so long."""
    if not step_seconds <= duration_seconds <= DURATION_SECONDS_MAX:
        raise ValueError(f"duration must be from one step to {spans.show_span(DURATION_SECONDS_MAX)}")
    if duration_seconds / step_seconds > STEPS_MAX:
        raise ValueError(f"that is more than {STEPS_MAX} steps: take a longer step")


def parse(
    text: str, file: str = "scenario", folder: str = ".", changes: Mapping[str, object] | None = None
) -> Scenario:
    """A scenario from YAML, in which `changes` sets values by their paths (`{"tasks.max": 40}`). Raises
    problems.Invalid, which names line and field."""
    return msgspec.structs.replace(documents.parse(text, file, Scenario, changes), folder=folder)


def load(path: pathlib.Path, changes: Mapping[str, object] | None = None) -> Scenario:
    """A scenario from a YAML file. Raises problems.Invalid."""
    return parse(read_text(path, SCENARIO_BYTES_MAX), str(path), str(path.parent), changes)


def made(values: Mapping[str, object], source: str, changes: Mapping[str, object]) -> Scenario:
    """A scenario without a file: values as YAML would have them, then `changes`. Raises problems.Invalid."""
    return documents.made(values, source, Scenario, changes)


def read_text(path: pathlib.Path, bytes_max: int) -> str:
    """A file's text. Raises problems.Invalid where it can't be read or is too long."""
    try:
        if path.stat().st_size > bytes_max:
            raise problems.Invalid(f"the file has more than {bytes_max:,} bytes", file=str(path))
        return path.read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise problems.Invalid(f"can't be read: {problem.strerror}", file=str(path)) from None
    except UnicodeDecodeError:
        raise problems.Invalid("is no text in UTF-8", file=str(path)) from None
