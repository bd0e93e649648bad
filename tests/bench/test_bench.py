"""The bench runs: each part with tiny sizes, and its report says what is met and what is missed."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from bench import figures, report, runner, servers  # noqa: E402 (the path comes first)

FAST = ("alarms", "cloudwatch", "placement", "signals", "wire")
SERVERS = ("api", "growth", "metrics")
REAL = ("containers", "runtime", "start")


@pytest.fixture(autouse=True)
def without_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests install nothing."""
    monkeypatch.setenv(servers.WITHOUT_PEERS, "1")


def measured(name: str) -> dict[str, float]:
    """One quick run of a part: every figure is measured, but the ratios to a peer."""
    found = runner.run_once(name, quick=True)
    part = runner.load(name)
    for figure in part.FIGURES:
        if figure.unit != "times moto's rate":
            assert figure.name in found, f"{name} does not measure {figure.title}"
            assert found[figure.name] >= 0.0
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", FAST)
def test_a_part_without_servers_runs(name: str) -> None:
    assert measured(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVERS)
def test_a_part_with_servers_runs(name: str) -> None:
    assert measured(name)


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_a_part_with_containers_runs_and_leaves_nothing(name: str) -> None:
    assert measured(name)
    listed = "\n".join(_command_lines())
    assert "roadstead-bench-" not in listed


def outcome(value: float, bar: figures.Bar | None) -> figures.Outcome:
    figure = figures.Figure("f", "a call", "ms", bar, peer_name="moto f")
    return figures.Outcome(figure, (value, value + 2, value + 1), (70.0, 80.0, 90.0))


def test_the_report_judges_the_median() -> None:
    met, missed = outcome(9.0, figures.most(10)), outcome(9.5, figures.most(10))
    assert (met.is_met, missed.is_met, outcome(1.0, None).is_met) == (True, False, None)
    assert outcome(9.0, figures.least(10)).is_met and not outcome(8.5, figures.least(10)).is_met
    said = report.text([runner.Result("api", (met, missed))], ["start: it broke"])
    assert "1 of 2 bars are met." in said
    assert "MISSED: a call: 10.5 ms, the bar is ≤ 10.0" in said
    assert "FAILED: start: it broke" in said
    assert "moto 80.0 (70.0–90.0)" in said


def test_a_figure_that_was_not_measured_is_not_judged() -> None:
    empty = figures.Outcome(figures.Figure("f", "a call", "ms", figures.most(10)), ())
    assert empty.is_met is None
    assert "not measured" in report.text([runner.Result("api", (empty,))], [])


def test_the_page_keeps_what_people_wrote() -> None:
    page = report.put_into("# Benchmarks\n\nWords.\n", f"{report.BEGIN}\nold\n{report.END}")
    again = report.put_into(page + "\nMore words.\n", f"{report.BEGIN}\nnew\n{report.END}")
    assert "Words." in again and "More words." in again and "new" in again and "old" not in again


def test_an_unknown_part_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--only", "nothing"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "invalid choice" in done.stderr


def _command_lines() -> Iterator[str]:
    """The command lines of all processes."""
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
