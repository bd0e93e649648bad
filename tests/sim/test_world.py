"""Stories of the virtual world: crashes by hand, and checkers that can fail."""

from __future__ import annotations

import msgspec
import pytest
from sim_worlds import make_world, register, scaled_service

from roadstead.base import errors
from roadstead.model import clusters, container_instances, tables, tasks
from roadstead.signals import metrics
from roadstead.sim import faults, load, traffic, world


def a_service(seed: int = 1, *, hosts: int = 2, desired: int = 4) -> world.World:
    """Some hosts with the service `web`, settled."""
    made = make_world(seed)
    for _ in range(hosts):
        made.add_host(cpu_units=4096, memory_mib=8192)
    register(made)
    made.call("ecs", "CreateService", serviceName="web", taskDefinition="web", desiredCount=desired)
    made.converge(300.0)
    return made


def containers(subject: world.World) -> dict[str, float | None]:
    """When each container that runs was started."""
    return {one.container_id: one.started_at for host in subject.hosts for one in host.running()}


def test_calls_speak_aws() -> None:
    subject = a_service()
    found = subject.call("ecs", "DescribeServices", services=["web", "nope"])
    assert found["services"][0]["runningCount"] == 4
    assert found["failures"][0]["reason"] == "MISSING"
    with pytest.raises(errors.Refusal) as refused:
        subject.call("ecs", "DescribeServices", cluster="nope", services=["web"])
    assert refused.value.code == "ClusterNotFoundException"
    with pytest.raises(errors.Refusal):
        subject.call("ecs", "CreateService", serviceName="x" * 300, taskDefinition="web", desiredCount=1)


def test_a_crash_of_the_control_plane_touches_no_container() -> None:
    subject = a_service()
    before = containers(subject)
    subject.crash_control_plane(30.0)
    with pytest.raises(world.Unanswered):
        subject.call("ecs", "ListClusters")
    subject.run_for(120.0)
    subject.converge(60.0)
    assert containers(subject) == before and len(before) == 4


def test_what_was_not_synced_is_lost_and_was_not_acknowledged() -> None:
    subject = a_service()
    subject.set_faults(faults.Faults(sync_seconds_max=10.0))
    subject.agenda.after(0.0, subject.crash_control_plane)
    with pytest.raises(world.Unanswered):
        subject.call("ecs", "CreateCluster", clusterName="lost")
    subject.run_for(30.0)
    assert subject.view().get(clusters.Cluster, "lost") is None
    subject.calm()
    subject.call("ecs", "CreateCluster", clusterName="kept")
    subject.crash_control_plane()
    subject.run_for(30.0)
    assert subject.view().get(clusters.Cluster, "kept") is not None


def test_a_crash_of_an_agent_touches_no_container_and_loses_no_exit() -> None:
    subject = a_service()
    before = containers(subject)
    subject.crash_agent(0, 60.0)
    died = subject.hosts[0].running()[0]
    subject.hosts[0].kill(died.container_id)
    subject.run_for(30.0)
    assert subject.running("web") == 4, "nobody knows yet"
    subject.run_for(60.0)
    subject.converge(300.0)
    after = containers(subject)
    assert {one: at for one, at in before.items() if one != died.container_id}.items() <= after.items()
    assert len(after) == 4 and died.container_id not in after
    task = subject.view().get(tasks.Task, died.task_id)
    assert task is not None and task.observed.containers[0].exit_code == 137


def test_a_host_that_is_cut_off_comes_back_and_doubles_nothing() -> None:
    subject = a_service()
    before = containers(subject)
    subject.cut(0, 400.0)
    subject.run_for(300.0)
    instance = subject.view().get(container_instances.ContainerInstance, subject.hosts[0].instance_id)
    assert instance is not None and not instance.session.connected, "after 90 s of silence the agent counts as gone"
    subject.run_for(300.0)
    subject.converge(300.0)
    assert containers(subject) == before


def test_an_instance_that_is_lost_for_good_is_made_up_for_once_it_is_deregistered() -> None:
    subject = a_service()
    gone = subject.hosts[0].instance_id
    subject.lose_instance(0)
    subject.run_for(60.0)
    subject.call("ecs", "DeregisterContainerInstance", containerInstance=gone, force=True)
    subject.converge(300.0)
    assert len(subject.hosts[1].running()) == 4


def test_a_host_that_reboots_reports_its_tasks_as_stopped() -> None:
    subject = a_service()
    subject.reboot(0, 10.0)
    subject.run_for(60.0)
    subject.converge(300.0)
    stopped = [one for one in subject.view().find(tables.TASKS, "listing", "default", "STOPPED") if not one.is_live]
    assert len(stopped) == 2


def test_the_checker_notices_a_task_on_two_hosts() -> None:
    subject = a_service()
    spec = next(iter(subject.hosts[0].specs.values()))
    with pytest.raises(AssertionError, match="starts on host-2 and runs on"):
        subject.checkers.started("host-2", spec)


def test_the_checker_notices_a_container_too_much_or_too_little() -> None:
    subject = a_service()
    subject.hosts[0].machine.reboot()
    with pytest.raises(AssertionError, match="too little"):
        subject.checkers.final()


