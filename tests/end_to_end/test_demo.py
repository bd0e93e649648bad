"""The show, whole: `roadstead demo` scales a service of real containers out and in again, and leaves nothing."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess

import pytest
from tests.end_to_end import installations

pytestmark = [pytest.mark.real, pytest.mark.slow]

DEMO_SECONDS_MAX = 360
DIRECTORY = "roadstead-demo-"


@pytest.mark.timeout(DEMO_SECONDS_MAX + 60)
def test_the_demo_shows_the_whole_loop_and_leaves_nothing(tmp_path: pathlib.Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ROADSTEAD_"))}
    process = subprocess.Popen(
        [installations.ROADSTEAD, "demo"],
        # so that its directory is told from those of other demos
        env={**environment, "TMPDIR": str(tmp_path), "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    data_dir = None
    try:
        installations.eventually(lambda: list(tmp_path.glob(DIRECTORY + "*")) or process.poll() is not None)
        data_dir = next(iter(tmp_path.glob(DIRECTORY + "*")), None)
        said, _ = process.communicate(timeout=DEMO_SECONDS_MAX)
        assert process.returncode == 0, said
        check_told(said)
        assert data_dir is not None and not data_dir.exists()
        left = installations.traces(data_dir)
        assert not left, left
    finally:
        process.terminate()
        process.communicate()
        if data_dir is not None and data_dir.exists():
            subprocess.run([installations.ROADSTEAD, "down", "--remove", "--data-dir", str(data_dir)], check=False)


def check_told(said: str) -> None:
    """It says what it does, what was seen, and how long each step took; plainly, for there is no terminal."""
    assert "\x1b" not in said
    assert "--scale-in-datapoints 3" in said
    last = said.strip().splitlines()[-1]
    assert last.startswith("seen: ") and "all removed after" in last, last
    took = re.search(r"all removed after (\d+) s", last)
    assert took is not None and int(took[1]) <= DEMO_SECONDS_MAX
    assert len(re.findall(r"\d+ s", last)) >= 4, last
    peak = re.search(r"1 → (\d) → 1 tasks in", last)
    assert peak is not None and int(peak[1]) >= 3, last
