"""The agent's ladders as charts for docs/lifecycles.md (see `model.diagrams`). Pure text."""

from __future__ import annotations

from collections.abc import Mapping

from roadstead.agent import lifecycle
from roadstead.model import diagrams

TASK_MEANINGS: Mapping[str, str] = {
    "NONE": "received; waits until the instance has room for it",
    "ADMITTED": "its resources are counted; images are pulled, containers made and started",
    "RUNNING": "all essential containers have started",
    "ENDED": "no container of it lives; what the control plane has not been told yet is told",
    "CLEANED": "containers, mounts, network and cgroup are given back",
}
CONTAINER_MEANINGS: Mapping[str, str] = {
    "NONE": "nothing is there yet",
    "PULLED": "its image is on this host",
    "CREATED": "its bundle and its supervisor are there, its process is not",
    "RUNNING": "its process was started; a restart in place leaves it here",
    "STOPPED": "its process has ended, or could not be started",
}


def charts() -> tuple[diagrams.Chart, ...]:
    """The charts of what the agent remembers."""
    return (
        diagrams.ladder(
            "Inside the agent: tasks",
            "`agent.lifecycle.TASK_LADDER`, saved in the agent's own file. What is told to the control plane "
            "(PENDING, RUNNING, STOPPED) is a second, shorter ladder beside it, `SENT_RANK`.",
            lifecycle.TASK_LADDER,
            TASK_MEANINGS,
        ),
        diagrams.ladder(
            "Inside the agent: containers",
            "`agent.lifecycle.CONTAINER_LADDER`. An outcome that comes late, or twice, never takes a container down.",
            lifecycle.CONTAINER_LADDER,
            CONTAINER_MEANINGS,
        ),
    )