def test_the_checker_notices_what_an_acknowledged_write_lost() -> None:
    subject = a_service()
    subject.call("ecs", "CreateCluster", clusterName="kept")
    subject.disk._rows.pop(("clusters", "kept"))
    with pytest.raises(AssertionError, match="acknowledged"):
        subject.checkers.after_restart(subject.plane.acknowledged)


def test_the_checkers_hear_of_every_commit() -> None:
    subject = a_service()
    task = next(iter(subject.view().find(tables.TASKS, "live_by_service", "default", "web")))
    lower = msgspec.structs.replace(task.observed, last_status="PENDING")
    broken = msgspec.structs.replace(task, observed=lower)

    def fall(view: object) -> tuple[object, None]:
        from roadstead.state import plan

        draft = plan.Draft(view)  # type: ignore[arg-type]
        draft.put(broken)
        return draft.plan(), None

    with pytest.raises(AssertionError, match="went from RUNNING to PENDING"):
        subject.plane.store.transact(fall, subject.now)  # type: ignore[arg-type]


def test_converge_says_what_does_not() -> None:
    subject = a_service()
    subject.call("ecs", "UpdateService", service="web", desiredCount=1000)
    with pytest.raises(AssertionError, match=r"seed 1: not settled after 60.0 s: .*web wants 1000"):
        subject.converge(60.0)


@pytest.mark.parametrize("high_resolution", [False, True])
def test_a_crowd_measures_what_hosts_measure(high_resolution: bool) -> None:
    found = []
    for in_bulk in (False, True):
        subject = make_world(2)
        if in_bulk:
            subject.add_crowd(2, cpu_units=4096, memory_mib=8192)
        else:
            for _ in range(2):
                subject.add_host(cpu_units=4096, memory_mib=8192)
        subject.run_for(10.0)
        scaled_service(subject, high_resolution=high_resolution, minimum=6, maximum=6)
        work = traffic.Work(cpu_seconds_per_request=0.01, requests_per_second_max=25.0, memory_mib=8.0)
        subject.put_load(load.ServiceLoad(service="web", requests=traffic.Constant(rate=60.0), work=work))
        subject.run_for(600.0)
        begin = subject.now - 300.0
        for name, dimensions in (
            ("CPUUtilization", {"ClusterName": "default", "ServiceName": "web"}),
            ("MemoryUtilization", {"ClusterName": "default", "ServiceName": "web"}),
            ("CPUUtilization", {"ClusterName": "default"}),
        ):
            points = subject.view().signals.statistics(
                metrics.metric("AWS/ECS", name, dimensions.items()),
                None,
                begin // 60 * 60,
                begin // 60 * 60 + 240,
                60,
                ("Average", "SampleCount"),
                subject.now,
            )
            found.append([[round(value, 6) for value in point.values.values()] for point in points])
    assert found[:3] == found[3:]
    assert found[0] == [[40.0, 18.0]] * 4, "10 requests a second in a quarter of a core; three samples of six tasks"


@pytest.mark.parametrize("high_resolution", [False, True])
def test_a_crowd_that_measures_ahead_changes_nothing(high_resolution: bool) -> None:
    """Once in a run of hours, once in runs too short to measure anything ahead."""
    worlds = []
    for seconds in (5 * 3600.0, 5.0):
        subject = make_world(3)
        subject.add_crowd(2, cpu_units=4096, memory_mib=8192, start_seconds=37.0)
        scaled_service(subject, high_resolution=high_resolution, maximum=16)
        work = traffic.Work(cpu_seconds_per_request=0.01, requests_per_second_max=25.0, memory_mib=8.0)
        hill = traffic.Spike(
            beneath=traffic.Constant(rate=20.0), begin=subject.now + 3600.0, seconds=3600.0, factor=10.0
        )
        subject.put_load(load.ServiceLoad(service="web", requests=traffic.Noise(beneath=hill, part=0.1), work=work))
        commits: list[int] = []
        subject.plane.store.watch(lambda commit, commits=commits: commits.append(len(commit.entry.data)))  # type: ignore[misc]
        for _ in range(int(5 * 3600 / seconds)):
            subject.run_for(seconds)
        worlds.append((subject, [count for count in commits if count]))
    (ahead, some), (moment_by_moment, many) = worlds
    assert ahead.transcript.text() == moment_by_moment.transcript.text()
    assert list(ahead.plane.store.signals.dump()) == list(moment_by_moment.plane.store.signals.dump())
    assert sum(some) == sum(many)
    assert len(some) < len(many), "several samples in a commit"


def test_a_crowds_instances_come_and_go() -> None:
    """What joins gets tasks, what has left gets none, and metrics go on."""
    subject = make_world(3)
    crowd = subject.add_crowd(1, cpu_units=1024, memory_mib=2048)
    scaled_service(subject, high_resolution=False, maximum=8)
    subject.call("ecs", "UpdateService", service="web", desiredCount=6)
    subject.run_for(300.0)
    assert subject.running("web") == 4, "tasks of a quarter of a core"
    second = subject.register_instance("us-east-1b", 1024, 2048)
    crowd.join(second)
    subject.run_for(300.0)
    assert subject.running("web") == 6
    subject.call("ecs", "DeregisterContainerInstance", containerInstance=second, force=True)
    crowd.leave(second)
    subject.run_for(300.0)
    assert subject.running("web") == 4
