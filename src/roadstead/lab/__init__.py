"""The policy lab: scaling policies tried on traffic, by the production controllers in `sim`'s virtual world.

    scenario    what is tried on: traffic, service, prices, objective; from YAML (documents, spans)
    traffic     its requests per second, generated or recorded (recordings, from traces: files, parquet among them)
    recorded    traffic from a metric of a running server; live: a scenario from one of its services
    policies    what is tried: files as the AWS CLI takes and prints them
    sweeps      many of one: every combination of some parameters' values
    run         runs them: `stage` sets up a world, `service_model` says what tasks make of requests, `recorder` looks
    fleet       the instances of a run, where the scenario has a fleet; timings: how long starts and boots take
    search      looks for the cheapest policy within the objective
    results     what was found, typed
    summary     in words and tables; report: as one HTML page (its parts are in web/); apply: as commands and Terraform

`simulate`, `sweep` and `recommend` are all of it in one call.
"""

from __future__ import annotations

from roadstead.lab.run import simulate, sweep
from roadstead.lab.search import recommend

__all__ = ["recommend", "simulate", "sweep"]
