"""The weeks before a scenario's start, for policies that forecast: what a service would have measured.

Predictive scaling needs a history of its load. The scenario's traffic is worked out for the time before the start
(`traffic.before`), and written as the data points that the service would have published, minute by minute, with as
many tasks as need half of what they can serve: load in all doesn't depend on how many there were. Nothing is run.
"""

from __future__ import annotations

import math

from roadstead.lab import policies, recorder, scenario, service_model, traffic
from roadstead.signals import ecs_metrics, metrics
from roadstead.sim import world as worlds
from roadstead.state import plan

MINUTE_SECONDS = 60
SAMPLES_A_MINUTE = 3
LOAD_PART = 0.5
"""How much of what its tasks can serve came in."""


def fill(
    made: worlds.World,
    subject: scenario.Scenario,
    candidate: policies.Candidate,
    model: service_model.Model,
    past: traffic.Demand,
) -> None:
    """Write the data points of `past`, until now."""
    service = subject.service
    work = service_model.work_of(service, model)
    memory = 100.0 * service.memory_used_mib / service.memory_mib
    slots = MINUTE_SECONDS // scenario.SLOT_SECONDS
    data: list[metrics.Datum] = []
    first = math.ceil(past.begin / MINUTE_SECONDS) * MINUTE_SECONDS
    for minute in range(first, int(made.now) // MINUTE_SECONDS * MINUTE_SECONDS, MINUTE_SECONDS):
        place = int(minute - past.begin) // scenario.SLOT_SECONDS
        rates = past.rates[place : place + slots]
        if len(rates) < slots:
            break
        rate = math.fsum(rates) / slots
        tasks = max(1, math.ceil(rate / (LOAD_PART * service.requests_per_second)))
        cpu = min(100.0, 100.0 * work.cpu_cores(rate, tasks) * 1024.0 / service.cpu_units)
        for name, percent in ((ecs_metrics.CPU, cpu), (ecs_metrics.MEMORY, memory)):
            data.append(
                metrics.Datum(
                    metric=ecs_metrics.metric(name, policies.CLUSTER, policies.SERVICE),
                    timestamp=float(minute),
                    values=(percent,),
                    counts=(float(SAMPLES_A_MINUTE * tasks),),
                    unit=ecs_metrics.PERCENT,
                )
            )
        if candidate.uses_lab_metrics:
            requests = rate * MINUTE_SECONDS
            for metric, value in ((recorder.ALL_REQUESTS, requests), (recorder.PER_TARGET, requests / tasks)):
                data.append(metrics.Datum(metric=metric, timestamp=float(minute), values=(value,), unit="Count"))
    made.plane.store.commit(plan.Plan(data=tuple(data)), made.now)
