"""A result as one self-contained HTML page: no request leaves it, and the same result gives the same bytes.

Data go in as rounded integers in one JSON; series longer than `POINTS_MAX` as the least and the most of each bucket.
The page's parts are in `web/`.
"""

from __future__ import annotations

import html
import importlib.resources
import json
import math
import re
from collections.abc import Sequence
from typing import Any

from roadstead.lab import apply, front, results, spans, summary

POINTS_MAX = 20_000
"""Points of a series in the page."""
RUG_MAX = 5_000
"""Spans out of objective in the page; more are merged with their neighbours."""
ALARM_CHANGES_MAX = 20_000
ACTIVITIES_MAX = 20_000
"""Newest activities of a run in the page."""
RUNS_DRAWN_MAX = 24
"""Runs whose graphs are in the page; of more there are the numbers alone."""
SCALES = (1, 10, 100, 1000)
MOST = 1000.0
"""A series is scaled up until its largest value has about four digits."""
_SLOT = re.compile(r"\{\{(\w+)\}\}")


def page(result: results.Result) -> bytes:
    """The whole page, UTF-8."""
    slots = {
        "title": html.escape(result.scenario),
        "made": html.escape(
            f"Roadstead policy lab · {spans.show_span(result.seconds)} from {spans.show_moment(result.begin)} UTC · "
            f"{result.steps:,} steps of {spans.show_span(result.step_seconds)} · seed {result.seed} · "
            f"roadstead {result.version}"
        ),
        "answer": html.escape(summary.answer(result).replace(f"{result.currency} ", f"{result.currency}\u00a0")),
        "objective": html.escape(result.objective),
        "table": _table(result),
        "fleet": _asset("report-fleet.html") if result.instance_hour is not None else "",
        "front": _front(result),
        "quality": _QUALITY if _has_quality(result) else "",
        "assumptions": "\n".join(
            f"<li>{html.escape(line)}</li>"
            for line in (*result.assumptions, *(f"{one.name}: {note}." for one in result.shown for note in one.notes))
        ),
        "data": _json(data(result)),
        "css": _asset("report.css"),
        "uplot_css": _asset("uPlot.min.css"),
        "uplot_js": _asset("uPlot.iife.min.js").replace("/*!", f"/*!\n{_asset('uPlot-LICENSE.txt')}\n", 1),
        "chart_js": _asset("scaling-chart.js"),
        "report_js": _asset("report.js"),
    }
    return _SLOT.sub(lambda found: slots[found[1]], _asset("report.html")).encode()


def _asset(name: str) -> str:
    return importlib.resources.files("roadstead.lab").joinpath("web", name).read_text(encoding="utf-8")


def _json(value: Any) -> str:
    """JSON that can't end the script it stands in."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")


def _table(result: results.Result) -> str:
    heads = "".join(f'<th scope="col">{html.escape(one)}</th>' for one in summary.headers(result))
    lines = [f'<table id="policies"><thead><tr>{heads}</tr></thead><tbody>']
    places = _places(result)
    for one, row in zip(result.shown, summary.rows(result), strict=True):
        cells = [html.escape(one) for one in row.cells]
        best = f'<span class="best">← {html.escape(summary.mark(result))}</span>' if row.is_best else ""
        if row.is_on_front and summary.has_front(result):
            best = (
                f' <span class="on-front" title="{html.escape(summary.FRONT_WORDS)}">{summary.FRONT_SIGN}</span>{best}'
            )
        tone = "within" if row.is_within else "beyond"
        middle = f"<td>{cells[1]}</td><td>{cells[2]}</td><td class='{tone}'>{cells[3]}</td>"
        rest = "".join(f"<td>{one}</td>" for one in cells[4:])
        place = f' data-place="{places[one.name]}"' if one.name in places else ""
        lines.append(f"<tr{place}><td>{cells[0]}{best}</td>{middle}{rest}</tr>")
    return "\n".join([*lines, "</tbody></table>"])


def _places(result: results.Result) -> dict[str, int]:
    """Where in the page's data the runs are that it draws, by name."""
    return {one.name: place for place, one in enumerate(drawn(result))}


def _front(result: results.Result) -> str:
    """The section with the picture of all runs, where some were looked through."""
    if not summary.has_front(result):
        return ""
    picture = front.scatter(result, _places(result))
    beaten = f"{summary.beaten(result)}." if summary.beaten(result) else ""
    return _FRONT.format(
        picture=picture, sign=summary.FRONT_SIGN, words=summary.FRONT_WORDS, beaten=html.escape(beaten)
    )


_FRONT = """<section>
<div class="head"><h2>Cost against minutes out of objective</h2>
<span class="small">select a point to see its run below</span></div>
<p class="small">Each point is a policy. The line joins those of which {words} ({sign}). {beaten}</p>
<div class="graph scatter">{picture}</div>
</section>"""
_QUALITY = """<div class="graph" id="quality" role="img" aria-label="Latency and dropped requests over time"></div>"""


def _has_quality(result: results.Result) -> bool:
    return result.latency_limit_seconds is not None or result.dropped_limit_percent is not None


# ---------------------------------------------------------------------------------------------- data


def data(result: results.Result) -> dict[str, Any]:
    """What the page's scripts read; moments are seconds after the begin."""
    width = bucket(result.steps)
    texts: dict[str, int] = {}
    runs = drawn(result)
    return {
        "begin": round(result.begin),
        "end": round(result.begin + result.seconds),
        "requestsPerSecond": result.requests_per_second,
        "selected": next((place for place, one in enumerate(runs) if one.name == result.best), 0),
        "x": _moments(result.steps, width, result.step_seconds),
        "demand": _series(result.demand, width),
        "runs": [_run(result, one, width, texts) for one in runs],
        "quality": {"latencyLimit": result.latency_limit_seconds, "droppedLimit": result.dropped_limit_percent},
        "texts": list(texts),
    }


