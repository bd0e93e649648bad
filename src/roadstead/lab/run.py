"""`run`: several policies and fixed counts on the same traffic, each in a virtual world of its own.

The production controllers decide; time jumps. Nothing depends on the clock or on chance that isn't seeded.
"""

from __future__ import annotations

import functools
import importlib.metadata
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence

from roadstead.lab import fleet as fleets
from roadstead.lab import (
    policies,
    problems,
    recorder,
    results,
    scenario,
    service_model,
    spans,
    stage,
    sweeps,
    timings,
    traffic,
)

Source = str | pathlib.Path | scenario.Scenario
Policy = str | pathlib.Path | policies.Candidate
CHUNKS = 200
"""How often progress is told in a run."""
Progress = Callable[[str, float], None]
"""Hears the name of the run, and which part of it is done."""
Spread = Callable[["Bench", Sequence[policies.Candidate]], Iterator[results.Run]]
"""Has candidates run, each by itself, and gives back their runs in the same order: a shell's way to use all cores."""


def run(
    subject: scenario.Scenario,
    candidates: Sequence[policies.Candidate],
    fixed: Sequence[int] = (),
    seed: int | None = None,
    progress: Progress | None = None,
    spread: Spread | None = None,
) -> results.Result:
    """All candidates, then all fixed counts. `seed` instead of the scenario's. Raises problems.Invalid."""
    every = [*candidates, *(policies.fixed(count) for count in fixed)]
    if not every:
        raise problems.Invalid("there is nothing to try: give a policy, or a fixed count (--policy x.json, --fixed 12)")
    check_candidates(subject, every)
    bench = Bench.of(subject, subject.seed if seed is None else seed, progress, spread)
    return bench.result(bench.many(every))


def check_candidates(subject: scenario.Scenario, candidates: Sequence[policies.Candidate]) -> None:
    """Raises problems.Invalid where they are too many, have bounds that can't be, or two have the same name: a result
    tells runs by it."""
    if len(candidates) > policies.CANDIDATES_MAX:
        raise problems.Invalid(f"more than {policies.CANDIDATES_MAX} policies and counts")
    names: set[str] = set()
    for one in candidates:
        policies.bounds(subject, one)
        if one.name in names:
            raise problems.Invalid(
                f"two policies are called {one.name}: give one another Name, or its file another name"
            )
        names.add(one.name)


