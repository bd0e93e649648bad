"""Stories of one task: from payload to the last state change (behaviour.md 5.9; agent-protocol.md 2.3, C3-C7)."""

from __future__ import annotations

import msgspec
import pytest
from stage import Stage, a_task, arn_of, checked, container

from roadstead.acs import docker, messages, tasks
from roadstead.agent import containers, events, instructions, task


def after(name: str, condition: tasks.Condition) -> tuple[tasks.Dependency, ...]:
    return (tasks.Dependency(container_name=name, condition=condition),)


def test_a_task_runs_and_is_stopped_by_sigterm(stage: Stage) -> None:
    wanted = a_task(1, container(port_mappings=(tasks.PortMapping(container_port=80),)))
    stage.payload(wanted, message_id="m1")
    assert [type(each) for each in stage.sent] == [messages.AckRequest]
    stage.run(5)
    assert stage.statuses(1) == ["RUNNING"]
    (told,) = stage.told(1, "web")
    assert told.status == "RUNNING" and told.runtime_id == stage.container_id(1)
    assert told.image_digest.startswith("sha256:")
    assert [(each.container_port, each.bind_ip) for each in told.network_bindings] == [(80, "0.0.0.0")]
    assert told.network_bindings[0].host_port >= 32768
    change = stage.last(1)
    assert change.pull_started_at == 1_000_000 and change.pull_stopped_at == 1_000_001
    stage.stop(wanted)
    stage.run(1)
    assert stage.statuses(1) == ["RUNNING", "STOPPED"]
    assert stage.signals(1) == [15]
    assert stage.told(1, "web")[-1].exit_code == 143
    assert stage.last(1).execution_stopped_at == 1_000_005
    assert stage.status(1) == "gone"
    assert stage.host.inventory().sandboxes == ()
    assert not stage.engine.tasks and arn_of(1) in stage.engine.ended


def test_sigterm_ignored_is_followed_by_sigkill_after_the_stop_timeout(stage: Stage) -> None:
    wanted = a_task(1, container(sim={"IGNORE_STOP": 1}, stop_timeout=7))
    other = a_task(2, container(sim={"IGNORE_STOP": 1}))
    stage.payload(wanted, other)
    stage.run(5)
    stage.stop(wanted)
    stage.stop(other)
    stage.run(6.9)
    assert stage.signals(1) == [15] and stage.statuses(1) == ["RUNNING"]
    stage.run(0.2)
    assert stage.signals(1) == [15, 9]
    assert stage.told(1, "web")[-1].exit_code == 137
    assert stage.signals(2) == [15]
    stage.run(22.9)
    assert stage.signals(2) == [15, 9], "30 s is the default"
    assert stage.statuses(2) == ["RUNNING", "STOPPED"]


def test_the_definitions_stop_signal_wins(stage: Stage) -> None:
    wanted = a_task(1, container(docker_config=docker.make(docker.Config(stop_signal="SIGINT"), docker.HostConfig())))
    stage.payload(wanted)
    stage.run(2)
    stage.stop(wanted)
    stage.run(1)
    assert stage.signals(1) == [2]


def test_a_quick_exit_still_tells_running_then_stopped(stage: Stage) -> None:
    stage.payload(a_task(1, container(sim={"EXIT_AFTER_SECONDS": 0, "EXIT_CODE": 3})))
    stage.run(5)
    assert stage.statuses(1) == ["RUNNING", "STOPPED"]
    assert [each.status for each in stage.told(1, "web")] == ["RUNNING", "STOPPED"]
    assert stage.told(1, "web")[-1].exit_code == 3
    assert stage.last(1).reason == "", "an exit is told by the container, not by a reason"


def test_an_essential_exit_stops_the_others_in_reverse_order(stage: Stage) -> None:
    stage.payload(
        a_task(
            1,
            container("db", essential=False, sim={"STOP_DELAY_SECONDS": 2}),
            container("app", depends_on=after("db", "START"), sim={"STOP_DELAY_SECONDS": 3}),
            container("web", depends_on=after("app", "START"), sim={"EXIT_AFTER_SECONDS": 10, "EXIT_CODE": 1}),
        )
    )
    stage.run(8)
    assert stage.statuses(1)[-1] == "RUNNING"
    stage.run(3.5)
    assert (stage.signals(1, "app"), stage.signals(1, "db")) == ([15], []), "db ends after app"
    stage.run(3)
    assert stage.signals(1, "db") == [15]
    stage.run(3)
    assert stage.statuses(1)[-1] == "STOPPED"
    assert [stage.told(1, each)[-1].exit_code for each in ("web", "app", "db")] == [1, 143, 143]
    stopped_at = stage.last(1).execution_stopped_at
    assert stopped_at is not None and abs(stopped_at - 1_000_011.05) < 0.05, "when the essential container ended"


