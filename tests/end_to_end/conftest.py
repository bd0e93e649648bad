"""Whole installations for tests: real containers or stand-ins, removed whatever happens, and nothing may be left."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
from collections.abc import Callable, Iterator

import pytest
from tests.end_to_end import installations

Install = Callable[..., installations.Installation]
APPLETS = ("sh", "sleep", "cat", "echo", "seq", "tail", "httpd", "wget", "kill", "true", "false", "ls", "date")


@contextlib.contextmanager
def installed(*options: str, runtime: str = "oci", as_nobody: bool = False) -> Iterator[installations.Installation]:
    one = installations.Installation(*options, runtime=runtime, as_nobody=as_nobody)
    try:
        one.start()
        yield one
    except BaseException:
        with contextlib.suppress(Exception):  # what failed first is what is told
            one.remove()
        raise
    one.remove()


@pytest.fixture(scope="session")
def box(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A directory to be packed: busybox and its applets."""
    root = tmp_path_factory.mktemp("box")
    (root / "bin").mkdir()
    (root / "tmp").mkdir()
    busybox = shutil.which("busybox")
    assert busybox is not None, "busybox-static is missing; `make setup` installs it"
    shutil.copy(busybox, root / "bin" / "busybox")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    return root


@pytest.fixture
def real(box: pathlib.Path, request: pytest.FixtureRequest) -> Iterator[installations.Installation]:
    """Real containers; the image `box` is there. A parameter is further options of the server."""
    with installed(*getattr(request, "param", ())) as one:
        one.output("image", "pack", str(box), "--tag", "box")
        yield one


@pytest.fixture
def simulated() -> Iterator[installations.Installation]:
    """Stand-ins instead of containers; state in memory."""
    with installed("--ephemeral", runtime="simulated") as one:
        yield one
