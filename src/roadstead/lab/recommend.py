"""The cheapest target tracking policy on CPU that keeps a scenario's objective, found by trying.

The higher the target, the cheaper and the later: so the highest target that keeps the objective is looked for by
halving, on minute and on 20-second metrics. The next higher one is then tried without a cooldown between scale-outs.
A dozen runs at most.
"""

from __future__ import annotations

from collections.abc import Sequence

from roadstead.lab import policies, results, run, scenario

STEP = 5
TARGETS = tuple(range(20, 100, STEP))
"""Percent of CPU."""
OUT_SECONDS = 60
OUT_SECONDS_EAGER = 0
IN_SECONDS = 300
RUNS_MAX = 12
"""What `search` needs at most: two halvings of 16 targets, and two eager tries."""


def search(
    subject: scenario.Scenario,
    candidates: Sequence[policies.Candidate] = (),
    fixed: Sequence[int] = (),
    seed: int | None = None,
    progress: run.Progress | None = None,
) -> results.Result:
    """Every run that was made, what the caller names first; `best` is the recommendation, None where nothing keeps the
    objective. Raises problems.Invalid."""
    bench = run.Bench(subject, subject.seed if seed is None else seed, progress)
    named = [*candidates, *(policies.fixed(count) for count in fixed)]
    tries = [_candidate(target, is_high, OUT_SECONDS) for target in TARGETS for is_high in (False, True)]
    run.check_names([*named, *tries])
    runs = [bench.one(one) for one in named]
    for is_high in (False, True):
        target = _highest(bench, is_high, runs)
        if target is not None and target + STEP in TARGETS:
            runs.append(bench.one(_candidate(target + STEP, is_high, OUT_SECONDS_EAGER)))
    return bench.result(runs)


def _highest(bench: run.Bench, is_high: bool, runs: list[results.Run]) -> int | None:
    """The highest target that keeps the objective; what was tried is added to `runs`."""
    low, high = 0, len(TARGETS)
    while low < high:
        middle = (low + high) // 2
        tried = bench.one(_candidate(TARGETS[middle], is_high, OUT_SECONDS))
        runs.append(tried)
        if tried.is_within:
            low = middle + 1
        else:
            high = middle
    return TARGETS[low - 1] if low else None


def _candidate(target: int, is_high: bool, out_seconds: int) -> policies.Candidate:
    eager = "-eager" if out_seconds == OUT_SECONDS_EAGER else ""
    return policies.tracking(
        f"cpu{target}-{'20s' if is_high else '60s'}{eager}",
        target,
        out_seconds=out_seconds,
        in_seconds=IN_SECONDS,
        high_resolution=is_high,
    )
