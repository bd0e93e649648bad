"""Scenarios: what YAML may say, and how an error names line and field."""

from __future__ import annotations

import itertools
import pathlib

import pytest
from lab_scenarios import OBJECTIVE, SERVICE, TAIL, made

from roadstead.lab import problems, scenario, spans


def test_a_scenario_with_everything_in_it() -> None:
    subject = made(
        "- diurnal: {low: 60, high: 760, peak: 14:30}\n- ramp: {from: 1, to: 3, end: 2h}\n- noise: {percent: 8}",
        "duration: 1w\nstart: 2026-11-22T00:00:00Z\nstep: 20s\nfixed: [20]\ntasks: {min: 2, max: 60, initial: 3}\n"
        "prices: {task_hour: 0.05, currency: €}\npolicies: [cpu60.json]\nseed: 7\n",
    )
    assert subject.duration == spans.Span(604_800)
    assert subject.traffic[0].diurnal is not None and subject.traffic[0].diurnal.peak == 14.5
    assert subject.traffic[1].ramp == scenario.Ramp(low=1, high=3, end=spans.Span(7200))
    assert spans.show_moment(subject.start or 0) == "2026-11-22 00:00:00"
    assert (subject.tasks.initial, subject.prices.currency, subject.fixed, subject.seed) == (3, "€", (20,), 7)


@pytest.mark.parametrize(
    "text, told",
    [
        (f"name: x\n{TAIL}duration: 7x\ntraffic:\n- constant: {{rate: 1}}", "week.yaml:4: duration: '7x' is no span"),
        (f"name: x\n{TAIL}traffic:\n- diurnal: {{low: -1, high: 2}}", "week.yaml:5: traffic[0].diurnal.low: expected"),
        (
            f"name: x\n{TAIL}traffic:\n- diurnal:\n    low: 1\n",
            "week.yaml:5: traffic[0].diurnal: the field high is mis",
        ),
        (f"name: x\n{TAIL}traffic:\n- tide: {{low: 1}}", "week.yaml:5: traffic[0].tide: there is no such field"),
        (
            f"name: x\n{TAIL}traffic:\n- noise: {{percent: 1}}\n  scale: {{factor: 2}}",
            "week.yaml:5: traffic[0]: exactly",
        ),
        (f"name: x\n{SERVICE}objective: {{minutes: 3}}\ntraffic: []", "week.yaml:3: objective: give utilization_perc"),
        (f"name: x\n{TAIL}traffic:\n- spike: {{height: 1}}", "no such field; there are at, duration, factor"),
        (f"name: x\n{TAIL}colour: red\ntraffic: []", "week.yaml:4: colour: there is no such field"),
        (f"name: x\n{TAIL}name: y\n", "week.yaml:4: name: this key stands here twice"),
        (f"name: x\n{TAIL}traffic:\n- constant: [1\n- 2", "week.yaml:6: this is no YAML: expected"),
        (f"name: x\n{TAIL}step: 30s\ntraffic:\n- constant: {{rate: 1}}", "step must be a multiple of 20s"),
        (f"name: x\n{TAIL}folder: /\ntraffic:\n- constant: {{rate: 1}}", "week.yaml:4: folder: there is no such field"),
        (f"{SERVICE}{OBJECTIVE}traffic:\n- constant: {{rate: 1}}", "week.yaml:1: the field name is missing"),
        ("", "week.yaml: the document is empty"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, told: str) -> None:
    with pytest.raises(problems.Invalid) as caught:
        scenario.parse(text, "week.yaml")
    assert told in str(caught.value)


def test_aliases_can_not_fill_the_memory() -> None:
    bomb = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n" for old, new in itertools.pairwise("abcdefg")
    )
    with pytest.raises(problems.Invalid, match="more than 20000 values"):
        scenario.parse(bomb)


def test_a_file_that_is_not_there_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(problems.Invalid, match=r"none\.yaml: can't be read: No such file"):
        scenario.load(tmp_path / "none.yaml")


@pytest.mark.parametrize("text, seconds", [("90s", 90), ("2d14h", 223_200), ("1h 30m", 5400), ("250ms", 0.25), (7, 7)])
def test_spans(text: object, seconds: float) -> None:
    assert spans.parse_span(text) == seconds


@pytest.mark.parametrize("text", ["", "d", "-3s", "3y", True, None, -1, "1h30"])
def test_what_is_no_span(text: object) -> None:
    with pytest.raises(ValueError, match="is no span"):
        spans.parse_span(text)


@pytest.mark.parametrize("seconds, text", [(0, "0s"), (0.25, "250ms"), (5400, "1h30m"), (604_800, "1w")])
def test_spans_are_shown(seconds: float, text: str) -> None:
    assert spans.show_span(seconds) == text
