"""The cheapest policy that keeps a scenario's objective, found by trying, in an order that is always the same:

1. Families of policies, each with the highest target that keeps the objective, looked for by halving (the higher the
   target, the cheaper and the later): target tracking on CPU each minute and each 20 s, on requests per task, on CPU
   with steps that help when it is far over, and, where days have a peak, on CPU over a floor for it, and on CPU with
   predictive scaling.
2. The two best of them, changed in one thing each: other cooldowns, a higher minimum, and the next higher target with
   what makes it safer. Once more from the best of these, while that helps.

`RUNS_MAX` runs at most. Those of one step don't depend on each other, so that they may run side by side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from typing import Any

import msgspec

from roadstead.lab import policies, results, run, scenario, sweeps, traffic

STEP = 5
TARGETS = tuple(range(20, 100, STEP))
"""Percent of what a task can do."""
OUT_SECONDS = 60
OUT_SECONDS_EAGER = 0
IN_SECONDS = 300
IN_SECONDS_SHORT = 60
IN_SECONDS_LONG = 900
ROUNDS_MAX = 2
"""Of step 2."""
REFINED = 2
"""Families that are refined at first."""
RUNS_MAX = 6 * 5 + REFINED * 6 + 6
"""Six families, each halved five times at most; six changes of each that is refined."""
DAYS_MIN = 2
"""A daily peak needs so many days to be one."""
PEAK_PART = 0.7
"""The daily peak: hours with at least this part of the highest hour's traffic."""
PEAK_OVER_MEAN = 1.3
"""Days whose highest hour is less than this times the mean have no peak."""
FLOOR_PART = 0.9
"""Of what the quietest hour of the peak needs."""
RESOURCE_LABEL = "app/my-alb/0123456789abcdef/targetgroup/my-targets/0123456789abcdef"
HOUR_SECONDS = 3600
OWN = "found"
"""How names of the search's own policies begin where somebody's have the usual ones."""


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """Policies that differ in their target alone."""

    name: Callable[[int], str]
    given: Callable[[int], dict[str, Any]]
    """A set of policies for a target in percent of what a task can do."""

    def candidate(self, target: int) -> policies.Candidate:
        made = policies.parse(self.given(target), self.name(target))
        return msgspec.structs.replace(made, is_named=False)

    def called(self, beginning: str) -> Family:
        """The same family, with names that begin so."""
        usual = self.name
        return msgspec.structs.replace(self, name=lambda target: f"{beginning}{usual(target)}")


class _Found(msgspec.Struct, frozen=True):
    """The best of a family."""

    family: Family
    target: int
    run: results.Run


def recommend(
    source: run.Source,
    candidates: Sequence[run.Policy] = (),
    fixed: Sequence[int] = (),
    *,
    seed: int | None = None,
    progress: run.Progress | None = None,
    spread: run.Spread | None = None,
) -> results.Result:
    """Look for the cheapest policy within the objective, as `roadstead simulate --recommend` does.

        result = lab.recommend("week.yaml", ["live.json"])
        print(result.best)   # None where nothing keeps the objective

    `candidates` and `fixed` counts are tried first, and may be the best. Every run that was made is in the result;
    series are kept for the front and for what was named. Raises lab.problems.Invalid.
    """
    subject = run.scenario_of(source)
    named = [run.candidate_of(one) for one in candidates] + [policies.fixed(count) for count in fixed]
    run.check_candidates(subject, named)
    bench = run.Bench.of(subject, subject.seed if seed is None else seed, progress, spread)
    return bench.result(_Search(bench, named).run())


