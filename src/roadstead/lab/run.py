"""`run`: several policies and fixed counts on the same traffic, each in a virtual world of its own.

The production controllers decide; time jumps. Nothing depends on the clock or on chance that isn't seeded.
"""

from __future__ import annotations

import importlib.metadata
import pathlib
from collections.abc import Callable, Sequence

from roadstead.lab import fleet as fleets
from roadstead.lab import policies, problems, recorder, results, scenario, service_model, spans, stage, timings, traffic

CHUNKS = 200
"""How often progress is told in a run."""
Progress = Callable[[str, float], None]
"""Hears the name of the run, and which part of it is done."""


def run(
    subject: scenario.Scenario,
    candidates: Sequence[policies.Candidate],
    fixed: Sequence[int] = (),
    seed: int | None = None,
    progress: Progress | None = None,
) -> results.Result:
    """All candidates, then all fixed counts. `seed` instead of the scenario's. Raises problems.Invalid."""
    seed = subject.seed if seed is None else seed
    every = [*candidates, *(policies.fixed(count) for count in fixed)]
    if not every:
        raise problems.Invalid("there is nothing to try: give a policy, or a fixed count")
    if len(every) > policies.CANDIDATES_MAX:
        raise problems.Invalid(f"more than {policies.CANDIDATES_MAX} policies and counts")
    check_names(every)
    bench = Bench(subject, seed, progress)
    return bench.result([bench.one(candidate) for candidate in every])


def check_names(candidates: Sequence[policies.Candidate]) -> None:
    """Raises problems.Invalid where two have the same: a result tells runs by it."""
    names = [one.name for one in candidates]
    double = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if double is not None:
        raise problems.Invalid(f"two policies are called {double}: give one another Name, or its file another name")


class Bench:
    """A scenario with its traffic worked out: runs one candidate after the other."""

    def __init__(self, subject: scenario.Scenario, seed: int, progress: Progress | None = None) -> None:
        """Raises problems.Invalid where a trace can't be read."""
        self.subject = subject
        self.demand = traffic.make(subject, seed)
        self._seed = seed
        self._progress = progress
        self._model = service_model.Model(subject.service)

    def one(self, candidate: policies.Candidate) -> results.Run:
        """A candidate on the whole of the traffic. Raises problems.Invalid."""
        subject, demand, model = self.subject, self.demand, self._model
        world, fleet = stage.build(subject, demand, candidate, model, self._seed)
        seen = recorder.Recorder(subject, demand, candidate, model, world, fleet)
        world.run_until(demand.begin)
        seen.begin()
        chunks = min(CHUNKS, int(demand.duration_seconds // subject.step))
        for chunk in range(1, chunks + 1):
            world.run_until(demand.begin + demand.duration_seconds * chunk / chunks)
            if self._progress is not None:
                self._progress(candidate.name, chunk / chunks)
        if world.problems:
            problem = world.problems[0]
            raise problems.Invalid(f"a decision of {problem.controller} failed: {problem.what}", file=candidate.name)
        return seen.run()

    def result(self, runs: Sequence[results.Run]) -> results.Result:
        """Everything that was found."""
        subject = self.subject
        best = results.cheapest(runs)
        return results.Result(
            scenario=subject.name,
            version=importlib.metadata.version("roadstead"),
            seed=self._seed,
            begin=self.demand.begin,
            step_seconds=float(subject.step),
            steps=len(runs[0].series.demand),
            currency=subject.prices.currency,
            task_hour=subject.task_hour,
            instance_hour=subject.prices.instance_hour,
            requests_per_second=subject.service.requests_per_second,
            objective=describe_objective(subject.objective),
            minutes_allowed=subject.objective.minutes,
            best=best.name if best is not None else None,
            runs=tuple(runs),
            assumptions=_assumptions(subject, self.demand),
        )


def simulate(
    source: str | pathlib.Path | scenario.Scenario,
    candidates: Sequence[str | pathlib.Path | policies.Candidate] = (),
    fixed: Sequence[int] = (),
    *,
    seed: int | None = None,
    progress: Progress | None = None,
) -> results.Result:
    """Try policies on traffic, as `roadstead simulate` does.

        from roadstead import lab

        result = lab.simulate("week.yaml", ["cpu60.json", "cpu75.json"], fixed=[20])
        for run in result.runs:
            print(run.name, run.totals.cost, run.totals.minutes_out)

    `source` is a scenario or its file, `candidates` policies or their files (`lab.policies`), `fixed` task counts to
    compare with. Without candidates and fixed counts those that the scenario names are taken. Deterministic: the same
    scenario, candidates, seed and version give the same result. Raises lab.problems.Invalid with a message for people.
    """
    subject = source if isinstance(source, scenario.Scenario) else scenario.load(pathlib.Path(source))
    if not candidates and not fixed:
        candidates = [pathlib.Path(subject.folder, name) for name in subject.policies]
        fixed = subject.fixed
    chosen = [one if isinstance(one, policies.Candidate) else policies.load(pathlib.Path(one)) for one in candidates]
    return run(subject, chosen, fixed, seed, progress)


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
