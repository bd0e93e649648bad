"""The picture of many runs: what each costs against how long it is out of objective, with the Pareto front; as SVG.

Minutes are drawn by their logarithm: whether a policy is out for one minute or for ten matters more than whether it is
for 1,000 or for 1,010.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

from roadstead.lab import results, summary

WIDTH, HEIGHT = 1160, 330
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 40, 46
"""Room around the points, in units of the picture."""
MARGIN_PART = 0.05
"""Of the range of costs, on both sides."""
MINUTES = (0, 1, 2, 5, 10, 30, 60, 180, 600, 1800, 6000, 20_000, 60_000, 200_000, 1_000_000)
TICKS_MAX = 8
LETTER = 6.6
"""How wide a letter of a label is, about."""
LINE = 14


class _Scale:
    """Where costs and minutes are in the picture."""

    def __init__(self, runs: Sequence[results.Run], minutes_allowed: float) -> None:
        costs = [one.totals.cost for one in runs]
        spread = (max(costs) - min(costs)) or max(costs) or 1.0
        self.low = max(0.0, min(costs) - spread * MARGIN_PART)
        self.high = max(costs) + spread * MARGIN_PART
        self.most = max(*(one.totals.minutes_out for one in runs), minutes_allowed, 1.0)

    def x(self, cost: float) -> float:
        return round(LEFT + (cost - self.low) / (self.high - self.low) * (WIDTH - LEFT - RIGHT), 1)

    def y(self, minutes: float) -> float:
        part = math.log1p(minutes) / math.log1p(self.most)
        return round(HEIGHT - BOTTOM - part * (HEIGHT - BOTTOM - TOP), 1)


def scatter(result: results.Result, places: Mapping[str, int]) -> str:
    """The picture. `places` has the runs that can be looked at, by name: their points get `data-place`."""
    scale = _Scale(result.runs, result.minutes_allowed)
    front = [one for one in result.runs if one.name in result.front]
    front.sort(key=results.worth)
    lines = [
        f'<svg id="front" viewBox="0 0 {WIDTH} {HEIGHT}" role="group" '
        'aria-label="Cost against minutes out of objective">',
        *_axes(result, scale),
        f'<polyline class="front" points="{_stairs(front, scale)}"/>',
    ]
    # the front comes last, so that it lies above
    for one in sorted(result.runs, key=lambda one: (one.name in result.front, one.name == result.best)):
        lines.append(_point(result, one, scale, places.get(one.name)))
    lines += _labels(result, front, scale)
    return "\n".join([*lines, "</svg>"])


def _stairs(front: Sequence[results.Run], scale: _Scale) -> str:
    """Along the front: for each cost the fewest minutes that so much buys."""
    found: list[str] = []
    before: results.Run | None = None
    for one in front:
        x, y = scale.x(one.totals.cost), scale.y(one.totals.minutes_out)
        if before is not None:
            found.append(f"{x},{scale.y(before.totals.minutes_out)}")
        found.append(f"{x},{y}")
        before = one
    return " ".join(found)


def _point(result: results.Result, one: results.Run, scale: _Scale, place: int | None) -> str:
    kinds = ["dot"]
    kinds += ["on-front"] if one.name in result.front else []
    kinds += ["chosen"] if one.name == result.best else []
    kinds += ["named"] if one.is_named else []
    cost, out = summary.money(result, one.totals.cost), summary.minutes(one.totals.minutes_out)
    told = f"{one.name}: {cost}, {out} out of objective"
    run = f' data-place="{place}" tabindex="0" role="button"' if place is not None else ""
    radius = 7 if one.name == result.best else 5.5 if one.name in result.front else 4
    return (
        f'<circle class="{" ".join(kinds)}" cx="{scale.x(one.totals.cost)}" cy="{scale.y(one.totals.minutes_out)}" '
        f'r="{radius}"{run} aria-label="{html.escape(told)}" data-told="{html.escape(told)}"/>'
    )


def _labels(result: results.Result, front: Sequence[results.Run], scale: _Scale) -> list[str]:
    """Names beside points of the front, the best first; those that would lie on another are left to the pointer."""
    taken: list[tuple[float, float, float, float]] = []
    lines = []
    named = [one for one in result.runs if one.is_named and one not in front]
    for one in [*sorted(front, key=lambda one: one.name != result.best), *named]:
        x, y = scale.x(one.totals.cost), scale.y(one.totals.minutes_out)
        wide = len(one.name) * LETTER
        for left, anchor in ((x + 10, "start"), (x - 10 - wide, "end")):
            box = (left, y - 9 - LINE / 2, left + wide, y - 9 + LINE / 2)
            fits = box[0] >= LEFT and box[2] <= WIDTH and box[1] >= 0
            if fits and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                at = x + 10 if anchor == "start" else x - 10
                lines.append(
                    f'<text class="name" x="{at:g}" y="{y - 5:g}" text-anchor="{anchor}">{html.escape(one.name)}</text>'
                )
                break
    return lines


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


# ---------------------------------------------------------------------------------------------- axes


def _axes(result: results.Result, scale: _Scale) -> list[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    lines = []
    for cost in _round_values(scale.low, scale.high):
        x = scale.x(cost)
        lines.append(f'<line class="grid" x1="{x}" y1="{TOP}" x2="{x}" y2="{bottom}"/>')
        shown = f"{result.currency} {cost:,.2f}" if scale.high < 10 else f"{result.currency} {cost:,.0f}"
        lines.append(f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{html.escape(shown)}</text>')
    last = math.inf
    for minutes in MINUTES:
        y = scale.y(minutes)
        if minutes > scale.most or last - y < LINE:
            continue
        last = y
        lines.append(f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{right}" y2="{y}"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{minutes:,}</text>')
    allowed = scale.y(result.minutes_allowed)
    lines += [
        f'<line class="allowed" x1="{LEFT}" y1="{allowed}" x2="{right}" y2="{allowed}"/>',
        f'<text class="allowed" x="{right}" y="{allowed - 5}" text-anchor="end">'
        f"{html.escape(summary.minutes(result.minutes_allowed))} are fine</text>",
        f'<text x="{right}" y="{HEIGHT - 6}" text-anchor="end">cost</text>',
        '<text x="8" y="12">minutes out of objective</text>',
    ]
    return lines


def _round_values(low: float, high: float) -> list[float]:
    """A handful of round numbers between two."""
    rough = (high - low) / TICKS_MAX
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    first = math.ceil(low / step)
    return [round(place * step, 6) for place in range(first, math.floor(high / step) + 1)]
