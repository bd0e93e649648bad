"""What may go wrong: probabilities, mean intervals and bounds of delays. The default is a perfect world."""

from __future__ import annotations

import msgspec


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """`…_chance` is a probability each time, `…_every_seconds` a mean interval (0 = never), `…_seconds_max` a bound."""

    # network
    delay_seconds_max: float = 0.0
    """Added to each message's way, evenly from 0; each agent's messages keep their order on one socket."""
    break_chance: float = 0.0
    """For each websocket message: the connection breaks instead, and both sides notice."""
    request_loss_chance: float = 0.0
    """An HTTP request doesn't arrive; its sender notices after a time-out."""
    answer_loss_chance: float = 0.0
    """An HTTP request arrives and is carried out, but its answer is lost: it will be repeated."""
    cut_every_seconds: float = 0.0
    """A host is cut off: what is sent is lost in silence until both sides' patience ends."""
    cut_seconds_max: float = 300.0

    # control plane
    sync_seconds_max: float = 0.0
    """How long the journal takes for a group, evenly from 0."""
    step_seconds_max: float = 0.0
    """How long a decision waits for its turn, evenly from 0, so that things happen between decisions."""
    plane_crash_every_seconds: float = 0.0
    plane_crash_chance: float = 0.0
    """For each commit: it dies while the journal is at it."""
    plane_down_seconds_max: float = 60.0

    # hosts
    agent_crash_every_seconds: float = 0.0
    agent_down_seconds_max: float = 120.0
    agent_crash_chance: float = 0.0
    """Between saving what it decided and doing it."""
    reboot_every_seconds: float = 0.0
    """A host loses all its containers."""
    container_death_every_seconds: float = 0.0
    pull_failure_chance: float = 0.0
    start_failure_chance: float = 0.0
    slow_verb_chance: float = 0.0
    slow_verb_seconds_max: float = 30.0


NONE = Faults()

ROUGH = Faults(
    delay_seconds_max=0.2,
    break_chance=0.005,
    request_loss_chance=0.02,
    answer_loss_chance=0.02,
    cut_every_seconds=600.0,
    sync_seconds_max=0.05,
    step_seconds_max=0.05,
    plane_crash_every_seconds=600.0,
    plane_crash_chance=0.01,
    agent_crash_every_seconds=300.0,
    agent_crash_chance=0.01,
    reboot_every_seconds=1200.0,
    container_death_every_seconds=60.0,
    pull_failure_chance=0.02,
    start_failure_chance=0.05,
    slow_verb_chance=0.1,
)
"""Everything at once, far more often than in life."""