class _Search:
    """One search; `tried` grows."""

    def __init__(self, bench: run.Bench, named: Sequence[policies.Candidate]) -> None:
        """Where somebody's policy has a name that the search would give, its own are called otherwise."""
        self._bench = bench
        self._named = named
        self._families = families(bench.subject, bench.demand)
        self._tried: list[results.Run] = []
        while self._gives_a_name_of(named):
            self._families = [family.called(f"{OWN}-") for family in self._families]

    def _gives_a_name_of(self, named: Sequence[policies.Candidate]) -> bool:
        own = [f"{family.name(target)}-" for family in self._families for target in TARGETS]
        return any(f"{one.name}-".startswith(name) for one in named for name in own)

    def run(self) -> list[results.Run]:
        """Every run that was made, in the order in which they were."""
        self._try(self._named)
        found = self._halve(self._families)
        found.sort(key=lambda one: results.worth(one.run))
        refined = found[:REFINED]
        for _ in range(ROUNDS_MAX):
            best = results.cheapest(self._tried)
            changes = [change for one in refined for change in _changes(self._bench.subject, one)]
            self._try([change.candidate for change in changes])
            now = results.cheapest(self._tried)
            if now is None or now is best or (best is not None and now.name == best.name):
                break
            refined = [_Found(one.family, one.target, now) for one in changes if one.candidate.name == now.name]
        return self._tried

    def _try(self, candidates: Sequence[policies.Candidate]) -> dict[str, results.Run]:
        """Runs of what was not tried yet; those of all of them, by name."""
        new = [one for one in candidates if one.name not in {run.name for run in self._tried}]
        self._tried = self._bench.many(new, self._tried)
        names = {one.name for one in candidates}
        return {one.name: one for one in self._tried if one.name in names}

    def _halve(self, every: Sequence[Family]) -> list[_Found]:
        """The best of each family, all families at the same time."""
        looking = [(family, _highest(len(TARGETS))) for family in every]
        places: dict[int, int] = {place: next(one) for place, (_, one) in enumerate(looking)}
        found = []
        while places:
            tries = {place: every[place].candidate(TARGETS[at]) for place, at in places.items()}
            runs = self._try(list(tries.values()))
            for place in list(places):
                try:
                    places[place] = looking[place][1].send(runs[tries[place].name].is_within)
                except StopIteration as end:
                    del places[place]
                    if end.value is not None:
                        target = TARGETS[end.value]
                        name = every[place].name(target)
                        one = next(run for run in self._tried if run.name == name)
                        found.append(_Found(every[place], target, one))
        return found


