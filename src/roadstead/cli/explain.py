"""`explain`: why is a task pending or stopped, why did a service scale or not. Drawn as a tree."""

from __future__ import annotations

from typing import Any

import rich.text
import rich.tree

from roadstead.cli import context, failures, tasks


def show_task(on: context.Context, cluster: str, beginning: str) -> None:
    """Explain the task whose id begins so."""
    found = tasks.find(on, cluster, beginning)
    _show(on, on.client.local("explain", kind="task", cluster=cluster, id=tasks.task_id(found)))


def show_service(on: context.Context, cluster: str, name: str, since_seconds: float) -> None:
    """Explain a service, with its scaling decisions of the last `since_seconds`."""
    _show(on, on.client.local("explain", kind="service", cluster=cluster, id=name, since=str(since_seconds)))


def show_target(on: context.Context, resource_id: str, since_seconds: float) -> None:
    """Explain the scalable target of a ResourceId, with its decisions of the last `since_seconds`."""
    _show(on, on.client.local("explain", kind="target", id=resource_id, since=str(since_seconds)))


def _show(on: context.Context, answer: dict[str, Any]) -> None:
    if on.out.as_json:
        on.out.json(answer)
        return
    short = answer["id"][:6] if answer["kind"] == "task" else answer["id"]
    root = rich.tree.Tree(rich.text.Text(f"{answer['kind'].capitalize()} {short} {answer['headline']}"))
    for reason in answer.get("reasons", []):
        _grow(root, reason)
    on.out.show(root)


def _grow(branch: rich.tree.Tree, reason: dict[str, Any]) -> None:
    twig = branch.add(rich.text.Text(reason["text"]))
    for below in reason.get("reasons", []):
        _grow(twig, below)


def span(text: str) -> float:
    """The seconds of a `--since`. Raises Failure."""
    try:
        return parse_span(text)
    except ValueError:
        raise failures.Failure(f"--since {text} is no span", "Say for example 15m or 2h.", failures.USAGE) from None


def parse_span(text: str) -> float:
    """Seconds in `90s`, `15m`, `1h`, `2d`, or a bare number of seconds. Raises ValueError."""
    units = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
    if text and text[-1] in units:
        return float(text[:-1]) * units[text[-1]]
    return float(text)
