"""The shape of an answer: a tree of reasons, each with a machine-readable code and counts beside its words."""

from __future__ import annotations

import re

import msgspec

_DATAPOINTS = re.compile(r"\[(\S+ \(\d\d/\d\d/\d\d \d\d:\d\d:\d\d\)), [^]]+\]")


class Reason(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`text` is for people; `code` and `counts` are for programs, and don't change with the wording."""

    text: str
    code: str = ""
    counts: dict[str, float] = {}
    reasons: tuple[Reason, ...] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`headline` says it in one sentence; `reasons` say why, what happens next and what one can do."""

    kind: str
    """`task`, `service` or `target`."""
    id: str
    cluster: str
    state: str
    headline: str
    reasons: tuple[Reason, ...] = ()


PLACEMENT_WORDS = {
    "RESOURCE:CPU": "too little CPU",
    "RESOURCE:MEMORY": "too little memory",
    "RESOURCE:PORTS": "a port it needs is in use",
    "RESOURCE:ENI": "no address left for awsvpc",
    "AGENT": "agent not connected",
    "ATTRIBUTE": "lacks an attribute it needs",
    "DRAINING": "draining",
    "INACTIVE": "inactive",
    "MEMBEROF": "a placement constraint rules it out",
    "DISTINCTINSTANCE": "has a task of this group already (distinctInstance)",
}


def placement_words(code: str) -> str:
    """What a refusal code of placement means; the code itself where no words are known for it."""
    return PLACEMENT_WORDS.get(code.upper(), code)


def newest_datapoint(state_reason: str) -> str:
    """An alarm's StateReason with the newest of the data points that it lists (`[100.0 (22/11/26 12:54:40), …]`), which
    may be sixty; DescribeAlarms has them all."""
    return _DATAPOINTS.sub(r"[\1, …]", state_reason)


def age(seconds: float) -> str:
    """A span in the largest fitting unit: `41 s`, `14 min`, `3.2 h`, `5 d`."""
    if seconds < 120:
        return f"{max(0, round(seconds))} s"
    if seconds < 7_200:
        return f"{round(seconds / 60)} min"
    if seconds < 172_800:
        return f"{seconds / 3_600:.1f} h"
    return f"{round(seconds / 86_400)} d"


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 task`, `2 tasks`."""
    return f"{count} {one if count == 1 else many or one + 's'}"
