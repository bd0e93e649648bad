"""The examples run, their reports are made, and the guide shows what they say."""

from __future__ import annotations

import pathlib
import re

import msgspec
import pytest

from roadstead import lab
from roadstead.lab import policies, report, results, scenario, summary, traffic

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples/scenarios").glob("*.yaml"))
GUIDE = ROOT / "docs/guides/choosing-a-policy.md"
PAGE_BYTES_MAX = 2_000_000
PICTURE_BYTES_MAX = 200_000


def test_there_are_four() -> None:
    assert [path.stem for path in EXAMPLES] == ["office-api", "shop-on-instances", "shop-week", "tv-spot"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_whole(path: pathlib.Path) -> None:
    subject = scenario.load(path)
    assert any(part.trace is not None for part in subject.traffic)
    demand = traffic.make(subject, subject.seed)
    assert demand.notes == () and min(demand.rates) >= 0 and max(demand.rates) > 100
    for name in subject.policies:
        assert policies.load(pathlib.Path(subject.folder, name)).policies


@pytest.fixture(scope="module")
def made() -> dict[str, results.Result]:
    """The results of the examples, each made when it is first needed."""
    return {}


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_reports_are_made(path: pathlib.Path, tmp_path: pathlib.Path, made: dict[str, results.Result]) -> None:
    result = made[path.stem] = lab.simulate(path)
    (tmp_path / "report.html").write_bytes(report.page(result))
    assert 100_000 < (tmp_path / "report.html").stat().st_size < PAGE_BYTES_MAX
    assert result.best is not None, "an example has an answer"
    assert any(not one.is_within for one in result.runs), "and something that is not good enough"


@pytest.mark.slow
@pytest.mark.parametrize("place, stem", [(0, "shop-week"), (1, "shop-on-instances")])
def test_the_guide_shows_what_is_printed(place: int, stem: str, made: dict[str, results.Result]) -> None:
    """Numbers may differ in what a change of the simulator moves by a few percent; names, order and verdicts don't."""
    result = made.get(stem) or lab.simulate(ROOT / f"examples/scenarios/{stem}.yaml")
    tables = re.findall(r"^(POLICY .*)\n((?:[^\s`].*\n)+)", GUIDE.read_text(), flags=re.MULTILINE)
    assert len(tables) > place, "the guide shows the table"
    heads, told = tables[place]
    assert re.split(r"  +", heads.strip()) == [one.upper() for one in summary.headers(result)]
    shown = [re.split(r"  +", line) for line in told.splitlines()]
    assert [cells[0] for cells in shown] == [one.name for one in result.runs]
    assert [len(cells) > 1 and "cheapest" in line for cells, line in zip(shown, told.splitlines(), strict=True)] == [
        row.is_best for row in summary.rows(result)
    ]
    costs = [float(re.sub(r"[^\d.]", "", next(cell for cell in cells if "$" in cell))) for cells in shown]
    assert costs == pytest.approx([one.totals.cost for one in result.runs], rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{"placement_strategy": ()}, {"target_capacity": 90}])
def test_the_guide_says_what_a_setting_of_the_fleet_costs(changed: dict[str, object]) -> None:
    subject = scenario.load(ROOT / "examples/scenarios/shop-on-instances.yaml")
    assert subject.fleet is not None
    other = msgspec.structs.replace(subject, fleet=msgspec.structs.replace(subject.fleet, **changed))
    found = lab.simulate(other, [ROOT / "examples/scenarios/policies/cpu75.json"]).runs[0]
    told = re.search(rf"--set fleet.{next(iter(changed))}=.*\| \$ ([\d.]+) \| (\d+) min \|", GUIDE.read_text())
    assert told and found.fleet is not None
    assert float(told[1]) == pytest.approx(found.totals.cost, rel=0.05)
    assert float(told[2]) == pytest.approx(found.fleet.minutes_waiting, abs=10)


def test_pictures_are_small() -> None:
    for name in re.findall(r"\.\./assets/([\w.-]+\.png)", GUIDE.read_text()):
        assert (ROOT / "docs/assets" / name).stat().st_size <= PICTURE_BYTES_MAX
