"""One agent's session, told as stories: what it is sent, once, again, and not at all (agent-protocol.md 3; C9, C10)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from ecs_world import World, id_of
from hypothesis import given, settings
from hypothesis import strategies as st

from roadstead.acs import frames, messages, timers
from roadstead.acs import tasks as acs_tasks
from roadstead.control import observation
from roadstead.control.sessions import connection, machine
from roadstead.model import container_instances, tables
from roadstead.model import tasks as task_records


class Stage:
    """A session over a world, and an agent that answers as it is told to."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.arn = world.join(connected=False)
        self.connect()

    def connect(self) -> list[machine.Instruction]:
        first = self.world.connect(self.arn)
        view = self.world.store.view()
        live = tuple(view.find(tables.TASKS, "live_by_instance", id_of(self.arn)))
        self.session = machine.Session(self.world.instance(self.arn), first, self.world.now)
        return self.tell(machine.Opened(tasks=live))

    def tell(self, event: machine.Event) -> list[machine.Instruction]:
        return self.session.handle(event, self.world.store.view(), self.world.now)

    def changed(self, *arns: str) -> list[machine.Instruction]:
        return self.tell(machine.TasksChanged(tasks=tuple(self.world.task(arn) for arn in arns)))

    def tick(self, seconds: float) -> list[machine.Instruction]:
        self.world.now += seconds
        return self.tell(machine.Tick())

    def ack(self, message: Any) -> list[machine.Instruction]:
        answer = messages.AckRequest(cluster="default", container_instance=self.arn, message_id=message.message_id)
        return self.tell(machine.Received(message=answer))


@pytest.fixture
def stage(world: World) -> Stage:
    return Stage(world)


def sent(instructions: list[machine.Instruction], kind: type[Any] = object) -> list[Any]:
    found = [one.message for one in instructions if isinstance(one, machine.Send)]
    for message in found:
        assert frames.parse(frames.serialize(message)) == message, "it fits into a frame"
    return [message for message in found if isinstance(message, kind)]


def payloads(instructions: list[machine.Instruction]) -> list[tuple[str, str]]:
    """(task ARN, desired status) of the payloads, each of one task."""
    found = []
    for message in sent(instructions, messages.PayloadMessage):
        (task,) = message.tasks
        found.append((task.arn, task.desired_status))
    return found


def opened(stage: Stage) -> list[machine.Instruction]:
    """A new session, its manifest acknowledged: what is sent then."""
    (manifest,) = sent(stage.connect())
    return stage.ack(manifest)


def test_the_manifest_comes_first_then_every_live_task_once(stage: Stage) -> None:
    one, two = stage.world.run(), stage.world.run()
    stage.world.call("StopTask", task=two)
    (manifest,) = sent(stage.connect())
    assert isinstance(manifest, messages.TaskManifestMessage)
    assert manifest.container_instance_arn == stage.arn
    assert manifest.cluster_arn == "arn:aws:ecs:us-east-1:123456789012:cluster/default"
    assert {(task.task_arn, task.desired_status) for task in manifest.tasks} == {(one, "RUNNING"), (two, "STOPPED")}
    after = stage.ack(manifest)
    assert sorted(payloads(after)) == sorted([(one, "RUNNING"), (two, "STOPPED")])
    numbers = [message.seq_num for message in sent(after)]
    assert manifest.timeline < min(numbers) and len(set(numbers)) == 2


def test_payloads_do_not_wait_for_ever_for_the_manifest(stage: Stage) -> None:
    arn = stage.world.run()
    (manifest,) = sent(stage.connect())
    assert stage.changed(arn) == []
    after = stage.tick(timers.PAYLOAD_ACK_SECONDS_MAX)
    (again,) = sent(after, messages.TaskManifestMessage)
    assert again.timeline > manifest.timeline and again.message_id != manifest.message_id
    assert payloads(after) == [(arn, "RUNNING")]


def test_a_manifest_that_is_sent_again_is_newer_than_every_payload(stage: Stage) -> None:
    arn = stage.world.run()
    stage.connect()
    (payload,) = sent(stage.tick(timers.PAYLOAD_ACK_SECONDS_MAX), messages.PayloadMessage)
    stage.ack(payload)
    (again,) = sent(stage.tick(2 * timers.PAYLOAD_ACK_SECONDS_MAX), messages.TaskManifestMessage)
    assert again.timeline > payload.seq_num
    assert [task.task_arn for task in again.tasks] == [arn]


def test_a_new_task_is_sent_once_and_its_stop_once(stage: Stage) -> None:
    opened(stage)
    arn = stage.world.run()
    started = stage.changed(arn)
    assert payloads(started) == [(arn, "RUNNING")]
    assert stage.changed(arn) == [], "the same version again says nothing new"
    stage.ack(sent(started)[0])
    stage.world.report(arn, "RUNNING", {"containerName": "app", "status": "RUNNING"})
    assert stage.changed(arn) == [], "what the agent itself reported is no news to it"
    stage.world.call("StopTask", task=arn)
    stopping = stage.changed(arn)
    assert payloads(stopping) == [(arn, "STOPPED")]
    assert sent(stopping)[0].seq_num > sent(started)[0].seq_num
    stage.ack(sent(stopping)[0])
    stage.world.report(arn, "STOPPED", {"containerName": "app", "status": "STOPPED", "exitCode": 0})
    assert stage.changed(arn) == []
    assert stage.tick(29) == []


