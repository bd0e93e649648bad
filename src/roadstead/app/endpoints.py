"""Our own endpoints under `/_roadstead/`: which reads and actions there are."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

from roadstead.app import explaining, settings
from roadstead.base import errors
from roadstead.control.sessions import telemetry
from roadstead.engine import committer
from roadstead.gateway import local
from roadstead.model import clusters
from roadstead.state import view


def reads(
    chosen: settings.Settings, version: str, durability: committer.Committer, board: telemetry.Board
) -> tuple[local.Read, ...]:
    """Everything that can be read."""

    def health(asked: local.Asked, look: view.View) -> dict[str, Any]:
        problem = durability.failure
        return {
            "status": "ok" if problem is None else "read-only",
            "reason": None if problem is None else str(problem),
            "version": version,
            "revision": look.revision,
            "durableRevision": durability.durable_revision,
            "region": chosen.region,
            "accountId": chosen.account_id,
            "ephemeral": chosen.ephemeral,
            "pid": os.getpid(),
        }

    def usage(asked: local.Asked, look: view.View) -> dict[str, Any]:
        return {"tasks": board.task_usages(look, asked.query.get("cluster", clusters.DEFAULT_CLUSTER))}

    return (
        local.Read(name="health", read=health, is_signed=False),
        local.Read(name="explain", read=explaining.explain),
        local.Read(name="usage", read=usage),
    )


def actions(chosen: settings.Settings, reset: Callable[[], Awaitable[Any]]) -> tuple[local.Action, ...]:
    """Everything that can be done."""

    async def refuse() -> None:
        raise errors.Refusal(
            "NotFound",
            "There is no reset here: this server keeps its state. Start it with --ephemeral to have one.",
            status=404,
        )

    return (local.Action(name="reset", run=reset if chosen.ephemeral else refuse),)
