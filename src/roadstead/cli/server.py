"""`up`, `server`, `agent`, `down`, `status`, `doctor`: the processes, as people start, ask and stop them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
import signal
import time
from collections.abc import Coroutine
from typing import Any

import rich.text
import uvloop

from roadstead.app import events, logs, settings
from roadstead.cli import context, failures, output

STOP_SECONDS_MAX = 30.0


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run to the end on the fast event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(coroutine)


class Teller:
    """Prints what a starting and running server tells, as a user wants to read it."""

    def __init__(self, on: context.Context, chosen: settings.Settings, with_agent: bool) -> None:
        self._on = on
        self._chosen = chosen
        self._with_agent = with_agent
        self._began = time.monotonic()
        self._is_ready = False
        self._is_stopping = False

    def __call__(self, event: events.Event) -> None:
        out = self._on.out
        if out.as_json:
            print(json.dumps({"kind": event.kind, "text": event.text, **event.facts}), flush=True)
            return
        match event.kind:
            case "serving":
                self._serving(event)
            case "agent connected":
                self._connected(event)
            case "agent starting":
                pass
            case "problem" | "agent ended" | "agent disconnected":
                if not self._is_stopping:
                    out.line(self._signed("bad", event.text))
            case "stopping" | "stopped":
                self._is_stopping = True
                out.line(event.text)

    def _signed(self, mood: str, text: str) -> rich.text.Text:
        word = {"good": "●", "bad": "▲"}[mood] if self._on.out.utf8 else {"good": "*", "bad": "!"}[mood]
        return rich.text.Text.assemble((word, "green" if mood == "good" else "red"), " ", text)

    def _serving(self, event: events.Event) -> None:
        chosen, took = self._chosen, time.monotonic() - self._began
        where = "in memory only (--ephemeral)" if chosen.ephemeral else f"in {chosen.data_dir}"
        endpoint = self._on.endpoint = event.facts.get("endpoint", "")
        self._on.out.line(
            self._signed(
                "good", f"control plane   {endpoint}   data {where}, logs in {chosen.data_dir}/log, {took:.1f} s"
            )
        )
        if chosen.auth == "off" and not chosen.is_on_loopback:
            self._on.out.line(
                self._signed(
                    "bad",
                    f"signatures are off and {chosen.host} is not loopback: whoever reaches it controls this machine",
                )
            )
        if not self._with_agent:
            self._hints(endpoint)

    def _connected(self, event: events.Event) -> None:
        took = time.monotonic() - self._began
        instance = event.facts.get("containerInstance", "")
        runtime = "real containers" if self._chosen.runtime == "oci" else "stand-ins (--runtime simulated)"
        self._on.out.line(
            self._signed(
                "good", f"instance        {instance} in cluster {self._chosen.cluster}, {runtime}, {took:.1f} s"
            )
        )
        if not self._is_ready:
            self._is_ready = True
            with contextlib.suppress(failures.Failure):
                self._hints(self._on.client.access.endpoint)

    def _hints(self, endpoint: str) -> None:
        named = "" if self._chosen.data_dir == settings.default_data_dir() else f" --data-dir {self._chosen.data_dir}"
        self._on.out.line(
            f"\nUse any AWS client:\n"
            f'  eval "$(roadstead{named} env)"      # AWS_ENDPOINT_URL={endpoint}, AWS_REGION, keys\n'
            f"  aws ecs list-clusters\n"
        )
        if not self._on.out.as_json:
            self._exports()
        if self._with_agent:
            is_real = self._chosen.runtime == "oci"
            rest = "containers go on, the next start adopts them." if is_real else "the stand-ins end with them."
            self._on.out.line(f"Ctrl-C stops the control plane and the agent; {rest}")

    def _exports(self) -> None:
        with contextlib.suppress(failures.Failure):
            access = self._on.client.access
            self._on.out.line(
                f"export AWS_ENDPOINT_URL={access.endpoint}\n"
                f"export AWS_REGION={access.region} AWS_DEFAULT_REGION={access.region}\n"
                f"export AWS_ACCESS_KEY_ID={access.access_key_id}\n"
                f"export AWS_SECRET_ACCESS_KEY={access.secret_access_key}\n"
            )


def up(on: context.Context, chosen: settings.Settings) -> None:
    """Control plane and one local agent, until Ctrl-C."""
    from roadstead.app import all_in_one

    chosen.check()
    if chosen.runtime == "oci" and os.geteuid() != 0:
        raise failures.Failure(
            "real containers need root",
            "Run: sudo roadstead up   (or, with stand-ins: roadstead up --runtime simulated)",
        )
    logs.to_file(chosen.data_dir / "log" / "server.log", chosen.log_level)
    run(all_in_one.run(chosen, Teller(on, chosen, with_agent=True)))


def serve(on: context.Context, chosen: settings.Settings) -> None:
    """The control plane alone, until Ctrl-C."""
    from roadstead.app import server

    chosen.check()
    logs.to_file(chosen.data_dir / "log" / "server.log", chosen.log_level)
    run(server.run(chosen, Teller(on, chosen, with_agent=False)))


def down(on: context.Context, remove: bool) -> None:
    """Stop the server of the data directory; with `remove` end its containers too and forget them."""
    stopped = _stop(on)
    if remove:
        from roadstead.agent.oci import destroy

        if os.geteuid() != 0:
            raise failures.Failure("removing containers needs root", "Run: sudo roadstead down --remove")
        destroy.destroy(on.data_dir / "agent")
    done = {"stopped": stopped, "removed": remove}
    if on.out.as_json:
        on.out.json(done)
        return
    on.out.line("stopped" if stopped else f"no server runs on {on.data_dir}")
    if remove:
        on.out.line("its containers, networks and mounts are removed")
    elif stopped:
        on.out.line(
            "containers go on running; the next `roadstead up` adopts them, `roadstead down --remove` ends them"
        )


def _stop(on: context.Context) -> bool:
    path = on.data_dir / "server.json"
    try:
        pid = int(json.loads(path.read_text())["pid"])
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError, ValueError, KeyError):
        return False
    except PermissionError:
        raise failures.Failure("the server belongs to another user", "Run: sudo roadstead down") from None
    os.kill(pid, signal.SIGTERM)
    ends = time.monotonic() + STOP_SECONDS_MAX
    while time.monotonic() < ends:
        if not _is_alive(pid):
            return True
        time.sleep(0.05)
    raise failures.Failure(
        f"the server (process {pid}) did not stop within {STOP_SECONDS_MAX:.0f} s", f"See {on.data_dir}/log/server.log"
    )


def _is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and waits for its parent does not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def status(on: context.Context) -> None:
    """Is it up, and is all well? Exit code 1 where it isn't."""
    health = on.client.local("health")
    clusters = _clusters(on)
    alarms = [
        alarm
        for kind in ("CompositeAlarm", "MetricAlarm")
        for alarm in on.client.pages("cloudwatch", "DescribeAlarms", f"{kind}s", AlarmTypes=[kind], StateValue="ALARM")
    ]
    if on.out.as_json:
        on.out.json({"health": health, "clusters": clusters, "alarms": [alarm["AlarmName"] for alarm in alarms]})
    else:
        word = "RUNNING" if health["status"] == "ok" else "FAILED"
        line = rich.text.Text.assemble(on.out.state(word), f"  {on.client.access.endpoint}  ")
        line.append(f"version {health['version']}, region {health['region']}, account {health['accountId']}")
        on.out.line(line)
        if health["reason"]:
            on.out.line(f"  {health['reason']}")
        for cluster in clusters:
            on.out.line(
                f"  cluster {cluster['clusterName']}: "
                f"{output.count(cluster['activeServicesCount'], 'service')}, "
                f"{output.count(cluster['runningTasksCount'], 'task')} running, {cluster['pendingTasksCount']} pending"
            )
            for instance in cluster["instances"]:
                on.out.line(_instance(on, instance))
        on.out.line(
            f"  {output.count(len(alarms), 'alarm')} in ALARM"
            + (": " + ", ".join(one["AlarmName"] for one in alarms[:5]) if alarms else "")
        )
    if health["status"] != "ok":
        raise SystemExit(failures.FAILED)


