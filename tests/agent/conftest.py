"""Makes `stage` importable, and a fresh one for each story."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import stage as stage_module


@pytest.fixture
def stage() -> stage_module.Stage:
    return stage_module.Stage()
