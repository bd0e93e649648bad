"""What the command line prints: tables and trees for people, one JSON value for programs.

Colour only adds: each state has a sign and a word. Without a terminal, or with NO_COLOR, output is plain text.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import rich.console
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

    def table(self, *columns: str, right: tuple[str, ...] = ()) -> rich.table.Table:
        """An open table; columns named in `right` are set to the right. Ids are never cut: columns don't wrap."""
        table = rich.table.Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for column in columns:
            table.add_column(column, justify="right" if column in right else "left", no_wrap=True, overflow="fold")
        return table

    def show(self, thing: rich.table.Table | rich.tree.Tree) -> None:
        """Print a table or tree. Without a terminal nothing is cut to a width."""
        if self.out.is_terminal:
            self.out.print(thing)
        else:
            wide = rich.console.Console(highlight=False, width=400, no_color=True)
            with wide.capture() as capture:
                wide.print(thing)
            sys.stdout.write("\n".join(row.rstrip() for row in capture.get().splitlines()) + "\n")


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