def test_what_is_not_acknowledged_is_sent_again_with_growing_pauses(stage: Stage) -> None:
    opened(stage)
    arn = stage.world.run()
    (first,) = sent(stage.changed(arn))
    assert stage.tick(4.9) == []
    (again,) = sent(stage.tick(0.1))
    assert again == first
    assert sent(stage.tick(9.9), messages.PayloadMessage) == []
    assert sent(stage.tick(0.1), messages.PayloadMessage) == [first]
    stage.ack(first)
    assert sent(stage.tick(60), messages.PayloadMessage) == []


def test_a_stop_takes_the_place_of_a_start_that_was_not_acknowledged(stage: Stage) -> None:
    opened(stage)
    arn = stage.world.run()
    stage.changed(arn)
    stage.world.call("StopTask", task=arn)
    assert payloads(stage.changed(arn)) == [(arn, "STOPPED")]
    assert payloads(stage.tick(5)) == [(arn, "STOPPED")]


def test_a_task_that_the_agent_refused_is_not_sent_again_once_it_is_stopped(stage: Stage) -> None:
    opened(stage)
    arn = stage.world.run()
    (payload,) = sent(stage.changed(arn))
    nack = messages.NackRequest(cluster="c", container_instance="i", message_id=payload.message_id, reason="no")
    assert stage.tell(machine.Received(message=nack)) == []
    assert sent(stage.tick(10), messages.PayloadMessage) == []
    stage.world.report(arn, "STOPPED", reason="UnrecogniedTaskError: Error loading task")
    stage.changed(arn)
    assert sent(stage.tick(60), messages.PayloadMessage) == []


def test_many_payloads_are_in_flight_but_not_too_many(stage: Stage) -> None:
    opened(stage)
    pattern = stage.world.task(stage.world.run())
    count = machine.PAYLOADS_IN_FLIGHT_MAX + 2
    many = tuple(msgspec.structs.replace(pattern, task_id=f"{number:032x}") for number in range(count))
    stage.world.put(*many)
    first = sent(stage.tell(machine.TasksChanged(tasks=many)))
    assert len(first) == machine.PAYLOADS_IN_FLIGHT_MAX
    assert len(sent(stage.ack(first[0]))) == 1
    assert len(sent(stage.ack(first[1]))) == 1
    assert sent(stage.ack(first[2])) == []


def test_only_what_should_not_run_is_stopped(stage: Stage) -> None:
    """C9: the agent asks about tasks that are not in the manifest."""
    runs, ended = stage.world.run(), stage.world.run()
    stage.world.report(ended, "STOPPED", {"containerName": "app", "status": "STOPPED", "exitCode": 0})
    stray = "arn:aws:ecs:us-east-1:123456789012:task/default/" + "f" * 32
    elsewhere = stage.world.task(runs)
    elsewhere = msgspec.structs.replace(
        elsewhere,
        task_id="e" * 32,
        desired=msgspec.structs.replace(elsewhere.desired, container_instance="another"),
    )
    stage.world.put(elsewhere)
    moved = stray.replace("f" * 32, "e" * 32)
    foreign = runs.replace("/default/", "/other/")
    (manifest,) = sent(stage.connect())
    candidates = tuple(
        acs_tasks.TaskIdentifier(task_arn=arn, desired_status="STOPPED") for arn in (runs, ended, stray, moved, foreign)
    )
    question = messages.TaskStopVerificationMessage(message_id=manifest.message_id, stop_candidates=candidates)
    (answer,) = sent(stage.tell(machine.Received(message=question)))
    assert isinstance(answer, messages.TaskStopVerificationAck) and answer.message_id == manifest.message_id
    assert [task.task_arn for task in answer.stop_tasks] == [ended, stray, moved, foreign]


def test_heartbeats_go_out_and_silence_ends_the_session(stage: Stage) -> None:
    """C10."""
    opened(stage)
    (beat,) = sent(stage.tick(30))
    assert isinstance(beat, messages.HeartbeatMessage) and beat.healthy
    stage.tell(machine.Received(message=messages.HeartbeatAckRequest(message_id=beat.message_id)))
    (second,) = sent(stage.tick(30))
    assert second.message_id != beat.message_id
    stage.tick(30)
    assert stage.tick(30) == [machine.Close(code=1011, reason=machine.REASON_SILENT)]
    assert timers.HEARTBEAT_INTERVAL_SECONDS <= 30


def test_a_deregistered_instance_is_let_go(stage: Stage) -> None:
    opened(stage)
    stage.world.call("DeregisterContainerInstance", containerInstance=stage.arn)
    instance = stage.world.instance(stage.arn)
    expected = [machine.Close(code=1001, reason=machine.REASON_INACTIVE)]
    assert stage.tell(machine.InstanceChanged(instance=instance)) == expected
    assert stage.tell(machine.InstanceChanged(instance=None)) == expected


