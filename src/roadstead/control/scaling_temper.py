"""How options temper what target tracking asks for (decision 0023). With none it is asked for whole, as on AWS.

In: the capacity that a metric was measured with, what the formula proposes, the policy's options. Out: what is asked.
"""

from __future__ import annotations

from roadstead.model import scaling


def tempered(running: int, proposed: int, options: scaling.TrackingOptions) -> int:
    """The proposal after gain and step limit of its direction: at least one step, where it asks for any.

    From nothing it is left as it is: that is one already (behaviour.md 1.3.3).
    """
    if running == 0 or proposed == running:
        return proposed
    if proposed > running:
        more = -(-(proposed - running) * options.scale_out_gain_percent // 100)
        return running + min(more, options.scale_out_step_max or more)
    fewer = max(1, (running - proposed) * options.scale_in_gain_percent // 100)
    return running - min(fewer, options.scale_in_step_max or fewer)


def idle_since(
    options: scaling.TrackingOptions,
    before: float | None,
    *,
    asks_for_zero: bool,
    low_since: float,
    now: float,
) -> float | None:
    """Since when a policy has been asking for zero, without a break; None where it doesn't, or need not wait.

    `before` is what was remembered of the last time that it asked; `low_since` is when its low alarm last went into
    ALARM: what was remembered from before that is of another idleness.
    """
    if not options.scale_to_zero_after_seconds or not asks_for_zero:
        return None
    return now if before is None or before < low_since else before


def is_held(options: scaling.TrackingOptions, since: float | None, now: float) -> bool:
    """Whether the policy has to be idle for longer before it may go to zero."""
    wait = options.scale_to_zero_after_seconds
    return wait > 0 and (since is None or now < since + wait)
