"""`simulate`: scaling policies tried on traffic; the work is `roadstead.lab`'s. A control plane is only asked where its
own recordings are wanted."""

from __future__ import annotations

import contextlib
import pathlib
import time
from collections.abc import Iterator, Sequence

import msgspec
import rich.progress
import rich.text

from roadstead.base import memory
from roadstead.cli import context, failures, pool, recorded
from roadstead.lab import (
    apply,
    documents,
    live,
    policies,
    problems,
    report,
    results,
    run,
    scenario,
    search,
    spans,
    summary,
    sweeps,
)
from roadstead.lab import recorded as recorded_metrics

STANDARD_OUTPUT = "-"
QUIET_SECONDS = 0.5
"""A run that takes no longer shows no progress bar."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the verb was given."""

    scenario: pathlib.Path | None
    trace: pathlib.Path | None
    from_metric: str | None
    from_service: str | None
    since: str
    save_trace: pathlib.Path | None
    changes: tuple[str, ...]
    """`FIELD=VALUE` of a scenario."""
    cluster: str
    policies: tuple[pathlib.Path, ...]
    fixed: tuple[int, ...]
    seed: int | None
    html: pathlib.Path | None
    """Where the report goes."""
    json: pathlib.Path | None
    """Where the whole result goes; `-`: the totals to standard output, in place of the table."""
    format: str
    sweep: tuple[str, ...] = ()
    """`PARAMETER=VALUES`."""
    recommend: bool = False
    """Look for the cheapest policy, too, and say how to apply it."""
    jobs: int | None = None
    """Processes; else one a core."""


def show(on: context.Context, wanted: Wanted) -> None:
    """Simulate, print the table, write the files that were asked for. Raises Failure."""
    if wanted.format not in ("text", "md"):
        raise failures.Failure(f"--format can't be {wanted.format!r}", "Use one of: text, md.", failures.USAGE)
    for path in (wanted.html, wanted.json, wanted.save_trace):
        if path is not None and not path.parent.is_dir():
            raise failures.Failure(f"{path} can't be written: there is no directory {path.parent}", "Make it first.")
    try:
        subject, candidates, fixed = _read(on, wanted)
        began = time.monotonic()
        count = len(candidates) + len(fixed) + (search.RUNS_MAX if wanted.recommend else 0)
        memory.settle()
        with _progress(on, count) as progress, pool.Pool(wanted.jobs or pool.cores()) as spread:
            work = search.recommend if wanted.recommend else run.simulate
            result = work(subject, candidates, fixed, seed=wanted.seed, progress=progress, spread=spread)
        seconds = time.monotonic() - began
    except problems.Invalid as problem:
        raise failures.Failure(str(problem), "See docs/guides/choosing-a-policy.md.", failures.USAGE) from None
    if wanted.html is not None:
        _write(wanted.html, report.page(result))
    if wanted.json is not None and str(wanted.json) != STANDARD_OUTPUT:
        _write(wanted.json, results.to_json(result))
    if str(wanted.json) == STANDARD_OUTPUT:
        on.out.json(_without_series(result))
    elif wanted.format == "md":
        on.out.line(summary.markdown(result).rstrip("\n"))
    else:
        _table(on, result, seconds)
        _tell_files(on, wanted)
        if wanted.recommend:
            _tell_how_to_apply(on, result)


def _read(on: context.Context, wanted: Wanted) -> tuple[scenario.Scenario, list[policies.Candidate], tuple[int, ...]]:
    """The scenario, and what to try: what the command line names, else what the scenario does; before all that what
    scales the service now."""
    described = recorded.describe(on, wanted.cluster, wanted.from_service) if wanted.from_service else None
    subject = _scenario(on, wanted, described)
    has_others = bool(wanted.sweep or wanted.policies or wanted.fixed or wanted.recommend)
    own = _as_it_is(on, described, has_others) if described is not None else []
    if wanted.sweep:
        return subject, [*own, *sweeps.beside(wanted.policies, _parameters(wanted.sweep))], wanted.fixed
    if has_others or described is not None:
        return subject, [*own, *map(policies.load, wanted.policies)], wanted.fixed
    return subject, run.of_scenario(subject), subject.fixed


