"""The demo's stage: a control plane with one instance in a temporary directory; in the end nothing of it is left."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from roadstead.cli import context, failures, output

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 30.0
CLUSTER = "default"
SERVICE = "web"
RESOURCE = f"service/{CLUSTER}/{SERVICE}"
DIMENSION = "ecs:service:DesiredCount"
SCALE_IN_DATAPOINTS = 3
WEB = pathlib.Path(__file__).with_name("web")


@contextlib.contextmanager
def raised(out: output.Output, say: Callable[[str], None]) -> Iterator[context.Context]:
    """A running control plane with a registered instance; stopped and removed at the end, however it ends."""
    data_dir = pathlib.Path(tempfile.mkdtemp(prefix="roadstead-demo-"))
    log = data_dir / "demo.log"
    command = [sys.executable, "-m", "roadstead", "up", "--data-dir", str(data_dir), "--port", "0"]
    command += ["--scale-in-datapoints", str(SCALE_IN_DATAPOINTS)]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)
    try:
        on = context.Context(data_dir, None, out)
        _await_instance(on, process, log)
        yield on
    finally:
        say("removing everything the demo made …")
        _stop(process)
        command = [sys.executable, "-m", "roadstead", "down", "--remove", "--data-dir", str(data_dir)]
        removed = subprocess.run(command, capture_output=True, text=True, check=False)
        if removed.returncode == 0:
            shutil.rmtree(data_dir, ignore_errors=True)
        else:
            out.remark(f"could not remove all of it; see {data_dir}:\n{removed.stdout}{removed.stderr}")


def _await_instance(on: context.Context, process: subprocess.Popen[bytes], log: pathlib.Path) -> None:
    ends = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < ends:
        if process.poll() is not None:
            break
        with contextlib.suppress(failures.Failure):
            arns = on.ecs("ListContainerInstances", cluster=CLUSTER)["containerInstanceArns"]
            if arns:
                found = on.ecs("DescribeContainerInstances", cluster=CLUSTER, containerInstances=arns)
                if any(one["agentConnected"] for one in found["containerInstances"]):
                    return
        time.sleep(0.1)
    said = log.read_text(errors="replace").strip()[-2_000:]
    raise failures.Failure(f"the control plane and its instance did not start:\n{said}", "See: roadstead doctor")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def set_up(on: context.Context, say: Callable[[str], None]) -> None:
    """Image, task definition, service, scalable target and policy, as a user would."""
    say("packing the example web service into an image (busybox httpd, a page that burns CPU)")
    environment = {
        **os.environ,
        "ROADSTEAD": str(pathlib.Path(sys.executable).with_name("roadstead")),
        "ROADSTEAD_DATA_DIR": str(on.data_dir),
    }
    packed = subprocess.run([str(WEB / "pack")], env=environment, capture_output=True, text=True, check=False)
    if packed.returncode != 0:
        raise failures.Failure(f"the image could not be packed:\n{packed.stderr.strip()}", "See: roadstead doctor")
    definition: dict[str, Any] = json.loads((WEB / "task-definition.json").read_text())
    policy: dict[str, Any] = json.loads((WEB / "scaling-policy.json").read_text())
    say("registering the task definition, creating a service of 1 task")
    on.ecs("RegisterTaskDefinition", **definition)
    on.ecs(
        "CreateService",
        cluster=CLUSTER,
        serviceName=SERVICE,
        taskDefinition=definition["family"],
        desiredCount=1,
        monitoring={"metricConfigurations": [{"metricNames": ["CPUUtilization"], "resolutionSeconds": 20}]},
    )
    _await_steady(on)
    say("registering a scalable target of 1 to 6 tasks, and a target tracking policy at 50 % CPU (20 s metrics)")
    on.client.call(
        "application-autoscaling",
        "RegisterScalableTarget",
        ServiceNamespace="ecs",
        ResourceId=RESOURCE,
        ScalableDimension=DIMENSION,
        MinCapacity=1,
        MaxCapacity=6,
    )
    on.client.call(
        "application-autoscaling",
        "PutScalingPolicy",
        ServiceNamespace="ecs",
        ResourceId=RESOURCE,
        ScalableDimension=DIMENSION,
        PolicyName="cpu50",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=policy,
    )


def _await_steady(on: context.Context) -> None:
    """The 20 s metrics may be used once the deployment has completed (behaviour.md 1.3.6)."""
    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        service = on.ecs("DescribeServices", cluster=CLUSTER, services=[SERVICE])["services"][0]
        if service["deployments"][0].get("rolloutState") == "COMPLETED":
            return
        time.sleep(0.5)
    raise failures.Failure(
        "the service did not become steady within 120 s: "
        + "; ".join(event["message"] for event in service["events"][:3]),
        "See: roadstead doctor",
    )


def tear_down(on: context.Context) -> None:
    """Delete the service and wait until its containers are gone."""
    on.ecs("DeleteService", cluster=CLUSTER, service=SERVICE, force=True)
    ends = time.monotonic() + STOP_SECONDS_MAX
    while time.monotonic() < ends:
        if not on.ecs("ListTasks", cluster=CLUSTER, serviceName=SERVICE)["taskArns"]:
            arns = on.ecs("ListTasks", cluster=CLUSTER, serviceName=SERVICE, desiredStatus="STOPPED")["taskArns"]
            found = on.ecs("DescribeTasks", cluster=CLUSTER, tasks=arns)["tasks"] if arns else []
            if all(task["lastStatus"] == "STOPPED" for task in found):
                return
        time.sleep(0.2)
