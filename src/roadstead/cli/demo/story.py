"""The demo's story: steps that must happen in this order, each within its time. Pure; `run` feeds it sights."""

from __future__ import annotations

import msgspec

from roadstead.cli.demo import watch

TARGET_PERCENT = 50.0
SCALED_OUT_TASKS = 3
"""The service must reach at least so many tasks under load."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A thing that must be seen. `limit_seconds` is how long after the step before it."""

    name: str
    says: str
    limit_seconds: float
    hint: str
    """What to look at when it doesn't happen."""


STEPS: tuple[Step, ...] = (
    Step(
        name="load",
        says="load started",
        limit_seconds=30,
        hint="the first task never answered: roadstead ps tells why",
    ),
    Step(
        name="metric",
        says="metric above target",
        limit_seconds=90,
        hint="no CPUUtilization above the target arrived: is the agent connected, can it read cgroups?",
    ),
    Step(
        name="alarm", says="high alarm", limit_seconds=120, hint="the alarm did not see three high data points in a row"
    ),
    Step(
        name="out",
        says=f"scaled out to {SCALED_OUT_TASKS} or more",
        limit_seconds=150,
        hint="roadstead explain service web tells what the policy decided, and from which numbers",
    ),
    Step(
        name="low", says="load stopped, low alarm", limit_seconds=180, hint="the metric did not fall below the target"
    ),
    Step(name="in", says="scaled in to 1", limit_seconds=120, hint="roadstead explain service web tells why not"),
)


class Story:
    """Where the story stands. Each step takes its time from the one before."""

    def __init__(self, now: float) -> None:
        self.began_at = now
        self.ended_at = now
        self.seen: list[tuple[Step, float]] = []
        """Steps that have happened, each with the seconds that it took."""
        self.peak = 0
        self._since = now

    @property
    def next_step(self) -> Step | None:
        """The one that is waited for; None at the end."""
        return STEPS[len(self.seen)] if len(self.seen) < len(STEPS) else None

    @property
    def wants_load(self) -> bool:
        """Load is applied until the service has scaled out."""
        return len(self.seen) < 4

    def tell(self, sight: watch.Sight, answered: int, now: float) -> None:
        """Take one look into account: any number of steps may have happened since the last."""
        self.peak = max(self.peak, sight.running)
        while (step := self.next_step) is not None and _happened(step, sight, answered):
            self.seen.append((step, now - self._since))
            self._since = now

    def overdue(self, now: float) -> Step | None:
        """The step that should have happened by now; None while there is still time."""
        step = self.next_step
        return step if step is not None and now - self._since > step.limit_seconds else None

    def summary(self, now: float) -> str:
        """What was seen, and how long each step took: one line."""
        took = ", ".join(f"{step.says} {seconds:.0f} s" for step, seconds in self.seen)
        return f"1 → {self.peak} → 1 tasks in {now - self.began_at:.0f} s: {took}"


def _happened(step: Step, sight: watch.Sight, answered: int) -> bool:
    match step.name:
        case "load":
            return answered > 0
        case "metric":
            return sight.newest_metric is not None and sight.newest_metric > TARGET_PERCENT
        case "alarm":
            return (sight.high is not None and sight.high.state == "ALARM") or sight.desired > 1
        case "out":
            return sight.running >= SCALED_OUT_TASKS
        case "low":
            return (sight.low is not None and sight.low.state == "ALARM") or sight.desired == 1
        case "in":
            return sight.desired == 1 and sight.running == 1
    raise AssertionError(step.name)
