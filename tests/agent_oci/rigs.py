"""What the tests of real containers share: a runtime with the steps that tests take all the time."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from roadstead.agent import runtime
from roadstead.agent.oci import logs
from roadstead.agent.oci import runtime as oci

EXIT_SECONDS_MAX = 20.0


class Rig:
    """A runtime and what tests do with it all the time."""

    def __init__(self, data_dir: Path, engine: str | None) -> None:
        self.data_dir = data_dir
        self.runtime = oci.OciRuntime(data_dir, "test", engine=engine)
        self.exited: dict[str, runtime.ContainerExit] = {}
        self._arrived = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None
        self.facts: runtime.HostFacts

    async def open(self) -> None:
        self.facts = await self.runtime.open()
        self._listener = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for ended in self.runtime.exits():
            self.exited[ended.container_id] = ended
            self._arrived.set()

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener
        await self.runtime.close()

    async def run(
        self,
        container_id: str,
        script: str,
        *,
        mode: runtime.NetworkMode = "none",
        sandbox: runtime.SandboxSpec | None = None,
        **members: object,
    ) -> runtime.StartedContainer:
        """Start `sh -c script` in a task of its own."""
        task_id = f"task-{container_id}"
        await self.runtime.create_sandbox(sandbox or runtime.SandboxSpec(task_id=task_id, network_mode=mode))
        given: dict[str, object] = {"image": "box", "command": ("/bin/sh", "-c", script), "name": "main", **members}
        spec = runtime.ContainerSpec(
            container_id=container_id,
            task_id=sandbox.task_id if sandbox else task_id,
            **given,  # type: ignore[arg-type]
        )
        await self.runtime.create(spec)
        return await self.runtime.start(container_id)

    async def exit_of(self, container_id: str) -> runtime.ContainerExit:
        async with asyncio.timeout(EXIT_SECONDS_MAX):
            while container_id not in self.exited:
                self._arrived.clear()
                await self._arrived.wait()
        return self.exited[container_id]

    def output(self, container_id: str, name: str = "main") -> str:
        return "".join(f"{line.text}\n" for line in logs.read(self.runtime.paths.log(f"task-{container_id}", name)))

    async def result(self, container_id: str, script: str, **members: object) -> str:
        """What `script` writes, once it has ended well."""
        await self.run(container_id, script, **members)  # type: ignore[arg-type]
        ended = await self.exit_of(container_id)
        text = self.output(container_id)
        assert ended.exit_code == 0, f"exit {ended.exit_code}: {text}"
        return text


async def eventually(check: Callable[[], bool] | Callable[[], Awaitable[bool]], seconds_max: float = 10.0) -> None:
    """Wait until `check` holds; for what the kernel does a moment later."""
    async with asyncio.timeout(seconds_max):
        while True:
            outcome = check()
            if (await outcome) if not isinstance(outcome, bool) else outcome:
                return
            await asyncio.sleep(0.02)


def mounts_below(folder: Path) -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if os.fspath(folder) in line]
