"""How fast containers start here: one by one, and 100 at concurrency 8. Needs root and the Debian packages.

Prints medians in milliseconds of create_sandbox, create and start (image present, own network namespace with a veth on
the bridge, default seccomp filter, limits, log, /etc files, monitor), of an exit being noticed, and of removal.

    python bench/bench_runtime.py [--mode awsvpc|bridge|none] [--engine crun|runc] [--profile]
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import itertools
import pstats
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from roadstead.agent import runtime
from roadstead.agent.images import store
from roadstead.agent.oci import destroy, subnets
from roadstead.agent.oci import runtime as oci

SINGLE_RUNS = 20
MANY = 100
CONCURRENCY = 8


def sandbox_of(facts: runtime.HostFacts, mode: runtime.NetworkMode, number: int) -> runtime.SandboxSpec:
    interface = None
    if mode == "awsvpc":
        assert facts.subnet is not None
        address = f"{facts.subnet.rsplit('.', 1)[0]}.{number % 200 + 2}"
        interface = runtime.NetworkInterface(
            attachment_id=str(number),
            mac_address=subnets.mac_of(address),
            ipv4_address=address,
            prefix_length=subnets.prefix_of(facts.subnet),
            gateway=subnets.gateway_of(facts.subnet),
        )
    return runtime.SandboxSpec(
        task_id=f"t{number}",
        network_mode=mode,
        network_interface=interface,
        cpu_cores_max=0.5,
        memory_bytes_max=256 << 20,
    )


async def start(made: oci.OciRuntime, facts: runtime.HostFacts, mode: runtime.NetworkMode, number: int) -> list[float]:
    moments = [time.perf_counter()]
    await made.create_sandbox(sandbox_of(facts, mode, number))
    moments.append(time.perf_counter())
    await made.create(
        runtime.ContainerSpec(
            container_id=f"c{number}",
            task_id=f"t{number}",
            name="main",
            image="bench",
            command=("/busybox", "sleep", "1000"),
            cpu_shares=128,
            memory_bytes_max=128 << 20,
        )
    )
    moments.append(time.perf_counter())
    await made.start(f"c{number}")
    moments.append(time.perf_counter())
    return [(after - before) * 1000 for before, after in itertools.pairwise(moments)]


async def remove(made: oci.OciRuntime, number: int) -> float:
    begun = time.perf_counter()
    await made.remove(f"c{number}")
    await made.remove_sandbox(f"t{number}")
    return (time.perf_counter() - begun) * 1000


async def measure(data_dir: Path, mode: runtime.NetworkMode, engine: str | None, profile: bool) -> None:
    made = oci.OciRuntime(data_dir, "bench", engine=engine)
    facts = await made.open()
    try:
        await start(made, facts, mode, 0)  # compiles the filter
        await remove(made, 0)
        steps, removals = [], []
        for number in range(SINGLE_RUNS):
            steps.append(await start(made, facts, mode, number))
            removals.append(await remove(made, number))
        columns = [statistics.median(column) for column in zip(*steps, strict=True)]
        total = statistics.median(sum(each) for each in steps)
        print(
            f"one ({mode}, {facts.runtime_version}): sandbox {columns[0]:.1f} create {columns[1]:.1f} "
            f"start {columns[2]:.1f} total {total:.1f} ms, removal {statistics.median(removals):.1f} ms"
        )
        gate = asyncio.Semaphore(CONCURRENCY)

        async def one(number: int) -> None:
            async with gate:
                await start(made, facts, mode, number)

        async def gone(number: int) -> None:
            async with gate:
                await remove(made, number)

        profiler = cProfile.Profile()
        if profile:
            profiler.enable()
        begun = time.perf_counter()
        cpu = time.process_time()
        await asyncio.gather(*(one(number) for number in range(MANY)))
        took = time.perf_counter() - begun
        profiler.disable()
        print(
            f"{MANY} at {CONCURRENCY}: {took:.2f} s ({MANY / took:.0f}/s), own CPU "
            f"{(time.process_time() - cpu) / MANY * 1000:.1f} ms each"
        )
        begun = time.perf_counter()
        read = await made.usage([f"c{number}" for number in range(MANY)])
        print(f"usage of {len(read)}: {(time.perf_counter() - begun) * 1000:.1f} ms")
        begun = time.perf_counter()
        await asyncio.gather(*(gone(number) for number in range(MANY)))
        print(f"removal of {MANY}: {time.perf_counter() - begun:.2f} s")
        if profile:
            pstats.Stats(profiler).sort_stats("cumulative").print_stats(35)
    finally:
        await made.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", choices=["awsvpc", "bridge", "none"], default="awsvpc")
    parser.add_argument("--engine", choices=["crun", "runc"])
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    data_dir = Path(tempfile.mkdtemp(prefix="rs-bench-"))
    store.ImageStore(data_dir).pack("/bin/busybox", "bench")
    try:
        asyncio.run(measure(data_dir, given.mode, given.engine, given.profile))
    finally:
        destroy.destroy(data_dir)
        shutil.rmtree(data_dir)


if __name__ == "__main__":
    main()