def test_a_container_that_is_not_essential_may_end(stage: Stage) -> None:
    stage.payload(a_task(1, container("init", essential=False, sim={"EXIT_AFTER_SECONDS": 1}), container()))
    stage.run(30)
    assert stage.statuses(1) == ["PENDING", "RUNNING", "RUNNING"] or stage.statuses(1) == ["RUNNING", "RUNNING"]
    assert stage.told(1, "init")[-1].status == "STOPPED" and stage.told(1, "init")[-1].exit_code == 0
    assert len(stage.told(1, "web")) == 1, "containers are deltas"


@pytest.mark.parametrize("condition", ["COMPLETE", "SUCCESS"])
def test_a_dependent_waits_for_the_end_and_the_task_is_pending(stage: Stage, condition: tasks.Condition) -> None:
    init = container("init", essential=False, sim={"EXIT_AFTER_SECONDS": 20})
    stage.payload(a_task(1, init, container(depends_on=after("init", condition))))
    stage.run(10)
    assert stage.statuses(1) == ["PENDING"] and stage.status(1) == "created"
    stage.run(15)
    assert stage.statuses(1) == ["PENDING", "PENDING", "RUNNING"]
    assert [each.status for each in stage.told(1, "init")] == ["RUNNING", "STOPPED"]


def test_success_not_met_stops_the_task_with_its_reason(stage: Stage) -> None:
    init = container("init", essential=False, sim={"EXIT_AFTER_SECONDS": 2, "EXIT_CODE": 1})
    stage.payload(a_task(1, init, container(depends_on=after("init", "SUCCESS"))))
    stage.run(10)
    assert stage.statuses(1)[-1] == "STOPPED"
    assert stage.last(1).reason == (
        "dependency graph: container ordering dependency [init] for target [web] "
        "as dependency did not exit successfully."
    )
    assert stage.told(1, "web")[-1].exit_code is None, "it never ran"


def test_healthy_is_waited_for_until_the_start_timeout(stage: Stage) -> None:
    good = container("db", essential=False, **checked(10))
    bad = container("db", essential=False, start_timeout=60, sim={"HEALTH_EXIT_CODE": 1}, **checked(10))
    stage.payload(a_task(1, good, container(depends_on=after("db", "HEALTHY"))))
    stage.payload(a_task(2, bad, container(depends_on=after("db", "HEALTHY"))))
    stage.run(9)
    assert stage.statuses(1) == ["PENDING"]
    stage.run(6)
    assert stage.statuses(1) == ["PENDING", "RUNNING"]
    (health,) = [each for each in stage.engine.health() if each.task_arn == arn_of(1)]
    assert [(each.container_name, each.health_status) for each in health.containers] == [("db", "HEALTHY")]
    stage.run(40)
    assert stage.statuses(2) == ["PENDING"]
    stage.run(10)
    assert stage.statuses(2)[-1] == "STOPPED" and stage.last(2).reason.endswith("has timed out.")


def test_health_fails_after_retries_outside_the_start_period(stage: Stage) -> None:
    stage.payload(a_task(1, container(sim={"HEALTH_EXIT_CODE": 1}, **checked(10, retries=2, start_period_seconds=25))))

    def health() -> str:
        return stage.engine.health()[0].containers[0].health_status

    stage.run(21.5)
    assert health() == "UNKNOWN"
    stage.run(15)
    assert health() == "UNKNOWN", "failures at 10 s and 20 s don't count, the one at 30 s is the first"
    stage.run(10)
    assert health() == "UNHEALTHY"
    assert stage.statuses(1) == ["RUNNING"], "a standalone task runs on when unhealthy"


