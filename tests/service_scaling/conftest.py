"""Makes `scaling_world` importable, and a fresh one for each story."""

from __future__ import annotations

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import scaling_world


@pytest.fixture
def world() -> scaling_world.World:
    """The service `web` with 10 tasks, registered as a scalable target of 1 to 100."""
    return scaling_world.World()
