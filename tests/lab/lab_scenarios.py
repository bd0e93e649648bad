"""Scenarios for stories."""

from __future__ import annotations

from roadstead.lab import scenario

SERVICE = "service: {requests_per_second: 50, cpu_seconds_per_request: 0.02}\n"
OBJECTIVE = "objective: {utilization_percent: 85, minutes: 5}\n"
TAIL = f"{SERVICE}{OBJECTIVE}"


def made(traffic: str, more: str = "duration: 2h\n", tail: str = TAIL) -> scenario.Scenario:
    """A scenario with this traffic (lines of a YAML list)."""
    return scenario.parse(f"name: A test\n{tail}{more}traffic:\n{traffic}\n", "test.yaml")
