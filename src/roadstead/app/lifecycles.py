"""docs/lifecycles.md, from the life-cycle tables: `python -m roadstead.app.lifecycles > docs/lifecycles.md`."""

from __future__ import annotations

from roadstead.agent import diagrams as agent_diagrams
from roadstead.model import diagrams

_HEAD = """# Life cycles

Which states tasks, containers, services and deployments have, and which moves between them are allowed. Drawn from the
tables in `model/lifecycle.py` and `agent/lifecycle.py` by `make reference`; don't edit it. States only climb: in tests
and in the simulator `model.invariants` holds every commit to these tables.
"""


def text() -> str:
    """The page."""
    return "\n".join([_HEAD, *(diagrams.draw(one) for one in (*diagrams.charts(), *agent_diagrams.charts()))])


if __name__ == "__main__":
    print(text(), end="")
