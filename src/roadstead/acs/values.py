"""Roots of all values on the wire.

A default is the zero value of the language in which Amazon's agent is written, and is left out when written: so a
member that is absent and one that holds its zero mean the same on both sides.
"""

from __future__ import annotations

import msgspec


class WireValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A value with ECS's member names (`containerArn`). Unknown members are ignored when read."""


class DockerValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    """A value with Docker's member names (`ReadonlyRootfs`)."""