def _parameters(given: Sequence[str]) -> dict[str, tuple[sweeps.Value, ...]]:
    found: dict[str, tuple[sweeps.Value, ...]] = {}
    for text in given:
        name, equals, values = text.partition("=")
        if not equals:
            raise problems.Invalid(
                f"{text!r} sweeps nothing: say PARAMETER=FROM:TO:STEP or PARAMETER=A,B", field="--sweep"
            )
        if name in found:
            raise problems.Invalid(f"{name} is given twice: say all its values in one", field="--sweep")
        listed = values if ":" in values else documents.scalar_or_flow(f"[{values}]", text)
        found[name] = sweeps.values(name, listed)
    return found


def _scenario(on: context.Context, wanted: Wanted, described: live.Described | None) -> scenario.Scenario:
    sources = [wanted.trace, wanted.from_metric, wanted.from_service]
    if sum(one is not None for one in sources) > 1:
        raise problems.Invalid("give one of --trace, --from-metric and --from-service")
    changes: dict[str, object] = {}
    if any(sources):  # the recording says when it is, and how long
        changes = {"start": None, "duration": None, "traffic": [{"constant": {"rate": 0}}]}
    if wanted.trace is not None:
        changes["traffic"] = [{"trace": {"file": str(wanted.trace.absolute())}}]
    for one in wanted.changes:
        field, equals, value = one.partition("=")
        if not equals or not field.strip():
            raise problems.Invalid(f"{one!r} sets nothing: say FIELD=VALUE", field="--set")
        changes[field.strip()] = documents.scalar_or_flow(value, f"--set {one}")
    if wanted.scenario is not None:
        subject = scenario.load(wanted.scenario, changes)
    elif described is not None:
        subject = scenario.made(live.values(described, changes), f"service {described.name}", changes)
    elif wanted.changes and any(sources):
        subject = scenario.made({"name": str(next(filter(None, sources)))}, "without a scenario", changes)
    else:
        raise problems.Invalid(
            "name a SCENARIO, or --from-service NAME; or a recording, with what it is served by: --trace week.csv "
            "--set service.requests_per_second=50 --set service.cpu_seconds_per_request=0.02 "
            "--set objective.utilization_percent=85 --policy cpu60.json"
        )
    if described is not None:
        subject = msgspec.structs.replace(subject, stands_for=(described.cluster, described.name))
    return _with_recorded(on, wanted, subject, described)


def _with_recorded(
    on: context.Context, wanted: Wanted, subject: scenario.Scenario, described: live.Described | None
) -> scenario.Scenario:
    """The scenario with the traffic that the server has recorded, where that is wanted."""
    if described is not None:
        metric = recorded_metrics.service_cpu(described.cluster, described.name)
    elif wanted.from_metric is not None:
        metric = recorded_metrics.parse(wanted.from_metric)
    elif wanted.save_trace is not None:
        raise problems.Invalid("there is nothing to save: give --from-metric or --from-service", field="--save-trace")
    else:
        return subject
    try:
        since_seconds = spans.parse_span(wanted.since)
    except ValueError as problem:
        raise problems.Invalid(str(problem), field="--since") from None
    found = recorded.read(on, metric, since_seconds, subject.service)
    if wanted.save_trace is not None:
        _write(wanted.save_trace, recorded_metrics.to_csv(found.recording))
    return msgspec.structs.replace(subject, traffic=(scenario.TrafficPart(recorded=found),))


def _as_it_is(on: context.Context, described: live.Described, has_others: bool) -> list[policies.Candidate]:
    """What scales the service now; where that is nothing, or nothing that can be tried, it is said."""
    try:
        return [live.candidate(described)]
    except problems.Invalid as problem:
        if has_others:
            on.out.remark(f"{problem.what}: nothing of it is tried beside the others")
            return []
        on.out.remark(f"{problem.what}: trying target tracking on {live.TARGET:g} % of CPU instead")
    return [policies.tracking(f"cpu{live.TARGET:g}", live.TARGET)]


