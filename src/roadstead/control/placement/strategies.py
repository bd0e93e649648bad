"""Placement strategies in a form made for choosing: successive filters (behaviour.md 5.11)."""

from __future__ import annotations

from typing import Literal

import msgspec

from roadstead.control.placement import picture
from roadstead.model import container_instances, task_definitions

STRATEGIES_MAX = 5
ZONE = f"attribute:{picture.ZONE_ATTRIBUTE}"
INSTANCE_FIELDS = ("instanceId", "host")


class Filter(msgspec.Struct, frozen=True):
    """One strategy. `field` is an attribute's name for `attribute`, `cpu` or `memory` for `binpack`, else ""."""

    kind: Literal["attribute", "instance", "binpack", "random"]
    field: str = ""

    def __str__(self) -> str:
        if self.kind == "attribute":
            return f"spread(attribute:{self.field})"
        return {"instance": "spread(instanceId)", "random": "random"}.get(self.kind, f"binpack({self.field})")

    def value(self, instance: container_instances.ContainerInstance) -> str | None:
        """The value that tasks are spread over: of an attribute; instances that lack it are one value, too."""
        return picture.attribute_of(instance, self.field)


DEFAULT = (Filter("attribute", picture.ZONE_ATTRIBUTE), Filter("instance"))


def check(strategy: tuple[task_definitions.PlacementStrategy, ...]) -> str | None:
    """What is wrong with a strategy that a user gave, in words; None where nothing is (ECS-API PlacementStrategy)."""
    if len(strategy) > STRATEGIES_MAX:
        return f"At most {STRATEGIES_MAX} placement strategies can be given."
    for one in strategy:
        field = one.field or ""
        match one.type:
            case "spread":
                if field not in INSTANCE_FIELDS and not (field.startswith("attribute:") and len(field) > 10):
                    return f"The field {field!r} is not valid for the placement strategy spread."
            case "binpack":
                if field.lower() not in ("cpu", "memory"):
                    return f"The field {field!r} is not valid for the placement strategy binpack."
            case "random":
                if field:
                    return "The placement strategy random takes no field."
    return None


def filters(strategy: tuple[task_definitions.PlacementStrategy, ...]) -> tuple[Filter, ...]:
    """The strategy as filters; the default for an empty one; a zone spread alone goes on over instances."""
    found = []
    for one in strategy:
        match one.type:
            case "spread" if one.field in INSTANCE_FIELDS:
                found.append(Filter("instance"))
            case "spread":
                found.append(Filter("attribute", (one.field or "").removeprefix("attribute:")))
            case "binpack":
                found.append(Filter("binpack", (one.field or "").lower()))
            case "random":
                found.append(Filter("random"))
    if not found or found == [DEFAULT[0]]:
        return DEFAULT
    return tuple(found)
