"""Makes `cloudwatch_world` importable, and runs each story in each protocol that CloudWatch speaks."""

from __future__ import annotations

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import cloudwatch_world


@pytest.fixture(params=cloudwatch_world.PROTOCOLS)
def world(request: pytest.FixtureRequest) -> cloudwatch_world.World:
    return cloudwatch_world.World(request.param)
