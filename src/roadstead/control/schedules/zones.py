"""Time zones by their IANA names, from the zone database that comes with Roadstead: the same on every host.

Local times here are naive `datetime`s: what a clock on the wall shows.
"""

from __future__ import annotations

import datetime
import functools
import importlib.resources
import zoneinfo

UTC = "UTC"


@functools.cache
def names() -> frozenset[str]:
    """Every zone there is."""
    return frozenset((importlib.resources.files("tzdata") / "zones").read_text().split())


@functools.cache
def load(name: str) -> zoneinfo.ZoneInfo:
    """The zone of that name. Raises KeyError where there is none."""
    if name not in names():
        raise KeyError(name)
    place = importlib.resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
    with place.open("rb") as file:
        return zoneinfo.ZoneInfo.from_file(file, key=name)


def local(moment: float, zone: datetime.tzinfo) -> datetime.datetime:
    """What a clock in the zone shows at a moment, to the second."""
    return datetime.datetime.fromtimestamp(moment // 1, zone).replace(tzinfo=None, fold=0)


def moment(shown: datetime.datetime, zone: datetime.tzinfo) -> float | None:
    """When a clock in the zone shows that: the first time, where it does so twice; None where it never does."""
    found = shown.replace(tzinfo=zone, fold=0).timestamp()
    return found if local(found, zone) == shown else None


def repeated_seconds(moment: float, zone: datetime.tzinfo) -> float:
    """How far the clock was put back, at a moment at which it shows something for the second time; else 0."""
    aware = datetime.datetime.fromtimestamp(moment // 1, zone)
    if not aware.fold:
        return 0.0
    return aware.timestamp() - aware.replace(fold=0).timestamp()
