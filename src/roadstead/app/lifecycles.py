"""docs/lifecycles.md, from the life-cycle tables: `python -m roadstead.app.lifecycles > docs/lifecycles.md`."""

from __future__ import annotations

from collections.abc import Mapping

from roadstead.agent import lifecycle
from roadstead.model import diagrams

_HEAD = """# Life cycles

Which states tasks, containers, services and deployments have, and which moves between them are allowed. Drawn from the
tables in `model/lifecycle.py` and `agent/lifecycle.py` by `make reference`; don't edit it. States only climb: in tests
and in the simulator `model.invariants` holds every commit to these tables.
"""

AGENT_TASK_MEANINGS: Mapping[str, str] = {
    "NONE": "received; waits until the instance has room for it",
    "ADMITTED": "its resources are counted; images are pulled, containers made and started",
    "RUNNING": "all essential containers have started",
    "ENDED": "no container of it lives; what the control plane has not been told yet is told",
    "CLEANED": "containers, mounts, network and cgroup are given back",
}
AGENT_CONTAINER_MEANINGS: Mapping[str, str] = {
    "NONE": "nothing is there yet",
    "PULLED": "its image is on this host",
    "CREATED": "its bundle and its supervisor are there, its process is not",
    "RUNNING": "its process was started; a restart in place leaves it here",
    "STOPPED": "its process has ended, or could not be started",
}


def agent_charts() -> tuple[diagrams.Chart, ...]:
    """The charts of what the agent remembers."""
    return (
        diagrams.ladder(
            "Inside the agent: tasks",
            "`agent.lifecycle.TASK_LADDER`, saved in the agent's own file. What is told to the control plane "
            "(PENDING, RUNNING, STOPPED) is a second, shorter ladder beside it, `SENT_RANK`.",
            lifecycle.TASK_LADDER,
            AGENT_TASK_MEANINGS,
        ),
        diagrams.ladder(
            "Inside the agent: containers",
            "`agent.lifecycle.CONTAINER_LADDER`. An outcome that comes late, or twice, never takes a container down.",
            lifecycle.CONTAINER_LADDER,
            AGENT_CONTAINER_MEANINGS,
        ),
    )


def text() -> str:
    """The page."""
    return "\n".join([_HEAD, *(diagrams.draw(one) for one in (*diagrams.charts(), *agent_charts()))])


if __name__ == "__main__":
    print(text(), end="")
