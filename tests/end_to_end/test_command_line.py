"""The command line as people and scripts use it: every verb, its JSON, its exit codes, plain without a terminal."""

from __future__ import annotations

import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
import typer.testing
from tests.end_to_end import conftest, installations, storms

from roadstead.cli import main

ESCAPE = "\x1b"
WAITER = {"Delay": 1, "MaxAttempts": 40}
TALK = "i=0; while :; do echo tick $i of $HOSTNAME; i=$((i+1)); sleep 0.2; done"


def verbs(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every verb there is, as its words."""
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from verbs(command, (*path, name))
        else:
            yield (*path, name)


VERBS = list(verbs(typer.main.get_command(main.app)))
PROMISED = "up down status doctor server agent env demo ps logs aws version"
PROMISED_BELOW = {
    "service": {"ls", "status"},
    "explain": {"task", "service", "target"},
    "image": {"load", "pack", "list", "remove"},
}


def test_every_verb_is_there_and_teaches() -> None:
    assert {verb[0] for verb in VERBS if len(verb) == 1} >= set(PROMISED.split())
    for noun, below in PROMISED_BELOW.items():
        assert {verb[1] for verb in VERBS if verb[0] == noun} >= below
    runner = typer.testing.CliRunner()
    for verb in VERBS:
        if verb == ("aws",):
            continue  # its help is the AWS CLI's own
        told = runner.invoke(main.app, [*verb, "--help"])
        assert told.exit_code == 0 and "Usage:" in told.output, verb
        lines = [line.strip() for line in told.output.splitlines() if line.strip()]
        assert len(lines) > 3 and len(lines[1]) > 15, verb
    told = runner.invoke(main.app, ["--help"])
    assert "Exit codes: 0 fine, 1 failed, 2 wrong usage" in told.output


# ------------------------------------------------------------------------------------------ no root


@pytest.mark.slow
def test_a_user_without_rights_runs_the_whole_flow_with_stand_ins() -> None:
    with conftest.installed(runtime="simulated", as_nobody=True) as one:
        if os.geteuid() == 0:
            assert one.up is not None
            status = pathlib.Path(f"/proc/{one.up.process.pid}/status").read_text()
            assert f"Uid:\t{installations.NOBODY}\t{installations.NOBODY}" in status
        ecs = one.client("ecs")
        storms.define(ecs, "awsvpc")
        ecs.create_service(serviceName="web", **storms.placed("awsvpc"), desiredCount=3)
        ecs.get_waiter("services_stable").wait(services=["web"], WaiterConfig=WAITER)
        assert one.output("ps", "web").count("RUNNING") == 3
        assert len(one.json("ps")) == 3
        assert "steady" in one.output("service", "status", "web") or "changing" in one.output("service", "ls")
        task = one.output("ps", "-q").split()[0]
        assert "RUNNING" in one.output("explain", "task", task)
        assert one.roadstead("image", "list").returncode == 0
        refused = one.roadstead("up", "--runtime", "oci", "--port", "0")
        if os.geteuid() == 0:
            assert refused.returncode == 1 and "--runtime simulated" in refused.stderr
        down = one.json("down")
        assert down == {"stopped": True, "removed": False}
        assert one.up is not None and one.up.end(signal.SIGCONT) == 0
        assert one.json("down") == {"stopped": False, "removed": False}


@pytest.mark.slow
def test_status_counts_alarms_of_both_types(simulated: installations.Installation) -> None:
    cloudwatch = simulated.client("cloudwatch")
    cloudwatch.put_composite_alarm(AlarmName="always", AlarmRule="TRUE")
    try:
        assert "  1 alarm in ALARM: always" in simulated.output("status")
        assert simulated.json("status")["alarms"] == ["always"]
    finally:
        cloudwatch.delete_alarms(AlarmNames=["always"])


@pytest.mark.slow
def test_exit_codes_tell_scripts_what_happened(simulated: installations.Installation, tmp_path: pathlib.Path) -> None:
    one = simulated

    def ends(code: int, *arguments: str, **environment: str) -> str:
        done = one.roadstead(*arguments, environment=environment)
        assert done.returncode == code, (arguments, done)
        assert "Traceback" not in done.stdout + done.stderr
        if code:
            assert done.stderr.strip(), arguments
        return done.stderr

    ends(0, "status")
    ends(1, "service", "status", "nothing")
    ends(1, "explain", "task", "abcdef")
    ends(1, "explain", "service", "nothing")
    ends(1, "ps", "--cluster", "nowhere")
    ends(1, "logs", "nothing")
    ends(1, "image", "load", str(tmp_path / "nothing.tar"))
    ends(1, "image", "remove", "nothing:1")
    ends(2, "nonsense")
    ends(2, "ps", "--nonsense")
    ends(2, "explain", "service", "x", "--since", "tomorrow")
    ends(2, "up", "--runtime", "docker")
    ends(2, "up", "--port", "99999")
    ends(1, "up", "--account-id", "12")
    ends(2, "image", "pack", str(tmp_path), "--tag", "x", "--env", "novalue")
    for verb in (["status"], ["ps"], ["env"], ["service", "ls"], ["logs", "x"]):
        said = ends(4, *verb, ROADSTEAD_DATA_DIR=str(tmp_path))
        assert "roadstead up" in said
    shutil.copy(one.data_dir / "credentials.json", tmp_path)
    gone = {**one.server, "endpoint": "http://127.0.0.1:9"}
    (tmp_path / "server.json").write_text(json.dumps(gone))
    assert "does not answer" in ends(4, "status", ROADSTEAD_DATA_DIR=str(tmp_path))


@pytest.mark.slow
def test_an_ambiguous_beginning_of_an_id_is_wrong_usage(simulated: installations.Installation) -> None:
    ecs = simulated.client("ecs")
    storms.define(ecs, "host")
    for _ in range(2):
        ecs.run_task(taskDefinition="host", count=10)
    ids = simulated.output("ps", "-q").split()
    assert len(ids) == 20 and all(re.fullmatch(r"[0-9a-f]{32}", one) for one in ids)
    first = next(digit for digit in "0123456789abcdef" if sum(one.startswith(digit) for one in ids) > 1)
    refused = simulated.roadstead("explain", "task", first)
    assert refused.returncode == 2 and "Give more digits" in refused.stderr
    shown = [line.split()[0] for line in simulated.output("ps").splitlines() if "RUNNING" in line or "PENDING" in line]
    assert len(set(shown)) == 20, "short ids tell tasks apart"
    assert all(any(one.startswith(short) for one in ids) for short in shown)


@pytest.mark.slow
def test_env_is_for_bash_and_the_aws_cli(simulated: installations.Installation) -> None:
    script = 'eval "$(roadstead env)"; env | grep ^AWS_; aws sts get-caller-identity --query Arn --output text'
    done = subprocess.run(
        ["bash", "-eu", "-c", script],
        env={**simulated.environment, "AWS_PROFILE": "other", "AWS_SESSION_TOKEN": "old"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert f"AWS_ENDPOINT_URL={simulated.endpoint}" in done.stdout and "AWS_PROFILE" not in done.stdout
    assert done.stdout.splitlines()[-1] == "arn:aws:iam::123456789012:root"
    listed = json.loads(simulated.output("aws", "ecs", "list-clusters"))
    assert [arn.rsplit("/", 1)[-1] for arn in listed["clusterArns"]] == ["default"]


def on_terminal(one: installations.Installation, *arguments: str, columns: int = 80, **environment: str) -> str:
    """What a verb prints to a terminal."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [installations.ROADSTEAD, *arguments],
            env={**one.environment, "TERM": "xterm-256color", "COLUMNS": str(columns), **environment},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        received = b""
        ends_at = time.monotonic() + installations.COMMAND_SECONDS_MAX
        while time.monotonic() < ends_at:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    piece = os.read(ours, 65536)
                except OSError:  # the terminal's other end is closed
                    break
                received += piece
            elif process.poll() is not None:
                break
        assert process.wait(5) == 0, received
    finally:
        os.close(ours)
    return received.decode()


@pytest.mark.slow
def test_colour_only_adds_and_ids_are_never_cut(simulated: installations.Installation) -> None:
    ecs = simulated.client("ecs")
    storms.define(ecs, "awsvpc")
    name = "a-service-with-a-rather-long-name"
    ecs.create_service(serviceName=name, **storms.placed("awsvpc"), desiredCount=2)
    ecs.get_waiter("services_stable").wait(services=[name], WaiterConfig=WAITER)
    for verb in (["ps"], ["status"], ["service", "ls"], ["service", "status", name], ["explain", "service", name]):
        assert ESCAPE not in simulated.output(*verb)
        plain = on_terminal(simulated, *verb, NO_COLOR="1")
        assert not re.search(ESCAPE + r"\[[0-9;]*3[0-9]", plain), "no colours where NO_COLOR is set"
    assert ESCAPE in on_terminal(simulated, "ps")
    ids = simulated.output("ps", "-q").split()
    for columns in (40, 80, 200):
        narrow = on_terminal(simulated, "ps", columns=columns, NO_COLOR="1")
        for one in ids:
            assert one[:6] in narrow, narrow
        narrow = on_terminal(simulated, "ps", "-q", columns=columns, NO_COLOR="1")
        assert sorted(narrow.split()) == sorted(ids)
        narrow = on_terminal(simulated, "status", columns=columns, NO_COLOR="1")
        instance = ecs.list_container_instances()["containerInstanceArns"][0].rsplit("/", 1)[-1]
        assert instance in narrow
    ascii_only = simulated.roadstead("ps", environment={"PYTHONIOENCODING": "ascii"})
    assert ascii_only.returncode == 0 and "RUNNING" in ascii_only.stdout and ascii_only.stdout.isascii()


# ------------------------------------------------------------------------------------------ real containers


@pytest.fixture
def talking(real: installations.Installation) -> installations.Installation:
    """A service `talk` of two tasks whose containers write a line again and again."""
    ecs = real.client("ecs")
    storms.define(ecs, "bridge", TALK, portMappings=[{"containerPort": 80}])
    ecs.create_service(serviceName="talk", taskDefinition="bridge", desiredCount=2)
    ecs.get_waiter("services_stable").wait(services=["talk"], WaiterConfig=WAITER)
    return real


@pytest.mark.real
@pytest.mark.slow
def test_every_reading_verb_speaks_text_and_json(talking: installations.Installation) -> None:
    one = talking
    ids = one.output("ps", "-q").split()
    listing = one.output("ps", "talk")
    assert listing.count("● RUNNING") == 2 and "→80" in listing and "bridge:1" not in listing
    assert {task["taskArn"].rsplit("/", 1)[-1] for task in one.json("ps", "talk")} == set(ids)
    assert "talk" in one.output("service", "ls")
    assert [service["serviceName"] for service in one.json("service", "ls")] == ["talk"]
    assert one.json("service", "status", "talk")["service"]["runningCount"] == 2
    assert "desired 2  running 2" in one.output("service", "status", "talk")
    assert one.json("explain", "service", "talk")["kind"] == "service"
    assert "2" in one.output("explain", "service", "talk", "--since", "15m")
    explained = one.json("explain", "task", ids[0][:8])
    assert (explained["kind"], explained["id"]) == ("task", ids[0])
    assert f"Task {ids[0][:6]}" in one.output("explain", "task", ids[0])
    status = one.json("status")
    assert status["health"]["status"] == "ok" and status["clusters"][0]["runningTasksCount"] == 2
    assert "2 tasks running" in one.output("status")
    assert one.json("version")["version"] in one.output("version")
    found = one.json("doctor")
    assert {each["name"] for each in found} >= {"root", "crun", "conmon", "skopeo", "cgroups"}
    assert all(each["ok"] for each in found) and "● OK" in one.output("doctor")
    ecs = one.client("ecs")
    ecs.stop_task(task=ids[0], reason="a test")
    ecs.get_waiter("tasks_stopped").wait(tasks=[ids[0]], WaiterConfig=WAITER)
    first = one.output("ps", "-a").splitlines()[2]
    assert first.startswith(ids[0][:6]) and "▲ STOPPED" in first, "worst first"
    assert "a test" in one.output("explain", "task", ids[0])


@pytest.mark.real
@pytest.mark.slow
def test_logs_follow_and_new_tasks_join(talking: installations.Installation) -> None:
    one, ecs = talking, talking.client("ecs")
    ids = one.output("ps", "-q").split()
    installations.eventually(lambda: "tick 3 " in one.output("logs", ids[0]))
    assert len(one.output("logs", ids[0][:7], "-n", "2").splitlines()) == 2
    assert all("tick 1 " in line for line in one.output("logs", "talk", "--grep", "tick 1 ").splitlines())
    lines = [json.loads(line) for line in one.output("logs", "talk", "--json", "--container", "main").splitlines()]
    assert {line["task"] for line in lines} == set(ids) and {line["container"] for line in lines} == {"main"}
    assert one.roadstead("logs", ids[0], "--container", "other").returncode == 1

    follower = subprocess.Popen(
        [installations.ROADSTEAD, "logs", "talk", "-f", "-n", "0"],
        env=one.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert follower.stdout is not None
        seen: list[str] = [follower.stdout.readline() for _ in range(4)]
        assert {line[:6] for line in seen} <= {each[:6] for each in ids}
        ecs.update_service(service="talk", desiredCount=3)
        new = installations.eventually(lambda: set(one.output("ps", "talk", "-q").split()) - set(ids)).pop()
        ends_at = time.monotonic() + 20
        while not any(line.startswith(new[:6]) for line in seen):
            assert time.monotonic() < ends_at
            seen.append(follower.stdout.readline())
        ticks = [int(line.split("tick ")[1].split()[0]) for line in seen if line.startswith(new[:6])]
        assert ticks[0] <= 1, "from its first line on"
        follower.send_signal(signal.SIGINT)
        _, remarks = follower.communicate(timeout=10)
        assert follower.returncode == 0 and f"{new[:6]} started, following" in remarks
    finally:
        follower.kill()
        follower.communicate()

    single = subprocess.Popen(
        [installations.ROADSTEAD, "logs", new, "-f"], env=one.environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert single.stdout is not None and single.stdout.readline()
        ecs.update_service(service="talk", desiredCount=0)
        single.communicate(timeout=30)
        assert single.returncode == 0, "a task's log ends with the task"
    finally:
        single.kill()
        single.communicate()


@pytest.mark.real
@pytest.mark.slow
def test_images_are_packed_loaded_listed_and_removed(
    real: installations.Installation, box: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    one = real
    packed = one.json(
        *("image", "pack", str(box), "--tag", "shop:2", "--entrypoint", "/bin/sh -c", "--cmd", "'echo $COLOR; id'"),
        *("--env", "COLOR=blue", "--port", "80", "--workdir", "/tmp"),
    )[0]
    again = one.json("image", "pack", str(box), "--tag", "shop:3")[0]
    assert again["digest"] != packed["digest"]
    assert one.json("image", "pack", str(box), "--tag", "shop:4")[0]["digest"] == again["digest"], "reproducible"
    layout = oci_layout(one, packed["digest"], tmp_path / "layout")
    for kind in ("docker-archive", "oci-archive"):
        archive = tmp_path / f"{kind}.tar"
        copy = ["skopeo", "--insecure-policy", "copy", f"oci:{layout}:image", f"{kind}:{archive}:{kind}:1"]
        subprocess.run(copy, check=True, capture_output=True, timeout=60)
        loaded = one.output("image", "load", str(archive))
        assert f"loaded {kind}:1" in loaded
    listed = one.output("image", "list")
    for name in ("box:latest", "shop:2", "docker-archive:1", "oci-archive:1"):
        assert name in listed, listed
    ecs = one.client("ecs")
    made = [{"name": "main", "image": "docker-archive:1", "memory": 16}]
    ecs.register_task_definition(family="archived", networkMode="none", containerDefinitions=made)
    arn = ecs.run_task(taskDefinition="archived")["tasks"][0]["taskArn"]
    ecs.get_waiter("tasks_stopped").wait(tasks=[arn], WaiterConfig=WAITER)
    assert "blue" in one.output("logs", arn.rsplit("/", 1)[-1])
    storms.define(ecs, "none")
    using = ecs.run_task(taskDefinition="none")["tasks"][0]["taskArn"]
    ecs.get_waiter("tasks_running").wait(tasks=[using], WaiterConfig=WAITER)
    one.output("image", "remove", "shop:2", "shop:3", "shop:4")
    refused = one.roadstead("image", "remove", "box")
    assert refused.returncode == 1 and "box" in refused.stderr
    left = {record["reference"].rsplit("/", 1)[-1] for record in one.json("image", "list")}
    assert left == {"box:latest", "docker-archive:1", "oci-archive:1"}


def oci_layout(one: installations.Installation, digest: str, path: pathlib.Path) -> pathlib.Path:
    """An image of the content store as the directory that other tools read."""
    blobs = one.data_dir / "agent" / "images" / "blobs"
    shutil.copytree(blobs, path / "blobs")
    manifest = path / "blobs" / digest.replace(":", "/")
    entry = {
        "mediaType": json.loads(manifest.read_bytes())["mediaType"],
        "digest": digest,
        "size": manifest.stat().st_size,
        "annotations": {"org.opencontainers.image.ref.name": "image"},
    }
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return path


@pytest.mark.real
@pytest.mark.slow
def test_what_up_prints_is_enough_to_begin_with() -> None:
    one = installations.Installation()
    process = subprocess.Popen(
        [installations.ROADSTEAD, "up", "--port", "0"],
        env=one.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or "Ctrl-C" not in lines[-1]:
            line = process.stdout.readline()
            assert line, lines
            lines.append(line)
        said = "".join(lines)
        assert ESCAPE not in said and one.endpoint in said and str(one.data_dir) in said and "/log" in said
        exports = "\n".join(line for line in lines if line.startswith("export "))
        script = f"{exports}\naws ecs list-container-instances --query 'length(containerInstanceArns)'"
        ran = subprocess.run(
            ["bash", "-eu", "-c", script], env=one.environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert ran.stdout.strip() == "1", ran.stderr
        downed = one.roadstead("down")
        assert downed.returncode == 0 and "containers go on running" in downed.stdout
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()
        one.remove()
