"""`OciRuntime`: the agent's `Runtime` port on real Linux, as root.

In: the port's verbs. Out: processes in namespaces and cgroups, and files in the data directory from which a later
process finds all of them again. The event loop only waits; what blocks runs in the namespace thread (mounts, spawning)
or in worker threads (pulls, deleting files).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal as signals
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from roadstead.agent import runtime
from roadstead.agent.images import store
from roadstead.agent.oci import (
    adopt,
    bundle,
    cgroups,
    execute,
    host,
    lock,
    logs,
    monitor,
    mountns,
    nat,
    network,
    ports,
    processes,
    records,
    subnets,
    watch,
)
from roadstead.agent.oci import paths as oci_paths

END_SECONDS_MAX = 10.0
"""How long a killed container's monitor may take to end before it is killed too."""
CGROUP_TRIES_MAX = 50
MONITOR_LOG_BYTES_MAX = 1024 * 1024
PRUNE_EVERY = 100
"""Removed tasks after which old logs are looked for."""
CGROUP_RETRY_SECONDS = 0.02


class OciRuntime:
    """Containers by crun or runc and conmon. One process at a time for a data directory.

    `cpu_units` and `memory_mib` are what tasks may use in all; None means what the host has. `engine` names crun or
    runc; None takes crun where it is installed.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str],
        instance_name: str,
        *,
        cpu_units: int | None = None,
        memory_mib: int | None = None,
        clock: Callable[[], float] = time.time,
        engine: str | None = None,
    ) -> None:
        self.paths = oci_paths.Paths(data_dir)
        self._instance_name = instance_name
        self._cpu_units = cpu_units
        self._memory_mib = memory_mib
        self._clock = clock
        self._engine_wanted = engine
        self._lock = -1
        self._mounts = mountns.MountNamespace(self.paths)
        self._network = network.Network(self.paths)
        self._ports = ports.PortClaims()
        self._exits: asyncio.Queue[runtime.ContainerExit] = asyncio.Queue()
        self._busy: dict[str, asyncio.Lock] = {}
        self._sandboxes: dict[str, runtime.SandboxSpec] = {}
        self._removed_tasks = 0
        self._ending: set[asyncio.Task[None]] = set()
        self._records: dict[str, records.ContainerRecord] = {}

    # ── opening and closing ────────────────────────────────────────────────────────────────────────────────────

    async def open(self) -> runtime.HostFacts:
        host.require_root()
        self.paths.make()
        self._lock = await asyncio.to_thread(lock.acquire, self.paths.lock)
        try:
            return await self._open()
        except BaseException:
            await self.close()
            raise

    async def _open(self) -> runtime.HostFacts:
        self._programs = monitor.find_programs(self._engine_wanted)
        self._layout = host.require_cgroups()
        host.require_plain_path(self.paths.data_dir)
        self.images = await asyncio.to_thread(store.ImageStore, self.paths.data_dir, self._clock)
        hide = self._layout.unified if self._programs.engine_name == "crun" else None
        await asyncio.to_thread(self.paths.make_volatile)
        fresh = await asyncio.to_thread(self._mounts.open, hide)
        instance = records.read(self.paths.instance, records.Instance)
        # Nothing half made, and nobody's process that ended meanwhile, is left after this.
        found = await self._mounts.run(self._find)
        chosen = (instance.subnet_awsvpc, instance.subnet_local) if instance is not None else None
        alive = [each for each in found.containers if each.running]
        forwards = [forward for each in alive for forward in _forwards(each.record, each.bindings)]
        pair = self._network.open(chosen, forwards)
        records.write(
            self.paths.instance,
            records.Instance(
                instance_name=self._instance_name,
                subnet_awsvpc=pair[0],
                subnet_local=pair[1],
            ),
        )
        cgroups.prepare(self._layout, self.paths.cgroup)
        self._host = bundle.survey(self._layout)
        self._workshop = bundle.Workshop(self.paths, self.images, self._programs, self._host, self._network, pair[1])
        self._watch = watch.Watch(self.paths, self._layout, self._ended)
        await self._take_over(found, fresh)
        await asyncio.to_thread(self._tidy)
        return host.facts(self._programs, pair[0], cpu_units=self._cpu_units, memory_mib=self._memory_mib)

    def _find(self) -> adopt.Found:
        found = adopt.find(self.paths, self._layout)
        adopt.remove_orphans(self.paths, self._layout, found)
        return found

    async def _take_over(self, found: adopt.Found, fresh: bool) -> None:
        """Go on with what earlier processes made."""
        for each in found.containers:
            if fresh and not each.running and not each.ended:
                await self._scrap(each.record)  # created but never started, and its mount is gone
                continue
            self._records[each.record.spec.container_id] = each.record
            self._workshop.adopt(each.record)
            if each.running and each.state is not None:
                self._ports.adopt(each.record.spec.container_id, each.bindings)
                self._watch.add(each.record, each.state)
        for sandbox in found.sandboxes:
            self._sandboxes[sandbox.task_id] = sandbox
            if sandbox.network_interface is not None and fresh:
                await self._mounts.run(lambda sandbox=sandbox: self._connect(sandbox))  # type: ignore[misc]

    async def close(self) -> None:
        if hasattr(self, "_watch"):
            self._watch.close()
        await asyncio.gather(*self._ending, return_exceptions=True)
        self._ports.close()
        self._network.close()
        await asyncio.to_thread(self._mounts.close)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _tidy(self) -> None:
        for leftover in self.paths.upper.glob(".trash-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        logs.prune(self.paths.logs, set(self._sandboxes), time.time())
        if self.paths.monitor_log.exists() and self.paths.monitor_log.stat().st_size > MONITOR_LOG_BYTES_MAX:
            self.paths.monitor_log.write_bytes(b"")

    # ── images ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def pull(self, image: str, credentials: runtime.RegistryCredentials | None) -> runtime.PulledImage:
        login = (credentials.username, credentials.password) if credentials is not None else None
        try:
            record = self.images.resolve(image)
            if record is None:
                record = await asyncio.to_thread(self.images.pull, image, login)
            stop_signal = self.images.config(record).stop_signal_number
        except (store.ImageProblem, OSError) as problem:
            raise runtime.RuntimeProblem("CannotPullContainerError", str(problem)) from problem
        return runtime.PulledImage(
            reference=record.reference, digest=record.digest, size_bytes=record.size_bytes, stop_signal=stop_signal
        )

    # ── sandboxes ──────────────────────────────────────────────────────────────────────────────────────────────

    async def create_sandbox(self, spec: runtime.SandboxSpec) -> None:
        if not oci_paths.is_identifier(spec.task_id):
            raise _no_resources(f"{spec.task_id!r} is no task id")
        if (spec.network_mode == "awsvpc") != (spec.network_interface is not None):
            raise _no_resources(f"a task in {spec.network_mode} mode needs an address in awsvpc mode and none else")
        async with self._alone(f"task {spec.task_id}"):
            if self._sandboxes.get(spec.task_id) == spec:
                return
            try:
                await self._mounts.run(lambda: self._make_sandbox(spec))
            except OSError as problem:
                cgroups.remove(self._layout, self._task_cgroup(spec.task_id))
                raise _no_resources(str(problem)) from problem
            self._sandboxes[spec.task_id] = spec

    def _make_sandbox(self, spec: runtime.SandboxSpec) -> None:
        cgroup = self._task_cgroup(spec.task_id)
        cgroups.prepare(self._layout, cgroup)
        cgroups.apply(cgroups.task_settings(self._layout, cgroup, spec.cpu_cores_max, spec.memory_bytes_max))
        self._connect(spec)
        records.write(self.paths.sandbox(spec.task_id), spec)

    def _connect(self, spec: runtime.SandboxSpec) -> None:
        given = spec.network_interface
        if given is None:
            return
        self._network.remove(bundle.task_network_key(spec.task_id))
        interface = network.Interface(
            bridge=self.paths.bridge_awsvpc,
            address=given.ipv4_address,
            prefix_length=given.prefix_length,
            gateway=given.gateway,
            mac_address=given.mac_address or subnets.mac_of(given.ipv4_address),
        )
        self._network.create(bundle.task_network_key(spec.task_id), interface)

    def _disconnect(self, task_id: str) -> None:
        self._network.remove(bundle.task_network_key(task_id))
        self._workshop.forget_cgroup(self._task_cgroup(task_id))

    async def remove_sandbox(self, task_id: str) -> None:
        async with self._alone(f"task {task_id}"):
            left = [each for each in self._records.values() if each.spec.task_id == task_id]
            if left:
                raise _no_resources(f"task {task_id} still has {len(left)} containers: remove them first")
            await self._remove_cgroup(self._task_cgroup(task_id))
            await self._mounts.run(lambda: self._disconnect(task_id))
            self.paths.sandbox(task_id).unlink(missing_ok=True)
            self._sandboxes.pop(task_id, None)
        self._busy.pop(f"task {task_id}", None)
        self._removed_tasks += 1
        if self._removed_tasks % PRUNE_EVERY == 0:
            living = set(self._sandboxes)
            await asyncio.to_thread(logs.prune, self.paths.logs, living, time.time())

    def _task_cgroup(self, task_id: str) -> str:
        return f"{self.paths.cgroup}/{task_id}"

    # ── containers ─────────────────────────────────────────────────────────────────────────────────────────────

    async def create(self, spec: runtime.ContainerSpec) -> None:
        sandbox = self._sandboxes.get(spec.task_id)
        if not oci_paths.is_identifier(spec.container_id) or not oci_paths.is_identifier(spec.name):
            raise _cannot_create(f"{spec.container_id!r} or {spec.name!r} is no container's id or name")
        if sandbox is None:
            raise _cannot_create(f"task {spec.task_id} has no sandbox on this host")
        if spec.ports and sandbox.network_mode == "none":
            raise _cannot_create("ports can't be published in network mode none")
        async with self._alone(spec.container_id):
            present = self._records.get(spec.container_id)
            if present is not None and present.spec == spec:
                return
            record = await self._mounts.run(lambda: self._workshop.make(spec, sandbox, self._clock()))
            self._records[spec.container_id] = record

    async def start(self, container_id: str) -> runtime.StartedContainer:
        async with self._alone(container_id):
            record = self._records.get(container_id)
            if record is None:
                raise _cannot_start(f"no such container: {container_id}")
            state = self._state(container_id)
            if state is not None and not self.paths.exit_file(container_id).exists():
                return _started(record, state)
            before = state.bindings if state is not None else ()
            try:
                if state is not None:
                    await self._make_ready_again(record)
                bindings = await self._publish(record, before)
                return await self._start(record, bindings)
            except (monitor.EngineFailed, ports.PortTaken, nat.NatProblem, OSError) as problem:
                await self._undo_start(record)
                raise _cannot_start(str(problem)) from problem
            except BaseException:
                await self._undo_start(record)
                raise

    async def _make_ready_again(self, record: records.ContainerRecord) -> None:
        """A container that has ended runs anew, with its files as they are."""
        container_id = record.spec.container_id
        await self._watch.wait(container_id)  # its end is told before its new beginning
        await self._remove_cgroup(record.cgroup)
        await asyncio.to_thread(adopt.reset, self.paths, container_id)

    async def _publish(
        self, record: records.ContainerRecord, before: tuple[runtime.PortBinding, ...]
    ) -> tuple[runtime.PortBinding, ...]:
        """Make the published ports; `before` are those of an earlier run, which are had again where they are free."""
        wanted = record.spec.ports
        if not wanted or record.network_mode == "awsvpc":
            return ()
        if record.network_mode == "host":  # the process binds them itself
            return tuple(
                runtime.PortBinding(
                    bind_ip=ports.ANY_ADDRESS,
                    container_port=each.container_port,
                    host_port=each.container_port,
                    protocol=each.protocol,
                )
                for each in wanted
            )
        bindings = self._ports.claim(record.spec.container_id, wanted, before)
        await self._mounts.run(lambda: self._network.forward(_forwards(record, bindings)))
        return bindings

    async def _start(
        self, record: records.ContainerRecord, bindings: tuple[runtime.PortBinding, ...]
    ) -> runtime.StartedContainer:
        container_id = record.spec.container_id
        folder = self.paths.bundle(container_id)
        log = self.paths.log(record.spec.task_id, record.spec.name)
        spawned = await self._mounts.run(lambda: monitor.spawn_monitor(self._programs, self.paths, container_id, log))
        pid = await monitor.read_answer(spawned)
        monitor_pid = int((folder / "monitor.pid").read_text())
        born, monitor_born = processes.birth(pid), processes.birth(monitor_pid)
        if born is None or monitor_born is None:
            raise monitor.EngineFailed("the container ended before it was started")
        # Written before the process is let go: whether it was, the engine's fifo tells (see adopt).
        state = records.ContainerState(
            pid=pid,
            pid_birth=born,
            monitor_pid=monitor_pid,
            monitor_birth=monitor_born,
            started_at=self._clock(),
            bindings=bindings,
        )
        records.write(folder / "state.json", state)
        if not monitor.release(self._programs, self.paths, container_id):
            starter = await self._mounts.run(lambda: monitor.spawn_start(self._programs, self.paths, container_id))
            if await monitor.reap(starter) != 0:
                raise monitor.EngineFailed(monitor.start_message(self.paths, container_id))
        self._watch.add(record, state)
        return _started(record, state)

    async def _undo_start(self, record: records.ContainerRecord) -> None:
        """Back to `created`: no process, no port, no engine state."""
        container_id = record.spec.container_id
        await self._end_processes(record)
        self._unpublish(record)
        await asyncio.to_thread(adopt.reset, self.paths, container_id)

    def _unpublish(self, record: records.ContainerRecord) -> None:
        bindings = self._ports.held(record.spec.container_id)
        if bindings:
            self._network.stop_forwarding(_forwards(record, bindings))
            self._ports.release(record.spec.container_id)

    def _ended(self, exit: runtime.ContainerExit) -> None:
        """An exit is told once its ports are free for others."""
        record = self._records.get(exit.container_id)
        if record is None or not self._ports.held(exit.container_id):
            self._exits.put_nowait(exit)
            return
        task = asyncio.get_running_loop().create_task(self._end_with_ports(record, exit))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end_with_ports(self, record: records.ContainerRecord, exit: runtime.ContainerExit) -> None:
        try:
            await self._mounts.run(lambda: self._unpublish(record))
        finally:
            self._exits.put_nowait(exit)

    async def signal(self, container_id: str, signal: int) -> None:
        state = self._state(container_id)
        if state is not None:
            processes.send(state.pid, state.pid_birth, signal)

    async def remove(self, container_id: str) -> None:
        async with self._alone(container_id):
            record = self._records.get(container_id)
            if record is not None:
                await self._end_processes(record)
                self._unpublish(record)
                await self._scrap(record)
                self._records.pop(container_id, None)
        self._busy.pop(container_id, None)

    async def _end_processes(self, record: records.ContainerRecord) -> None:
        container_id = record.spec.container_id
        state = self._state(container_id)
        if state is not None:
            processes.send(state.pid, state.pid_birth, signals.SIGKILL)
            if not await monitor.until_gone(state.monitor_pid, state.monitor_birth, END_SECONDS_MAX):
                processes.send(state.monitor_pid, state.monitor_birth, signals.SIGKILL)
            await self._watch.wait(container_id)
        await self._remove_cgroup(record.cgroup)

    async def _remove_cgroup(self, cgroup: str) -> None:
        """Processes take a moment to leave their cgroup after SIGKILL."""
        for _ in range(CGROUP_TRIES_MAX):
            if cgroups.remove(self._layout, cgroup):
                return
            processes.kill_all(cgroups.processes(self._layout, cgroup))
            await asyncio.sleep(CGROUP_RETRY_SECONDS)
        raise runtime.RuntimeProblem(
            "ContainerRuntimeError", f"processes in cgroup {cgroup} can't be killed: they hang in the kernel"
        )

    async def _scrap(self, record: records.ContainerRecord) -> None:
        trash = await self._mounts.run(lambda: self._scrap_now(record))
        if trash is not None:
            await asyncio.to_thread(shutil.rmtree, trash, True)

    def _scrap_now(self, record: records.ContainerRecord) -> Path | None:
        self._workshop.forget_cgroup(record.cgroup)
        return self._workshop.scrap(record.spec.container_id)

    async def execute(self, container_id: str, command: Sequence[str], timeout_seconds: float) -> int:
        state = self._state(container_id)
        if state is None or self.paths.exit_file(container_id).exists():
            raise runtime.RuntimeProblem("ContainerRuntimeError", f"container {container_id} is not running")
        try:
            return await execute.run(self._mounts, self._programs, self.paths, container_id, command, timeout_seconds)
        except OSError as problem:
            if isinstance(problem, TimeoutError):
                raise
            raise runtime.RuntimeProblem("ContainerRuntimeError", str(problem)) from problem

    # ── looking ────────────────────────────────────────────────────────────────────────────────────────────────

    async def inventory(self) -> runtime.Inventory:
        found = [
            adopt.present(self.paths, self._layout, record, self._state(container_id))
            for container_id, record in list(self._records.items())
        ]
        return runtime.Inventory(sandboxes=tuple(self._sandboxes.values()), containers=tuple(found))

    async def exits(self) -> AsyncIterator[runtime.ContainerExit]:
        while True:
            yield await self._exits.get()

    async def usage(self, container_ids: Sequence[str]) -> list[runtime.Usage]:
        return await asyncio.to_thread(self._read_usage, container_ids)

    def _read_usage(self, container_ids: Sequence[str]) -> list[runtime.Usage]:
        found = []
        for container_id in container_ids:
            record, state = self._records.get(container_id), self._state(container_id)
            if record is None or state is None or self.paths.exit_file(container_id).exists():
                continue
            reading = cgroups.read_usage(self._layout, record.cgroup)
            if reading is None:
                continue
            received, sent = network.read_counters(record.veth) if record.veth else (0, 0)
            found.append(
                runtime.Usage(
                    container_id=container_id,
                    read_at=self._clock(),
                    cpu_seconds_total=reading.cpu_seconds_total,
                    memory_bytes=reading.memory_bytes,
                    network_rx_bytes=received,
                    network_tx_bytes=sent,
                )
            )
            logs.keep_one_older(self.paths.log(record.spec.task_id, record.spec.name))
        return found

    def _state(self, container_id: str) -> records.ContainerState | None:
        return records.read(self.paths.bundle(container_id) / "state.json", records.ContainerState)

    def _alone(self, key: str) -> asyncio.Lock:
        """One verb at a time on one container or task."""
        return self._busy.setdefault(key, asyncio.Lock())


def _forwards(record: records.ContainerRecord, bindings: Sequence[runtime.PortBinding]) -> list[nat.Forward]:
    if record.ipv4_address is None:
        return []
    return [
        nat.Forward(
            protocol=each.protocol,
            host_port=each.host_port,
            address=record.ipv4_address,
            container_port=each.container_port,
        )
        for each in bindings
    ]


def _started(record: records.ContainerRecord, state: records.ContainerState) -> runtime.StartedContainer:
    return runtime.StartedContainer(
        container_id=record.spec.container_id,
        pid=state.pid,
        started_at=state.started_at,
        bindings=state.bindings,
        notes=record.notes,
    )


def _no_resources(message: str) -> runtime.RuntimeProblem:
    return runtime.RuntimeProblem("ResourceInitializationError", message)


def _cannot_create(message: str) -> runtime.RuntimeProblem:
    return runtime.RuntimeProblem("CannotCreateContainerError", message)


def _cannot_start(message: str) -> runtime.RuntimeProblem:
    return runtime.RuntimeProblem("CannotStartContainerError", message)
