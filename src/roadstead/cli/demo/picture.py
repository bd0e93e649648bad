"""Draws the demo: metric against target, alarms with their reasons, counts, scaling activities, tasks."""

from __future__ import annotations

import rich.columns
import rich.console
import rich.panel
import rich.table
import rich.text

from roadstead.cli import output, services, tasks
from roadstead.cli.demo import story, watch

ACTIVITIES_SHOWN_MAX = 4
REASON_CHARACTERS_MAX = 160


def draw(
    out: output.Output, sight: watch.Sight | None, tale: story.Story, burning: str, now: float
) -> rich.console.RenderableType:
    """The whole picture of one moment. `burning` says what the load does."""
    parts: list[rich.console.RenderableType] = []
    if sight is not None:
        parts += [_service(out, sight, burning), _scaling(sight), _tasks(out, sight)]
    parts.append(_steps(tale, now))
    return rich.console.Group(*parts)


def _service(out: output.Output, sight: watch.Sight, burning: str) -> rich.panel.Panel:
    metric = "no data yet" if sight.newest_metric is None else f"{sight.newest_metric:5.1f} %"
    high = max([100.0, *(value for value in sight.metric if value is not None)])
    text = rich.text.Text()
    text.append(f"CPU    {out.bars(list(sight.metric), high)}  {metric}   target {story.TARGET_PERCENT:g} %\n")
    text.append(f"tasks  desired {sight.desired}, running {sight.running}, pending {sight.pending}   (min 1, max 6)\n")
    text.append(f"load   {burning}\n")
    for label, alarm in (("high alarm", sight.high), ("low alarm ", sight.low)):
        if alarm is not None:
            text.append(f"{label} ").append_text(out.state(alarm.state))
            text.append(f"  {alarm.reason[:REASON_CHARACTERS_MAX]}\n", style="dim")
    text.rstrip()
    return rich.panel.Panel(text, title="service web", title_align="left")


def _scaling(sight: watch.Sight) -> rich.console.RenderableType:
    if not sight.activities:
        return rich.text.Text("no scaling yet", style="dim")
    table = rich.table.Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("SCALING", "CHANGE", "STATUS", "CAUSE"):
        table.add_column(column, overflow="fold")
    for activity in sight.activities[:ACTIVITIES_SHOWN_MAX]:
        table.add_row(
            services.clock(activity["StartTime"]),
            rich.text.Text(services.change(activity)),
            activity["StatusCode"],
            rich.text.Text(services.cause(activity)),
        )
    return table


def _tasks(out: output.Output, sight: watch.Sight) -> rich.table.Table:
    table = rich.table.Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("TASK", "STATUS", "WHERE"):
        table.add_column(column)
    short = tasks.short_ids([tasks.task_id(task) for task in sight.tasks])
    for task in sorted(sight.tasks, key=lambda one: float(one["createdAt"])):
        table.add_row(
            short[tasks.task_id(task)], out.state(task["lastStatus"]), rich.text.Text(" ".join(tasks.addresses(task)))
        )
    return table


def _steps(tale: story.Story, now: float) -> rich.text.Text:
    minutes, seconds = divmod(int(now - tale.began_at), 60)
    text = rich.text.Text(f"\n{minutes}:{seconds:02}  ")
    for step, _ in tale.seen:
        text.append(f"✓ {step.says}  ", style="green")
    if tale.next_step is not None:
        text.append(f"▸ {tale.next_step.says} …", style="yellow")
    return text


def line(sight: watch.Sight) -> str:
    """The moment in one line, for output that is no terminal: printed when it changes."""
    metric = "-" if sight.newest_metric is None else f"{sight.newest_metric:.0f} %"
    alarm = " ".join(
        f"{label} {one.state}" for label, one in (("high", sight.high), ("low", sight.low)) if one is not None
    )
    counts = f"desired {sight.desired}  running {sight.running}"
    return f"CPU {metric} (target {story.TARGET_PERCENT:g} %)  alarms {alarm or 'none'}  {counts}"
