"""Every controller that the control plane runs: one line each."""

from __future__ import annotations

from roadstead.app import settings
from roadstead.control import controller


def all_controllers(chosen: settings.Settings) -> tuple[controller.Controller, ...]:
    """The table; each name once."""
    return ()
