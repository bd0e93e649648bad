"""What the command line prints: tables and trees for people, one JSON value for programs.

Colour only adds: each state has a sign and a word. Without a terminal, or with NO_COLOR, output is plain text.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import rich.console
import rich.measure
import rich.segment
import rich.table
import rich.text
import rich.tree

SIGNS_UTF8 = {"good": "●", "busy": "◌", "bad": "▲", "plain": "·"}
SIGNS_ASCII = {"good": "*", "busy": "o", "bad": "!", "plain": "-"}
STYLES = {"good": "green", "busy": "yellow", "bad": "red", "plain": ""}
MOODS = {
    "RUNNING": "good",
    "ACTIVE": "good",
    "OK": "good",
    "steady": "good",
    "HEALTHY": "good",
    "COMPLETED": "good",
    "PROVISIONING": "busy",
    "PENDING": "busy",
    "ACTIVATING": "busy",
    "DEACTIVATING": "busy",
    "STOPPING": "busy",
    "DEPROVISIONING": "busy",
    "DRAINING": "busy",
    "IN_PROGRESS": "busy",
    "changing": "busy",
    "INSUFFICIENT_DATA": "busy",
    "STOPPED": "bad",
    "INACTIVE": "bad",
    "ALARM": "bad",
    "FAILED": "bad",
    "failing": "bad",
    "UNHEALTHY": "bad",
    "disconnected": "bad",
}
BARS_UTF8 = "▁▂▃▄▅▆▇█"
BARS_ASCII = "_.-=+*#@"
PROSE_CHARACTERS_MIN = 20
"""A column of sentences is at least so wide."""
WIDTH_MAX = 10_000
"""Characters: wider than any line."""


class Output:
    """Where a command writes: `out` for results, `err` for remarks and errors."""

    def __init__(self, as_json: bool = False, color: bool | None = None) -> None:
        forced = {None: None, True: True, False: False}[color]
        self.as_json = as_json
        self.out = rich.console.Console(
            highlight=False, soft_wrap=False, force_terminal=forced or None, no_color=color is False or None
        )
        self.err = rich.console.Console(stderr=True, highlight=False, no_color=color is False or None)
        self.utf8 = "utf" in (self.out.encoding or "").lower()

    @property
    def is_live(self) -> bool:
        """Whether a person watches: a terminal, and no JSON asked for."""
        return self.out.is_terminal and not self.as_json

    def json(self, value: Any) -> None:
        """One JSON value, whole."""
        sys.stdout.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")

    def line(self, text: str | rich.text.Text = "") -> None:
        """A line of the result, as it is: no markup, wrapped by the terminal."""
        self.out.print(text, markup=False, soft_wrap=True)

    def remark(self, text: str) -> None:
        """Something beside the result, on standard error."""
        self.err.print(text, markup=False, soft_wrap=True)

    def state(self, word: str) -> rich.text.Text:
        """A state with its sign and colour, in ECS's spelling."""
        mood = MOODS.get(word, "plain")
        signs = SIGNS_UTF8 if self.utf8 else SIGNS_ASCII
        return rich.text.Text(f"{signs[mood]} {word}", style=STYLES[mood])

    def bars(self, values: list[float | None], top: float | None = None) -> str:
        """A sparkline: one column a value, a blank where there is none."""
        bars = BARS_UTF8 if self.utf8 else BARS_ASCII
        given = [value for value in values if value is not None]
        high = top if top is not None else max(given, default=1.0)
        columns = []
        for value in values:
            if value is None:
                columns.append(" ")
            else:
                rank = int(value / high * (len(bars) - 1) + 0.5) if high > 0 else 0
                columns.append(bars[max(0, min(len(bars) - 1, rank))])
        return "".join(columns)

    def table(
        self,
        *columns: str,
        right: tuple[str, ...] = (),
        prose: tuple[str, ...] = (),
        drop: tuple[str, ...] = (),
    ) -> Table:
        """An open table; columns named in `right` are set to the right, those in `prose` may wrap.

        Nothing is ever cut: where a terminal is narrow, columns named in `drop` go, the first of them first.
        """
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        table.drop = drop
        for column in columns:
            table.add_column(
                column,
                justify="right" if column in right else "left",
                no_wrap=column not in prose,
                overflow="fold",
                min_width=PROSE_CHARACTERS_MIN if column in prose else None,
            )
        return table

    def show(self, thing: Table | rich.tree.Tree) -> None:
        """Print a table or tree. Without a terminal nothing is fitted to a width."""
        if self.out.is_terminal and isinstance(thing, Table):
            fitted, width = thing.fit(self.out)
            options = self.out.options.update(width=max(width, self.out.width))
            self.out.print(rich.segment.Segments(list(self.out.render(fitted, options))), crop=False, end="")
        elif self.out.is_terminal:
            self.out.print(thing)
        else:
            wide = rich.console.Console(highlight=False, width=WIDTH_MAX, no_color=True)
            with wide.capture() as capture:
                wide.print(thing)
            sys.stdout.write("\n".join(row.rstrip() for row in capture.get().splitlines()) + "\n")


class Table(rich.table.Table):
    """A table that can do without some of its columns."""

    drop: tuple[str, ...] = ()

    def fit(self, console: rich.console.Console) -> tuple[Table, int]:
        """This table without the columns that have to go, and the width it needs (more than there is: lines wrap)."""
        fitted, left = self, list(self.drop)
        while (width := fitted._width_min(console)) > console.width and left:
            fitted = fitted._without(left.pop(0))
        return fitted, width

    def _width_min(self, console: rich.console.Console) -> int:
        options = console.options.update(width=WIDTH_MAX)
        for column in self.columns:
            if column.no_wrap:
                texts = (column.header, *column.cells)
                column.min_width = max(rich.measure.Measurement.get(console, options, one).maximum for one in texts)
        return rich.measure.Measurement.get(console, options, self).minimum

    def _without(self, header: str) -> Table:
        kept = [column for column in self.columns if column.header != header]
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for column in kept:
            table.add_column(
                column.header,
                justify=column.justify,
                no_wrap=column.no_wrap,
                overflow=column.overflow,
                min_width=column.min_width,
            )
        for row in zip(*(column.cells for column in kept), strict=True):
            table.add_row(*row)
        return table


def count(amount: int, noun: str) -> str:
    """`1 task`, `1,200 tasks`."""
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def age(seconds: float) -> str:
    """A short span: `3s`, `14m`, `5h`, `2d`."""
    seconds = max(0.0, seconds)
    if seconds < 60:
        return f"{seconds:.0f}s"
    if seconds < 3_600:
        return f"{seconds / 60:.0f}m"
    if seconds < 86_400:
        return f"{seconds / 3_600:.0f}h"
    return f"{seconds / 86_400:.0f}d"
