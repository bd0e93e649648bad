"""The figures as people read them: in the terminal, and as the generated part of `docs/benchmarks.md`."""

from __future__ import annotations

import datetime
import os
import pathlib
import platform
import subprocess
from collections.abc import Iterable, Sequence

from bench import figures, runner

BEGIN = "<!-- figures: made by `make bench` -->"
END = "<!-- end of figures -->"


def number(value: float) -> str:
    """Three digits that count, with commas: `0.82`, `61.3`, `4,810`."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def spread(values: Sequence[float], median: float) -> str:
    """`61.3 (58.0–66.1)`."""
    if len(values) == 1:
        return number(median)
    return f"{number(median)} ({number(min(values))}–{number(max(values))})"


def bar_of(outcome: figures.Outcome) -> str:
    bar = outcome.figure.bar
    return "" if bar is None else f"{'≥' if bar.at_least else '≤'} {number(bar.limit)}"


def verdict(outcome: figures.Outcome) -> str:
    return {True: "met", False: "MISSED", None: ""}[outcome.is_met]


def peer_of(outcome: figures.Outcome) -> str:
    if not outcome.peer_values:
        return ""
    middle = sorted(outcome.peer_values)[len(outcome.peer_values) // 2]
    return f"{outcome.figure.peer} {spread(outcome.peer_values, middle)}"


def rows(results: Iterable[runner.Result]) -> Iterable[tuple[str, str, str, str, str, str]]:
    """(part, what with its unit, bar, ours, peer, verdict), a figure each."""
    for result in results:
        for one in result.outcomes:
            ours = spread(one.values, one.median) if one.values else "not measured"
            what = f"{one.figure.title}, {one.figure.unit}"
            yield result.part, what, bar_of(one), ours, peer_of(one), verdict(one)


def summary(results: Iterable[runner.Result], failures: Sequence[str]) -> list[str]:
    """Which bars are met, which not, and what could not be measured."""
    judged = [one for result in results for one in result.outcomes if one.is_met is not None]
    missed = [one for one in judged if not one.is_met]
    lines = [f"{len(judged) - len(missed)} of {len(judged)} bars are met."]
    for one in missed:
        lines.append(f"MISSED: {one.figure.title}: {number(one.median)} {one.figure.unit}, the bar is {bar_of(one)}")
    return lines + [f"FAILED: {failure}" for failure in failures]


def text(results: Sequence[runner.Result], failures: Sequence[str]) -> str:
    """The report for a terminal."""
    table = list(rows(results))
    widths = [max((len(row[place]) for row in table), default=0) for place in range(6)]
    lines = []
    part = ""
    for row in table:
        if row[0] != part:
            part = row[0]
            lines.append(f"\n{part}")
        cells = [row[1].ljust(widths[1]), row[2].rjust(widths[2]), row[3].rjust(widths[3]), row[4].ljust(widths[4])]
        lines.append(f"  {'  '.join(cells)}  {row[5]}".rstrip())
    return "\n".join([*lines, "", *summary(results, failures)])


def markdown(results: Sequence[runner.Result], failures: Sequence[str], quick: bool) -> str:
    """The generated part of the page."""
    lines = [BEGIN, "", machine(), ""]
    if quick:
        lines += ["These are figures of `--quick`: they say that everything runs, not how fast.", ""]
    part = ""
    for row in rows(results):
        if row[0] != part:
            part = row[0]
            lines += [
                "",
                f"### {part}",
                "",
                "| what | bar | ours | peer | |",
                "| --- | --- | --- | --- | --- |",
            ]
        lines.append(f"| {row[1]} | {row[2]} | {row[3]} | {row[4]} | {row[5]} |")
    lines += ["", *(f"- {line}" for line in summary(results, failures)), "", END]
    return "\n".join(_without_double_blanks(lines))


def put_into(page: str, generated: str) -> str:
    """The page with its generated part replaced; appended where it has none."""
    begins, ends = page.find(BEGIN), page.find(END)
    if begins < 0 or ends < begins:
        return f"{page.rstrip()}\n\n{generated}\n".lstrip()
    return page[:begins] + generated + page[ends + len(END) :]


def machine() -> str:
    """Where and with what the figures were measured."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory_kib = int(pathlib.Path("/proc/meminfo").read_text().split()[1])
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return (
        f"Measured on {today} at commit {commit.stdout.strip() or 'unknown'}: {os.cpu_count()} cores of {model}, "
        f"{memory_kib / 1024 / 1024:.1f} GiB, Linux {platform.release()}, CPython {platform.python_version()}; "
        f"load average at the end {load}. Medians of several runs, with the smallest and the largest."
    )


def _without_double_blanks(lines: Iterable[str]) -> Iterable[str]:
    before = "."
    for line in lines:
        if line or before:
            yield line
        before = line
