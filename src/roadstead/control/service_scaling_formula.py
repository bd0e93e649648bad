"""What target tracking decides, from numbers alone (behaviour.md 1.1.7-1.1.8, 1.2.7-1.2.13, 1.3.3, 1.3.4), and which
policy wins where several ask, step scaling's among them.

In: a `Situation` (counts, bounds, policies with their alarms). Out: a `Ruling`: at most one step, and for each policy
that asked in vain the reason, with the numbers. No records are read or written here.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Literal

import msgspec

from roadstead.control import scaling_temper, step_scaling_formula
from roadstead.control import service_scaling_cooldowns as cooldowns
from roadstead.model import alarms, scaling

ROUNDING = 10**9
"""The quotient is rounded to this fraction of 1 before it is rounded up, so that 10 × 30 / 50 gives 6, not 7."""
QUOTIENTS_KEPT_MAX = 64
"""One decision asks for the same a few times: to propose, to tell how, to see whether the other side would flap."""


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """One of a policy's two alarms, as it stands."""

    alarm: str
    value: float | None
    """The newest data point of its newest evaluation."""
    in_alarm: bool
    in_alarm_since: float = 0.0
    """When it went into its present state."""
    fired: bool
    """Its action is due and not yet acted upon."""
    acts: bool = True
    """The policy is among its actions."""
    state: alarms.AlarmState = "ALARM"
    """That it is in when it asks: from no capacity, any (`control.scaling_from_zero`)."""
    asked_at: float = 0.0
    """When its action was last run; of meaning where it fired."""
    running: int | None = None
    """How many tasks ran when the value was measured; None: as many as run now."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A target tracking policy with its memory and its alarms."""

    name: str
    metric_name: str | None = None
    target_value: float
    scale_out_cooldown_seconds: int
    scale_in_cooldown_seconds: int
    high: Signal | None
    low: Signal | None
    """None with DisableScaleIn: the policy has no say in scaling in."""
    memory: scaling.PolicyMemory = scaling.PolicyMemory()
    options: scaling.TrackingOptions = scaling.TrackingOptions()
    idle_since: float | None = None
    """Since when it has been asking for zero, where it has to wait with that."""
    is_held: bool = False
    """It has to wait with zero now (`control.scaling_temper`)."""


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """All that a ruling depends on, but the time."""

    running: int
    desired: int
    minimum: int
    maximum: int
    deploying: bool = False
    out_suspended: bool = False
    in_suspended: bool = False
    floor: int = 0
    """The capacity predicted for now: nothing scales in below it (behaviour.md 1.6)."""
    policies: tuple[Policy, ...]
    asks: tuple[step_scaling_formula.Ask, ...] = ()
    """Alarms that invoke a step scaling policy now."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the desired count."""

    policy: str
    alarm: str
    direction: Literal["out", "in"]
    to: int
    numbers: scaling.ScalingNumbers
    state: alarms.AlarmState = "ALARM"
    """That of the alarm."""


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A policy asked for a change, and nothing changes."""

    policy: str
    alarm: str
    reason: scaling.NotScaledReason
    numbers: scaling.ScalingNumbers
    state: alarms.AlarmState = "ALARM"


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """What is done, and what isn't, and why."""

    step: Step | None = None
    refused: tuple[Refused, ...] = ()


class Candidate(msgspec.Struct, frozen=True):
    """What one policy asks for."""

    policy: Policy
    signal: Signal
    proposed: int
    bounded: int
    numbers: scaling.ScalingNumbers


@functools.lru_cache(maxsize=QUOTIENTS_KEPT_MAX)
def quotient(running: int, value: float, target_value: float) -> Fraction:
    """running × value / target, exact but for the rounding named above."""
    exact = Fraction(value) * running / Fraction(target_value)
    return Fraction(round(exact * ROUNDING), ROUNDING)


def propose(running: int, value: float, target_value: float) -> int:
    """The count that the metric asks for (behaviour.md 1.3.3), before the bounds. `target_value` is above 0."""
    if running == 0:
        return 1 if value > target_value else 0
    return max(0, math.ceil(quotient(running, value, target_value)))


def asks_for_zero(low: Signal, target_value: float) -> bool:
    """Whether a policy's low alarm stands for no load at all."""
    value = low.value
    if not low.in_alarm or value is None or not math.isfinite(value) or value * ROUNDING > target_value:
        return False  # in the last case it is twice what is rounded to zero, or more
    return propose(1, value, target_value) == 0


def formula_text(running: int, value: float, target_value: float) -> str:
    """How `propose` came to its result: `ceil(4 × 78.1 / 60) = 6`."""
    proposed = propose(running, value, target_value)
    if running == 0:
        relation = "is above" if value > target_value else "is not above"
        return f"none runs, and {value:.10g} {relation} {target_value:.10g}: {proposed}"
    return f"ceil({running} × {value:.10g} / {target_value:.10g}) = {proposed}"


