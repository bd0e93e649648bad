"""The controllers that the control plane runs: `control.table` lists them, one line each."""

from __future__ import annotations

from roadstead.control import controller, table


def all_controllers() -> tuple[controller.Controller, ...]:
    """The table; each name once."""
    return table.all_controllers()
