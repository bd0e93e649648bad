"""The root of all stored values.

A record is frozen. Its spec (written by the API), desired state (written by controllers) and observed state (written
by what agents report) are separate fields, each with one writer. A new version is made with `msgspec.structs.replace`.
"""

from __future__ import annotations

import msgspec


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of a record."""


class WireValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A part of a record in ECS's own shape: `msgspec.to_builtins` gives the wire's members."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stored value. `key` names it within its table; it never changes over the record's life."""

    @property
    def key(self) -> str:
        raise AttributeError("every record names its key")


class Tag(WireValue, frozen=True, kw_only=True):
    key: str
    value: str = ""


class KeyValuePair(WireValue, frozen=True, kw_only=True):
    name: str
    value: str | None = None