def in_scale_out_cooldown(policy: Policy, now: float) -> bool:
    """Whether the policy's newest scale-out still counts as on its way (behaviour.md 1.3.4)."""
    return cooldowns.credits(policy.memory, policy.scale_out_cooldown_seconds, now)


def in_scale_in_cooldown(policy: Policy, now: float) -> bool:
    """Whether the policy's newest scale-in still blocks the next (behaviour.md 1.3.4)."""
    return cooldowns.blocks_scale_in(policy.memory, policy.scale_in_cooldown_seconds, now)


def rule(situation: Situation, now: float) -> Ruling:
    """Scaling out goes before scaling in; the largest resulting capacity wins (behaviour.md 1.2.7, 1.2.8).

    Step policies have no vote in target tracking's scaling in, and need none for their own.
    """
    answers = _step_answers(situation, now)
    out = _rule_out(situation, now)
    risen = _largest((out.step, *(_stepped(one) for one in answers if one.direction == "out" and one.reason is None)))
    if risen is not None:
        return Ruling(step=risen)
    inward = _rule_in(situation, now)
    fallen = _largest((inward.step, *(_stepped(one) for one in answers if one.reason is None)))
    said = (*out.refused, *inward.refused)
    if fallen is not None:
        return Ruling(step=fallen, refused=said)
    vain = tuple(
        Refused(policy=one.policy, alarm=one.alarm, reason=one.reason, numbers=one.numbers, state=one.state)
        for one in answers
        if one.reason is not None
    )
    return Ruling(refused=(*said, *vain))


def _step_answers(situation: Situation, now: float) -> list[step_scaling_formula.Answer]:
    """What step policies come to; a suspended direction says nothing, and a deployment blocks scaling in."""
    capacity = step_scaling_formula.Capacity(
        running=situation.running,
        desired=situation.desired,
        minimum=situation.minimum,
        maximum=situation.maximum,
    )
    found: list[step_scaling_formula.Answer] = []
    for ask in situation.asks:
        answer = step_scaling_formula.answer(ask, capacity, now)
        if answer is None or (situation.out_suspended if answer.direction == "out" else situation.in_suspended):
            continue
        if answer.direction == "in" and answer.reason is None and situation.deploying:
            blocked = scaling.NotScaledReason(code="TargetServicePutResourceAsUnscalable")
            answer = msgspec.structs.replace(answer, reason=blocked)
        found.append(_not_below_floor(situation, answer))
    return found


def _not_below_floor(situation: Situation, answer: step_scaling_formula.Answer) -> step_scaling_formula.Answer:
    """A step policy's scale-in goes down to the predicted capacity at most."""
    if answer.direction != "in" or answer.reason is not None or answer.to >= situation.floor:
        return answer
    count = min(situation.floor, situation.desired)
    reason = _already_there(situation) if count == situation.desired else None
    numbers = _held(situation, answer.numbers, count)
    return msgspec.structs.replace(answer, to=count, reason=reason, numbers=numbers)


def _held(situation: Situation, numbers: scaling.ScalingNumbers, count: int) -> scaling.ScalingNumbers:
    """The numbers of a scale-in that what is predicted has held up at `count`."""
    text = f"{numbers.formula}, but {situation.floor} predicted"
    return msgspec.structs.replace(numbers, bounded=count, predicted=situation.floor, formula=text)


def _stepped(answer: step_scaling_formula.Answer) -> Step:
    return Step(
        policy=answer.policy,
        alarm=answer.alarm,
        direction="out" if answer.direction == "out" else "in",
        to=answer.to,
        numbers=answer.numbers,
        state=answer.state,
    )


def _largest(steps: Iterable[Step | None]) -> Step | None:
    return max((step for step in steps if step is not None), key=lambda step: step.to, default=None)


def _measured_running(situation: Situation, signal: Signal) -> int:
    """The running count that belongs to the signal's value."""
    return situation.running if signal.running is None else signal.running


def _candidate(situation: Situation, policy: Policy, signal: Signal) -> Candidate | None:
    """What the policy asks for; None without a data point to compute with."""
    value = signal.value
    if value is None or not math.isfinite(value):
        return None
    running = _measured_running(situation, signal)
    asked = propose(running, value, policy.target_value)
    text = formula_text(running, value, policy.target_value)
    proposed = scaling_temper.tempered(running, asked, policy.options)
    if proposed != asked:
        text += f", tempered to {proposed}"
    if proposed == 0 and policy.is_held:
        proposed = 1
        text += f", held at 1 until it has been so for {policy.options.scale_to_zero_after_seconds} s"
    bounded = min(max(proposed, situation.minimum), situation.maximum)
    numbers = scaling.ScalingNumbers(
        alarm_name=signal.alarm,
        metric_name=policy.metric_name,
        metric_value=value,
        target_value=policy.target_value,
        capacity=running,
        proposed=proposed,
        bounded=bounded,
        min_capacity=situation.minimum,
        max_capacity=situation.maximum,
        formula=text,
    )
    return Candidate(policy, signal, proposed, bounded, numbers)