def test_out_of_memory(stage: Stage) -> None:
    stage.payload(a_task(1, container(memory=64, sim={"MEMORY_MIB": 65})))
    stage.run(5)
    last = stage.told(1, "web")[-1]
    assert (last.exit_code, last.reason) == (137, "OutOfMemoryError: Container killed due to memory usage")


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("PULL_ERROR", "CannotPullContainerError"),
        ("CREATE_ERROR", "CannotCreateContainerError"),
        ("START_ERROR", "CannotStartContainerError"),
    ],
)
def test_failures_before_the_start_have_ecs_names(stage: Stage, what: str, name: str) -> None:
    stage.payload(a_task(1, container(sim={what: "no such thing " * 200}), container("other")))
    stage.run(40)
    assert stage.statuses(1)[-1] == "STOPPED" and "RUNNING" not in stage.statuses(1)
    (last,) = stage.told(1, "web")
    assert last.reason.startswith(f"{name}: no such thing") and len(last.reason) == 1024
    assert last.exit_code is None
    assert stage.told(1, "other")[-1].status == "STOPPED"
    assert stage.host.inventory().containers == ()


def test_a_task_that_cannot_be_run_as_written_is_refused_by_name(stage: Stage) -> None:
    broken = container(docker_config=docker.DockerConfig(host_config="{"))
    efs = tasks.Volume(name="v", efs_volume_configuration=tasks.EfsVolumeConfiguration(file_system_id="fs-1"))
    circle = (container("a", depends_on=after("b", "START")), container("b", depends_on=after("a", "START")))
    awslogs = docker.make(docker.Config(), docker.HostConfig(log_config=docker.LogConfig(type="awslogs")))
    stage.payload(
        a_task(1, broken),
        a_task(2, volumes=(efs,)),
        a_task(3, *circle),
        a_task(4, container(docker_config=awslogs)),
        a_task(5, container(overrides="{nonsense")),
        a_task(6, network_mode="overlay"),
        a_task(7, container(secrets=(tasks.Secret(name="S", value_from="arn"),))),
    )
    stage.run(1)
    words = ["dockerConfig.hostConfig", "efs", "circle", "log driver awslogs", "overrides", "'overlay'", "secrets"]
    for number, word in enumerate(words, 1):
        assert stage.statuses(number) == ["STOPPED"]
        assert stage.last(number).reason.startswith("ResourceInitializationError: ")
        assert word in stage.last(number).reason
    assert len([each for each in stage.sent if isinstance(each, messages.AckRequest)]) == 1


def test_the_restart_policy_restarts_in_place(stage: Stage) -> None:
    policy = tasks.RestartPolicy(enabled=True, restart_attempt_period=60, ignored_exit_codes=(7,))
    stage.payload(
        a_task(1, container(restart_policy=policy, sim={"EXIT_AFTER_SECONDS": 61, "EXIT_CODE": 1})),
        a_task(2, container(restart_policy=policy, sim={"EXIT_AFTER_SECONDS": 59, "EXIT_CODE": 1})),
        a_task(3, container(restart_policy=policy, sim={"EXIT_AFTER_SECONDS": 61, "EXIT_CODE": 7})),
    )
    stage.run(200)
    assert stage.statuses(1) == ["RUNNING"] and stage.status(1) == "running"
    assert stage.engine.tasks[arn_of(1)].state.containers[0].restart_count == 3
    assert stage.statuses(2) == ["RUNNING", "STOPPED"], "it ran less than the period"
    assert stage.statuses(3) == ["RUNNING", "STOPPED"], "the exit code is ignored"
    stage.payload(a_task(1, desired_status="STOPPED"))
    stage.run(5)
    assert stage.statuses(1) == ["RUNNING", "STOPPED"], "a wanted stop is no reason to restart"


def test_a_stop_that_comes_at_any_moment_ends_everything() -> None:
    for steps in range(60):
        stage = Stage(verb_seconds=0.1)
        wanted = a_task(
            1, container("a", depends_on=after("b", "START")), container("b", sim={"START_DELAY_SECONDS": 0.3})
        )
        stage.payload(wanted)
        stage.run(steps * 0.05)
        stage.stop(wanted)
        stage.run(60)
        assert stage.statuses(1)[-1] == "STOPPED", steps
        assert stage.host.inventory() == type(stage.host.inventory())(sandboxes=(), containers=()), steps
        assert not stage.engine.tasks


