"""Tables: what a narrow terminal shows, and what a pipe gets."""

from __future__ import annotations

import io

import pytest
import rich.console

from roadstead.cli import output


def made(out: output.Output) -> output.Table:
    table = out.table("NAME", "OUT OF OBJECTIVE", "PEAK", drop=("PEAK",))
    table.add_row("cpu60", "7 min", "74")
    return table


@pytest.mark.parametrize(
    "columns, headers",
    [(80, "NAME   OUT OF OBJECTIVE  PEAK"), (24, "NAME   OUT OF OBJECTIVE"), (9, "NAME   OUT OF OBJECTIVE")],
)
def test_a_header_is_never_cut_columns_go_instead(columns: int, headers: str) -> None:
    out, screen = output.Output(), io.StringIO()
    out.out = rich.console.Console(file=screen, width=columns, force_terminal=True, color_system=None)
    out.show(made(out))
    assert screen.getvalue().splitlines()[0].rstrip() == headers


def test_a_pipe_gets_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    out = output.Output(color=False)
    table = out.table("WHY", prose=("WHY",))
    table.add_row("x " * 1000)
    out.show(table)
    assert capsys.readouterr().out.splitlines() == ["WHY", ("x " * 1000).rstrip()]


def test_counts_are_words() -> None:
    assert [output.count(amount, "task") for amount in (0, 1, 1200)] == ["0 tasks", "1 task", "1,200 tasks"]
