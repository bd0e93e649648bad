"""Stories of the whole agent: payloads, manifests, over-placement, restarts (agent-protocol.md 5: C2, C9, C10, C16)."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stage import CLUSTER, INSTANCE, Stage, a_task, arn_of, container

from roadstead.acs import messages, tasks
from roadstead.agent import events, instructions, lifecycle, records, runtime


def manifest(stage: Stage, *running: int, timeline: int, message_id: str = "manifest") -> None:
    identifiers = tuple(tasks.TaskIdentifier(task_arn=arn_of(each), desired_status="RUNNING") for each in running)
    message = messages.TaskManifestMessage(
        message_id=message_id,
        cluster_arn=CLUSTER,
        container_instance_arn=INSTANCE,
        tasks=identifiers,
        timeline=timeline,
    )
    stage.tell(events.MessageReceived(message=message))


def acknowledged(stage: Stage) -> list[str]:
    return [each.message_id for each in stage.sent if isinstance(each, messages.AckRequest)]


def test_a_payload_told_twice_changes_nothing(stage: Stage) -> None:
    stage.payload(a_task(1), message_id="a")
    stage.run(5)
    stage.payload(a_task(1, container("other")), message_id="b")
    stage.run(5)
    assert acknowledged(stage) == ["a", "b"]
    assert stage.statuses(1) == ["RUNNING"]
    assert len(stage.host.inventory().containers) == 1


def test_a_stopped_task_is_never_revived(stage: Stage) -> None:
    stage.payload(a_task(1))
    stage.run(5)
    stage.stop(a_task(1))
    stage.payload(a_task(1), message_id="late")
    stage.run(5)
    stage.payload(a_task(1), message_id="later")
    stage.run(5)
    assert stage.statuses(1) == ["RUNNING", "STOPPED"]
    assert acknowledged(stage)[-1] == "later"
    assert stage.host.inventory().containers == ()


def test_a_stop_of_an_unknown_task_is_answered(stage: Stage) -> None:
    stage.stop(a_task(1))
    stage.run(1)
    assert stage.statuses(1) == ["STOPPED"]
    assert [each.status for each in stage.told(1, "web")] == ["STOPPED"]


def test_a_message_for_another_instance_is_not_acknowledged(stage: Stage) -> None:
    for instance, cluster, message_id in (("arn:other", CLUSTER, "m"), (INSTANCE, "", "m"), (INSTANCE, CLUSTER, "")):
        message = messages.PayloadMessage(
            message_id=message_id, cluster_arn=cluster, container_instance_arn=instance, tasks=(a_task(1),)
        )
        stage.tell(events.MessageReceived(message=message))
    assert stage.sent == [] and stage.engine.tasks == {}


def test_credentials_are_acknowledged_and_not_kept(stage: Stage) -> None:
    keys = tasks.RoleCredentials(credentials_id="c1", secret_access_key="sEcReT", expiration="2026-01-01T00:00:00Z")
    stage.payload(a_task(1, role_credentials=keys), message_id="p")
    refreshed = messages.IAMRoleCredentialsMessage(message_id="r", task_arn=arn_of(1), role_credentials=keys)
    stage.tell(events.MessageReceived(message=refreshed))
    told = [each for each in stage.sent if isinstance(each, messages.IAMRoleCredentialsAckRequest)]
    assert [(each.message_id, each.credentials_id, each.expiration) for each in told] == [
        ("p", "c1", keys.expiration),
        ("r", "c1", keys.expiration),
    ]
    assert b"sEcReT" not in stage.saved[arn_of(1)]


def test_what_is_not_supported_is_refused_with_its_name(stage: Stage) -> None:
    attachment = tasks.Attachment(attachment_arn="arn:v", attachment_type="amazonebs")
    confirm = messages.ConfirmAttachmentMessage(
        message_id="v", cluster_arn=CLUSTER, container_instance_arn=INSTANCE, attachment=attachment
    )
    stage.tell(events.MessageReceived(message=confirm))
    (nack,) = stage.sent
    assert isinstance(nack, messages.NackRequest) and nack.reason.startswith(
        "ConfirmAttachmentMessage is not supported"
    )


def test_the_manifest_stops_what_should_not_run_after_asking(stage: Stage) -> None:
    stage.payload(a_task(1), a_task(2))
    stage.run(5)
    manifest(stage, 1, timeline=10)
    assert acknowledged(stage)[-1] == "manifest"
    question = stage.sent[-1]
    assert isinstance(question, messages.TaskStopVerificationMessage)
    assert question.message_id == "manifest"
    assert [each.task_arn for each in question.stop_candidates] == [arn_of(2)]
    stage.run(5)
    assert stage.statuses(2) == ["RUNNING"], "not before the answer"
    answer = messages.TaskStopVerificationAck(message_id="manifest", stop_tasks=question.stop_candidates)
    stage.tell(events.MessageReceived(message=answer))
    stage.run(5)
    assert stage.statuses(1) == ["RUNNING"] and stage.statuses(2) == ["RUNNING", "STOPPED"]


def test_an_old_manifest_is_discarded_silently(stage: Stage) -> None:
    stage.payload(a_task(1))
    manifest(stage, 1, timeline=10, message_id="first")
    manifest(stage, timeline=10, message_id="same")
    manifest(stage, timeline=9, message_id="older")
    manifest(stage, 1, timeline=11, message_id="newer")
    assert acknowledged(stage) == ["m", "first", "newer"]
    assert not any(isinstance(each, messages.TaskStopVerificationMessage) for each in stage.sent)


def test_over_placement_waits_first_come_first_served() -> None:
    stage = Stage(cpu_units=1000)
    stage.payload(*(a_task(n, container(cpu=400)) for n in (1, 2)))
    stage.payload(a_task(3, container(cpu=400)), a_task(4, container(cpu=100)), a_task(5, container(cpu=5000)))
    stage.run(10)
    assert [stage.statuses(n) for n in (1, 2, 3, 4, 5)] == [["RUNNING"], ["RUNNING"], [], [], []]
    assert acknowledged(stage) == ["m", "m"]
    stage.stop(a_task(1))
    stage.run(10)
    assert [stage.statuses(n)[-1:] for n in (1, 3, 4, 5)] == [["STOPPED"], ["RUNNING"], ["RUNNING"], []]
    stage.stop(a_task(5))
    stage.run(1)
    assert stage.statuses(5) == ["STOPPED"]


def test_a_fixed_host_port_waits_for_its_holder(stage: Stage) -> None:
    web = container(port_mappings=(tasks.PortMapping(container_port=80, host_port=80),), sim={"IGNORE_STOP": 1})
    stage.payload(a_task(1, web), a_task(2, web))
    stage.run(5)
    assert (stage.statuses(1), stage.statuses(2)) == (["RUNNING"], [])
    stage.stop(a_task(1, web))
    stage.run(29)
    assert stage.statuses(2) == []
    stage.run(3)
    assert (stage.statuses(1), stage.statuses(2)) == (["RUNNING", "STOPPED"], ["RUNNING"])


def test_killed_and_restarted_it_adopts_and_tells_what_happened_meanwhile(stage: Stage) -> None:
    stage.payload(
        a_task(1), a_task(2, container(sim={"EXIT_AFTER_SECONDS": 20, "EXIT_CODE": 9})), a_task(3, container("x"))
    )
    stage.run(10)
    before = {each.container_id: each.pid for each in stage.host.inventory().containers}
    stage.restart_agent(down_seconds=60)
    stage.run(5)
    after = {each.container_id: each.pid for each in stage.host.inventory().containers}
    assert after == {key: pid for key, pid in before.items() if key != stage.container_id(2)}
    assert stage.statuses(1) == ["RUNNING"] and stage.statuses(3) == ["RUNNING"], "nothing is told twice"
    assert stage.statuses(2) == ["RUNNING", "STOPPED"] and stage.told(2, "web")[-1].exit_code == 9
    stopped_at = stage.last(2).execution_stopped_at
    assert stopped_at is not None and stopped_at < 1_000_022


@pytest.mark.parametrize("verbs_finish", [True, False])
def test_killed_while_it_starts_it_goes_on_where_it_stood(verbs_finish: bool) -> None:
    for steps in range(40):
        stage = Stage(verb_seconds=0.2)
        stage.payload(a_task(1, container("a"), container("b", sim={"START_DELAY_SECONDS": 0.3})))
        stage.run(steps * 0.05)
        stage.restart_agent(verbs_finish=verbs_finish)
        stage.run(5)
        assert stage.statuses(1)[-1] == "RUNNING" and stage.statuses(1).count("RUNNING") == 1, steps
        assert {each.status for each in stage.host.inventory().containers} == {"running"}, steps
        assert all(each.run == 1 for each in stage.host._containers.values()), f"started once, {steps}"


def test_what_was_not_told_is_told_after_the_restart(stage: Stage) -> None:
    stage.deaf = True
    stage.payload(a_task(1), a_task(2, container(sim={"EXIT_AFTER_SECONDS": 1})))
    stage.run(30)
    stage.restart_agent()
    stage.deaf = False
    stage.run(1)
    assert stage.statuses(1) == ["RUNNING"] and stage.statuses(2) == ["RUNNING", "STOPPED"]


def test_a_rebooted_host_tells_that_its_containers_are_gone(stage: Stage) -> None:
    stage.payload(a_task(1))
    stage.run(5)
    stage.host.reboot()
    stage.restart_agent()
    stage.run(5)
    assert stage.statuses(1) == ["RUNNING", "STOPPED"]
    assert stage.told(1, "web")[-1].reason.startswith("ContainerRuntimeError: The container is gone")


def test_what_was_starting_when_the_host_rebooted_starts_again(stage: Stage) -> None:
    init = container("init", essential=False, sim={"START_DELAY_SECONDS": 60})
    after = tasks.Dependency(container_name="init", condition="START")
    stage.payload(a_task(1, init, container(depends_on=(after,))))
    stage.run(5)
    assert stage.status(1) == "created"
    stage.host.reboot()
    stage.restart_agent()
    stage.run(100)
    assert stage.statuses(1) == ["PENDING", "RUNNING"] and stage.status(1) == "running"


def test_leftovers_that_nobody_knows_are_removed(stage: Stage) -> None:
    stage.payload(a_task(1), a_task(2))
    stage.run(5)
    del stage.saved[arn_of(1)]
    stage.restart_agent()
    stage.run(5)
    assert [each.container_id for each in stage.host.inventory().containers] == [stage.container_id(2)]
    assert [each.task_id for each in stage.host.inventory().sandboxes] == [records.task_id_of(arn_of(2))]


def test_a_clean_up_that_fails_is_tried_again_apart_from_the_report(stage: Stage) -> None:
    stage.payload(a_task(1))
    stage.run(5)
    machine = stage.engine.tasks[arn_of(1)]
    out = machine.handle(events.StopWanted(), stage.now)
    exit = events.Exited(
        container_id=stage.container_id(1),
        exit=runtime.ContainerExit(
            container_id=stage.container_id(1), exit_code=0, oom_killed=False, finished_at=stage.now
        ),
    )
    out += machine.handle(exit, stage.now)
    out += machine.handle(events.CleanedUp(task_id=machine.state.task_id, problem="busy"), stage.now)
    (told,) = [each.change for each in out if isinstance(each, instructions.Submit)]
    assert told.status == "STOPPED"
    machine.handle(events.Submitted(change=told), stage.now)
    assert not machine.over
    (again,) = machine.handle(events.Tick(task_arn=arn_of(1)), stage.now + 31)
    assert isinstance(again, instructions.CleanUp)
    machine.handle(events.CleanedUp(task_id=machine.state.task_id), stage.now + 32)
    assert machine.over


SIMS = st.fixed_dictionaries(
    {},
    optional={
        "EXIT_AFTER_SECONDS": st.sampled_from([0, 0.05, 3, 90]),
        "EXIT_CODE": st.sampled_from([0, 1]),
        "START_DELAY_SECONDS": st.sampled_from([0, 0.5]),
        "STOP_DELAY_SECONDS": st.sampled_from([0, 4]),
        "IGNORE_STOP": st.just(1),
        "PULL_ERROR": st.just("no"),
        "START_ERROR": st.just("no"),
        "MEMORY_MIB": st.sampled_from([1, 100]),
        "HEALTH_EXIT_CODE": st.sampled_from([0, 1]),
    },
)
POLICY = tasks.RestartPolicy(enabled=True, restart_attempt_period=60)


@st.composite
def some_task(draw: st.DrawFn) -> tasks.Task:
    number = draw(st.integers(1, 4))
    first = container("a", sim=draw(SIMS), restart_policy=draw(st.sampled_from([None, POLICY])), stop_timeout=5)
    condition: tasks.Condition = draw(st.sampled_from(["START", "COMPLETE", "SUCCESS"]))
    after = tasks.Dependency(container_name="a", condition=condition)
    second = container("b", sim=draw(SIMS), depends_on=(after,) if draw(st.booleans()) else (), stop_timeout=5)
    containers = (msgspec.structs.replace(first, essential=draw(st.booleans())), second)
    return a_task(number, *containers[draw(st.integers(0, 1)) * (not second.depends_on) :])


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("payload"), some_task()),
        st.tuples(st.just("stop"), st.integers(1, 4)),
        st.tuples(st.just("restart"), st.sampled_from([0.0, 1.0, 100.0])),
        st.tuples(st.just("run"), st.sampled_from([0.0, 0.05, 0.4, 2.0, 61.0])),
        st.tuples(st.just("kill"), st.integers(1, 4)),
        st.tuples(st.just("deaf"), st.booleans()),
        st.tuples(st.just("reboot"), st.none()),
    ),
    max_size=14,
)


class Climb:
    """Watches that no state ever falls: the saved ones after each step, and what was told."""

    def __init__(self) -> None:
        self._tasks: dict[str, int] = {}
        self._containers: dict[str, int] = {}

    def check(self, stage: Stage) -> None:
        for arn, machine in stage.engine.tasks.items():
            rank = lifecycle.TASK_RANK[machine.state.status]
            assert rank >= self._tasks.get(arn, 0)
            self._tasks[arn] = rank
            for each in machine.state.containers:
                rank = lifecycle.CONTAINER_RANK[each.status]
                assert rank >= self._containers.get(each.container_id, 0)
                self._containers[each.container_id] = rank


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_whatever_happens_states_climb_and_everything_ends(steps: list[tuple[str, object]]) -> None:
    stage, climb = Stage(cpu_units=600, verb_seconds=0.1), Climb()
    known: dict[int, tasks.Task] = {}
    for what, value in steps:
        if isinstance(value, tasks.Task):
            number = int(value.arn.rpartition("/")[2], 16)
            stage.payload(known.setdefault(number, value))
        elif what == "stop" and value in known:
            stage.stop(known[value])
        elif what == "kill":
            stage.host.kill(stage.container_id(value, "a"), stage.now)  # type: ignore[arg-type]
        elif what == "restart":
            stage.restart_agent(down_seconds=value)  # type: ignore[arg-type]
        elif what == "reboot":
            stage.host.reboot()
            stage.restart_agent()
        elif what == "deaf":
            stage.deaf = bool(value)
        elif what == "run":
            stage.run(value)  # type: ignore[arg-type]
        climb.check(stage)
    stage.deaf = False
    for each in known.values():
        stage.stop(each)
    stage.run(300)
    climb.check(stage)
    assert not stage.engine.tasks and not stage.saved
    assert stage.host.inventory().containers == () and stage.host.inventory().sandboxes == ()
    assert stage.engine._ledger._held == {} and stage.engine._waiting == {} and stage.engine._arns == {}
    for number in known:
        statuses = stage.statuses(number)
        assert statuses.count("STOPPED") == 1 and statuses[-1] == "STOPPED"
        ranks = [lifecycle.SENT_RANK[each] for each in statuses]
        assert ranks == sorted(ranks)
        for name in ("a", "b"):
            told = [each.status for each in stage.told(number, name)]
            assert told in ([], ["STOPPED"], ["RUNNING", "STOPPED"]), told