def test_a_reconnect_gives_the_same_tasks_under_higher_numbers(stage: Stage) -> None:
    arn = stage.world.run()
    first = opened(stage)
    again = opened(stage)
    assert payloads(first) == payloads(again) == [(arn, "RUNNING")]
    assert sent(again)[0].seq_num > sent(first)[0].seq_num
    assert sent(again)[0].tasks == sent(first)[0].tasks, "an agent that knows the task has nothing to do"


def test_a_session_that_has_used_its_numbers_closes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "TIMELINE_BLOCK", 3)
    arn = stage.world.run()
    opened(stage)
    after = stage.tick(30)
    assert machine.Close(code=1001, reason=machine.REASON_NUMBERS) in after
    assert arn


def test_what_another_protocol_says_is_ignored(stage: Stage) -> None:
    opened(stage)
    for message in (frames.Unknown(type="X", message=b"{}"), messages.ErrorMessage(message="?")):
        assert stage.tell(machine.Received(message=message)) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["run", "stop", "end", "ack", "lose", "tick", "reconnect"]), max_size=25), st.data())
def test_whatever_happens_the_agent_ends_with_what_should_run(steps: list[str], data: st.DataObject) -> None:
    """An agent that loses acknowledgments and connections at will still converges, and never sees a number again."""
    import ecs_world

    world = ecs_world.ready()
    stage = Stage(world)
    known: dict[str, str] = {}
    numbers: list[int] = []
    unacknowledged: list[Any] = []
    arns: list[str] = []

    def take(instructions: list[machine.Instruction]) -> None:
        for message in sent(instructions):
            if isinstance(message, messages.HeartbeatMessage):
                continue
            number = message.timeline if isinstance(message, messages.TaskManifestMessage) else message.seq_num
            if not any(other.message_id == message.message_id for other in unacknowledged):
                assert not numbers or number > max(numbers)
            numbers.append(number)
            if isinstance(message, messages.PayloadMessage):
                (task,) = message.tasks
                if known.get(task.arn) != "STOPPED":
                    known[task.arn] = task.desired_status
            unacknowledged.append(message)

    def acknowledge() -> None:
        while unacknowledged:
            take(stage.ack(unacknowledged.pop(0)))

    take(stage.connect())
    for step in steps:
        live = [arn for arn in arns if world.task(arn).is_live]
        match step:
            case "run":
                arns.append(world.run())
                take(stage.changed(arns[-1]))
            case "stop" if live:
                arn = data.draw(st.sampled_from(live))
                world.call("StopTask", task=arn)
                take(stage.changed(arn))
            case "end" if live:
                arn = data.draw(st.sampled_from(live))
                world.report(arn, "STOPPED")
                take(stage.changed(arn))
            case "ack":
                acknowledge()
            case "tick":
                take(stage.tick(7))
            case "reconnect":
                unacknowledged.clear()
                take(stage.connect())
    stage.tell(machine.Received(message=messages.HeartbeatAckRequest(message_id="x")))
    for _ in range(3):
        take(stage.tick(60))
        acknowledge()
    for arn in arns:
        task = world.task(arn)
        if task.is_live:
            assert known[arn] == task.desired.status


def test_health_is_that_of_the_essential_containers_that_have_a_check(world: World) -> None:
    check = {"command": ["CMD-SHELL", "true"]}
    containers = [
        {"name": "app", "image": "i", "memory": 64, "healthCheck": check},
        {"name": "db", "image": "i", "memory": 64, "healthCheck": check},
        {"name": "side", "image": "i", "memory": 64, "essential": False, "healthCheck": check},
        {"name": "plain", "image": "i", "memory": 64},
    ]
    world.define("checked", containerDefinitions=containers)
    world.join()
    arn = world.run("checked")
    from roadstead.model import task_definitions

    definition = world.get(task_definitions.TaskDefinition, "checked:1")

    def health(**statuses: Any) -> task_records.Task:
        reports = tuple(
            observation.ContainerHealthReport(name=name, status=status, since=1.0) for name, status in statuses.items()
        )
        task = observation.observe_health(world.task(arn), definition, reports, world.now)
        world.put(task)
        return task

    assert health(app="HEALTHY").observed.health_status == "UNKNOWN"
    assert health(side="UNHEALTHY", plain="UNHEALTHY").observed.health_status == "UNKNOWN"
    world.now = 1234.0
    task = health(db="HEALTHY")
    assert (task.observed.health_status, task.observed.became_healthy_at) == ("HEALTHY", 1234.0)
    assert health(db="UNHEALTHY").observed.health_status == "UNHEALTHY"
    version = world.task(arn).version
    assert health(db="UNHEALTHY").version == version
    shown = {one["name"]: one["healthStatus"] for one in world.describe(arn)["containers"]}
    assert shown == {"app": "HEALTHY", "db": "UNHEALTHY", "side": "UNHEALTHY", "plain": "UNKNOWN"}
    instance = world.get(container_instances.ContainerInstance, id_of(world.describe(arn)["containerInstanceArn"]))
    assert instance.session.connected
