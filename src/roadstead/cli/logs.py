"""`logs`: what containers of this machine have written, merged by time, of one task or of all tasks of a service."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import datetime
import json
import pathlib

import msgspec
import rich.text

from roadstead.agent.oci import logs
from roadstead.cli import context, failures, images, tasks

NEW_TASKS_SECONDS = 2.0
"""How often a followed service is asked for new tasks."""
COLORS = ("cyan", "magenta", "green", "yellow", "blue", "red")


class Wanted(msgspec.Struct, frozen=True):
    """Which lines: `lines` newest ones to begin with, then (with `follow`) all that come."""

    follow: bool
    lines: int
    container: str | None
    grep: str | None


class Source(msgspec.Struct, frozen=True):
    """One container's log."""

    task_id: str
    container: str
    path: pathlib.Path


class Printer:
    """Prints lines with their task and container, each task in a colour of its own."""

    def __init__(self, on: context.Context, wanted: Wanted) -> None:
        self._on = on
        self._wanted = wanted
        self._colors: dict[str, str] = {}

    def passes(self, line: logs.Line) -> bool:
        return self._wanted.grep is None or self._wanted.grep in line.text

    def show(self, source: Source, line: logs.Line) -> None:
        if self._on.out.as_json:
            value = {"task": source.task_id, "container": source.container, **msgspec.to_builtins(line)}
            print(json.dumps(value), flush=True)
            return
        color = self._colors.setdefault(source.task_id, COLORS[len(self._colors) % len(COLORS)])
        moment = datetime.datetime.fromtimestamp(line.written_at).astimezone().strftime("%H:%M:%S.%f")[:-3]
        head = (f"{source.task_id[:6]} {source.container} {moment}", color)
        self._on.out.line(rich.text.Text.assemble(head, "  ", line.text))


def show(on: context.Context, cluster: str, subject: str, wanted: Wanted) -> None:
    """Print the logs of a task (its id or first digits) or of a service (its name)."""
    found, service = _subject_tasks(on, cluster, subject)
    sources = [source for task in found for source in _sources(on, tasks.task_id(task), wanted)]
    if not sources and not wanted.follow:
        raise failures.Failure(
            f"this machine has no log of {subject}",
            "Logs are kept on the machine that runs the task, for a day after it ends.",
        )
    printer = Printer(on, wanted)
    if not wanted.follow:
        _print_newest(printer, sources, wanted.lines)
        return
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_follow(on, cluster, service, found, sources, printer, wanted))


def _subject_tasks(on: context.Context, cluster: str, subject: str) -> tuple[list[dict[str, object]], str | None]:
    answer = on.ecs("DescribeServices", cluster=cluster, services=[subject])
    if answer["services"]:
        return tasks.described(on, cluster, stopped=True, serviceName=subject), subject
    return [tasks.find(on, cluster, subject)], None


def _sources(on: context.Context, task_id: str, wanted: Wanted) -> list[Source]:
    try:
        paths = logs.find(on.data_dir / images.AGENT_DIRECTORY, task_id)
    except PermissionError:
        raise failures.Failure("the logs belong to another user", "Run: sudo roadstead logs …") from None
    return [
        Source(task_id, name, path)
        for name, path in paths.items()
        if wanted.container is None or name == wanted.container
    ]


def _print_newest(printer: Printer, sources: list[Source], count: int) -> None:
    newest: list[tuple[float, int, Source, logs.Line]] = []
    for number, source in enumerate(sources):
        kept: collections.deque[logs.Line] = collections.deque(maxlen=count)
        kept.extend(line for line in logs.read(source.path) if printer.passes(line))
        newest += [(line.written_at, number, source, line) for line in kept]
    newest.sort(key=lambda one: one[:2])
    for _, _, source, line in newest[max(0, len(newest) - count) :]:
        printer.show(source, line)


async def _follow(
    on: context.Context,
    cluster: str,
    service: str | None,
    found: list[dict[str, object]],
    sources: list[Source],
    printer: Printer,
    wanted: Wanted,
) -> None:
    """Follow each log; of a service also those of tasks that come later. A single task's ends with it."""
    _print_newest(printer, sources, wanted.lines)
    stopped = {tasks.task_id(task) for task in found if task["lastStatus"] == "STOPPED"}
    followed: dict[pathlib.Path, asyncio.Task[None]] = {}
    known = {source.path for source in sources}
    while True:
        current, _ = await asyncio.to_thread(_subject_tasks, on, cluster, service or tasks.task_id(found[0]))
        for task in current:
            task_id = tasks.task_id(task)
            if task["lastStatus"] == "STOPPED":
                stopped.add(task_id)
            for source in _sources(on, task_id, wanted):
                if source.path not in followed:
                    if source.path not in known:
                        on.out.remark(f"── {task_id[:6]} started, following ──")
                    follower = _follow_one(source, source.path in known, stopped, printer)
                    followed[source.path] = asyncio.create_task(follower)
        if service is None and stopped:
            await asyncio.gather(*followed.values())
            return
        await asyncio.sleep(NEW_TASKS_SECONDS)


async def _follow_one(source: Source, is_known: bool, stopped: set[str], printer: Printer) -> None:
    """Print what comes; of a log whose newest lines were printed only what was written after that."""
    printed_to = 0.0
    if is_known:
        printed_to = max((line.written_at for line in logs.read(source.path)), default=0.0)
    async for line in logs.follow(source.path, lambda: source.task_id in stopped):
        if line.written_at > printed_to and printer.passes(line):
            printer.show(source, line)
