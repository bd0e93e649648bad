"""What is wrong with a schedule."""

from __future__ import annotations


class Malformed(ValueError):
    """An expression that is none, or a zone that isn't; the text says why."""