def _clusters(on: context.Context) -> list[dict[str, Any]]:
    arns = list(on.client.pages("ecs", "ListClusters", "clusterArns"))
    found: list[dict[str, Any]] = []
    for start in range(0, len(arns), 100):
        found.extend(on.ecs("DescribeClusters", clusters=arns[start : start + 100])["clusters"])
    for cluster in found:
        name = cluster["clusterName"]
        ids = list(on.client.pages("ecs", "ListContainerInstances", "containerInstanceArns", cluster=name))
        cluster["instances"] = [
            one
            for start in range(0, len(ids), 100)
            for one in on.ecs("DescribeContainerInstances", cluster=name, containerInstances=ids[start : start + 100])[
                "containerInstances"
            ]
        ]
    return found


def _instance(on: context.Context, instance: dict[str, Any]) -> rich.text.Text:
    amounts = {one["name"]: one.get("integerValue", 0) for one in instance["registeredResources"]}
    left = {one["name"]: one.get("integerValue", 0) for one in instance["remainingResources"]}
    state = instance["status"] if instance["agentConnected"] else "disconnected"
    line = rich.text.Text.assemble("    ", on.out.state(state))
    line.append(
        f"  {instance['containerInstanceArn'].rsplit('/', 1)[-1]}  "
        f"{output.count(instance['runningTasksCount'], 'task')}, "
        f"free {left['CPU']:,} of {amounts['CPU']:,} CPU units, {left['MEMORY']:,} of {amounts['MEMORY']:,} MiB"
    )
    return line


