"""A result in words and tables: the sentence with the answer, the rows of the table, and Markdown for pull requests."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from roadstead.lab import results, spans

HEADERS = ("Policy", "Cost", "Task hours", "Out of objective", "Spare", "Short", "Activities", "Flaps", "Peak")
LATENCY_HEADER = "Worst p99"
"""Behind `HEADERS` where the objective has a latency; the next where it has a part that may be dropped."""
DROPPED_HEADER = "Dropped"
INSTANCE_HOURS = "Instance hours"
"""With a fleet in place of task hours, which then cost nothing; beside them where they do."""
FLEET_HEADERS = ("Waiting", "Instances")
"""Behind the others with a fleet: minutes in which a task found no room, and the most instances at once."""
SPLIT_HEADERS = (INSTANCE_HOURS, "Instance cost")
"""Behind those where tasks cost something, too."""
DROPPED_FIRST = ("Peak", "Short", "Flaps", "Activities", INSTANCE_HOURS, "Task hours", "Spare", "Instances", "Waiting")
"""What a narrow terminal has no room for, in this order; what is decided by always stays."""
FRONT_SIGN = "◆"
FRONT_WORDS = "no other is cheaper without being out of objective for longer"
SPARK = "▁▂▃▄▅▆▇█"
SPARK_COLUMNS = 60
NAME_CHARACTERS_MIN = 16


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One run, as text; `cells` as `headers` says."""

    cells: tuple[str, ...]
    is_best: bool
    is_within: bool
    is_on_front: bool


def money(result: results.Result, amount: float) -> str:
    """`$ 73.01`."""
    return f"{result.currency} {amount:,.2f}"


def minutes(amount: float) -> str:
    """`26 min`; seconds only where there are some."""
    return f"{amount:,.0f} min" if amount == int(amount) else f"{amount:,.1f} min"


def headers(result: results.Result) -> tuple[str, ...]:
    """The table's; out of objective is always the fourth."""
    latency = (LATENCY_HEADER,) if result.latency_limit_seconds is not None else ()
    dropped = (DROPPED_HEADER,) if result.dropped_limit_percent is not None else ()
    if result.instance_hour is None:
        return (*HEADERS, *latency, *dropped)
    if result.task_hour:
        return (*HEADERS, *latency, *dropped, *FLEET_HEADERS, *SPLIT_HEADERS)
    return (*HEADERS[:2], INSTANCE_HOURS, *HEADERS[3:], *latency, *dropped, *FLEET_HEADERS)


def rows(result: results.Result) -> tuple[Row, ...]:
    """One for each run that is shown, in that order."""
    return tuple(
        Row(
            cells=_cells(result, one),
            is_best=one.name == result.best,
            is_within=one.is_within,
            is_on_front=one.name in result.front,
        )
        for one in result.shown
    )


def _cells(result: results.Result, one: results.Run) -> tuple[str, ...]:
    totals, fleet = one.totals, one.fleet
    cells = [
        one.name,
        money(result, totals.cost),
        f"{totals.task_hours:,.0f}",
        minutes(totals.minutes_out),
        f"{totals.spare_percent:,.0f} %",
        f"{totals.short_task_hours:,.1f} h",
        f"{totals.activities:,}",
        f"{totals.flaps:,}",
        f"{totals.peak:,}",
    ]
    if result.latency_limit_seconds is not None:
        cells.append(spans.show_short(totals.latency_p99_worst_seconds))
    if result.dropped_limit_percent is not None:
        cells.append(f"{totals.dropped_percent:,.2f} %")
    if fleet is not None:
        hours = f"{fleet.instance_hours:,.0f}"
        cells += [minutes(fleet.minutes_waiting), f"{fleet.peak:,}"]
        if result.task_hour:
            cells += [hours, money(result, fleet.instance_cost)]
        else:
            cells[2] = hours
    return tuple(cells)


