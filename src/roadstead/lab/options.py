"""Options of target tracking that only Roadstead has (decision 0023): read from policy files, printed to be applied.

In a file: `"Options": {"scale-in-step-max": 1, "scale-out-datapoints:cpu": "2/3"}`, beside the policies. They become
tags of the scalable target; whether they are right, the production API says.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

FIELD = "Options"
PREFIX = "roadstead:"
NOTE = "options that only Roadstead has: "


def read(given: Any) -> dict[str, str]:
    """The options of a file, as tags. Raises ValueError."""
    if not isinstance(given, dict):
        raise ValueError(f"{FIELD} must be an object: names of options, and their values")
    found = {}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError(f"the option {name} must be a whole number or a text")
        found[f"{PREFIX}{name}"] = str(value)
    return found


def of_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """What a file would have for the tags of a scalable target."""
    return {key.removeprefix(PREFIX): value for key, value in tags.items() if key.startswith(PREFIX)}


def note(tags: Mapping[str, str]) -> tuple[str, ...]:
    """What to say about a candidate with such tags."""
    return (NOTE + ", ".join(f"{name} {value}" for name, value in of_tags(tags).items()),) if tags else ()


def as_records(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    """As AWS lists tags."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def aws_cli(records: list[dict[str, Any]]) -> list[str]:
    """Comments for a shell: what to add on Roadstead."""
    if not records:
        return []
    tags = shlex.quote(json.dumps(_by_key(records), ensure_ascii=False))
    return [
        "# AWS has no such options, and would do without them. For Roadstead, add to the command above:",
        *(f"#     {line}" for line in f"--tags {tags}".splitlines()),
    ]


def terraform(records: list[dict[str, Any]]) -> list[str]:
    """Comments inside the target's block: the same."""
    if not records:
        return []
    pairs = [
        f"  #   {json.dumps(key, ensure_ascii=False)} = {json.dumps(value, ensure_ascii=False)}"
        for key, value in _by_key(records).items()
    ]
    return [
        "  # AWS has no such options, and would do without them. For Roadstead, take the # away:",
        "  # tags = {",
        *pairs,
        "  # }",
    ]


def _by_key(records: list[dict[str, Any]]) -> dict[str, str]:
    return {one["Key"]: one["Value"] for one in records}
