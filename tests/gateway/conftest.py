"""A whole server on a free port."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvloop

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import gateway_caller

from roadstead.app import server, settings


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Any]:
    """The loop that serves in earnest."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def start(tmp_path: pathlib.Path) -> AsyncIterator[gateway_caller.Start]:
    """Starts servers; all are stopped at the end."""
    started: list[server.Server] = []

    async def begin(**values: Any) -> gateway_caller.Caller:
        chosen = settings.Settings(**{"port": 0, "data_dir": tmp_path / "data", **values})
        one = server.Server(chosen)
        await one.start()
        started.append(one)
        return gateway_caller.Caller(one)

    yield begin
    for one in started:
        await one.stop()


@pytest.fixture
async def caller(start: gateway_caller.Start) -> gateway_caller.Caller:
    """A server with everything at its default."""
    return await start()