def beaten(result: results.Result) -> str:
    """What became of the runs that aren't shown; empty where all are."""
    count = len(result.runs) - len(result.shown)
    if not count:
        return ""
    return (
        f"{count:,} more {'was' if count == 1 else 'were'} tried: each is beaten in cost and in minutes by one of these"
    )


def has_front(result: results.Result) -> bool:
    """Whether the front is worth telling: something was looked through, not only named."""
    return any(not one.is_named for one in result.runs)


def mark(result: results.Result) -> str:
    """What stands behind the best run: `cheapest within 30 min`."""
    allowed = (
        f"within {minutes(result.minutes_allowed)}" if result.minutes_allowed else "that is never out of objective"
    )
    return f"cheapest {allowed}"


def answer(result: results.Result) -> str:
    """One sentence or two: which is cheapest within the objective, and how the others do."""
    span = spans.show_span(result.seconds)
    best = next((one for one in result.runs if one.name == result.best), None)
    if best is None:
        nearest = min(result.runs, key=lambda one: one.totals.minutes_out)
        return (
            f"None keeps the objective ({result.objective}). Nearest is {nearest.name}: out of it for "
            f"{minutes(nearest.totals.minutes_out)} of {span}, for {money(result, nearest.totals.cost)}."
        )
    said = (
        f"{best.name} is the cheapest within the objective ({result.objective}): "
        f"{money(result, best.totals.cost)} for {span}, {minutes(best.totals.minutes_out)} out of it."
    )
    fixed = [one for one in result.runs if one.fixed is not None and one is not best]
    if not fixed:
        return said
    other = min(fixed, key=lambda one: (not one.is_within, one.totals.cost))
    verdict = "keeps it, too" if other.is_within else f"misses it: {minutes(other.totals.minutes_out)}"
    return f"{said} {other.fixed} fixed tasks cost {money(result, other.totals.cost)}; that {verdict}."


def spark(values: Sequence[float], columns: int = SPARK_COLUMNS) -> str:
    """A line of so many columns at most, each as high as the largest of its values."""
    width = min(columns, len(values))
    tops = [max(values[len(values) * one // width : len(values) * (one + 1) // width]) for one in range(width)]
    high = max(tops, default=0.0) or 1.0
    return "".join(SPARK[min(len(SPARK) - 1, int(top / high * (len(SPARK) - 1) + 0.5))] for top in tops)


def markdown(result: results.Result) -> str:
    """The answer, the table and a sparkline each: for pull requests."""
    lines = [
        f"**{result.scenario}**: {answer(result)}",
        "",
        f"| {' | '.join(headers(result))} |",
        f"| --- |{' ---: |' * (len(headers(result)) - 1)}",
    ]
    for row in rows(result):
        cells = list(row.cells)
        cells[0] = cells[0].replace("|", "\\|") + (f" {FRONT_SIGN}" if row.is_on_front and has_front(result) else "")
        if row.is_best:
            cells = [f"**{cell}**" for cell in cells]
        lines.append(f"| {' | '.join(cells)} |")
    if has_front(result):
        lines += ["", f"{FRONT_SIGN} {FRONT_WORDS}. {beaten(result)}".rstrip() + ("." if beaten(result) else "")]
    demand = result.demand
    wide = max(NAME_CHARACTERS_MIN, *(len(one.name) for one in result.shown))
    lines += ["", "```", f"{'requests/s':<{wide}} {spark(demand)}  up to {max(demand):,.0f}"]
    for one in result.shown:
        lines.append(f"{one.name:<{wide}} {spark(one.series.running)}  up to {one.totals.peak:,} tasks")
        if one.fleet is not None:
            lines.append(f"{'  instances':<{wide}} {spark(one.fleet.series.running)}  up to {one.fleet.peak:,}")
    lines += [
        "```",
        "",
        f"Simulated {spans.show_span(result.seconds)}, seed {result.seed}, roadstead {result.version}.",
    ]
    return "\n".join(lines) + "\n"