def _refused(candidate: Candidate, reason: scaling.NotScaledReason) -> Refused:
    return Refused(
        policy=candidate.policy.name,
        alarm=candidate.signal.alarm,
        reason=reason,
        numbers=candidate.numbers,
        state=candidate.signal.state,
    )


def _rule_out(situation: Situation, now: float) -> Ruling:
    if situation.out_suspended:
        return Ruling()
    wanted: list[Candidate] = []
    refused: list[Refused] = []
    for policy in situation.policies:
        if policy.high is None or not policy.high.fired:
            continue
        candidate = _candidate(situation, policy, policy.high)
        if candidate is None:
            continue
        if in_scale_out_cooldown(policy, now) and candidate.bounded <= policy.memory.out_to:
            continue  # what it asked for is on its way
        if candidate.bounded > situation.desired:
            wanted.append(candidate)
        elif situation.desired >= situation.maximum:
            reason = scaling.NotScaledReason(code="AlreadyAtMaxCapacity", max_capacity=situation.maximum)
            refused.append(_refused(candidate, reason))
        else:
            refused.append(_refused(candidate, _already_there(situation)))
    if not wanted:
        return Ruling(refused=tuple(refused))
    return Ruling(step=_step(max(wanted, key=_size), "out"))


def _size(candidate: Candidate) -> int:
    return candidate.bounded


def _already_there(situation: Situation) -> scaling.NotScaledReason:
    return scaling.NotScaledReason(code="AlreadyAtDesiredCapacity", current_capacity=situation.desired)


def _step(candidate: Candidate, direction: Literal["out", "in"], to: int | None = None) -> Step:
    return Step(
        policy=candidate.policy.name,
        alarm=candidate.signal.alarm,
        direction=direction,
        to=candidate.bounded if to is None else to,
        numbers=candidate.numbers,
        state=candidate.signal.state,
    )


def _rule_in(situation: Situation, now: float) -> Ruling:
    """Every policy that may scale in must be ready to; the largest of their candidates is applied."""
    if situation.in_suspended:
        return Ruling()
    voters = [(policy, policy.low) for policy in situation.policies if policy.low is not None]
    if not any(low.fired for _, low in voters):
        return Ruling()
    candidates: list[Candidate] = []
    for policy, low in voters:
        candidate = _candidate(situation, policy, low) if low.in_alarm else None
        if candidate is None or in_scale_in_cooldown(policy, now):
            return Ruling()
        candidates.append(candidate)
    winner = max(candidates, key=_size)
    if winner.bounded < situation.floor:
        count = min(situation.floor, situation.desired)
        numbers = _held(situation, winner.numbers, count)
        winner = msgspec.structs.replace(winner, bounded=count, numbers=numbers)
    if winner.bounded >= situation.desired:
        if situation.desired <= situation.minimum:
            reason = scaling.NotScaledReason(code="AlreadyAtMinCapacity", min_capacity=situation.minimum)
        else:
            reason = _already_there(situation)
        return Ruling(refused=(_refused(winner, reason),))
    if situation.deploying:
        blocked = scaling.NotScaledReason(code="TargetServicePutResourceAsUnscalable")
        return Ruling(refused=(_refused(winner, blocked),))
    if not _would_flap(situation, winner.bounded):
        return Ruling(step=_step(winner, "in"))
    if situation.desired > situation.maximum:
        return Ruling(step=_step(winner, "in", situation.maximum))  # first to the maximum (behaviour.md 1.1.8)
    flapping = scaling.NotScaledReason(code="AutoScalingAnticipatedFlapping")
    return Ruling(refused=(_refused(winner, flapping),))


def _would_flap(situation: Situation, count: int) -> bool:
    """Whether `count` tasks would be over some policy's target, so that it would scale out again."""
    for policy in situation.policies:
        signal = policy.low or policy.high
        if signal is None or not signal.in_alarm or signal.value is None or not math.isfinite(signal.value):
            continue  # of an alarm at rest no fresh value is known
        if quotient(_measured_running(situation, signal), signal.value, policy.target_value) > count:
            return True
    return False


def remember(
    memory: scaling.PolicyMemory, step: Step, *, own: bool, desired: int, crediting: bool, now: float
) -> scaling.PolicyMemory:
    """A policy's memory after a step: its own, or another policy's of the same target (behaviour.md 1.3.4).

    `desired` is the count before the step; `crediting` whether the policy's scale-out cooldown was still running. A
    scale-out ends every scale-in cooldown; a scale-in takes away what earlier scale-outs are credited with.
    """
    if step.direction == "in":
        return msgspec.structs.replace(memory, out_at=None, out_from=0, out_to=0, in_at=now if own else memory.in_at)
    if not own:
        return after_another_scale_out(memory)
    return msgspec.structs.replace(
        memory, out_at=now, out_from=memory.out_from if crediting else desired, out_to=step.to, in_at=None
    )


def after_another_scale_out(memory: scaling.PolicyMemory) -> scaling.PolicyMemory:
    """A policy's memory after a scale-out that was none of its own: its scale-in cooldown is over."""
    return msgspec.structs.replace(memory, in_at=None)
