"""Makes `ecs_world` importable, and gives each test a world of its own."""

from __future__ import annotations

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "sessions"))

import ecs_world


@pytest.fixture
def world() -> ecs_world.World:
    """A world with the cluster `default` and the task definition `web:1`."""
    return ecs_world.ready()
