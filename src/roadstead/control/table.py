"""Every controller that the control plane runs, one line each; `lab` runs the same ones."""

from __future__ import annotations

from roadstead.control import (
    alarms,
    composite_alarms,
    controller,
    instances,
    retention,
    scaling_alarms,
    scheduled_scaling,
    service_scaling,
    services,
    tasks,
)


def all_controllers() -> tuple[controller.Controller, ...]:
    """The table; each name once."""
    return (
        services.CONTROLLER,
        tasks.CONTROLLER,
        instances.CONTROLLER,
        alarms.CONTROLLER,
        composite_alarms.CONTROLLER,
        scaling_alarms.CONTROLLER,
        service_scaling.CONTROLLER,
        scheduled_scaling.CONTROLLER,
        retention.CONTROLLER,
    )
