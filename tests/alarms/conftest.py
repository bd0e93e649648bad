"""Makes `alarm_world` importable, and a fresh one for each story."""

from __future__ import annotations

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import alarm_world


@pytest.fixture
def world() -> alarm_world.World:
    return alarm_world.World()
