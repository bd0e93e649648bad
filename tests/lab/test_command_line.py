"""`roadstead simulate`: what a user types, and what is printed."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

pytestmark = pytest.mark.slow  # thorough: `make check` leaves it to `make test`

T = TypeVar("T")

CPU = (
    '{"TargetValue": 60, "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}}'
)
SCENARIO = """name: Two hours
duration: 2h
traffic:
- ramp: {from: 60, to: 600, begin: 30m, end: 60m}
service: {requests_per_second: 50, cpu_seconds_per_request: 0.02}
objective: {utilization_percent: 85, minutes: 30}
tasks: {min: 2, max: 30}
policies: [cpu60.json]
fixed: [20]
"""


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "ramp.yaml").write_text(SCENARIO)
    (tmp_path / "cpu60.json").write_text(CPU)
    return tmp_path


def simulate(folder: pathlib.Path, *arguments: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "roadstead", "simulate", *arguments]
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8", "PYTHONHASHSEED": hash_seed}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_table_marks_the_cheapest(folder: pathlib.Path) -> None:
    done = simulate(folder, "ramp.yaml")
    assert done.returncode == 0, done.stderr
    header, best, fixed = [line for line in done.stdout.splitlines() if line]
    assert header.split()[:4] == ["POLICY", "COST", "TASK", "HOURS"]
    assert best.startswith("cpu60  ← cheapest within 30 min  $ ")
    assert fixed.split() == ["fixed", "20", "$", "1.97", "40", "0", "min", "151", "%", "0.0", "h", "0", "0", "20"]
    assert "2 runs × 120 steps" in done.stderr and "seed 1" in done.stderr


def test_the_command_line_names_what_to_try_instead(folder: pathlib.Path) -> None:
    done = simulate(folder, "ramp.yaml", "--fixed", "5", "--json", "-")
    told = json.loads(done.stdout)
    assert [one["name"] for one in told["runs"]] == ["fixed 5"]
    assert told["best"] is None
    assert "series" not in told["runs"][0]


def test_a_fleet_is_told_without_its_series(folder: pathlib.Path) -> None:
    fleet = "fleet: {cpu_units: 2048, memory_mib: 4096, max: 30}\nprices: {instance_hour: 0.1}\n"
    (folder / "fleet.yaml").write_text(SCENARIO + fleet)
    done = simulate(folder, "fleet.yaml", "--fixed", "5", "--json", "-")
    told = json.loads(done.stdout)["runs"][0]["fleet"]
    assert (told["instance_hours"], told["instance_cost"], told["min"], told["max"]) == (6.0, 0.6, 0, 30)
    assert "series" not in told and "activities" not in told


def test_a_trace_in_place_of_the_traffic(folder: pathlib.Path) -> None:
    (folder / "trace.csv").write_text("timestamp,rps\n1795341600,100\n1795345200,100\n")
    done = simulate(folder, "ramp.yaml", "--trace", "trace.csv", "--fixed", "3", "--json", "whole.json")
    assert done.returncode == 0, done.stderr
    whole = json.loads((folder / "whole.json").read_text())
    assert set(whole["runs"][0]["series"]["demand"]) == {100.0}
    assert whole["begin"] == 1_795_341_600.0
    assert "whole.json (0.0 MB)" in done.stdout


def test_the_same_inputs_give_the_same_bytes_in_every_process(folder: pathlib.Path) -> None:
    for number in ("1", "2"):
        simulate(folder, "ramp.yaml", "--html", f"{number}.html", "--json", f"{number}.json", hash_seed=number)
    assert (folder / "1.html").read_bytes() == (folder / "2.html").read_bytes()
    assert (folder / "1.json").read_bytes() == (folder / "2.json").read_bytes()


def test_markdown_for_a_pull_request(folder: pathlib.Path) -> None:
    done = simulate(folder, "ramp.yaml", "--format", "md")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("**Two hours**: cpu60 is the cheapest within the objective")
    assert "| fixed 20 | $ 1.97 | 40 | 0 min | 151 % | 0.0 h | 0 | 0 | 20 |" in lines
    assert any(line.startswith("requests/s       ▂") for line in lines)


@pytest.mark.parametrize(
    "arguments, told",
    [
        (("none.yaml",), "roadstead: none.yaml: can't be read: No such file or directory"),
        (("ramp.yaml", "--policy", "ramp.yaml"), "roadstead: ramp.yaml:1: this is no JSON"),
        (("ramp.yaml", "--format", "pdf"), "roadstead: --format can't be 'pdf'"),
        (("cpu60.json",), "roadstead: cpu60.json:1: TargetValue: there is no such field"),
        (("ramp.yaml", "--policy", "bad.json"), "roadstead: bad: ValidationException: TargetValue must be greater"),
    ],
)
def test_errors_are_for_people_and_exit_with_2(folder: pathlib.Path, arguments: tuple[str, ...], told: str) -> None:
    (folder / "bad.json").write_text(CPU.replace("60", "-1"))
    done = simulate(folder, *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_the_recommendation_is_printed_to_apply(folder: pathlib.Path) -> None:
    done = simulate(folder, "ramp.yaml", "--recommend", "--html", "found.html")
    assert done.returncode == 0, done.stderr
    assert "← cheapest within 30 min" in done.stdout
    assert "aws application-autoscaling put-scaling-policy" in done.stdout
    assert 'resource "aws_appautoscaling_policy"' in done.stdout
    assert "Which" not in done.stdout and (folder / "found.html").read_bytes().startswith(b"<!doctype html>")


def test_when_no_policy_keeps_the_objective_it_says_so(folder: pathlib.Path) -> None:
    text = SCENARIO.replace("max: 30", "max: 2").replace("minutes: 30", "minutes: 0")
    (folder / "ramp.yaml").write_text(text.replace("duration: 2h", "duration: 70m"))
    done = simulate(folder, "ramp.yaml", "--recommend")
    assert done.returncode == 1
    assert "no policy keeps the objective" in done.stderr


def test_a_sweep_shows_its_front_and_keeps_every_number(folder: pathlib.Path) -> None:
    sweep = ("--sweep", "TargetValue=50:95:15", "--sweep", "HighResolution=false,true")
    done = simulate(folder, "ramp.yaml", "--policy", "cpu60.json", *sweep, "--json", "all.json", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    told = json.loads((folder / "all.json").read_text())
    assert len(told["runs"]) == 1 + 4 * 2 and told["front"]
    shown = [line for line in done.stdout.splitlines() if line.startswith("cpu60")]
    assert {line.split()[0] for line in shown} == {"cpu60", *told["front"]}
    assert sum(" ◆" in line for line in shown) == len(told["front"])
    assert "◆ no other is cheaper without being out of objective for longer" in done.stdout


@pytest.mark.parametrize(
    "sweep, told",
    [
        ("TargetValue", "--sweep: 'TargetValue' sweeps nothing: say PARAMETER=FROM:TO:STEP"),
        ("", "'' sweeps nothing"),
        ("Target=1,2", "sweep.Target: there is no such parameter"),
        ("TargetValue=9:1:1", "'9:1:1' is no range"),
        ("TargetValue=a,b", "'a' is no number"),
        ("TargetValue=[", "this is no YAML"),
        ("Threshold=5", "sweep.Threshold: cpu has no alarm"),
    ],
)
def test_sweeps_that_can_not_be(folder: pathlib.Path, sweep: str, told: str) -> None:
    done = simulate(folder, "ramp.yaml", "--sweep", sweep)
    assert done.returncode == 2
    assert told in done.stderr and "Traceback" not in done.stderr


def test_processes_end_with_the_one_that_started_them(folder: pathlib.Path) -> None:
    (folder / "ramp.yaml").write_text(SCENARIO.replace("duration: 2h", "duration: 60d"))
    command = [sys.executable, "-m", "roadstead", "simulate", "ramp.yaml", "--sweep", "TargetValue=50:60:5", "-j", "2"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as parent:
        workers = eventually(lambda: [one for one in children(parent.pid) if "spawn_main" in command_of(one)])
        parent.kill()
    assert workers
    eventually(lambda: not any("spawn_main" in command_of(one) for one in workers))


def children(pid: int) -> list[int]:
    try:
        return [int(one) for one in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def command_of(pid: int) -> str:
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def eventually(what: Callable[[], T]) -> T:
    """What it gives once that is something."""
    ends_at = time.monotonic() + 60.0
    while not (found := what()):
        assert time.monotonic() < ends_at, "it never came"
        time.sleep(0.05)
    return found
