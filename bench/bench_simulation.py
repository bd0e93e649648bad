"""CPU seconds (it is one thread, and the machine may be shared) that simulations take, medians:
`python -m bench.bench_simulation [--profile | --year]`.

The week has one service with target tracking on 20 s metrics, 1 to 100 tasks, over a crowd (`sim.crowd`): operations,
store, controllers (services, placement, alarms, scaling, retention), sessions' records, signals and observation are the
production code; agents, containers, network, journal and clock are stand-ins. The day has real agents' machines, frames
and sessions instead of the crowd. The storm is `tests/sim/sim_chaos.py`'s kind of world: hosts, faults and checks.
"""

from __future__ import annotations

import cProfile
import pstats
import resource
import statistics
import sys
import time
from collections.abc import Callable

from roadstead.app import controllers
from roadstead.base import memory
from roadstead.sim import faults, load, traffic, world

ROUNDS = 3
DAY_SECONDS = 86_400.0
WORK = traffic.Work(cpu_seconds_per_request=0.01, requests_per_second_max=25.0, memory_mib=64.0)
"""A task of 256 units serves 15 requests a second at the target of 60 %."""
TARGET = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/default/web",
    "ScalableDimension": "ecs:service:DesiredCount",
}
CONTAINER = {"name": "app", "image": "busybox", "cpu": 256, "memory": 128}


def scaled(subject: world.World, *, resolution_seconds: int, maximum: int) -> None:
    """The service `web` of one task, scaled by target tracking on CPU up to `maximum`."""
    subject.call("ecs", "RegisterTaskDefinition", family="web", containerDefinitions=[CONTAINER])
    monitoring = {
        "metricConfigurations": [{"metricNames": ["CPUUtilization"], "resolutionSeconds": resolution_seconds}]
    }
    subject.call("ecs", "CreateService", serviceName="web", taskDefinition="web", desiredCount=1, monitoring=monitoring)
    subject.converge(300.0)
    subject.call("application-autoscaling", "RegisterScalableTarget", **TARGET, MinCapacity=1, MaxCapacity=maximum)
    metric = "ECSServiceAverageCPUUtilization" + ("HighResolution" if resolution_seconds == 20 else "")
    subject.call(
        "application-autoscaling",
        "PutScalingPolicy",
        **TARGET,
        PolicyName="cpu",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 60.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
        },
    )


def swing(high: float) -> load.ServiceLoad:
    """A day's traffic, up to `high` requests a second."""
    requests = traffic.Noise(beneath=traffic.Diurnal(low=10.0, high=high), part=0.1)
    return load.ServiceLoad(service="web", requests=requests, work=WORK)


def week(days: float = 7.0, resolution_seconds: int = 20) -> float:
    """Seconds that so many simulated days take, from an empty store on."""
    began = time.process_time()
    subject = world.World(1, controllers.all_controllers(), checks=False, keeps_transcript=False, keeps_nothing=True)
    subject.call("ecs", "CreateCluster", clusterName="default")
    subject.add_crowd(10, cpu_units=4096)
    scaled(subject, resolution_seconds=resolution_seconds, maximum=100)
    subject.put_load(swing(1500.0))
    most = 0
    for _ in range(int(days * 24)):
        subject.run_for(3600.0)
        most = max(most, subject.running("web"))
    assert not subject.problems
    assert days < 1 or most == 100, f"the peak asks for 100 tasks, {most} ran"
    return time.process_time() - began


def year(days: float = 365.0) -> float:
    """Seconds that a simulated year with 60 s metrics takes."""
    return week(days, 60)


def peak_mib() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def day(days: float = 1.0) -> float:
    """Seconds that a simulated day of 1 to 20 tasks on two hosts takes, agents' machines and frames included."""
    began = time.process_time()
    subject = world.World(1, controllers.all_controllers(), keeps_transcript=False)
    subject.call("ecs", "CreateCluster", clusterName="default")
    for _ in range(2):
        subject.add_host(cpu_units=4096, memory_mib=8192)
    subject.run_for(10.0)
    scaled(subject, resolution_seconds=60, maximum=20)
    subject.put_load(swing(250.0))
    subject.run_for(days * DAY_SECONDS)
    assert not subject.problems
    return time.process_time() - began


def storm(hours: float = 1.0) -> float:
    """Seconds that an hour of faults takes: three hosts, ten tasks, every check after every commit."""
    began = time.process_time()
    subject = world.World(1, controllers.all_controllers())
    subject.call("ecs", "CreateCluster", clusterName="default")
    for _ in range(3):
        subject.add_host(cpu_units=8192, memory_mib=16384)
    subject.call("ecs", "RegisterTaskDefinition", family="web", containerDefinitions=[CONTAINER])
    subject.call("ecs", "CreateService", serviceName="web", taskDefinition="web", desiredCount=10)
    subject.run_for(60.0)
    subject.set_faults(faults.ROUGH)
    subject.run_for(hours * 3600.0)
    subject.calm()
    subject.run_for(300.0)
    subject.converge(4 * 3600.0)
    return time.process_time() - began


CASES: tuple[tuple[str, Callable[[], float]], ...] = (
    ("a week of one service, 20 s metrics, 1-100 tasks (crowd)", week),
    ("a week of one service, 60 s metrics, 1-100 tasks (crowd)", lambda: week(resolution_seconds=60)),
    ("a day of one service, 60 s metrics, 1-20 tasks, real agents", day),
    ("an hour of faults, 10 tasks, real agents, all checks", storm),
)


def main(arguments: list[str]) -> None:
    memory.settle()  # as the verb simulate does
    if "--year" in arguments:
        took = year()
        print(f"a year of one service, 60 s metrics, 1-100 tasks (crowd) {took:8.2f} s, at most {peak_mib():.0f} MiB")
        return
    if "--profile" in arguments:
        profile = cProfile.Profile()
        profile.runcall(week, 1.0)
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)
        return
    for what, run in CASES:
        print(f"{what:<66} {statistics.median(run() for _ in range(ROUNDS)):8.2f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
