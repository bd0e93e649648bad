"""Every controller that the control plane runs, one line each; `lab` runs the same ones, and one more."""

from __future__ import annotations

from roadstead.control import (
    alarms,
    composite_alarms,
    controller,
    forecasting,
    instances,
    predictive_scaling,
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
        predictive_scaling.CONTROLLER,
        retention.CONTROLLER,
    )


def simulated_controllers() -> tuple[controller.Controller, ...]:
    """Those, and what a server has another process do: for worlds in which no time passes while something computes."""
    return (*all_controllers(), forecasting.CONTROLLER)