def doctor(on: context.Context) -> None:
    """What this host can and can't do. Exit code 1 where something that is needed is missing."""
    from roadstead.agent.oci import host

    found = host.check()
    if on.out.as_json:
        on.out.json(
            [{"name": one.name, "ok": one.ok, "detail": one.detail, "nextStep": one.next_step} for one in found]
        )
    else:
        for one in found:
            line = rich.text.Text.assemble(on.out.state("OK" if one.ok else "FAILED"), f"  {one.name}: {one.detail}")
            on.out.line(line)
            if not one.ok and one.next_step:
                on.out.line(f"      {one.next_step}")
    if not all(one.ok for one in found):
        raise SystemExit(failures.FAILED)


def agent(on: context.Context, server: str, cluster: str, attributes: dict[str, str], runtime: str, zone: str) -> None:
    """A container agent that joins a control plane, until Ctrl-C."""
    from roadstead.agent import settings as agent_settings
    from roadstead.app import agent as module
    from roadstead.cli import client

    if runtime not in ("oci", "simulated"):
        raise failures.Failure(f"there is no runtime {runtime}", "Use oci or simulated.", failures.USAGE)
    if runtime == "oci" and os.geteuid() != 0:
        raise failures.Failure("real containers need root", "Run it with sudo, or with --runtime simulated.")
    access = client.find_access(on.data_dir, server)
    logs.to_stderr("info")
    chosen = agent_settings.Settings(
        server_url=access.endpoint,
        data_dir=on.data_dir / "agent",
        cluster=cluster,
        access_key_id=access.access_key_id,
        secret_access_key=access.secret_access_key,
        region=access.region,
        availability_zone=zone or f"{access.region}a",
        attributes=attributes,
        runtime="oci" if runtime == "oci" else "simulated",
    )
    run(module.run(chosen))
