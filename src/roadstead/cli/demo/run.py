"""Runs the demo from beginning to end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable

import rich.live

from roadstead.cli import context, failures, output, services
from roadstead.cli.demo import load, picture, stage, story, watch

LOOK_SECONDS = 1.0
FRAMES_PER_SECOND = 4
CPU_SECONDS_PER_REQUEST = 0.025
REQUESTS_PER_SECOND = 10.0


def run(out: output.Output) -> None:
    """Show it. Raises failures.Failure when a step does not happen in its time; everything is removed all the same."""
    if os.geteuid() != 0:
        raise failures.Failure(
            "the demo runs real containers, and for that needs root", "Run: sudo roadstead demo   (or: make demo)"
        )
    busybox = shutil.which("busybox")
    if busybox is None:
        raise failures.Failure("busybox is missing; the example is made of it", "Run: apt-get install busybox-static")
    signal.signal(signal.SIGTERM, _end)  # what was made is removed then as well
    began = time.monotonic()

    def say(text: str) -> None:
        out.line(f"{time.monotonic() - began:6.1f} s  {text}")

    say("starting a control plane and one container instance in a temporary directory")
    say(
        f"with --scale-in-datapoints {stage.SCALE_IN_DATAPOINTS}: "
        "AWS's low alarm waits 30 data points of 20 s (10 minutes), the demo's only one minute"
    )
    with stage.raised(out, say) as on:
        stage.set_up(on, say)
        burn = load.Load(load.calibrate(busybox, CPU_SECONDS_PER_REQUEST, REQUESTS_PER_SECOND))
        try:
            tale = _watch(on, burn, say)
        finally:
            burn.stop()
        stage.tear_down(on)
    out.line(f"seen: {tale.summary(tale.ended_at)}; all removed after {time.monotonic() - began:.0f} s")


def _end(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _watch(on: context.Context, burn: load.Load, say: Callable[[str], None]) -> story.Story:
    say(
        f"load: {burn.rate.requests_per_second:g} requests/s of {burn.rate.cpu_seconds_per_request * 1000:.0f} ms CPU; "
        "one task of 128 CPU units can serve 5 of them in a second"
    )
    tale = story.Story(time.monotonic())
    sight = watch.look(on, stage.CLUSTER, stage.SERVICE)
    burn.aim(sight.targets)
    burn.start()
    shown = ""
    live = rich.live.Live(console=on.out.out, refresh_per_second=FRAMES_PER_SECOND, transient=False)
    with live if on.out.is_live else contextlib.nullcontext():
        while tale.next_step is not None:
            now = time.monotonic()
            late = tale.overdue(now)
            if late is not None:
                raise failures.Failure(
                    f"not seen within {late.limit_seconds:.0f} s: {late.says} ({picture.line(sight)})",
                    late.hint,
                    failures.NOT_CONVERGED,
                )
            sight = watch.look(on, stage.CLUSTER, stage.SERVICE)
            told = len(tale.seen)
            tale.tell(sight, burn.answered, now)
            if not tale.wants_load:
                burn.stop()
            burn.aim(sight.targets)
            burning = f"{burn.answered} requests answered" + ("" if tale.wants_load else ", stopped")
            if on.out.is_live:
                live.update(picture.draw(on.out, sight, tale, burning, now))
            else:
                shown = _print(tale, told, sight, shown, say)
            time.sleep(LOOK_SECONDS)
    tale.ended_at = time.monotonic()
    return tale


def _print(tale: story.Story, told: int, sight: watch.Sight, shown: str, say: Callable[[str], None]) -> str:
    """One line for each change, for logs."""
    text = picture.line(sight)
    if text != shown:
        say(text)
    for step, seconds in tale.seen[told:]:
        say(f"✓ {step.says} (after {seconds:.0f} s)")
        if step.name in ("out", "in") and sight.activities:
            say(f"  {sight.activities[0]['Description']} {services.cause(sight.activities[0])}")
    return text
