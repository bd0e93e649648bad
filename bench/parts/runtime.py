"""Containers by the agent's runtime alone, one by one and 100 at concurrency 8: image present, own network namespace
with a veth on the bridge, default seccomp filter, limits, log, /etc files, monitor. Needs root.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import bench_runtime, figures
from roadstead.agent.images import store
from roadstead.agent.oci import destroy
from roadstead.agent.oci import runtime as oci

RUNS = 3
SINGLES, MANY, CONCURRENCY = 20, 100, 8
FIGURES = (
    figures.Figure("one", "one container by the runtime alone: sandbox, create, start", "ms"),
    figures.Figure("sandbox", "  of it the sandbox: cgroup, network", "ms"),
    figures.Figure("create", "  of it the bundle: root file system, files, configuration", "ms"),
    figures.Figure("start", "  of it monitor and engine", "ms"),
    figures.Figure("removal", "removal of one", "ms"),
    figures.Figure("many", f"{MANY} containers at concurrency {CONCURRENCY}", "s"),
    figures.Figure("cpu", "  of it the runtime's own CPU, a container", "ms"),
)


def run(quick: bool) -> dict[str, float]:
    """Measure once."""
    with _directory() as data_dir:
        return asyncio.run(_measure(data_dir, *((2, 4) if quick else (SINGLES, MANY))))


async def _measure(data_dir: Path, singles: int, many: int) -> dict[str, float]:
    made = oci.OciRuntime(data_dir, "bench")
    facts = await made.open()
    try:
        await bench_runtime.start(made, facts, "awsvpc", 0)  # compiles the filter
        await bench_runtime.remove(made, 0)
        steps, removals = [], []
        for number in range(singles):
            steps.append(await bench_runtime.start(made, facts, "awsvpc", number))
            removals.append(await bench_runtime.remove(made, number))
        columns = [statistics.median(column) for column in zip(*steps, strict=True)]
        found = dict(zip(("sandbox", "create", "start"), columns, strict=True))
        found |= {"one": statistics.median(sum(each) for each in steps), "removal": statistics.median(removals)}
        gate = asyncio.Semaphore(CONCURRENCY)

        async def one(number: int) -> None:
            async with gate:
                await bench_runtime.start(made, facts, "awsvpc", number)

        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(one(number) for number in range(many)))
        found |= {"many": time.perf_counter() - began, "cpu": (time.process_time() - cpu) / many * 1e3}
        await asyncio.gather(*(bench_runtime.remove(made, number) for number in range(many)))
        return found
    finally:
        await made.close()


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    data_dir = Path(tempfile.mkdtemp(prefix="rs-bench-"))
    try:
        store.ImageStore(data_dir).pack("/bin/busybox", "bench")
        yield data_dir
    finally:
        destroy.destroy(data_dir)
        shutil.rmtree(data_dir)