def test_volumes_are_directories_that_are_made_and_task_ones_removed(stage: Stage) -> None:
    wanted = a_task(
        1,
        container(
            mount_points=(
                tasks.MountPoint(source_volume="host", container_path="/h", read_only=True),
                tasks.MountPoint(source_volume="scratch", container_path="/s"),
            )
        ),
        container("side", volumes_from=(tasks.VolumeFrom(source_container="web", read_only=True),)),
        volumes=(
            tasks.Volume(name="host", host=tasks.HostVolume(source_path="/srv/data")),
            tasks.Volume(name="scratch"),
        ),
    )
    stage.payload(wanted)
    stage.run(3)
    made = {each.spec.name: each for each in stage.asked if isinstance(each, instructions.Create)}
    scratch = f"/data/volumes/tasks/{1:032x}/scratch"
    assert [(each.source, each.target, each.read_only) for each in made["web"].spec.mounts] == [
        ("/srv/data", "/h", True),
        (scratch, "/s", False),
    ]
    assert all(each.read_only for each in made["side"].spec.mounts)
    assert made["web"].directories == ("/srv/data", scratch)
    stage.stop(wanted)
    stage.run(3)
    (clean_up,) = [each for each in stage.asked if isinstance(each, instructions.CleanUp)]
    assert clean_up.directories == (f"/data/volumes/tasks/{1:032x}",)


def test_host_mode_ports_are_the_hosts_own(stage: Stage) -> None:
    web = container(port_mappings=(tasks.PortMapping(container_port=8080),))
    stage.payload(a_task(1, web, network_mode="host"))
    stage.run(3)
    assert [each.host_port for each in stage.told(1, "web")[0].network_bindings] == [8080]


def test_awsvpc_takes_the_interface_of_the_payload_or_waits_for_it(stage: Stage) -> None:
    interface = tasks.ElasticNetworkInterface(
        attachment_arn="arn:aws:ecs:us-east-1:1:attachment/abc",
        mac_address="02:00:00:00:00:02",
        ipv4_addresses=(tasks.Ipv4Address(primary=True, private_address="10.1.0.5"),),
        subnet_gateway_ipv4_address="10.1.0.1/24",
    )
    stage.payload(a_task(1, network_mode="awsvpc", elastic_network_interfaces=(interface,)))
    stage.payload(a_task(2, network_mode="awsvpc"))
    stage.payload(a_task(3, network_mode="awsvpc"))
    stage.run(5)
    assert stage.statuses(1) == ["RUNNING"] and stage.statuses(2) == []
    (sandbox,) = [each.spec for each in stage.asked if isinstance(each, instructions.CreateSandbox)]
    assert sandbox.network_interface is not None
    assert sandbox.network_interface.attachment_id == "abc"
    assert (sandbox.network_interface.ipv4_address, sandbox.network_interface.prefix_length) == ("10.1.0.5", 24)
    assert [each.attachments[0].attachment_arn for each in stage.attached] == [interface.attachment_arn]
    late = messages.AttachTaskNetworkInterfacesMessage(
        message_id="e",
        cluster_arn="default",
        container_instance_arn=stage.engine.container_instance_arn,
        task_arn=arn_of(2),
        elastic_network_interfaces=(msgspec.structs.replace(interface, attachment_arn="arn:other/x"),),
    )
    stage.tell(events.MessageReceived(message=late))
    stage.run(1)
    assert stage.statuses(2) == ["RUNNING"]
    stage.run(task.INTERFACE_WAIT_SECONDS)
    assert stage.statuses(3) == ["STOPPED"]
    assert "no network interface" in stage.last(3).reason


def test_a_container_that_nothing_ends_is_given_up(stage: Stage) -> None:
    wanted = a_task(1, container(stop_timeout=1))
    stage.payload(wanted)
    stage.run(3)
    machine = stage.engine.tasks[arn_of(1)]
    stage.host._containers[stage.container_id(1)].status = "created"  # an end that never comes
    stage.stop(wanted)
    stage.run(containers.KILL_REPEAT_SECONDS * (containers.KILLS_MAX + 1))
    assert stage.signals(1) == [15] + [9] * containers.KILLS_MAX
    assert machine.state.containers[0].reason.startswith("CannotStopContainerError")
    assert stage.statuses(1) == ["RUNNING", "STOPPED"]
