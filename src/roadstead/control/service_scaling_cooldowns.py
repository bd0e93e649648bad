"""Cooldowns of scaling policies, as their memory tells them (behaviour.md 1.3.4, 1.4): the same for every kind."""

from __future__ import annotations

from roadstead.model import scaling


def credits(memory: scaling.PolicyMemory, cooldown_seconds: int, now: float) -> bool:
    """Whether what the policy's newest scale-out added still counts as there: then only more is let through."""
    return memory.out_at is not None and now < memory.out_at + cooldown_seconds and memory.out_to > memory.out_from


def blocks_scale_in(memory: scaling.PolicyMemory, cooldown_seconds: int, now: float) -> bool:
    """Whether the policy's newest scale-in still blocks its next."""
    return memory.in_at is not None and now < memory.in_at + cooldown_seconds