def drawn(result: results.Result) -> Sequence[results.Run]:
    """The runs whose graphs are in the page: those that are shown, as many as there may be, the best among them."""
    shown = result.shown
    if len(shown) <= RUNS_DRAWN_MAX:
        return shown
    kept = {one.name for one in shown[: RUNS_DRAWN_MAX - 1]} | {result.best}
    return [one for one in shown if one.name in kept]


def bucket(steps: int) -> int:
    """How many steps two points stand for: 1 where every step is a point of its own."""
    return 1 if steps <= POINTS_MAX else math.ceil(steps * 2 / POINTS_MAX)


def _moments(steps: int, width: int, step_seconds: float) -> list[int]:
    if width == 1:
        return [round((step + 1) * step_seconds) for step in range(steps)]
    found = []
    for first in range(0, steps, width):
        middle = first + max(1, (min(width, steps - first)) // 2)
        found += [round((first + 1) * step_seconds), round((middle + 0.5) * step_seconds)]
    return found


def _series(values: Sequence[float], width: int) -> dict[str, Any]:
    """Rounded integers and what to divide them by; null where there is no value."""
    high = max((value for value in values if math.isfinite(value)), default=0.0)
    scale = next((one for one in SCALES if high * one >= MOST), SCALES[-1]) if high > 0 else 1
    if all(value == int(value) for value in values if math.isfinite(value)):
        scale = 1
    points = values if width == 1 else _extremes(values, width)
    return {"scale": scale, "values": [round(one * scale) if math.isfinite(one) else None for one in points]}


def _extremes(values: Sequence[float], width: int) -> list[float]:
    """The least and the most of each bucket, in the order in which they came."""
    found: list[float] = []
    for first in range(0, len(values), width):
        known = [(value, place) for place, value in enumerate(values[first : first + width]) if math.isfinite(value)]
        if not known:
            found += [math.nan, math.nan]
            continue
        low, high = min(known), max(known, key=lambda one: (one[0], -one[1]))
        found += [low[0], high[0]] if low[1] <= high[1] else [high[0], low[0]]
    return found


def _run(result: results.Result, one: results.Run, width: int, texts: dict[str, int]) -> dict[str, Any]:
    places = {alarm.name: place for place, alarm in enumerate(one.alarms)}

    def since(at: float) -> int:
        return round(at - result.begin)

    first = one.alarms[0] if one.alarms else None
    return {
        "name": one.name,
        "unit": f" {one.metric.unit}" if one.metric.unit else "",
        "metric": {
            "name": one.metric.name,
            "target": one.metric.target,
            "series": _series(one.series.metric, width),
        },
        "desired": _series(one.series.desired, width),
        "running": _series(one.series.running, width),
        "out": _spans_out(one.series.out, result.step_seconds),
        **(_quality(one, width) if _has_quality(result) else {}),
        "alarms": [
            {
                "asks": alarm.asks,
                "threshold": round(alarm.threshold, 3),
                "drawn": first is not None and alarm.metric == first.metric,
            }
            for alarm in one.alarms
        ],
        "alarmChanges": [
            [since(change.at), places[change.alarm], change.state] for change in one.alarm_changes[-ALARM_CHANGES_MAX:]
        ],
        "bounds": [[since(each.at), each.min, each.max] for each in one.bounds],
        "activities": _activities(result, one.activities, texts),
        "fleet": _fleet(result, one.fleet, width, texts),
        "cli": apply.aws_cli(one, result.stands_for),
        "terraform": apply.terraform(one, result.stands_for),
    }


def _activities(result: results.Result, given: Sequence[results.Activity], texts: dict[str, int]) -> list[Any]:
    def text(told: str) -> int:
        return texts.setdefault(told, len(texts))

    return [
        [
            round(each.at - result.begin),
            each.from_count,
            each.to_count,
            text(each.cause),
            each.formula,
            text(each.status),
        ]
        for each in given[-ACTIVITIES_MAX:]
        if each.is_change
    ]


def _fleet(
    result: results.Result, fleet: results.Fleet | None, width: int, texts: dict[str, int]
) -> dict[str, Any] | None:
    if fleet is None:
        return None
    return {
        "min": fleet.min,
        "max": fleet.max,
        "wanted": _series(fleet.series.wanted, width),
        "running": _series(fleet.series.running, width),
        "waiting": _series(fleet.series.waiting, width),
        "activities": _activities(result, fleet.activities, texts),
    }


def _quality(one: results.Run, width: int) -> dict[str, Any]:
    return {"latency": _series(one.series.latency, width), "dropped": _series(one.series.dropped, width)}


def _spans_out(out: Sequence[int], step_seconds: float) -> list[list[int]]:
    """From when to when it is out of objective."""
    found: list[list[int]] = []
    gap = 0
    while True:
        found.clear()
        for place, is_out in enumerate(out):
            if not is_out:
                continue
            if found and place - found[-1][1] <= gap:
                found[-1][1] = place + 1
            else:
                found.append([place, place + 1])
        if len(found) <= RUG_MAX:
            break
        gap = gap * 2 + 1
    return [[round(first * step_seconds), round(last * step_seconds)] for first, last in found]
