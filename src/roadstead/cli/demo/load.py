"""Load on the demo's service: a steady stream of requests, each of which costs its task a known amount of CPU."""

from __future__ import annotations

import http.client
import os
import subprocess
import threading
import time

import msgspec

CALIBRATION_COUNT = 300_000
REQUEST_TIMEOUT_SECONDS = 10.0
IN_FLIGHT_PER_TASK_MAX = 2
"""More would only queue up in front of a busy task."""


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: so many requests a second, each counting so far."""

    requests_per_second: float
    count: int
    cpu_seconds_per_request: float


def calibrate(busybox: str, cpu_seconds_wanted: float, requests_per_second: float) -> Rate:
    """How far busybox counts on this machine in the wanted CPU time."""
    script = f"i=0; while [ $i -lt {CALIBRATION_COUNT} ]; do i=$((i+1)); done"
    process = subprocess.Popen([busybox, "sh", "-c", script])
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    per_count = max(1e-9, (usage.ru_utime + usage.ru_stime) / CALIBRATION_COUNT)
    return Rate(
        requests_per_second=requests_per_second,
        count=max(100, int(cpu_seconds_wanted / per_count)),
        cpu_seconds_per_request=cpu_seconds_wanted,
    )


class Load:
    """Sends requests to whatever targets it was given last, in turn, from a few threads. `stop` ends it for good."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.answered = 0
        self.turned_away = 0
        """Requests not sent because all tasks were busy, or refused."""
        self._targets: tuple[str, ...] = ()
        self._busy: dict[str, int] = {}
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self._pacer = threading.Thread(target=self._pace, daemon=True)

    def aim(self, targets: tuple[str, ...]) -> None:
        """Send to these from now on: `host:port` each."""
        with self._lock:
            self._targets = targets

    def start(self) -> None:
        self._pacer.start()

    def stop(self) -> None:
        self._ends.set()

    def _pace(self) -> None:
        gap, due, turn = 1.0 / self.rate.requests_per_second, time.monotonic(), 0
        while not self._ends.wait(max(0.0, due - time.monotonic())):
            due = max(due + gap, time.monotonic() - 1.0)
            target, turn = self._choose(turn)
            if target is None:
                self.turned_away += 1
                continue
            threading.Thread(target=self._ask, args=(target,), daemon=True).start()

    def _choose(self, turn: int) -> tuple[str | None, int]:
        with self._lock:
            for _ in self._targets:
                turn = (turn + 1) % len(self._targets)
                target = self._targets[turn]
                if self._busy.get(target, 0) < IN_FLIGHT_PER_TASK_MAX:
                    self._busy[target] = self._busy.get(target, 0) + 1
                    return target, turn
        return None, turn

    def _ask(self, target: str) -> None:
        try:
            connection = http.client.HTTPConnection(target, timeout=REQUEST_TIMEOUT_SECONDS)
            connection.request("GET", f"/cgi-bin/burn?{self.rate.count}")
            connection.getresponse().read()
            connection.close()
            self.answered += 1
        except (OSError, http.client.HTTPException):
            self.turned_away += 1
        finally:
            with self._lock:
                self._busy[target] -= 1
