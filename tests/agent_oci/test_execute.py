"""Stories of commands run inside a running container, as health checks do."""

from __future__ import annotations

import pytest
from tests.agent_oci.rigs import Rig, eventually

from roadstead.agent import runtime

pytestmark = pytest.mark.real


@pytest.mark.parametrize("engine", ["crun", "runc"], indirect=True)
async def test_a_command_runs_as_the_container_does(rig: Rig) -> None:
    await rig.run("box", "echo ready; sleep 100", user="web", environment={"A": "b"}, memory_bytes_max=64 << 20)
    await eventually(lambda: "ready" in rig.output("box"))

    async def code(script: str) -> int:
        return await rig.runtime.execute("box", ("/bin/sh", "-c", script), 10)

    assert await code("exit 0") == 0
    assert await code("exit 7") == 7
    assert await code('test "$A" = b && test "$(id -u)" = 1000 && test "$(hostname)" = box') == 0
    assert await code("grep -q 'Seccomp:.*2' /proc/self/status") == 0
    assert await code("kill -9 $$") == 137
    assert await rig.runtime.execute("box", ("/bin/nothing",), 10) == 127
    assert await rig.runtime.execute("box", ("/etc/passwd",), 10) in (126, 127)
    with pytest.raises(TimeoutError):
        await rig.runtime.execute("box", ("/bin/sleep", "63"), 0.3)
    assert await code("ps | grep -v grep | grep -q 'sleep 63'") == 1
    await rig.runtime.remove("box")
    with pytest.raises(runtime.RuntimeProblem, match="not running"):
        await rig.runtime.execute("box", ("/bin/true",), 1)
