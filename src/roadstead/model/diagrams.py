"""Life-cycle tables as charts for docs/lifecycles.md: a Mermaid diagram and a table each. Pure text.

In: the tables of `model.lifecycle`. Out: Markdown. `app.lifecycles` puts the page together, with the agent's ladders.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence

import msgspec

from roadstead.model import lifecycle

Move = tuple[str, str]


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """One life cycle. `states` maps each status to what it means; the first is where things begin."""

    title: str
    intro: str
    states: Mapping[str, str]
    moves: Collection[Move]
    """All that are allowed."""
    drawn: Collection[Move]
    """Those that the diagram shows: of a ladder the single rungs, else all."""


def ladder(title: str, intro: str, rungs: Sequence[str], meanings: Mapping[str, str]) -> Chart:
    """The chart of a ladder: from each rung to every higher one; the diagram shows the next one only."""
    moves = [(low, high) for place, low in enumerate(rungs) for high in rungs[place + 1 :]]
    return Chart(
        title=title,
        intro=intro,
        states={rung: meanings[rung] for rung in rungs},
        moves=moves,
        drawn=list(itertools.pairwise(rungs)),
    )


def graph(title: str, intro: str, meanings: Mapping[str, str], moves: Collection[Move]) -> Chart:
    """The chart of a table of moves."""
    return Chart(title=title, intro=intro, states=meanings, moves=moves, drawn=moves)


def draw(chart: Chart) -> str:
    """The chart as Markdown. Raises KeyError where a move names a status without a meaning."""
    place = {status: number for number, status in enumerate(chart.states)}

    def in_order(moves: Collection[Move]) -> list[Move]:
        return sorted(moves, key=lambda move: (place[move[0]], place[move[1]]))

    first = next(iter(chart.states))
    lines = [f"## {chart.title}", "", chart.intro, "", "```mermaid", "stateDiagram-v2", f"    [*] --> {first}"]
    lines += [f"    {before} --> {after}" for before, after in in_order(chart.drawn)]
    ends = set(chart.states) - {before for before, _ in chart.moves}
    lines += [f"    {status} --> [*]" for status in chart.states if status in ends]
    lines += ["```", "", "| status | meaning | may become |", "| --- | --- | --- |"]
    for status, meaning in chart.states.items():
        targets = ", ".join(after for before, after in in_order(chart.moves) if before == status)
        lines.append(f"| {status} | {meaning} | {targets or 'nothing: the end'} |")
    return "\n".join(lines) + "\n"


TASK_MEANINGS: Mapping[str, str] = {
    "PROVISIONING": "an awsvpc task that its agent has not begun with: its network interface is being made",
    "PENDING": "waits for its instance's agent, or is being pulled and started there",
    "ACTIVATING": "an awsvpc task that its agent works on: image, network, containers",
    "RUNNING": "all essential containers have started",
    "DEACTIVATING": "leaves its load balancer; not entered yet, because there is none",
    "STOPPING": "its containers are being stopped; not entered: agents tell PENDING, RUNNING and STOPPED only",
    "DEPROVISIONING": "its network interface is taken away; not entered, for the same reason",
    "STOPPED": "over; shown for an hour more, with its stop code and reason",
    "DELETED": "forgotten; not entered: after that hour the record is removed",
}
CONTAINER_MEANINGS: Mapping[str, str] = {
    "PENDING": "not started yet",
    "RUNNING": "started",
    "STOPPED": "ended, with its exit code; or never started, with a reason",
}
SERVICE_MEANINGS: Mapping[str, str] = {
    "ACTIVE": "its desired count is kept",
    "DRAINING": "deleted; its tasks are on their way out",
    "INACTIVE": "gone; shown for an hour more, and its name is free",
}
ROLLOUT_MEANINGS: Mapping[str, str] = {
    "IN_PROGRESS": "its tasks take the place of older ones",
    "COMPLETED": "all its tasks run and are healthy, and no older one is left",
    "FAILED": "the circuit breaker stopped it",
}


def charts() -> tuple[Chart, ...]:
    """The charts of what the control plane stores."""
    return (
        ladder(
            "Tasks",
            "`lastStatus`, in `model.lifecycle.TASK_LADDER`. A task only climbs, and may skip rungs: the diagram shows "
            "the single steps, the table all moves. `desiredStatus` is a field of its own (RUNNING, then STOPPED, "
            "never back), written by who decides, while `lastStatus` follows what the agent reports.",
            lifecycle.TASK_LADDER,
            TASK_MEANINGS,
        ),
        graph(
            "Containers",
            "`lastStatus` of a task's containers, in `model.lifecycle.CONTAINER_MOVES`. STOPPED → RUNNING is a restart "
            "in place under a restart policy, and nothing else.",
            CONTAINER_MEANINGS,
            lifecycle.CONTAINER_MOVES,
        ),
        graph(
            "Services",
            "`status`, in `model.lifecycle.SERVICE_MOVES`.",
            SERVICE_MEANINGS,
            lifecycle.SERVICE_MOVES,
        ),
        graph(
            "Deployments",
            "`rolloutState`, in `model.lifecycle.ROLLOUT_MOVES`. COMPLETED → IN_PROGRESS is a rollback to a deployment "
            "that had completed.",
            ROLLOUT_MEANINGS,
            lifecycle.ROLLOUT_MOVES,
        ),
    )