@contextlib.contextmanager
def _progress(on: context.Context, runs: int) -> Iterator[run.Progress | None]:
    """A bar on standard error for a person who has to wait; else nothing."""
    if not on.out.err.is_terminal:
        yield None
        return
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(40),
        rich.progress.TaskProgressColumn(),
        rich.progress.TimeRemainingColumn(),
    )
    began = time.monotonic()
    with rich.progress.Progress(*columns, console=on.out.err, transient=True) as bar:
        task = bar.add_task("", total=runs, visible=False)
        done: dict[str, float] = {}

        def note(name: str, part: float) -> None:
            done[name] = part
            is_long = time.monotonic() - began > QUIET_SECONDS
            bar.update(
                task, description=f"{len(done)} of {runs}: {name}", completed=sum(done.values()), visible=is_long
            )

        yield note


def _write(path: pathlib.Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as problem:
        raise failures.Failure(f"{path} can't be written: {problem.strerror}", "Name another file.") from None


def _table(on: context.Context, result: results.Result, seconds: float) -> None:
    runs = f"{len(result.runs)} runs" if len(result.runs) != 1 else "1 run"
    on.out.remark(f"{runs} × {result.steps:,} steps, {seconds:.1f} s, seed {result.seed}")
    headers = [header.upper() for header in summary.headers(result)]
    table = on.out.table(*headers, right=tuple(headers[1:]), drop=tuple(map(str.upper, summary.DROPPED_FIRST)))
    arrow, sign = ("←", summary.FRONT_SIGN) if on.out.utf8 else ("<-", "*")
    for row in summary.rows(result):
        name = rich.text.Text(row.cells[0])
        if row.is_on_front and summary.has_front(result):
            name.append(f" {sign}", style="cyan")
        if row.is_best:
            name.append(f"  {arrow} {summary.mark(result)}", style="green")
        out = rich.text.Text(row.cells[3], style="green" if row.is_within else "red")
        table.add_row(name, *row.cells[1:3], out, *row.cells[4:])
    on.out.line()
    on.out.show(table)
    on.out.line()
    if summary.has_front(result):
        on.out.line(f"{sign} {summary.FRONT_WORDS}")
        if beaten := summary.beaten(result):
            on.out.line(beaten)
    if result.best is None:
        on.out.line(summary.answer(result))
    for one in result.shown:
        for note in one.notes:
            on.out.remark(f"{one.name}: {note}")


def _tell_files(on: context.Context, wanted: Wanted) -> None:
    for label, path in (("report", wanted.html), ("json", wanted.json)):
        if path is not None:
            on.out.line(f"{label:<8} {path} ({path.stat().st_size / 1e6:.1f} MB)")


def _tell_how_to_apply(on: context.Context, result: results.Result) -> None:
    best = next((one for one in result.runs if one.name == result.best), None)
    if best is None:
        raise failures.Failure(
            "no policy keeps the objective", "Allow more minutes, more tasks (tasks.max), or start tasks faster."
        )
    on.out.line(f"# {best.name}, with the AWS CLI: on AWS, or here")
    on.out.line(apply.aws_cli(best, result.stands_for))
    now = next((one for one in result.runs if one.name == live.AS_IT_IS), None)
    if result.stands_for is not None and now is not None and (removal := apply.removal(now, best)):
        on.out.line("# what scales the service now would go on beside it")
        on.out.line(removal)
    on.out.line(f"# {best.name}, with Terraform")
    on.out.line(apply.terraform(best, result.stands_for).rstrip("\n"))


def _without_series(result: results.Result) -> object:
    """What `--json -` shows: everything but the long lists, which are for files."""
    short = {"series", "alarm_changes", "activities"}
    runs = [
        {name: value for name, value in msgspec.structs.asdict(one).items() if name not in short} for one in result.runs
    ]
    for one in runs:
        if one["fleet"] is not None:
            fleet = msgspec.structs.asdict(one["fleet"])
            one["fleet"] = {name: value for name, value in fleet.items() if name not in short}
    fields = {name: value for name, value in msgspec.structs.asdict(result).items() if name != "runs"}
    return msgspec.to_builtins({**fields, "runs": runs})