class Bench:
    """A scenario with its traffic worked out: runs candidates, one after the other or as `spread` does."""

    def __init__(
        self,
        subject: scenario.Scenario,
        demand: traffic.Demand,
        seed: int,
        progress: Progress | None = None,
        spread: Spread | None = None,
    ) -> None:
        self.subject = subject
        self.demand = demand
        self.seed = seed
        self.progress = progress
        self._spread = spread
        self._model = service_model.Model(subject.service)

    @classmethod
    def of(
        cls, subject: scenario.Scenario, seed: int, progress: Progress | None = None, spread: Spread | None = None
    ) -> Bench:
        """Works out the traffic. Raises problems.Invalid where a trace can't be read."""
        return cls(subject, traffic.make(subject, seed), seed, progress, spread)

    @functools.cached_property
    def past(self) -> traffic.Demand | None:
        """The traffic before, for policies that forecast; None where nothing is known of it."""
        return traffic.before(self.subject, self.seed, self.demand.begin)

    def many(self, candidates: Sequence[policies.Candidate], before: Sequence[results.Run] = ()) -> list[results.Run]:
        """`before`, and a run of each candidate, in this order; slim, so that memory is bounded. Raises
        problems.Invalid."""
        found = list(before)
        for one in self._spread(self, candidates) if self._spread is not None else map(self.one, candidates):
            found = results.slim([*found, one])
        return found

    def one(self, candidate: policies.Candidate) -> results.Run:
        """A candidate on the whole of the traffic. Raises problems.Invalid."""
        subject, demand, model = self.subject, self.demand, self._model
        past = self.past if candidate.foresees else None
        world, fleet = stage.build(subject, demand, candidate, model, self.seed, past)
        seen = recorder.Recorder(subject, demand, candidate, model, world, fleet)
        world.run_until(demand.begin)
        seen.begin()
        chunks = min(CHUNKS, int(demand.duration_seconds // subject.step))
        for chunk in range(1, chunks + 1):
            world.run_until(demand.begin + demand.duration_seconds * chunk / chunks)
            if self.progress is not None:
                self.progress(candidate.name, chunk / chunks)
        if world.problems:
            problem = world.problems[0]
            raise problems.Invalid(f"a decision of {problem.controller} failed: {problem.what}", file=candidate.name)
        return seen.run()

    def result(self, runs: Sequence[results.Run]) -> results.Result:
        """Everything that was found."""
        subject = self.subject
        best = results.cheapest(runs)
        limit = subject.objective.latency_p99
        return results.Result(
            scenario=subject.name,
            stands_for=subject.stands_for,
            version=importlib.metadata.version("roadstead"),
            seed=self.seed,
            begin=self.demand.begin,
            step_seconds=float(subject.step),
            steps=round(self.demand.duration_seconds / subject.step),
            currency=subject.prices.currency,
            task_hour=subject.task_hour,
            instance_hour=subject.prices.instance_hour,
            requests_per_second=subject.service.requests_per_second,
            objective=describe_objective(subject.objective),
            minutes_allowed=subject.objective.minutes,
            latency_limit_seconds=float(limit) if limit is not None else None,
            dropped_limit_percent=subject.objective.dropped_percent,
            best=best.name if best is not None else None,
            front=tuple(one.name for one in results.front(runs)),
            runs=tuple(runs),
            assumptions=(
                *_assumptions(subject, self.demand),
                *((_history_in_words(self.past),) if any(map(_foresees, runs)) else ()),
            ),
        )


def simulate(
    source: Source,
    candidates: Sequence[Policy] = (),
    fixed: Sequence[int] = (),
    *,
    seed: int | None = None,
    progress: Progress | None = None,
    spread: Spread | None = None,
) -> results.Result:
    """Try policies on traffic, as `roadstead simulate` does.

        from roadstead import lab

        result = lab.simulate("week.yaml", ["cpu60.json", "cpu75.json"], fixed=[20])
        for run in result.runs:
            print(run.name, run.totals.cost, run.totals.minutes_out)

    `source` is a scenario or its file, `candidates` policies or their files (`lab.policies`), `fixed` task counts to
    compare with. Without candidates and fixed counts those that the scenario names are taken, its sweeps, too.
    Deterministic: the same scenario, candidates, seed and version give the same result, however it is `spread`. Raises
    lab.problems.Invalid with a message for people.
    """
    subject = scenario_of(source)
    if candidates or fixed:
        return run(subject, [candidate_of(one) for one in candidates], fixed, seed, progress, spread)
    return run(subject, of_scenario(subject), subject.fixed, seed, progress, spread)


def of_scenario(subject: scenario.Scenario) -> list[policies.Candidate]:
    """The policies that a scenario names, and what its sweeps make of theirs. Raises problems.Invalid."""
    named = [policies.load(pathlib.Path(subject.folder, name)) for name in subject.policies]
    return [*named, *sweeps.of_scenario(subject)]


def sweep(
    source: Source,
    parameters: Mapping[str, object],
    candidates: Sequence[str | pathlib.Path] = (),
    fixed: Sequence[int] = (),
    *,
    seed: int | None = None,
    progress: Progress | None = None,
    spread: Spread | None = None,
) -> results.Result:
    """Try every combination of parameters, as `roadstead simulate --sweep` does; `result.front` names the runs that no
    other beats in cost and in minutes out of objective.

        result = lab.sweep("week.yaml", {"TargetValue": range(40, 95, 5), "ScaleInCooldown": [60, 300]})
        for run in result.runs:
            if run.name in result.front:
                print(run.name, run.totals.cost, run.totals.minutes_out)

    `parameters` has values for names of `lab.sweeps.PARAMETERS`: a list, a range, or `"40:90:5"`. Each of `candidates`
    (files of policies) is tried as it is and swept; without any, target tracking on CPU is swept. Series are kept for
    the front and for what was named. Raises lab.problems.Invalid.
    """
    subject = scenario_of(source)
    chosen = {name: sweeps.values(name, given) for name, given in parameters.items()}
    return run(subject, sweeps.beside(candidates, chosen), fixed, seed, progress, spread)


def scenario_of(source: Source) -> scenario.Scenario:
    """A scenario, or that of a file. Raises problems.Invalid."""
    return source if isinstance(source, scenario.Scenario) else scenario.load(pathlib.Path(source))


def candidate_of(one: Policy) -> policies.Candidate:
    """A policy, or that of a file. Raises problems.Invalid."""
    return one if isinstance(one, policies.Candidate) else policies.load(pathlib.Path(one))


def describe_objective(objective: scenario.Objective) -> str:
    """`utilization over 85 % or p99 latency over 500ms for at most 30 minutes`."""
    limits = []
    if objective.utilization_percent is not None:
        limits.append(f"utilization over {objective.utilization_percent:g} %")
    if objective.latency_p99 is not None:
        limits.append(f"p99 latency over {spans.show_span(objective.latency_p99)}")
    if objective.dropped_percent is not None:
        limits.append(f"more than {objective.dropped_percent:g} % dropped")
    allowed = f"for at most {objective.minutes:g} minutes" if objective.minutes else "never"
    return f"{' or '.join(limits)} {allowed}"


def _assumptions(subject: scenario.Scenario, demand: traffic.Demand) -> tuple[str, ...]:
    """What the numbers rest on, a sentence each."""
    service = subject.service
    return (
        *(f"Traffic, {line}." for line in traffic.describe(subject)),
        f"One task serves {service.requests_per_second:g} requests/s, {service.concurrency} at once; "
        f"up to {service.queue} more wait, others are dropped.",
        f"A balancer spreads requests evenly (a queue M/M/{service.concurrency} a task, steady within each 20 s).",
        f"A request costs {service.cpu_seconds_per_request:g} s of CPU; a task reserves {service.cpu_units} CPU units.",
        f"A task takes {timings.describe(service.start_time)} to start.",
        *_assumptions_of_room(subject),
        f"Policies ran for {spans.show_span(subject.warm_up)} on the first traffic before anything was counted.",
        f"The objective is looked at every {spans.show_span(subject.step)}.",
        *(f"{note}." for note in demand.notes),
    )


def _foresees(one: results.Run) -> bool:
    """Whether a policy of a run forecasts."""
    return any(policy["PolicyType"] == "PredictiveScaling" for policy in one.given.get("Policies", ()))


def _history_in_words(past: traffic.Demand | None) -> str:
    """What forecasts are made from."""
    if past is None:
        return (
            "No traffic is known from before the start: predictive policies forecast once the run has given them 24 "
            "hours of it."
        )
    return (
        f"Forecasts see {spans.show_span(past.duration_seconds)} before the start: the same traffic, worked out for "
        "that time (spikes and flash crowds begin with the run), served by tasks at half of what they can serve."
    )


def _assumptions_of_room(subject: scenario.Scenario) -> tuple[str, ...]:
    """Instances, and the prices of tasks and of them."""
    prices, fleet = subject.prices, subject.fleet
    task = f"A task costs {prices.currency} {subject.task_hour:g} an hour, from placement to its end"
    if fleet is None:
        return ("The cluster never lacks room.", f"{task}.")
    on_one = fleets.tasks_on_one(subject.service, fleet)
    strategy = ", then ".join(f"{one.type} {one.field or ''}".strip() for one in fleet.placement_strategy)
    zones = "one zone" if fleet.zones == 1 else f"{fleet.zones} zones"
    return (
        f"An instance has {fleet.cpu_units} CPU units and {fleet.memory_mib} MiB, room for {on_one} "
        f"{'task' if on_one == 1 else 'tasks'}; {fleet.min} to {fleet.max} of them in {zones}.",
        f"An instance takes {timings.describe(fleet.boot_time)} to boot and join.",
        f"Tasks are placed by {strategy or 'the default strategy: spread over zones, then over instances'}.",
        f"Managed scaling keeps CapacityProviderReservation at {fleet.target_capacity} %, in steps of "
        f"{fleet.minimum_scaling_step_size} to {fleet.maximum_scaling_step_size} instances, with a warm-up of "
        f"{spans.show_span(fleet.instance_warmup_period)}; only instances without tasks end.",
        f"An instance costs {prices.currency} {prices.instance_hour or 0.0:g} an hour, from launch to end. {task}.",
    )
