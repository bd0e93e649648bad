"""The process that computes forecasts: a question a line comes in, an answer a line goes out (`app.forecaster`).

It has a lower priority than the server: forecasts are never urgent.
"""

from __future__ import annotations

import os
import sys

import msgspec

from roadstead.control import forecasting

NICENESS = 10


def main() -> None:
    """Answer until the input ends. A forecast that fails ends the process, with its traceback on standard error."""
    os.nice(NICENESS)
    for line in sys.stdin.buffer:
        question = msgspec.json.decode(line, type=forecasting.Question)
        sys.stdout.buffer.write(msgspec.json.encode(forecasting.compute(question)) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