def _highest(count: int) -> Generator[int, bool, int | None]:
    """Looks for the last of `count` places that is fine, where all before it are: yields places, is sent whether they
    are, and returns it."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if (yield middle):
            low = middle + 1
        else:
            high = middle
    return low - 1 if low else None


# ---------------------------------------------------------------------------------------------- what is tried


def families(subject: scenario.Scenario, demand: traffic.Demand) -> list[Family]:
    """What is looked through, simplest first."""
    found = [
        Family(name=lambda target: f"cpu{target}-60s", given=lambda target: _set(_cpu(target))),
        Family(name=lambda target: f"cpu{target}-20s", given=lambda target: _set(_cpu(target, is_high=True))),
        Family(name=lambda target: f"requests{target}", given=lambda target: _set(_requests(subject, target))),
        Family(name=lambda target: f"cpu{target}-steps", given=_with_steps),
    ]
    peak = daily_peak(demand)
    if peak is not None:
        hours, rate = peak
        found.append(
            Family(
                name=lambda target: f"cpu{target}-floor",
                given=lambda target: _with_floor(subject, target, hours, rate),
            )
        )
        found.append(Family(name=lambda target: f"cpu{target}-ahead", given=_with_forecast))
    return found


def _set(*given: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Policies": list(given), **more}


def _cpu(target: int, is_high: bool = False) -> dict[str, Any]:
    return _tracked(policies.cpu_tracking(target, OUT_SECONDS, IN_SECONDS, is_high))


def _tracked(configuration: dict[str, Any]) -> dict[str, Any]:
    return {"PolicyType": "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration": configuration}


def _requests(subject: scenario.Scenario, target: int) -> dict[str, Any]:
    """So many requests a minute for each task."""
    metric = {"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": RESOURCE_LABEL}
    return _tracked(
        {
            "TargetValue": round(subject.service.requests_per_second * 60.0 * target / 100.0, 3),
            "PredefinedMetricSpecification": metric,
            "ScaleOutCooldown": OUT_SECONDS,
            "ScaleInCooldown": IN_SECONDS,
        }
    )


def _with_steps(target: int) -> dict[str, Any]:
    """Half as many tasks more once CPU is 15 over the target for 40 s, twice as many once it is 30 over."""
    step = {
        "PolicyName": "rescue",
        "PolicyType": "StepScaling",
        "StepScalingPolicyConfiguration": {
            "AdjustmentType": "PercentChangeInCapacity",
            "MinAdjustmentMagnitude": 1,
            "MetricAggregationType": "Average",
            "Cooldown": 60,
            "StepAdjustments": [
                {"MetricIntervalLowerBound": 0.0, "MetricIntervalUpperBound": 15.0, "ScalingAdjustment": 50},
                {"MetricIntervalLowerBound": 15.0, "ScalingAdjustment": 100},
            ],
        },
    }
    alarm = {
        "AlarmName": "cpu-far-over-target",
        "Namespace": "AWS/ECS",
        "MetricName": "CPUUtilization",
        "Statistic": "Average",
        "Period": 20,
        "EvaluationPeriods": 2,
        "Threshold": float(min(target + 15, 99)),
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "AlarmActions": ["rescue"],
    }
    return _set(_cpu(target), step, Alarms=[alarm])


def _with_floor(subject: scenario.Scenario, target: int, hours: tuple[int, int], rate: float) -> dict[str, Any]:
    """At least so many tasks from ten minutes before the daily peak until its end."""
    need = math.ceil(FLOOR_PART * rate / (subject.service.requests_per_second * target / 100.0))
    low, high = subject.tasks.min, subject.tasks.max
    begin, end = hours
    actions = [
        ("before-the-peak", f"cron(50 {(begin - 1) % 24} * * ? *)", min(max(need, low), high)),
        ("after-the-peak", f"cron(0 {end} * * ? *)", low),
    ]
    return _set(
        _cpu(target),
        ScheduledActions=[
            {
                "ScheduledActionName": name,
                "Schedule": schedule,
                "Timezone": "UTC",
                "ScalableTargetAction": {"MinCapacity": count},
            }
            for name, schedule, count in actions
        ],
    )


def _with_forecast(target: int) -> dict[str, Any]:
    """As many tasks as the forecast needs, five minutes ahead; what it misses is tracked."""
    metric = {
        "TargetValue": float(target),
        "PredefinedMetricPairSpecification": {"PredefinedMetricType": "ECSServiceCPUUtilization"},
    }
    forecast = {
        "PolicyName": "ahead",
        "PolicyType": "PredictiveScaling",
        "PredictiveScalingPolicyConfiguration": {
            "Mode": "ForecastAndScale",
            "SchedulingBufferTime": 300,
            "MetricSpecifications": [metric],
        },
    }
    return _set(_cpu(target), forecast)


def daily_peak(demand: traffic.Demand) -> tuple[tuple[int, int], float] | None:
    """The hours (UTC) of each day's peak, from and until, and the traffic of the quietest of them; None where days are
    too few, or have none."""
    if demand.duration_seconds < DAYS_MIN * traffic.DAY_SECONDS:
        return None
    sums, counts = [0.0] * 24, [0] * 24
    for place, rate in enumerate(demand.rates):
        hour = int((demand.begin + place * scenario.SLOT_SECONDS) // HOUR_SECONDS) % 24
        sums[hour] += rate
        counts[hour] += 1
    means = [total / count for total, count in zip(sums, counts, strict=True)]
    most = max(means)
    if not most or most < PEAK_OVER_MEAN * sum(means) / 24:
        return None
    first = last = means.index(most)
    while last - first < 23 and means[(last + 1) % 24] >= PEAK_PART * most:
        last += 1
    while last - first < 23 and means[(first - 1) % 24] >= PEAK_PART * most:
        first -= 1
    lowest = min(means[hour % 24] for hour in range(first, last + 1))
    return (first % 24, (last + 1) % 24), lowest


class _Change(msgspec.Struct, frozen=True):
    """A candidate that is another one changed in one thing."""

    family: Family
    target: int
    candidate: policies.Candidate


def _changes(subject: scenario.Scenario, found: _Found) -> list[_Change]:
    """What may be cheaper than a family's best, or as cheap and safer."""
    family, target = found.family, found.target
    low, high = subject.tasks.min, subject.tasks.max
    more = min(high, max(low + 1, math.ceil(low * 1.5)))
    made: list[_Change] = []

    def change(at: int, **parameters: sweeps.Value) -> None:
        values = {name: (value,) for name, value in parameters.items()}
        for one in sweeps.candidates(family.given(at), family.name(at), values):
            made.append(_Change(family, at, one))

    change(target, ScaleInCooldown=IN_SECONDS_SHORT)
    change(target, ScaleOutCooldown=OUT_SECONDS_EAGER)
    if target + STEP in TARGETS:
        change(target + STEP, ScaleOutCooldown=OUT_SECONDS_EAGER)
        change(target + STEP, ScaleInCooldown=IN_SECONDS_LONG)
        change(target + STEP, ScaleOutCooldown=OUT_SECONDS_EAGER, ScaleInCooldown=IN_SECONDS_LONG)
        if more > low and "ScheduledActions" not in family.given(target):  # those set the minimum, too
            change(target + STEP, MinCapacity=more)
    return made
